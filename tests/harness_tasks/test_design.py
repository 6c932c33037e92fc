"""The design: every meaning carries every symbol and stands at every position equally often, within each document."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.design import SYMBOLS, WORDS, Cell, Design, Wording, imbalance
from groupgap.metrics.debias import debiased_log_probabilities
from hypothesis import given, settings
from hypothesis import strategies as st

TURNABLE = {"direct": Wording("is it?", "is it not?"), "other": Wording("would you?", "would you not?")}
PLAIN = {"direct": Wording(None)}
SETS = {name: symbols for name, symbols in SYMBOLS.items() if name != WORDS}


def _counts(cells: tuple[Cell, ...]) -> tuple[Counter[tuple[str, str, int]], Counter[tuple[str, int, int]]]:
    """How often (set, symbol, meaning) and (set, position, meaning) occur, by a plain loop."""
    symbols: Counter[tuple[str, str, int]] = Counter()
    positions: Counter[tuple[str, int, int]] = Counter()
    for cell in cells:
        for meaning in range(len(cell.symbols)):
            symbols[cell.symbol_set, cell.symbols[meaning], meaning] += 1
            positions[cell.symbol_set, cell.order.index(meaning), meaning] += 1
    return symbols, positions


@given(size=st.integers(2, 6), blocks=st.integers(1, 12), document=st.text(max_size=12))
@settings(max_examples=150, deadline=None)
def test_a_document_is_asked_in_balanced_cells(size: int, blocks: int, document: str) -> None:
    meanings = [f"meaning {number}." for number in range(size)]
    wordings, sets = (TURNABLE, SYMBOLS) if size == 2 else (PLAIN, SETS)
    every = len(Design(wordings, sets).blocks(meanings))
    cells = Design(wordings, sets, cells=size * min(blocks, every)).cells_of(document, meanings)
    assert len(cells) == size * min(blocks, every)
    symbols, positions = _counts(cells)
    for table in (symbols, positions):
        for what in {key[:2] for key in table}:
            assert len({table[(*what, meaning)] for meaning in range(size)}) == 1  # type: ignore[index]
    assert len(set(cells)) == len(cells)
    assert imbalance(cells) is None


def scored(seed: int, size: int, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """What a scorer with known effects, as strong as one likes, says in each cell; its meanings' probabilities."""
    rng = np.random.default_rng(seed)
    meanings = [f"meaning {number}." for number in range(size)]
    wordings, sets = (TURNABLE, SYMBOLS) if size == 2 else (PLAIN, SETS)
    cells = Design(wordings, sets, cells=size * blocks).cells_of(str(seed), meanings)
    meaning = rng.normal(size=size)
    symbol = {(cell.symbol_set, one): 3 * rng.normal() for cell in cells for one in cell.symbols}
    position = {(name, place): 3 * rng.normal() for name in sets for place in range(size)}
    scores = np.array(
        [
            [
                meaning[j] + symbol[cell.symbol_set, cell.symbols[j]] + position[cell.symbol_set, cell.order.index(j)]
                for j in range(size)
            ]
            for cell in cells
        ]
    ) + rng.normal(size=(len(cells), 1))  # the rest of the vocabulary takes its share in every cell
    return scores, np.exp(meaning) / np.exp(meaning).sum()


@given(seed=st.integers(0, 10_000), size=st.integers(2, 4), blocks=st.integers(1, 6))
@settings(max_examples=80, deadline=None)
def test_additive_effects_of_symbol_and_position_fall_out_of_the_debiased_answer(
    seed: int, size: int, blocks: int
) -> None:
    scores, expected = scored(seed, size, blocks)
    assert np.exp(debiased_log_probabilities(scores)) == pytest.approx(expected, abs=1e-9)


def test_one_cell_alone_is_not_debiased() -> None:
    scores, expected = scored(0, 2, 1)
    assert np.exp(debiased_log_probabilities(scores[:1])) != pytest.approx(expected, abs=0.05)


def test_over_documents_every_cell_is_asked_about_equally_often() -> None:
    design = Design(TURNABLE, SYMBOLS, cells=4)
    asked = Counter(cell for number in range(4_000) for cell in design.cells_of(f"document {number}", ["no", "yes"]))
    cells = [cell for block in design.blocks(["no", "yes"]) for cell in block]
    assert set(asked) == set(cells)
    expected = 4_000 * 4 / len(cells)
    chi_square = sum((count - expected) ** 2 / expected for count in asked.values())
    assert chi_square < 4 * len(cells)  # whole blocks of two cells, so twice the usual spread
    first_is_a = [cell for cell in asked if cell.symbol_set == "letters" and cell.symbols[cell.order[0]] == "A"]
    assert 0 < len(first_is_a) < sum(cell.symbol_set == "letters" for cell in asked)  # "A" is not always first


def test_the_cells_of_a_document_depend_on_no_other_document() -> None:
    design = Design(TURNABLE, SYMBOLS)
    assert design.cells_of("a", ["no", "yes"]) == design.cells_of("a", ["no", "yes"])
    assert len({design.cells_of(str(number), ["no", "yes"])[:1] for number in range(50)}) > 10


