"""The exact ROC curve of a score, and what it is worth: AUC, balanced accuracy, true positives at few false ones."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from ..errors import GroupgapError
from .arguments import check_confidence
from .estimate import Chance, Estimate
from .intervals import SMALLEST_P, newcombe, two_sided_z, wilson
from .mann_whitney import mann_whitney

__all__ = ["AttackPower", "Roc", "attack_power", "auc_components", "delong", "roc_curve", "threshold_at", "tpr_at"]

FloatArray = npt.NDArray[np.float64]

FALSE_POSITIVE_RATES = (0.01, 0.001)
FEW = 50  # scores on a side


@dataclass(frozen=True, eq=False)
class Roc:
    """Every point of a ROC curve.

    Attributes:
        thresholds: (P,) descending, from ``+inf``; a score at or above it is called positive.
        fpr: (P,) share of the negatives called positive, from 0 to 1.
        tpr: (P,) share of the positives called positive.
    """

    thresholds: FloatArray
    fpr: FloatArray
    tpr: FloatArray


@dataclass(frozen=True)
class AttackPower:
    """What a membership attack achieves.

    Attributes:
        members: examples that the target was trained on.
        nonmembers: examples that it was not trained on; ``1 / nonmembers`` is the smallest rate that can be seen.
        auc: area under the curve, with a DeLong interval; under ``chance`` the p-value of Mann and Whitney's test.
        balanced_accuracy: at the best threshold; under ``chance`` what the best threshold gives by luck (Smirnov).
        tpr_at: false positive rate -> true positive rate there; under ``chance`` what guessing finds, and the one-sided
            p-value of having found more.
    """

    members: int
    nonmembers: int
    auc: Estimate
    balanced_accuracy: Estimate
    tpr_at: dict[float, Estimate] = field(default_factory=dict)


def roc_curve(positives: npt.ArrayLike, negatives: npt.ArrayLike) -> Roc:
    """The exact curve: one point for each distinct score (``sklearn.metrics.roc_curve`` without dropped points).

    Args:
        positives: (m,) scores, m >= 1.
        negatives: (n,) scores, n >= 1.

    Raises:
        GroupgapError: one of them is empty, or a score is NaN.

    Example:
        >>> curve = roc_curve([3.0, 1.0], [2.0, 0.0])
        >>> curve.fpr.tolist(), curve.tpr.tolist()
        ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    one, other = _scores(positives, "positives"), _scores(negatives, "negatives")
    thresholds = np.unique(np.concatenate([one, other]))[::-1]
    tpr = 1 - np.searchsorted(np.sort(one), thresholds, side="left") / len(one)
    fpr = 1 - np.searchsorted(np.sort(other), thresholds, side="left") / len(other)
    return Roc(*(np.concatenate([[first], rest]) for first, rest in ((np.inf, thresholds), (0.0, fpr), (0.0, tpr))))


def attack_power(
    members: npt.ArrayLike,
    nonmembers: npt.ArrayLike,
    rates: tuple[float, ...] = FALSE_POSITIVE_RATES,
    confidence: float = 0.95,
) -> AttackPower:
    """Judge a membership attack by its scores.

    Args:
        members: (m,) scores of examples that the target was trained on.
        nonmembers: (n,) scores of examples that it was not.
        rates: false positive rates at which the true positive rate is read.
        confidence: of the intervals.

    Returns:
        Undefined, with the reason, where a side is empty or all scores are the same.

    Example:
        >>> power = attack_power([3.0, 2.0, 1.0] * 20, [2.0, 1.0, 0.0] * 20)
        >>> round(power.auc.value, 4), power.tpr_at[0.01].text
        (0.7778, 'undefined (60 non-members cannot show a rate of 0.01: it takes 100)')
    """
    one, other = (np.asarray(side, dtype=np.float64) for side in (members, nonmembers))
    reason = _why_not(one, other)
    if reason:
        nothing = Estimate(None, len(one) + len(other), reason)
        return AttackPower(len(one), len(other), nothing, nothing, dict.fromkeys(rates, nothing))
    check_confidence(confidence)
    return AttackPower(
        len(one),
        len(other),
        auc_estimate(one, other, confidence),
        _balanced_accuracy(one, other, confidence),
        {rate: tpr_at(one, other, rate, confidence) for rate in rates},
    )


def auc_components(positives: FloatArray, negatives: FloatArray) -> tuple[FloatArray, FloatArray]:
    """DeLong's structural components: for each positive the share of negatives under it (ties count half), and for
    each negative the share of positives above it. The mean of either is the AUC.

    Source: DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837; by ranks as in Sun & Xu 2014.
    """
    m, n = len(positives), len(negatives)
    together = stats.rankdata(np.concatenate([positives, negatives]))
    of_positives = (together[:m] - stats.rankdata(positives)) / n
    of_negatives = 1 - (together[m:] - stats.rankdata(negatives)) / m
    return of_positives, of_negatives


