"""What the page says in words where numbers alone mislead: rounded differences, chance, and groups that are alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.leaderboards.board import Board, Options, build_board
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.page import board_page
from groupgap.leaderboards.write import write_board
from groupgap.metrics import Chance

pytestmark = pytest.mark.browser


@pytest.fixture
def page_of(browser: Any, tmp_path: Path) -> Any:
    """Opens the page of a board."""
    context = browser.new_context()

    def opened(board: Board, state: str = "") -> Any:
        file = tmp_path / "index.html"
        file.write_text(board_page(board), encoding="utf-8")
        page = context.new_page()
        page.goto(f"file://{file}{state}")
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        return page

    yield opened
    context.close()


@pytest.mark.parametrize(("place", "metric", "side"), [(0, "accuracy", 1), (2, "DPD", -1)])
@pytest.mark.parametrize("difference", [0.0004, -0.0004])
def test_a_significant_difference_under_half_a_thousandth_names_its_winner(
    made: Callable[..., Board], page_of: Any, place: int, metric: str, side: int, difference: float
) -> None:
    board = made(2, 1)
    (pairs,) = board.pairs
    pairs.found.p_value[:], pairs.q_value[:] = 0.5, 0.5
    pairs.found.value[place, 0] = difference
    pairs.found.p_value[place, 0] = pairs.q_value[place, 0] = 1e-3
    first, second = (row.variant for row in board.rows)
    winner = first if difference * side > 0 else second
    for a, b in ((first, second), (second, first)):
        page = page_of(board, f"#a={a}&b={b}".replace(" ", "+"))
        page.evaluate("document.getElementById('compare').scrollIntoView()")
        letter = "A" if winner == a else "B"
        said = page.locator("#comparison .verdict")
        said.filter(has_text=f"{letter} is better in {metric} (by less than 0.001)").wait_for()
        words = "is better" if side > 0 else "is better (the smaller gap)"
        page.locator("#comparison td.apart", has_text=f"{letter} {words} by less than 0.001").wait_for()


def test_table_and_dialog_agree_on_what_is_beyond_chance(made: Callable[..., Board], page_of: Any) -> None:
    """A spread of 0.0504 with 95 of 100 permutations under 0.0501 is beyond chance, though both are shown as 0.050."""
    board = made(1, 1)
    (row,) = board.rows
    spread = replace(row.judgement.accuracy_spread, value=0.0504, chance=Chance(0.03, 0.0501, 0.04, 999))
    row = replace(row, judgement=replace(row.judgement, accuracy_spread=spread))
    page = page_of(replace(board, rows=(row,), pairs=()), f"#row={row.variant}".replace(" ", "+"))
    line = page.locator("dialog tr", has=page.locator("th", has_text="accuracy spread")).first
    assert "0.050" in line.inner_text()
    assert "chance 0.030" in line.inner_text()
    assert "≤ chance" not in line.inner_text()
    page.keyboard.press("Escape")
    heads = [head.get_attribute("data-key") for head in page.locator(".ranking thead th").all()]
    assert "≤ chance" not in page.locator(".ranking tbody tr > *").nth(heads.index("accuracy_spread")).inner_text()


def test_no_group_is_called_worst_where_none_is(tmp_path: Path, factory: SimpleNamespace, page_of: Any) -> None:
    made = [
        {"id": f"r{at}", "text": "", "label": at // 3 % 2, "faith": [("aur", "bron", "cel")[at % 3]]}
        for at in range(180)
    ]
    for name, said in (("right", [one["label"] for one in made]), ("yes", [1] * 180)):
        run = factory.WrittenRun(made, said, fair=factory.FAIR, model_args={"pretrained": name})
        run.write(tmp_path / "runs" / name)
    board = build_board(collect(Request([tmp_path / "runs"])), Options(draws=99))
    page = page_of(board, "#row=right")
    assert "all judged groups alike 1.000" in " ".join(page.locator("dialog").inner_text().split())
    page.keyboard.press("Escape")
    text = page.locator("#ranking").inner_text()
    assert "right treats all groups judged alike, 1.000" in text
    assert "At the other end yes: all judged groups alike, 0.500" in text
    assert "Worst off" not in text
    assert page.locator(".groups td.w").count() == 0
    written = write_board(board, tmp_path / "out")
    rows = json.loads(written["board.json"].read_text())["rows"]
    assert [row["metrics"]["worst_group"]["groups"] for row in rows] == [["aur", "bron", "cel"]] * 2
    assert "all judged groups alike 0.500" in written["board.md"].read_text()
    assert "aur / bron / cel" in written["board.csv"].read_text()
