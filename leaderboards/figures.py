"""The board as figures for a paper: accuracy by group, and gaps with what chance alone would show, LoRA beside full.

What is undefined is a word at its place and never a point at 0.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import MissingExtraError
from ..metrics import Estimate
from .board import Board, Row
from .fonts import families, no_word_of_fonts
from .markdown import plain

FOLDER = "figures"
FORMATS = ("svg", "png", "pdf")
# One of Okabe and Ito's colours and a marker for each method: told apart by those who see fewer colours, and in grey.
MARKS = {"base": ("#999999", "D"), "full": ("#0072B2", "s"), "lora": ("#D55E00", "o")}
OTHERS = (("#009E73", "^"), ("#CC79A7", "v"), ("#56B4E9", "P"), ("#E69F00", "X"), ("#000000", "*"))
GAPS = {"dpd": "demographic parity difference", "eod": "equalized odds difference"}
MOST_ROWS = 60
MOST_GROUPS = 12
MOST_PANELS = 12
LONGEST = 36
LINES = 20  # of a panel's list of rows that stand under each other
LEAST_STEP = 0.11  # inches between rows in which a number has room
SETTINGS = {
    # names come from runs: no mathematical mode for a dollar sign, and the same bytes for the same board
    "text.parse_math": False,
    "text.usetex": False,
    "svg.hashsalt": "groupgap",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def board_figures(board: Board) -> dict[str, bytes]:
    """For each table two figures, each as svg, png and pdf.

    Args:
        board: what to draw.

    Returns:
        ``figures/<task>-<axis>-groups.svg`` and the like to the file's content. Rows beyond the first ``MOST_ROWS``,
        groups beyond the ``MOST_GROUPS`` largest and panels of base models beyond ``MOST_PANELS`` are not drawn; the
        figure says how many.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtraError("--figures", "matplotlib", "figures") from error
    made: dict[str, bytes] = {}
    with mpl.rc_context(SETTINGS | {"font.family": families(_texts(board))[0]}), no_word_of_fonts():
        for (task, axis), rows in board.tables.items():
            name = f"{FOLDER}/{_slug(task, axis)}"
            title = f"{_short(task)}, groups by {_short(axis)}" + _not_drawn(rows)
            made |= _files(f"{name}-groups", _groups_figure(rows[:MOST_ROWS], title))
            made |= _files(f"{name}-gaps", _gaps_figure(rows[:MOST_ROWS], title))
    return made


def boxes_note(board: Board) -> str | None:
    """Which letters the figures of a board show as boxes, in words; ``None`` where there is none.

    Args:
        board: as it is drawn (:func:`groupgap.leaderboards.write.passed_on`), for ends of paths are not.
    """
    _, missing = families(_texts(board))
    if not missing:
        return None
    shown = plain(missing[:20]) + ("…" if len(missing) > 20 else "")
    return f"the figures show boxes for {shown}: no font here has these letters; install one that has (Noto has most)"


def _texts(board: Board) -> Iterator[str]:
    """All names that the figures show."""
    for (task, axis), rows in board.tables.items():
        yield from map(_short, (task, axis, *_drawn_groups(rows[:MOST_ROWS])[0]))
        for row in rows[:MOST_ROWS]:
            yield from (_short(name) for name in (row.base, row.variant, row.method) if name)


