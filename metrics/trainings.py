"""Two methods over their training seeds: would other trainings differ? The paired t test, on these samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from scipy import optimize, stats

from ..errors import GroupgapError
from .arguments import check_confidence
from .counts import Counts
from .estimate import Estimate
from .gaps import GAPS, GapPlan, Key, plan_gaps
from .paired import WORDS, Comparison, Difference, with_q_values
from .rates import EMPTY, rate_cells
from .seeds import check_same_samples, mean_over_seeds, paired_over_seeds, pool_seeds

__all__ = ["compare_trainings", "detectable_over_seeds"]


@dataclass(frozen=True, eq=False)
class _Trainings:
    """The plans of both methods, one for each seed, in the same order."""

    a: tuple[GapPlan, ...]
    b: tuple[GapPlan, ...]
    positive: int | None
    min_group: int
    confidence: float

    def pooled(self, confidence: float) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
        """Worst group and gaps of both methods, from the seed-averaged rates."""
        counts = [plan.counts for plan in self.a], [plan.counts for plan in self.b]
        a, b = (pool_seeds(one, self.positive, self.min_group, confidence) for one in counts)
        return a, b


def compare_trainings(
    first: Sequence[Counts],
    second: Sequence[Counts],
    positive: int | None = None,
    *,
    min_group: int = 30,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two methods trained with the same seeds, all judged on the same samples.

    Args:
        first: counts of A, one for each seed.
        second: counts of B, the same seeds in the same order; the same counts each time for a system without seeds.
        positive: index of the favourable class, as for :func:`groupgap.metrics.judge`.
        min_group: smallest denominator with which a group enters a minimum or maximum.
        confidence: of the intervals.

    Returns:
        Rates: the mean over the seeds, and the paired t test over the per-seed differences. Gaps and the worst group:
        those of the seed-averaged rates, without a test; their interval is the distance of the two methods'
        simultaneous t intervals, each with half the error. ``by_seed`` holds the difference in every seed. With one
        seed there is no test and no interval.

    Raises:
        GroupgapError: for other numbers of seeds, no seed, or seeds judged on other samples.

    Example:
        >>> from groupgap.metrics import count
        >>> labels, groups = [1] * 100, ["a", "b"] * 50
        >>> a, b = ([count(labels, [1] * right + [0] * (100 - right), groups, classes=["no", "yes"]) for right in row]
        ...         for row in ((82, 84, 86), (80, 81, 85)))
        >>> found = compare_trainings(a, b, positive=1).find("accuracy")
        >>> round(found.value, 3), round(found.p_value, 3), found.test
        (0.02, 0.074, 'paired t over 3 seeds')
    """
    check_confidence(confidence)
    if len(first) != len(second):
        raise GroupgapError(f"Expected the same training seeds of both methods, but got {len(first)} and {len(second)}")
    plans = [tuple(plan_gaps(counts, positive, min_group) for counts in one) for one in (first, second)]
    check_same_samples([*plans[0], *plans[1]])
    trained = _Trainings(plans[0], plans[1], positive, min_group, confidence)
    plan = trained.a[0]
    overall = [_rate(trained, key, None) for key in plan.keys]
    by_group = [_rate(trained, key, group) for group in range(len(plan.counts.groups)) for key in plan.keys]
    single = len(plan.classes) == 1
    found = [*overall, *_extremes(trained), *by_group]
    return Comparison(
        n=plan.counts.n,
        differences=with_q_values([replace(one, class_name=None) if single else one for one in found]),
        min_group=plan.min_group,
        draws=0,
        seed=0,
        positive=plan.counts.classes[plan.classes[0]] if single else None,
        clusters=None,
    )


