"""Training seeds: several trainings of one method, judged on the same samples, as one row.

Each interval here is over trainings: what another seed would have given. It says nothing about other samples. To
compare the trained weights of two methods on other samples, stack all seeds' answers and give ``count_pair`` the
document as the cluster: :func:`groupgap.metrics.compare_weights`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import stats

from ..errors import GroupgapError
from .arguments import check_confidence, check_draws, check_seed
from .chance import Answered, chance_of, permuted_gaps
from .cluster_chance import cluster_chances
from .coding import class_codes, group_codes
from .counts import Counts, count
from .estimate import Chance, Estimate
from .f1 import macro_f1_value
from .gaps import GAPS, GapPlan, Key, combine, plan_gaps, spread
from .joint import count_pair

__all__ = ["SeedDifference", "chance_over_seeds", "mean_over_seeds", "paired_over_seeds", "pool_seeds"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SeedDifference:
    """A paired t test over training seeds.

    Attributes:
        estimate: mean of the per-seed differences, with its t interval.
        p_value: two-sided, ``None`` with fewer than two seeds.
        null: the null hypothesis in words.
        differences: the per-seed differences.
    """

    estimate: Estimate
    p_value: float | None
    null: str
    differences: tuple[float, ...]


def mean_over_seeds(
    values: Sequence[float | None], n: int, confidence: float = 0.95, *, share: bool = False
) -> Estimate:
    """Mean of a rate over training seeds with its t interval (seeds - 1 degrees of freedom).

    Args:
        values: one value for each seed; a single undefined one makes the mean undefined.
        n: samples that each value rests on: a share moves in steps of 1 / n, and seeds that agree by chance are taken
            to differ by one step in one seed, so that no interval has width 0.
        confidence: of the interval.
        share: whether the values are shares, so that the interval ends at 0 and 1; differences of shares end at -1
            and 1.

    Returns:
        With one seed the value without an interval, ``interval="1 seed"``.

    Not for gaps: a gap is biased upward in every seed. Use :func:`pool_seeds`.

    Example:
        >>> found = mean_over_seeds([0.8, 0.82, 0.84], n=100)
        >>> round(found.value, 3), round(found.low, 3), found.interval
        (0.82, 0.77, 't over 3 seeds')
    """
    check_confidence(confidence)
    if not values:
        raise GroupgapError("Expected one value for each training seed, but got none")
    defined = [value for value in values if value is not None]
    if len(defined) < len(values):
        return Estimate(None, n, f"undefined in {len(values) - len(defined)} of {len(values)} seeds")
    numbers = np.asarray(defined, dtype=np.float64)
    if len(numbers) == 1:
        return Estimate(float(numbers[0]), n, interval="1 seed")
    stderr = max(float(numbers.std(ddof=1) / np.sqrt(len(numbers))), _one_step(n, len(numbers)))
    half = float(stats.t.isf((1 - confidence) / 2, len(numbers) - 1)) * stderr
    mean = float(numbers.mean())
    low, high = max(0.0 if share else -1.0, mean - half), min(1.0, mean + half)
    return Estimate(mean, n, None, stderr, low, high, f"t over {len(numbers)} seeds")


def _one_step(n: int, seeds: int) -> float:
    """Standard error of the mean of shares that agree in all seeds but one, which has one of n samples more."""
    return 1.0 / (max(n, 1) * seeds)


def paired_over_seeds(
    first: Sequence[float], second: Sequence[float], n: int, rate: str = "rate", confidence: float = 0.95
) -> SeedDifference:
    """Compare two methods trained with the same seeds by the paired t test on a rate.

    Args:
        first: one value for each seed.
        second: the same seeds, in the same order.
        n: samples that each value rests on, as for :func:`mean_over_seeds`.
        rate: name of the rate, for the null hypothesis.
        confidence: of the interval.

    Raises:
        GroupgapError: for lengths that differ.

    Example:
        >>> found = paired_over_seeds([0.82, 0.84, 0.86], [0.80, 0.81, 0.85], n=100)
        >>> round(found.estimate.value, 3), round(found.p_value, 3)
        (0.02, 0.074)
    """
    if len(first) != len(second):
        raise GroupgapError(
            f"Expected one value of both methods for each training seed, but got {len(first)} and {len(second)}"
        )
    differences = tuple(float(one - other) for one, other in zip(first, second, strict=True))
    estimate = mean_over_seeds(differences, n, confidence)
    null = f"over trainings with other seeds, the mean {rate} is the same for both methods (on these samples)"
    p_value = None
    if estimate.stderr is not None and estimate.value is not None:
        p_value = float(2 * stats.t.sf(abs(estimate.value) / estimate.stderr, len(differences) - 1))
    return SeedDifference(estimate, p_value, null, differences)


def pool_seeds(
    seeds: Sequence[Counts], positive: int | None = None, min_group: int = 30, confidence: float = 0.95
) -> dict[str, Estimate]:
    """Accuracy, worst group and gaps of a method over its training seeds.

    Args:
        seeds: counts of each seed on the same samples.
        positive: as for :func:`groupgap.metrics.judge`.
        min_group: as for ``judge``.
        confidence: of the intervals.

    Returns:
        Metric to estimate. Accuracy and macro F1: mean and t interval. Worst group and gaps: from the seed-averaged
        group rates, with bounds that hold for all differences at once (Bonferroni t over seeds).

    Raises:
        GroupgapError: for no seeds, or seeds with other samples, groups or classes.

    Example:
        >>> from groupgap.metrics import count
        >>> labels, groups = [1] * 80, ["a", "b"] * 40
        >>> seeds = [count(labels, [1] * 76 + [0] * 4, groups), count(labels, [1] * 78 + [0] * 2, groups)]
        >>> found = pool_seeds(seeds, positive=1)
        >>> round(found["accuracy"].value, 4), found["dpd"].interval
        (0.9625, 'simultaneous t over 2 seeds')
    """
    check_confidence(confidence)
    plans = [plan_gaps(counts, positive, min_group) for counts in seeds]
    check_same_samples(plans)
    n = plans[0].counts.n
    found = {
        metric: mean_over_seeds([of(plan.counts) for plan in plans], n, confidence, share=True)
        if n
        else Estimate(None, 0, "no samples")
        for metric, of in (("accuracy", _accuracy), ("macro_f1", macro_f1_value))
    }
    found["worst_group"] = _worst(plans, confidence)
    return found | {metric: _gap(plans, metric, confidence) for metric in GAPS}


def chance_over_seeds(
    labels: npt.ArrayLike,
    predictions: Sequence[npt.ArrayLike],
    membership: npt.ArrayLike,
    groups: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    positive: int | None = None,
    *,
    clusters: npt.ArrayLike | None = None,
    min_group: int = 30,
    draws: int = 10_000,
    seed: int = 0,
) -> tuple[dict[str, Chance], dict[str, str]]:
    """The chance level of the gaps of :func:`pool_seeds`: memberships permuted against all seeds' answers at once.

    Args:
        labels: (n,) as for :func:`groupgap.metrics.count`.
        predictions: for each seed (n,), in the order of the labels.
        membership: as for ``count``.
        groups: as for ``count``.
        classes: as for ``count``.
        positive: as for ``pool_seeds``.
        clusters: (n,) samples that are one unit (a sentence pair), as for
            :func:`groupgap.metrics.clustered.count_clusters`; then whole units are exchanged, and samples within them.
        min_group: as for ``pool_seeds``.
        draws: number of permutations.
        seed: of the draws.

    Returns:
        Metric to chance level, of the gaps that the data define; and metric to the reason why there is none.

    The null hypothesis is of these trainings: which of these groups a sample belongs to has nothing to do with what
    any of them answers to it. A draw exchanges memberships of whole samples, each with the answers of all seeds: these
    tend to be right or wrong together, and permuted one by one they would look too even. Exact, as for one system;
    averaged rates differ less by chance than those of one training do.

    Raises:
        GroupgapError: for no seeds, and as for ``count``.

    Example:
        >>> labels, groups = [1] * 400, ["a", "b"] * 200
        >>> seeds = [[1, 0, 1, 1] * 100, [1, 1, 1, 0] * 100]
        >>> chances, _ = chance_over_seeds(labels, seeds, groups, positive=1, draws=999)
        >>> chances["dpd"].p_value, chances["dpd"].median < 0.03
        (0.001, True)
    """
    check_draws(draws), check_seed(seed)
    if not len(predictions):
        raise GroupgapError("Expected the answers of at least one training seed, but got none")
    columns = {"labels": labels, **{f"predictions[{place}]": one for place, one in enumerate(predictions)}}
    (label, *answers), names = class_codes(columns, classes)
    code, patterns, group_names = group_codes(membership, groups, len(label))
    plans = [plan_gaps(count(label, one, patterns[code], group_names, names), positive, min_group) for one in answers]
    measured = {metric: _gap(plans, metric, 0.95).value for metric in GAPS}
    said, rng = np.stack(answers, axis=1), np.random.default_rng(seed)
    if clusters is not None:
        kinds, kind = np.unique(said, axis=0, return_inverse=True)
        told_apart = [str(number) for number in range(max(len(kinds), len(names)))]
        joint = count_pair(label, (kind.ravel(),) * 2, patterns[code], group_names, told_apart, clusters)
        return cluster_chances(joint, plans[0], draws, rng, kinds[joint.predictions_a], measured)
    answered = Answered(patterns[code], label, said, np.ones_like(label))
    permuted = permuted_gaps(plans[0], draws, rng, answered=answered)
    found = {metric: chance_of(value, permuted[metric]) for metric, value in measured.items() if value is not None}
    return found, {}


def _accuracy(counts: Counts) -> float | None:
    right = counts.counts[counts.labels == counts.predictions].sum()
    return float(right / counts.n) if counts.n else None


def check_same_samples(plans: list[GapPlan]) -> None:
    """Refuse seeds whose denominators differ in any group."""
    if not plans:
        raise GroupgapError("Expected the counts of at least one training seed, but got none")
    first = plans[0]
    for number, plan in enumerate(plans[1:], start=2):
        same = plan.counts.groups == first.counts.groups and plan.counts.classes == first.counts.classes
        if not same or any(
            not np.array_equal(plan.tallies[key].totals, first.tallies[key].totals) for key in first.keys
        ):
            raise GroupgapError(
                f"Expected all training seeds to be judged on the same samples, but seed number {number} has other "
                "groups, classes or labels than the first: evaluate every seed on one split"
            )


def _rates(plans: list[GapPlan], key: Key) -> FloatArray:
    """(seeds, E) rates of the eligible groups."""
    return np.stack([plan.tallies[key].rates[plan.eligible[key]] for plan in plans])


def _half_width(values: FloatArray, steps: FloatArray, comparisons: int, confidence: float) -> FloatArray:
    """Half the width of a t interval over the first axis, Bonferroni over ``comparisons``.

    A value that happens to be the same in all seeds is taken to differ by one of its ``steps`` in one seed: among many
    pairs of small groups some agree by chance, and a width of 0 would call them certain.
    """
    count = len(values)
    t = float(stats.t.isf((1 - confidence) / 2 / comparisons, count - 1))
    errors = np.maximum(values.std(axis=0, ddof=1) / np.sqrt(count), steps / count)
    return np.asarray(t * errors)


def _worst(plans: list[GapPlan], confidence: float) -> Estimate:
    key: Key = ("accuracy", None)
    estimate = plans[0].worst_group()
    if estimate.value is None:
        return estimate
    rates = _rates(plans, key)
    mean = rates.mean(axis=0)
    worst = np.flatnonzero(plans[0].eligible[key])[np.isclose(mean, mean.min(), rtol=0, atol=1e-12)]
    value = replace(
        estimate,
        value=float(mean.min()),
        n=int(plans[0].tallies[key].totals[worst].min()),
        groups=tuple(plans[0].counts.groups[place] for place in worst.tolist()),
        interval="1 seed",
    )
    if len(plans) == 1:
        return value
    half = _half_width(rates, _steps(plans[0], key), len(mean), confidence)
    low, high = float((mean - half).min()), float((mean + half).min())
    return replace(value, low=max(0.0, low), high=min(1.0, high), interval=f"simultaneous t over {len(plans)} seeds")


def _gap(plans: list[GapPlan], metric: str, confidence: float) -> Estimate:
    """A gap of the seed-averaged group rates."""
    first, bundles = plans[0], plans[0].bundles(metric)
    if not bundles:
        return first.undefined(metric)
    averaged = {key: _rates(plans, key) for bundle in bundles for key in bundle}
    everyone = {key: np.ones(rates.shape[1], dtype=np.bool_) for key, rates in averaged.items()}
    gaps = {key: spread(rates.mean(axis=0), everyone[key]) for key, rates in averaged.items()}
    values = [float(combine(metric, [gaps[key] for key in bundle])) for bundle in bundles]
    best = bundles[int(np.argmax(values))]
    key = max(best, key=lambda one: float(gaps[one]))
    mean, eligible = averaged[key].mean(axis=0), np.flatnonzero(first.eligible[key])
    extremes = int(mean.argmax()), int(mean.argmin())
    named = len(first.classes) > 1 and key[1] is not None
    estimate = Estimate(
        max(values),
        first.samples(best),
        interval="1 seed",
        groups=tuple(first.counts.groups[eligible[pick]] for pick in extremes) if extremes[0] != extremes[1] else (),
        class_name=first.counts.classes[key[1]] if named and key[1] is not None else None,
        rate=key[0] if len(best) > 1 else None,
    )
    if len(plans) == 1:
        return estimate
    pairs = sum(rates.shape[1] * (rates.shape[1] - 1) // 2 for rates in averaged.values())
    bounds = {key: _pair_bounds(rates, _steps(first, key), pairs, confidence) for key, rates in averaged.items()}
    ends = [combine(metric, [np.array(bounds[key]) for key in bundle]) for bundle in bundles]
    low, high = (float(max(end[side] for end in ends)) for side in (0, 1))
    return replace(estimate, low=low, high=min(1.0, high), interval=f"simultaneous t over {len(plans)} seeds")


def _steps(plan: GapPlan, key: Key) -> FloatArray:
    """(E,) the smallest change of each eligible group's rate: one sample."""
    return np.asarray(1.0 / np.maximum(plan.tallies[key].totals[plan.eligible[key]], 1))


def _pair_bounds(rates: FloatArray, steps: FloatArray, comparisons: int, confidence: float) -> tuple[float, float]:
    """Largest lower (floored at 0) and largest upper bound of any absolute difference of two groups."""
    pairs = list(combinations(range(rates.shape[1]), 2))
    differences = np.stack([rates[:, one] - rates[:, other] for one, other in pairs], axis=1)
    mean = np.abs(differences.mean(axis=0))
    both = np.array([np.hypot(steps[one], steps[other]) for one, other in pairs])
    half = _half_width(differences, both, comparisons, confidence)
    return max(0.0, float((mean - half).max())), float((mean + half).max())
