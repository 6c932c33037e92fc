"""``groupgap token-bias`` on written runs of controlled tasks, whose effects are planted."""

from __future__ import annotations

import builtins
import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groupgap import cli
from groupgap.leaderboards.collection import Request
from groupgap.leaderboards.report_blocks import read_blocks
from groupgap.leaderboards.token_report import TaskBias, token_report
from groupgap.metrics.token_bias import MEASURABLE, NOT_MEASURABLE

N = 240
HOSTILE = "=cmd|<script>alert(1)</script>$x$\n\x1b[2J"

Write = Callable[..., Path]


def scores(factory: SimpleNamespace, effects: dict[str, float], group: float = 0.0, **options: Any) -> tuple[Any, ...]:
    """Documents of one group each, their cells, and answers: meanings by label and group, then planted effects."""
    made = factory.documents(N, overlap=False)
    rng = np.random.default_rng(1)
    label = np.array([document["label"] for document in made])
    first = np.array([document["faith"] == ["aur"] for document in made])
    yes = 1.5 * (2 * label - 1) + group * first + rng.normal(0, 0.7, N)
    cells = factory.balanced_cells(**options)
    return made, cells, factory.planted(np.stack([np.zeros(N), yes], axis=1), cells, effects, 0.2)


@pytest.fixture
def write(factory: SimpleNamespace, tmp_path: Path) -> Write:
    def made(name: str, effects: dict[str, float], group: float = 0.0, **changes: Any) -> Path:
        documents, cells, logs = scores(factory, effects, group)
        return factory.ControlledRun(
            **{
                "documents": documents,
                "fair": factory.FAIR,
                "predictions": [0] * N,
                "task": "mytask_controlled",
                "cells": [cells] * N,
                "log_probabilities": logs,
                "model_args": {"pretrained": f"org/{name}"},
                **changes,
            }
        ).write(tmp_path / name)

    return made


def only(folder: Path) -> TaskBias:
    (found,) = token_report(Request([folder]), None).tasks
    return found


def test_planted_effects_come_out_of_a_run(write: Write) -> None:
    found = only(write("a", {"A": 1.2, "1": -0.5}))
    (axis,) = found.axes
    levels = {one.level.name: one.sizes["log-odds"] for one in axis.bias.effects}
    assert levels["A"].low <= 1.2 <= levels["A"].high
    assert levels["1"].low <= -0.5 <= levels["1"].high
    assert (axis.bias.n, found.cells, found.raw_task) == (N, 4, "mytask")
    assert axis.bias.sizes["log-odds"].token.groups == ("A", "B")


def test_the_verdict_is_about_the_larger_effect(write: Write) -> None:
    tokens, meanings, neither = (
        only(write(name, effects, group)).axes[0].bias.sizes["log-odds"]
        for name, effects, group in (("a", {"A": 2.0}, 0.0), ("b", {}, 2.0), ("c", {}, 0.0))
    )
    assert tokens.verdict == NOT_MEASURABLE
    assert meanings.verdict == MEASURABLE
    assert meanings.group.groups[2] == "aur" or meanings.group.groups[3] == "aur"
    assert neither.verdict != NOT_MEASURABLE


def test_ways_of_asking_stand_beside_the_debiased_answer(write: Write, factory: SimpleNamespace) -> None:
    found = only(write("a", {"A": 3.0}))
    _, _, logs = scores(factory, {"A": 3.0})
    ways = {way.name: way for way in found.axes[0].ways}
    assert list(ways) == ["A = no, B = yes", "A = yes, B = no", "debiased"]
    said = logs.argmax(axis=2)  # the first cell of each assignment: 0 and 2
    assert ways["A = no, B = yes"].selection["yes"].value == pytest.approx((said[:, 0] == 1).mean())
    assert ways["A = yes, B = no"].selection["yes"].value == pytest.approx((said[:, 2] == 1).mean())
    assert ways["A = yes, B = no"].n == N
    assert all(0 < way.dpd.chance.median < way.dpd.chance.p95 for way in ways.values())
    assert ways["debiased"].selection["yes"].value == pytest.approx((logs.mean(axis=1).argmax(axis=1) == 1).mean())
    assert ways["debiased"].accuracy.value > max(way.accuracy.value for name, way in ways.items() if name != "debiased")
    answers = found.axes[0].groups["aur"]
    inside = np.array([document["faith"] == ["aur"] for document in factory.documents(N, overlap=False)])
    assert answers.raw["yes"].value == pytest.approx((said[inside] == 1).mean())
    assert found.contradiction.value == pytest.approx((said != said[:, :1]).any(axis=1).mean())


