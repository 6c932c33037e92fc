"""Every pair of many systems on the same samples: the tests of :mod:`groupgap.metrics.paired`, drawn once for all.

One bootstrap of the samples serves all systems, so that drawing costs as much as the systems and not as their pairs;
what is compared in a draw are answers to the same samples, as in a bootstrap of each pair's joint cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from .arguments import check_confidence, check_draws, check_min_group, check_positive, check_seed
from .counts import Counts, count
from .extremes import (
    MINIMAL_DETECTABLE,
    DifferenceOfMaxima,
    Maximum,
    TooFewDraws,
    compare_maxima,
    maximum_of_gap,
    maximum_of_worst,
)
from .gaps import GAPS, GapPlan, Key, plan_gaps
from .paired import bonett_price, cluster_difference
from .rates import EMPTY, Tally
from .swap import mcnemar_p_values, swap_p_value
from .trained_weights import SeedPlan

__all__ = ["EXTREMES", "PairTable", "Samples", "compare_all"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Measure = tuple[str, str | None]

EXTREMES = ("worst_group", "dpd", "eod")
_CHUNK_BYTES = 1 << 23  # of one block of drawn samples
_HELD_BYTES = 64 << 20  # of the maxima that are compared with each other at a time
_EXACT = 1 << 24  # integers up to which single precision counts exactly


@dataclass(frozen=True, eq=False)
class Samples:
    """What all systems were asked.

    Attributes:
        labels: (n,) class index.
        membership: (n, G) bool.
        groups: the G names.
        classes: the class names.
        positive: index of the favourable class, as for :func:`groupgap.metrics.judge`.
        min_group: smallest denominator with which a group enters a minimum or maximum.
        clusters: (n,) number of each sample's cluster, from 0 on, where samples come in clusters (sentence pairs):
            whole clusters are drawn and swapped.
    """

    labels: IntArray
    membership: BoolArray
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    positive: int | None = None
    min_group: int = 30
    clusters: IntArray | None = None

    @property
    def units(self) -> int:
        """Samples, or clusters of them, that are drawn."""
        return len(self.labels) if self.clusters is None else int(self.clusters.max(initial=-1)) + 1

    def by_unit(self, values: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
        """(units, F) sums of (n, F) values over the samples of each unit."""
        if self.clusters is None:
            return values
        summed = np.zeros((self.units, *values.shape[1:]), dtype=np.int64)
        np.add.at(summed, self.clusters, values)
        return summed

    @property
    def indices(self) -> tuple[int, ...]:
        """Class indices whose one-vs-rest rates are compared."""
        single = check_positive(self.positive, self.classes)
        return tuple(range(len(self.classes))) if single is None else (single,)


@dataclass(frozen=True, eq=False)
class PairTable:
    """All measures of all pairs, A minus B; NaN where there is no number.

    Attributes:
        pairs: (P, 2) which system is A and which is B.
        measures: M times the metric and its group, ``None`` for all samples.
        value: (M, P) A minus B.
        low: (M, P) lower end of its interval.
        high: (M, P) upper end.
        p_value: (M, P).
        detectable: (M, P) the difference seen with 80% power, as in :class:`groupgap.metrics.Difference`.
        reasons: why there is no number, by (measure, pair).
    """

    pairs: IntArray
    measures: tuple[Measure, ...]
    value: FloatArray
    low: FloatArray
    high: FloatArray
    p_value: FloatArray
    detectable: FloatArray
    reasons: Mapping[tuple[int, int], str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Drawing:
    draws: int
    seed: int
    confidence: float

    def __post_init__(self) -> None:
        check_draws(self.draws), check_seed(self.seed), check_confidence(self.confidence)


def compare_all(
    samples: Samples,
    systems: Sequence[IntArray],
    pairs: Sequence[tuple[int, int]],
    *,
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> PairTable:
    """Compare pairs of systems in overall accuracy, worst group, dpd, eod and each group's accuracy.

    Args:
        samples: what was asked.
        systems: (seeds, n) predicted class indices of each system: one row for each training seed that is averaged.
        pairs: positions of A and of B in ``systems``. Where both have several seeds, they must be the same ones in the
            same order; a system with one row stands beside every seed of the other.
        draws: bootstrap draws of the samples, shared by all systems.
        seed: of the draws.
        confidence: of the intervals.

    Returns:
        For pairs of single systems what :func:`groupgap.metrics.compare` finds (with clusters where the samples have
        them), up to the random draws of the worst group and the gaps; else what
        :func:`groupgap.metrics.compare_weights` does.

    Raises:
        GroupgapError: for an argument out of range, and predictions of another number of samples.

    Example:
        >>> labels, groups = np.ones(200, dtype=np.int64), np.eye(2, dtype=bool)[np.arange(200) % 2]
        >>> asked = Samples(labels, groups, ("a", "b"), ("no", "yes"), positive=1)
        >>> good, bad = np.ones((1, 200), dtype=np.int64), (np.arange(200) % 4 > 0).astype(np.int64)[None]
        >>> found = compare_all(asked, [good, bad], [(0, 1)], draws=999)
        >>> found.measures[:2], found.value[:2, 0].tolist(), bool(found.p_value[0, 0] < 0.001)
        ((('accuracy', None), ('worst_group', None)), [0.25, 0.5], True)
    """
    drawing = _Drawing(draws, seed, confidence)
    check_min_group(samples.min_group)
    for one in systems:
        if one.ndim != 2 or one.shape[1] != len(samples.labels):
            raise GroupgapError(f"Expected predictions of shape (seeds, {len(samples.labels)}), but got {one.shape}")
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    measures: tuple[Measure, ...] = (
        ("accuracy", None),
        *((metric, None) for metric in EXTREMES),
        *(("accuracy", group) for group in samples.groups),
    )
    found = np.full((5, len(measures), len(both)), np.nan)
    reasons: dict[tuple[int, int], str] = {}
    columns = [None, *range(len(samples.groups))]
    for column, at in zip(columns, (0, *range(1 + len(EXTREMES), len(measures))), strict=True):
        _rates(samples, systems, both, column, confidence, found[:, at])
        if np.isnan(found[0, at]).all():
            empty = EMPTY["accuracy"] if column is not None else "no samples"
            reasons |= {(at, pair): empty for pair in range(len(both))}
    if len(samples.labels) and len(both):
        reasons |= _extremes(samples, systems, both, drawing, found[:, 1 : 1 + len(EXTREMES)])
    value, low, high, p_value, detectable = found
    return PairTable(both, measures, value, low, high, p_value, detectable, reasons)


def _rates(
    samples: Samples,
    systems: Sequence[IntArray],
    pairs: IntArray,
    column: int | None,
    confidence: float,
    out: FloatArray,
) -> None:
    """Accuracy, overall or of one group, of all pairs, into ``out`` (5, P)."""
    within = slice(None) if column is None else samples.membership[:, column]
    right = [(one == samples.labels)[:, within] for one in systems]
    clusters = None if samples.clusters is None else samples.clusters[within]
    n = right[0].shape[1] if right else 0
    if not n:
        return
    single = np.array([len(one) == 1 and samples.clusters is None for one in right])
    alone = single[pairs].all(axis=1)
    stacked = np.stack([one[0] for one in right]).astype(np.float64)
    common = stacked @ stacked.T
    hits = stacked.sum(axis=1)
    a, b = pairs[alone].T
    only_a, only_b = ((hits[one] - common[a, b]).astype(np.int64) for one in (a, b))
    value, stderr, low, high = bonett_price(only_a, only_b, n, confidence)
    out[:, alone] = value, low, high, mcnemar_p_values(only_a, only_b), MINIMAL_DETECTABLE * stderr
    for pair in np.flatnonzero(~alone):
        sums, sizes = _in_units(right[pairs[pair, 0]], right[pairs[pair, 1]], clusters)
        out[:, pair] = _whole_units(sums, sizes, confidence)
    kept = out[3] >= 1 - confidence - 1e-12
    out[1, kept], out[2, kept] = np.minimum(out[1, kept], 0.0), np.maximum(out[2, kept], 0.0)


def _in_units(a: BoolArray, b: BoolArray, clusters: IntArray | None) -> tuple[IntArray, IntArray]:
    """For each sample, or cluster of them, right answers of A minus those of B over all seeds, and how many answers."""
    seeds = max(len(a), len(b))
    sums = (a.sum(axis=0) * (seeds // len(a)) - b.sum(axis=0) * (seeds // len(b))).astype(np.int64)
    if clusters is None:
        return sums, np.full_like(sums, seeds)
    sizes = np.bincount(clusters)
    summed = np.bincount(clusters, sums).astype(np.int64)
    return summed[sizes > 0], seeds * sizes[sizes > 0].astype(np.int64)


def _whole_units(sums: IntArray, sizes: IntArray, confidence: float) -> tuple[float, float, float, float, float]:
    """Accuracy where a unit holds several answers (of seeds, of a cluster): whole units are swapped."""
    kinds, amounts = np.unique(np.stack([sums, sizes], axis=1), axis=0, return_counts=True)
    differences, answers = kinds.T
    value, stderr, low, high = cluster_difference(differences, answers, amounts, confidence)
    return value, low, high, swap_p_value(differences, amounts), MINIMAL_DETECTABLE * stderr


def _extremes(
    samples: Samples, systems: Sequence[IntArray], pairs: IntArray, drawing: _Drawing, out: FloatArray
) -> dict[tuple[int, int], str]:
    """Worst group and gaps of all pairs, into ``out`` (5, metrics, P); the reasons where there is none."""
    plans = [_plan(samples, one) for one in systems]
    drawn, unit = _draw(samples, systems, drawing), len(samples.labels) / max(1, samples.units)
    reasons = {}
    for number, metric in enumerate(EXTREMES):
        held: dict[int, Maximum | str] = {}
        for block in _blocks(pairs, _most_held(plans[0], metric, drawing.draws)):
            needed = np.unique(pairs[block]).tolist()
            held = {one: held[one] if one in held else _maximum(plans[one], metric, one, drawn) for one in needed}
            for pair in block.tolist():
                a, b = (held[one] for one in pairs[pair].tolist())
                found = _compared(metric, a, b, drawing.confidence, unit)
                if isinstance(found, str):
                    reasons[number + 1, pair] = found
                else:
                    out[:, number, pair] = found.value, found.low, found.high, found.p_value, found.minimal_detectable
    return reasons


def _most_held(plan: GapPlan, metric: str, draws: int) -> int:
    """How many maxima of a metric may be held at once, were all groups nearly tied."""
    ends = 1 if metric == "worst_group" else 2 * len(GAPS[metric]) * len(plan.classes)
    return max(2, _HELD_BYTES // (8 * draws * (2 + ends * len(plan.counts.groups))))


def _blocks(pairs: IntArray, most: int) -> list[IntArray]:
    """The positions of the pairs in blocks in each of which at most so many systems meet."""
    rows, columns = (pairs // max(1, most // 2)).T
    order = np.lexsort((columns, rows))
    starts = np.flatnonzero(np.diff(rows[order]) | np.diff(columns[order])) + 1
    return np.split(order, starts)


def _compared(
    metric: str, a: Maximum | str, b: Maximum | str, confidence: float, unit: float
) -> DifferenceOfMaxima | str:
    """The comparison, or why there is none."""
    if isinstance(a, str) or isinstance(b, str):
        return a if isinstance(a, str) else str(b)
    # the worst group is the maximum of minus the accuracy
    found = compare_maxima(*((b, a) if metric == "worst_group" else (a, b)), confidence, unit)
    return found.reason if isinstance(found, TooFewDraws) else found


def _plan(samples: Samples, predictions: IntArray) -> GapPlan:
    """Which groups enter which rate; with several seeds in units of samples."""
    counts: list[Counts] = [
        count(samples.labels, one, samples.membership, samples.groups, samples.classes) for one in predictions
    ]
    plan = plan_gaps(reduce(add, counts), samples.positive, samples.min_group)
    return plan if len(counts) == 1 else SeedPlan(plan.counts, plan.classes, plan.min_group, len(counts))


def _maximum(plan: GapPlan, metric: str, system: int, drawn: _Drawn) -> Maximum | str:
    """The maximum in the draws of a system, or why there is none."""
    worst = metric == "worst_group"
    estimate = plan.worst_group() if worst else plan.gap(metric)
    if estimate.value is None:
        return str(estimate.reason)
    bundles = ((("accuracy", None),),) if worst else plan.bundles(metric)
    tallies = {key: drawn.tally(system, key) for bundle in bundles for key in bundle}
    return maximum_of_worst(plan, tallies) if worst else maximum_of_gap(plan, metric, tallies)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Group counts in bootstrap draws, kept small; all systems in the same draws.

    Attributes:
        shared: (1 + classes, G, draws) members, then positives of each class: the same for all systems.
        systems: for each system (1 + 2 classes, G, draws) right answers, then selected and true positives of each
            class.
        seeds: rows of each system, over which its counts are summed.
        classes: class indices whose rates are compared.
    """

    shared: npt.NDArray[np.unsignedinteger]
    systems: list[npt.NDArray[np.unsignedinteger]]
    seeds: tuple[int, ...]
    classes: tuple[int, ...]

    def tally(self, system: int, key: Key) -> Tally:
        """Tally (G, draws) of a rate of one system, averaged over its seeds."""
        rate, index = key
        members = self.shared[0].astype(np.float64)
        if index is None:
            return Tally(self._average(system, 0), members)
        place = self.classes.index(index)
        if rate == "selection_rate":
            return Tally(self._average(system, 1 + 2 * place), members)
        positives, true_positives = self.shared[1 + place].astype(np.float64), self._average(system, 2 + 2 * place)
        if rate == "tpr":
            return Tally(true_positives, positives)
        return Tally(self._average(system, 1 + 2 * place) - true_positives, members - positives)

    def _average(self, system: int, feature: int) -> FloatArray:
        """(G, draws) mean over the seeds."""
        return np.asarray(self.systems[system][feature] / self.seeds[system], dtype=np.float64)


