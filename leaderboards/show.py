"""The ranking of a written board as tables for the terminal: narrow enough for it, and harmless whatever it holds."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..metrics import Estimate
from .board_file import SavedRow
from .format import format_interval, format_number
from .markdown import plain
from .worst import worst_name

GAPS = {"accuracy_spread": "spread", "dpd": "DPD", "eod": "EOD"}
LEAST_NAME = 12  # columns of a variant's name that are never given up
MOST_NAME = 40
GAP = "  "
BOLD, DIM, RED, END = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        title: its heading.
        cells: one text a row.
        keep: how long it is kept where the terminal is narrow; the smallest goes first.
        right: whether numbers are set to the right.
        marked: rows whose cell is shown in colour.
    """

    title: str
    cells: tuple[str, ...]
    keep: int
    right: bool = False
    marked: frozenset[int] = frozenset()

    @property
    def width(self) -> int:
        """Columns of the terminal that it takes."""
        return max(width_of(text) for text in (self.title, *self.cells))


def width_of(text: str) -> int:
    """How many columns of a terminal a harmless text takes; East Asian wide characters take two, accents none.

    Example:
        >>> width_of("abc"), width_of("日本"), width_of("e\\u0301")
        (3, 4, 1)
    """
    return sum(
        0 if unicodedata.category(letter) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def shortened(text: str, width: int) -> str:
    """A text of at most this many columns; what is cut off is an ellipsis.

    Example:
        >>> shortened("lora-r8-seed13", 8), shortened("日本語", 5), shortened("full", 8)
        ('lora-r8…', '日本…', 'full')
    """
    if width_of(text) <= width:
        return text
    kept, used = "", 0
    for letter in text:
        used += width_of(letter)
        if used > width - 1:
            break
        kept += letter
    return f"{kept}…"


def ranking(rows: Sequence[SavedRow], width: int, colour: bool = False) -> str:
    """The ranking of one table.

    Args:
        rows: of one task and axis, in the order of the board.
        width: columns of the terminal. Where the table is wider, whole columns go, the least important first; rank,
            variant and worst group stay, and the names are cut at last.
        colour: whether to set apart what stands out: headings, and gaps beyond chance.

    Returns:
        Lines without a trailing newline; below the table the columns that did not fit, and why a number is missing.
    """
    columns, dropped = _fitting(_columns(rows), width)
    first = rows[0]
    title = shortened(f"{plain(first.task)}, {plain(first.axis)}", width)
    lines = [_paint(title, BOLD, colour)]
    for number in range(-1, len(rows)):
        cells = [_cell(column, number, colour) for column in columns]
        lines.append(GAP.join(cells).rstrip())
    lines += [shortened(line, width) for line in _reasons(rows, {column.title for column in columns})]
    if dropped:
        lines.append(_paint(shortened(f"too narrow for: {', '.join(dropped)}", width), DIM, colour))
    return "\n".join(lines)


def _columns(rows: Sequence[SavedRow]) -> list[Column]:
    def texts(made: Iterable[str]) -> tuple[str, ...]:
        return tuple(made)

    several = [f" ({len(row.by_seed)} seeds)" if row.by_seed else "" for row in rows]
    names = texts(plain(row.variant) + more for row, more in zip(rows, several, strict=True))
    worst = [_estimate(row, "worst_group") for row in rows]
    columns = [
        Column("rank", texts("-" if row.rank is None else str(row.rank) for row in rows), 99, right=True),
        Column("band", texts(row.bands.get("worst_group", "") for row in rows), 70),
        Column("variant", names, 99),
        Column("worst group", texts(map(_worst_name, rows)), 98),
        Column("worst", texts(map(_number, worst)), 97, right=True),
        Column("95%", texts(format_interval(one) if one else "" for one in worst), 60),
        Column("accuracy", texts(_number(_estimate(row, "accuracy")) for row in rows), 80, right=True),
    ]
    for place, (metric, title) in enumerate(GAPS.items()):
        columns += _gap(rows, metric, title, 75 - place)
    columns += [
        Column("n", texts(f"{row.n:,}" + ("*" if row.limited else "") for row in rows), 50, right=True),
        Column("method", texts(plain(row.method or "") for row in rows), 30),
        Column("base", texts(plain(row.base or "") for row in rows), 20),
    ]
    return [column for column in columns if any(column.cells)]


def _gap(rows: Sequence[SavedRow], metric: str, title: str, keep: int) -> list[Column]:
    """The gap, and beside it the gap of chance alone."""
    found = [_estimate(row, metric) for row in rows]
    chances = [None if one is None or one.value is None else one.chance for one in found]
    beyond = {
        place
        for place, (one, chance) in enumerate(zip(found, chances, strict=True))
        if one is not None and one.value is not None and chance is not None and one.value > chance.p95
    }
    by_chance = tuple("" if chance is None else format_number(chance.median) for chance in chances)
    return [
        Column(title, tuple(map(_number, found)), keep, right=True, marked=frozenset(beyond)),
        Column("chance", by_chance, keep - 30, right=True),
    ]


def _estimate(row: SavedRow, metric: str) -> Estimate | None:
    return row.metrics[metric].read() if metric in row.metrics else None


def _worst_name(row: SavedRow) -> str:
    worst, spread = _estimate(row, "worst_group"), _estimate(row, "accuracy_spread")
    return worst_name(worst, spread, plain) if worst and spread else ""


def _number(found: Estimate | None) -> str:
    if found is None:
        return ""
    return "undefined" if found.value is None else format_number(found.value)


def _fitting(columns: list[Column], width: int) -> tuple[list[Column], list[str]]:
    """The columns that fit, and the titles of those that do not."""
    dropped: list[str] = []
    capped = [_capped(column, MOST_NAME) for column in columns]
    while _total(capped) > width:
        least = min(capped, key=lambda column: column.keep)
        if least.keep >= 97:
            break
        at = capped.index(least)
        of = capped[at - 1].title if least.title == "chance" else ""
        dropped.append(f"{least.title} of {of}" if of else least.title)
        capped.remove(least)
    for keep in (98, 99):  # the group's name first, then the variant's
        excess = _total(capped) - width
        if excess > 0:
            capped = [
                _capped(column, max(LEAST_NAME, column.width - excess))
                if column.keep == keep and not column.right
                else column
                for column in capped
            ]
    return capped, dropped


def _total(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def _capped(column: Column, width: int) -> Column:
    cells = tuple(shortened(text, width) for text in column.cells)
    return Column(column.title, cells, column.keep, column.right, column.marked)


def _cell(column: Column, number: int, colour: bool) -> str:
    """The cell of a row, or (-1) the heading."""
    text = column.title if number < 0 else column.cells[number]
    space = " " * (column.width - width_of(text))
    style = BOLD if number < 0 else RED if number in column.marked else ""
    shown = _paint(text, style, colour)
    return space + shown if column.right else shown + space


def _paint(text: str, style: str, colour: bool) -> str:
    return f"{style}{text}{END}" if colour and style and text else text


def _reasons(rows: Sequence[SavedRow], shown: set[str]) -> list[str]:
    """Why numbers are missing, each reason once."""
    titles = {"worst_group": "worst", "accuracy": "accuracy", **GAPS}
    said: dict[str, list[str]] = {}
    for row in rows:
        for metric, title in titles.items():
            found = _estimate(row, metric)
            if title in shown and found is not None and found.value is None:
                said.setdefault(f"undefined {title}: {plain(found.reason or '')}", []).append(plain(row.variant))
    lines = [f"  {reason} ({', '.join(names)})" for reason, names in said.items()]
    limited = any(row.limited for row in rows) and "n" in shown
    return lines + (["  * a part of the task only"] if limited else [])


def ranking_document(rows: Sequence[SavedRow]) -> list[dict[str, Any]]:
    """The rows for ``--json``: what the tables show, unrounded."""
    return [
        {
            "task": row.task,
            "axis": row.axis,
            "rank": row.rank,
            "variant": row.variant,
            "bands": row.bands,
            "base": row.base,
            "method": row.method,
            "seeds": row.seeds,
            "n": row.n,
            "limited": row.limited,
            "metrics": {name: saved.model_dump() for name, saved in row.metrics.items()},
        }
        for row in rows
    ]
