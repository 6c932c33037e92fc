"""``groupgap board --figures``: it draws what the board says, says what is undefined, and twice the same bytes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from groupgap.cli import main

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


def test_each_figure_is_there_in_three_formats_and_says_the_names(tmp_path: Path, factory: SimpleNamespace) -> None:
    out = build(runs(tmp_path / "runs", factory), tmp_path / "out", "--figures")
    again = build(tmp_path / "runs", tmp_path / "again", "--figures")
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
