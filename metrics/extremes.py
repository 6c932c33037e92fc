"""Tests of a difference of two maxima: two gaps, or two worst groups, measured on the same samples.

A gap is the maximum of many differences of rates. Its bootstrap distribution is wrong wherever several groups nearly
tie, so the test does not resample the gap. With Z the recentred draws of the rates, the measured gap of A minus the
measured gap of B exceeds the true difference by at most ``upper of A - floor of B``:

- upper of A: the maximum of Z_A over the pairs of groups that may be A's truly largest, their rates within 1.5
  standard errors of the measured highest and lowest, as if they all tied;
- floor of B: the maximum of Z_B, where the truly largest pair stands at 0 and every other group as far behind it as is
  plausible: its measured distance and 2 standard errors more. Which pair is B's largest is unknown: of those that may
  be, the least favourable counts.

Both directions are treated alike.

Draws never show what no sample shows: where no answer, or nearly none, is wrong they all agree, and an interval of
width 0 would call a gap certain. So each rate has the variance of one sample more that only A, or only B, answers
right, as Bonett and Price have it for one rate: :func:`compare_maxima` adds it to that of the draws.

Sources: Fang & Santos 2019, Review of Economic Studies 86:377 (inference on directionally differentiable functions),
with the least favourable direction on the subtracted side; Bonett & Price 2012, Journal of Educational and Behavioral
Statistics 37:479 (the interval of a paired difference, a discordant sample added to each side).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from .gaps import GapPlan, Key
from .rates import Tally

__all__ = [
    "MINIMAL_DETECTABLE",
    "NEAR",
    "DifferenceOfMaxima",
    "TooFewDraws",
    "compare_maxima",
    "maximum_of_gap",
    "maximum_of_worst",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Side = tuple[FloatArray, FloatArray, FloatArray]

MINIMAL_DETECTABLE = 2.80  # standard errors seen with 80% power by a two-sided z test at 5%: 1.96 + 0.84
POWER_Z = 0.84
ENOUGH = 0.5  # share of the draws that must be defined: those that are not would have differed from those that are
NEAR = 1.5  # standard errors within which a pair may be the truly largest
BEHIND = 2.0  # standard errors that a group may lie further behind than measured
_PAIRS = 64  # compared at a time, for the memory


@dataclass(frozen=True, eq=False)
class Floors:
    """What a maximum is at least, for each pair that may be the truly largest: sums of what its two ends give.

    Attributes:
        parts: (parts, draws) what one group gives as the highest, or as the lowest.
        sums: (pairs, terms) the parts that make up each pair's floor.
    """

    parts: FloatArray
    sums: IntArray

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.sums)

    def of(self, pairs: slice) -> FloatArray:
        """(pairs, draws) the floors of some pairs."""
        first, *others = self.sums[pairs].T
        found: FloatArray = self.parts[first]
        for other in others:
            found += self.parts[other]
        return found

    @classmethod
    def joined(cls, many: Sequence[Floors]) -> Floors:
        """The pairs of all of them, of equally many terms."""
        starts = np.cumsum([0, *(len(one.parts) for one in many)])
        sums = [one.sums + start for one, start in zip(many, starts[:-1], strict=True)]
        return cls(np.concatenate([one.parts for one in many]), np.concatenate(sums))


@dataclass(frozen=True, eq=False)
class Maximum:
    """A maximum over differences of rates, in bootstrap draws recentred at the data.

    Attributes:
        value: the measured maximum.
        upper: (draws,) the maximum over the pairs that may be largest.
        floors: what the maximum is at least, for each pair that may be the truly largest.
        draws: (draws,) the plain bootstrap of the maximum, for its standard error.
        unseen: variance of one sample more, at the pair that may be largest of which least is known.
    """

    value: float
    upper: FloatArray
    floors: Floors
    draws: FloatArray
    unseen: float

    def where(self, chosen: BoolArray) -> Maximum:
        """In some of the draws."""
        floors = Floors(self.floors.parts[:, chosen], self.floors.sums)
        return Maximum(self.value, self.upper[chosen], floors, self.draws[chosen], self.unseen)


@dataclass(frozen=True)
class TooFewDraws:
    """No comparison: in most draws a group is so small that none of its samples is drawn and its rate is undefined.

    Attributes:
        draws: number of draws.
        undefined_draws: draws in which a rate was undefined.
    """

    draws: int
    undefined_draws: int

    @property
    def reason(self) -> str:
        """Why there is no comparison, in words."""
        if not self.undefined_draws:
            return f"a test needs 2 draws or more, not {self.draws}"
        defined = self.draws - self.undefined_draws
        return f"defined in {defined} of {self.draws} draws: groups too small, raise min_group"


@dataclass(frozen=True)
class DifferenceOfMaxima:
    """Result of the comparison: A minus B.

    Attributes:
        value: difference of the measured maxima.
        stderr: bootstrap standard error, with the variance of one sample more that no draw shows.
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


