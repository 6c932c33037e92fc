"""Shares and means of rows that come in clusters: the sentence pair is the unit, not the line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from .arguments import check_confidence
from .estimate import Estimate
from .intervals import two_sided_z, wilson
from .paired import cluster_difference
from .swap import swap_p_value

__all__ = ["EffectiveRates", "cluster_mean", "cluster_share", "effective_rates", "share_over", "sureness", "worth"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EffectiveRates:
    """Rates over rows that come in clusters, as so many independent rows would show them.

    Attributes:
        successes: (E,) rate times effective number of rows.
        totals: (E,) effective number of rows.
        stderr: (E,) standard error over clusters, at least that of independent rows.
        correlation: (E, E) of the measured rates.
    """

    successes: FloatArray
    totals: FloatArray
    stderr: FloatArray
    correlation: FloatArray


def effective_rates(
    successes: npt.ArrayLike, totals: npt.ArrayLike, amounts: npt.ArrayLike, confidence: float = 0.95
) -> EffectiveRates:
    """How sure rates are where rows come in clusters.

    Args:
        successes: (T, E) successes of each rate in a cluster of each kind.
        totals: (T, E) rows in its denominator; each rate has at least one in all.
        amounts: (T,) clusters of each kind.
        confidence: of the intervals that are wanted.

    Returns:
        The effective number of rows is their number over the design effect: the variance between clusters (corrected
        for what each adds to the rate) over that of independent rows, at least 1; the mean cluster size that a row
        sees where all answers are the same; and exactly 1 where no cluster holds two rows. An estimated one is
        as sure as the clusters that it rests on are many (:func:`sureness`): as many as a variance of sums over
        clusters of these sizes rests on, or those with a success, or those with a failure, whichever are fewest; but
        each is worth a row at least. A
        correlation above 0, which narrows the interval of a difference, is shrunk
        by what one more discordant cluster in each direction would take from it.

    Source: Korn & Graubard 1998, Survey Methodology 24:193 (effective size, degrees of freedom); Bell & McCaffrey 2002,
    Survey Methodology 28:169 (covariance over clusters, "CR2"); Kish 1965 (clusters of equal size); Satterthwaite
    1946, Biometrics Bulletin 2:110 (degrees of freedom of a sum of unequal variances); Bonett & Price 2012, Journal of
    Educational and Behavioral Statistics 37:479 (two more discordant units).

    Example:
        >>> found = effective_rates([[2, 1], [0, 0], [1, 1]], [[2, 1], [2, 1], [2, 1]], [20, 20, 20])
        >>> found.totals.round(1).tolist(), found.correlation.round(2).tolist()[0]
        ([83.1, 60.0], [1.0, 0.82])
    """
    hits, rows = np.asarray(successes, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    weights = np.asarray(amounts, dtype=np.float64)
    n, clusters = weights @ rows, weights @ (rows > 0)
    share, largest = weights @ hits / n, weights @ rows**2 / n
    residual = (hits - share * rows) / n / np.sqrt(np.where(rows < n, 1 - rows / n, 1))
    covariance = residual.T @ (residual * weights[:, None])
    independent = share * (1 - share) / n
    told = (independent > 0) & (largest > 1) & (clusters > 1)
    between = np.diagonal(covariance) / np.where(independent > 0, independent, 1)
    effect = np.where(told, np.maximum(1.0, between), largest)
    equal, rests_on = worth(rows**2, weights), np.minimum(weights @ (hits > 0), weights @ (hits < rows))
    least = np.minimum(n / effect, worth(rows, weights)) * sureness(equal, confidence)
    effective = np.maximum(n / effect * sureness(np.minimum(equal, rests_on), confidence), least)
    effective = np.where(told, effective, n / effect)
    variance = effect * independent
    step = (1 / n[:, None] ** 2 + 1 / n[None, :] ** 2) / 2
    shrunk = np.where(covariance > 0, np.maximum(covariance - step, 0), covariance)
    scale = np.sqrt(np.outer(variance, variance))
    correlation = np.clip(np.divide(shrunk, scale, out=np.zeros_like(scale), where=scale > 0), -1, 1)
    np.fill_diagonal(correlation, 1.0)
    return EffectiveRates(share * effective, effective, np.sqrt(variance), correlation)


def worth(sizes: npt.ArrayLike, amounts: npt.ArrayLike) -> FloatArray:
    """How many clusters of equal size so many clusters of these sizes are worth: (sum m)^2 / sum m^2 (Kish 1965).

    Args:
        sizes: (T, ...) of a cluster of each kind.
        amounts: (T,) clusters of each kind.

    Example:
        >>> worth([2, 2, 2], [1, 1, 1]).item(), worth([1, 30], [9, 1]).round(1).item()
        (3.0, 1.7)
    """
    rows, weights = np.asarray(sizes, dtype=np.float64), np.asarray(amounts, dtype=np.float64)
    squares = weights @ rows**2
    return np.asarray(np.divide((weights @ rows) ** 2, squares, out=np.zeros_like(squares), where=squares > 0))


def sureness(clusters: npt.ArrayLike, confidence: float) -> FloatArray:
    """The square of the normal over the t quantile: the part of a size that is left where its variance was estimated.

    Args:
        clusters: that the variance rests on, any shape; one less are the degrees of freedom, at least 1.
        confidence: of the interval.
    """
    t = stats.t.isf((1 - confidence) / 2, np.maximum(np.asarray(clusters, dtype=np.float64) - 1, 1))
    return np.asarray((two_sided_z(confidence) / t) ** 2)


def share_over(
    hits: npt.ArrayLike, sizes: npt.ArrayLike, amounts: npt.ArrayLike, empty: str, confidence: float = 0.95
) -> Estimate:
    """:func:`cluster_share` of kinds of clusters: (T,) successes and (T,) rows of each, (T,) clusters of each."""
    successes, rows, weights = (np.asarray(one, dtype=np.float64) for one in (hits, sizes, amounts))
    n = int(weights @ rows)
    if not n:
        return Estimate(None, 0, empty)
    found = effective_rates(successes[:, None], rows[:, None], weights, confidence)
    low, high = wilson(found.successes[0], found.totals[0], confidence)
    number = int(weights @ (rows > 0))
    kind = "Wilson" if number == n else f"Wilson over {number:,} clusters"
    return Estimate(float(weights @ successes) / n, n, None, float(found.stderr[0]), float(low), float(high), kind)


def cluster_share(hits: npt.ArrayLike, clusters: npt.ArrayLike, empty: str, confidence: float = 0.95) -> Estimate:
    """A share over rows that come in clusters, with Wilson's interval at the effective number of rows.

    Args:
        hits: (n,) bool.
        clusters: (n,) name or number of each row's cluster.
        empty: the reason where there are no rows.
        confidence: of the interval.

    Returns:
        The share; its interval is Wilson's, of all rows where each cluster is one row, else of the effective number of
        rows (:func:`effective_rates`).

    Source: Korn & Graubard 1998, Survey Methodology 24:193, with Wilson's interval in place of Clopper-Pearson's (Dean
    & Pagano 2015, Journal of Survey Statistics and Methodology 3:484).

    Example:
        >>> found = cluster_share([True, True, False, False] * 10, [row // 2 for row in range(40)], "no rows")
        >>> found.value, round(found.low, 3), round(found.high, 3), found.interval
        (0.5, 0.284, 0.716, 'Wilson over 20 clusters')
        >>> cluster_share([], [], "no rows").text
        'undefined (no rows)'
    """
    check_confidence(confidence)
    right = np.asarray(hits, dtype=np.bool_)
    sums, sizes = _by_cluster(right.astype(np.int64), clusters)
    return share_over(sums, sizes, np.ones(len(sizes)), empty, confidence)


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
    if p_value >= 1 - confidence - 1e-12:
        low, high = min(low, 0.0), max(high, 0.0)
    return Estimate(value, len(numbers), None, stderr, low, high, f"t over {len(sizes):,} clusters"), p_value


def _by_cluster(values: IntArray, clusters: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """(T,) sums and (T,) sizes of the clusters."""
    code, _ = pd.factorize(np.asarray(clusters))
    sums = np.zeros(int(code.max(initial=-1)) + 1, dtype=np.int64)
    np.add.at(sums, code, values)
    return sums, np.bincount(code).astype(np.int64)
