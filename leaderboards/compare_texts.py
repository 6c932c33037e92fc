"""Judged texts of two runs against each other: their stereotype ratios, and whether there is a bias to compare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ..metrics import Comparison
from ..metrics.stereotypes import compare_stereotypes
from .answers import Answers, IntArray
from .collection import Entry
from .details import details_of


def measurable_notes(entry: Entry, answers: Answers) -> Iterator[str]:
    """That the texts of a run are no translations, in words; nothing where they are, or where there are no texts."""
    found = details_of(answers, entry.run.fair(entry.task)).translations
    if found is not None and found.not_measurable is not None:
        yield f"{answers.run}: {found.not_measurable}: a difference from it says nothing of bias"


def with_stereotypes(
    comparison: Comparison, entries: tuple[Entry, Entry], answers: tuple[Answers, Answers], rows: tuple[IntArray, ...]
) -> Comparison:
    """The comparison with the stereotype ratios of judged texts, where there are texts and both are translations.

    Args:
        comparison: of A and B.
        entries: the runs.
        answers: theirs, along one axis.
        rows: of each, those that answer the same documents.
    """
    a = answers[0]
    if a.clusters is None or "generation" not in a.kept:
        return comparison
    if any(note for entry, one in zip(entries, answers, strict=True) for note in measurable_notes(entry, one)):
        return comparison
    genders = [
        [one.classes[index] for index in one.predictions[place].tolist()]
        for one, place in zip(answers, rows, strict=True)
    ]
    clusters = [str(name) for name in a.clusters[rows[0]]]
    found = compare_stereotypes((genders[0], genders[1]), a.membership[rows[0]], a.groups, clusters)
    return replace(comparison, differences=(*found, *comparison.differences))
