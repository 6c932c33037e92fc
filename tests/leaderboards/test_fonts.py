"""Fonts of the figures: an installed one that has a name's letters is used, and boxes are told in words."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from groupgap.adapters.attack_scores import AuditScores
from groupgap.cli import main
from groupgap.leaderboards.attack_plot import roc_figure
from groupgap.leaderboards.attack_report import AttackOptions, build_report
from groupgap.leaderboards.fonts import OWN, families, no_word_of_fonts

pytest.importorskip("matplotlib")
CAT, DOG = "\U000f0001", "\U000f0002"  # for private use: no font has them but those made here


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, **fonts: str) -> None:
    """Make fonts that have a square for each of these letters, and let matplotlib find them."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib.font_manager import fontManager

    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 700), (700, 700), (700, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square = pen.glyph()
    monkeypatch.setattr(fontManager, "ttflist", list(fontManager.ttflist))
    for family, letters in fonts.items():
        names = [".notdef", *(f"u{ord(letter):X}" for letter in letters)]
        builder = FontBuilder(1000)
        builder.setupGlyphOrder(names)
        builder.setupCharacterMap({ord(letter): name for letter, name in zip(letters, names[1:], strict=True)})
        builder.setupGlyf(dict.fromkeys(names, square))
        builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 0)))
        builder.setupHorizontalHeader(ascent=800, descent=-200)
        builder.setupNameTable({"familyName": family, "styleName": "Regular", "psName": family})
        builder.setupOS2(usWeightClass=400)
        builder.setupPost()
        builder.save(folder / f"{family}.ttf")
        fontManager.addfont(folder / f"{family}.ttf")


def test_the_letters_that_matplotlibs_font_lacks_are_taken_from_installed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert families(["Ünïcode α ж"]) == ([OWN], "")
    assert families([f"a{DOG}", CAT]) == ([OWN], CAT + DOG)
    install(monkeypatch, tmp_path, AloneTest=CAT, BothTest=CAT + DOG)
    assert families([f"a{DOG}", CAT]) == ([OWN, "BothTest"], "")
    install(monkeypatch, tmp_path, OtherTest="\U000f0003")
    assert families([DOG, "\U000f0003\U000f0004"]) == ([OWN, "BothTest", "OtherTest"], "\U000f0004")


def test_a_font_that_cannot_be_read_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, tmp_path, BrokenTest=CAT)
    (tmp_path / "BrokenTest.ttf").write_bytes(b"no font")
    assert families([CAT]) == ([OWN], CAT)


def test_a_figure_draws_a_name_with_the_font_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    install(monkeypatch, tmp_path, CatTest=CAT)
    with mpl.rc_context({"font.family": families([CAT])[0], "pdf.fonttype": 42}), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = Figure()
        figure.text(0.5, 0.5, f"a {CAT}")
        for kind in ("png", "pdf", "svg"):
            figure.savefig(tmp_path / f"figure.{kind}")
    assert b"CatTest" in (tmp_path / "figure.pdf").read_bytes()


def test_only_the_warnings_of_fonts_are_held_back() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.text(0.5, 0.5, "\u732b")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with no_word_of_fonts():
            figure.draw_without_rendering()
            warnings.warn("another", stacklevel=1)
    assert [str(one.message) for one in told] == ["another"]


def test_a_board_says_in_words_which_letters_are_boxes(
    tmp_path: Path,
    factory: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from matplotlib.font_manager import fontManager

    monkeypatch.setattr(fontManager, "ttflist", [one for one in fontManager.ttflist if one.name.startswith("DejaVu")])
    folder = factory.run(n=60).write(tmp_path / "run")
    (folder / "variant.json").write_text(json.dumps({"name": "\u732b", "base": "\u72ac", "method": "lora"}))
    command = ["board", str(folder), "-o", str(tmp_path / "out"), "--draws", "999", "--min-group", "5", "--figures"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(command) == 0
    shown = capsys.readouterr()
    (note,) = (line for line in shown.out.splitlines() if line.startswith("note: the figures show boxes for "))
    assert "boxes for \u72ac\u732b: no font here has these letters; install one that has" in note
    assert (shown.err, caplog.records) == ("", [])


def test_nothing_is_said_of_letters_that_the_figures_leave_out(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.font_manager import fontManager

    monkeypatch.setattr(fontManager, "ttflist", [one for one in fontManager.ttflist if one.name.startswith("DejaVu")])
    folder = factory.run(n=60).write(tmp_path / "run")
    told = {"name": f"{'a' * 30}\u732b{'b' * 30}", "base": "/data/\u72ac/model", "method": "lora"}
    (folder / "variant.json").write_text(json.dumps(told))
    command = ["board", str(folder), "-o", str(tmp_path / "out"), "--draws", "999", "--min-group", "5", "--figures"]
    assert main(command) == 0
    assert "boxes" not in capsys.readouterr().out
    drawn = [path.read_text() for path in (tmp_path / "out" / "figures").glob("*.svg")]
    assert drawn
    assert not any(letter in text for text in drawn for letter in "\u732b\u72ac")


def test_the_curves_of_an_attack_are_drawn_without_a_warning() -> None:
    n = 200
    member = np.arange(n) % 2 == 0
    statistic = np.random.default_rng(0).normal(size=(n, 1))
    none = np.zeros((0, n, 1)), np.zeros((0, n), bool)
    groups = {"\u5b97\u6559": (("\u732b",),) * n}
    one = AuditScores("\u732b", tuple(map(str, range(n))), member, statistic, *none, groups, {})
    report = build_report([one], AttackOptions(draws=999))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "\u732b" in roc_figure(report)
