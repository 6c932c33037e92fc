"""Numbers made small for the page: rounded as they are shown, laid out so that they compress, unpacked by the browser.

Comparisons are columns of unsigned numbers, cut into a plane of low and a plane of high bytes, each column over all
tables: neighbours are alike, which is what deflate compresses.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from ..format import DIGITS, format_p
from ..markdown import plain
from ..pairs import LEVEL, Pairs

IntArray = npt.NDArray[np.int64]
COLUMNS = ("value", "below", "above", "p", "detectable")
CANNOT, APART, ALONE = 0, 1, 2  # what the test allows to say; ALONE: by its p-value, but not among all tests


def shown(value: float) -> int:
    """A number in thousandths, rounded as :func:`groupgap.leaderboards.format.format_number` rounds it.

    Example:
        >>> shown(0.0125), shown(-0.0004)
        (13, 0)
    """
    return int(f"{value:.{DIGITS}f}".replace(".", ""))


def deflated(document: Mapping[str, Any], planes: bytes) -> str:
    """The text that the page carries: base64 of deflate of a JSON document, its length in front, and the planes."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")
    packed = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    raw = packed.compress(len(text).to_bytes(4, "little") + text + planes) + packed.flush()
    return base64.b64encode(raw).decode("ascii")


def pack_pairs(tables: Sequence[Pairs]) -> tuple[dict[str, Any], bytes]:
    """The comparisons of all tables.

    Returns:
        A JSON-ready header (for each table: measures, pairs where they are not all, reasons; for all: the shown p and
        q, and what they allow to say) and the planes: of each of ``COLUMNS`` the low bytes, then the high bytes, table
        by table, measure by measure.
    """
    verdicts: dict[tuple[str, str, int], int] = {("", "", CANNOT): 0}
    columns: dict[str, list[IntArray]] = {name: [] for name in COLUMNS}
    for one in tables:
        for name, column in zip(COLUMNS, _columns(one, verdicts), strict=True):
            columns[name].append(column)
    planes = b""
    for parts in columns.values():
        whole = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
        planes += (whole & 0xFF).astype(np.uint8).tobytes() + (whole >> 8).astype(np.uint8).tobytes()
    header = {"verdicts": [list(entry) for entry in verdicts], "tables": [_header(one) for one in tables]}
    return header, planes


def _columns(pairs: Pairs, verdicts: dict[tuple[str, str, int], int]) -> Iterable[IntArray]:
    """Value, distances to the ends of the interval, place in ``verdicts``, detectable difference; flat, unsigned."""
    found = pairs.found
    value, low, high = (_thousandths(array) for array in (found.value, found.low, found.high))
    detectable = np.minimum(_thousandths(found.detectable), 1000)
    below, above = value - low, high - value
    yield _zigzag(value)
    yield below
    yield _zigzag(above - below)
    p_values, q_values = found.p_value.ravel().tolist(), pairs.q_value.ravel().tolist()
    yield np.array(
        [verdicts.setdefault(_verdict(p, q), len(verdicts)) for p, q in zip(p_values, q_values, strict=True)],
        dtype=np.int64,
    )
    # Mostly 2.80 standard errors where half an interval is 1.96: what is left is small.
    yield _zigzag(detectable - (below + above) * 5 // 7)


def _verdict(p: float, q: float) -> tuple[str, str, int]:
    if math.isnan(p) or math.isnan(q):
        return "", "", CANNOT
    return format_p(p), format_p(q), APART if q < LEVEL else ALONE if p < LEVEL else CANNOT


def _thousandths(values: npt.NDArray[np.float64]) -> IntArray:
    return np.array([0 if math.isnan(value) else shown(value) for value in values.ravel().tolist()], dtype=np.int64)


def _zigzag(values: IntArray) -> IntArray:
    """0, -1, 1, -2, 2 as 0, 1, 2, 3, 4."""
    return np.where(values < 0, -2 * values - 1, 2 * values)


def _header(one: Pairs) -> dict[str, Any]:
    found = one.found
    rows = len(one.variants)
    all_pairs = found.pairs.tolist() == [list(pair) for pair in combinations(range(rows), 2)]
    return {
        "mode": one.mode,
        "rows": rows,
        "size": len(found.pairs),
        "measures": [[metric, None if group is None else plain(group)] for metric, group in found.measures],
        "pairs": None if all_pairs else found.pairs.tolist(),
        "reasons": [[at, pair, plain(why)] for (at, pair), why in sorted(found.reasons.items())],
        "refused": [[a, b, plain(why)] for a, b, why in one.not_compared],
    }