def _slug(task: str, axis: str) -> str:
    """A file name: what is no letter, digit or dot is a dash; where that loses something, a hash tells names apart."""
    name = f"{task}-{axis}"
    safe = re.sub(r"[^a-zA-Z0-9_]+", "-", name).strip("-")[:80]
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _short(text: str) -> str:
    """At most ``LONGEST`` signs: names of one kind often differ in how they begin or end."""
    shown = plain(text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST // 2]}…{shown[1 - LONGEST // 2 :]}"


def _not_drawn(rows: Sequence[Row]) -> str:
    return f" (the first {MOST_ROWS} of {len(rows)} rows)" if len(rows) > MOST_ROWS else ""


def _files(name: str, figure: Any) -> dict[str, bytes]:
    """The figure in each format, without dates and names of programs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    told: dict[str, dict[str, None]] = {
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    files = {}
    for kind in FORMATS:
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, metadata=told[kind], dpi=200)
        figure.set_layout_engine("none")  # it is laid out now, for all formats
        files[f"{name}.{kind}"] = stream.getvalue()
    return files


def _marks(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each method of a table."""
    methods = list(dict.fromkeys(row.method or "unknown" for row in rows))
    others = [method for method in methods if method not in MARKS]
    mine = {method: OTHERS[place % len(OTHERS)] for place, method in enumerate(others)}
    return {method: MARKS.get(method) or mine[method] for method in methods}


def _by_base(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The rows of each base model: its own, its full fine-tunes, LoRA, and others, each in the order of the board."""
    bases: dict[str, list[Row]] = {}
    for row in rows:
        bases.setdefault(row.base or "base unknown", []).append(row)
    order = list(MARKS)
    for found in bases.values():
        found.sort(key=lambda row: order.index(row.method) if row.method in order else len(order))
    return list(bases.items())


def _groups_figure(rows: Sequence[Row], title: str) -> Any:
    """A panel for each base: groups across, accuracy up, a mark with its interval for each row."""
    from matplotlib.figure import Figure

    marks, all_bases = _marks(rows), _by_base(rows)
    bases = all_bases[:MOST_PANELS]
    groups, sizes = _drawn_groups(rows)
    most = max(len(found) for _, found in bases)
    width = min(1.6 + 0.25 * len(groups) * max(2, min(8, most)), 20.0)
    listed = [row for _, found in bases if _alike(found, marks) for row in found]
    room = max((0.5 + 0.06 * len(_short(row.variant)) for row in listed), default=0.0) * -(-most // LINES)
    figure = Figure(figsize=(width + room, 1.0 + 2.4 * len(bases)), layout="constrained")
    for place, (base, found) in enumerate(bases):
        axes = figure.add_subplot(len(bases), 1, place + 1)
        _group_points(axes, groups, found, marks)
        axes.set(xlim=(-0.5, len(groups) - 0.5), ylim=(-0.02, 1.02), ylabel="accuracy")
        axes.set_xticks(range(len(groups)), [f"{_short(group)}\nn = {sizes[group]:,}" for group in groups])
        axes.set_title(_short(base), loc="left")
        axes.grid(axis="y", linewidth=0.3)
        if _alike(found, marks):
            _list_rows(axes, found, marks, numbered=(width - 1) / (len(groups) * len(found)) >= LEAST_STEP)
    left_out = f"; the {len(groups)} largest of {len(sizes)} groups" if len(groups) < len(sizes) else ""
    left_out += f"; the first {len(bases)} of {len(all_bases)} base models" if len(bases) < len(all_bases) else ""
    figure.suptitle(title + left_out, wrap=True)
    _legend(figure, marks, chance=False)
    return figure


def _drawn_groups(rows: Sequence[Row]) -> tuple[list[str], dict[str, int]]:
    """The largest groups of a table, and the size of every one."""
    sizes = {group: rates.n for row in rows for group, rates in row.judgement.groups.items()}
    return sorted(sizes, key=lambda group: -sizes[group])[:MOST_GROUPS], sizes


def _shift(number: int, rows: int) -> float:
    """Where a row's mark stands beside the middle of its group."""
    return 0.8 * ((number + 0.5) / rows - 0.5)


def _group_points(axes: Any, groups: Sequence[str], found: Sequence[Row], marks: Mapping[str, tuple[str, str]]) -> None:
    for number, row in enumerate(found):
        rates = [row.judgement.groups.get(group) for group in groups]
        estimates = [Estimate(None, 0, "not asked") if one is None else one.accuracy for one in rates]
        at = [place + _shift(number, len(found)) for place in range(len(groups))]
        _points(axes, at, estimates, marks[row.method or "unknown"], across=True)


def _alike(found: Sequence[Row], marks: Mapping[str, tuple[str, str]]) -> bool:
    """Whether two rows of a panel have the same mark: one method, or two of more than there are marks for."""
    return len({marks[row.method or "unknown"] for row in found}) < len(found)


def _list_rows(axes: Any, found: Sequence[Row], marks: Mapping[str, tuple[str, str]], numbered: bool) -> None:
    """Beside a panel the names of its rows, numbered as their marks stand, and the numbers under the marks."""
    from matplotlib.lines import Line2D

    handles = []
    for number, row in enumerate(found):
        colour, marker = marks[row.method or "unknown"]
        label = f"{number + 1}  {_short(row.variant)}"
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=4, linestyle="none", label=label))
    columns = -(-len(found) // LINES)
    where = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "alignment": "left"}
    small = {"fontsize": 6, "title_fontsize": 6, "labelspacing": 0.3, "frameon": False}
    axes.legend(handles=handles, title="from left to right", ncols=columns, **where, **small)
    if numbered:
        groups = range(len(axes.get_xticks()))
        places = [place + _shift(number, len(found)) for place in groups for number in range(len(found))]
        axes.xaxis.remove_overlapping_locs = False  # the number in the middle stands where its group's name does
        axes.set_xticks(places, [str(number + 1) for number in range(len(found))] * len(groups), minor=True)
        axes.tick_params(axis="x", which="minor", length=0, pad=1, labelsize=5)
        axes.tick_params(axis="x", which="major", length=0, pad=9)


