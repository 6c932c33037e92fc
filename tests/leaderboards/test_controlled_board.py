"""A controlled task on the board: judged on debiased answers, one line with the raw task's row."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groupgap.leaderboards.board import Board, Options, build_board
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.markdown import arrow
from groupgap.leaderboards.write import write_board

ONCE = Options(draws=50)


@pytest.fixture(scope="module")
def folder(factory: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw task answers "no" whatever is asked; its controlled twin, balanced, is right in all documents."""
    made, cells = factory.documents(90), factory.balanced_cells()
    meaning = np.array([[1.0, 0.0] if document["label"] == 0 else [0.0, 1.0] for document in made])
    root = tmp_path_factory.mktemp("controlled")
    shared: dict[str, Any] = {"documents": made, "fair": factory.FAIR}
    factory.WrittenRun(**shared, predictions=[0] * 90).write(root / "raw")
    factory.ControlledRun(
        **shared,
        predictions=[document["label"] for document in made],
        task="mytask_controlled",
        cells=[cells] * 90,
        log_probabilities=factory.planted(meaning, cells, {"A": 5.0}),
    ).write(root / "controlled")
    return root


@pytest.fixture(scope="module")
def board(folder: Path) -> Board:
    return build_board(collect(Request([folder])), ONCE)


def test_a_controlled_row_names_its_raw_task_and_holds_its_numbers(board: Board) -> None:
    raw, controlled = board.rows
    assert (raw.controlled_of, raw.raw) == (None, None)
    assert controlled.controlled_of == "mytask"
    assert controlled.raw == raw.judgement
    assert controlled.judgement.accuracy.value == 1.0  # the planted symbol effect of 5 log-odds is gone
    assert raw.judgement.accuracy.value is not None
    assert raw.judgement.accuracy.value < 0.7


def test_the_arrow_leads_from_raw_to_debiased(board: Board) -> None:
    raw, controlled = board.rows
    assert arrow(raw) == ""
    worst, accuracy = raw.judgement.worst_group.value, raw.judgement.accuracy.value
    assert f"accuracy {accuracy:.3f} -> 1.000, worst group {worst:.3f} -> 1.000" in arrow(controlled)


def test_a_controlled_row_without_its_raw_task_has_no_arrow(folder: Path) -> None:
    (row,) = build_board(collect(Request([folder / "controlled"])), ONCE).rows
    assert row.controlled_of == "mytask"
    assert row.raw is None
    assert arrow(row) == ""


def test_every_surface_has_it(board: Board, tmp_path: Path) -> None:
    files = write_board(board, tmp_path / "board")
    rows = json.loads(files["board.json"].read_text())["rows"]
    assert [row["controlled_of"] for row in rows] == [None, "mytask"]
    assert rows[0]["raw"] is None
    assert rows[1]["raw"] == rows[0]["metrics"]
    with files["board.csv"].open(newline="") as file:
        assert [row["controlled_of"] for row in csv.DictReader(file)] == ["", "mytask"]
    written = files["board.md"].read_text().replace("\\", "").replace("&gt;", ">")
    assert "from mytask (raw) to here (debiased): accuracy" in written
