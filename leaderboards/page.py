"""The board's page: one self-contained html file, without a script, everything from a run escaped."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from .. import __version__
from ..metrics import Estimate
from .board import METRICS, Board
from .format import format_chance, format_decided, format_estimate, format_interval, format_number, format_p
from .markdown import cells, plain, under_table


def board_page(board: Board) -> str:
    """``index.html``: per task and axis the ranking, and under it each variant's groups. No request, no script."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "plain": plain,
        "estimate": format_estimate,
        "interval": format_interval,
        "value": _value,
        "decimals": format_number,
        "chance": format_chance,
        "decided": format_decided,
        "p": format_p,
    }
    template = environment.from_string(_resource("page.html.j2"))
    style = _resource("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return template.render(
        board=board,
        tables=board.tables.items(),
        cells=cells,
        under_table=under_table,
        estimate_names=METRICS,
        style=style,
        style_digest=digest,
        version=__version__,
    )


def _value(estimate: Estimate) -> str:
    return format_estimate(estimate) if estimate.value is None else format_number(estimate.value)


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
