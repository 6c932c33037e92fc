"""``groupgap attack --scores``: what is judged, what is written, and what is said of what cannot be."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow.parquet as pq
import pytest
from groupgap.adapters import attack_scores
from groupgap.adapters.attack_scores import AuditScores, write_scores
from groupgap.cli import main
from groupgap.leaderboards.attack_command import OWN
from groupgap.leaderboards.attack_plot import roc_figure
from groupgap.leaderboards.attack_report import AttackOptions, build_report
from groupgap.leaderboards.attack_tables import attack_markdown
from groupgap.metrics import AttackPower, benjamini_hochberg
from groupgap.metrics.lira import LiraOptions, lira_scores
from groupgap.plugins import attack_asking, attack_fleet
from scipy import stats
from sklearn.metrics import roc_auc_score

FEW = ("--draws", "999")
HOSTILE = "=cmd|' /C calc'!A0 <script>alert(1)</script> $\\frac{1}{0}$ \u202e"


def audit(target: str, leak: dict[str, float], seed: int = 0, kind: str = "offline", n: int = 1500) -> AuditScores:
    """A target that moves the members of a group up by so much; three groups, the third overlaps the first."""
    rng = np.random.default_rng(seed)
    member, place = np.arange(n) % 2 == 0, np.arange(n) // 2 % 3
    names = [("a",) if one == 0 else ("b",) if one == 1 else ("a", "c") for one in place]
    moved = np.array([max(leak.get(name, 0.0) for name in of_row) for of_row in names])
    hard = rng.normal(0, 2, n)
    inside = np.zeros((8, n), bool) if kind == "offline" else np.argsort(rng.random((8, n)), axis=0) < 4
    shadows = hard + rng.normal(size=(8, n)) + inside * moved
    statistic = hard + rng.normal(size=n) + member * moved
    return AuditScores(
        target,
        tuple(map(str, range(n))),
        member,
        statistic[:, None],
        shadows[:, :, None],
        inside,
        {"religion": tuple(names)},
        {"task": "toy", "method": target.partition("-")[0], "seed": 13},
    )


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    path = tmp_path / "scores.parquet"
    write_scores(path, [audit("full-13", {"b": 2.0}), audit("lora-13", {}, seed=1)])
    return path


def test_a_planted_leak_is_found_for_its_group_and_for_no_other(scores: Path, tmp_path: Path, capsys: Any) -> None:
    assert main(["attack", "--scores", str(scores), "-o", str(tmp_path / "out"), *FEW]) == 0
    told = json.loads((tmp_path / "out" / "attack.json").read_text())
    found = {
        (attack["target"], attack["attack"], result["group"]): result
        for attack in told["attacks"]
        for result in attack["results"]
    }
    for (target, attack, group), result in found.items():
        auc = result["auc"]
        if target == "full-13" and group == "b":
            assert auc["value"] > 0.6
            assert auc["chance"]["p"] < 0.01
        elif group:
            assert auc["chance"]["p"] >= 0.01, (target, attack, group)
    assert found["full-13", "lira", "b"]["auc"]["value"] > found["full-13", "loss", "b"]["auc"]["value"] + 0.1
    said = capsys.readouterr().out
    assert "full-13: the lira attack finds training rows of all, religion: b" in said
    assert "lora-13: the lira attack does no better than guessing that could be seen" in said
    assert "full-13 gives training rows away more than lora-13 (lira, religion: b" in said
    assert "gives training rows away more than full-13" not in said


def test_numbers_are_those_of_the_arrays(scores: Path) -> None:
    full = audit("full-13", {"b": 2.0})
    report = build_report([full, audit("lora-13", {}, seed=1)], AttackOptions(draws=999))
    by_loss, by_lira = report.attacked[:2]
    assert by_loss.overall is not None
    assert by_lira.overall is not None
    assert by_loss.overall.overall.auc.value == pytest.approx(roc_auc_score(full.member, full.statistic[:, 0]))
    ours = lira_scores(full.statistic, full.shadows, full.inside, LiraOptions("offline", "residual"))
    assert by_lira.overall.overall.auc.value == pytest.approx(roc_auc_score(full.member, ours))
    assert by_lira.reading == "offline, 8 shadows, variance residual"


def test_q_values_are_over_all_p_values_of_the_report(scores: Path) -> None:
    report = build_report([audit("full-13", {"b": 2.0}), audit("lora-13", {}, seed=1)], AttackOptions(draws=999))
    p_values, q_values = [], []
    for one in report.attacked:
        assert one.overall is not None
        powers: dict[tuple[str, str] | None, AttackPower] = {None: one.overall.overall}
        powers |= {(axis, group): power.own for axis, told in one.axes.items() for group, power in told.groups.items()}
        for key, power in powers.items():
            assert power.auc.chance is not None
            p_values.append(power.auc.chance.p_value)
            q_values.append(one.q_values[key])
            for rate, found in power.tpr_at.items():
                if found.chance is not None:
                    p_values.append(found.chance.p_value)
                    q_values.append(one.tpr_q_values[key][rate])
    for pair in report.against:
        p_values.append(pair.difference.auc_p_value)
        q_values.append(pair.auc_q_value)
        for rate, p_value in pair.difference.tpr_p_values.items():
            if p_value is not None:
                p_values.append(p_value)
                q_values.append((pair.tpr_q_values or {})[rate])
    np.testing.assert_allclose(benjamini_hochberg([float(p) for p in p_values if p is not None]), q_values)


def test_online_where_the_shadows_allow_it() -> None:
    (_, one) = build_report([audit("x", {"a": 1.0}, kind="online")]).attacked
    assert one.reading.startswith("online, 8 shadows")
    (_, asked) = build_report([audit("x", {"a": 1.0})], AttackOptions(mode="online")).attacked
    assert asked.overall is None
    assert asked.reading == "1,500 examples have fewer than 2 shadows that were trained on them: not online"


def test_augmentations_are_averaged() -> None:
    one = audit("x", {"a": 3.0})
    rng = np.random.default_rng(1)
    noisy = one.statistic + rng.normal(0, 3, (1500, 4)), one.shadows + rng.normal(0, 3, (8, 1500, 4))
    four = AuditScores("x", one.examples, one.member, noisy[0], noisy[1], one.inside, one.groups)
    single = AuditScores("x", one.examples, one.member, noisy[0][:, :1], noisy[1][:, :, :1], one.inside, one.groups)
    areas = []
    for audited in (single, four):
        (_, lira) = build_report([audited]).attacked
        assert lira.overall is not None
        areas.append(lira.overall.overall.auc.value or 0.0)
    assert areas[1] > areas[0] + 0.05


def test_without_shadows_only_the_loss_attack(tmp_path: Path, capsys: Any) -> None:
    one = audit("x", {})
    bare = AuditScores("x", one.examples, one.member, one.statistic, one.shadows[:0], one.inside[:0], one.groups)
    write_scores(tmp_path / "s.parquet", [bare])
    assert main(["attack", "--scores", str(tmp_path / "s.parquet"), "-o", str(tmp_path / "out"), *FEW]) == 0
    assert "x: no lira attack: no shadows" in capsys.readouterr().out


def test_at_the_common_threshold_each_group_has_its_own_reason() -> None:
    """No row of that table is of all examples: the first group's count of members was told as everybody's."""
    whole = audit("full-13", {}, n=400)
    names = tuple(("few",) if row < 6 else ("others",) if row % 2 else () for row in range(400))
    nobody = {"shadows": np.empty((0, 400, 1)), "inside": np.empty((0, 400), bool)}
    text = attack_markdown(build_report([replace(whole, groups={"x": names}, **nobody)], AttackOptions(draws=999)))
    table = text.partition("## At the common threshold")[2].partition("## How")[0]
    few, others = (next(line for line in table.splitlines() if f"x: {name}" in line) for name in ("few", "others"))
    assert "undefined (3 members: fewer than 30, n = 3)" in few
    assert "undefined (0 members: fewer than 30, n = 0)" in others


def test_identical_scores_and_a_group_without_nonmembers_are_undefined(tmp_path: Path) -> None:
    n = 120
    flat = AuditScores(
        "flat",
        tuple(map(str, range(n))),
        np.arange(n) < 60,
        np.zeros((n, 1)),
        np.zeros((0, n, 1)),
        np.zeros((0, n), bool),
        {"axis": (("inside",),) * 60 + (("outside",),) * 60},
    )
    (loss, _) = build_report([flat]).attacked
    assert loss.overall is not None
    assert loss.overall.overall.auc.text == "undefined (all scores are the same)"
    assert loss.axes["axis"].groups["inside"].own.auc.text == "undefined (60 members and 0 non-members: fewer than 30)"


def test_other_audits_are_not_compared(tmp_path: Path) -> None:
    report = build_report([audit("a", {}), audit("b", {}, n=1200)])
    assert report.against == ()
    assert any("'a' and 'b' were audited on different examples" in note for note in report.notes)


def test_files_are_strict_and_names_harmless(tmp_path: Path) -> None:
    write_scores(tmp_path / "s.parquet", [audit(HOSTILE, {}), audit("b", {})])
    out = tmp_path / "out"
    assert main(["attack", "--scores", str(tmp_path / "s.parquet"), "-o", str(out), *FEW]) == 0
    json.loads((out / "attack.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    with (out / "attack.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["target"][0] for row in rows} == {"'", "b"}
    assert "<script>" not in (out / "attack.md").read_text()
    drawn = ET.parse(out / "roc.svg")
    assert not [node for node in drawn.iter() if node.tag.endswith("script")]
    assert "\u202e" not in (out / "roc.svg").read_text()


def test_blocks_for_the_board(scores: Path, tmp_path: Path) -> None:
    assert main(["attack", "--scores", str(scores), "-o", str(tmp_path / "out"), *FEW]) == 0
    blocks = json.loads((tmp_path / "out" / "attack.json").read_text())["blocks"]
    assert [(block["variant"], block["task"]) for block in blocks] == [
        (name, "toy") for name in ("full-13", "full-13", "lora-13", "lora-13")
    ]
    for block in blocks:
        assert all(len(row) == len(block["columns"]) for row in block["rows"])


def test_the_same_report_draws_the_same_picture() -> None:
    report = build_report([audit("a", {"b": 1.0})])
    assert roc_figure(report) == roc_figure(report)


def test_an_earlier_report_may_be_replaced_and_nothing_else(scores: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        assert main(["attack", "--scores", str(scores), "-o", str(out), *FEW]) == 0
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    assert main(["attack", "--scores", str(scores), "-o", str(tmp_path / "full")]) == 2
    assert "not empty and not an attack report of groupgap" in capsys.readouterr().err


@pytest.mark.parametrize("strange", ["thesis.txt", "runs", "finished.json"])
def test_a_roster_is_attacked_in_a_folder_of_its_own(tmp_path: Path, strange: str, capsys: Any) -> None:
    """The answers of ``groupgap run`` stay apart from an audit's, and nobody's files get shadows beside them."""
    out = tmp_path / "out"
    for name in sorted(OWN):
        (out / name).mkdir(parents=True)
    (out / strange).mkdir()
    assert main(["attack", str(tmp_path / "roster.yaml"), "-o", str(out)]) == 2
    said = capsys.readouterr().err
    assert f"not empty and not an attack's folder ({strange!r} is in it): choose a new folder by -o" in said


def test_an_attack_goes_on_in_its_folder(tmp_path: Path, capfd: Any) -> None:
    """What an earlier attack left is no reason to refuse; the roster is missing."""
    for name in [*sorted(OWN), ".DS_Store"]:
        (tmp_path / "out" / name).mkdir(parents=True)
    assert main(["attack", str(tmp_path / "roster.yaml"), "-o", str(tmp_path / "out")]) == 2
    assert "roster.yaml" in capfd.readouterr().err


def test_an_attacks_folder_is_named_as_it_is_written() -> None:
    assert {"report", attack_scores.FILE, attack_fleet.SHADOWS, attack_asking.ROWS, attack_asking.ASKED} == OWN


@pytest.mark.parametrize(
    "words",
    [
        ("--shadows", "4"),
        ("--design", "online"),
        ("--shadow", "same"),
        ("--audit", "5"),
        ("--audit-seed", "1"),
        ("--looks", "1"),
    ],
)
def test_options_of_a_roster_are_refused_with_scores(
    scores: Path, tmp_path: Path, words: tuple[str, str], capsys: Any
) -> None:
    assert main(["attack", "--scores", str(scores), "-o", str(tmp_path / "out"), *words]) == 2
    assert f"{words[0]} is for a roster: with --scores nothing is drawn, trained or asked" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_options_of_the_judging_are_refused_before_anything_is_trained(tmp_path: Path, capfd: Any) -> None:
    """The roster is missing, which the training would say."""
    command = ["attack", str(tmp_path / "roster.yaml"), "-o", str(tmp_path / "out"), "--draws", "50"]
    assert main(command) == 2
    said = capfd.readouterr().err
    assert "draws" in said
    assert "roster.yaml" not in said


def test_one_of_roster_and_scores(tmp_path: Path, capsys: Any) -> None:
    assert main(["attack", "-o", str(tmp_path / "out")]) == 2
    assert "give a roster to attack, or --scores FILE" in capsys.readouterr().err


def test_a_variant_without_a_record_is_refused(tmp_path: Path, toy_models: dict[str, Path]) -> None:
    roster = tmp_path / "roster.yaml"
    roster.write_text(
        f"tasks: [toy_religion_fair]\nvariants:\n  - {{name: full, method: full, weights: {toy_models['full']}}}\n"
    )
    command = [sys.executable, "-m", "groupgap.cli", "attack", str(roster), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has no training.json: only variants that `groupgap train` made say which rows they saw" in done.stderr
    assert "Traceback" not in done.stderr


def test_chance_level_of_the_best_threshold_is_smirnovs() -> None:
    (loss, _) = build_report([audit("x", {})]).attacked
    assert loss.overall is not None
    best = loss.overall.overall.balanced_accuracy
    assert best.chance is not None
    expected = stats.ksone.sf(2 * best.chance.p95 - 1, 375)  # one sample of mn / (m + n)
    assert expected == pytest.approx(0.05, abs=0.005)


def test_no_file_of_the_report_says_where_on_the_disk_a_model_lay(tmp_path: Path) -> None:
    one = audit("full-13", {})
    facts = {**one.facts, "base": "/home/somebody/models/tiny", "command": "groupgap attack /home/somebody/roster.yaml"}
    write_scores(tmp_path / "s.parquet", [replace(one, facts=facts)])
    out = tmp_path / "out"
    assert main(["attack", "--scores", str(tmp_path / "s.parquet"), "-o", str(out), *FEW]) == 0
    assert json.loads((out / "attack.json").read_text())["attacks"][0]["facts"]["base"] == "…/tiny"
    for path in out.iterdir():
        assert "somebody" not in path.read_text(), path.name


def test_the_axes_of_the_drawing_are_numbers() -> None:
    drawn = roc_figure(build_report([audit("a", {"b": 1.0})]))
    assert "mathdefault" not in drawn
    assert ">0.01<" in drawn


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_facts_that_are_no_numbers_do_not_end_the_report(tmp_path: Path, number: str) -> None:
    path = tmp_path / "s.parquet"
    write_scores(path, [audit("x", {})])
    table = pq.read_table(path)
    told = f'{{"x": {{"seed": {number}, "training": {{"recipe": "r", "deep": {number}}}}}}}'
    pq.write_table(table.replace_schema_metadata({b"groupgap.attack": told.encode()}), path)
    assert main(["attack", "--scores", str(path), "-o", str(tmp_path / "out"), *FEW]) == 0
    json.loads((tmp_path / "out" / "attack.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_a_name_that_looks_like_a_path_stays_for_the_board_knows_it(tmp_path: Path) -> None:
    write_scores(tmp_path / "s.parquet", [audit("/models/one/a", {})])
    assert main(["attack", "--scores", str(tmp_path / "s.parquet"), "-o", str(tmp_path / "out"), *FEW]) == 0
    blocks = json.loads((tmp_path / "out" / "attack.json").read_text())["blocks"]
    assert {block["variant"] for block in blocks} == {"/models/one/a"}
