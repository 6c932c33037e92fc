"""JSON that came from elsewhere: sizes are bounded, and what is broken is named with its file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import GroupgapError

MAX_DOCUMENT_BYTES = 128 * 2**20
MAX_LINE_BYTES = 32 * 2**20


def read_json_object(path: Path) -> dict[str, Any]:
    """Read one JSON object.

    Args:
        path: the file.

    Returns:
        The object, with string keys.

    Raises:
        GroupgapError: if the file cannot be read, is larger than ``MAX_DOCUMENT_BYTES``, or is no JSON object.
    """
    try:
        size = path.stat().st_size
        if size > MAX_DOCUMENT_BYTES:
            raise GroupgapError(
                f"{path}: {size:,} bytes, and at most {MAX_DOCUMENT_BYTES:,} are read: is it the right file?"
            )
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise GroupgapError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise GroupgapError(
            f"{path}: not valid JSON ({_why(error)}): the file is broken or truncated, run again"
        ) from error
    if not isinstance(value, dict):
        raise GroupgapError(f"{path}: expected a JSON object, but got {type(value).__name__}")
    return value


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read a jsonl file, one object at a time.

    Args:
        path: the file.

    Yields:
        The line number (from 1) and the object; empty lines are skipped.

    Raises:
        GroupgapError: with the file and the line number, for a line that is broken, truncated or too long.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise GroupgapError(f"{path}, line {number}: longer than {MAX_LINE_BYTES:,} bytes")
                if line.strip():
                    yield number, _parse_line(path, number, line)
    except OSError as error:
        raise GroupgapError(f"{path}: cannot be read ({error.strerror or error})") from error


def _parse_line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        cause = "truncated" if not line.endswith(b"\n") else "broken"
        raise GroupgapError(
            f"{path}, line {number}: {cause} JSON ({_why(error)}): "
            "the run did not finish or the file was edited; run again"
        ) from error
    if not isinstance(value, dict):
        raise GroupgapError(f"{path}, line {number}: expected a JSON object, but got {type(value).__name__}")
    return value


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error) if isinstance(error, json.JSONDecodeError) else "not UTF-8 text, or a number that is too long"
