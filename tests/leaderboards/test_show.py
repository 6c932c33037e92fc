"""``groupgap show``: what the board says, in a width that the terminal has, whatever the names are."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.cli import main

HOSTILE = [
    "\x1b]0;title\x07x",
    "\u202ereversed\u202c",
    "日本語のとても長い名前" * 6,
    "a\nb\tc",
    "e\u0301" * 30,
    "\ud800half",
]


@pytest.fixture
def board(tmp_path: Path, factory: SimpleNamespace) -> Path:
    for number, name in enumerate(HOSTILE):
        folder = factory.run(n=90, skill=number + 1).write(tmp_path / "runs" / str(number))
        (folder / "variant.json").write_text(json.dumps({"name": name, "base": "org/base", "method": "lora"}))
    assert (
        main(["board", str(tmp_path / "runs"), "-o", str(tmp_path / "out"), "--draws", "999", "--min-group", "5"]) == 0
    )
    return tmp_path / "out"


def columns_of(line: str) -> int:
    """Counted apart from the code under test: wide letters are two, marks and what hides none."""
    marks = {"Mn", "Me"}
    wide = sum(unicodedata.east_asian_width(letter) in ("W", "F") for letter in line)
    return len(line) + wide - sum(unicodedata.category(letter) in marks for letter in line)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 250])
def test_no_line_is_wider_than_the_terminal(
    board: Path, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    capsys.readouterr()
    assert main(["show", str(board)]) == 0
    shown = capsys.readouterr().out
    assert max(map(columns_of, shown.splitlines())) <= width
    assert not {"\x1b", "\x07", "\u202e", "\ud800"} & set(shown)
    rows = json.loads((board / "board.json").read_text())["rows"]
    table = shown.splitlines()[1 : 2 + len(rows)]
    assert all(heading in table[0].split("  ") for heading in ("rank", "worst"))
    for row, line in zip(rows, table[1:], strict=True):
        worst = row["metrics"]["worst_group"]
        assert line.split()[0] == str(row["rank"])
        assert f"{worst['value']:.3f}" in line
        assert worst["groups"][0] in line
    assert ("too narrow for" in shown) == (width < 250)


def test_no_hostile_name_reaches_the_terminal_or_breaks_a_line(
    board: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = json.loads((Path(__file__).parent / "page" / "hostile.json").read_text(encoding="utf-8"))
    document = json.loads((board / "board.json").read_text())
    pattern = document["rows"][0]
    document["rows"] = []
    for name in names:
        row = json.loads(json.dumps(pattern)) | {"variant": name, "base": name, "method": name, "notes": [name]}
        row["metrics"]["worst_group"]["groups"] = [name]
        row["metrics"]["eod"] = {"value": None, "n": 3, "reason": name}
        document["rows"].append(row)
    document["rows"].append(pattern | {"task": names[0], "axis": names[1]})
    (board / "board.json").write_text(json.dumps(document))
    for width in (60, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        assert main(["show", str(board)]) == 0
        shown = capsys.readouterr().out
        lines = shown.split("\n")
        assert max(map(columns_of, lines)) <= width
        assert all(line.isprintable() for line in lines)
        assert sum(line.lstrip().startswith(f"{pattern['rank']} ") for line in lines) >= len(names)


def test_a_number_that_does_not_exist_is_said_and_never_0(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    made = [{"id": str(row), "text": "", "label": 0, "faith": [["aur", "bron"][row % 2]]} for row in range(12)]
    factory.WrittenRun(made, [0] * 12, fair=factory.FAIR).write(tmp_path / "run")
    assert main(["board", str(tmp_path / "run"), "-o", str(tmp_path / "out"), "--draws", "999"]) == 0
    capsys.readouterr()
    assert main(["show", str(tmp_path / "out")]) == 0
    table, _, said = capsys.readouterr().out.partition("\n  undefined ")
    assert "undefined" in table
    assert "0.000" not in table
    assert "org/model-a" in said


def test_json_is_strict_and_says_what_the_board_says(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["show", str(board), "--json", "--task", "mytask"]) == 0
    text = capsys.readouterr().out
    assert text.isascii()

    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    found = json.loads(text, parse_constant=refuse)
    written = json.loads((board / "board.json").read_text())["rows"]
    assert found["schema"] == "groupgap-ranking/1"
    assert [row["rank"] for row in found["rows"]] == [row["rank"] for row in written]
    for row, other in zip(found["rows"], written, strict=True):
        for metric, estimate in other["metrics"].items():
            assert row["metrics"][metric]["value"] == estimate["value"]


def test_colour_is_for_terminals_that_want_it(
    board: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    capsys.readouterr()
    main(["show", str(board)])
    bare = capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    main(["show", str(board)])
    coloured = capsys.readouterr().out
    assert "\x1b[1m" in coloured
    for style in ("\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"):
        coloured = coloured.replace(style, "")
    assert coloured == bare
    monkeypatch.setenv("NO_COLOR", "1")
    main(["show", str(board)])
    assert capsys.readouterr().out == bare


@pytest.mark.parametrize("arguments", [["absent"], ["out", "--task", "nobody"], ["runs"]])
def test_a_mistake_is_one_line(
    board: Path, arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(board.parent)
    capsys.readouterr()
    assert main(["show", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("groupgap: error: ")
    assert shown.err.count("\n") == 1


def test_groups_that_are_all_alike_are_no_worst_group(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    small = {"id": "small", "text": "", "label": 0, "faith": ["cel"]}  # too small to be judged, and always wrong
    for name, groups in (("even", ["aur", "bron"]), ("single", ["aur"])):
        made = [{"id": str(row), "text": "", "label": 0, "faith": [groups[row % len(groups)]]} for row in range(80)]
        run = factory.WrittenRun([*made, small], [*[0] * 80, 1], fair=factory.FAIR, task=name)
        run.write(tmp_path / "runs" / name)
    out = tmp_path / "out"
    assert main(["board", str(tmp_path / "runs"), "-o", str(out), "--draws", "999"]) == 0
    capsys.readouterr()
    assert main(["show", str(out)]) == 0
    even, single = (line for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith("1 "))
    assert "org/model-a  all judged groups alike  1.000" in even
    assert "org/model-a  aur (the only group judged)  1.000" in single
    assert main(["card", str(out), "org/model-a"]) == 0
    card = capsys.readouterr().out
    assert "| cel   | 1  | 0.000 " in card
    assert "| worst-group accuracy: all judged groups alike " in card
    assert "| worst-group accuracy: aur (the only group judged) " in card