def _side(plan: GapPlan, key: Key, tallies: Mapping[Key, Tally]) -> Side:
    """Rates (E,), standard errors (E,) and drawn rates (E, draws) of the eligible groups.

    The error is the larger of the smoothed binomial one, never 0, and that of the draws, which know of clusters.
    """
    chosen, found = plan.eligible[key], plan.tallies[key]
    totals, drawn = found.totals[chosen], tallies[key].rates[chosen]
    share = (found.successes[chosen] + 1) / (totals + 2)
    centred = np.nan_to_num(drawn - found.rates[chosen][:, None])  # a draw without the group says nothing of its spread
    spread = np.sqrt((centred**2).mean(axis=1))
    return found.rates[chosen], np.maximum(np.sqrt(share * (1 - share) / (totals + 2)), spread), drawn


def _pairs(rates: FloatArray, errors: FloatArray, behind: float) -> list[tuple[int, int]]:
    """The ordered pairs whose difference may be the largest one, the measured largest first.

    Args:
        rates: (E,).
        errors: (E,) their standard errors.
        behind: how far the largest difference here lies behind the largest of other rates; with a distance that
            chance does not explain there are no pairs.
    """
    high, low = int(rates.argmax()), int(rates.argmin())
    to_high, to_low = (NEAR * np.sqrt(errors**2 + errors[end] ** 2) for end in (high, low))
    if behind > NEAR * np.sqrt(2) * np.hypot(errors[high], errors[low]):
        return []
    tops, bottoms = rates >= rates[high] - to_high, rates <= rates[low] + to_low
    pairs = [
        (int(top), int(bottom)) for top in np.flatnonzero(tops) for bottom in np.flatnonzero(bottoms) if top != bottom
    ]
    return sorted(pairs, key=lambda pair: float(rates[pair[1]] - rates[pair[0]]))


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
    uppers, floors, unseen = [], [], []
    for bundle, value in zip(bundles, values, strict=True):
        pairs = {key: _pairs(*sides[key][:2], best - value) for key in bundle}
        if not all(pairs.values()):
            continue
        uppers.append(np.mean([_upper(sides[key], pairs[key]) for key in bundle], axis=0))
        alone = [_floors(sides[key], pairs[key]) for key in bundle]
        floors.append(alone[0] if len(alone) == 1 else _mixed(alone))
        ends = [_unseen(plan, key)[np.array(pairs[key])].sum(axis=1).max() for key in bundle]
        unseen.append(float(np.sum(ends)) / len(bundle) ** 2)
    drawn = np.max([np.mean([plain[key] for key in bundle], axis=0) for bundle in bundles], axis=0)
    return Maximum(best, np.max(uppers, axis=0), Floors.joined(floors), np.asarray(drawn), max(unseen))


def _unseen(plan: GapPlan, key: Key) -> FloatArray:
    """(E,) variance of each eligible group's rate where it had one success more or less than is known."""
    return np.asarray(1 / (plan.tallies[key].totals[plan.eligible[key]] + 2) ** 2)


def _upper(side: Side, pairs: list[tuple[int, int]]) -> FloatArray:
    """(draws,) the largest recentred difference of the pairs that may be largest."""
    rates, _, drawn = side
    centred = drawn - rates[:, None]
    largest = np.full(drawn.shape[1], -np.inf)
    for high, low in pairs:
        np.maximum(largest, centred[high] - centred[low], out=largest)
    return largest


def _floors(side: Side, pairs: list[tuple[int, int]]) -> Floors:
    """What the recentred largest difference is at least, if one of these pairs is the truly largest."""
    rates, errors, drawn = side
    centred = drawn - rates[:, None]
    tops, bottoms = (list(dict.fromkeys(ends)) for ends in zip(*pairs, strict=True))
    highest = [_behind(centred, rates, errors, high) for high in tops]
    lowest = [_behind(-centred, -rates, errors, low) for low in bottoms]
    sums = [(tops.index(high), len(tops) + bottoms.index(low)) for high, low in pairs]
    return Floors(np.stack([*highest, *lowest]), np.array(sums, dtype=np.int64))


def _behind(centred: FloatArray, rates: FloatArray, errors: FloatArray, first: int) -> FloatArray:
    """(draws,) the largest recentred rate, if group ``first`` truly is and the others are plausibly far behind it."""
    distance = np.maximum(0.0, rates[first] - rates + BEHIND * np.sqrt(errors[first] ** 2 + errors**2))
    distance[first] = 0.0
    return np.asarray((centred - distance[:, None]).max(axis=0))


