"""Token, group and meaning effects of every variant beside each other, as one drawing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from ..errors import MissingExtraError
from ..metrics import Estimate
from ..metrics.cell_effects import SCALES
from ..metrics.token_bias import Sizes, TokenBias
from .markdown import plain
from .token_report import TokenReport

MOST_PANELS = 24
# effect: marker, colour (Okabe and Ito's, told apart by those who see fewer colours), how far above the row
MARKS = {"token": ("s", "#D55E00", 0.2), "group": ("o", "#0072B2", 0.0), "meaning": ("^", "#999999", -0.2)}


def token_figure(report: TokenReport) -> str:
    """An svg: a panel for each task and axis, or family of prompts, a row for each variant, on the scale of log-odds.

    Args:
        report: from :func:`groupgap.leaderboards.token_report.token_report`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a drawing of the token effects", "matplotlib", "figures") from error
    panels: dict[str, list[tuple[str, Sizes]]] = {}
    for title, variant, bias in _measured(report):
        panels.setdefault(title, []).append((variant, bias.sizes[SCALES[0]]))
    shown = list(panels.items())[:MOST_PANELS]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    tallest = max(len(found) for _, found in shown)
    # names come from runs: no mathematical mode for a dollar sign, and the same bytes for the same report
    with mpl.rc_context({"text.parse_math": False, "svg.hashsalt": "groupgap", "svg.fonttype": "none"}):
        figure = Figure(figsize=(4.6 * columns, rows * (1.3 + 0.45 * tallest)), layout="constrained")
        FigureCanvasSVG(figure)
        for place, (title, found) in enumerate(shown):
            _panel(figure.add_subplot(rows, columns, place + 1), title, found)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(MARKS), fontsize=8, frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _measured(report: TokenReport) -> Iterator[tuple[str, str, TokenBias]]:
    """Title of the panel, variant, effects."""
    for one in report.tasks:
        for axis in one.axes:
            yield f"{one.task}, {axis.axis}", one.variant, axis.bias
    for guess in report.guesses:
        for family in guess.families:
            yield " + ".join(family.prompts), guess.variant, family.bias


def _panel(axes: Any, title: str, found: list[tuple[str, Sizes]]) -> None:
    for effect, (marker, colour, up) in MARKS.items():
        points = [(row + up, getattr(sizes, effect)) for row, (_, sizes) in enumerate(found)]
        drawn = [(at, one) for at, one in points if _drawable(one)]
        values = [one.value for _, one in drawn]
        reach = [[one.value - one.low for _, one in drawn], [one.high - one.value for _, one in drawn]]
        style = {"fmt": marker, "color": colour, "markersize": 4, "elinewidth": 1.2, "capsize": 2}
        axes.errorbar(values, [at for at, _ in drawn], xerr=reach, label=f"{effect} effect", **style)
    axes.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(found)), [plain(name)[:40] for name, _ in found], fontsize=7)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlabel("log-odds, 95% interval", fontsize=8)
    axes.set_title(plain(title)[:70], fontsize=8)


def _drawable(one: Estimate) -> bool:
    numbers = (one.value, one.low, one.high)
    return all(number is not None and abs(number) < float("inf") for number in numbers)
