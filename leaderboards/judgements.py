"""One judgement a run: over its answers, or over the units that its documents come in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..metrics import Estimate, Judgement, count_clusters, judge_all, judge_clusters
from .answers import Answers

NONE = "none: "  # how the kind of an interval begins that could not be given


def judgements_of(answers: Sequence[Answers], how: Mapping[str, Any]) -> Iterator[Judgement]:
    """Judge runs of one task, in their order; those of no units together, for they share draws.

    Args:
        answers: along one axis, with the same groups and classes.
        how: what :func:`groupgap.metrics.judge_all` and :func:`groupgap.metrics.judge_clusters` take.
    """
    alone = iter(judge_all([one.counts() for one in answers if one.clusters is None], **how))
    for one in answers:
        if one.clusters is None:
            yield next(alone)
        else:
            pairs = one.labels, one.predictions
            units = count_clusters(pairs, one.membership, one.clusters, one.groups, one.classes)
            yield judge_clusters(units, **how)


def missing_parts(judgement: Judgement, metrics: Mapping[str, str]) -> Iterator[str]:
    """Why estimates have no interval or no chance level, in words.

    Args:
        judgement: of one run.
        metrics: names of its estimates, and what they are called.
    """
    found: dict[str, Estimate] = {metric: getattr(judgement, metric) for metric in metrics}
    none = {
        metric: one.interval[len(NONE) :]
        for metric, one in found.items()
        if one.interval and one.interval.startswith(NONE)
    }
    no_chance = {metric: one.no_chance for metric, one in found.items() if one.no_chance}
    for what, reasons in (("interval", none), ("chance level", no_chance)):
        for reason in dict.fromkeys(reasons.values()):
            named = ", ".join(metrics[metric] for metric, why in reasons.items() if why == reason)
            yield f"no {what} of {named}: {reason}"
