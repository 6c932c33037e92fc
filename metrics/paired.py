"""Two systems on the same samples: every difference with its test, null hypothesis, interval and what could be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from .arguments import check_confidence, check_draws, check_seed
from .bootstrap import cell_features, resample, tallies_of_features
from .estimate import Estimate
from .extremes import MINIMAL_DETECTABLE, TooFewDraws, compare_maxima, maximum_of_gap, maximum_of_worst
from .gaps import GAPS, GapPlan, Key, plan_gaps
from .intervals import two_sided_z
from .joint import JointCounts
from .judge import with_interval
from .multiplicity import benjamini_hochberg
from .rates import EMPTY, Tally, proportion
from .swap import mcnemar, rate_differences, swap_p_value

__all__ = ["MINIMAL_DETECTABLE", "Comparison", "Difference", "compare"]

FloatArray = npt.NDArray[np.float64]

NULL_RATE = "where A and B disagree, either is as likely to be the one counted: {rate}{where} is equal in both"
NULL_GAP = "the true {metric} of A equals the true {metric} of B"
WORDS = {
    "accuracy": "accuracy",
    "selection_rate": "selection rate",
    "tpr": "true positive rate",
    "fpr": "false positive rate",
    "worst_group": "worst-group accuracy",
    "accuracy_spread": "accuracy spread",
    "dpd": "demographic parity difference",
    "eopp": "equal opportunity difference",
    "eod": "equalized odds difference",
    "eod_mean": "mean equalized odds difference",
}


@dataclass(frozen=True)
class Difference:
    """One comparison of A with B.

    Attributes:
        metric: a rate, ``"worst_group"`` or a gap.
        group: the group of a rate, ``None`` for all samples.
        class_name: the class of a one-vs-rest rate.
        a: the estimate for system A; without an interval of its own where samples come in clusters.
        b: the estimate for system B.
        value: A minus B, ``None`` when either is undefined.
        n: samples that it rests on.
        reason: why ``value`` is ``None``.
        stderr: standard error of the difference; for gaps and the worst group that of the draws, with the variance of
            one sample more.
        low: lower end of its interval.
        high: upper end of its interval.
        interval: the kind of interval.
        p_value: ``None`` when there is no value.
        q_value: Benjamini-Hochberg within the family it was compared in.
        test: name of the test.
        null: its null hypothesis, in words.
        minimal_detectable: the difference seen with 80% power: 2.80 standard errors; for gaps, where the test is
            more careful than that, the half-width of the interval plus 0.84 standard errors. From 1 on, no difference
            that two shares can have would be seen.
        only_a: samples (in the denominator) that only A counts, e.g. answers right; ``None`` for gaps.
        only_b: samples that only B counts.
        undefined_draws: bootstrap draws left out since a rate was undefined in them.
        by_seed: the difference in each training seed, where methods are compared over their seeds.
    """

    metric: str
    group: str | None
    class_name: str | None
    a: Estimate
    b: Estimate
    value: float | None
    n: int
    reason: str | None = None
    stderr: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str | None = None
    p_value: float | None = None
    q_value: float | None = None
    test: str | None = None
    null: str | None = None
    minimal_detectable: float | None = None
    only_a: int | None = None
    only_b: int | None = None
    undefined_draws: int = 0
    by_seed: tuple[float, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """All differences of one pair of systems; their p-values are one Benjamini-Hochberg family.

    Attributes:
        n: samples.
        differences: overall rates, worst group and gaps, then the rates of each group.
        min_group: smallest denominator with which a group enters a gap.
        draws: bootstrap draws.
        seed: of the draws.
        positive: name of the positive class, ``None`` for one-vs-rest.
        clusters: clusters drawn and swapped as a whole, ``None`` where samples were.
    """

    n: int
    differences: tuple[Difference, ...]
    min_group: int
    draws: int
    seed: int
    positive: str | None
    clusters: int | None

    def find(self, metric: str, group: str | None = None, class_name: str | None = None) -> Difference:
        """The difference of one metric, of a group or overall.

        Raises:
            KeyError: when there is none.
        """
        wanted = (metric, group, class_name)
        for one in self.differences:
            if (one.metric, one.group, one.class_name) == wanted:
                return one
        raise KeyError(wanted)


def compare(
    joint: JointCounts,
    positive: int | None = None,
    *,
    min_group: int = 30,
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two systems on the same samples.

    Args:
        joint: from :func:`groupgap.metrics.count_pair`.
        positive: index of the favourable class, as for :func:`groupgap.metrics.judge`.
        min_group: smallest denominator with which a group enters a minimum or maximum.
        draws: bootstrap draws of the joint cells.
        seed: of the draws.
        confidence: of the intervals.

    Returns:
        Rates by the exact swap test (McNemar's test, for accuracy), gaps and the worst group by the test of
        :mod:`groupgap.metrics.extremes`.

    Raises:
        GroupgapError: for an argument out of range.

    Example:
        >>> from groupgap.metrics import count_pair
        >>> joint = count_pair([1] * 80, ([1] * 80, [1, 1, 1, 0] * 20), ["a", "b"] * 40)
        >>> found = compare(joint, positive=1, draws=999).find("accuracy")
        >>> found.value, found.only_a, found.only_b, found.p_value < 0.001
        (0.25, 20, 0, True)
    """
    check_draws(draws), check_seed(seed), check_confidence(confidence)
    plans = plan_gaps(joint.a, positive, min_group), plan_gaps(joint.b, positive, min_group)
    overall = [rate_difference(joint, rate, index, None, confidence) for rate, index in plans[0].keys]
    drawn = paired_tallies(joint, plans[0], draws, np.random.default_rng(seed))
    unit = 1.0 if joint.clusters is None else joint.n / max(1, int(joint.clusters.counts.sum()))
    extreme = [gap_difference(plans, metric, drawn, confidence, unit) for metric in ("worst_group", *GAPS)]
    by_group = [
        rate_difference(joint, rate, index, group, confidence)
        for group in range(len(joint.groups))
        for rate, index in plans[0].keys
    ]
    single = len(plans[0].classes) == 1
    found = [replace(one, class_name=None) if single else one for one in (*overall, *extreme, *by_group)]
    if joint.clusters is not None:
        found = [replace(one, a=_plain(one.a), b=_plain(one.b)) for one in found]
    return Comparison(
        n=joint.n,
        differences=with_q_values(found),
        min_group=plans[0].min_group,
        draws=draws,
        seed=seed,
        positive=joint.classes[plans[0].classes[0]] if single else None,
        clusters=None if joint.clusters is None else int(joint.clusters.counts.sum()),
    )


