"""Intervals of a gap and of the worst group: extremes of many rates, so the bounds hold for all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from .gaps import GapPlan, Key
from .intervals import newcombe_z, two_sided_z
from .rates import Tally, rate_cells

__all__ = ["gap_interval", "range_quantile", "worst_interval"]

FloatArray = npt.NDArray[np.float64]
Limits = Callable[[GapPlan, Key, float], tuple[FloatArray, FloatArray]]


@lru_cache(maxsize=1024)
def range_quantile(groups: int, confidence: float) -> float:
    """Quantile of the largest of all standardized differences between ``groups`` independent shares.

    It is the studentized range quantile over the square root of 2: 1.96 for two groups, 2.73 for five.
    """
    return float(stats.studentized_range.ppf(confidence, groups, np.inf) / np.sqrt(2))


def correlations(plan: GapPlan, key: Key) -> FloatArray:
    """(E, E) correlations of the eligible groups' estimated rates: 0 unless they share members.

    The smaller of the share of common members and the empirical correlation, so that neither narrows an interval alone.
    """
    counts, found, chosen = plan.counts, plan.tallies[key], plan.eligible[key]
    within, success = rate_cells(counts.labels, counts.predictions, *key)
    members = counts.patterns[:, chosen].astype(np.float64)
    both = members.T @ (members * (counts.counts * within)[:, None])
    right = members.T @ (members * (counts.counts * success)[:, None])
    totals = found.totals[chosen]
    share = (found.successes[chosen] + 1) / (totals + 2)
    cross = right * (1 - share[:, None] - share[None, :]) + both * np.outer(share, share)
    scale = np.sqrt(totals * share * (1 - share))
    return np.asarray(
        np.clip(np.minimum(cross / np.outer(scale, scale), both / np.sqrt(np.outer(totals, totals))), 0, 1)
    )


def pair_limits(plan: GapPlan, key: Key, z: float) -> tuple[FloatArray, FloatArray]:
    """(E, E) limits of rate i minus rate j at ``z`` standard errors."""
    found, chosen = plan.tallies[key], plan.eligible[key]
    one = found.successes[chosen], found.totals[chosen]
    rows, columns = (one[0][:, None], one[1][:, None]), (one[0][None, :], one[1][None, :])
    return newcombe_z(rows, columns, z, correlations(plan, key))


def gap_interval(
    plan: GapPlan, metric: str, confidence: float = 0.95, limits: Limits = pair_limits
) -> tuple[float, float] | None:
    """The interval of a gap, ``None`` where the gap is undefined.

    Args:
        plan: of the measured counts.
        metric: one of ``GAPS``.
        confidence: of the interval.
        limits: (E, E) limits of the differences of a rate's eligible groups, at so many standard errors.

    The lower end is the largest lower bound of any difference of two groups, floored at 0, the bounds holding for all
    pairs (and for an equalized odds difference for TPR and FPR, and for all classes) at once. The upper end is the
    largest upper bound of any difference: it fails only if the bound of the one truly extreme pair fails, so those
    bounds need to hold one at a time.

    Source: Agresti, Bini, Bertaccini & Ryu 2008, Biometrics 64:1270 (studentized range with score limits for shares).
    """
    bundles = plan.bundles(metric)
    if not bundles:
        return None
    sides = len({key for bundle in bundles for key in bundle})
    z = two_sided_z(confidence)
    low, high = 0.0, 0.0
    for bundle in bundles:
        lows, highs = [], []
        for key in bundle:
            c = range_quantile(int(plan.eligible[key].sum()), confidence ** (1 / sides))
            lows.append(max(0.0, float(limits(plan, key, c)[0].max())))
            highs.append(float(limits(plan, key, z)[1].max()))
        mean = metric == "eod_mean"
        low = max(low, float(np.mean(lows)) if mean else max(lows))
        high = max(high, float(np.mean(highs)) if mean else max(highs))
    return low, min(high, 1.0)


def worst_interval(
    plan: GapPlan, confidence: float = 0.95, effective: Tally | None = None
) -> tuple[float, float] | None:
    """The interval of the worst group's accuracy, ``None`` where no group is eligible.

    Args:
        plan: of the measured counts.
        confidence: of the interval.
        effective: right answers and members of the (E,) eligible groups as so many independent rows; by default those
            of the plan.

    From the smallest lower exact limit (it fails only if the limit of the truly worst group does) to the smallest upper
    limit, the upper limits holding for all groups at once (Sidak, one-sided). Exact limits, since Wilson's upper limit
    of an accuracy near 1 is too low in one tail: with 13 groups of 70 at .99 such an interval covered 76%.

    Source: Clopper & Pearson 1934; Sidak 1967.
    """
    key: Key = ("accuracy", None)
    chosen = plan.eligible[key]
    if not chosen.any():
        return None
    found = effective or Tally(plan.tallies[key].successes[chosen], plan.tallies[key].totals[chosen])
    right, totals = found.successes, found.totals
    one = (1 + confidence) / 2
    every = max(one, confidence ** (1 / int(chosen.sum())))
    low = np.where(right > 0, stats.beta.ppf(1 - one, right, totals - right + 1), 0.0)
    high = np.where(right < totals, stats.beta.ppf(every, right + 1, totals - right), 1.0)
    return float(low.min()), float(high.min())
