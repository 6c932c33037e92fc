"""Tables of other reports: under which row they stand, and what is said of those that stand nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from groupgap.cli import main
from groupgap.leaderboards.report_blocks import Block, placed

ROWS = (
    SimpleNamespace(task="one", variant="full", members=("full-13", "full-42")),
    SimpleNamespace(task="two", variant="full-13", members=("full-13",)),
    SimpleNamespace(task="two", variant="full-42", members=("full-42",)),
)


def block(variant: str, task: str | None = None) -> Block:
    return Block(variant=variant, task=task, title="Attack", columns=("AUC",), rows=((0.5,),))


@pytest.mark.parametrize(
    ("about", "task", "expected"),
    [
        ("full", None, [("full", "Attack")]),
        ("full-13", "one", [("full", "full-13: Attack")]),
        ("full-13", "two", [("full-13", "Attack")]),
        ("full-13", None, [("full-13", "Attack")]),
    ],
)
def test_a_block_stands_under_its_row_or_that_of_its_training(
    about: str, task: str | None, expected: list[tuple[str, str]]
) -> None:
    shown, notes = placed([block(about, task)], ROWS)
    assert [(one.variant, one.title) for one in shown] == expected
    assert notes == []


@pytest.mark.parametrize(
    ("about", "task", "note"),
    [
        ("lora", None, "a report of --with is about lora, which is no row here: not shown"),
        ("full", "two", "a report of --with is about full on task two, which is no row here: not shown"),
    ],
)
def test_a_block_about_no_row_is_said(about: str, task: str | None, note: str) -> None:
    assert placed([block(about, task)] * 2, ROWS) == ([], [note])


def test_a_long_title_can_still_be_read_back() -> None:
    long = block("full-13", "one").model_copy(update={"title": "x" * 5_000})
    (shown,), _ = placed([long], ROWS)
    assert Block.model_validate(shown.model_dump()) == shown


def test_reports_about_trainings_are_on_the_board_and_stay_there(tmp_path: Path, factory: SimpleNamespace) -> None:
    for number, seed in enumerate((13, 42)):
        run = factory.run(n=90, skill=number).write(tmp_path / "runs" / f"full-{seed}")
        (run / "variant.json").write_text(json.dumps({"name": f"full-{seed}", "method": "full", "seed": seed}))
    report = tmp_path / "report.json"
    told = [block(name).model_dump(mode="json") for name in ("full-13", "full-42")]
    report.write_text(json.dumps({"blocks": told}))
    out = tmp_path / "out"
    assert main(["board", str(tmp_path / "runs"), "-o", str(out), "--draws", "999", "--with", str(report)]) == 0
    assert main(["board", "--update", str(out)]) == 0
    document = json.loads((out / "board.json").read_text())
    (row,) = document["rows"]
    shown = [(one["variant"], one["title"]) for one in document["blocks"]]
    assert shown == [(row["variant"], "full-13: Attack"), (row["variant"], "full-42: Attack")]
    assert not any("--with" in note for note in document["notes"])
