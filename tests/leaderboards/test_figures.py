"""``groupgap board --figures``: it draws what the board says, says what is undefined, and twice the same bytes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from groupgap.cli import main

if TYPE_CHECKING:
    from groupgap.leaderboards.board import Board, Row

pytest.importorskip("matplotlib")
KINDS = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}
NAMES = ["base", "full", "lora"]
HOSTILE = "$\\frac{1}{0}$<script>alert(1)</script>\u202e../../x"


def runs(folder: Path, factory: SimpleNamespace, name: str = "lora") -> Path:
    for number, method in enumerate(NAMES):
        run = factory.run(n=90, skill=number + 1).write(folder / method)
        told = {"name": name if method == "lora" else method, "base": "org/base", "method": method}
        (run / "variant.json").write_text(json.dumps(told))
    return folder


def build(runs_folder: Path, out: Path, *options: str) -> Path:
    assert main(["board", str(runs_folder), "-o", str(out), "--draws", "999", "--min-group", "5", *options]) == 0
    return out


def words(svg: Path) -> str:
    return "\n".join(text for text in ElementTree.parse(svg).getroot().itertext() if text.strip())


def test_each_figure_is_there_in_three_formats_and_says_the_names(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = build(runs(tmp_path / "runs", factory), tmp_path / "out", "--figures")
    again = build(tmp_path / "runs", tmp_path / "again", "--figures")
    assert "boxes" not in capsys.readouterr().out
    found = sorted(path.name for path in (out / "figures").iterdir())
    assert found == sorted(f"mytask-faith-{what}{kind}" for what in ("groups", "gaps") for kind in KINDS)
    for name in found:
        data = (out / "figures" / name).read_bytes()
        assert data.startswith(KINDS[Path(name).suffix])
        assert data == (again / "figures" / name).read_bytes()
    gaps, groups = (words(out / "figures" / f"mytask-faith-{what}.svg") for what in ("gaps", "groups"))
    assert all(name in gaps for name in (*NAMES, "org/base", "demographic parity difference", "by chance alone"))
    assert all(name in groups for name in ("aur", "bron", "cel", "accuracy"))
    assert "undefined" not in gaps + groups


def test_marks_and_ticks_lie_where_the_numbers_are(tmp_path: Path, factory: SimpleNamespace) -> None:
    from groupgap.leaderboards.board import Options, build_board
    from groupgap.leaderboards.collection import Request, collect
    from groupgap.leaderboards.figures import _gaps_figure, _groups_figure

    board = build_board(collect(Request([runs(tmp_path, factory)])), Options(5, 50))
    rows = sorted(board.rows, key=lambda row: NAMES.index(row.method or ""))
    panels = _gaps_figure(board.rows, "").axes
    for axes, metric in zip(panels, ("dpd", "eod"), strict=True):
        estimates = [getattr(row.judgement, metric) for row in rows]
        drawn = sorted((y, x) for bar in axes.containers for x, y in bar.lines[0].get_xydata())
        assert [x for _, x in drawn] == [one.value for one in estimates]
        (ticks,) = (lines for lines in axes.collections if lines.get_gid() == "chance")
        assert [segment[0, 0] for segment in ticks.get_segments()] == [one.chance.median for one in estimates]
        lines = [line for bar in axes.containers for line in bar.lines[2][0].get_segments()]
        ends = {line[0, 1]: line[:, 0].tolist() for line in lines}
        assert [ends[y] for y, _ in drawn] == [pytest.approx([one.low, one.high]) for one in estimates]
    bars = _groups_figure(board.rows, "").axes[0].containers
    heights = {height for bar in bars for height in bar.lines[0].get_ydata()}
    assert heights == {rates.accuracy.value for row in board.rows for rates in row.judgement.groups.values()}


def test_what_is_undefined_is_a_word_and_no_point(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = [{"id": str(row), "text": "", "label": 0, "faith": [["aur", "bron"][row % 2]]} for row in range(12)]
    factory.WrittenRun(made, [0] * 12, fair=factory.FAIR).write(tmp_path / "run")
    out = build(tmp_path / "run", tmp_path / "out", "--figures")
    document = json.loads((out / "board.json").read_text())
    assert document["rows"][0]["metrics"]["eod"]["value"] is None
    assert words(out / "figures" / "mytask-faith-gaps.svg").count("undefined") == 1
    assert words(out / "figures" / "mytask-faith-groups.svg").count("undefined") == 1  # the third group is empty


def test_names_from_runs_are_text_and_no_path(tmp_path: Path, factory: SimpleNamespace) -> None:
    fair = {"axes": {HOSTILE: {"field": "faith", "groups": ["aur", "bron", "cel"]}}, "positive": "yes"}
    factory.run(fair=fair, model_args={"pretrained": HOSTILE}).write(tmp_path / "run")
    out = build(tmp_path / "run", tmp_path / "out", "--figures")
    for path in (out / "figures").iterdir():
        assert re.fullmatch(r"[A-Za-z0-9_-]+\.(svg|png|pdf)", path.name)
    for path in (out / "figures").glob("*.svg"):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
        assert "script" not in tags
        assert "\u202e" not in words(path)
        assert "frac{1}{0}" in words(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_without_matplotlib_it_is_one_line(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.run().write(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["board", str(tmp_path / "run"), "-o", str(tmp_path / "out"), "--draws", "999", "--figures"]) == 2
    shown = capsys.readouterr().err
    assert "figures" in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_large_table_is_drawn_in_part_and_says_so(tmp_path: Path, factory: SimpleNamespace) -> None:
    from groupgap.leaderboards.board import Options, build_board
    from groupgap.leaderboards.collection import Request, collect
    from groupgap.leaderboards.figures import MOST_PANELS, _groups_figure

    for number in range(MOST_PANELS + 2):
        factory.run(n=30, model_args={"pretrained": f"org/m{number}"}).write(tmp_path / str(number))
    board = build_board(collect(Request([tmp_path])), Options(5, 20, pairs="none"))
    figure = _groups_figure(board.rows, "title")
    assert len(figure.axes) == MOST_PANELS
    assert f"the first {MOST_PANELS} of {MOST_PANELS + 2} base models" in figure.get_suptitle()


def test_what_has_no_interval_has_no_bar() -> None:
    from groupgap.leaderboards.figures import _points
    from groupgap.metrics import Estimate
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    _points(axes, [0, 1], [Estimate(0.5, 9), Estimate(0.5, 9, low=0.25, high=1.0)], ("red", "o"), across=True)
    (bar,) = axes.containers
    assert [line[:, 1].tolist() for line in bar.lines[2][0].get_segments() if len(line)] == [[0.25, 1.0]]


def rows_of(folder: Path, factory: SimpleNamespace, **told: dict[str, str]) -> list[Row]:
    for number, (name, described) in enumerate(told.items()):
        run = factory.run(n=90, skill=number + 1).write(folder / name)
        (run / "variant.json").write_text(json.dumps({"name": name} | described))
    return board_of(folder).rows


def board_of(folder: Path) -> Board:
    from groupgap.leaderboards.board import Options, build_board
    from groupgap.leaderboards.collection import Request, collect

    return build_board(collect(Request([folder])), Options(5, 20, pairs="none"))


def test_rows_of_one_method_are_told_apart(tmp_path: Path, factory: SimpleNamespace) -> None:
    from groupgap.leaderboards.figures import _groups_figure

    lora = {"base": "org/base", "method": "lora"}
    long = "a-recipe-with-a-long-name-of-many-words"
    told = {f"{long}-r{rank}": lora for rank in (4, 8, 16)} | {"alone": {"base": "org/other", "method": "lora"}}
    rows = rows_of(tmp_path, factory, **told)
    panels = {axes.get_title(loc="left"): axes for axes in _groups_figure(rows, "").axes}
    assert panels["org/other"].get_legend() is None  # its method says all
    axes = panels["org/base"]
    lines = [text.get_text() for text in axes.get_legend().get_texts()]
    mine = [row for row in rows if row.base == "org/base"]
    for number, (line, row, bar) in enumerate(zip(lines, mine, axes.containers, strict=True), 1):
        assert line.startswith(f"{number}  a-recipe")
        assert line.endswith(f"-r{row.variant.rpartition('-r')[2]}")
        drawn = bar.lines[0].get_xydata()
        assert sorted(drawn[:, 1]) == sorted(rates.accuracy.value for rates in row.judgement.groups.values())
        under = [place for place, text in minor_labels(axes) if text == str(number)]
        assert sorted(under) == pytest.approx(sorted(drawn[:, 0]))


def test_rows_of_more_methods_than_there_are_marks_are_listed(tmp_path: Path, factory: SimpleNamespace) -> None:
    from groupgap.leaderboards.figures import OTHERS, _groups_figure

    methods = [f"method-{number}" for number in range(len(OTHERS) + 1)]
    rows = rows_of(tmp_path, factory, **{method: {"base": "org/base", "method": method} for method in methods})
    (axes,) = _groups_figure([row for row in rows if row.method != methods[-1]], "").axes
    assert axes.get_legend() is None  # the methods' marks say all
    (axes,) = _groups_figure(rows, "").axes
    listed = [text.get_text() for text in axes.get_legend().get_texts()]
    assert listed == [f"{number}  {row.variant}" for number, row in enumerate(rows, 1)]


def minor_labels(axes: Any) -> list[tuple[float, str]]:
    """Those that are really drawn: matplotlib leaves out minor ticks at places of major ones."""
    places = axes.xaxis.get_minorticklocs()
    return [(float(at), text.get_text()) for at, text in zip(places, axes.get_xticklabels(minor=True), strict=True)]


def test_a_base_without_numbers_is_no_line_with_a_tick(tmp_path: Path, factory: SimpleNamespace) -> None:
    from groupgap.leaderboards.figures import _gaps_figure

    told = {"org/alone": {"base": "org/alone"}, "r4": {"base": "org/base"}, "r8": {"base": "org/base"}}
    axes = _gaps_figure(rows_of(tmp_path, factory, **told), "").axes[0]
    drawn = sorted(y for bar in axes.containers for _, y in bar.lines[0].get_xydata())
    assert list(axes.get_yticks()) == drawn
    assert {label.get_text() for label in axes.get_yticklabels()} == set(told)
    assert [label.get_text() for label in axes.get_yticklabels(minor=True)] == ["org/base"]
    assert {tick.tick1line.get_markersize() for tick in axes.yaxis.get_minor_ticks()} == {0}


def test_many_rows_of_one_method_are_listed_in_columns(tmp_path: Path, factory: SimpleNamespace) -> None:
    from groupgap.leaderboards.figures import LINES, _groups_figure

    described = {"base": "org/base", "method": "lora"}
    rows = rows_of(tmp_path, factory, **{f"r{rank}": described for rank in range(LINES + 5)})
    figure = _groups_figure(rows, "")
    (axes,) = figure.axes
    figure.draw_without_rendering()
    legend = axes.get_legend()
    assert len(legend.get_texts()) == LINES + 5
    assert not minor_labels(axes)  # no room: they would stand on each other
    page, listed, panel = figure.bbox, legend.get_window_extent(), axes.get_window_extent()
    assert panel.x1 <= listed.x0
    assert listed.x1 <= page.x1
    assert listed.y0 >= page.y0
    assert panel.width > page.width / 3