def _gaps_figure(rows: Sequence[Row], title: str) -> Any:
    """A line for each row, those of one base together; DPD and EOD beside each other, with the chance level as tick."""
    from matplotlib.figure import Figure

    marks, places = _marks(rows), _lines(rows)
    figure = Figure(figsize=(7.0, 1.2 + 0.2 * len(places)), layout="constrained")
    panels = figure.subplots(1, len(GAPS), sharey=True)
    for axes, (metric, words) in zip(panels, GAPS.items(), strict=True):
        for method, mark in marks.items():
            mine = {at: row for at, (_, row) in enumerate(places) if row and (row.method or "unknown") == method}
            _points(axes, list(mine), [getattr(row.judgement, metric) for row in mine.values()], mark, across=False)
        _chance_ticks(axes, places, metric)
        axes.set(xlabel=f"{words} (0 is best)", xlim=(-0.02, 1.02), ylim=(len(places) - 0.5, -0.5))
        for heading in (False, True):  # a base above its rows is no row: no tick, and bold
            named = {at: name for at, (name, row) in enumerate(places) if (row is None) == heading}
            axes.set_yticks(list(named), list(named.values()), minor=heading)
        axes.tick_params(axis="y", which="minor", length=0)
        for label in axes.get_yticklabels(minor=True):
            label.set_fontweight("bold")
        axes.grid(axis="x", linewidth=0.3)
    figure.suptitle(title)
    _legend(figure, marks, chance=True)
    return figure


def _lines(rows: Sequence[Row]) -> list[tuple[str, Row | None]]:
    """Name and row of each line, top to bottom; without a row: a base, above its rows.

    A base whose only row has its name needs none.
    """
    lines: list[tuple[str, Row | None]] = []
    for base, found in _by_base(rows):
        if [row.variant for row in found] != [base]:
            lines.append((_short(base), None))
        lines += [(_short(row.variant), row) for row in found]
    return lines


def _chance_ticks(axes: Any, places: Sequence[tuple[str, Row | None]], metric: str) -> None:
    found: list[tuple[int, Estimate]] = [
        (at, getattr(row.judgement, metric)) for at, (_, row) in enumerate(places) if row is not None
    ]
    ticks = [(one.chance.median, at) for at, one in found if one.value is not None and one.chance is not None]
    low, high = [at - 0.35 for _, at in ticks], [at + 0.35 for _, at in ticks]
    axes.vlines([chance for chance, _ in ticks], low, high, color="black", linewidth=0.8, gid="chance")


def _points(
    axes: Any, places: Sequence[float], estimates: Sequence[Estimate], mark: tuple[str, str], across: bool
) -> None:
    """A mark with its interval for each estimate; where there is no value, the word."""
    colour, marker = mark
    known: list[tuple[float, float, float, float]] = []
    for at, one in zip(places, estimates, strict=True):
        if one.value is None:
            where = (at, 0.02) if across else (0.02, at)
            turn = 90 if across else 0
            ends = {"ha": "center", "va": "bottom"} if across else {"ha": "left", "va": "center"}
            axes.text(*where, "undefined", rotation=turn, fontsize=6, color=colour, **ends)
            continue
        down = math.nan if one.low is None else max(0.0, one.value - one.low)
        up = math.nan if one.high is None else max(0.0, one.high - one.value)
        known.append((at, one.value, down, up))
    if known:
        along, value, below, above = zip(*known, strict=True)
        x, y = (along, value) if across else (value, along)
        bars = {"yerr" if across else "xerr": [below, above]}
        axes.errorbar(x, y, **bars, color=colour, marker=marker, markersize=4, linewidth=1, capsize=2, linestyle="none")


def _legend(figure: Any, marks: Mapping[str, tuple[str, str]], chance: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=_short(method))
        for method, (colour, marker) in marks.items()
    ]
    if chance:
        tick = Line2D([], [], color="black", marker="|", linestyle="none", label="by chance alone (median)")
        handles.append(tick)
    figure.legend(handles=handles, loc="outside lower center", ncols=min(5, len(handles)), frameon=False)
