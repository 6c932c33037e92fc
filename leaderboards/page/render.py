"""``index.html``: one self-contained file. Rankings and group tables are plain html; a script adds what needs choices.

The policy in its head allows this style and this script, by their hashes, and nothing else: no request, no other code.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterable
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from ... import __version__
from ...metrics import Estimate
from ..board import METRICS, Board, Row
from ..flips import flips_of
from ..format import format_chance, format_decided, format_estimate, format_interval, format_number
from ..markdown import plain, under_table
from ..summary import beyond_chance, summary
from ..worst import is_worst, worst_name
from .data import page_data

TEMPLATES = ("index.html.j2", "ranking.html.j2", "groups.html.j2", "flips.html.j2", "reading.html.j2")
SCRIPTS = ("data.js", "dom.js", "ranking.js", "variant.js", "compare.js", "charts.js", "main.js")
POLICY = (
    "default-src 'none'; style-src '{style}'; script-src '{script}'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
COLUMNS = {
    "worst_group": ("Worst group", "lowest accuracy of a group, and whose"),
    "accuracy": ("Accuracy", "share of answers that are right"),
    "macro_f1": ("Macro F1", "mean F1 over the classes"),
    "accuracy_spread": ("Spread", "best group minus worst group"),
    "dpd": ("DPD", "how unequally groups get the positive answer"),
    "eod": ("EOD", "how unequally errors fall on groups"),
}
GAPS = ("accuracy_spread", "dpd", "eod")
LONGEST = 160


def board_page(board: Board) -> str:
    """The page of a board."""
    style, script = _compact("page.css"), '"use strict";\n' + "".join(map(_compact, SCRIPTS))
    flips = flips_of(board)
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            board=board,
            tables=_tables(board),
            flips=flips,
            policy=Markup(POLICY.format(style=_digest(style), script=_digest(script))),
            style=Markup(style),
            script=Markup(script),
            data=page_data(board, flips),
            version=__version__,
        )
    )


def _environment() -> Environment:
    """The templates, and what they may call."""
    environment = Environment(
        loader=DictLoader({name: _resource(name) for name in TEMPLATES}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": plain,
        "short": short,
        "estimate": format_estimate,
        "interval": format_interval,
        "value": _value,
        "decimals": format_number,
        "chance": format_chance,
        "decided": format_decided,
        "letters": letters,
        "millions": millions,
    }
    environment.globals |= {
        "beyond_chance": beyond_chance,
        "columns": columns,
        "gap_names": GAPS,
        "heat": heat,
        "under_table": under_table,
        "framed": lambda row: is_worst(row.judgement.worst_group, row.judgement.accuracy_spread),
        "worst_name": worst_name,
        "metric_names": METRICS,
    }
    return environment


def _tables(board: Board) -> list[dict[str, object]]:
    """What the template needs of each table; ``first``: the place of its first row on the board."""
    pairs = {(one.task, one.axis): one for one in board.pairs}
    found: list[dict[str, object]] = []
    first = 0
    for (task, axis), rows in board.tables.items():
        said = summary(rows, pairs.get((task, axis)))
        found.append({"number": len(found), "task": task, "axis": axis, "rows": rows, "first": first, "summary": said})
        first += len(rows)
    return found


def columns(rows: tuple[Row, ...]) -> dict[str, tuple[str, str, float]]:
    """The metrics of a ranking: title, explanation, and the end of the scale; F1 where there are several classes."""
    several = any(len(row.classes) > 2 for row in rows)
    return {
        metric: (*words, scale_of(getattr(row.judgement, metric) for row in rows) if metric in GAPS else 1.0)
        for metric, words in COLUMNS.items()
        if several or metric != "macro_f1"
    }


def scale_of(estimates: Iterable[Estimate]) -> float:
    """The end of a column's scale: the largest interval end or chance level, up to the next tenth; at most 1."""
    ends = (
        end
        for one in estimates
        for end in (one.value, one.high, None if one.chance is None else one.chance.p95)
        if end is not None
    )
    return min(1.0, max(1, math.ceil(max(ends, default=0.0) * 10 - 1e-9)) / 10)


def heat(value: float) -> str:
    """The class that shades a share: ``h0`` to ``h9``."""
    return f"h{min(int(value * 10), 9)}"


def short(text: str) -> str:
    """A name as it stands in a table: harmless, and not endless."""
    shown = plain(text)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def letters(bands: str) -> str:
    """Rank bands with runs of three letters and more drawn together.

    Example:
        >>> letters("abcdf"), letters("ab"), letters("yza1b1")
        ('a–d f', 'ab', 'y–b1')
    """
    names = re.findall(r"[a-z]\d*", bands)
    places = [ord(name[0]) - 97 + 26 * int(name[1:] or 0) for name in names]
    runs: list[list[int]] = []
    for number, place in enumerate(places):
        if runs and places[runs[-1][-1]] == place - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    if len(names) < 3:
        return bands
    return " ".join(
        f"{names[run[0]]}–{names[run[-1]]}" if len(run) > 2 else "".join(names[i] for i in run) for run in runs
    )


def millions(count: int) -> str:
    """A count of parameters in three digits.

    Example:
        >>> millions(512), millions(4_096), millions(7_250_000_000)
        ('512', '4.1 k', '7.25 B')
    """
    for size, unit, digits in ((10**9, "B", 2), (10**6, "M", 1), (10**3, "k", 1)):
        if count >= size:
            return f"{count / size:.{digits}f} {unit}"
    return str(count)


def _value(estimate: Estimate) -> str:
    return format_estimate(estimate) if estimate.value is None else format_number(estimate.value)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _compact(name: str) -> str:
    """A style or script of ours without indentation and comments; a style without needless spaces, too."""
    lines = (line.strip() for line in _resource(name).splitlines())
    text = "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))
    return re.sub(r"(?<=[{:;,]) | (?={)", "", text) if name.endswith(".css") else text
