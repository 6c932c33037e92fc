"""Tests of a difference of two maxima: two gaps, or two worst groups, measured on the same samples.

A gap is the maximum of many differences of rates. Its bootstrap distribution is wrong wherever several groups nearly
tie, so the test does not resample the gap. With Z the recentred draws of the rates, the difference of the measured gaps
exceeds the true difference by at most ``max of Z_A over the pairs that may be A's largest - Z_B of B's truly largest
pair``. The pairs that may be largest are those within 1.5 standard errors of the largest; which of them is B's largest
is unknown, so the least favourable one counts. Both directions are treated alike.

Source: Fang & Santos 2019, Review of Economic Studies 86:377 (inference on directionally differentiable functions),
with the least favourable direction on the subtracted side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .gaps import GapPlan, Key
from .rates import Tally

__all__ = ["MINIMAL_DETECTABLE", "NEAR", "DifferenceOfMaxima", "compare_maxima", "maximum_of_gap", "maximum_of_worst"]

FloatArray = npt.NDArray[np.float64]

MINIMAL_DETECTABLE = 2.80  # standard errors seen with 80% power by a two-sided z test at 5%: 1.96 + 0.84
POWER_Z = 0.84
NEAR = 1.5  # standard errors within which a pair may be the truly largest


@dataclass(frozen=True)
class Maximum:
    """A maximum over differences of rates, in bootstrap draws recentred at the data.

    Attributes:
        value: the measured maximum.
        upper: (draws,) the maximum over the pairs that may be largest.
        singles: (pairs, draws) each of these pairs alone.
        draws: (draws,) the plain bootstrap of the maximum, for its standard error.
    """

    value: float
    upper: FloatArray
    singles: FloatArray
    draws: FloatArray


@dataclass(frozen=True)
class DifferenceOfMaxima:
    """Result of the comparison: A minus B.

    Attributes:
        value: difference of the measured maxima.
        stderr: bootstrap standard error.
        low: lower end of the interval.
        high: upper end.
        p_value: two-sided.
        undefined_draws: draws in which a rate was undefined; left out.
        minimal_detectable: the difference that this test would see with 80% power.
    """

    value: float
    stderr: float
    low: float
    high: float
    p_value: float
    undefined_draws: int
    minimal_detectable: float


def _side(plan: GapPlan, key: Key, tallies: Mapping[Key, Tally]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Rates (E,), smoothed standard errors (E,) and drawn rates (E, draws) of the eligible groups."""
    chosen, found = plan.eligible[key], plan.tallies[key]
    totals = found.totals[chosen]
    share = (found.successes[chosen] + 1) / (totals + 2)
    return found.rates[chosen], np.sqrt(share * (1 - share) / (totals + 2)), tallies[key].rates[chosen]


def _pairs(rates: FloatArray, errors: FloatArray, best: float) -> list[tuple[int, int]]:
    """The ordered pairs whose difference may be the largest one."""
    difference = rates[:, None] - rates[None, :]
    error = np.sqrt(errors[:, None] ** 2 + errors[None, :] ** 2)
    near = difference >= best - NEAR * np.maximum(error, error[np.unravel_index(difference.argmax(), error.shape)])
    np.fill_diagonal(near, False)
    return [(int(row), int(column)) for row, column in np.argwhere(near)]


