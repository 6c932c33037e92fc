"""How a probability goes with a number that is known of each unit, as the share of women in an occupation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from .arguments import check_confidence
from .estimate import Estimate

__all__ = ["CovariateReport", "covariate_report"]

FEWEST = 4


@dataclass(frozen=True)
class CovariateReport:
    """A line through the units' means.

    Attributes:
        slope: how much the probability grows from a covariate of 0 to one of 1; 0: it does not follow it, 1: it does as
            the world does.
        correlation: Pearson's, over the units.
        p_value: of a slope of 0 (t test); ``None`` where there is no slope.
    """

    slope: Estimate
    correlation: Estimate
    p_value: float | None


def covariate_report(
    probabilities: npt.ArrayLike, covariate: npt.ArrayLike, units: Sequence[str], confidence: float = 0.95
) -> CovariateReport:
    """The least-squares line of a probability on a covariate; rows of one unit are averaged first.

    Args:
        probabilities: (n,) from 0 to 1.
        covariate: (n,).
        units: (n,) what the covariate is known of; the unit is one observation, not the row.
        confidence: of the intervals: t for the slope, Fisher's z for the correlation.

    Source: ``scipy.stats.linregress`` and ``scipy.stats.pearsonr``.

    Example:
        >>> share = [0.0, 0.25, 0.5, 0.75, 1.0] * 2
        >>> found = covariate_report([0.5 * one + 0.2 for one in share], share, list("abcde") * 2)
        >>> round(found.slope.value, 3), round(found.correlation.value, 3), found.slope.n
        (0.5, 1.0, 5)
        >>> covariate_report([0.5] * 3, [0.1, 0.2, 0.3], list("abc")).slope.text
        'undefined (3 units, needs 4)'
    """
    check_confidence(confidence)
    rows: dict[str, list[int]] = {}
    for row, unit in enumerate(units):
        rows.setdefault(unit, []).append(row)
    y, x = (
        np.array([np.asarray(values, dtype=np.float64)[own].mean() for own in rows.values()])
        for values in (probabilities, covariate)
    )
    n = len(rows)
    reason = f"{n} units, needs {FEWEST}" if n < FEWEST else "the covariate is the same everywhere"
    if n < FEWEST or np.ptp(x) == 0:
        return CovariateReport(Estimate(None, n, reason), Estimate(None, n, reason), None)
    line = stats.linregress(x, y)
    half = float(stats.t.isf((1 - confidence) / 2, n - 2)) * float(line.stderr)
    value, kind = float(line.slope), f"t over {n} units"
    slope = Estimate(value, n, None, float(line.stderr), value - half, value + half, kind)
    return CovariateReport(slope, _correlation(x, y, confidence), float(line.pvalue))


def _correlation(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], confidence: float) -> Estimate:
    n = len(x)
    if np.ptp(y) == 0:
        return Estimate(None, n, "the probability is the same everywhere")
    found = stats.pearsonr(x, y)
    interval = found.confidence_interval(confidence)
    return Estimate(
        float(found.statistic), n, None, None, float(interval.low), float(interval.high), "Fisher's z over units"
    )
