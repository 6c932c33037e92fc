"""One judgement a run: over its answers, or over the units that its documents come in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from ..metrics import Calibration, CalibrationReport, Estimate, Judgement, count_clusters, judge_all, judge_clusters
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


def without_intervals(report: CalibrationReport) -> CalibrationReport:
    """A calibration of lines that come in units: its values alone, for intervals and chance levels over lines lie."""
    groups = {name: _bare(one) for name, one in report.groups.items()}
    return replace(report, overall=_bare(report.overall), groups=groups)


def _bare(found: Calibration) -> Calibration:
    bare: dict[str, Any] = {
        item.name: replace(one, stderr=None, low=None, high=None, chance=None, interval=f"{NONE}lines come in units")
        for item in fields(found)
        if isinstance(one := getattr(found, item.name), Estimate) and one.value is not None
    }
    return replace(found, **bare)


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
