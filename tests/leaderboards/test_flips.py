"""Does the ranking flip? Planted flips between metrics, tasks and base models are counted, and only those."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from groupgap.leaderboards.board import Board, Options, build_board
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.flips import flips_of, fronts, ranks

N = 300


def runs(factory: SimpleNamespace, folder: Path, accuracies: dict[tuple[str, str, str], float]) -> Board:
    """A board of (task, base, method) with these accuracies."""
    for number, ((task, base, method), accuracy) in enumerate(accuracies.items()):
        made = factory.documents(N, 0)
        run = factory.WrittenRun(made, factory.predict(made, number, accuracy), fair=factory.FAIR, task=task)
        place = run.write(folder / f"{base}-{method}-{task}")
        (place / "variant.json").write_text(json.dumps({"name": f"{base} {method}", "base": base, "method": method}))
    return build_board(collect(Request([folder])), Options(draws=499))


def counts(board: Board) -> dict[tuple[str, ...], tuple[int, int, int, int]]:
    return {
        (one.between, *one.metrics): (
            one.counts.comparable, one.counts.reversed, one.counts.decided, one.counts.flipped
        )
        for one in flips_of(board)
    }  # fmt: skip


def test_a_flip_between_tasks_is_counted(tmp_path: Path, factory: SimpleNamespace) -> None:
    planted = {
        ("one", "m", "lora"): 0.95,
        ("one", "m", "full"): 0.6,
        ("two", "m", "lora"): 0.6,
        ("two", "m", "full"): 0.95,
    }
    board = runs(factory, tmp_path, planted)
    found = counts(board)
    assert found["tasks", "accuracy"] == (1, 1, 1, 1)
    assert found["metrics", "accuracy", "worst_group"] == (2, 0, 2, 0)
    assert not [key for key in found if key[0] == "bases"]
    tables = [ranks(rows, "accuracy") for rows in board.tables.values()]
    assert sorted(map(tuple, tables)) == [(1, 2), (1, 2)]  # rows stand in the order of each table's worst group


def test_a_flip_between_base_models_is_counted_by_method(tmp_path: Path, factory: SimpleNamespace) -> None:
    planted = {("t", "m", "lora"): 0.95, ("t", "m", "full"): 0.6, ("t", "w", "lora"): 0.6, ("t", "w", "full"): 0.95}
    found = counts(runs(factory, tmp_path, planted))
    assert found["bases", "accuracy"] == (1, 1, 1, 1)
    assert found["metrics", "accuracy", "worst_group"][0] == 2  # rows of different bases are no pair


def test_the_same_order_everywhere_is_no_flip(tmp_path: Path, factory: SimpleNamespace) -> None:
    planted = {(task, "m", method): accuracy for task in "ab" for method, accuracy in (("lora", 0.95), ("full", 0.6))}
    found = counts(runs(factory, tmp_path, planted))
    assert found["tasks", "accuracy"] == (1, 0, 1, 0)


def test_two_axes_of_a_task_are_no_two_tasks(tmp_path: Path, factory: SimpleNamespace) -> None:
    """Accuracy cannot flip between them, which would hide the flip between the tasks among pairs that cannot."""
    axes = {name: {"field": "faith", "groups": ["aur", "bron", "cel"]} for name in ("first", "second")}
    for task, (lora, full) in {"one": (0.95, 0.6), "two": (0.6, 0.95)}.items():
        for number, (method, accuracy) in enumerate((("lora", lora), ("full", full))):
            made = factory.documents(N, 0)
            run = factory.WrittenRun(made, factory.predict(made, number, accuracy), fair={"axes": axes}, task=task)
            place = run.write(tmp_path / f"{method}-{task}")
            (place / "variant.json").write_text(json.dumps({"name": method, "base": "m", "method": method}))
    found = counts(build_board(collect(Request([tmp_path])), Options(draws=499)))
    assert found["tasks", "accuracy"] == (1, 1, 1, 1)
    assert found["tasks", "worst_group"] == (4, 4, 4, 4)
    assert found["metrics", "accuracy", "worst_group"] == (4, 0, 4, 0)


def test_rows_without_a_common_base_are_all_pairs(tmp_path: Path, factory: SimpleNamespace) -> None:
    planted = {("t", "m", "lora"): 0.9, ("t", "w", "lora"): 0.7, ("t", "x", "full"): 0.6}
    assert counts(runs(factory, tmp_path, planted))["metrics", "accuracy", "worst_group"][0] == 3


def test_ranks_and_fronts(tmp_path: Path, factory: SimpleNamespace) -> None:
    board = runs(factory, tmp_path, {("t", "m", "lora"): 0.95, ("t", "m", "full"): 0.6, ("t", "m", "dora"): 0.6})
    rows = board.rows
    for metric, sign in (("accuracy", -1), ("dpd", 1)):
        values = np.array([getattr(row.judgement, metric).value for row in rows])
        assert ranks(rows, metric) == [int((sign * values < sign * value).sum()) + 1 for value in values]
    front = fronts(rows)
    assert "m lora" in front["dpd"]
    best = max(rows, key=lambda row: (row.judgement.accuracy.value, -row.judgement.eod.value))
    assert best.variant in front["eod"]
    assert set(front) == {"accuracy_spread", "dpd", "eopp", "eod"}


@pytest.mark.parametrize("pairs", ["none"])
def test_what_was_not_compared_is_not_counted(tmp_path: Path, factory: SimpleNamespace, pairs: str) -> None:
    runs(factory, tmp_path, {("t", "m", "lora"): 0.95, ("t", "m", "full"): 0.6})
    assert flips_of(build_board(collect(Request([tmp_path])), Options(draws=99, pairs=pairs))) == ()