def test_the_raw_task_stands_beside_where_it_was_asked(write: Write, factory: SimpleNamespace) -> None:
    folder = write("a", {"A": 3.0})
    documents = factory.documents(N, overlap=False)
    said = factory.predict(documents)
    same = {"pretrained": "org/a"}
    factory.WrittenRun(documents, said, fair=factory.FAIR, date=factory.LATER, model_args=same).write(folder)
    ways = only(folder).axes[0].ways
    assert [way.name for way in ways] == ["mytask", "A = no, B = yes", "A = yes, B = no", "debiased"]
    right = np.mean([one == document["label"] for one, document in zip(said, documents, strict=True)])
    assert ways[0].accuracy.value == pytest.approx(right)


def test_inputs_without_content_are_the_prior_and_nothing_else(write: Write, factory: SimpleNamespace) -> None:
    documents, cells, logs = scores(factory, {"A": 1.0})
    free = {**documents[0], "id": "content-free#1", "content_free": True}
    lean = factory.planted(np.array([[0.0, 2.0]]), cells, {"A": 1.0})
    folder = write(
        "a",
        {},
        documents=[free, *documents],
        predictions=[0] * (N + 1),
        cells=[cells] * (N + 1),
        log_probabilities=np.concatenate([lean, logs]),
    )
    found = only(folder)
    assert found.inputs == 1
    assert found.prior["yes"] == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert found.axes[0].bias.n == N
    calibrated = {way.name: way for way in found.axes[0].ways}["calibrated"]
    debiased = logs[:, :, 1].mean(axis=1) - logs[:, :, 0].mean(axis=1)
    assert calibrated.selection["yes"].value == pytest.approx((debiased > 2.0).mean())


def test_documents_asked_in_one_block_each_tell_symbol_and_place_apart(write: Write, factory: SimpleNamespace) -> None:
    _, cells, logs = scores(factory, {"A": 1.0, "1": 0.4})
    blocks = [[0, 3], [1, 2]]  # (turn, shift) = (0, 0), (1, 1) and (0, 1), (1, 0)
    chosen = [blocks[row % 2] for row in range(N)]
    folder = write(
        "a",
        {},
        cells=[[cells[place] for place in block] for block in chosen],
        log_probabilities=[logs[row][block] for row, block in enumerate(chosen)],
    )
    (axis,) = only(folder).axes
    levels = {one.level.name: one.sizes["log-odds"] for one in axis.bias.effects}
    assert levels["A"].low <= 1.0 <= levels["A"].high
    assert levels["1"].low <= 0.4 <= levels["1"].high


def test_three_choices(write: Write, factory: SimpleNamespace) -> None:
    documents = factory.documents(N, overlap=False)
    cells = factory.balanced_cells(3)
    meaning = np.random.default_rng(2).normal(0, 1, (N, 3))
    folder = write(
        "a",
        {},
        choices=("no", "yes", "maybe"),
        cells=[cells] * N,
        log_probabilities=factory.planted(meaning, cells, {"A": 1.0, "C": -0.5}, 0.2),
        fair={key: value for key, value in factory.FAIR.items() if key != "positive"},
        documents=documents,
    )
    (axis,) = only(folder).axes
    token = axis.bias.sizes["log-odds"].token
    assert token.groups == ("A", "C")
    assert token.low <= 1.5 <= token.high
    assert list(axis.ways[0].selection) == ["no", "yes", "maybe"]


