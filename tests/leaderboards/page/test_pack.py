"""What is packed for the browser can be unpacked to what was shown, number by number."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from groupgap.leaderboards.board import Board, Row
from groupgap.leaderboards.flips import HIGHER_IS_BETTER, flips_of
from groupgap.leaderboards.format import format_number
from groupgap.leaderboards.markdown import plain
from groupgap.leaderboards.page.data import page_data
from groupgap.leaderboards.page.pack import COLUMNS, FIRST, SECOND, short_p, shown
from groupgap.leaderboards.pairs import Pairs
from groupgap.leaderboards.pairs_document import pairs_document
from groupgap.metrics import Chance, Estimate, GroupRates


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


def entries_of(board: Board) -> list[tuple[Pairs, tuple[Row, ...], int, int]]:
    """Comparisons, rows, measure and pair of each entry, in the order of the first two columns."""
    rows = board.tables
    return [
        (pairs, rows[pairs.task, pairs.axis], at, pair)
        for pairs in board.pairs
        for at in range(len(pairs.found.measures))
        for pair in range(len(pairs.found.pairs))
    ]


def shown_difference(pairs: Pairs, rows: tuple[Row, ...], at: int, pair: int) -> int:
    """Row A minus row B as the page shows them."""
    metric, group = pairs.found.measures[at]
    judged = [rows[row].judgement for row in pairs.found.pairs[pair]]
    a, b = (getattr(one, metric) if group is None else first_of_name(one.groups, group).accuracy for one in judged)
    return shown(a.value) - shown(b.value)


def first_of_name(groups: Mapping[str, GroupRates], group: str) -> GroupRates:
    return next(rates for name, rates in groups.items() if plain(name) == plain(group))


def numbers_of(board: Board, document: dict[str, Any], columns: list[np.ndarray]) -> list[tuple[int, ...]]:
    """Value, low, high, verdict and detectable difference of each entry, unpacked step by step as the script does."""
    left, below, above, verdict, detectable = (column.tolist() for column in columns)
    entries = entries_of(board)
    value = [int(signed(np.array(one))) + shown_difference(*entry) for one, entry in zip(left, entries, strict=True)]

    def key(number: int) -> tuple[int, int, int]:
        pairs, _, at, _ = entries[number]
        metric = document["pairs"]["metrics"].index(pairs.found.measures[at][0])
        steps = value[number] * 128 // max(below[number], 1)
        return metric, max(-1023, min(1023, steps)), below[number]

    found: list[tuple[int, ...]] = [()] * len(value)
    last = 0
    for place, number in enumerate(sorted(range(len(value)), key=key)):
        up, change, rest = (int(signed(np.array(column[place]))) for column in (above, verdict, detectable))
        last += change
        down, up = below[number], below[number] + up
        seen = rest + max(down, up) + (down + up) * 3 // 14
        found[number] = value[number], value[number] - down, value[number] + up, last, seen
    return found


def says_what_board_json_says(board: Board, document: dict[str, Any], columns: list[np.ndarray]) -> None:
    numbers = iter(numbers_of(board, document, columns))
    for measure, pair in (
        (measure, pair)
        for pairs in board.pairs
        for measure in pairs_document(pairs)["measures"]
        for pair in range(len(pairs.found.pairs))
    ):
        value, low, high, verdict, detectable = next(numbers)
        expected = [format_number(measure[name][pair]) for name in ("difference", "low", "high")]
        assert [format_number(one / 1000) for one in (value, low, high)] == expected
        p, q, kind = document["pairs"]["verdicts"][verdict]
        assert (p, q) == (short_p(measure["p"][pair]), short_p(measure["q"][pair]))
        assert (kind in (FIRST, SECOND)) == (measure["q"][pair] < 0.05)
        if kind in (FIRST, SECOND):
            sign = 1 if measure["metric"] in HIGHER_IS_BETTER else -1
            assert (kind == FIRST) == (sign * measure["difference"][pair] > 0)
        assert kind in (FIRST, SECOND) or detectable == min(1000, shown(measure["detectable"][pair]))
    assert not list(numbers)


def test_every_number_comes_back(made: Callable[..., Board]) -> None:
    board = made(7, 3)
    document, columns = unpack(page_data(board, flips_of(board)))
    assert [(one["pairs"], one["size"]) for one in document["pairs"]["tables"]] == [(None, 21)] * 3
    says_what_board_json_says(board, document, columns)


def test_a_number_is_rounded_from_the_one_in_board_json(made: Callable[..., Board]) -> None:
    """-0.0004999999 is -0.000500 there, which three decimals show as -0.001; by itself it would be 0.000."""
    board = made(3, 1)
    (pairs,) = board.pairs
    table = pairs.found
    for array, number in ((table.low, -0.03), (table.value, -0.0004999999), (table.high, 0.0304999999)):
        array[0, 0] = number
    pairs.found.p_value[0, 0], pairs.q_value[0, 0] = 0.12500000001, 0.049999999
    document, columns = unpack(page_data(board, ()))
    assert numbers_of(board, document, columns)[0][0] == -1
    says_what_board_json_says(board, document, columns)


def test_groups_that_look_alike_are_told_by_the_first(made: Callable[..., Board]) -> None:
    """The browser knows a group by the name it shows, so what Python leaves away must follow from that name too."""
    board = made(3, 1)

    def renamed(row: Row) -> Row:
        names = ("aurelian\u200b", "aurelian\\u200b", *list(row.judgement.groups)[2:])
        groups = dict(zip(names, row.judgement.groups.values(), strict=True))
        return replace(row, judgement=replace(row.judgement, groups=groups))

    (pairs,) = board.pairs
    names = dict(zip(board.rows[0].judgement.groups, renamed(board.rows[0]).judgement.groups, strict=True))
    measures = tuple((metric, group and names[group]) for metric, group in pairs.found.measures)
    changed = replace(pairs, found=replace(pairs.found, measures=measures))
    board = replace(board, rows=tuple(map(renamed, board.rows)), pairs=(changed,))
    document, columns = unpack(page_data(board, ()))
    alike = [group for _, group in document["pairs"]["tables"][0]["measures"]][4:6]
    assert alike == ["aurelian\\u200b"] * 2
    says_what_board_json_says(board, document, columns)


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
    board = replace(board, pairs=(changed,))
    document, columns = unpack(page_data(board, ()))
    (header,) = document["pairs"]["tables"]
    assert (header["pairs"], header["mode"]) == ([[0, 2], [1, 2]], "baseline")
    assert (header["reasons"], header["refused"]) == ([[2, 0, "no positives"]], [[0, 1, "why"]])
    *_, verdict, _ = numbers_of(board, document, columns)[2 * 2]
    assert document["pairs"]["verdicts"][verdict] == ["", "", 0]


@pytest.mark.parametrize("value", [0.0, 0.0125, 0.0625, -0.0004, -0.034, 0.9995, 1.0, 2 / 3])
def test_thousandths_are_what_the_page_shows(value: float) -> None:
    assert format_number(shown(value) / 1000) == format_number(value)


@pytest.mark.parametrize(("place", "side"), [(0, 1), (2, -1)])
@pytest.mark.parametrize("difference", [0.0004, -0.0004])
def test_the_side_of_a_difference_that_is_shown_as_0_comes_from_python(
    made: Callable[..., Board], place: int, side: int, difference: float
) -> None:
    """Accuracy (the larger is better) and DPD (the smaller is better), significant and under half a thousandth."""
    board = made(3, 1)
    (pairs,) = board.pairs
    pairs.found.value[place, 0] = difference
    pairs.found.p_value[place, 0] = pairs.q_value[place, 0] = 1e-3
    document, columns = unpack(page_data(board, ()))
    value, *_, verdict, _ = numbers_of(board, document, columns)[3 * place]
    assert value == 0
    assert document["pairs"]["verdicts"][verdict][2] == (FIRST if difference * side > 0 else SECOND)


def test_beyond_chance_is_decided_before_rounding(made: Callable[..., Board]) -> None:
    board = made(2, 1)
    spreads = [replace(row.judgement.accuracy_spread, value=0.0504) for row in board.rows]
    chances = [Chance(0.03, p95, 0.05, 999) for p95 in (0.0501, 0.0505)]
    judged = [
        replace(row.judgement, accuracy_spread=replace(spread, chance=chance))
        for row, spread, chance in zip(board.rows, spreads, chances, strict=True)
    ]
    rows = tuple(replace(row, judgement=one) for row, one in zip(board.rows, judged, strict=True))
    document, _ = unpack(page_data(replace(board, rows=rows), ()))
    beyond, within = document["rows"]["metrics"][list(document["metrics"]).index("accuracy_spread")]
    assert (beyond[0], beyond[4], beyond[6]) == (50, 50, None)
    assert (within[0], within[6]) == (50, 1)


@pytest.mark.parametrize(
    ("spread", "groups", "name"),
    [
        (Estimate(0.0, 400), ("a", "b"), "all judged groups alike"),
        (Estimate(0.1, 400), ("a", "b"), "a, b"),
        (Estimate(None, 200, "fewer than 2 groups with members"), ("a",), "a (the only group judged)"),
    ],
)
def test_the_worst_group_is_named_as_python_names_it(
    made: Callable[..., Board], spread: Estimate, groups: tuple[str, ...], name: str
) -> None:
    board = made(1, 1)
    (row,) = board.rows
    worst = replace(row.judgement.worst_group, groups=groups)
    judged = replace(row.judgement, worst_group=worst, accuracy_spread=spread)
    document, _ = unpack(page_data(replace(board, rows=(replace(row, judgement=judged),)), ()))
    assert document["rows"]["metrics"][list(document["metrics"]).index("worst_group")][0][7] == name
