"""The board's flat tables as parquet, with numbers and missing values typed."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from .board import Board
from .tables import flat_groups, flat_row


def board_parquet(board: Board) -> dict[str, bytes]:
    """``board.parquet`` and ``groups.parquet``: the lines and columns of the csv files.

    Args:
        board: what to write.

    Returns:
        File name to its content. Texts are those of the runs, unchanged (only csv needs a guard against formulas);
        a missing number is null, with its reason in the column beside it.
    """
    return {
        "board.parquet": _parquet([flat_row(row) for row in board.rows]),
        "groups.parquet": _parquet([flat for row in board.rows for flat in flat_groups(row)]),
    }


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(rows[0]) if rows else []
    columns = {name: _column([_utf8(row[name]) for row in rows]) for name in names}
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, compression="zstd")
    return stream.getvalue()


def _column(values: Sequence[Any]) -> Any:
    """A column whose type is that of its values; one without any is text."""
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    numbers = kinds <= {int, float} and kinds
    kind = pa.float64() if numbers and float in kinds else pa.int64() if numbers else None
    kind = kind or (pa.bool_() if kinds == {bool} else pa.string())
    return pa.array([value if value is None or kind != pa.string() else str(value) for value in values], type=kind)


def _utf8(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