def test_a_turned_question_gives_the_words_to_the_other_meaning() -> None:
    block = Design({"direct": TURNABLE["direct"]}, {WORDS: ()}).blocks(["no", "yes"])[0]
    assert [(cell.wording, cell.symbols) for cell in block] == [
        ("direct", ("no", "yes")),
        ("direct/turned", ("yes", "no")),
    ]


@pytest.mark.parametrize("cells", [1, 3, 5, 0, -2, 1000])
def test_an_unbalanced_number_of_cells_is_refused(cells: int) -> None:
    with pytest.raises(GroupgapError, match=r"the mean over the cells would be biased"):
        Design(TURNABLE, SYMBOLS, cells=cells).cells_of("a", ["no", "yes"])


@pytest.mark.parametrize("drop", range(4))
def test_a_set_of_cells_that_lacks_one_is_seen_to_be_unbalanced(drop: int) -> None:
    cells = Design(PLAIN, {"letters": SYMBOLS["letters"]}, cells=4).cells_of("a", ["no", "yes"])
    assert imbalance(cells) is None
    assert imbalance([cell for place, cell in enumerate(cells) if place != drop]) is not None


def test_balance_is_asked_of_positions_too() -> None:
    always_first = [Cell("direct", pair, "letters", (0, 1)) for pair in (("A", "B"), ("B", "A"))]
    assert imbalance(always_first) == "position 1 with letters: meaning 0 has it 2 times, meaning 1 0 times"
    assert imbalance([]) == "there are no cells"
    mixed = [Cell("direct", ("A", "B"), "letters", (0, 1)), Cell("direct", ("B", "A", "C"), "letters", (1, 0, 2))]
    assert imbalance(mixed) == "the cells have different numbers of meanings"


@pytest.mark.parametrize(
    ("entry", "options", "message"),
    [
        ({"wordings": {"direct": {"asks": "x"}}}, {}, "wording 'direct': unknown key 'asks'; expected ask, turned"),
        ({"symbolsets": ["letters"]}, {}, "design: unknown key 'symbolsets'"),
        ({}, {"cells": 2.5}, "option cells=2.5: expected a whole number, 1 or more, or all"),
        ({}, {"blocks": 0}, "option blocks=0: expected a whole number, 1 or more, or all"),
        ({}, {"symbol_sets": ["runes"]}, "option symbol_sets: unknown set 'runes'"),
        ({}, {"symbol_sets": 3}, "option symbol_sets=3: expected names"),
    ],
)
def test_wrong_designs_are_refused_in_words(entry: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError) as caught:
        Design.read(entry, options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("sets", "meanings", "message"),
    [
        ({"mine": ("1", "10")}, ["no", "yes"], "symbol set 'mine': '1' begins '10'"),
        ({"mine": ("x", "x")}, ["no", "yes"], "symbol set 'mine': 'x' begins 'x'"),
        ({"mine": ("x", " ")}, ["no", "yes"], "symbol set 'mine': an empty symbol"),
        ({WORDS: ()}, ["not toxic", "not"], "symbol set 'words': 'not' begins 'not toxic'"),
        (
            {WORDS: ()},
            ["a", "b", "c"],
            "it needs two choices and a 'turned' text in every wording, and a document has 3",
        ),
        ({"rare": SYMBOLS["rare"]}, list("abcdefghi"), "symbol set 'rare' has 8 symbols, and a document 9 choices"),
    ],
)
def test_symbols_that_could_not_be_told_apart_or_balanced_are_refused(
    sets: dict[str, tuple[str, ...]], meanings: list[str], message: str
) -> None:
    with pytest.raises(GroupgapError) as caught:
        Design(TURNABLE, sets).cells_of("a", meanings)
    assert message in str(caught.value)


def test_words_without_a_turned_question_are_refused() -> None:
    with pytest.raises(GroupgapError, match="and 'direct' has none"):
        Design(PLAIN, {WORDS: ()}).cells_of("a", ["no", "yes"])


def test_own_symbols_and_all_cells() -> None:
    design = Design.read({"symbol_sets": {"mine": ["x", "y"], "letters": None}}, {"cells": "all"})
    assert design.symbol_sets == {"mine": ("x", "y"), "letters": SYMBOLS["letters"]}
    assert len(design.cells_of("a", ["no", "yes"])) == 8
    assert Design.read({"blocks": 2}, {"blocks": "all"}).cells == "all"


@pytest.mark.parametrize(("size", "cells"), [(2, 4), (3, 6), (5, 10)])
def test_without_a_number_of_cells_two_blocks_are_asked_whatever_the_number_of_choices(size: int, cells: int) -> None:
    meanings = [f"meaning {number}." for number in range(size)]
    assert len(Design.read({}, {}).cells_of("a", meanings)) == cells
    assert len(Design.read({"cells": 8}, {"blocks": 1}).cells_of("a", meanings)) == size


def test_symbol_sets_can_be_named_in_one_text() -> None:
    assert Design.read({}, {"symbol_sets": "digits,emoji"}).symbol_sets.keys() == {"digits", "emoji"}


def test_a_logged_cell_reads_back() -> None:
    cell = Cell("direct/turned", ("yes", "no"), WORDS, (1, 0))
    assert Cell.read(cell.log()) == cell
    assert cell.turned
    for broken in ({}, [], {**cell.log(), "order": [0, 0]}, {**cell.log(), "symbols": "AB"}):
        with pytest.raises(GroupgapError, match="a cell: expected"):
            Cell.read(broken)
