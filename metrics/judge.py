"""One call that judges one system on one axis: what a board row or a table of lm-eval shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .arguments import check_confidence, check_draws, check_seed
from .bootstrap import bootstrap_metrics
from .chance import chance_gaps
from .counts import Counts
from .estimate import Estimate, Judgement
from .f1 import macro_f1
from .gaps import GAPS, GapPlan, left_out, plan_gaps
from .rates import group_rates, overall_accuracy
from .simultaneous import gap_interval, worst_interval

__all__ = ["judge"]


def judge(
    counts: Counts,
    positive: int | None = None,
    *,
    min_group: int = 30,
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Judgement:
    """Judge the answers of one system on one axis.

    Args:
        counts: from :func:`groupgap.metrics.count`.
        positive: index of the favourable class; with ``None``, or more than two classes, rates are one-vs-rest and the
            class with the largest gap is named.
        min_group: smallest denominator with which a group enters a minimum or maximum.
        draws: bootstrap draws, and permutations.
        seed: of the draws; the same seed gives the same result.
        confidence: of the intervals.

    Returns:
        Every estimate with its interval, standard error and, for gaps, chance level.

    Raises:
        GroupgapError: for an argument out of range.

    Example:
        >>> from groupgap.metrics import count
        >>> labels, predictions = [1, 1, 0, 0] * 10, [1, 0, 0, 0] * 10
        >>> result = judge(count(labels, predictions, ["a", "b"] * 20), positive=1, min_group=10, draws=100)
        >>> result.worst_group.groups, result.worst_group.value, result.eopp.value
        (('b',), 0.5, 1.0)
    """
    check_draws(draws), check_seed(seed), check_confidence(confidence)
    plan = plan_gaps(counts, positive, min_group)
    found = estimates(plan, draws, seed, confidence)
    return Judgement(
        n=counts.n,
        **found,
        groups=group_rates(counts, positive, confidence),
        left_out=left_out(plan),
        min_group=plan.min_group,
        seed=seed,
        draws=draws,
        positive=counts.classes[plan.classes[0]] if len(plan.classes) == 1 else None,
    )


def estimates(plan: GapPlan, draws: int, seed: int, confidence: float) -> dict[str, Estimate]:
    """Overall accuracy and F1, the worst group and every gap, with interval, standard error and chance level."""
    counts = plan.counts
    found = {metric: with_interval(plan, metric, confidence) for metric in ("worst_group", *GAPS)}
    resampling, permuting, scoring = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(3))
    drawn = bootstrap_metrics(plan, draws, resampling)
    chances = chance_gaps(plan, draws, permuting)
    for metric, estimate in found.items():
        if estimate.value is not None:
            stderr, undefined = standard_error(drawn[metric])
            found[metric] = replace(estimate, stderr=stderr, undefined_draws=undefined, chance=chances.get(metric))
    accuracy = overall_accuracy(counts, confidence)
    return {"accuracy": accuracy, "macro_f1": macro_f1(counts, scoring, draws, confidence), **found}


def standard_error(values: npt.NDArray[np.float64]) -> tuple[float | None, int]:
    """Standard deviation of the draws in which the metric is defined, and how many are not."""
    defined = values[~np.isnan(values)]
    undefined = len(values) - len(defined)
    return (float(defined.std(ddof=1)) if len(defined) > 1 else None), undefined


def with_interval(plan: GapPlan, metric: str, confidence: float) -> Estimate:
    """The value of a gap or of the worst group with its simultaneous interval."""
    worst = metric == "worst_group"
    estimate = plan.worst_group() if worst else plan.gap(metric)
    limits = worst_interval(plan, confidence) if worst else gap_interval(plan, metric, confidence)
    if limits is None:
        return estimate
    return replace(estimate, low=limits[0], high=limits[1], interval="simultaneous")
