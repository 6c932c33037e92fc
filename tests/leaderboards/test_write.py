"""The files: strict, equal from run to run, equal to each other, and harmless whatever a run is called."""

from __future__ import annotations

import csv
import json
import math
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.cli import main
from groupgap.errors import GroupgapError
from groupgap.leaderboards.board import Board, Options, build_board
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.format import format_estimate, format_p
from groupgap.leaderboards.markdown import terminal
from groupgap.leaderboards.page import board_page
from groupgap.leaderboards.tables import _cell, board_csv, to_json
from groupgap.leaderboards.write import check_output, write_board
from groupgap.metrics import Estimate

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a|b|c\n| injected | row |",
    "[x](javascript:alert(1))",
    "=1+2",
    "@SUM(A1)",
    "{{ 7 * 7 }}",
    "</style><script>",
    "\u202ereversed\u202c",
    "`code` *star* _under_",
]


def board_of(folder: Path, **options: Any) -> Board:
    return build_board(collect(Request([folder])), Options(**{"min_group": 1, "draws": 50, **options}))


@pytest.fixture
def board(tmp_path: Path, factory: SimpleNamespace) -> Board:
    factory.run().write(tmp_path / "runs" / "a")
    factory.run(model_args={"pretrained": "b"}, skill=7, original=600).write(tmp_path / "runs" / "b")
    return board_of(tmp_path / "runs", min_group=12)


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


