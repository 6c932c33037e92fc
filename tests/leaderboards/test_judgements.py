"""One judgement a run, in order, over answers or over units; why a gap has no chance level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from groupgap.leaderboards.answers import Answers
from groupgap.leaderboards.board import METRICS
from groupgap.leaderboards.judgements import judgements_of, missing_parts
from groupgap.metrics import Estimate, judge

HOW = {"positive": 1, "min_group": 30, "draws": 99, "seed": 0}


def answers(accuracy: float, units: bool) -> Answers:
    """Two hundred answers in pairs of one group each; both answers of a pair are right or wrong."""
    pair = np.arange(200) // 2
    right = np.random.default_rng(0).random(100)[pair] < accuracy
    return Answers(
        run=f"run {accuracy}",
        task="mine",
        axis="region",
        groups=("north", "south"),
        classes=("no", "yes"),
        labels=np.ones(200, dtype=np.int64),
        predictions=right.astype(np.int64),
        membership=np.eye(2, dtype=np.bool_)[pair % 2],
        probabilities=np.full((200, 2), 0.5),
        documents=tuple(map(str, range(200))),
        occurrences=np.zeros(200, dtype=np.int64),
        prompts=("",) * 200,
        kept={"cluster": tuple(map(str, pair))} if units else {},
    )


def test_each_run_has_its_own_judgement_and_units_are_respected() -> None:
    runs = [answers(0.9, True), answers(0.7, False), answers(0.5, True), answers(0.3, False)]
    found = list(judgements_of(runs, HOW))
    assert [one.accuracy.value for one in found] == [(one.labels == one.predictions).mean() for one in runs]
    assert [one.dpd.interval for one in found] == ["simultaneous over 100 clusters", "simultaneous"] * 2
    plain = judge(runs[2].counts(), **HOW).dpd
    units = found[2].dpd
    assert units.high - units.low > plain.high - plain.low
    assert units.chance.p95 > plain.chance.p95


def test_what_is_missing_is_told_once_a_reason() -> None:
    (found,) = judgements_of([answers(0.9, True)], HOW)
    assert list(missing_parts(found, METRICS)) == []
    for metric, why in (("dpd", "no exchange"), ("eopp", "no exchange"), ("eod", "none either")):
        found = replace(found, **{metric: replace(getattr(found, metric), chance=None, no_chance=why)})
    few = Estimate(0.5, 200, interval="none: 19 clusters, of 20 needed")
    found = replace(found, accuracy=few, macro_f1=few, worst_group=Estimate(0.5, 200, interval="1 seed"))
    assert list(missing_parts(found, METRICS)) == [
        "no interval of accuracy, macro F1: 19 clusters, of 20 needed",
        "no chance level of demographic parity difference, equal opportunity difference: no exchange",
        "no chance level of equalized odds difference: none either",
    ]
