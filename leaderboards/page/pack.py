"""Numbers made small for the page: rounded as they are shown, laid out so that they compress, unpacked by the browser.

Comparisons are columns of unsigned numbers over all tables, cut into a plane of low and a plane of high bytes. What
follows nearly from other numbers is left away, and the columns that follow nearly from a difference and its interval
are laid out in their order: neighbours are alike, which is what deflate compresses.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from ...metrics import Estimate
from ..board import Row
from ..flips import HIGHER_IS_BETTER
from ..format import DIGITS
from ..markdown import plain
from ..pairs import LEVEL, Pairs
from ..pairs_document import fixed, significant

IntArray = npt.NDArray[np.int64]
COLUMNS = ("value", "below", "above", "verdict", "detectable")
SMALLEST = 1e-4  # p-values under it are not told apart on the page; board.json has them
HARMLESS = bytes.maketrans(b"<>&", b",.:")  # digits of Python's base 85 that html would read
STEPS, FARTHEST = 128, 1023  # steps of a difference's size in widths of its interval; those beyond are alike
# What the test allows to say: the first of the two is better, or the second; ALONE: by p, but not among all tests.
CANNOT, FIRST, ALONE, SECOND = range(4)


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
    # Little memory means short blocks, each with a code of its own: they fit numbers that change from place to place.
    packed = zlib.compressobj(9, zlib.DEFLATED, wbits=-15, memLevel=4, strategy=zlib.Z_FILTERED)
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


@dataclass(frozen=True)
class _Entries:
    """Comparisons as flat arrays of natural numbers or thousandths, as the page shows them.

    Attributes:
        metric: number of the metric.
        value: A minus B.
        expected: row A minus row B, each rounded as the page shows it; 0 where one is undefined.
        below: from the lower end of the interval to the value.
        above: from the value to the upper end.
        verdict: place in the list of what is shown of tests.
        detectable: difference that would be seen; as :func:`_seen` has it where the difference is told, for there it is
            not shown.
    """

    metric: IntArray
    value: IntArray
    expected: IntArray
    below: IntArray
    above: IntArray
    verdict: IntArray
    detectable: IntArray


def pack_pairs(tables: Sequence[Pairs], rows: Sequence[Sequence[Row]]) -> tuple[dict[str, Any], bytes]:
    """The comparisons of all tables.

    Args:
        tables: the comparisons.
        rows: the rows of each of these tables, in order.

    Returns:
        A JSON-ready header (for each table: measures, pairs where they are not all, reasons; for all: metrics, the
        shown p and q, and what they allow to say) and the planes: of each of ``COLUMNS`` the low bytes, then the high
        bytes. The first two go table by table, measure by measure, the others in the order of :func:`_order`.
    """
    found = [_verdicts(one) for one in tables]
    known = {verdict: p for of_table in found for verdict, p in of_table}
    verdicts = sorted(known, key=lambda one: (known[one], one))
    places = {verdict: place for place, verdict in enumerate(verdicts)}
    metrics = list(dict.fromkeys(metric for one in tables for metric, _ in one.found.measures))
    parts = [
        _entries(one, metrics, [places[verdict] for verdict, _ in of_table], of_rows)
        for one, of_table, of_rows in zip(tables, found, rows, strict=True)
    ]
    planes = b"".join(
        (column & 0xFF).astype(np.uint8).tobytes() + (column >> 8).astype(np.uint8).tobytes()
        for column in _columns(parts)
    )
    told = {"metrics": metrics, "verdicts": [list(verdict) for verdict in verdicts]}
    return told | {"tables": [_header(one) for one in tables]}, planes


def _entries(pairs: Pairs, metrics: Sequence[str], verdict: Sequence[int], rows: Sequence[Row]) -> _Entries:
    found = pairs.found
    nothing = np.isnan(found.value + found.low + found.high)  # then the page has a reason
    value, low, high = (_thousandths(np.where(nothing, 0.0, array)) for array in (found.value, found.low, found.high))
    numbers = [metrics.index(metric) for metric, _ in found.measures]
    told, below, above = pairs.q_value.ravel() < LEVEL, value - low, high - value
    return _Entries(
        metric=np.repeat(np.array(numbers, dtype=np.int64), len(found.pairs)),
        value=value,
        expected=_differences(pairs, rows),
        below=below,
        above=above,
        verdict=np.array(verdict, dtype=np.int64),
        detectable=np.where(told, _seen(below, above), np.minimum(_thousandths(found.detectable), 1000)),
    )


def _columns(parts: Sequence[_Entries]) -> Iterable[IntArray]:
    """The columns of the page, unsigned: what is left of each number beside those that are known before it.

    These are, of the value, the difference of the rows' rounded numbers, of the upper distance the lower one, of the
    verdict its neighbour's, of the detectable difference :func:`_seen`.
    """
    nothing = np.zeros(0, dtype=np.int64)
    metric, value, expected, below, above, verdict, detectable = (
        np.concatenate([nothing, *(getattr(part, one.name) for part in parts)]) for one in fields(_Entries)
    )
    order = _order(metric, value, below)
    yield _zigzag(value - expected)
    yield below
    yield _zigzag(above - below)[order]
    yield _zigzag(np.diff(verdict[order], prepend=0))
    yield _zigzag(detectable - _seen(below, above))[order]


def _seen(below: IntArray, above: IntArray) -> IntArray:
    """Nearly the detectable difference: the interval's farther end and 0.84 standard errors (3/14 of its width)."""
    return np.maximum(below, above) + (below + above) * 3 // 14


def _order(metric: IntArray, value: IntArray, below: IntArray) -> IntArray:
    """The entries by metric, then by size of the difference against its interval: p and the interval's form follow."""
    size = np.clip(value * STEPS // np.maximum(below, 1), -FARTHEST, FARTHEST)
    return np.lexsort((below, size, metric))


def _differences(pairs: Pairs, rows: Sequence[Row]) -> IntArray:
    """(M * P,) what :class:`_Entries` expects."""
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
    """Of the first group that the page shows under this name: the browser knows no other."""
    shown_as = plain(group)
    found = (rates.accuracy for name, rates in row.judgement.groups.items() if plain(name) == shown_as)
    return next(found, None)


def _verdicts(pairs: Pairs) -> list[tuple[tuple[str, str, int], float]]:
    """What is shown of each test, and its p-value, by which neighbours are alike."""
    p_values, q_values = pairs.found.p_value.ravel().tolist(), pairs.q_value.ravel().tolist()
    signs = np.array([[1 if metric in HIGHER_IS_BETTER else -1] for metric, _ in pairs.found.measures])
    better = (pairs.found.value * signs > 0).ravel().tolist()  # of the unrounded difference, which may be shown as 0
    return [
        (_verdict(p, q, first), 2.0 if math.isnan(p) else p)
        for p, q, first in zip(p_values, q_values, better, strict=True)
    ]


def _verdict(p: float, q: float, first: bool) -> tuple[str, str, int]:
    if math.isnan(p) or math.isnan(q):
        return "", "", CANNOT
    told = FIRST if first else SECOND
    return short_p(significant(p)), short_p(significant(q)), told if q < LEVEL else ALONE if p < LEVEL else CANNOT


def _thousandths(values: npt.NDArray[np.float64]) -> IntArray:
    numbers = fixed(values).ravel().tolist()  # from board.json's numbers: both are to say the same
    return np.array([0 if math.isnan(value) else shown(value) for value in numbers], dtype=np.int64)


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
