"""``groupgap check``: what adapters and checkpoints are, and whether they can be served. Loads nothing into a model."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from .base_model import BaseModel, read_base
from .check import AdapterCheck, CheckOptions, check_adapter
from .check_full import FullCheck, check_full
from .finding import Finding
from .peft_config import CONFIG, read_adapter_config
from .resolve import Resolved, resolve
from .serving import ENGINES

SCHEMA = 1
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class Row:
    """One place that was asked for, and what the check of it found.

    Attributes:
        place: as the user wrote it.
        resolved: where it lies; None where it could not be found.
        check: what was found; None where it could not be found.
        error: why it could not be found.
    """

    place: str
    resolved: Resolved | None
    check: AdapterCheck | FullCheck | None
    error: str = ""

    @property
    def refused(self) -> bool:
        """Whether this one cannot be served."""
        return self.check is None or self.check.verdict == "refused"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the places, ``--base``, ``--engine``, ``--deep``, ``--other-base`` and ``--json``."""
    parser.add_argument("places", nargs="+", metavar="PATH_OR_HUB_ID", help="folder, or hub id ORG/NAME[@REVISION]")
    parser.add_argument("--base", help="the base: folder or hub id (default: what the adapter names, if it is here)")
    parser.add_argument("--engine", choices=ENGINES, default="vllm", help="who is to serve it (default: %(default)s)")
    parser.add_argument("--deep", action="store_true", help="look at every value (NaN, infinity, zero), hash the files")
    parser.add_argument("--other-base", action="store_true", help="take a base of another name than the adapter's")
    parser.add_argument("--json", action="store_true", help="print everything that was found, as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table (or JSON); status 2 where anything is refused."""
    base = _base(args.base) if args.base else None
    options = CheckOptions(engine=args.engine, deep=args.deep, other_base=args.other_base)
    rows = [check_place(place, base, options) for place in args.places]
    if args.json:
        json.dump({"schema": SCHEMA, "checks": [_plain(row) for row in rows]}, sys.stdout, indent=2, allow_nan=False)
        print()
    else:
        print(as_text(rows))
    return 2 if any(row.refused for row in rows) else 0


def _base(location: str, revision: str | None = None, *, fetch: bool = True) -> BaseModel:
    found = resolve(location, revision, fetch=fetch)
    return read_base(found.path, hub_id=found.hub_id, commit=found.commit, licence=found.licence)


def check_place(place: str, base: BaseModel | None = None, options: CheckOptions | None = None) -> Row:
    """Find a place and check it: an adapter, or a full checkpoint.

    Args:
        place: folder or hub id.
        base: the base to compare with; None for the one that the adapter names, where it is on this machine.
        options: engine, depth.

    Returns:
        The row; what cannot be found is an answer too.
    """
    options = options or CheckOptions()
    try:
        resolved = resolve(place)
    except GroupgapError as error:
        return Row(place, None, None, str(error))
    if not (resolved.path / CONFIG).exists():
        return Row(place, resolved, check_full(resolved.path, base, deep=options.deep))
    return Row(place, resolved, check_adapter(resolved.path, base or _named_base(resolved.path), options))


def _named_base(folder: Path) -> BaseModel | None:
    try:
        config = read_adapter_config(folder)
        return _base(config.base, config.base_revision, fetch=False) if config.base else None
    except GroupgapError:
        return None


def _plain(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {"place": row.place, "error": row.error or None, "kind": None, "verdict": "refused"}
    if row.resolved:
        found |= {"hub_id": row.resolved.hub_id, "commit": row.resolved.commit}
    if row.check:
        plain = asdict(replace(row.check, **_unwrapped(row.check)))
        kind = "adapter" if isinstance(row.check, AdapterCheck) else "full"
        found |= {**plain, "path": str(row.check.path), "kind": kind}
    return found


def _unwrapped(check: AdapterCheck | FullCheck) -> dict[str, Any]:
    return {name: dict(value) for name, value in vars(check).items() if isinstance(value, Mapping)}


def as_text(rows: Iterable[Row]) -> str:
    """The table, one line each, and below it what was noticed."""
    listed = list(rows)
    lines: list[tuple[str, ...]] = [
        ("checked", "verdict", "method", "rank", "alpha", "targets", "tensors", "size", "licence")
    ]
    lines += [_cells(row) for row in listed]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*table, *(line for row in listed for line in _remarks(row))])


def _cells(row: Row) -> tuple[str, ...]:
    check = row.check
    if check is None:
        return (row.place, "refused", *[""] * 7)
    if isinstance(check, FullCheck):
        how, counts = "own engine" if check.own_engine else "", (str(check.tensors), size(check.bytes))
        return (row.place, check.verdict, "full", "", "", how, *counts, check.licence or "")
    return (
        row.place,
        check.verdict,
        check.method or "",
        "" if check.rank is None else str(check.rank),
        "" if check.alpha is None else f"{check.alpha:g}",
        _targets(check.targets or {}),
        f"{check.matched} of {check.expected}" if check.expected else "",
        size(check.bytes),
        check.licence or "",
    )


def _targets(targets: Mapping[str, int]) -> str:
    named = [f"{name[-40:]} {count}" for name, count in sorted(targets.items())]
    return ", ".join(named) if len(named) <= 4 else f"{sum(targets.values())} modules by {len(named)} names"


def size(count: int) -> str:
    """A number of bytes in words.

    >>> size(1536)
    '1.5 KiB'
    """
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def _remarks(row: Row) -> list[str]:
    if row.check is None:
        return ["", f"{row.place}: refused", f"  {row.error}"]
    check = row.check
    lines = [_remark(finding) for finding in check.findings]
    if isinstance(check, AdapterCheck):
        lines += [f"  carries a head: {head.name}, {head.labels} labels" for head in check.heads]
        if check.base_licence and check.base_licence != check.licence:
            lines.append(f"  licence of its base: {check.base_licence}")
    elif check.own_engine:
        lines.append(f"  needs an engine of its own: {check.own_engine}")
    return ["", f"{row.place}: {check.verdict}", *lines] if lines else []


def _remark(finding: Finding) -> str:
    return f"  {finding.text}" + (f" -> {finding.way_out}" if finding.way_out else "")
