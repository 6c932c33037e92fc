"""Two runs that cannot be joined, compared as independent samples: what is left when the pairing is lost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

from ..errors import GroupgapError
from ..metrics import Comparison, Difference, Estimate, Judgement, judge, newcombe
from .answers import Answers

NULL = "the {metric}{where} of A and of B are equal, on independent samples"
RATES = ("accuracy", "selection_rate", "tpr", "fpr")
EXTREMES = ("worst_group", "accuracy_spread", "dpd", "eopp", "eod", "eod_mean")
DETECTABLE = 2.80


def compare_unpaired(a: Answers, b: Answers, *, min_group: int, draws: int, seed: int) -> Comparison:
    """Compare two runs as independent samples.

    Rates: Fisher's exact test and Newcombe's hybrid score interval; both are careful where the documents are partly
    the same. Gaps and the worst group: the distance of two 97.5% intervals, which holds with 95% or more, and no test.

    Args:
        a: answers of A.
        b: answers of B, along the same axis.
        min_group: smallest denominator with which a group enters a gap.
        draws: bootstrap draws.
        seed: of the draws.

    Returns:
        The differences A minus B.

    Raises:
        GroupgapError: if the groups are not the same, or rows come in clusters.
    """
    if a.clusters is not None or b.clusters is not None:
        raise GroupgapError(
            f"task {a.task}: its lines come in units (sentence pairs, occupations), and independent samples of lines "
            "are no test of that: compare runs of the same documents"
        )
    if a.groups != b.groups:
        raise GroupgapError(f"axis {a.axis}: {a.run} and {b.run} have other groups")
    shown, wide = (
        [
            judge(one.counts(), one.positive, confidence=confidence, min_group=min_group, draws=draws, seed=seed)
            for one in (a, b)
        ]
        for confidence in (0.95, 0.975)
    )
    return Comparison(
        n=min(a.n, b.n),
        differences=tuple(_differences((shown[0], shown[1]), (wide[0], wide[1]))),
        min_group=min_group,
        draws=draws,
        seed=seed,
        positive=shown[0].positive,
        clusters=None,
    )


def _differences(shown: tuple[Judgement, Judgement], wide: tuple[Judgement, Judgement]) -> Iterator[Difference]:
    """Of judgements with 95% intervals, which are shown, and 97.5% intervals, whose distance is taken."""
    a, b = shown
    yield _rate("accuracy", None, a.accuracy, b.accuracy)
    for metric in EXTREMES:
        distance = _distance(getattr(wide[0], metric), getattr(wide[1], metric))
        yield _extreme(metric, getattr(a, metric), getattr(b, metric), distance)
    for group in a.groups:
        for rate in RATES:
            yield _rate(rate, group, getattr(a.groups[group], rate), getattr(b.groups[group], rate))


def _rate(rate: str, group: str | None, a: Estimate, b: Estimate) -> Difference:
    n = min(a.n, b.n)
    if a.value is None or b.value is None:
        return Difference(rate, group, None, a, b, None, n, a.reason if a.value is None else b.reason)
    hits = [round(one.value * one.n) for one in (a, b) if one.value is not None]
    tables = [np.array([value], dtype=np.float64) for value in (hits[0], a.n, hits[1], b.n)]
    low, high = newcombe(tables[0], tables[1], tables[2], tables[3])
    shares = a.value, b.value
    stderr = float(np.sqrt(sum(share * (1 - share) / one.n for share, one in zip(shares, (a, b), strict=True))))
    p_value = stats.fisher_exact([[hits[0], a.n - hits[0]], [hits[1], b.n - hits[1]]]).pvalue
    where = "" if group is None else f" of {group}"
    return Difference(
        metric=rate,
        group=group,
        class_name=None,
        a=a,
        b=b,
        value=shares[0] - shares[1],
        n=n,
        stderr=stderr,
        low=float(low[0]),
        high=float(high[0]),
        interval="Newcombe hybrid score, unpaired",
        p_value=float(p_value),
        test="Fisher's exact test",
        null=NULL.format(metric=rate.replace("_", " "), where=where),
        minimal_detectable=DETECTABLE * stderr if stderr > 0 else float(high[0] - low[0]) / 2,
    )


def _distance(one: Estimate, other: Estimate) -> tuple[float | None, float | None]:
    """The interval of a difference: from the nearest to the farthest ends of two intervals."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return None, None
    return one.low - other.high, one.high - other.low


def _extreme(metric: str, one: Estimate, other: Estimate, distance: tuple[float | None, float | None]) -> Difference:
    n = min(one.n, other.n)
    if one.value is None or other.value is None:
        return Difference(metric, None, None, one, other, None, n, one.reason if one.value is None else other.reason)
    low, high = distance
    return Difference(
        metric=metric,
        group=None,
        class_name=None,
        a=one,
        b=other,
        value=one.value - other.value,
        n=n,
        low=low,
        high=high,
        interval="distance of two 97.5% intervals, unpaired",
        minimal_detectable=None if low is None or high is None else (high - low) / 2,
    )
