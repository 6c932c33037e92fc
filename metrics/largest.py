"""The largest of several means, and the difference of two such maxima, with intervals that reckon with the choice.

The largest of several noisy means is biased upward, and a bootstrap of it is wrong wherever several nearly tie. Here
every bound is a union bound over t intervals of means and of their differences:

- the true maximum is at least every candidate, so the largest of lower bounds that hold *for all at once* is a lower
  bound; it is the one true largest candidate, so its own upper bound is enough, and the largest upper bound holds;
- the maximum of A minus the maximum of B: for each candidate of A, its difference from B's true largest is at least the
  smallest over B of the lower bounds of single differences; the largest of those over A holds if it holds for all of A
  at once. The other side is the same with A and B exchanged.

Nothing has to be known about which candidate is the largest, how many tie, or how they are correlated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from .estimate import Estimate
from .intervals import SMALLEST_P, wilson

__all__ = [
    "Maxima",
    "Means",
    "combination",
    "difference_of_largest",
    "from_influence",
    "largest",
    "mean_of",
    "means",
    "share_of",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

TOO_FEW = "none: a candidate rests on 1 document"
NO_LESS = 1e-9  # of a standard error: what floating point alone can do to equal numbers


@dataclass(frozen=True, eq=False)
class Means:
    """Means over documents, some of them over a part of the documents, with their joint covariance.

    Attributes:
        values: (b,) means.
        covariance: (b, b) of the means, robust to documents that come in clusters.
        degrees: (b,) degrees of freedom: clusters less one.
        sizes: (b,) documents that each mean rests on.
    """

    values: FloatArray
    covariance: FloatArray
    degrees: FloatArray
    sizes: IntArray


@dataclass(frozen=True)
class Maxima:
    """The maximum of A minus the maximum of B.

    Attributes:
        value: of the measured maxima.
        low: lower end of the interval; minus infinity where a candidate rests on a single document.
        high: upper end of the interval.
        p_value: two-sided, of the null hypothesis that both maxima are equal; the interval is its inversion.
        stderr: of the difference between the two candidates that were measured to be the largest.
    """

    value: float
    low: float
    high: float
    p_value: float
    stderr: float


def means(values: FloatArray, members: BoolArray | None = None, clusters: IntArray | None = None) -> Means:
    """Means of columns, each over its members.

    Args:
        values: (n, b) one number a document and column.
        members: (n, b) which documents enter which mean; by default all.
        clusters: (n,) documents with one number are drawn together; by default each by itself.

    Returns:
        Its covariance is the sandwich over clusters with the correction c / (c - 1); without clusters its diagonal
        is the squared standard error of each mean. A column with fewer than two clusters has an infinite variance.

    Source: Liang & Zeger 1986, Biometrika 73:13.

    Example:
        >>> found = means(np.array([[1.0], [2.0], [3.0], [6.0]]))
        >>> float(found.values[0]), round(float(found.covariance[0, 0]) ** 0.5, 3)
        (3.0, 1.08)
    """
    inside = np.ones(values.shape, dtype=np.bool_) if members is None else members
    total = np.maximum(inside.sum(axis=0), 1)
    average = np.where(inside, values, 0.0).sum(axis=0) / total
    return from_influence(average, np.where(inside, values - average, 0.0) / total, inside, clusters)


def from_influence(
    values: FloatArray, influence: FloatArray, members: BoolArray, clusters: IntArray | None = None
) -> Means:
    """Estimates whose errors are sums over documents, as those of means and of least squares are.

    Args:
        values: (b,) estimates.
        influence: (n, b) what each document adds to the error of each.
        members: (n, b) which documents enter which estimate.
        clusters: as for :func:`means`.
    """
    n, width = influence.shape
    units = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    summed = np.zeros((int(units.max(initial=-1)) + 1, width))
    np.add.at(summed, units, influence)
    present = np.zeros(summed.shape, dtype=np.bool_)
    np.logical_or.at(present, units, members)
    count = present.sum(axis=0)
    summed *= np.sqrt(count / np.maximum(count - 1, 1))
    covariance = summed.T @ summed
    covariance[np.diag_indices(width)] += np.where(count < 2, np.inf, 0.0)
    return Means(values, covariance, np.maximum(count - 1.0, 1.0), members.sum(axis=0))


def mean_of(
    values: npt.ArrayLike,
    clusters: IntArray | None = None,
    confidence: float = 0.95,
    reason: str = "no documents",
    step: float = 0.0,
) -> Estimate:
    """One mean with its t interval over documents, or over clusters of them.

    Args:
        values: (n,) one number a document.
        clusters: as for :func:`means`.
        confidence: of the interval.
        reason: why there is no number, where there are no values.
        step: the values move in steps of this size: documents that agree by chance are taken to differ by one step in
            one document, so that no interval has width 0.

    Example:
        >>> found = mean_of([1.0, 2.0, 3.0, 6.0])
        >>> found.value, round(found.low, 2), round(found.high, 2)
        (3.0, -0.44, 6.44)
    """
    column = np.asarray(values, dtype=np.float64)
    if not len(column):
        return Estimate(None, 0, reason)
    found = means(column[:, None], None, clusters)
    least = max((step / len(column)) ** 2, float(found.covariance[0, 0]))
    return combination(replace(found, covariance=np.array([[least]])), np.ones(1), confidence)


def share_of(hits: npt.ArrayLike, confidence: float = 0.95, reason: str = "no documents") -> Estimate:
    """The share of answers that count, where a document gives several: Wilson's interval at the effective sample size.

    Args:
        hits: (n, m) which of the m answers to each of n documents count.
        confidence: of the interval.
        reason: why there is no number, where there are no documents.

    Returns:
        The effective size is that of as many independent answers as would have the standard error over documents, at
        most all of them; of one answer a document it is n / (1 - 1 / n); where all answers are the same it is n, since
        nothing tells how far a document's answers go together. No interval has width 0.

    Source: Korn & Graubard 1998, Survey Methodology 24:193 (effective sample size), with Wilson's limits.

    Example:
        >>> found = share_of([[1, 1], [0, 0], [1, 0], [1, 1]])
        >>> found.value, round(found.low, 2), round(found.high, 2)
        (0.625, 0.22, 0.91)
    """
    counted = np.asarray(hits, dtype=np.float64)
    if not counted.size:
        return Estimate(None, 0, reason)
    n, answers = counted.shape
    share, variance = float(counted.mean()), float(counted.mean(axis=1).var(ddof=1) / n) if n > 1 else 0.0
    alike = n if share in (0.0, 1.0) else n * answers
    size = min(n * answers, share * (1 - share) / variance) if variance > 0 else alike
    low, high = wilson(share * size, size, confidence)
    return Estimate(share, n, None, float(np.sqrt(variance)), float(low), float(high), "Wilson over documents")


def combination(found: Means, weights: FloatArray, confidence: float = 0.95) -> Estimate:
    """One linear combination of means with its t interval; without one where it rests on a single document.

    Args:
        found: from :func:`means`.
        weights: (b,).
        confidence: of the interval.
    """
    used = weights != 0
    n = int(found.sizes[used].min())
    if n == 0:
        return Estimate(None, 0, "no documents")
    value, error, degrees = _moments(found, weights[None], None)
    if not np.isfinite(error[0, 0]):
        return Estimate(float(value[0, 0]), n, interval="1 document")
    half = float(stats.t.isf((1 - confidence) / 2, degrees[0, 0]) * error[0, 0])
    at = float(value[0, 0])
    return Estimate(at, n, None, float(error[0, 0]), at - half, at + half, "t over documents")


def largest(
    found: Means, candidates: FloatArray, names: Sequence[tuple[str, ...]], confidence: float = 0.95
) -> Estimate:
    """The largest of several linear combinations of means.

    Args:
        found: from :func:`means`.
        candidates: (q, b) weights; a difference and its negative are two candidates, so that the maximum is of
            absolute differences, and no interval ends under 0.
        names: of each candidate; those of the largest become ``groups``.
        confidence: of the interval, see the docstring of this module.

    Returns:
        The largest; without an interval where a candidate rests on a single document, for that one could be anything.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> both = means(rng.normal([1.0, 0.0], 1.0, (400, 2)))
        >>> found = largest(both, np.array([[1.0, -1.0], [-1.0, 1.0]]), [("a", "b"), ("b", "a")])
        >>> found.groups, round(found.value, 2), round(found.low, 2), round(found.high, 2)
        (('a', 'b'), 0.91, 0.75, 1.05)
    """
    value, error, degrees = (one[:, 0] for one in _moments(found, candidates, None))
    tail = (1 - confidence) / 2
    low = value - stats.t.isf(tail / len(value), degrees) * error
    high = value + stats.t.isf(tail, degrees) * error
    best = int(value.argmax())
    n = int(found.sizes[candidates[best] != 0].min())
    if not np.isfinite(error).all():
        return Estimate(float(value[best]), n, interval=TOO_FEW, groups=names[best])
    return Estimate(
        float(value[best]),
        n,
        stderr=float(error[best]),
        low=max(0.0, float(low.max())),
        high=float(high.max()),
        interval="simultaneous t over documents",
        groups=names[best],
    )


def difference_of_largest(found: Means, a: FloatArray, b: FloatArray, confidence: float = 0.95) -> Maxima:
    """The largest of A minus the largest of B, from means of the same documents.

    Args:
        found: from :func:`means`.
        a: (q, b) candidates of A, as for :func:`largest`.
        b: (r, b) candidates of B.
        confidence: of the interval, see the docstring of this module.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> both = means(rng.normal([1.0, 0.2], 1.0, (400, 2)))
        >>> signs = np.array([[1.0], [-1.0]])
        >>> found = difference_of_largest(both, signs * [1.0, 0.0], signs * [0.0, 1.0])
        >>> round(found.value, 2), found.low > 0, found.p_value < 0.001
        (0.71, True, True)
    """
    value, error, degrees = _moments(found, a, b)
    tail = (1 - confidence) / 2
    low = (value - stats.t.isf(tail / len(a), degrees) * error).min(axis=1).max()
    high = (value + stats.t.isf(tail / len(b), degrees) * error).max(axis=0).min()
    scores = value / error
    above = len(a) * stats.t.sf(scores, degrees).max(axis=1).min()
    below = len(b) * stats.t.sf(-scores, degrees).max(axis=0).min()
    best = int((a @ found.values).argmax()), int((b @ found.values).argmax())
    p_value = min(1.0, max(SMALLEST_P, 2 * float(min(above, below))))
    return Maxima(float(value[best]), float(low), float(high), p_value, float(error[best]))


def _moments(found: Means, a: FloatArray, b: FloatArray | None) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(q, r) differences of candidates of A and of B, their standard errors, degrees of freedom; r = 1 without B."""
    other = np.zeros((1, a.shape[1])) if b is None else b
    value = (a @ found.values)[:, None] - (other @ found.values)[None]
    lone = ~np.isfinite(found.covariance.diagonal())
    covariance = np.where(lone[:, None] | lone[None], 0.0, found.covariance)
    variance = _quadratic(a, covariance)[:, None] + _quadratic(other, covariance)[None] - 2 * a @ covariance @ other.T
    unknown = (a != 0)[:, lone].any(axis=1)[:, None] | (other != 0)[:, lone].any(axis=1)[None]
    error = np.where(unknown, np.inf, np.maximum(np.sqrt(np.maximum(variance, 0.0)), NO_LESS))
    fewest = [np.where(one != 0, found.degrees, np.inf).min(axis=1) for one in (a, other)]
    return value, error, np.minimum(fewest[0][:, None], fewest[1][None])


def _quadratic(weights: FloatArray, covariance: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("qb,bc,qc->q", weights, covariance, weights))