def _plain(estimate: Estimate) -> Estimate:
    """The estimate without an interval: that of independent samples is too narrow for clusters."""
    return replace(estimate, stderr=None, low=None, high=None, interval=None)


def with_q_values(differences: list[Difference]) -> tuple[Difference, ...]:
    """The differences with q-values, all their p-values one family."""
    tested = [one.p_value for one in differences if one.p_value is not None]
    q_values = iter(benjamini_hochberg(tested))
    return tuple(one if one.p_value is None else replace(one, q_value=float(next(q_values))) for one in differences)


def paired_tallies(
    joint: JointCounts, plan: GapPlan, draws: int, rng: np.random.Generator
) -> tuple[dict[Key, Tally], dict[Key, Tally]]:
    """Tallies (G, draws) of both systems in the same bootstrap draws of the samples, or of whole clusters."""
    parts = [
        cell_features(joint.patterns, joint.labels, predictions, plan.classes)
        for predictions in (joint.predictions_a, joint.predictions_b)
    ]
    features = np.concatenate(parts, axis=1)
    amounts, kinds = joint.units()
    if kinds is not None:
        features = kinds.astype(np.float64) @ features
    summed = np.zeros((features.shape[1], draws))
    if joint.n:
        for rows, drawn in resample(amounts, draws, rng):
            summed[:, rows] = features.T @ drawn.T
    first, second = np.split(summed, 2)
    groups = len(joint.groups)
    return tallies_of_features(first, groups, plan.classes), tallies_of_features(second, groups, plan.classes)


def gap_difference(
    plans: tuple[GapPlan, GapPlan],
    metric: str,
    tallies: tuple[Mapping[Key, Tally], Mapping[Key, Tally]],
    confidence: float,
    unit: float = 1.0,
) -> Difference:
    """A gap, or the worst group, of A against that of B; ``unit`` as for :func:`extreme_difference`."""
    a, b = (with_interval(plan, metric, confidence) for plan in plans)
    return extreme_difference(plans, metric, (a, b), tallies, confidence, unit)


def extreme_difference(
    plans: tuple[GapPlan, GapPlan],
    metric: str,
    estimates: tuple[Estimate, Estimate],
    tallies: tuple[Mapping[Key, Tally], Mapping[Key, Tally]],
    confidence: float,
    unit: float = 1.0,
) -> Difference:
    """The comparison of two estimates of a gap, or of the worst group, with their plans and draws.

    ``unit``: how many samples are drawn together on average.
    """
    a, b = estimates
    if a.value is None or b.value is None:
        reason = a.reason if a.value is None else b.reason
        return Difference(metric, None, None, a, b, None, a.n, reason)
    if metric == "worst_group":
        one, other = (maximum_of_worst(plan, drawn) for plan, drawn in zip(plans, tallies, strict=True))
        found = compare_maxima(other, one, confidence, unit)  # maxima of minus the accuracy
    else:
        one, other = (maximum_of_gap(plan, metric, drawn) for plan, drawn in zip(plans, tallies, strict=True))
        found = compare_maxima(one, other, confidence, unit)
    if isinstance(found, TooFewDraws):
        return Difference(
            metric, None, None, a, b, None, min(a.n, b.n), found.reason, undefined_draws=found.undefined_draws
        )
    return Difference(
        metric=metric,
        group=None,
        class_name=None,
        a=a,
        b=b,
        value=found.value,
        n=a.n if metric != "worst_group" else min(a.n, b.n),
        stderr=found.stderr,
        low=found.low,
        high=found.high,
        interval="paired bootstrap of near-extreme groups, least favourable",
        p_value=found.p_value,
        test="paired bootstrap of near-extreme groups",
        null=NULL_GAP.format(metric=WORDS[metric]),
        minimal_detectable=found.minimal_detectable,
        undefined_draws=found.undefined_draws,
    )


