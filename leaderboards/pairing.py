"""Which answers of two runs belong to the same document, and whether two runs may be compared on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from .answers import Answers
from .collection import Entry, check_same_positive

IntArray = npt.NDArray[np.int64]


def join(a: Answers, b: Answers) -> tuple[IntArray, IntArray]:
    """The rows of A and B that answer the same document (by its hash, and which occurrence it is).

    Returns:
        (m,) rows of A in order, (m,) the rows of B that belong to them.
    """
    place = {key: row for row, key in enumerate(b.keys)}
    pairs = [(row, place[key]) for row, key in enumerate(a.keys) if key in place]
    rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def why_not_paired(one: Entry, other: Entry, a: Answers, b: Answers, rows: tuple[IntArray, IntArray]) -> str | None:
    """The reason why two runs cannot be compared on the same documents; ``None`` where they can.

    Args:
        one: the run of A.
        other: the run of B.
        a: its answers along one axis.
        b: those of B.
        rows: from :func:`join`.

    Raises:
        GroupgapError: where they cannot be compared at all: other groups, another positive choice, or other labels of
            the same documents.
    """
    rows_a, rows_b = rows
    if a.groups != b.groups:
        raise GroupgapError(f"task {a.task}, axis {a.axis}: {a.run} and {b.run} have other groups: two task versions?")
    check_same_positive(a, b)
    if not len(rows_a):
        return f"they answered other documents ({a.n:,} and {b.n:,}, none in common)"
    if a.classes != b.classes or a.positive != b.positive:
        return f"they had other choices ({' / '.join(a.classes)} and {' / '.join(b.classes)})"
    differ = int((a.labels[rows_a] != b.labels[rows_b]).sum())
    if differ:
        raise GroupgapError(
            f"task {a.task}: {differ:,} of {len(rows_a):,} common documents have other labels in {a.run} and {b.run}"
        )
    asked = _asked_otherwise(a, b, rows)
    if asked:
        shots = one.run.shots(a.task), other.run.shots(a.task)
        how = f", {shots[0]}-shot and {shots[1]}-shot" if shots[0] != shots[1] else ""
        return f"they were asked with other prompts (in {asked:,} of {len(rows_a):,} common documents{how})"
    return None


def _asked_otherwise(a: Answers, b: Answers, rows: tuple[IntArray, IntArray]) -> int:
    return sum(a.prompts[i] != b.prompts[j] for i, j in zip(rows[0].tolist(), rows[1].tolist(), strict=True))


def with_all_groups(found: Sequence[Answers]) -> list[Answers]:
    """The answers with the groups of all of them, where the task declares none: a limited run may lack some.

    Groups that a task declares are left as they are: where those differ, they are two versions of the task.
    """
    if any(answers.declared for answers in found) or len({answers.groups for answers in found}) == 1:
        return list(found)
    groups = tuple(sorted({group for answers in found for group in answers.groups}))
    return [_over_groups(answers, groups) for answers in found]


def _over_groups(answers: Answers, groups: tuple[str, ...]) -> Answers:
    columns = {group: answers.membership[:, index] for index, group in enumerate(answers.groups)}
    nobody = np.zeros(answers.n, dtype=np.bool_)
    return replace(
        answers, groups=groups, membership=np.stack([columns.get(group, nobody) for group in groups], axis=1)
    )


def check_seeds(method: str, entries: Sequence[Entry], answers: Sequence[Answers]) -> None:
    """Refuse seeds of one method that were not asked the same.

    Args:
        method: its name.
        entries: the runs, one for each seed.
        answers: theirs, along one axis.

    Raises:
        GroupgapError: for seeds with other documents, labels, groups, choices or prompts.
    """
    first = answers[0]
    for entry, later in zip(entries[1:], answers[1:], strict=True):
        rows = join(first, later)
        pair = f"seeds {entries[0].run.variant.seed} and {entry.run.variant.seed} of {method}"
        if not len(rows[0]) == first.n == later.n:
            raise GroupgapError(
                f"task {first.task}: {pair} answered other documents ({first.n:,} and {later.n:,}, {len(rows[0]):,} in "
                "common): ask every seed on the same data, split and --limit"
            )
        why = why_not_paired(entries[0], entry, first, later, rows)
        if why:
            raise GroupgapError(f"task {first.task}: {pair} are not one method: {why}; ask every seed alike")
