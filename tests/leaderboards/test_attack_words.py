"""What a report of attacks says in words, in its tables and in its drawing: no more than its tests do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from groupgap.adapters.attack_scores import AuditScores
from groupgap.errors import GroupgapError
from groupgap.leaderboards import attack_plot
from groupgap.leaderboards.attack_plot import roc_figure
from groupgap.leaderboards.attack_report import MANY, AttackOptions, AttackReport, build_report
from groupgap.leaderboards.attack_tables import attack_document, attack_markdown, summary
from groupgap.leaderboards.attack_words import in_words

N = 2000
MEMBER = np.arange(N) < N // 2
RNG = np.random.default_rng(1)
NOISE = RNG.normal(size=(2, N))


def audit(
    target: str,
    scores: Any,
    member: Any = MEMBER,
    groups: Mapping[str, tuple[tuple[str, ...], ...]] | None = None,
    **facts: Any,
) -> AuditScores:
    n = len(scores)
    nothing = np.empty((0, n, 1)), np.empty((0, n), bool)
    names = tuple(f"r{row}" for row in range(n))
    return AuditScores(target, names, np.asarray(member), np.asarray(scores)[:, None], *nothing, groups or {}, facts)


def report_of(*audits: AuditScores) -> AttackReport:
    return build_report(audits, AttackOptions(draws=999))


def words(*audits: AuditScores) -> list[str]:
    return [line for line in in_words(report_of(*audits)) if "no shadows" not in line]


def test_few_rows_given_away_for_sure_are_a_finding_though_the_areas_are_alike() -> None:
    """150 members stand above all others, the rest a little lower: AUC as by guessing, TPR at 1% is 0.15."""
    scores = NOISE[0] + 6.0 * (np.arange(N) < 150) - 0.25 * (MEMBER & (np.arange(N) >= 150))
    said = words(audit("A", scores), audit("B", NOISE[1]))
    assert "A: accusing 1% of the others, the loss attack finds a larger share of the training rows of all" in said
    assert "B: the loss attack does no better than guessing that could be seen" in said
    assert not any(line.startswith("A: the loss attack does no better") for line in said)
    assert any(
        re.fullmatch(r"A gives training rows away more than B, at 1% FPR \(loss, all, q = .*\)", line) for line in said
    )
    assert not any("told apart" in line for line in said)


@pytest.mark.parametrize(("sign", "said"), [(1, "finds training rows of all"), (-1, "is below guessing for all")])
def test_an_area_whose_interval_holds_a_half_is_no_finding(sign: int, said: str) -> None:
    """Of 30 members 4 stand above 200 others that tie: p = 0.0003 is right, but so few give no narrow interval."""
    member = np.arange(230) < 30
    report = report_of(audit("A", sign * (np.arange(230) < 4).astype(float), member))
    (loss, _) = report.attacked
    assert loss.overall is not None
    auc = loss.overall.overall.auc
    assert auc.low is not None
    assert auc.high is not None
    assert auc.low <= 0.5 <= auc.high
    assert loss.q_values[None] < 0.01
    told = in_words(report)
    assert "A: the loss attack does no better than guessing that could be seen" in told
    assert not any(said in line for line in told)
    surer = report_of(audit("A", sign * (np.arange(230) < 20).astype(float), member))
    assert any(said in line for line in in_words(surer))


def test_a_name_is_no_finding() -> None:
    said = words(audit("away more", NOISE[0]), audit("B", NOISE[1]))
    assert said[-1] == "no two targets could be told apart at q < 0.05; that is not the same as being equal"


def test_an_area_below_guessing_is_no_proof_that_the_other_gives_more_away() -> None:
    said = words(audit("A", NOISE[0]), audit("B", NOISE[0] - 0.8 * MEMBER))
    assert not any("gives training rows away more" in line for line in said)
    assert any(
        line.startswith("the AUC of A is above that of B (loss, all, q = ")
        and line.endswith("but A is not shown to be above guessing")
        for line in said
    )
    assert "B: the loss attack is below guessing for all: is the audit right?" in said
    said = words(audit("A", NOISE[0] + 0.8 * MEMBER), audit("B", NOISE[0] - 0.8 * MEMBER))
    assert any(line.startswith("the AUC of A") and line.endswith("but B is below guessing") for line in said)


def test_over_trainings_too() -> None:
    told = {"recipe": "r", "shadows": "r"}
    rng = np.random.default_rng(2)
    audits = [
        audit(
            f"{name}-{seed}",
            rng.normal(size=N) + leak * MEMBER,
            seed=seed,
            training={**told, "name": name, "recipe": name},
        )
        for name, leak in (("guess", 0.0), ("under", -0.8))
        for seed in (1, 2, 3, 4)
    ]
    (said,) = (line for line in words(*audits) if "trainings" in line)
    assert said.startswith("over 4 trainings the mean AUC of guess is above that of under (loss, all, q = ")
    assert said.endswith("but guess is not shown to be above guessing")


def test_what_is_undefined_is_no_finding() -> None:
    flat = audit("flat", np.zeros(N))
    report = report_of(flat, audit("B", NOISE[0]))
    said = in_words(report)
    assert "flat: the loss attack cannot be judged: all scores are the same" in said
    assert not any("guessing" in line for line in said if line.startswith("flat"))
    assert report.against == ()
    assert "flat and B: not compared by the loss attack: flat cannot be judged: all scores are the same" in report.notes
    assert not any("told apart" in line for line in said)


def test_an_audit_without_nonmembers_is_told_and_drawn_as_such() -> None:
    report = report_of(audit("x", NOISE[0, :50], np.ones(50, bool)))
    assert "x: the loss attack cannot be judged: no non-members" in in_words(report)
    assert "undefined: no non-members" in roc_figure(report)


@pytest.mark.parametrize("name", ["", "x"])
def test_a_group_without_a_name_is_not_everybody(name: str) -> None:
    few = np.arange(N) % 20 == 0
    scores = NOISE[0] + 0.4 * (MEMBER & ~few)
    one = audit("t", scores, groups={"": tuple((name,) if row else () for row in few)})
    report = report_of(one)
    (loss, _) = report.attacked
    assert loss.q_values[None] < 1e-6
    assert loss.q_values["", name] > 0.05
    assert in_words(report)[0] == "t: the loss attack finds training rows of all"
    results = attack_document(report)["attacks"][0]["results"]
    assert [(found["axis"], found["group"]) for found in results] == [(None, None), ("", name)]


def test_groups_that_two_targets_do_not_share_are_not_compared() -> None:
    one = tuple(("p",) if row % 2 else ("q",) for row in range(N))
    other = tuple(("p",) if row // 2 % 2 else ("q",) for row in range(N))
    report = report_of(
        audit("A", NOISE[0], groups={"x": one, "y": one}), audit("B", NOISE[1], groups={"x": other, "y": one})
    )
    assert {pair.key for pair in report.against} == {None, ("y", "p"), ("y", "q")}
    assert "A and B: not compared by x: other groups of the same examples" in report.notes


def test_true_positive_rates_are_compared_by_group_where_they_can_be_seen_and_else_it_says_why() -> None:
    groups = {"x": tuple(("big",) if row % 4 else ("small",) for row in range(N // 4))}
    one, other = (audit(name, NOISE[place, : N // 4], MEMBER[::4], groups) for place, name in enumerate("AB"))
    pairs = {pair.key: pair for pair in report_of(one, other).against}
    big, small = pairs["x", "big"].difference, pairs["x", "small"].difference
    assert big.tpr_at[0.01].value is not None
    assert big.tpr_p_values[0.01] is not None
    assert (pairs["x", "big"].tpr_q_values or {})[0.01] is not None
    assert small.tpr_at[0.01].reason == "it takes 100 non-members to show a rate of 0.01"
    assert "undefined (it takes 100 non-members to show a rate of 0.01, n = " in attack_markdown(report_of(one, other))


def test_a_reason_is_told_once_only_where_it_is_that_of_all_targets() -> None:
    sizes = {"A": 400, "B": 1800}
    audits = [audit(name, RNG.normal(size=n), np.arange(n) < n // 2) for name, n in sizes.items()]
    text = attack_markdown(report_of(*audits))
    for n in sizes.values():
        assert f"{n // 2} non-members cannot show a rate of 0.001: it takes 1,000" in text
    (line,) = (
        line for line in attack_markdown(report_of(audits[0])).splitlines() if line.startswith("TPR at 0.1% FPR")
    )
    assert line == "TPR at 0.1% FPR: undefined (200 non-members cannot show a rate of 0.001: it takes 1,000, n = 200)"


def test_the_terminal_shows_text_and_the_file_markdown() -> None:
    name = "a_b<c>\u202e|"
    report = report_of(audit(name, NOISE[0]), audit("B", NOISE[1]))
    shown, file = "\n".join(summary(report)), attack_markdown(report)
    assert "a_b<c>\\u202e|" in shown
    assert not re.search(r"\\[\[\]_<]|&lt;|##", shown)
    assert "q < 0.05" in shown
    assert "a\\_b&lt;c&gt;" in file
    assert "\\[" in file
    assert "\u202e" not in shown + file


def test_many_targets_are_not_all_compared_or_drawn_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    small = np.arange(60) < 30
    few = [audit(f"t{place}", RNG.normal(size=60), small, seed=1) for place in range(16)]
    report = report_of(*few)
    assert len(report.against) == MANY
    assert f"of 120 pairs of targets only {MANY} with the same seed are compared: {MANY}" in report.notes
    other = [replace(one, facts={"seed": place % 8}) for place, one in enumerate(few)]
    assert "of 120 pairs of targets only those trained with the same seed are compared: 8" in report_of(*other).notes
    monkeypatch.setattr(attack_plot, "MOST_PANELS", 2)
    drawn = roc_figure(report)
    assert "the first 2 of 16 targets" in drawn
    assert "t1, loss" in drawn
    assert "t2, loss" not in drawn


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"draws": 998},
            "'draws' to be an integer of at least 999, which a 95% interval takes, but got 998: give 1000, the",
        ),
        ({"draws": 0}, "give 1000, the default"),
        ({"seed": -1}, "'seed' to be an integer of at least 0, but got -1"),
        ({"min_group": 0}, "'min_group' to be an integer of at least 1"),
    ],
)
def test_options_that_no_interval_can_be_made_with_are_refused(arguments: dict[str, int], words: str) -> None:
    with pytest.raises(GroupgapError, match=re.escape(words)):
        AttackOptions(**arguments)  # type: ignore[arg-type]
