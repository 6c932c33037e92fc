"""What the page says of a table in words, from rows that are made for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from groupgap.leaderboards.board import Board, Options, Row, build_board
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.page.render import letters, scale_of
from groupgap.leaderboards.summary import beyond_chance, summary
from groupgap.metrics import Chance, Estimate


def said(rows: Sequence[Row], board: Board | None = None) -> list[str]:
    pairs = board.pairs[0] if board else None
    return ["".join(text for text, _ in sentence) for sentence in summary(rows, pairs)]


@pytest.fixture
def board(tmp_path: Path, factory: SimpleNamespace) -> Board:
    for name, accuracy in (("a", 0.95), ("b", 0.94), ("c", 0.5)):
        made = factory.documents(300, 0)
        run = factory.WrittenRun(
            made, factory.predict(made, ord(name), accuracy), fair=factory.FAIR, model_args={"pretrained": name}
        )
        run.write(tmp_path / name)
    return build_board(collect(Request([tmp_path])), Options(draws=499))


def test_the_sentences_name_the_best_the_last_and_what_is_noise(board: Board) -> None:
    rows = board.rows
    first, last, *rest = said(rows, board)
    best, worst = rows[0].judgement.worst_group, rows[-1].judgement.worst_group
    assert first.startswith(f"{rows[0].variant} treats its worst group best: {best.groups[0]}, {best.value:.3f} [")
    assert first.endswith("1 of 2 other rows cannot be told apart from it.")
    assert last.startswith(f"At the other end c: {worst.groups[0]}, {worst.value:.3f}")
    real = sum(beyond_chance(row.judgement.accuracy_spread) for row in rows)
    assert rest[-1] == f"The gap in accuracy between groups is beyond chance in {real} of 3 rows."


def test_without_comparisons_nothing_is_said_of_them(board: Board) -> None:
    assert said(board.rows)[0].endswith("].")
    assert said(board.rows[:1])[0].startswith(f"{board.rows[0].variant} treats this group worst: ")


def test_a_group_is_worst_off_most_often_or_it_is_not_said(board: Board) -> None:
    def with_worst(*groups: str) -> list[Row]:
        worst = [
            replace(row.judgement.worst_group, groups=(name,)) for row, name in zip(board.rows, groups, strict=True)
        ]
        judged = [replace(row.judgement, worst_group=one) for row, one in zip(board.rows, worst, strict=True)]
        return [replace(row, judgement=one) for row, one in zip(board.rows, judged, strict=True)]

    assert "Worst off most often: aur, in 2 of 3 rows." in said(with_worst("aur", "aur", "bron"))
    assert not any("most often" in text for text in said(with_worst("aur", "bron", "cel")))


def test_no_group_that_can_be_judged(board: Board) -> None:
    nothing = Estimate(None, 3, "no group with at least 30 members")
    rows = [replace(row, judgement=replace(row.judgement, worst_group=nothing)) for row in board.rows]
    assert said(rows) == ["No group is large enough to be judged."]


@pytest.mark.parametrize(("value", "beyond"), [(0.2, True), (0.1, False), (0.05, False), (None, False)])
def test_a_gap_is_beyond_chance_above_its_95th_percentile(value: float | None, beyond: bool) -> None:
    reason = "none" if value is None else None
    assert beyond_chance(Estimate(value, 9, reason, chance=Chance(0.05, 0.1, 0.5, 99))) is beyond
    assert not beyond_chance(Estimate(0.2, 9))


def test_letters_are_drawn_together_where_they_follow_each_other() -> None:
    assert [letters(bands) for bands in ("", "a", "ac", "abc", "abde", "xyza1b1", "z1a2b2d2")] == [
        "", "a", "ac", "a–c", "ab de", "x–b1", "z1–b2 d2"
    ]  # fmt: skip


def test_the_scale_holds_intervals_and_chance_levels() -> None:
    assert scale_of([Estimate(0.1, 9, low=0.0, high=0.31)]) == 0.4
    assert scale_of([Estimate(0.1, 9, chance=Chance(0.1, 0.52, 0.5, 9)), Estimate(None, 0, "none")]) == 0.6
    assert scale_of([Estimate(None, 0, "none")]) == 0.1
    assert scale_of([Estimate(0.95, 9, low=0.9, high=1.0)]) == 1.0


def alike(board: Board, value: float, spread: Estimate, groups: tuple[str, ...]) -> Row:
    judged = board.rows[0].judgement
    worst = replace(judged.worst_group, value=value, groups=groups)
    return replace(board.rows[0], judgement=replace(judged, worst_group=worst, accuracy_spread=spread))


def test_of_groups_that_are_all_alike_none_is_worst(board: Board) -> None:
    rows = [alike(board, value, Estimate(0.0, 300), ("aur", "bron", "cel")) for value in (1.0, 0.5, 0.5)]
    first, last = said(rows)
    assert first.startswith("a treats all groups judged alike, 1.000 [")
    assert last.startswith("At the other end a and 1 more of equal value: 0.500 [")
    assert len(said(rows[1:])) == 1  # rows of equal value have no other end


def test_values_that_differ_by_rounding_are_equal(board: Board) -> None:
    spread, groups = Estimate(0.2, 300), ("aur",)
    one, other = (0.35 + 0.34 + 0.28) / 3, (0.28 + 0.34 + 0.35) / 3
    assert one != other
    low, lower = (alike(board, value, spread, groups) for value in (one, other))
    assert not any("other end" in text for text in said([low, lower]))
    assert said([alike(board, 0.9, spread, groups), low, lower])[1].startswith(
        "At the other end a and 1 more of equal value: 0.323 ["
    )


def test_groups_that_share_the_lowest_accuracy_are_all_named_and_none_is_worst_off_most_often(board: Board) -> None:
    rows = [alike(board, value, Estimate(0.2, 300), ("aur", "cel")) for value in (0.8, 0.6)]
    first, last = said(rows)
    assert first.startswith("a treats its worst group best: aur, cel, 0.800 [")
    assert last.startswith("At the other end a: aur, cel, 0.600 [")


def test_a_single_group_is_no_worst_one(board: Board) -> None:
    single = Estimate(None, 300, "fewer than 2 groups with members")
    rows = [alike(board, value, single, ("aur",)) for value in (0.8, 0.6)]
    first, last = said(rows)
    assert first.startswith("a does best in the only group judged: aur, 0.800 [")
    assert last.startswith("At the other end a: aur (the only group judged), 0.600 [")
    assert said(rows[:1])[0].startswith("a was judged in one group only: aur, 0.800 [")
