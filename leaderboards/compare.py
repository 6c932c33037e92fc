"""Runs against each other on the same documents: joined, refused where they do not fit, tested, and put into words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from ..metrics import Comparison, Difference, benjamini_hochberg, count_pair
from ..metrics import compare as compare_counts
from .answers import Answers
from .board import DEFAULT_MIN_GROUP, Options
from .collection import Collection, Entry
from .runs import is_called
from .unpaired import compare_unpaired

OVERALL = ("accuracy", "selection_rate", "tpr", "fpr")
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Compared:
    """A against B on one axis of one task.

    Attributes:
        task: name of the task.
        axis: name of the axis.
        a: name of the variant A.
        b: name of the variant B; differences are A minus B.
        paired: whether documents were joined.
        joined: documents (occurrences of them) that both answered.
        only_a: documents that only A answered; they were not used.
        only_b: documents that only B answered.
        comparison: all differences; their q-values are over the whole output.
        notes: what a reader should know, in words.
    """

    task: str
    axis: str
    a: str
    b: str
    paired: bool
    joined: int
    only_a: int
    only_b: int
    comparison: Comparison
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wish:
    """What to compare, and how.

    Attributes:
        order: the runs as they were given: the first is A, the second is B.
        baseline: the run that all others are compared with; needed for more than two.
        options: how to judge.
        unpaired: compare as independent samples where runs cannot be paired.
    """

    order: Sequence[str]
    baseline: str | None = None
    options: Options = field(default_factory=Options)
    unpaired: bool = False


def compare_runs(
    collection: Collection, wish: Wish, progress: Callable[[str], None] | None = None
) -> tuple[Compared, ...]:
    """Compare all pairs that were wished for, on every task and axis that both answered.

    Args:
        collection: from ``collect(request, same_documents=False)``.
        wish: which runs, and how.
        progress: called with a line for each comparison that is begun.

    Returns:
        The comparisons; all their p-values are one Benjamini-Hochberg family.

    Raises:
        GroupgapError: for fewer than two variants, more than two without a baseline, no common task, or runs on other
            documents, prompts, choices or labels.
    """
    by_variant: dict[str, dict[str, Entry]] = {}
    for entry in collection.entries:
        by_variant.setdefault(entry.run.name, {})[entry.task] = entry
    found: list[Compared] = []
    for one, other in _pairs(collection, wish):
        tasks = [task for task in by_variant[one] if task in by_variant[other]]
        if not tasks:
            raise GroupgapError(
                f"{one} and {other} have no task in common: {', '.join(by_variant[one])} against "
                f"{', '.join(by_variant[other])}"
            )
        for task in tasks:
            if progress:
                progress(f"{task}: {one} against {other}")
            found += _compare_task(by_variant[one][task], by_variant[other][task], wish)
    return _one_family(found)


def _pairs(collection: Collection, wish: Wish) -> Iterator[tuple[str, str]]:
    names: list[str] = []
    for wanted in wish.order:
        fitting = {entry.run.name for entry in collection.entries if is_called(entry.run, wanted)}
        names += [name for name in sorted(fitting) if name not in names]
    if len(names) < 2:
        raise GroupgapError(
            f"one variant only, {', '.join(names) or 'none'}: expected two runs or more; "
            "where two runs have one name, tell them apart by --name RUN=NAME"
        )
    if wish.baseline is None and len(names) > 2:
        raise GroupgapError(
            f"{len(names)} variants ({', '.join(names)}): say which one the others are compared with, by --baseline RUN"
        )
    baseline = names[1] if wish.baseline is None else _baseline(collection, wish.baseline)
    yield from ((name, baseline) for name in names if name != baseline)


def _baseline(collection: Collection, wanted: str) -> str:
    names = sorted({entry.run.name for entry in collection.entries})
    fitting = sorted({entry.run.name for entry in collection.entries if is_called(entry.run, wanted)})
    if len(fitting) != 1:
        found = "no such run" if not fitting else f"{len(fitting)} variants"
        raise GroupgapError(f"--baseline {wanted}: {found}; expected one of {', '.join(names)}, or a run's folder")
    return fitting[0]


def _compare_task(one: Entry, other: Entry, wish: Wish) -> Iterator[Compared]:
    axes = {answers.axis: answers for answers in other.answers}
    shared = [(answers, axes[answers.axis]) for answers in one.answers if answers.axis in axes]
    if not shared:
        raise GroupgapError(f"task {one.task}: {one.run.name} and {other.run.name} have no axis in common")
    for number, (a, b) in enumerate(shared):
        compared = _compare_axis(one, other, a, b, wish)
        if number:  # what does not depend on the axis was tested with the first one
            kept = tuple(
                found
                for found in compared.comparison.differences
                if found.group is not None or found.metric not in OVERALL
            )
            compared = replace(compared, comparison=replace(compared.comparison, differences=kept))
        yield compared


def _compare_axis(one: Entry, other: Entry, a: Answers, b: Answers, wish: Wish) -> Compared:
    rows_a, rows_b = join(a, b)
    own = one.run.min_group(a.task)
    floor = wish.options.min_group
    min_group = floor if floor is not None else DEFAULT_MIN_GROUP if own is None else own
    why = why_not_paired(one, other, a, b, rows_a, rows_b)
    notes = []
    if why and not wish.unpaired:
        raise GroupgapError(
            f"task {a.task}: {a.run} and {b.run} cannot be paired: {why}. --force-unpaired compares them as "
            "independent samples: it loses the pairing, so smaller differences go unseen, and gaps get no test"
        )
    draws, seed = wish.options.draws, wish.options.seed
    if why:
        notes.append(f"not paired: {why}; smaller differences go unseen, and gaps have an interval but no test")
        comparison = compare_unpaired(a, b, min_group=min_group, draws=draws, seed=seed)
    else:
        joint = count_pair(
            a.labels[rows_a], (a.predictions[rows_a], b.predictions[rows_b]), a.membership[rows_a], a.groups, a.classes
        )
        comparison = compare_counts(joint, a.positive, min_group=min_group, draws=draws, seed=seed)
    only_a, only_b = a.n - len(rows_a), b.n - len(rows_b)
    if (only_a or only_b) and not why:
        notes.append(f"{only_a:,} documents of {a.run} and {only_b:,} of {b.run} have no counterpart and were not used")
    return Compared(a.task, a.axis, a.run, b.run, not why, len(rows_a), only_a, only_b, comparison, tuple(notes))


def join(a: Answers, b: Answers) -> tuple[IntArray, IntArray]:
    """The rows of A and B that answer the same document (by its hash, and which occurrence it is).

    Returns:
        (m,) rows of A in order, (m,) the rows of B that belong to them.
    """
    place = {key: row for row, key in enumerate(b.keys)}
    pairs = [(row, place[key]) for row, key in enumerate(a.keys) if key in place]
    rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def why_not_paired(one: Entry, other: Entry, a: Answers, b: Answers, rows_a: IntArray, rows_b: IntArray) -> str | None:
    """The reason why two runs cannot be compared on the same documents; ``None`` where they can.

    Raises:
        GroupgapError: where they cannot be compared at all: other groups, or other labels of the same documents.
    """
    if a.groups != b.groups:
        raise GroupgapError(f"task {a.task}, axis {a.axis}: {a.run} and {b.run} have other groups: two task versions?")
    if not len(rows_a):
        return f"they answered other documents ({a.n:,} and {b.n:,}, none in common)"
    if a.classes != b.classes or a.positive != b.positive:
        return f"they had other choices ({' / '.join(a.classes)} and {' / '.join(b.classes)})"
    differ = int((a.labels[rows_a] != b.labels[rows_b]).sum())
    if differ:
        raise GroupgapError(
            f"task {a.task}: {differ:,} of {len(rows_a):,} common documents have other labels in {a.run} and {b.run}"
        )
    asked = sum(a.prompts[i] != b.prompts[j] for i, j in zip(rows_a.tolist(), rows_b.tolist(), strict=True))
    if asked:
        shots = one.run.shots(a.task), other.run.shots(a.task)
        how = f", {shots[0]}-shot and {shots[1]}-shot" if shots[0] != shots[1] else ""
        return f"they were asked with other prompts (in {asked:,} of {len(rows_a):,} common documents{how})"
    return None


def _one_family(found: Sequence[Compared]) -> tuple[Compared, ...]:
    tested = [one.p_value for compared in found for one in compared.comparison.differences if one.p_value is not None]
    q_values = iter(benjamini_hochberg(tested))
    result = []
    for compared in found:
        differences = tuple(
            one if one.p_value is None else replace(one, q_value=float(next(q_values)))
            for one in compared.comparison.differences
        )
        result.append(replace(compared, comparison=replace(compared.comparison, differences=differences)))
    return tuple(result)


def tests_in(found: Iterable[Compared]) -> int:
    """How many p-values the family holds."""
    return sum(one.p_value is not None for compared in found for one in compared.comparison.differences)


def verdict(one: Difference, level: float = 0.05) -> str:
    """What a difference allows to say.

    Args:
        one: a difference with its q-value.
        level: the false discovery rate that is accepted.

    Example:
        >>> from groupgap.metrics import Estimate
        >>> same = Estimate(0.8, 212)
        >>> tested = {"p_value": 0.7, "q_value": 0.9, "minimal_detectable": 0.06}
        >>> verdict(Difference("accuracy", None, None, same, same, 0.01, 212, **tested))
        'cannot tell apart: a difference under 0.060 would not be seen with n = 212'
    """
    if one.value is None:
        return f"undefined ({one.reason}, n = {one.n})"
    unseen = ""
    if one.minimal_detectable is not None:
        smallest = f"under {one.minimal_detectable:.3f}" if one.minimal_detectable < 1 else "of any size"
        unseen = f": a difference {smallest} would not be seen with n = {one.n}"
    if one.p_value is None or one.q_value is None:
        seen = one.low is not None and one.high is not None and (one.low > 0 or one.high < 0)
        return f"{_direction(one)} (by its interval alone)" if seen else f"cannot tell apart{unseen}"
    if one.q_value < level:
        return f"{_direction(one)} by {abs(one.value):.3f}"
    if one.p_value < level:
        return f"cannot tell apart among all tests here (p = {one.p_value:.2g} alone, q = {one.q_value:.2g}){unseen}"
    return f"cannot tell apart{unseen}"


def _direction(one: Difference) -> str:
    higher = "A" if one.value is not None and one.value > 0 else "B"
    lower = "B" if higher == "A" else "A"
    if one.metric in ("accuracy", "worst_group"):
        return f"{higher} is better"
    if one.metric in OVERALL:
        return f"{higher} is higher"
    return f"{lower} is better (the smaller gap)"