def _mixed(alone: list[Floors]) -> Floors:
    """Means of one pair from each rate: each rate's pairs in turn, the other at its measured largest."""
    first, second = alone
    ours, theirs = first.sums, second.sums + len(first.parts)
    sums = [(*pair, *theirs[0]) for pair in ours] + [(*ours[0], *pair) for pair in theirs[1:]]
    return Floors(np.concatenate([first.parts, second.parts]) / 2, np.array(sums, dtype=np.int64))


def maximum_of_worst(plan: GapPlan, tallies: Mapping[Key, Tally]) -> Maximum:
    """Minus the worst group's accuracy as a maximum over groups."""
    rates, errors, drawn = _side(plan, ("accuracy", None), tallies)
    worst = int(rates.argmin())
    near = np.flatnonzero(rates <= rates[worst] + NEAR * np.sqrt(errors**2 + errors[worst] ** 2))
    centred = rates[:, None] - drawn
    parts = np.stack([_behind(centred, -rates, errors, int(group)) for group in near])
    floors = Floors(parts, np.arange(len(near), dtype=np.int64)[:, None])
    unseen = float(_unseen(plan, ("accuracy", None))[near].max())
    return Maximum(-float(rates[worst]), centred[near].max(axis=0), floors, -drawn.min(axis=0), unseen)


def _one_sided(upper: FloatArray, floors: Floors, difference: float, tail: float) -> tuple[float, float]:
    """What is above the floor: the p-value of a difference at least this large, and the quantile at ``tail``.

    Both are the largest over which pair is the truly largest.
    """
    beyond, quantile = 0, -np.inf
    place = tail * (len(upper) - 1)
    above = len(upper) - 1 - (int(place) + 1)  # values above the upper one of the two that are interpolated
    for start in range(0, len(floors), _PAIRS):
        excess = upper - floors.of(slice(start, start + _PAIRS))
        beyond = max(beyond, int((excess >= difference - 1e-12).sum(axis=1).max()))
        for row in excess:
            # most pairs are out of the question, and counting is far cheaper than a quantile
            if np.count_nonzero(row > quantile) > above:
                quantile = max(quantile, float(np.quantile(row, tail, overwrite_input=True)))
    return (1 + beyond) / (len(upper) + 1), quantile


def compare_maxima(
    a: Maximum, b: Maximum, confidence: float = 0.95, unit: float = 1.0
) -> DifferenceOfMaxima | TooFewDraws:
    """Test and interval of the maximum of A minus the maximum of B, from draws of the same samples.

    ``unit``: how many samples are drawn together on average; what no draw shows is a unit more, not a sample.

    Source: the docstring of this module. The p-value is twice the one-sided one; the interval is its inversion at this
    confidence. Where fewer than half of the draws, or fewer than 2, are defined there is no comparison.
    """
    drawn = a.draws - b.draws
    defined = ~np.isnan(drawn)
    undefined = int((~defined).sum())
    if len(defined) - undefined < max(2, ENOUGH * len(defined)):
        return TooFewDraws(len(defined), undefined)
    if undefined:
        a, b, drawn = a.where(defined), b.where(defined), drawn[defined]
    value = a.value - b.value
    z, unseen = float(ndtri(1 - (1 - confidence) / 2)), unit * math.sqrt(a.unseen + b.unseen)
    widest = math.hypot(float(drawn.std(ddof=1)), unseen)
    tail = 1 - (1 - confidence) / 2
    up, above = _one_sided(a.upper, b.floors, value, tail)
    down, below = _one_sided(b.upper, a.floors, -value, tail)
    p_value = 1.0 if abs(value) < 1e-12 else _with_unseen(min(1.0, 2 * (up if value > 0 else down)), value, unseen)
    p_value = max(p_value, float(2 * ndtr(-abs(value) / widest)))
    above, below = (max(math.hypot(max(side, 0.0), z * unseen), z * widest) for side in (above, below))
    low, high = max(-1.0, value - above), min(1.0, value + below)
    if p_value >= 1 - confidence - 1e-12:  # the two agree up to the interpolation of a quantile, and of a normal error
        low, high = min(low, 0.0), max(high, 0.0)
    elif low <= 0 <= high:
        p_value = 1 - confidence
    detectable = max(MINIMAL_DETECTABLE * widest, max(above, below) + POWER_Z * widest)
    return DifferenceOfMaxima(value, widest, low, high, p_value, undefined, detectable)


def _with_unseen(p_value: float, value: float, unseen: float) -> float:
    """The p-value of a difference whose error is larger by this much, if what it has is that of a normal error."""
    z = -float(ndtri(p_value / 2))
    return 1.0 if z <= 0 else float(2 * ndtr(-abs(value) / math.hypot(value / z, unseen)))
