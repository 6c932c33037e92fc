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

from ...metrics import Estimate
from ..board import Row
from ..format import DIGITS
from ..markdown import plain
from ..pairs import LEVEL, Pairs

IntArray = npt.NDArray[np.int64]
COLUMNS = ("value", "below", "above", "p", "detectable")
SMALLEST = 1e-4  # p-values under it are not told apart on the page; board.json has them
HARMLESS = bytes.maketrans(b"<>&", b",.:")  # digits of Python's base 85 that html would read
CANNOT, APART, ALONE = 0, 1, 2  # what the test allows to say; ALONE: by its p-value, but not among all tests


def shown(value: float) -> int:
    """A number in thousandths, rounded as :func:`groupgap.leaderboards.format.format_number` rounds it.

    Example:
        >>> shown(0.0125), shown(-0.0004)
        (13, 0)
    """
    return int(f"{value:.{DIGITS}f}".replace(".", ""))


def deflated(document: Mapping[str, Any], planes: bytes) -> str:
    """The text that the page carries: a number of bytes, and in base 85 these: deflate of document and planes.

    The document is JSON; in front of it stands its length.
    """
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")
    packed = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    raw = packed.compress(len(text).to_bytes(4, "little") + text + planes) + packed.flush()
    return f"{len(raw)} {base64.b85encode(raw, pad=True).translate(HARMLESS).decode('ascii')}"


def short_p(value: float) -> str:
    """A p-value or q-value as the page shows it: two digits, one under 0.001; one under 0.05 never looks like another.

    Example:
        >>> short_p(0.4321), short_p(0.04996), short_p(0.000123), short_p(1e-20), short_p(1.0)
        ('0.43', '0.04996', '0.0001', '<1e-4', '1')
    """
    if value < SMALLEST:
        return f"<{SMALLEST:.0e}".replace("e-0", "e-")
    texts = (f"{value:.{digits}g}" for digits in range(1 if value < 0.001 else 2, 18))  # 17 digits are the value itself
    return next(text for text in texts if (float(text) < LEVEL) == (value < LEVEL))


def pack_pairs(tables: Sequence[Pairs], rows: Sequence[Sequence[Row]]) -> tuple[dict[str, Any], bytes]:
    """The comparisons of all tables.

    Args:
        tables: the comparisons.
        rows: the rows of each of these tables, in order.

    Returns:
        A JSON-ready header (for each table: measures, pairs where they are not all, reasons; for all: the shown p and
        q, and what they allow to say) and the planes: of each of ``COLUMNS`` the low bytes, then the high bytes, table
        by table, measure by measure.
    """
    found = [_verdicts(one) for one in tables]
    known = {verdict: p for of_table in found for verdict, p in of_table}
    verdicts = sorted(known, key=lambda one: (known[one], one))
    places = {verdict: place for place, verdict in enumerate(verdicts)}
    columns: dict[str, list[IntArray]] = {name: [] for name in COLUMNS}
    for one, of_table, shown_rows in zip(tables, found, rows, strict=True):
        verdict = np.array([places[entry] for entry, _ in of_table], dtype=np.int64)
        for name, column in zip(COLUMNS, _columns(one, verdict, shown_rows), strict=True):
            columns[name].append(column)
    planes = b""
    for parts in columns.values():
        whole = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
        planes += (whole & 0xFF).astype(np.uint8).tobytes() + (whole >> 8).astype(np.uint8).tobytes()
    header = {"verdicts": [list(entry) for entry in verdicts], "tables": [_header(one) for one in tables]}
    return header, planes


def _columns(pairs: Pairs, verdict: IntArray, rows: Sequence[Row]) -> Iterable[IntArray]:
    """Value, distances to the ends of the interval, place of the verdict, detectable difference; flat, unsigned.

    What follows nearly from other numbers on the page is left away: of the value the difference of the rows' rounded
    numbers, of the upper distance the lower one, of the detectable difference (2.80 standard errors) half an interval.
    """
    found = pairs.found
    value, low, high = (_thousandths(array) for array in (found.value, found.low, found.high))
    detectable = np.minimum(_thousandths(found.detectable), 1000)
    below, above = value - low, high - value
    yield _zigzag(value - _differences(pairs, rows))
    yield below
    yield _zigzag(above - below)
    yield verdict
    told = pairs.q_value.ravel() < LEVEL  # of a difference that is told, the detectable one is not shown
    yield np.where(told, 0, _zigzag(detectable - (below + above) * 5 // 7))


def _differences(pairs: Pairs, rows: Sequence[Row]) -> IntArray:
    """(M * P,) row A minus row B, each rounded as the page shows it; 0 where one is undefined."""
    parts = []
    for metric, group in pairs.found.measures:
        estimates = [getattr(row.judgement, metric) if group is None else _accuracy_of(row, group) for row in rows]
        defined = np.array([one is not None and one.value is not None for one in estimates], dtype=np.bool_)
        values = np.array(
            [shown(one.value) if one and one.value is not None else 0 for one in estimates], dtype=np.int64
        )
        a, b = pairs.found.pairs.T
        parts.append(np.where(defined[a] & defined[b], values[a] - values[b], 0))
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _accuracy_of(row: Row, group: str) -> Estimate | None:
    rates = row.judgement.groups.get(group)
    return None if rates is None else rates.accuracy


def _verdicts(pairs: Pairs) -> list[tuple[tuple[str, str, int], float]]:
    """What is shown of each test, and its p-value, by which neighbours are alike."""
    p_values, q_values = pairs.found.p_value.ravel().tolist(), pairs.q_value.ravel().tolist()
    return [(_verdict(p, q), 2.0 if math.isnan(p) else p) for p, q in zip(p_values, q_values, strict=True)]


def _verdict(p: float, q: float) -> tuple[str, str, int]:
    if math.isnan(p) or math.isnan(q):
        return "", "", CANNOT
    return short_p(p), short_p(q), APART if q < LEVEL else ALONE if p < LEVEL else CANNOT


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
