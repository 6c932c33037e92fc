"""Membership attacks judged: overall, for each group, and one target against another on the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import stats

from ..errors import GroupgapError
from .arguments import check_min_group
from .calibration_error import Drawing
from .estimate import Estimate
from .intervals import SMALLEST_P, wilson
from .paired import bonett_price
from .roc import FALSE_POSITIVE_RATES, AttackPower, attack_power, auc_components, t_quantile, threshold_at

__all__ = ["AttackDifference", "AttackJudgement", "CommonThreshold", "GroupPower", "compare_attacks", "judge_attack"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CommonThreshold:
    """A group at the threshold that holds a false positive rate over all non-members.

    Attributes:
        tpr: share of the group's members called members.
        fpr: share of the group's non-members called members: it need not be the common rate.
    """

    tpr: Estimate
    fpr: Estimate


@dataclass(frozen=True)
class GroupPower:
    """What an attack achieves on one group.

    Attributes:
        own: with the group's own non-members, so at the group's own thresholds.
        common: false positive rate -> the group at the threshold of all non-members.
    """

    own: AttackPower
    common: dict[float, CommonThreshold]


@dataclass(frozen=True)
class AttackJudgement:
    """An attack on one target.

    Attributes:
        overall: over all audit examples.
        groups: by group name; overlapping groups share examples.
        min_group: fewest members and non-members with which a group is judged.
    """

    overall: AttackPower
    groups: dict[str, GroupPower]
    min_group: int


@dataclass(frozen=True)
class AttackDifference:
    """Target A minus target B on the same audit examples.

    Attributes:
        auc: difference of the AUCs, with DeLong's interval for correlated curves.
        auc_p_value: of "both curves have the same area"; ``None`` where undefined.
        tpr_at: false positive rate -> difference of the true positive rates, each at its own threshold; the
            recentred bootstrap's interval joined with Bonett and Price's of the paired hits at the measured thresholds.
        tpr_p_values: of "both have the same true positive rate there", the larger of the recentred bootstrap's and that
            of the paired hits.
        draws: bootstrap draws.
    """

    auc: Estimate
    auc_p_value: float | None
    tpr_at: dict[float, Estimate] = field(default_factory=dict)
    tpr_p_values: dict[float, float | None] = field(default_factory=dict)
    draws: int = 0


def judge_attack(
    scores: npt.ArrayLike,
    member: npt.ArrayLike,
    membership: npt.ArrayLike,
    groups: Sequence[str],
    min_group: int = 30,
    rates: tuple[float, ...] = FALSE_POSITIVE_RATES,
) -> AttackJudgement:
    """Judge an attack on one target.

    Args:
        scores: (n,) the larger, the more the attack takes the example for a training row.
        member: (n,) bool, whether it was one.
        membership: (n, G) bool, the groups of each example; they may overlap.
        groups: G names.
        min_group: fewest members and fewest non-members with which a group is judged.
        rates: false positive rates.

    Raises:
        GroupgapError: shapes that do not fit; NaN scores.

    Example:
        >>> scores = [3.0, 2.0, 1.0, 2.0, 1.0, 0.0] * 20
        >>> judged = judge_attack(scores, [True, True, True, False, False, False] * 20, [[True]] * 120, ["a"])
        >>> round(judged.overall.auc.value, 4), judged.groups["a"].own.members
        (0.7778, 60)
    """
    values, inside = _checked(scores, member)
    matrix = np.asarray(membership, dtype=np.bool_).reshape(len(values), -1)
    if matrix.shape[1] != len(groups):
        raise GroupgapError(f"Expected a column of membership for each of {len(groups)} groups, got {matrix.shape[1]}")
    check_min_group(min_group)
    falling = np.sort(values[~inside])[::-1]
    at = {rate: threshold_at(falling, int(np.floor(len(falling) * rate + 1e-9))) for rate in rates}
    result = {}
    for name, column in zip(groups, matrix.T, strict=True):
        own = _power(values[column & inside], values[column & ~inside], rates, min_group)
        result[name] = GroupPower(
            own, {rate: _common(values, inside, column, at[rate], rate, min_group) for rate in rates}
        )
    return AttackJudgement(attack_power(values[inside], values[~inside], rates), result, min_group)


def _power(members: FloatArray, nonmembers: FloatArray, rates: tuple[float, ...], least: int) -> AttackPower:
    if min(len(members), len(nonmembers)) >= least:
        return attack_power(members, nonmembers, rates)
    reason = f"{len(members):,} members and {len(nonmembers):,} non-members: fewer than {least}"
    nothing = Estimate(None, len(members) + len(nonmembers), reason)
    return AttackPower(len(members), len(nonmembers), nothing, nothing, dict.fromkeys(rates, nothing))


def _common(
    values: FloatArray, inside: BoolArray, column: BoolArray, threshold: float, rate: float, least: int
) -> CommonThreshold:
    if (~inside).sum() * rate < 1 - 1e-9:
        needed = int(np.ceil(1 / rate - 1e-9))
        nothing = Estimate(None, int((~inside).sum()), f"it takes {needed:,} non-members to show a rate of {rate:g}")
        return CommonThreshold(nothing, nothing)
    sides = []
    for name, side in (("members", column & inside), ("non-members", column & ~inside)):
        n, hits = int(side.sum()), int((values[side] > threshold).sum())
        if n < least:
            sides.append(Estimate(None, n, f"{n:,} {name}: fewer than {least}"))
            continue
        low, high = wilson(hits, n)
        sides.append(
            Estimate(hits / n, n, low=float(low), high=float(high), interval="Wilson, at the measured threshold")
        )
    return CommonThreshold(*sides)


def compare_attacks(
    one: npt.ArrayLike,
    other: npt.ArrayLike,
    member: npt.ArrayLike,
    rates: tuple[float, ...] = FALSE_POSITIVE_RATES,
    draws: int = 2_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> AttackDifference:
    """Compare the attacks on two targets that were trained on the same rows, example by example.

    Args:
        one: (n,) scores of target A.
        other: (n,) scores of target B on the same examples.
        member: (n,) bool, the training rows of both.
        rates: false positive rates.
        draws: of the bootstrap, which draws examples of both targets together and estimates each threshold anew.
        seed: of the draws.
        confidence: of the intervals.

    Returns:
        Undefined, with the reason, where a side has fewer than 2 examples or a rate cannot be shown.

    Source: DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837, for the areas.
    """
    a, inside = _checked(one, member)
    b, _ = _checked(other, member)
    drawing = Drawing(draws, seed, confidence)
    least = min(int(inside.sum()), int((~inside).sum()))
    if least < 2:
        nothing = Estimate(None, len(a), "fewer than 2 members or non-members")
        return AttackDifference(nothing, None, dict.fromkeys(rates, nothing), dict.fromkeys(rates), draws)
    auc, p_value = _auc_difference(a, b, inside, confidence)
    tprs, p_values = _tpr_differences(a, b, inside, rates, drawing)
    return AttackDifference(auc, p_value, tprs, p_values, draws)


def _auc_difference(a: FloatArray, b: FloatArray, inside: BoolArray, confidence: float) -> tuple[Estimate, float]:
    over_a, under_a = auc_components(a[inside], a[~inside])
    over_b, under_b = auc_components(b[inside], b[~inside])
    value = float(over_a.mean() - over_b.mean())
    variance = np.var(over_a - over_b, ddof=1) / len(over_a) + np.var(under_a - under_b, ddof=1) / len(under_a)
    # where every example moves alike DeLong's error is 0, or what rounding leaves of it: then it is that of one example
    # that moves all the way
    stderr = float(np.sqrt(variance))
    stderr = stderr if stderr > 1e-12 else 1 / min(len(over_a), len(under_a))
    half = t_quantile(len(over_a), len(under_a), confidence) * stderr
    p_value = max(SMALLEST_P, float(2 * stats.t.sf(abs(value) / stderr, min(len(over_a), len(under_a)) - 1)))
    interval = Estimate(
        value,
        len(a),
        stderr=stderr,
        low=max(-1.0, value - half),
        high=min(1.0, value + half),
        interval="DeLong, paired, t",
    )
    return interval, p_value


def _tpr_differences(
    a: FloatArray, b: FloatArray, inside: BoolArray, rates: tuple[float, ...], drawing: Drawing
) -> tuple[dict[float, Estimate], dict[float, float | None]]:
    """By the bootstrap, which knows of the thresholds but of no example that it has not seen, and by the paired hits at
    the measured thresholds, which is the other way round: of the two the wider interval, and the larger p-value. The
    interval holds 0 where the p-value does not reject, and nowhere else.
    """
    members, nonmembers = int(inside.sum()), int((~inside).sum())
    shown = tuple(rate for rate in rates if nonmembers * rate >= 1 - 1e-9)
    sides = [_Sorted(a, inside), _Sorted(b, inside)]
    seen, away = _redrawn(sides, (members, nonmembers), shown, drawing)
    hits = [side.hits(shown) for side in sides]
    estimates: dict[float, Estimate] = {}
    p_values: dict[float, float | None] = {}
    for rate in rates:
        if rate not in shown:
            needed = int(np.ceil(1 / rate - 1e-9))
            estimates[rate] = Estimate(None, nonmembers, f"it takes {needed:,} non-members to show a rate of {rate:g}")
            p_values[rate] = None
            continue
        value, moved = float(seen[shown.index(rate)]), away[:, shown.index(rate)]
        half = float(np.quantile(moved, drawing.confidence, method="higher"))
        only_a, only_b = (int((one & ~other)[:, shown.index(rate)].sum()) for one, other in (hits, hits[::-1]))
        _, stderr, least, most = map(float, bonett_price(only_a, only_b, members, drawing.confidence))
        by_hits = 2 * stats.norm.sf(abs(only_a - only_b) / (members + 2) / stderr)
        p_value = max(float((1 + (moved >= abs(value) - 1e-12).sum()) / (drawing.draws + 1)), float(by_hits))
        low, high = max(-1.0, min(value - half, least)), min(1.0, max(value + half, most))
        if p_value >= 1 - drawing.confidence - 1e-12:  # the two agree up to a draw
            low, high = min(low, 0.0), max(high, 0.0)
        if low <= 0 <= high:
            p_value = max(p_value, 1 - drawing.confidence)
        p_values[rate] = p_value
        estimates[rate] = Estimate(
            value,
            members,
            low=low,
            high=high,
            interval="symmetric bootstrap, and Bonett-Price",
        )
    return estimates, p_values


def _redrawn(
    sides: Sequence[_Sorted], sizes: tuple[int, int], rates: tuple[float, ...], drawing: Drawing
) -> tuple[FloatArray, FloatArray]:
    """The measured differences (rates,), and how far each draw is from them (draws, rates)."""
    rng = np.random.default_rng(drawing.seed)
    seen = _difference(sides, [np.ones(size) for size in sizes], rates)
    away = np.empty((drawing.draws, len(rates)))
    for draw in range(drawing.draws if rates else 0):
        weights = [np.bincount(rng.integers(0, size, size), minlength=size).astype(np.float64) for size in sizes]
        away[draw] = np.abs(_difference(sides, weights, rates) - seen)
    return seen, away


def _difference(sides: Sequence[_Sorted], weights: Sequence[FloatArray], rates: tuple[float, ...]) -> FloatArray:
    one, other = (side.tprs(weights[0], weights[1], rates) for side in sides)
    return one - other


class _Sorted:
    """One target's scores, sorted once, so that a draw is a sum of weights."""

    def __init__(self, scores: FloatArray, inside: BoolArray) -> None:
        negatives = scores[~inside]
        self._order = np.argsort(-negatives, kind="stable")
        self._falling = negatives[self._order]
        self._members = np.argsort(scores[inside], kind="stable")
        self._rising = scores[inside][self._members]

    def hits(self, rates: tuple[float, ...]) -> BoolArray:
        """(members, rates) who is above the measured thresholds, in the order of the examples."""
        allowed = np.floor(len(self._falling) * np.asarray(rates) + 1e-9).astype(np.intp)
        above = self._rising[:, None] > self._falling[np.minimum(allowed, len(self._falling) - 1)]
        return np.asarray(above[np.argsort(self._members)], dtype=np.bool_)

    def tprs(self, of_members: FloatArray, of_nonmembers: FloatArray, rates: tuple[float, ...]) -> FloatArray:
        """(rates,) true positive rates where each example counts so many times."""
        above = np.cumsum(of_nonmembers[self._order])
        allowed = np.floor(above[-1] * np.asarray(rates) + 1e-9)
        # the first non-member that is one too many: members must be above it
        place = np.searchsorted(above, allowed, side="right")
        thresholds = self._falling[np.minimum(place, len(self._falling) - 1)]
        below = np.concatenate([[0.0], np.cumsum(of_members[self._members])])
        start = np.searchsorted(self._rising, thresholds, side="right")
        return np.asarray(1 - below[start] / below[-1], dtype=np.float64)


def _checked(scores: npt.ArrayLike, member: npt.ArrayLike) -> tuple[FloatArray, BoolArray]:
    values, inside = np.asarray(scores, dtype=np.float64), np.asarray(member)
    if values.ndim != 1 or inside.shape != values.shape or inside.dtype != np.bool_:
        raise GroupgapError(
            f"Expected scores (n,) and member (n,) bool, but got {values.shape} and {inside.shape} of {inside.dtype}"
        )
    if np.isnan(values).any():
        raise GroupgapError(f"Expected scores, but {int(np.isnan(values).sum()):,} of {len(values):,} are NaN")
    return values, inside
