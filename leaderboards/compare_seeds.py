"""Two methods, each with the same training seeds: other trainings, and these weights, asked and answered apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from ..metrics import compare_trainings, compare_weights, count, stack_seeds
from .answers import Answers
from .board import Options
from .compared import Compared
from .methods import Shared
from .pairing import check_seeds, join, why_not_paired, with_all_groups

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MethodPair:
    """Two methods on one task.

    Attributes:
        a: name of A.
        b: name of B.
        shared: their common seeds, two or more.
        min_group: smallest denominator with which a group enters a gap.
    """

    a: str
    b: str
    shared: Shared
    min_group: int


@dataclass(frozen=True)
class _Joined:
    """Both methods' predictions (seeds, n) for the documents that both answered, and the answers that say the rest."""

    answers: Answers
    rows: IntArray
    predictions: tuple[IntArray, IntArray]


def common_axes(shared: Shared) -> list[tuple[list[Answers], list[Answers]]]:
    """The answers of every seed of A and of B along each axis that all of them have, over the same groups."""
    entries = (*shared.a, *shared.b)
    by_axis = [{answers.axis: answers for answers in entry.answers} for entry in entries]
    axes = [axis for axis in by_axis[0] if all(axis in one for one in by_axis)]
    half = len(shared.a)
    found = [with_all_groups([one[axis] for one in by_axis]) for axis in axes]
    return [(one[:half], one[half:]) for one in found]


def compare_methods(
    pair: MethodPair, a: Sequence[Answers], b: Sequence[Answers], options: Options
) -> Iterator[Compared]:
    """Ask both questions of two methods along one axis.

    Args:
        pair: the methods.
        a: answers of A, one for each seed.
        b: answers of B, the same seeds.
        options: how to judge.

    Yields:
        Other trainings on these documents (paired t over the seeds), then these weights on other documents (each
        document drawn with the answers of all seeds).

    Raises:
        GroupgapError: for seeds of a method that were not asked the same, and methods that cannot be paired.
    """
    joined = _join(pair, a, b)
    first, labels = joined.answers, joined.answers.labels[joined.rows]
    membership, names = first.membership[joined.rows], (first.groups, first.classes)
    of_a, of_b = ([count(labels, one, membership, *names) for one in method] for method in joined.predictions)
    clusters = None if first.clusters is None else first.clusters[joined.rows]
    stacked = stack_seeds(labels, joined.predictions, membership, *names, clusters)
    asked = {
        "trainings": compare_trainings(of_a, of_b, first.positive, min_group=pair.min_group),
        "weights": compare_weights(
            stacked,
            len(a),
            first.positive,
            min_group=pair.min_group,
            draws=options.draws,
            seed=options.seed,
        ),
    }
    for question, comparison in asked.items():
        yield Compared(
            task=first.task,
            axis=first.axis,
            a=pair.a,
            b=pair.b,
            paired=True,
            joined=len(labels),
            only_a=a[0].n - len(labels),
            only_b=b[0].n - len(labels),
            comparison=comparison,
            notes=tuple(_notes(pair, a[0].n - len(labels), b[0].n - len(labels))),
            question=question,
            seeds=pair.shared.seeds,
            seeds_only_a=pair.shared.only_a,
            seeds_only_b=pair.shared.only_b,
        )


def _join(pair: MethodPair, a: Sequence[Answers], b: Sequence[Answers]) -> _Joined:
    check_seeds(pair.a, pair.shared.a, a)
    check_seeds(pair.b, pair.shared.b, b)
    rows = join(a[0], b[0])
    why = why_not_paired(pair.shared.a[0], pair.shared.b[0], a[0], b[0], rows)
    if why:
        raise GroupgapError(
            f"task {a[0].task}: {pair.a} and {pair.b} cannot be paired: {why}. Methods with several seeds are compared "
            "on the same documents only; --force-unpaired compares one run of each"
        )
    keys = [a[0].keys[row] for row in rows[0].tolist()]
    predictions = tuple(np.stack([_in_order(one, keys) for one in method]) for method in (a, b))
    return _Joined(a[0], rows[0], (predictions[0], predictions[1]))


def _in_order(answers: Answers, keys: Sequence[tuple[str, int]]) -> IntArray:
    """(n,) predictions of a run for the documents with these keys."""
    place = {key: row for row, key in enumerate(answers.keys)}
    return answers.predictions[np.array([place[key] for key in keys], dtype=np.int64)]


def _notes(pair: MethodPair, only_a: int, only_b: int) -> Iterator[str]:
    if only_a or only_b:
        yield f"{only_a:,} documents of {pair.a} and {only_b:,} of {pair.b} have no counterpart and were not used"
    yield from seed_notes(pair.a, pair.b, pair.shared)
    for name, entries in ((pair.a, pair.shared.a), (pair.b, pair.shared.b)):
        if entries[0].run.variant.seed is None:
            yield f"{name} has no training seed: its answers stand beside those of every seed, as they are"


def seed_notes(a: str, b: str, shared: Shared) -> Iterator[str]:
    """Which seeds were left out, in words."""
    for name, other, seeds in ((a, b, shared.only_a), (b, a, shared.only_b)):
        if seeds:
            listed = ", ".join(map(str, seeds))
            many = "seed" if len(seeds) == 1 else "seeds"
            yield f"{len(seeds)} {many} of {name} ({listed}) that {other} does not have: not used"
