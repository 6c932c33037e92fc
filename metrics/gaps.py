"""Gaps between groups and the worst group: values, names, who was left out, and when there is no value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .arguments import check_min_group, check_positive
from .counts import Counts
from .estimate import Estimate, LeftOut
from .rates import DENOMINATOR, EMPTY, Tally, rate_cells, tally

__all__ = ["GAPS", "GapPlan", "Key", "gap_values", "left_out", "plan_gaps", "worst_values"]

GAPS: dict[str, tuple[str, ...]] = {
    "accuracy_spread": ("accuracy",),
    "dpd": ("selection_rate",),
    "eopp": ("tpr",),
    "eod": ("tpr", "fpr"),
    "eod_mean": ("tpr", "fpr"),
}

Key = tuple[str, int | None]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GapPlan:
    """Which groups enter which rate, fixed by the counts that were seen; draws are judged by the same plan.

    Attributes:
        counts: of one system.
        classes: class indices whose one-vs-rest rates are compared: the positive class alone, or all.
        min_group: the smallest denominator with which a group enters.
    """

    counts: Counts
    classes: tuple[int, ...]
    min_group: int

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """Every (rate, class) that some gap needs."""
        rates: tuple[Key, ...] = tuple(
            (rate, index) for index in self.classes for rate in ("selection_rate", "tpr", "fpr")
        )
        return (("accuracy", None), *rates)

    @cached_property
    def tallies(self) -> dict[Key, Tally]:
        """Successes and totals of each key in each group."""
        return {(rate, index): tally(self.counts, rate, index) for rate, index in self.keys}

    @cached_property
    def eligible(self) -> dict[Key, BoolArray]:
        """(G,) bool for each key: the groups whose denominator reaches ``min_group``."""
        return {key: found.totals >= self.min_group for key, found in self.tallies.items()}

    def bundles(self, metric: str) -> tuple[tuple[Key, ...], ...]:
        """The rates of a gap, one bundle a class, where each rate has at least two eligible groups."""
        rates = GAPS[metric]
        indices: tuple[int | None, ...] = (None,) if rates == ("accuracy",) else self.classes
        bundles = tuple(tuple((rate, index) for rate in rates) for index in indices)
        return tuple(bundle for bundle in bundles if all(self.eligible[key].sum() >= 2 for key in bundle))

    def undefined(self, metric: str) -> Estimate:
        """The estimate of a gap that no bundle defines."""
        rates = GAPS[metric]
        index = None if rates == ("accuracy",) else self.classes[0]
        rate = next((rate for rate in rates if self.eligible[(rate, index)].sum() < 2), rates[0])
        totals = self.tallies[(rate, index)].totals
        if (totals > 0).sum() < 2:
            reason = (
                f"{EMPTY[rate]} in all groups" if not totals.any() else f"fewer than 2 groups with {DENOMINATOR[rate]}"
            )
        else:
            reason = f"fewer than 2 groups with at least {self.min_group} {DENOMINATOR[rate]}"
        return Estimate(None, int(totals.max(initial=0)), reason)

    def samples(self, keys: tuple[Key, ...]) -> int:
        """Samples in the denominator of any of these rates for any eligible group."""
        counts = self.counts
        used = np.zeros(len(counts.counts), dtype=np.bool_)
        for rate, index in keys:
            within, _ = rate_cells(counts.labels, counts.predictions, rate, index)
            used |= within & counts.patterns[:, self.eligible[(rate, index)]].any(axis=1)
        return int(counts.counts[used].sum())

    def gap(self, metric: str) -> Estimate:
        """The value of a gap, the two groups that make it, the class and rate that decide it; no interval yet."""
        bundles = self.bundles(metric)
        if not bundles:
            return self.undefined(metric)
        spreads = {key: spread(self.tallies[key].rates, self.eligible[key]) for bundle in bundles for key in bundle}
        value, bundle = max(
            ((combine(metric, [spreads[key] for key in bundle]), bundle) for bundle in bundles),
            key=lambda found: float(found[0]),
        )
        key = max(bundle, key=lambda one: float(spreads[one]))
        shown = self.tallies[key].rates
        high = int(np.nanargmax(np.where(self.eligible[key], shown, np.nan)))
        low = int(np.nanargmin(np.where(self.eligible[key], shown, np.nan)))
        named = len(self.classes) > 1 and key[1] is not None
        return Estimate(
            float(value),
            self.samples(bundle),
            groups=(self.counts.groups[high], self.counts.groups[low]) if high != low else (),
            class_name=self.counts.classes[key[1]] if named and key[1] is not None else None,
            rate=key[0] if len(bundle) > 1 else None,
        )

    def worst_group(self) -> Estimate:
        """The lowest accuracy of an eligible group, with the names of all groups that have it; no interval yet.

        Where several share it, ``n`` is of the smallest.
        """
        key: Key = ("accuracy", None)
        found, entered = self.tallies[key], self.eligible[key]
        if not entered.any():
            empty = not found.totals.any()
            reason = "no members in any group" if empty else f"no group with at least {self.min_group} members"
            return Estimate(None, int(found.totals.max(initial=0)), reason)
        lowest = float(found.rates[entered].min())
        low = np.flatnonzero(entered & (found.rates == lowest))
        return Estimate(
            lowest, int(found.totals[low].min()), groups=tuple(self.counts.groups[place] for place in low.tolist())
        )


def plan_gaps(counts: Counts, positive: int | None = None, min_group: int = 30) -> GapPlan:
    """Fix which groups enter which rate.

    Args:
        counts: of one system.
        positive: index of the positive class; with ``None``, or more than two classes, every class one-vs-rest.
        min_group: smallest denominator: members for accuracy and selection rate, positives for TPR, negatives for FPR.

    Example:
        >>> from groupgap.metrics import count
        >>> answers = count([1, 1, 1, 1], [1, 1, 1, 0], ["a", "a", "b", "b"])
        >>> plan_gaps(answers, positive=1, min_group=2).gap("eopp").value
        0.5
        >>> plan_gaps(answers, positive=1, min_group=2).gap("eod").text
        'undefined (no negatives in all groups)'
    """
    single = check_positive(positive, counts.classes)
    classes = tuple(range(len(counts.classes))) if single is None else (single,)
    return GapPlan(counts, classes, check_min_group(min_group))


def spread(rates: FloatArray, eligible: BoolArray) -> FloatArray:
    """Highest minus lowest rate over the eligible groups, which lie on the first axis; NaN where one is undefined."""
    chosen = rates[eligible]
    return np.asarray(chosen.max(axis=0) - chosen.min(axis=0))


def combine(metric: str, spreads: list[FloatArray]) -> FloatArray:
    """The gap of one class from the spreads of its rates: their mean for ``eod_mean``, else the largest."""
    stacked = np.stack(spreads)
    return np.asarray(stacked.mean(axis=0) if metric == "eod_mean" else stacked.max(axis=0))


def gap_values(
    plan: GapPlan, tallies: Mapping[Key, Tally], metrics: Iterable[str] = tuple(GAPS)
) -> dict[str, FloatArray]:
    """Gaps in each draw.

    Args:
        plan: of the counts that were drawn from.
        tallies: (G, draws) successes and totals of each key of the plan that these gaps need.
        metrics: some of ``GAPS``.

    Returns:
        Metric to (draws,), NaN where the gap is undefined in a draw; gaps that are undefined in the data are absent.
    """
    wanted = {metric: bundles for metric in metrics if (bundles := plan.bundles(metric))}
    keys = dict.fromkeys(key for bundles in wanted.values() for bundle in bundles for key in bundle)
    spreads = {key: spread(tallies[key].rates, plan.eligible[key]) for key in keys}
    return {
        metric: np.max([combine(metric, [spreads[key] for key in bundle]) for bundle in bundles], axis=0)
        for metric, bundles in wanted.items()
    }


def worst_values(plan: GapPlan, tallies: Mapping[Key, Tally]) -> FloatArray | None:
    """The lowest accuracy of an eligible group in each draw, as :func:`gap_values`."""
    key: Key = ("accuracy", None)
    if not plan.eligible[key].any():
        return None
    return np.asarray(tallies[key].rates[plan.eligible[key]].min(axis=0))


def left_out(plan: GapPlan) -> tuple[LeftOut, ...]:
    """The groups whose denominator is under ``min_group``, for each rate."""
    found = []
    for rate, index in plan.keys:
        named = None if index is None or len(plan.classes) == 1 else plan.counts.classes[index]
        for position in np.flatnonzero(~plan.eligible[(rate, index)]):
            n = int(plan.tallies[(rate, index)].totals[position])
            reason = f"fewer than {plan.min_group} {DENOMINATOR[rate]}" if n else EMPTY[rate]
            found.append(LeftOut(plan.counts.groups[position], rate, n, reason, named))
    return tuple(found)
