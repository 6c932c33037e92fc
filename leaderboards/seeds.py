"""Training seeds: variants that differ only in their seed stand in one row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, takewhile
from typing import Any

from ..errors import GroupgapError
from ..metrics import GAPS, Estimate, GroupRates, Judgement, chance_over_seeds, mean_over_seeds, pool_seeds
from .answers import Answers
from .collection import Entry
from .identity import last_part
from .pairing import check_seeds, join

RATES = ("accuracy", "selection_rate", "tpr", "fpr", "member_gap")


def recipes_of(entries: Iterable[Entry]) -> list[list[Entry]]:
    """The entries, those of one recipe together; an entry without a recipe by itself."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        recipe = entry.run.variant.recipe
        key = f"run {entry.run.name}" if recipe is None else f"recipe {recipe}"
        groups.setdefault(key, []).append(entry)
    return list(groups.values())


def by_recipe(entries: Iterable[Entry]) -> list[list[Entry]]:
    """The entries of one task, those that are seeds of one recipe together, in order of their seed.

    Entries of one recipe stay apart where two of them have the same seed.
    """
    folded: list[list[Entry]] = []
    for group in recipes_of(entries):
        seeds = [entry.run.variant.seed for entry in group]
        if len(set(seeds)) == len(group):
            folded.append(sorted(group, key=lambda entry: entry.run.variant.seed or 0))
        else:
            folded += [[entry] for entry in group]
    return folded


def fold(entries: Iterable[Entry]) -> tuple[list[list[Entry]], list[str]]:
    """The rows of one task: seeds of one recipe together, where they were asked alike.

    Args:
        entries: all of the task.

    Returns:
        The entries of each row, in order of their seed, and notes on recipes whose runs stay rows of their own.
    """
    rows: list[list[Entry]] = []
    notes = []
    for group in recipes_of(entries):
        ordered = sorted(group, key=lambda entry: entry.run.variant.seed or 0)
        why = _why_apart(ordered)
        rows += [[entry] for entry in ordered] if why else [ordered]
        if why:
            names = ", ".join(entry.run.name for entry in ordered)
            notes.append(f"by their variant.json {names} are seeds of one recipe, but stay rows of their own: {why}")
    return rows, notes


def _why_apart(seeds: Sequence[Entry]) -> str | None:
    """Why entries of one recipe cannot be one row; ``None`` where they can."""
    numbers = [entry.run.variant.seed for entry in seeds]
    if len(set(numbers)) < len(numbers):
        return f"seed {next(number for number in numbers if numbers.count(number) > 1)} stands twice"
    axes = {tuple(answers.axis for answers in entry.answers) for entry in seeds}
    if len(axes) > 1:
        return "they were judged along other axes"
    try:
        for answers in zip(*(entry.answers for entry in seeds), strict=True):
            check_seeds("this recipe", seeds, answers)
    except GroupgapError as error:
        return str(error)
    return None


def names_of(folded: Sequence[Sequence[Entry]]) -> list[str]:
    """A name for each row, all different: that of its only run, or what its seeds share, with its runs where two share
    it; where another row has chosen that very name, a number is added.
    """
    names = [shared_name(entries) for entries in folded]
    often = Counter(names)
    taken = {entries[0].run.name for entries in folded if len(entries) == 1}
    for place, (name, entries) in enumerate(zip(names, folded, strict=True)):
        if len(entries) == 1:
            continue
        wanted = f"{name} ({', '.join(entry.run.name for entry in entries)})" if often[name] > 1 else name
        names[place] = next(own for own in _numbered(wanted) if own not in taken)
        taken.add(names[place])
    return names


def _numbered(name: str) -> Iterator[str]:
    """The name, then the name with a number."""
    yield name
    yield from (f"{name} [{number}]" for number in count(2))


def shared_name(entries: Sequence[Entry]) -> str:
    """A name for all seeds: what their names begin with, else base and method.

    A seed at the end of a name (``lora-r8-s13``, ``lora seed=13``) is left away.
    """
    names = [entry.run.name for entry in entries]
    if len(names) == 1:
        return names[0]
    variant = entries[0].run.variant
    if len({entry.run.variant.name for entry in entries}) == 1:
        return variant.name
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    start = re.sub(r"[\s\-_.,(/]+(?:seed|s)?[\s\-_=:]*\d*$", "", "".join(letters[0] for letters in same))
    return start or " ".join(part for part in (last_part(variant.base or ""), variant.method) if part) or names[0]


def pool(answers: Sequence[Answers], judgements: Sequence[Judgement], min_group: int) -> Judgement:
    """One judgement of all seeds: rates as means with t intervals, gaps from the seed-averaged group rates.

    Args:
        answers: of each seed, on the same documents.
        judgements: of each seed.
        min_group: smallest denominator with which a group enters a gap.

    Returns:
        Its intervals are over trainings, not over documents; chance exchanges the groups of documents.
    """
    first = judgements[0]
    pooled = dict(pool_seeds([one.counts() for one in answers], answers[0].positive, min_group))
    pooled |= _with_chance({metric: pooled[metric] for metric in GAPS}, answers, first)
    groups = {}
    for group, rates in first.groups.items():
        means: dict[str, Any] = {rate: _mean(rate, group, judgements) for rate in RATES}
        groups[group] = replace(rates, **means)
    measures: dict[str, Any] = dict(pooled)
    return replace(first, groups=groups, **measures)


def _with_chance(gaps: Mapping[str, Estimate], answers: Sequence[Answers], judged: Judgement) -> dict[str, Estimate]:
    """The gaps of several trainings with their chance levels, drawn as those of one were."""
    first = answers[0]
    chances, reasons = chance_over_seeds(
        first.labels,
        [one.predictions[join(first, one)[1]] for one in answers],
        first.membership,
        first.groups,
        first.classes,
        first.positive,
        clusters=first.clusters,
        min_group=judged.min_group,
        draws=judged.draws,
        seed=judged.seed,
    )
    return {
        metric: replace(one, chance=chances.get(metric), no_chance=reasons.get(metric)) for metric, one in gaps.items()
    }


def _mean(rate: str, group: str, judgements: Sequence[Judgement]) -> Estimate:
    rates: list[GroupRates] = [one.groups[group] for one in judgements]
    estimates: list[Estimate] = [getattr(one, rate) for one in rates]
    if all(one.value is None for one in estimates):
        return estimates[0]
    return mean_over_seeds([one.value for one in estimates], estimates[0].n, share=rate != "member_gap")