def _rate(trained: _Trainings, key: Key, group: int | None) -> Difference:
    """One rate over the seeds, overall or of one group."""
    rate, index = key
    counts = trained.a[0].counts
    name = None if group is None else counts.groups[group]
    class_name = None if index is None else counts.classes[index]
    shares = [[_share(plan.counts, key, group) for plan in plans] for plans in (trained.a, trained.b)]
    n = shares[0][0][1]
    if n == 0:
        empty = EMPTY[rate] if group is not None else EMPTY[rate].replace("members", "samples")
        nothing = Estimate(None, 0, empty)
        return Difference(rate, name, class_name, nothing, nothing, None, 0, empty)
    a, b = ([successes / n for successes, _ in one] for one in shares)
    where = "" if name is None else f" of {name}"
    found = paired_over_seeds(a, b, n, f"{WORDS[rate]}{where}", trained.confidence)
    estimate = found.estimate
    return Difference(
        metric=rate,
        group=name,
        class_name=class_name,
        a=mean_over_seeds(a, n, trained.confidence, share=True),
        b=mean_over_seeds(b, n, trained.confidence, share=True),
        value=estimate.value,
        n=n,
        stderr=estimate.stderr,
        low=estimate.low,
        high=estimate.high,
        interval=estimate.interval,
        p_value=found.p_value,
        test=None if found.p_value is None else f"paired t over {len(a)} seeds",
        null=None if found.p_value is None else found.null,
        minimal_detectable=None if estimate.stderr is None else detectable_over_seeds(estimate.stderr, len(a)),
        by_seed=found.differences,
    )


def _share(counts: Counts, key: Key, group: int | None) -> tuple[int, int]:
    """Successes and denominator of a rate, overall or of one group."""
    within, success = rate_cells(counts.labels, counts.predictions, *key)
    weights = counts.counts if group is None else counts.counts * counts.patterns[:, group]
    return int(weights[success].sum()), int(weights[within].sum())


def _extremes(trained: _Trainings) -> list[Difference]:
    """The worst group and the gaps, without a test."""
    shown = trained.pooled(trained.confidence)
    wide = trained.pooled(1 - (1 - trained.confidence) / 2)
    found = []
    for metric in ("worst_group", *GAPS):
        a, b = (one[metric] for one in shown)
        if a.value is None or b.value is None:
            found.append(Difference(metric, None, None, a, b, None, a.n, a.reason))
            continue
        low, high = _distance(wide[0][metric], wide[1][metric])
        seeds = len(trained.a)
        found.append(
            Difference(
                metric=metric,
                group=None,
                class_name=None,
                a=a,
                b=b,
                value=a.value - b.value,
                n=min(a.n, b.n),
                low=low,
                high=high,
                interval=None if low is None else f"distance of two intervals over {seeds} seeds",
                minimal_detectable=None if low is None or high is None else (high - low) / 2,
                by_seed=tuple(
                    _extreme(one, metric) - _extreme(other, metric)
                    for one, other in zip(trained.a, trained.b, strict=True)
                ),
            )
        )
    return found


def _extreme(plan: GapPlan, metric: str) -> float:
    """The worst group or a gap of one seed; the same samples define it in every seed."""
    value = (plan.worst_group() if metric == "worst_group" else plan.gap(metric)).value
    assert value is not None
    return value


def _distance(a: Estimate, b: Estimate) -> tuple[float | None, float | None]:
    """The interval of A minus B from the intervals of both; none where one has none."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return None, None
    return a.low - b.high, a.high - b.low


@lru_cache(maxsize=64)
def _noncentrality(seeds: int) -> float:
    """The difference, in standard errors, that a two-sided t test at 5% sees with 80% power."""
    critical = float(stats.t.isf(0.025, seeds - 1))
    return float(
        optimize.brentq(lambda shift: stats.nct.sf(critical, seeds - 1, shift) - 0.8, 0.1, 10 * critical, xtol=1e-6)
    )


def detectable_over_seeds(stderr: float, seeds: int) -> float:
    """The difference that the paired t test sees with 80% power at 5%.

    Args:
        stderr: of the mean of the differences.
        seeds: two or more.

    Source: the noncentral t distribution, as ``statsmodels.stats.power.TTestPower`` (larger than 2.80 standard errors:
    16.3 with two seeds, 3.5 with six).

    Example:
        >>> [round(detectable_over_seeds(1.0, seeds), 1) for seeds in (2, 3, 5, 100)]
        [16.3, 5.7, 3.8, 2.8]
    """
    return _noncentrality(seeds) * stderr