def maximum_of_gap(plan: GapPlan, metric: str, tallies: Mapping[Key, Tally]) -> Maximum:
    """A gap as a maximum over pairs of groups; the plan must define it."""
    bundles = plan.bundles(metric)
    sides = {key: _side(plan, key, tallies) for bundle in bundles for key in bundle}
    gaps = {key: float(np.ptp(rates)) for key, (rates, _, _) in sides.items()}
    plain = {key: drawn.max(axis=0) - drawn.min(axis=0) for key, (_, _, drawn) in sides.items()}
    if metric != "eod_mean":
        bundles = tuple((key,) for bundle in bundles for key in bundle)
    values = [float(np.mean([gaps[key] for key in bundle])) for bundle in bundles]
    best = max(values)
    uppers, singles = [], []
    for bundle, value in zip(bundles, values, strict=True):
        slack = best - value  # how far this bundle's own largest pair lies under the largest of all
        alone = [_singles(*sides[key], gaps[key] + slack) for key in bundle]
        if any(len(one) == 0 for one in alone):
            continue
        uppers.append(np.mean([one.max(axis=0) for one in alone], axis=0))
        singles.append(alone[0] if len(alone) == 1 else _mixed(alone))
    drawn = np.max([np.mean([plain[key] for key in bundle], axis=0) for bundle in bundles], axis=0)
    return Maximum(best, np.max(uppers, axis=0), np.concatenate(singles), np.asarray(drawn))


def _singles(rates: FloatArray, errors: FloatArray, drawn: FloatArray, best: float) -> FloatArray:
    """(pairs, draws) recentred differences of the pairs that may be largest, the measured largest first."""
    centred = drawn - rates[:, None]
    pairs = sorted(_pairs(rates, errors, best), key=lambda pair: rates[pair[1]] - rates[pair[0]])
    found = [centred[row] - centred[column] for row, column in pairs]
    return np.stack(found) if found else np.empty((0, drawn.shape[1]))


def _mixed(alone: list[FloatArray]) -> FloatArray:
    """Means of one pair from each rate: each rate's pairs in turn, the other at its measured largest."""
    first, second = alone
    return np.concatenate([(first + second[:1]) / 2, (first[:1] + second[1:]) / 2])


def maximum_of_worst(plan: GapPlan, tallies: Mapping[Key, Tally]) -> Maximum:
    """Minus the worst group's accuracy as a maximum over groups."""
    rates, errors, drawn = _side(plan, ("accuracy", None), tallies)
    worst = int(rates.argmin())
    near = rates <= rates[worst] + NEAR * np.sqrt(errors**2 + errors[worst] ** 2)
    alone = -(drawn - rates[:, None])[near]
    return Maximum(-float(rates[worst]), alone.max(axis=0), alone, -drawn.min(axis=0))


def _exceeds(upper: FloatArray, singles: FloatArray, difference: float) -> float:
    """Largest one-sided p-value, over which single pair is the truth, of a difference at least this large."""
    beyond = max(int((upper - single >= difference - 1e-12).sum()) for single in singles)
    return (1 + beyond) / (len(upper) + 1)


def compare_maxima(a: Maximum, b: Maximum, confidence: float = 0.95) -> DifferenceOfMaxima:
    """Test and interval of the maximum of A minus the maximum of B, from draws of the same samples.

    Source: the docstring of this module. The p-value is twice the one-sided one; the interval is its inversion.
    """
    defined = ~(np.isnan(a.draws) | np.isnan(b.draws))
    up_a, up_b = a.upper[defined], b.upper[defined]
    one_a, one_b = a.singles[:, defined], b.singles[:, defined]
    value = a.value - b.value
    tail = 1 - (1 - confidence) / 2
    up, down = _exceeds(up_a, one_b, value), _exceeds(up_b, one_a, -value)
    above = max(float(np.quantile(up_a - single, tail)) for single in one_b)
    below = max(float(np.quantile(up_b - single, tail)) for single in one_a)
    drawn = (a.draws - b.draws)[defined]
    p_value = 1.0 if abs(value) < 1e-12 else min(1.0, 2 * (up if value > 0 else down))
    low, high = value - max(above, 0.0), value + max(below, 0.0)
    if p_value >= 1 - confidence:  # the two agree up to the interpolation of a quantile
        low, high = min(low, 0.0), max(high, 0.0)
    stderr = float(drawn.std(ddof=1))
    detectable = max(MINIMAL_DETECTABLE * stderr, max(above, below) + POWER_Z * stderr)
    return DifferenceOfMaxima(value, stderr, low, high, p_value, int((~defined).sum()), detectable)
