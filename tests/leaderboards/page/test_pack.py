"""What is packed for the browser can be unpacked to what was shown, number by number."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from groupgap.leaderboards.board import Board
from groupgap.leaderboards.flips import flips_of
from groupgap.leaderboards.format import format_number
from groupgap.leaderboards.page.data import page_data
from groupgap.leaderboards.page.pack import COLUMNS, short_p, shown


def unpack(packed: str) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The document, and each of the columns as the script reads it."""
    assert not set(packed) & set("<>&\"'\\")
    length, digits = packed.split(" ")
    raw = zlib.decompress(base64.b85decode(digits.translate(str.maketrans(",.:", "<>&")))[: int(length)], -15)
    length = int.from_bytes(raw[:4], "little")
    planes = np.frombuffer(raw[4 + length :], dtype=np.uint8).astype(np.int64)
    halves = planes.reshape(len(COLUMNS), 2, -1)
    return json.loads(raw[4 : 4 + length]), [low + (high << 8) for low, high in halves]


def signed(values: np.ndarray) -> np.ndarray:
    return np.where(values & 1, -((values + 1) >> 1), values >> 1)


def test_every_number_comes_back(made: Callable[..., Board]) -> None:
    board = made(7, 3)
    document, (value, below, above, verdict, detectable) = unpack(page_data(board, flips_of(board)))
    below_and_above = 2 * below + signed(above)
    start = 0
    for pairs, header, rows in zip(board.pairs, document["pairs"]["tables"], board.tables.values(), strict=True):
        assert (header["pairs"], header["size"]) == (None, len(pairs.found.pairs))
        for at, (metric, group) in enumerate(pairs.found.measures):
            for pair, (a, b) in enumerate(pairs.found.pairs.tolist()):
                entry = start + at * header["size"] + pair
                judged = [rows[row].judgement for row in (a, b)]
                estimates = [getattr(one, metric) if group is None else one.groups[group].accuracy for one in judged]
                found = signed(value)[entry] + shown(estimates[0].value) - shown(estimates[1].value)
                assert format_number(found / 1000) == format_number(pairs.found.value[at, pair])
                assert format_number((found - below[entry]) / 1000) == format_number(pairs.found.low[at, pair])
                p, q, kind = document["pairs"]["verdicts"][verdict[entry]]
                assert (p, q) == (short_p(pairs.found.p_value[at, pair]), short_p(pairs.q_value[at, pair]))
                assert (kind == 1) == (pairs.q_value[at, pair] < 0.05)
                seen = signed(detectable)[entry] + below_and_above[entry] * 5 // 7
                assert kind == 1 or seen == min(1000, shown(pairs.found.detectable[at, pair]))
        start += header["size"] * len(header["measures"])
    assert start == len(value)


def test_some_pairs_and_no_numbers(made: Callable[..., Board]) -> None:
    board = made(3, 1)
    (pairs,) = board.pairs
    found = pairs.found
    values = {name: getattr(found, name)[:, 1:].copy() for name in ("value", "low", "high", "p_value", "detectable")}
    for array in values.values():
        array[2, 0] = math.nan
    part = replace(found, pairs=found.pairs[1:], reasons={(2, 0): "no positives"}, **values)
    q_value = pairs.q_value[:, 1:].copy()
    q_value[2, 0] = math.nan
    changed = replace(pairs, found=part, q_value=q_value, mode="baseline", not_compared=((0, 1, "why"),))
    document, columns = unpack(page_data(replace(board, pairs=(changed,)), ()))
    (header,) = document["pairs"]["tables"]
    assert (header["pairs"], header["mode"]) == ([[0, 2], [1, 2]], "baseline")
    assert (header["reasons"], header["refused"]) == ([[2, 0, "no positives"]], [[0, 1, "why"]])
    assert document["pairs"]["verdicts"][columns[3][2 * 2]] == ["", "", 0]


@pytest.mark.parametrize("value", [0.0, 0.0125, 0.0625, -0.0004, -0.034, 0.9995, 1.0, 2 / 3])
def test_thousandths_are_what_the_page_shows(value: float) -> None:
    assert format_number(shown(value) / 1000) == format_number(value)
