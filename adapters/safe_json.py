"""JSON that a stranger wrote: read with limits on size, number of values and depth, and without Python's extensions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from ..errors import GroupgapError

MEBIBYTE = 1 << 20
CONFIG_BYTES = MEBIBYTE
MAX_VALUES = 1_500_000
MAX_DEPTH = 32


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("one key stands there twice")
    return found


def _depth(value: Any, limit: int) -> int:
    """The nesting depth of a parsed value, counted level by level and no further than the limit."""
    level = [value]
    for depth in range(limit + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return depth + 1
    return limit + 1


def parse_json(data: bytes, where: str, *, max_values: int = MAX_VALUES, max_depth: int = MAX_DEPTH) -> Any:
    """Parse untrusted JSON.

    Args:
        data: the bytes, UTF-8.
        where: what they are, for the error message.
        max_values: most commas, brackets and braces allowed; each may cost about 100 bytes of memory.
        max_depth: deepest nesting allowed.

    Raises:
        GroupgapError: not UTF-8, not JSON (NaN and Infinity are not), a repeated key, too many values, too deep.
    """
    if sum(map(data.count, (b",", b"[", b"{"))) > max_values:
        raise GroupgapError(f"{where}: holds more than {max_values:,} values: not a file of this kind")
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except RecursionError:
        raise GroupgapError(f"{where}: nested deeper than {max_depth} levels") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are such
        raise GroupgapError(f"{where}: not readable as JSON ({_short(error)})") from None
    if _depth(value, max_depth) > max_depth:
        raise GroupgapError(f"{where}: nested deeper than {max_depth} levels")
    return value


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def read_json_object(path: Path, limit: int = CONFIG_BYTES, **limits: int) -> dict[str, Any]:
    """Read one JSON object from a file of at most ``limit`` bytes.

    Raises:
        GroupgapError: no such file, too large, or not one JSON object (see :func:`parse_json`).
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise GroupgapError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > limit:
        raise GroupgapError(f"{path}: larger than {limit:,} bytes: not a file of this kind")
    value = parse_json(data, str(path), **limits)
    if not isinstance(value, dict):
        raise GroupgapError(f"{path}: expected one JSON object, got {type(value).__name__}")
    return value
