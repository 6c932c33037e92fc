"""Whatever stands in a run's files stays text: nothing runs, nothing is asked for, nothing breaks the layout."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groupgap.leaderboards.board import Board, Row
from groupgap.leaderboards.markdown import board_markdown, plain
from groupgap.leaderboards.page import board_page
from groupgap.leaderboards.pairs import Pairs
from groupgap.leaderboards.report_blocks import Block
from groupgap.leaderboards.tables import board_csv, csv_text, groups_csv

HOSTILE: tuple[str, ...] = tuple(json.loads((Path(__file__).parent / "hostile.json").read_text(encoding="utf-8")))
OFFICE = shutil.which("soffice")
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def hostile_board(made: Callable[..., Board]) -> Board:
    """A board of 40 tables of five rows, where each of 200 hostile texts stands in each field somewhere."""
    source = made(5, 40)
    texts: Iterator[str] = iter(HOSTILE[index % len(HOSTILE)] for index in range(10**6))
    take = lambda: next(texts)  # noqa: E731
    tables, pairs, blocks = [], [], []
    for number, ((_, _), rows) in enumerate(source.tables.items()):
        task, axis = f"{number} {take()}", take()
        groups = [f"{place}{take()}" for place in range(5)]
        changed = [hostile_row(row, task, axis, groups, take, place) for place, row in enumerate(rows)]
        tables.append(changed)
        pairs.append(hostile_pairs(source.pairs[number], changed, groups, take()))
        told = [take().encode("utf-8", "replace").decode() for _ in range(6)]
        rows_of_block = ((told[3], 1), (told[4], None))
        block = {"title": told[0], "columns": (told[1], told[2]), "rows": rows_of_block, "notes": (told[5],)}
        blocks.append(Block.model_construct(variant=changed[0].variant, task=task, **block))
    notes = tuple(HOSTILE)
    return Board(tuple(row for rows in tables for row in rows), source.options, notes, tuple(pairs), tuple(blocks))


def hostile_row(row: Row, task: str, axis: str, groups: list[str], take: Callable[[], str], place: int) -> Row:
    judged = row.judgement
    renamed = dict(zip(groups, judged.groups.values(), strict=True))
    worst = replace(judged.worst_group, groups=(groups[place],))
    dpd = replace(judged.dpd, groups=(take(), take()), class_name=take())
    undefined = replace(judged.eod, value=None, reason=take() or "none", groups=())
    judgement = replace(judged, groups=renamed, worst_group=worst, dpd=dpd, eod=undefined, positive=take())
    texts = {name: take() for name in ("base", "method", "proof", "backend", "identity", "licence", "controlled_of")}
    lists = {name: (take(),) for name in ("notes", "members", "dates")}
    told = {take(): take(), "command": take()}
    own = {"task": task, "axis": axis, "variant": f"{place} {take()}", "judgement": judgement, "raw": judgement}
    return replace(row, **own, **texts, **lists, classes=(take(), take()), provenance=(told,))


def hostile_pairs(pairs: Pairs, rows: list[Row], groups: list[str], reason: str) -> Pairs:
    found = pairs.found
    measures = tuple(
        (metric, None if group is None else groups[at - 4]) for at, (metric, group) in enumerate(found.measures)
    )
    value, q_value = found.value.copy(), pairs.q_value.copy()
    value[3], q_value[3] = np.nan, np.nan
    reasons = {(3, pair): reason for pair in range(len(found.pairs))}
    table = replace(found, measures=measures, value=value, reasons=reasons)
    own = {"task": rows[0].task, "axis": rows[0].axis, "variants": tuple(row.variant for row in rows)}
    return replace(pairs, **own, found=table, q_value=q_value, not_compared=((0, 1, reason),))


@pytest.fixture(scope="module")
def hostile(made: Callable[..., Board]) -> Board:
    """The board of hostile texts."""
    return hostile_board(made)


@pytest.fixture(scope="module")
def page_text(hostile: Board) -> str:
    """Its page."""
    return board_page(hostile)


def test_there_are_two_hundred_hostile_texts() -> None:
    assert len(HOSTILE) >= 200


def test_no_text_becomes_markup(page_text: str, made: Callable[..., Board]) -> None:
    page, plainer = Tags(page_text), Tags(board_page(made(5, 2)))
    assert set(page.tags) <= set(plainer.tags) | {"s", "em", "b"}
    assert page.tags.count("script") == 2
    assert {name for name, _ in page.attributes} <= {name for name, _ in plainer.attributes}
    assert all(value and value.startswith("#") for name, value in page.attributes if name == "href")


def test_nothing_invisible_is_left(page_text: str) -> None:
    assert [line for line in page_text.split("\n") if plain(line) != line] == []
    page_text.encode("utf-8")


@pytest.mark.parametrize("table", [board_csv, groups_csv])
def test_the_csv_holds_texts_and_no_formula(hostile: Board, table: Callable[[Board], str]) -> None:
    rows = list(csv.reader(io.StringIO(table(hostile))))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert len(rows) == 1 + (200 if table is board_csv else 1000)
    for row in rows[1:]:
        for cell in row:
            try:
                float(cell)
            except ValueError:
                assert not [part for part in cell.split(";") if part.lstrip().startswith(FORMULAS)]


def test_a_cell_that_is_cut_at_semicolons_holds_no_formula() -> None:
    text = csv_text([{"a": "x;=1+2", "b": "x; -y;z", "c": "a; b", "d": -0.5}])
    assert text == "a,b,c,d\nx;'=1+2,x;' -y;z,a; b,-0.5\n"


@pytest.mark.skipif(OFFICE is None, reason="no LibreOffice on this machine: apt-get install libreoffice-calc-nogui")
@pytest.mark.parametrize("separators", ["44", "44/59/9"], ids=["comma", "comma, semicolon and tab"])
def test_libreoffice_opens_the_csv_as_texts(hostile: Board, tmp_path: Path, separators: str) -> None:
    files = {"board": board_csv(hostile), "groups": groups_csv(hostile), "control": "a,b\n=1+2,x;=1+2\n"}
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    reading = f"--infilter=Text - txt - csv (StarCalc):{separators},34,76,1,,0,false,true,false,false,false,0,true"
    own = f"-env:UserInstallation=file://{tmp_path / 'profile'}"
    command = [str(OFFICE), own, "--headless", "--convert-to", "fods", reading, *(f"{name}.csv" for name in files)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    found = {name: (tmp_path / f"{name}.fods").read_text(encoding="utf-8") for name in files}
    formulas = {name: text.count("table:formula=") for name, text in found.items()}
    assert formulas == {"board": 0, "groups": 0, "control": 1 if separators == "44" else 2}
    assert [found[name].count("<table:table-row ") for name in files] == [201, 1001, 2]


def test_markdown_holds_no_markup(hostile: Board) -> None:
    text = board_markdown(hostile)
    assert "<" not in text.replace("\\<", "")
    assert "](" not in text.replace("\\]", "").replace("\\(", "")
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("| ")]
    for lines in tables:
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


@pytest.mark.browser
def test_nothing_runs_and_nothing_breaks_in_the_browser(page_text: str, browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(page_text, encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{file}")
    page.wait_for_selector("html[data-ready]", timeout=60_000)
    page.evaluate("change({ task: '*' }); drawOutdated(new Set(outdated))")
    assert page.locator(".ranking tbody tr").count() == 200
    for number, width in ((0, 1280), (9, 1280), (18, 320), (27, 320), (39, 320)):
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate(
            "(number) => { const { title, rows } = board.tables[number]; change({ with: title, a: rows[2].variant,"
            " b: rows[4].variant, row: rows[0].variant, of: title }); drawOutdated(new Set(outdated)); }",
            number,
        )
        assert page.locator("#comparison tbody tr").count() == 9
        page.locator("dialog").wait_for(state="visible")
        assert page.evaluate("document.getElementById('variant').scrollWidth") <= width
        page.keyboard.press("Escape")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("window.ran") is None
    assert page.evaluate("document.scripts.length") == 2
    assert said == []
    assert len({url.split("#")[0] for url in asked}) == 1
    page.close()
