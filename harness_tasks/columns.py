"""Reading columns of a table whose cells may be strings (csv) or typed (parquet), with errors that name file, column
and row."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..errors import GroupgapError

TRUE = frozenset({"true", "1", "1.0", "yes"})
FALSE = frozenset({"false", "0", "0.0", "no"})


def need_columns(frame: pd.DataFrame, columns: Iterable[str], file: str) -> None:
    """Raise a GroupgapError that names the first missing column, the nearest one, and those there are."""
    there = [str(name) for name in frame.columns]
    for column in columns:
        if column not in there:
            near = difflib.get_close_matches(column, there, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            more = f", and {len(there) - 40} more" if len(there) > 40 else ""
            raise GroupgapError(f"{file}: no column {column!r}{hint} (columns: {', '.join(there[:40])}{more})")


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: an empty string, None, or NaN."""
    return value is None or value == "" or (isinstance(value, float) and value != value) or value is pd.NA


def as_text(value: object) -> str:
    """A cell as a string; whole floats lose their ``.0``, so that 1.0 in a parquet file and 1 in a csv are one value.

    >>> as_text(1.0), as_text("1"), as_text(True)
    ('1', '1', 'True')
    """
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def text_column(frame: pd.DataFrame, column: str, file: str) -> list[str]:
    """A column in which every row must hold something.

    Raises:
        GroupgapError: an empty cell; the message has its row.
    """
    need_columns(frame, [column], file)
    values = frame[column].tolist()
    for row, value in enumerate(values, start=1):
        if is_missing(value):
            raise GroupgapError(f"{file}: column {column!r} is empty in data row {row}; fill it in or drop the row")
    return [as_text(value) for value in values]


def number_column(frame: pd.DataFrame, column: str, file: str) -> np.ndarray:
    """A column of finite numbers, as float64.

    Raises:
        GroupgapError: a cell that is no finite number; the message has its row.
    """
    need_columns(frame, [column], file)
    numbers = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    finite = np.isfinite(numbers)
    if not finite.all():
        row = int(np.argmin(finite)) + 1
        raise GroupgapError(f"{file}: column {column!r} holds no number in data row {row}; fetch the file again")
    return numbers


def is_boolean(values: Iterable[object]) -> bool:
    """Whether all cells say true or false (as booleans, numbers or words)."""
    return all(str(value).lower() in TRUE | FALSE for value in values)


def boolean_column(frame: pd.DataFrame, column: str, file: str) -> np.ndarray:
    """A column of true/false cells, as booleans.

    Raises:
        GroupgapError: any other cell; the message has its row.
    """
    need_columns(frame, [column], file)
    if frame[column].dtype == bool:
        return frame[column].to_numpy(dtype=bool)
    words = [str(value).lower() for value in frame[column]]
    for row, word in enumerate(words, start=1):
        if word not in TRUE | FALSE:
            raise GroupgapError(f"{file}: column {column!r} holds {word!r} in data row {row}; expected true or false")
    return np.array([word in TRUE for word in words], dtype=bool)
