"""Shares and means of rows that come in clusters: the sentence pair is the unit, not the line."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from .arguments import check_confidence
from .estimate import Estimate
from .intervals import wilson
from .paired import cluster_difference
from .swap import swap_p_value

__all__ = ["cluster_mean", "cluster_share"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def cluster_share(hits: npt.ArrayLike, clusters: npt.ArrayLike, empty: str, confidence: float = 0.95) -> Estimate:
    """A share over rows that come in clusters, with Wilson's interval at the effective number of rows.

    Args:
        hits: (n,) bool.
        clusters: (n,) name or number of each row's cluster.
        empty: the reason where there are no rows.
        confidence: of the interval.

    Returns:
        The share; its interval is Wilson's where each cluster is one row. Else n is divided by the design effect (the
        variance between clusters over that of independent rows, at least 1; at a share of 0 or 1 the mean cluster
        size).

    Source: Korn & Graubard 1998, Survey Methodology 24:193, with Wilson's interval in place of Clopper-Pearson's (Dean
    & Pagano 2015, Journal of Survey Statistics and Methodology 3:484).

    Example:
        >>> found = cluster_share([True, True, False, False], ["a", "a", "b", "b"], "no rows")
        >>> found.value, round(found.low, 3), round(found.high, 3), found.interval
        (0.5, 0.055, 0.945, 'Wilson over 2 clusters')
        >>> cluster_share([], [], "no rows").text
        'undefined (no rows)'
    """
    check_confidence(confidence)
    right = np.asarray(hits, dtype=np.bool_)
    if not len(right):
        return Estimate(None, 0, empty)
    sums, sizes = _by_cluster(right.astype(np.int64), clusters)
    share, number, n = float(right.mean()), len(sizes), len(right)
    effect = _design_effect(sums, sizes, share)
    low, high = wilson(share * n / effect, n / effect, confidence)
    kind = "Wilson" if number == n else f"Wilson over {number:,} clusters"
    stderr = float(np.sqrt(share * (1 - share) * effect / n))
    return Estimate(share, n, None, stderr, float(low), float(high), kind)


def _design_effect(sums: IntArray, sizes: IntArray, share: float) -> float:
    n, number = int(sizes.sum()), len(sizes)
    largest = float((sizes.astype(np.float64) ** 2).sum() / n)
    independent = share * (1 - share) / n
    if number < 2 or not independent:
        return largest
    between = number / (number - 1) * float(((sums - share * sizes) ** 2).sum()) / n**2
    return max(1.0, between / independent)


def cluster_mean(
    values: npt.ArrayLike, clusters: npt.ArrayLike, empty: str, confidence: float = 0.95
) -> tuple[Estimate, float | None]:
    """A mean of whole numbers over rows that come in clusters, and the exact p-value of its being 0.

    Args:
        values: (n,) whole numbers: -1, 0 and 1, or differences of such.
        clusters: (n,) name or number of each row's cluster.
        empty: the reason where there are no rows.
        confidence: of the interval.

    Returns:
        The mean with the t interval over clusters, which holds 0 where the test does not reject; and the p-value of the
        sign flips of whole clusters, ``None`` without rows.

    Source: as :func:`groupgap.metrics.compare` with clusters.

    Example:
        >>> found, p_value = cluster_mean([1, 1, -1, 1], ["a", "a", "b", "b"], "no rows")
        >>> found.value, p_value
        (0.5, 1.0)
    """
    check_confidence(confidence)
    numbers = np.asarray(values, dtype=np.int64)
    if not len(numbers):
        return Estimate(None, 0, empty), None
    sums, sizes = _by_cluster(numbers, clusters)
    ones = np.ones(len(sizes), dtype=np.int64)
    p_value = swap_p_value(sums, ones)
    value, stderr, *_ = cluster_difference(sums, sizes, ones, confidence)
    end = float(max(1, np.abs(numbers).max()))
    half = float(stats.t.isf((1 - confidence) / 2, len(sizes) - 1)) * stderr if len(sizes) > 1 else 2 * end
    low, high = max(-end, value - half), min(end, value + half)
    if p_value >= 1 - confidence:
        low, high = min(low, 0.0), max(high, 0.0)
    return Estimate(value, len(numbers), None, stderr, low, high, f"t over {len(sizes):,} clusters"), p_value


def _by_cluster(values: IntArray, clusters: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """(T,) sums and (T,) sizes of the clusters."""
    code, _ = pd.factorize(np.asarray(clusters))
    sums = np.zeros(int(code.max(initial=-1)) + 1, dtype=np.int64)
    np.add.at(sums, code, values)
    return sums, np.bincount(code).astype(np.int64)