def _draw(samples: Samples, systems: Sequence[IntArray], drawing: _Drawing) -> _Drawn:
    members = samples.membership.astype(np.uint8)
    positives = [members * (samples.labels == index)[:, None] for index in samples.indices]
    features = [np.concatenate([members, *positives], axis=1), *(_answers(samples, one, positives) for one in systems)]
    seeds = tuple(map(len, systems))
    largest = 1 if samples.clusters is None else int(np.bincount(samples.clusters).max())
    most = samples.units * largest * max(seeds)  # what a draw can hold, where it draws the largest unit alone
    precision = np.float32 if most < _EXACT else np.float64
    blocks = np.concatenate([samples.by_unit(one) for one in features], axis=1)
    summed = np.empty((blocks.shape[1], drawing.draws), dtype=np.min_scalar_type(most))
    width = max(1, _CHUNK_BYTES // len(blocks))
    for rows, drawn in _resamples(samples.units, drawing):
        weights = drawn.astype(precision)
        for start in range(0, len(summed), width):
            columns = slice(start, start + width)
            summed[columns, rows] = (weights @ blocks[:, columns].astype(precision)).T
    split = np.split(summed, np.cumsum([one.shape[1] for one in features])[:-1])
    shared, *answers = (one.reshape(-1, len(samples.groups), drawing.draws) for one in split)
    return _Drawn(shared, answers, seeds, samples.indices)


def _answers(
    samples: Samples, predictions: IntArray, positives: Sequence[npt.NDArray[np.uint8]]
) -> npt.NDArray[np.integer]:
    """(n, F) what depends on the answers, summed over the seeds: right, then selected and true positive by class."""
    members = samples.membership.astype(np.int64)
    right = (predictions == samples.labels).sum(axis=0)
    columns = [members * right[:, None]]
    for index, positive in zip(samples.indices, positives, strict=True):
        selected = (predictions == index).sum(axis=0)[:, None]
        columns += [members * selected, positive * selected]
    return np.asarray(np.concatenate(columns, axis=1), dtype=np.uint8 if len(predictions) < 256 else np.int64)


def _resamples(n: int, drawing: _Drawing) -> Iterator[tuple[slice, IntArray]]:
    """Bootstrap draws of n units, block by block: the rows of the block, and how often each unit is drawn."""
    rng = np.random.default_rng(drawing.seed)
    rows = max(1, _CHUNK_BYTES // (8 * n))
    for start in range(0, drawing.draws, rows):
        size = min(rows, drawing.draws - start)
        places = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        yield slice(start, start + size), np.bincount(places.ravel(), minlength=size * n).reshape(size, n)
