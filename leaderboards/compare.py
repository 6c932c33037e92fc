"""Runs and methods against each other on the same documents: joined, refused where they do not fit, and tested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ..errors import GroupgapError
from ..metrics import Comparison, JointCounts, benjamini_hochberg, count_pair
from ..metrics import compare as compare_counts
from .answers import Answers, IntArray
from .board import Options
from .collection import Collection
from .compare_seeds import MethodPair, common_axes, compare_methods, seed_notes
from .compare_texts import measurable_notes, with_stereotypes
from .compared import Compared
from .floors import floor_notes, floor_of
from .methods import Method, Shared, methods_of, pairs, shared_seeds
from .pairing import join, why_not_paired
from .token_compare import with_token_effects
from .unpaired import compare_unpaired
from .verdict import OVERALL

ONE_SEED = "1 seed: the intervals and tests know of other documents, not of what another training would have given"


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
        The comparisons; all their p-values are one Benjamini-Hochberg family. Runs that are training seeds of one
        recipe are one method where there is another to compare with: it gives two comparisons, one for each of
        ``QUESTIONS``.

    Raises:
        GroupgapError: for fewer than two variants, more than two without a baseline, no common task, or runs on other
            documents, prompts, choices or labels; as :mod:`.methods` for training seeds.
    """
    found: list[Compared] = []
    for one, other in pairs(methods_of(collection), wish.order, wish.baseline):
        tasks = [task for task in one.tasks if task in other.tasks]
        if not tasks:
            raise GroupgapError(
                f"{one.name} and {other.name} have no task in common: {', '.join(one.tasks)} against "
                f"{', '.join(other.tasks)}"
            )
        for task in tasks:
            if progress:
                progress(f"{task}: {one.name} against {other.name}")
            found += _compare_task(one, other, task, wish)
    return _one_family(found)


def _compare_task(one: Method, other: Method, task: str, wish: Wish) -> Iterator[Compared]:
    shared = shared_seeds(one, other, task)
    axes = common_axes(shared)
    if not axes:
        raise GroupgapError(f"task {task}: {one.name} and {other.name} have no axis in common")
    min_group = floor_of(shared.a[0], wish.options.min_group)
    said = [f"{note}; here {min_group}" for note in floor_notes((*shared.a, *shared.b), wish.options.min_group)]
    for number, (a, b) in enumerate(axes):
        if len(a) == 1:
            found = _compare_axis(shared, a[0], b[0], min_group, wish)
            compared = [replace(found, notes=(*found.notes, *_one_seed(one.name, other.name, shared)))]
        else:
            pair = MethodPair(one.name, other.name, shared, min_group)
            asked = zip((*shared.a, *shared.b), (*a, *b), strict=True)
            unmeasurable = [note for entry, answers in asked for note in measurable_notes(entry, answers)]
            both = compare_methods(pair, a, b, wish.options)
            compared = [replace(one, notes=(*one.notes, *unmeasurable)) for one in both]
        compared = [replace(one, notes=(*one.notes, *said)) for one in compared]
        yield from map(_of_axis, compared) if number else (with_token_effects(one, shared, a, b) for one in compared)


def _one_seed(a: str, b: str, shared: Shared) -> Iterator[str]:
    """What is to be said of one run of each, where it is known to be one training of several."""
    yield from seed_notes(a, b, shared)
    if any(entry.run.variant.seed is not None for entry in (*shared.a, *shared.b)):
        yield ONE_SEED


def _of_axis(compared: Compared) -> Compared:
    """What depends on the axis: the rest was tested with the first one."""
    kept = tuple(
        found for found in compared.comparison.differences if found.group is not None or found.metric not in OVERALL
    )
    return replace(compared, comparison=replace(compared.comparison, differences=kept))


def _compare_axis(shared: Shared, a: Answers, b: Answers, min_group: int, wish: Wish) -> Compared:
    """One run of each, along one axis."""
    (one,), (other,) = shared.a, shared.b
    rows_a, rows_b = join(a, b)
    why = why_not_paired(one, other, a, b, (rows_a, rows_b))
    if why and not wish.unpaired:
        raise GroupgapError(
            f"task {a.task}: {a.run} and {b.run} cannot be paired: {why}. --force-unpaired compares them as "
            "independent samples: it loses the pairing, so smaller differences go unseen, and gaps get no test"
        )
    notes = []
    draws, seed = wish.options.draws, wish.options.seed
    if why:
        notes.append(f"not paired: {why}; smaller differences go unseen, and gaps have an interval but no test")
        comparison = compare_unpaired(a, b, min_group=min_group, draws=draws, seed=seed)
    else:
        joint = _joint(a, b, rows_a, rows_b)
        comparison = compare_counts(joint, a.positive, min_group=min_group, draws=draws, seed=seed)
        notes += _cluster_notes(comparison)
        comparison = with_stereotypes(comparison, (one, other), (a, b), (rows_a, rows_b))
    notes += [note for entry, answers in ((one, a), (other, b)) for note in measurable_notes(entry, answers)]
    only_a, only_b = a.n - len(rows_a), b.n - len(rows_b)
    if (only_a or only_b) and not why:
        notes.append(f"{only_a:,} documents of {a.run} and {only_b:,} of {b.run} have no counterpart and were not used")
    return Compared(
        task=a.task,
        axis=a.axis,
        a=a.run,
        b=b.run,
        paired=not why,
        joined=len(rows_a),
        only_a=only_a,
        only_b=only_b,
        comparison=comparison,
        notes=tuple(notes),
        seeds=shared.seeds,
        seeds_only_a=shared.only_a,
        seeds_only_b=shared.only_b,
    )


def _joint(a: Answers, b: Answers, rows_a: IntArray, rows_b: IntArray) -> JointCounts:
    """Both runs' answers to the same documents; those that the task calls one unit are one cluster."""
    clusters = None if a.clusters is None else a.clusters[rows_a]
    both = a.predictions[rows_a], b.predictions[rows_b]
    return count_pair(a.labels[rows_a], both, a.membership[rows_a], a.groups, a.classes, clusters)


def _cluster_notes(comparison: Comparison) -> Iterator[str]:
    if comparison.clusters is not None:
        yield f"{comparison.clusters:,} clusters of documents (sentence pairs, occupations) are drawn and swapped whole"


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
