"""``groupgap threshold`` from the outside: a run folder in, tables or strict JSON out, one line for a mistake."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groupgap.cli import main


def planted_run(folder: Path, factory: SimpleNamespace, n: int = 2400, **changes: Any) -> Path:
    """A run whose yes-scores are shifted upward for one of three disjoint groups: a gap that a threshold removes."""
    random = np.random.default_rng(0)
    made = factory.documents(n, overlap=False)
    shift = [2.0 if "aur" in document["faith"] else 0.0 for document in made]
    odds = [
        2.0 * document["label"] - 1 + random.standard_normal() + up for document, up in zip(made, shift, strict=True)
    ]
    run = factory.run(documents=made, predictions=[int(value > 0) for value in odds], **changes)
    run.write(folder)
    lines = run.lines()
    for line, value in zip(lines, odds, strict=True):
        scores = [-math.log1p(math.exp(value)), -math.log1p(math.exp(-value))]
        line["filtered_resps"] = [[str(score), "False"] for score in scores]
        line["resps"] = [[reply] for reply in line["filtered_resps"]]
    run.samples_file(folder).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def test_it_prints_what_thresholds_remove_and_what_they_cost(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    run = planted_run(tmp_path / "run", factory)
    assert main(["threshold", str(run), "--draws", "999", "--seed", "4"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "mytask, faith: org/model-a" in shown.out
    assert "fitted on 1,200 answers, judged on 1,200 others (seed 4)" in shown.out
    assert "Thresholds remove 0." in shown.out
    assert "Accuracy gained: between 0." in shown.out
    assert "worst group" in shown.out


def test_json_is_strict_and_holds_the_same(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    run = planted_run(tmp_path / "run", factory)
    arguments = ["threshold", str(run), "--constraint", "demographic_parity", "--draws", "999", "--json"]
    assert main(arguments) == 0
    first = capsys.readouterr()
    document = json.loads(first.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert document["options"] == {
        "constraint": "demographic_parity",
        "objective": "accuracy_score",
        "draws": 999,
        "seed": 0,
    }
    (row,) = document["rows"]
    assert (row["task"], row["axis"], row["gap"], row["min_group"]) == ("mytask", "faith", "dpd", 30)
    gap = row["metrics"]["dpd"]
    assert gap["before"]["value"] > 0.2 > gap["after"]["value"]
    assert gap["before"]["chance"]["p"] < 0.05
    assert gap["difference"]["value"] == pytest.approx(gap["before"]["value"] - gap["after"]["value"])
    assert 0 < gap["test"]["p"] <= gap["test"]["q"] <= 1
    assert {pattern["treatment"] for pattern in row["patterns"]} == {"own threshold"}
    assert main(arguments) == 0
    assert capsys.readouterr().out == first.out


def test_a_foreign_task_and_overlapping_groups(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    factory.run(n=900, fair=None).write(tmp_path / "run")
    foreign = ["--axis", "mytask=doc.faith", "--positive", "mytask=yes", "--min-group", "40", "--draws", "999"]
    assert main(["threshold", str(tmp_path / "run"), *foreign]) == 0
    shown = capsys.readouterr().out
    assert "mytask, faith" in shown
    assert "Cannot tell whether thresholds change the gap (eod) with n = 450" in shown
    assert "Accuracy paid: between" in shown
    assert "The fitted decision flips coins; 20 other seeds give accuracy 0." in shown
    assert "Too small for a threshold of their own, so they share one: " in shown


def test_a_task_that_cannot_be_thresholded_is_a_note_beside_one_that_can(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    planted_run(tmp_path / "runs" / "good", factory)
    factory.run(n=20, task="tiny", date=factory.LATER).write(tmp_path / "runs" / "tiny")
    assert main(["threshold", str(tmp_path / "runs"), "--draws", "999"]) == 0
    assert "note: left out: tiny, faith, org/model-a: Fewer than 2 groups" in capsys.readouterr().out


def test_names_reach_the_terminal_as_text(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [{**document, "faith": [f"\x1b[2J{number % 2}"]} for number, document in enumerate(factory.documents(400))]
    run = factory.run(documents=made, predictions=factory.predict(made), fair=None, reported={"acc,none": 0.5})
    run.write(tmp_path / "run")
    foreign = ["--axis", "mytask=doc.faith", "--positive", "mytask=yes", "--draws", "999"]
    assert main(["threshold", str(tmp_path / "run"), *foreign]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\\u001b[2J" in shown
    assert "note: task mytask: lm-eval's own acc of org/model-a is 0.5, recomputed 0." in shown


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"n": 20}, [], "Fewer than 2 groups"),
        ({"fair": None}, ["--axis", "mytask=doc.faith"], "name the choice"),
        ({"fair": None}, [], "has no axis"),
        ({}, ["--seed", "-1"], "--seed -1"),
        ({}, ["--draws", "998"], "--draws 998: expected 999 or more"),
        ({}, ["--min-group", "5000"], "lower min_group"),
        ({}, ["--min-group", "0"], "--min-group 0"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(
    tmp_path: Path,
    factory: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    options: list[str],
    message: str,
) -> None:
    factory.run(**{"n": 200, **changes}).write(tmp_path / "run")
    assert main(["threshold", str(tmp_path / "run"), *options]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("groupgap: error: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err
