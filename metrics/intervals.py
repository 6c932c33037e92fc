"""Score intervals: of a share, of a difference of two shares, of the extremes of many."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

__all__ = ["SMALLEST_P", "newcombe", "newcombe_z", "two_sided_z", "wilson", "wilson_z"]

FloatArray = npt.NDArray[np.float64]

SMALLEST_P = 1e-300  # a p-value that underflows is not 0


@lru_cache(maxsize=64)
def two_sided_z(confidence: float) -> float:
    """The normal quantile of a two-sided interval, 1.96 at 0.95."""
    return float(stats.norm.isf((1 - confidence) / 2))


def wilson_z(successes: npt.ArrayLike, totals: npt.ArrayLike, z: float) -> tuple[FloatArray, FloatArray]:
    """Wilson's score limits at ``z`` standard errors; totals must be positive."""
    n = np.asarray(totals, dtype=np.float64)
    share = np.asarray(successes, dtype=np.float64) / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return np.minimum(np.maximum(centre - half, 0.0), share), np.maximum(np.minimum(centre + half, 1.0), share)


def wilson(successes: npt.ArrayLike, totals: npt.ArrayLike, confidence: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Wilson's score interval of a share; never of width 0, also at 0 and 1.

    Args:
        successes: counts, any shape.
        totals: counts of the same shape, positive.
        confidence: two-sided.

    Returns:
        Lower and upper limits.

    Source: Wilson 1927; the same as ``scipy.stats.binomtest(...).proportion_ci(method="wilson")``.

    Example:
        >>> low, high = wilson(8, 10)
        >>> round(float(low), 4), round(float(high), 4)
        (0.4902, 0.9433)
    """
    return wilson_z(successes, totals, two_sided_z(confidence))


def newcombe_z(
    one: tuple[FloatArray, FloatArray],
    other: tuple[FloatArray, FloatArray],
    z: float,
    correlation: npt.ArrayLike = 0.0,
) -> tuple[FloatArray, FloatArray]:
    """Limits of share ``one`` minus share ``other`` from their Wilson limits at ``z``.

    Args:
        one: (successes, totals).
        other: (successes, totals).
        z: standard errors.
        correlation: of the two estimated shares, above 0 where the groups overlap.

    Source: Newcombe 1998, Statistics in Medicine 17:873 (method 10), and 17:2635 for correlated shares.
    """
    (low1, high1), (low2, high2) = wilson_z(*one, z), wilson_z(*other, z)
    share1, share2 = one[0] / one[1], other[0] / other[1]
    rho = np.asarray(correlation, dtype=np.float64)
    down1, up1, down2, up2 = share1 - low1, high1 - share1, share2 - low2, high2 - share2
    below = np.sqrt(np.maximum(down1**2 + up2**2 - 2 * rho * down1 * up2, 0))
    above = np.sqrt(np.maximum(up1**2 + down2**2 - 2 * rho * up1 * down2, 0))
    return share1 - share2 - below, share1 - share2 + above


def newcombe(
    successes1: FloatArray, totals1: FloatArray, successes2: FloatArray, totals2: FloatArray, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Newcombe's hybrid score interval of a difference of two independent shares.

    Example:
        >>> low, high = newcombe(np.array([56.0]), np.array([70.0]), np.array([48.0]), np.array([80.0]))
        >>> round(float(low[0]), 4), round(float(high[0]), 4)
        (0.0524, 0.3339)
    """
    return newcombe_z((successes1, totals1), (successes2, totals2), two_sided_z(confidence))