def delong(positives: FloatArray, negatives: FloatArray) -> tuple[float, float]:
    """The AUC and DeLong's standard error of it (``nan`` with fewer than two on a side)."""
    over, under = auc_components(positives, negatives)
    if min(len(over), len(under)) < 2:
        return float(over.mean()), float("nan")
    return float(over.mean()), float(np.sqrt(over.var(ddof=1) / len(over) + under.var(ddof=1) / len(under)))


def auc_estimate(positives: FloatArray, negatives: FloatArray, confidence: float = 0.95) -> Estimate:
    """The AUC with DeLong's interval on the logit scale, by the t distribution with one degree of freedom less than the
    smaller side has scores. Newcombe's score interval where the error is 0 or unknown; the two joined where a side has
    fewer than :data:`FEW`, for there DeLong's covers 88-94% near 0 and 1.

    It holds 1/2 where Mann and Whitney's test does not reject. With few scores on a side it may hold 1/2 where the test
    does: then the two together show nothing.
    """
    value, stderr = delong(positives, negatives)
    m, n = len(positives), len(negatives)
    known = np.isfinite(stderr) and stderr > 0 and 0 < value < 1
    low, high, kind = 1.0, 0.0, "DeLong, logit scale, t"
    if known:
        half = t_quantile(m, n, confidence) * stderr / (value * (1 - value))
        low, high = (float(special.expit(special.logit(value) + side * half)) for side in (-1, 1))
    if not known or min(m, n) < FEW:
        least, most = _newcombe_auc(value, m, n, two_sided_z(confidence))
        low, high = min(low, least), max(high, most)
        kind = f"{kind}, and Newcombe's" if known else "Newcombe's score interval (DeLong's error is 0)"
    p_value = max(SMALLEST_P, mann_whitney(positives, negatives))
    if _explained(p_value, confidence):
        low, high = min(low, 0.5), max(high, 0.5)
    chance = Chance(0.5, _auc_p95(m, n), p_value, 0)
    n = m + n
    return Estimate(
        value, n, stderr=stderr if np.isfinite(stderr) else None, low=low, high=high, interval=kind, chance=chance
    )


def t_quantile(m: int, n: int, confidence: float) -> float:
    """The two-sided quantile for DeLong's error of ``m`` and ``n`` scores: the smaller side knows it the worst."""
    return float(stats.t.isf((1 - confidence) / 2, max(1, min(m, n) - 1)))


def tpr_at(positives: FloatArray, negatives: FloatArray, rate: float, confidence: float = 0.95) -> Estimate:
    """The true positive rate at the lowest threshold whose false positive rate is at most ``rate``.

    The interval needs no distribution and no draws: the threshold that the rate stands for lies between two order
    statistics of the negatives; how far the true positive rate moves between them, and Wilson's limits of it, are
    combined as in the method of variance estimates recovery (Zou & Donner 2008, Statistics in Medicine 27:1693).
    A threshold held fixed would cover 60-86%. Measured coverage: ``benchmarks/membership_coverage.py``.

    Args:
        positives: (m,) scores.
        negatives: (n,) scores.
        rate: between 0 and 1.
        confidence: of the interval.

    Returns:
        Undefined where ``n`` negatives cannot show such a rate.
    """
    n, m = len(negatives), len(positives)
    if n * rate < 1 - 1e-9:
        needed = int(np.ceil(1 / rate - 1e-9))
        return Estimate(None, n, f"{n:,} non-members cannot show a rate of {rate:g}: it takes {needed:,}")
    falling, rising = np.sort(negatives)[::-1], np.sort(positives)
    allowed = int(np.floor(n * rate + 1e-9))
    value = _above(rising, threshold_at(falling, allowed))
    level = (1 - confidence) / 2
    # false positives that the population's threshold may show among n negatives
    fewest, most = int(stats.binom.ppf(level, n, rate)), int(stats.binom.isf(level, n, rate))
    down = value - _above(rising, threshold_at(falling, fewest - 1))
    up = _above(rising, threshold_at(falling, most + 1)) - value
    found = round(value * m)
    low, high = map(float, wilson(found, m, confidence))
    median, p95 = _found_by_luck(m, n, allowed)
    return Estimate(
        value,
        m,
        low=max(0.0, value - float(np.hypot(down, value - low))),
        high=min(1.0, value + float(np.hypot(up, high - value))),
        interval="order statistics and Wilson",
        chance=Chance(median / m, p95 / m, max(SMALLEST_P, _luck(found, m, n, allowed)), 0),
    )


