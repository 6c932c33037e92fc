"""One call that judges systems on one axis: what a board row or a table of lm-eval shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .arguments import check_confidence, check_draws, check_seed
from .bootstrap import bootstrap_metrics, metrics_in_draws
from .chance import chance_gaps, chances_of, shared_permuted_gaps
from .counts import Counts
from .estimate import Chance, Estimate, Judgement
from .f1 import macro_f1, macro_f1_estimate
from .gaps import GAPS, GapPlan, left_out, plan_gaps
from .rates import group_rates, overall_accuracy
from .shared_draws import draw_samples, sharing
from .simultaneous import gap_interval, worst_interval

__all__ = ["judge", "judge_all"]

FloatArray = npt.NDArray[np.float64]


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
    (found,) = judge_all([counts], positive, min_group=min_group, draws=draws, seed=seed, confidence=confidence)
    return found


def judge_all(
    systems: Sequence[Counts],
    positive: int | None = None,
    *,
    min_group: int = 30,
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[Judgement, ...]:
    """Judge several systems, each as :func:`judge` does; those that answered the same samples share the draws.

    Args:
        systems: counts over the same groups and classes.
        positive: as for :func:`judge`, and so are the others.
        min_group: smallest denominator.
        draws: bootstrap draws, and permutations.
        seed: of the draws.
        confidence: of the intervals.

    Returns:
        A judgement of each. Where draws are shared, standard errors, chance levels and the interval of F1 differ from
        those of :func:`judge` as those of another seed would; all else is equal. Shared draws are the same whoever
        shares them.
    """
    check_draws(draws), check_seed(seed), check_confidence(confidence)
    plans = [plan_gaps(counts, positive, min_group) for counts in systems]
    found: dict[int, Judgement] = {}
    for places, shared in sharing(systems, draws):
        drawn = _drawn([plans[place] for place in places], shared, draws, seed, confidence)
        for place, one in zip(places, drawn, strict=True):
            found[place] = _judgement(plans[place], one, seed, confidence)
    return tuple(found[place] for place in range(len(systems)))


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What was drawn for one system: metrics in bootstrap draws, chance levels of its gaps, and its F1."""

    draws: int
    metrics: Mapping[str, FloatArray]
    chances: Mapping[str, Chance]
    macro_f1: Estimate


def _drawn(plans: Sequence[GapPlan], shared: bool, draws: int, seed: int, confidence: float) -> Iterator[_Drawn]:
    """The draws of systems that answered the same samples: shared, or those of each."""
    tables = [plan.counts.counts for plan in plans]
    if not shared:
        for plan in plans:
            resampling, permuting, scoring = _streams(seed)
            metrics, chances = bootstrap_metrics(plan, draws, resampling), chance_gaps(plan, draws, permuting)
            yield _Drawn(draws, metrics, chances, macro_f1(plan.counts, scoring, draws, confidence))
        return
    resampling, permuting, _ = _streams(seed)
    samples, dealt = draw_samples(tables, draws, resampling), shared_permuted_gaps(plans, draws, permuting)
    for plan, table, permuted in zip(plans, tables, dealt, strict=True):
        cells = plan.counts.labels * len(plan.counts.classes) + plan.counts.predictions
        score = macro_f1_estimate(plan.counts, cells, draws, samples.blocks(table), confidence)
        metrics = metrics_in_draws(plan, draws, samples.blocks(table))
        yield _Drawn(draws, metrics, chances_of(plan, permuted), score)


def _streams(seed: int) -> list[np.random.Generator]:
    """Random numbers for the bootstrap, for permutations, and for the bootstrap of F1."""
    return [np.random.default_rng(one) for one in np.random.SeedSequence(seed).spawn(3)]


def _judgement(plan: GapPlan, drawn: _Drawn, seed: int, confidence: float) -> Judgement:
    counts = plan.counts
    single = plan.classes[0] if len(plan.classes) == 1 else None
    return Judgement(
        n=counts.n,
        accuracy=overall_accuracy(counts, confidence),
        macro_f1=drawn.macro_f1,
        **{metric: _estimate(plan, metric, drawn, confidence) for metric in ("worst_group", *GAPS)},
        groups=group_rates(counts, single, confidence),
        left_out=left_out(plan),
        min_group=plan.min_group,
        seed=seed,
        draws=drawn.draws,
        positive=None if single is None else counts.classes[single],
    )


def _estimate(plan: GapPlan, metric: str, drawn: _Drawn, confidence: float) -> Estimate:
    """A gap or the worst group with interval, standard error and chance level."""
    estimate = with_interval(plan, metric, confidence)
    if estimate.value is None:
        return estimate
    stderr, undefined = standard_error(drawn.metrics[metric])
    return replace(estimate, stderr=stderr, undefined_draws=undefined, chance=drawn.chances.get(metric))


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
