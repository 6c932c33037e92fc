"""Fills the tables of ``README.md`` from ``board.json``, ``compare-*.json`` and ``made.json`` beside it.

``python examples/lora-vs-full/page.py`` writes them; a test does the same in memory and compares.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from groupgap.leaderboards.board_file import SavedBoard, SavedRow, read_board
from groupgap.leaderboards.format import format_estimate, format_number, format_p
from groupgap.leaderboards.markdown import table

HERE = Path(__file__).resolve().parent
SETS = ("toxigen", "hatexplain")
BLOCK = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
MEASURES = {"accuracy": "accuracy", "worst_group": "worst group", "eod": "eod"}
Json = dict[str, Any]


def fill(text: str, folder: Path = HERE) -> str:
    """The page with its tables made anew.

    Args:
        text: the page; a table stands between ``<!-- made: NAME -->`` and ``<!-- end -->``.
        folder: where the json files are.
    """
    board = read_board(folder)
    made = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    compared = [
        one
        for name in SETS
        for one in json.loads((folder / f"compare-{name}.json").read_text(encoding="utf-8"))["comparisons"]
    ]
    tables: dict[str, Callable[[], str]] = {
        "results": lambda: results(board),
        "learnt": lambda: learnt(board, made),
        "differences": lambda: differences(compared),
        "cost": lambda: cost(made),
    }
    return BLOCK.sub(lambda found: f"{found[1]}{tables[found[2]]()}\n{found[3]}", text)


def method_of(variant: str) -> str:
    """A row's name without its set."""
    return variant.partition("-")[2] or variant


def results(board: SavedBoard) -> str:
    """One table for each task: the rows of the board."""
    parts = []
    for task in dict.fromkeys(row.task for row in board.rows):
        lines = [
            [method_of(row.variant), f"{row.trained_parameters:,}" if row.trained_parameters else "-", *_cells(row)]
            for row in board.rows
            if row.task == task
        ]
        header = ("method", "trained parameters", "accuracy", "worst group", "spread", "dpd", "eod")
        parts.append(f"`{task}`\n\n{table(header, lines)}")
    return "\n\n".join(parts)


def _cells(row: SavedRow) -> list[str]:
    found = {name: saved.read() for name, saved in row.metrics.items()}
    worst = found["worst_group"]
    cells = [format_estimate(found["accuracy"]), " ".join([*worst.groups, format_estimate(worst)])]
    for gap in ("accuracy_spread", "dpd", "eod"):
        chance = found[gap].chance
        cells.append(format_estimate(found[gap]) + (f" (chance {format_number(chance.median)})" if chance else ""))
    return cells


def majority(made: Json, task: str) -> float:
    """Accuracy of the best constant answer."""
    positive = made["asked"][task]["positive"] / made["asked"][task]["documents"]
    return max(positive, 1 - positive)


def learnt(board: SavedBoard, made: Json) -> str:
    """Each method's accuracy beside that of the best constant answer, by seed."""
    lines = []
    for row in board.rows:
        accuracy = row.metrics["accuracy"].read()
        constant = majority(made, row.task)
        seeds = [one.metrics["accuracy"].read() for one in row.by_seed] or [accuracy]
        above = sum(one.low is not None and one.low > constant for one in seeds)
        by_seed = ", ".join(format_number(one.value) for one in seeds if one.value is not None)
        lines.append([row.task, method_of(row.variant), format_number(constant), by_seed, f"{above} of {len(seeds)}"])
    header = ("task", "method", "constant answer", "accuracy of each seed (13, 42, 666, 888, 1337)", "seeds above it")
    return table(header, lines)


def differences(compared: list[Json]) -> str:
    """Each method against full, by both questions."""
    pairs: dict[tuple[str, str], dict[str, Json]] = {}
    for one in compared:
        if one["seeds"]:
            pairs.setdefault((one["task"], method_of(one["a"])), {})[one["question"]] = one
    lines = []
    for (task, method), asked in pairs.items():
        for metric, words in MEASURES.items():
            of_trainings, of_weights = (_test(asked[question], metric) for question in ("trainings", "weights"))
            lines.append([task, method, words, _difference(of_trainings), _difference(of_weights)])
    header = ("task", "method", "method minus full", "would other trainings differ?", "do these weights differ?")
    return table(header, lines)


def _test(compared: Json, metric: str) -> Json:
    found: Json = next(one for one in compared["tests"] if one["metric"] == metric and one["group"] is None)
    return found


def _difference(test: Json) -> str:
    if test["difference"] is None:
        return f"undefined ({test['reason']})"
    interval = f"[{format_number(test['low'])}, {format_number(test['high'])}]"
    tested = "no test" if test["p"] is None else f"p {format_p(test['p'])}, q {format_p(test['q'])}"
    return f"{format_number(test['difference'])} {interval}, {tested}"


def cost(made: Json) -> str:
    """What the trainings took, by set and method."""
    lines = []
    for task in dict.fromkeys(one["task"] for one in made["trainings"]):
        of_task = [one for one in made["trainings"] if one["task"] == task]
        for method in dict.fromkeys(one["name"].rpartition("-")[0] for one in of_task):
            mine = [one for one in of_task if one["name"].rpartition("-")[0] == method]
            seconds = sum(one["seconds"] for one in mine)
            losses = [one["losses"][one["selected_epoch"] - 1]["validation"] for one in mine]
            orders = {(one["seed"], one["batch_order"]) for one in of_task}
            same = "yes" if len(orders) == len({one["seed"] for one in of_task}) else "no"
            mean = format_number(statistics.fmean(losses))
            lines.append([task, method, str(len(mine)), f"{seconds:,.0f}", mean, same])
    header = ("task", "method", "trainings", "seconds in all", "mean validation loss", "same rows in the same order")
    return table(header, lines)


if __name__ == "__main__":
    page = HERE / "README.md"
    page.write_text(fill(page.read_text(encoding="utf-8")), encoding="utf-8")