def _luck(found: int, m: int, n: int, allowed: int) -> float:
    """How often ``found`` or more of ``m`` positives stand above all but ``allowed`` of ``n`` negatives where all are
    shuffled: the negative hypergeometric distribution, by its twin (so many positives among so many first draws).
    """
    return float(stats.hypergeom.sf(found - 1, m + n, m, min(m + n, found + allowed)))


@lru_cache(maxsize=1024)
def _found_by_luck(m: int, n: int, allowed: int) -> tuple[int, int]:
    """Median and 95th percentile of how many that are."""
    median, p95 = (
        bisect_left(range(m), True, key=lambda found: _luck(found + 1, m, n, allowed) <= share) for share in (0.5, 0.05)
    )
    return median, p95


def threshold_at(falling: FloatArray, count: int) -> float:
    """A score that at most ``count`` negatives exceed (``+inf`` for a negative count): positives must be above it.

    Args:
        falling: (n,) the negatives' scores, descending.
        count: how many may be above.
    """
    if count < 0:
        return float("inf")
    return float(falling[count]) if count < len(falling) else float("-inf")


def _above(rising: FloatArray, threshold: float) -> float:
    return float(1 - np.searchsorted(rising, threshold, side="right") / len(rising))


def _balanced_accuracy(positives: FloatArray, negatives: FloatArray, confidence: float) -> Estimate:
    """``(1 + max(TPR - FPR)) / 2``: the best threshold flatters itself, so its chance level (Smirnov's) stands beside.

    The interval is Newcombe's at that threshold, lowered by the median of the maximum under chance, and down to 1/2
    where chance explains it.
    """
    curve = roc_curve(positives, negatives)
    m, n = len(positives), len(negatives)
    best = int((curve.tpr - curve.fpr).argmax())
    distance = float(curve.tpr[best] - curve.fpr[best])
    # P(max >= d) under chance is near exp(-2 d^2 mn/(m+n)): Smirnov 1939
    spread = m * n / (m + n)
    p_value = max(SMALLEST_P, float(np.exp(-2 * spread * distance**2)))
    median, p95 = (min(1.0, float(np.sqrt(-np.log(share) / (2 * spread)))) for share in (0.5, 0.05))
    successes, totals = np.array([curve.tpr[best] * m, curve.fpr[best] * n]), np.array([m, n], dtype=np.float64)
    low, high = newcombe(successes[:1], totals[:1], successes[1:], totals[1:], confidence)
    return Estimate(
        (1 + distance) / 2,
        m + n,
        low=0.5 if _explained(p_value, confidence) else (1 + max(0.0, float(low[0]) - median)) / 2,
        high=(1 + float(high[0])) / 2,
        interval="Newcombe at the best threshold, less its luck",
        chance=Chance((1 + median) / 2, (1 + p95) / 2, p_value, 0),
    )


def _explained(p_value: float, confidence: float) -> bool:
    """Whether chance explains it: not rejected at ``1 - confidence``, of which floats are a hair off (1 - 0.95)."""
    return p_value >= 1 - confidence - 1e-12


def _newcombe_auc(value: float, m: int, n: int, z: float) -> tuple[float, float]:
    """Newcombe 2006, Statistics in Medicine 25:559, method 5: where a true AUC would be z errors from the seen one."""
    size = (m + n) / 2 - 1
    theta = np.linspace(0, 1, 100_001)
    spread = 1 + size * (1 - theta) / (2 - theta) + size * theta / (1 + theta)
    near = theta[np.abs(value - theta) <= z * np.sqrt(theta * (1 - theta) / (m * n) * spread) + 1e-12]
    return float(near.min()), float(near.max())


def _auc_p95(m: int, n: int) -> float:
    """What 95% of AUCs stay under where membership is drawn at random (normal approximation, no ties)."""
    return float(min(1.0, 0.5 + stats.norm.ppf(0.95) * np.sqrt((m + n + 1) / (12 * m * n))))


def _why_not(members: FloatArray, nonmembers: FloatArray) -> str | None:
    for name, side in (("members", members), ("non-members", nonmembers)):
        if not len(side):
            return f"no {name}"
        if np.isnan(side).any():
            raise GroupgapError(f"Expected scores, but {int(np.isnan(side).sum()):,} of the {name}' are NaN")
    if min(members.min(), nonmembers.min()) == max(members.max(), nonmembers.max()):
        return "all scores are the same"
    return None


def _scores(values: npt.ArrayLike, name: str) -> FloatArray:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or not len(scores) or np.isnan(scores).any():
        raise GroupgapError(f"Expected {name} to be a list of scores without NaN, but got shape {scores.shape}")
    return scores