class Page(HTMLParser):
    """Collects elements, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_all_files_are_written_and_say_the_same(board: Board, tmp_path: Path) -> None:
    written = write_board(board, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(written)
    document = json.loads(written["board.json"].read_text(encoding="utf-8"), parse_constant=refuse)
    assert (document["schema"], document["schema_version"]) == ("groupgap-board", 1)
    flat = read_csv(written["board.csv"])
    groups = read_csv(written["groups.csv"])
    page = Page(written["index.html"].read_text(encoding="utf-8")).text
    markdown = written["board.md"].read_text(encoding="utf-8")
    assert len(flat) == len(document["rows"]) == 2
    assert len(groups) == 6
    for row, line, source in zip(document["rows"], flat, board.rows, strict=True):
        for metric, estimate in row["metrics"].items():
            assert line[metric] == ("" if estimate["value"] is None else repr(estimate["value"]))
            assert line[f"{metric}_undefined"] == (estimate.get("reason") or "")
        for text in (page, markdown, terminal(board)):
            assert format_estimate(source.judgement.worst_group) in text or "undefined" in text
            assert row["variant"] in text
        assert row["limited"] == (line["limited"] == "True")


def test_an_undefined_number_is_the_same_words_everywhere(tmp_path: Path, factory: SimpleNamespace) -> None:
    documents = [
        {"id": str(index), "text": "", "label": 0, "faith": [["aur", "bron"][index % 2]]} for index in range(12)
    ]
    factory.WrittenRun(documents, [0] * 12, fair=factory.FAIR).write(tmp_path / "run")
    board = board_of(tmp_path / "run")
    written = write_board(board, tmp_path / "out")
    estimate = board.rows[0].judgement.eopp
    words = format_estimate(estimate)
    assert estimate.value is None
    assert words == f"undefined ({estimate.reason}, n = {estimate.n})"
    assert words in Page(written["index.html"].read_text()).text
    assert format_estimate(board.rows[0].judgement.groups["aur"].tpr) == "undefined (no positives, n = 0)"
    assert "undefined (no positives, n = 0)" in written["board.md"].read_text()
    assert "undefined" in terminal(board)
    assert read_csv(written["board.csv"])[0]["eopp_undefined"] == estimate.reason
    assert read_csv(written["groups.csv"])[0]["tpr_undefined"] == "no positives"
    metrics = json.loads(written["board.json"].read_text())["rows"][0]["metrics"]
    assert metrics["eopp"] == {"value": None, "n": estimate.n, "reason": estimate.reason}


def test_two_builds_give_the_same_bytes(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path / "run")
    first = write_board(board_of(tmp_path / "run"), tmp_path / "first")
    second = write_board(board_of(tmp_path / "run"), tmp_path / "second")
    for name, path in first.items():
        assert path.read_bytes() == second[name].read_bytes()


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_model_and_its_groups_are_called_stays_text(
    tmp_path: Path, factory: SimpleNamespace, name: str
) -> None:
    fair = {"axes": {name: {"field": "faith", "groups": ["aur", "bron", "cel", name]}}, "positive": "yes"}
    factory.run(fair=fair, model_args={"pretrained": name}, reported={"acc,none": name}).write(tmp_path / "run")
    board = board_of(tmp_path / "run")
    plainer = board_of(factory.run(date=factory.LATER).write(tmp_path / "plain"))
    page, reference = Page(board_page(board)), Page(board_page(plainer))
    extra = len(page.tags) - len(reference.tags)
    assert not {"img", "iframe", "object", "link", "base", "embed"} & set(page.tags)
    assert page.tags.count("script") == 2
    assert extra < 20  # the cells of one more group and the remarks, nothing else
    assert not [key for key, _ in page.attributes if key.startswith("on") or key in ("src", "style", "action")]
    assert all(value and value.startswith("#") for key, value in page.attributes if key == "href")
    written = write_board(board, tmp_path / "out")
    (line,) = read_csv(written["board.csv"])
    assert not line["variant"].startswith(("=", "@", "+", "-", "\t"))
    markdown = written["board.md"].read_text(encoding="utf-8")
    assert "<script" not in markdown
    assert "<img" not in markdown
    assert "](" not in markdown.replace("\\](", "").replace("\\]", "")
    tables = [part.splitlines() for part in markdown.split("\n\n") if part.startswith("| rank")]
    assert [len(lines) for lines in tables] == [3]
    assert "\u202e" not in markdown + terminal(board) + page.text
    json.loads(written["board.json"].read_text(encoding="utf-8"), parse_constant=refuse)


@pytest.mark.parametrize("name", ["one\rtwo", "one\ntwo", "one\u2028two", "\ud800half", "\r=1+2", " =1+2", "\x1b[2Jx"])
def test_a_name_with_control_characters_breaks_no_file(
    tmp_path: Path, factory: SimpleNamespace, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    factory.run(model_args={"pretrained": "b"}).write(tmp_path / "run" / "b")
    folder = factory.run().write(tmp_path / "run" / "a")
    (folder / "variant.json").write_text(json.dumps({"name": name}))
    assert main(["board", str(tmp_path / "run"), "-o", str(tmp_path / "out"), "--draws", "999"]) == 0
    capsys.readouterr().out.encode("utf-8")
    text = (tmp_path / "out" / "board.csv").read_bytes().decode("utf-8")
    assert len(text.splitlines()) == 3
    assert {line["variant"] for line in read_csv(tmp_path / "out" / "board.csv")} == {"b", _cell(name)}
    assert str(_cell(name)).isprintable()
    document = json.loads((tmp_path / "out" / "board.json").read_text(encoding="utf-8"))
    assert {row["variant"] for row in document["rows"]} == {"b", name}


def test_json_for_a_terminal_is_ascii_and_for_a_file_is_not() -> None:
    document = {"name": "é\ud800\U0001f600"}
    assert json.loads(to_json(document)) == json.loads(to_json(document, ascii_only=True)) == document
    assert to_json(document, ascii_only=True).isascii()
    assert "é\\ud800\U0001f600" in to_json(document)


def test_the_group_table_says_what_its_rates_are_of(tmp_path: Path, board: Board) -> None:
    lines = read_csv(write_board(board, tmp_path / "out")["groups.csv"])
    assert {(line["positive"], line["min_group"]) for line in lines} == {("yes", "12")}


def test_the_legend_says_what_each_end_of_an_interval_holds_for(board: Board) -> None:
    for text in (terminal(board), Page(board_page(board)).text):
        assert "The lower end of a gap holds for all pairs of groups at once, its upper end for the one pair" in text
        assert "they hold for all groups at once" not in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0312, "0.031"),
        (0.0001, "0.0001"),
        (0.0496, "0.0496"),
        (0.04996, "0.04996"),
        (0.0500001, "0.050"),
        (0.05, "0.050"),
        (0.0504, "0.050"),
        (1.0, "1.000"),
        (math.nextafter(0.05, 0), repr(math.nextafter(0.05, 0))),
    ],
)
def test_a_p_value_under_a_twentieth_never_looks_like_one(value: float, shown: str) -> None:
    assert format_p(value) == shown


def test_samples_never_reach_the_files(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run(prompt="SECRET {text}").write(tmp_path / "run")
    for path in write_board(board_of(tmp_path / "run"), tmp_path / "out").values():
        assert "SECRET" not in path.read_text()
        assert "text 1" not in path.read_text()


def test_the_page_asks_for_nothing_and_runs_nothing(board: Board) -> None:
    html = board_page(board)
    assert "default-src 'none'" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html
    assert "prefers-color-scheme:dark" in html


def test_nan_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        to_json({"value": float("nan")})


def test_an_earlier_board_is_replaced_and_other_files_stay(board: Board, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    write_board(board, folder)
    (folder / "mine.txt").write_text("mine")
    (folder / "board.md").write_text("old")
    written = write_board(board, folder)
    assert written["board.md"].read_text() != "old"
    assert (folder / "mine.txt").read_text() == "mine"


def test_a_folder_that_is_not_a_board_is_refused(board: Board, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    check_output(folder)
    (folder / "precious.txt").write_text("mine")
    with pytest.raises(GroupgapError, match="not empty and not a board of groupgap"):
        write_board(board, folder)
    (folder / "board.json").write_text("{}")
    with pytest.raises(GroupgapError, match="not empty and not a board of groupgap"):
        write_board(board, folder)
    with pytest.raises(GroupgapError, match="a file of this name is in the way"):
        write_board(board, folder / "precious.txt")
    assert sorted(path.name for path in folder.iterdir()) == ["board.json", "precious.txt"]


def test_nothing_is_left_half_written(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    before = {name: path.read_bytes() for name, path in write_board(board, folder).items()}

    def fail(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(GroupgapError, match="cannot write the board \\(No space left on device\\)"):
        write_board(board, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_numbers_as_they_are_shown() -> None:
    assert format_estimate(Estimate(0.25, 40, low=0.1, high=0.4), interval=False) == "0.250"
    assert format_estimate(Estimate(0.25, 40)) == "0.250"


def test_a_board_without_rows_has_empty_tables() -> None:
    assert board_csv(Board(())).strip() == ""