def test_documents_with_more_choices_than_most_are_left_out_and_said(write: Write, factory: SimpleNamespace) -> None:
    folder = write("a", {}, fair={"axes": factory.FAIR["axes"]})
    path = next(folder.glob("samples_*.jsonl"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    three = factory.balanced_cells(3)
    lines[5]["doc"] |= {"cells": three, "meanings": ["no", "yes", "maybe"]}
    lines[5]["filtered_resps"] = [["-1.0", "False"]] * 27
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = only(folder)
    assert found.notes == (
        "1 documents with another number of cells or choices than most have no part in the token effects",
    )
    assert found.axes[0].bias.n == N - 1
    assert len(found.classes) == 2
    assert found.axes[0].ways[0].name == "A = choice 1, B = choice 2"


def test_the_command_writes_one_report_of_all_runs(write: Write, tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("matplotlib")
    folders = [str(write(name, {"A": size})) for name, size in (("lora", 2.0), ("full", 0.1))]
    out = tmp_path / "out"
    assert cli.main(["token-bias", *folders, "-o", str(out)]) == 0
    assert NOT_MEASURABLE in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == [
        f"token_bias.{kind}" for kind in ("csv", "json", "md", "svg")
    ]
    document = json.loads((out / "token_bias.json").read_text())
    assert [one["variant"] for one in document["tasks"]] == ["org/full", "org/lora"]
    token = document["tasks"][1]["axes"][0]["sizes"]["log-odds"]["token"]
    with (out / "token_bias.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["variant"] == "org/lora" and row["name"] == "token"]
    assert float(rows[0]["value"]) == token["value"]
    assert (rows[0]["part"], rows[0]["scale"], rows[0]["between"]) == ("largest effect", "log-odds", "A / B")
    blocks = read_blocks(out / "token_bias.json")
    assert [(block.variant, block.task) for block in blocks] == [
        (name, "mytask_controlled") for name in ("org/full", "org/lora")
    ]
    first = (out / "token_bias.svg").read_bytes()
    assert cli.main(["token-bias", *folders, "-o", str(out)]) == 0  # over an earlier report of ours
    assert (out / "token_bias.svg").read_bytes() == first


def test_hostile_names_are_harmless_everywhere(write: Write, factory: SimpleNamespace, tmp_path: Path) -> None:
    _, cells, _ = scores(factory, {"A": 1.0})
    strange = [{**cell, "symbols": [HOSTILE if one == "A" else one for one in cell["symbols"]]} for cell in cells]
    fair = {"axes": {HOSTILE: {"field": "faith", "groups": ["aur", "bron", "cel"]}}, "positive": HOSTILE}
    folder = write("a", {}, cells=[strange] * N, choices=("no", HOSTILE), fair=fair, model_args={"pretrained": HOSTILE})
    out = tmp_path / "out"
    assert cli.main(["token-bias", str(folder), "-o", str(out)]) == 0
    for path in out.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "\x1b" not in text
        if path.suffix in (".md", ".svg"):
            assert "<script" not in text
    with (out / "token_bias.csv").open(newline="") as file:
        cell = [value for row in csv.DictReader(file) for value in row.values() if value]
    assert not [value for value in cell if value.lstrip().startswith(("=", "@", "+"))]


def test_without_matplotlib_the_tables_are_written(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    out = tmp_path / "out"
    assert cli.main(["token-bias", str(write("a", {"A": 1.0})), "-o", str(out)]) == 0
    assert "pip install 'groupgap[figures]'" in capsys.readouterr().err
    assert sorted(path.suffix for path in out.iterdir()) == [".csv", ".json", ".md"]


def test_runs_without_such_a_task_are_refused(factory: SimpleNamespace, tmp_path: Path, capsys: Any) -> None:
    folder = factory.run().write(tmp_path / "plain")
    assert cli.main(["token-bias", str(folder), "-o", str(tmp_path / "out")]) == 2
    assert "no controlled task and no prompt for a gender among mytask" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_tasks_of_a_run_are_left_alone(write: Write, factory: SimpleNamespace, tmp_path: Path) -> None:
    folder = write("a", {"A": 1.0})
    factory.run(task="plain", date=factory.LATER, fair=None).write(folder)  # without an axis: a board refuses it
    assert [one.task for one in token_report(Request([folder]), None).tasks] == ["mytask_controlled"]


def test_mistakes_are_one_line(write: Write, tmp_path: Path, capsys: Any) -> None:
    folder = str(write("a", {"A": 1.0}))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    assert cli.main(["token-bias", folder, "-o", str(tmp_path / "mine")]) == 2
    assert "not a token-bias report of groupgap" in capsys.readouterr().err
    assert cli.main(["token-bias", folder, "-o", str(tmp_path / "out"), "--min-group", "0"]) == 2
    assert "--min-group 0: expected a whole number, 1 or more" in capsys.readouterr().err
    assert cli.main(["token-bias", str(tmp_path / "none"), "-o", str(tmp_path / "out")]) == 2
    assert "no such run folder" in capsys.readouterr().err


def test_unbalanced_cells_are_refused(write: Write, factory: SimpleNamespace, tmp_path: Path, capsys: Any) -> None:
    _, cells, logs = scores(factory, {"A": 1.0})
    folder = write("a", {}, cells=[cells[:3]] * N, log_probabilities=logs[:, :3])
    assert cli.main(["token-bias", str(folder), "-o", str(tmp_path / "out")]) == 2
    assert "not balanced" in capsys.readouterr().err


def test_seeds_are_listed_not_folded(write: Write, tmp_path: Path) -> None:
    for seed in (13, 42):
        folder = write(f"s{seed}", {"A": seed / 42})
        told = {"name": f"lora-{seed}", "base": "org/b", "method": "lora", "seed": seed}
        (folder / "variant.json").write_text(json.dumps(told))
    found = token_report(Request([tmp_path / "s13", tmp_path / "s42"]), None).tasks
    assert [(one.variant, one.seed) for one in found] == [("lora-13", 13), ("lora-42", 42)]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_hardly_any_documents_make_no_interval_and_no_error(
    write: Write, factory: SimpleNamespace, tmp_path: Path, n: int
) -> None:
    documents, cells, logs = scores(factory, {"A": 1.0})
    folder = write("a", {}, documents=documents[:n], cells=[cells] * n, log_probabilities=logs[:n], predictions=[0] * n)
    out = tmp_path / "out"
    assert cli.main(["token-bias", str(folder), "-o", str(out), "--min-group", "1"]) == 0
    (axis,) = json.loads((out / "token_bias.json").read_text())["tasks"][0]["axes"]
    token = axis["sizes"]["log-odds"]["token"]
    assert token["value"] == pytest.approx(1.0, abs=0.5)
    assert ("low" in token) == (n > 1)
    assert axis["sizes"]["log-odds"]["verdict"] in (None, "cannot tell")


def test_copies_of_a_document_are_one_cluster(write: Write, factory: SimpleNamespace) -> None:
    documents, cells, _ = scores(factory, {"A": 1.0})
    once = only(write("a", {})).axes[0].bias
    twice = (
        only(
            write(
                "b",
                {},
                documents=[*documents, *documents],
                cells=[cells] * 2 * N,
                log_probabilities=np.concatenate([scores(factory, {})[2]] * 2),
                predictions=[0] * 2 * N,
            )
        )
        .axes[0]
        .bias
    )
    token, other = (one.sizes["log-odds"].meaning for one in (once, twice))
    assert other.n == 2 * token.n
    assert (other.low, other.high) == (pytest.approx(token.low), pytest.approx(token.high))
