"""The swap test of one rate: under the null the two answers to a sample (or a cluster) are exchangeable.

Exact, from the distribution of the sum of independent random signs; for accuracy it is McNemar's exact test.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import signal, stats

from .arguments import check_draws
from .gaps import GapPlan, plan_gaps
from .intervals import SMALLEST_P
from .joint import JointCounts
from .rates import rate_cells

__all__ = ["mcnemar", "mcnemar_p_values", "rate_differences", "swap_draws", "swap_p_value"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def mcnemar(only_a: int, only_b: int) -> float:
    """McNemar's exact two-sided p-value.

    Args:
        only_a: samples that only system A answered right.
        only_b: samples that only system B answered right.

    Source: the same as ``statsmodels.stats.contingency_tables.mcnemar(exact=True)``.

    Example:
        >>> round(mcnemar(10, 2), 4)
        0.0386
    """
    return float(mcnemar_p_values(only_a, only_b))


def mcnemar_p_values(only_a: npt.ArrayLike, only_b: npt.ArrayLike) -> FloatArray:
    """:func:`mcnemar` for arrays of pairs, any shape; 1 where the two never disagree."""
    a, b = np.asarray(only_a), np.asarray(only_b)
    return np.asarray(np.clip(2 * stats.binom.cdf(np.minimum(a, b), a + b, 0.5), SMALLEST_P, 1.0))


def swap_p_value(differences: IntArray, amounts: IntArray) -> float:
    """Exact p-value of ``|sum|`` when every unit's difference keeps or changes its sign with probability 1/2.

    Args:
        differences: (T,) successes of A minus successes of B in a unit of each kind.
        amounts: (T,) units of each kind.

    Returns:
        The probability of a sum at least as far from 0 as the one seen, ties counted.
    """
    sizes, column = np.unique(np.abs(differences), return_inverse=True)
    units = np.bincount(column.ravel(), amounts, len(sizes)).astype(np.int64)
    seen = int((differences * amounts).sum())
    if sizes.max(initial=0) <= 1:
        plus, minus = int(amounts[differences > 0].sum()), int(amounts[differences < 0].sum())
        return mcnemar(plus, minus)
    distribution = np.ones(1)
    for size, number in zip(sizes, units, strict=True):
        if size == 0:
            continue
        spaced = np.zeros(2 * int(size) * int(number) + 1)
        spaced[:: 2 * int(size)] = stats.binom.pmf(np.arange(number + 1), number, 0.5)
        distribution = np.asarray(signal.convolve(distribution, spaced))
    middle = (len(distribution) - 1) // 2
    sums = np.arange(len(distribution)) - middle
    # one of the two extreme outcomes at the least: what a fast convolution rounds away is not 0
    least = max(SMALLEST_P, 0.5 ** float(units[sizes > 0].sum() - 1))
    return float(np.clip(np.clip(distribution, 0, None)[np.abs(sums) >= abs(seen)].sum(), least, 1.0))


def rate_differences(
    joint: JointCounts, rate: str, class_index: int | None, group: int | None
) -> tuple[IntArray, IntArray]:
    """Per cell: whether it is in the denominator of a rate, and success of A minus success of B there.

    Args:
        joint: counts of the pair.
        rate: one of ``RATES``.
        class_index: the positive class.
        group: index of a group, ``None`` for all samples.

    Returns:
        (K,) 0 or 1, (K,) -1, 0 or 1.
    """
    within, success_a = rate_cells(joint.labels, joint.predictions_a, rate, class_index)
    _, success_b = rate_cells(joint.labels, joint.predictions_b, rate, class_index)
    chosen = within if group is None else within & joint.patterns[:, group]
    difference = np.where(chosen, success_a.astype(np.int64) - success_b.astype(np.int64), 0)
    return chosen.astype(np.int64), difference


def swap_draws(
    joint: JointCounts, rng: np.random.Generator, positive: int | None = None, draws: int = 10_000
) -> dict[str, FloatArray]:
    """Differences of every group's rates under swapped answers.

    Args:
        joint: counts of the pair, without clusters.
        rng: the source.
        positive: as for :func:`groupgap.metrics.judge`.
        draws: number of draws.

    Returns:
        ``"accuracy"``, ``"selection_rate"``, ``"tpr"``, ``"fpr"`` to (G, draws) differences A - B, NaN where undefined;
        for one-vs-rest rates the classes lie one after the other on the first axis.

    Each cell where A and B disagree is split by Binomial(count, 1/2): the cost is free of n.

    Example:
        >>> from groupgap.metrics import count_pair
        >>> joint = count_pair([1] * 40, ([1] * 40, [1, 0] * 20), ["a"] * 40)
        >>> swap_draws(joint, np.random.default_rng(0), positive=1, draws=500)["accuracy"].shape
        (1, 500)
    """
    check_draws(draws)
    plan: GapPlan = plan_gaps(joint.a, positive, 1)
    disagree = np.flatnonzero(joint.predictions_a != joint.predictions_b)
    amounts = joint.counts[disagree]
    signs = np.stack([2.0 * rng.binomial(amount, 0.5, size=draws) - amount for amount in amounts] or [np.zeros(draws)])
    members = joint.patterns[disagree].astype(np.float64)
    parts: dict[str, list[FloatArray]] = {}
    for rate, index in plan.keys:
        _, difference = rate_differences(joint, rate, index, None)
        weights = members * difference[disagree][:, None]
        sums = weights.T @ signs if len(disagree) else np.zeros((len(joint.groups), draws))
        totals = plan.tallies[rate, index].totals[:, None]
        parts.setdefault(rate, []).append(np.where(totals > 0, sums / np.maximum(totals, 1), np.nan))
    return {rate: np.concatenate(found) for rate, found in parts.items()}