def rate_difference(
    joint: JointCounts, rate: str, class_index: int | None, group: int | None, confidence: float = 0.95
) -> Difference:
    """One rate of A against B, overall or of one group: exact swap test, Bonett-Price interval.

    With clusters: sign flips of whole clusters, and the t interval of the cluster sums (ratio estimator).
    """
    within, difference = rate_differences(joint, rate, class_index, group)
    n = int((within * joint.counts).sum())
    name = None if group is None else joint.groups[group]
    class_name = None if class_index is None else joint.classes[class_index]
    empty = EMPTY[rate] if group is not None else EMPTY[rate].replace("members", "samples")
    a, b = (_rate_of(joint, rate, class_index, within, which, empty, confidence) for which in (0, 1))
    if n == 0:
        return Difference(rate, name, class_name, a, b, None, 0, empty)
    only_a, only_b = (int(joint.counts[difference == sign].sum()) for sign in (1, -1))
    amounts, kinds = joint.units()
    if kinds is None:
        p_value = mcnemar(only_a, only_b)
        value, stderr, low, high = map(float, bonett_price(only_a, only_b, n, confidence))
        interval = "Bonett-Price"
    else:
        sums, sizes = kinds @ difference, kinds @ within
        p_value = swap_p_value(sums, amounts)
        value, stderr, low, high = cluster_difference(sums, sizes, amounts, confidence)
        interval = "t over clusters"
    if p_value >= 1 - confidence - 1e-12:
        low, high = min(low, 0.0), max(high, 0.0)
    exact = "exact McNemar test" if rate == "accuracy" and kinds is None else "exact swap test"
    where = "" if name is None else f" of {name}"
    return Difference(
        rate, name, class_name, a, b, value, n, None, stderr, low, high, interval, p_value, None, exact,
        NULL_RATE.format(rate=WORDS[rate], where=where), MINIMAL_DETECTABLE * stderr, only_a, only_b,
    )  # fmt: skip


def _rate_of(
    joint: JointCounts,
    rate: str,
    class_index: int | None,
    within: npt.NDArray[np.int64],
    which: int,
    empty: str,
    confidence: float,
) -> Estimate:
    """The rate of one of the two systems over the cells in ``within``."""
    predictions = (joint.predictions_a, joint.predictions_b)[which]
    success = joint.labels == predictions if rate == "accuracy" else predictions == class_index
    weights = joint.counts * within
    return proportion(float(weights[success].sum()), float(weights.sum()), empty, confidence)


def bonett_price(
    only_a: npt.ArrayLike, only_b: npt.ArrayLike, n: int, confidence: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Difference of two paired shares: value, standard error, and interval, for counts of any shape.

    Source: Bonett & Price 2012, Journal of Educational and Behavioral Statistics 37:479 (Laplace-adjusted Wald).
    """
    a, b = np.asarray(only_a, dtype=np.float64), np.asarray(only_b, dtype=np.float64)
    share_a, share_b = (a + 1) / (n + 2), (b + 1) / (n + 2)
    stderr = np.sqrt((share_a + share_b - (share_a - share_b) ** 2) / (n + 2))
    value, centre, half = (a - b) / n, share_a - share_b, two_sided_z(confidence) * stderr
    low, high = np.maximum(-1.0, np.minimum(value, centre - half)), np.minimum(1.0, np.maximum(value, centre + half))
    return value, stderr, low, high


def cluster_difference(
    sums: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], amounts: npt.NDArray[np.int64], confidence: float
) -> tuple[float, float, float, float]:
    """Difference of two shares over clusters: value, standard error, and t interval.

    Args:
        sums: (T,) successes of A minus of B in a cluster of each kind.
        sizes: (T,) samples of the denominator in it.
        amounts: (T,) clusters of each kind.
        confidence: of the interval.

    Source: Cochran 1977, chapter 6 (ratio estimator). One cluster gives the whole range.
    """
    used = sizes > 0
    number, total = int(amounts[used].sum()), float((sizes * amounts).sum())
    value = float((sums * amounts).sum()) / total
    if number < 2:
        return value, 1.0, -1.0, 1.0
    squares = float((amounts[used] * (sums - value * sizes)[used] ** 2).sum())
    floor = 1.0 / number  # never of width 0: one cluster more or less, however often its samples are repeated
    stderr = max(float(np.sqrt(squares * number / (number - 1))) / total, floor)
    half = float(stats.t.isf((1 - confidence) / 2, number - 1)) * stderr
    return value, stderr, max(-1.0, value - half), min(1.0, value + half)
