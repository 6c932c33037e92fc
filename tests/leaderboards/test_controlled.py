"""Reading the samples of controlled tasks: the debiased answer by hand, content-free inputs, hostile lines."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.leaderboards.controlled import debiased_line, debiased_lines, read_cells
from groupgap.leaderboards.samples import read_sample

CONFIG = {"doc_to_target": "label", "target_delimiter": " "}
SCORES = [[-1.0, -3.0], [-2.0, -2.5], [-0.5, -4.0], [-7.0, -6.0]]
CELLS = [
    {"wording": "direct", "symbols": ["A", "B"], "symbol_set": "letters", "order": [0, 1]},
    {"wording": "direct", "symbols": ["B", "A"], "symbol_set": "letters", "order": [1, 0]},
    {"wording": "direct", "symbols": ["no", "yes"], "symbol_set": "words", "order": [1, 0]},
    {"wording": "direct/turned", "symbols": ["yes", "no"], "symbol_set": "words", "order": [0, 1]},
]


def _line(**document: Any) -> dict[str, Any]:
    doc = {"id": "7", "text": "x", "label": 1, "meanings": ["no", "yes"], "cells": CELLS, "content_free": False}
    arguments = {
        f"gen_args_{2 * number + place}": {"arg_0": f"prompt {number}", "arg_1": f" {cell['symbols'][place]}"}
        for number, cell in enumerate(CELLS)
        for place in (0, 1)
    }
    replies = [[str(score), "False"] for scores in SCORES for score in scores]
    return copy.deepcopy(
        {
            "doc_id": 4,
            "doc": {**doc, **document},
            "target": "1",
            "arguments": arguments,
            "filtered_resps": replies,
            "doc_hash": "d",
            "prompt_hash": "p",
            "acc": 0.0,
        }
    )


def test_cells_are_read_with_their_scores() -> None:
    answer = read_cells("here", _line())
    assert answer.log_probabilities.tolist() == SCORES
    assert [cell.log() for cell in answer.cells] == CELLS
    assert (answer.meanings, answer.content_free) == (("no", "yes"), False)


def test_the_debiased_answer_is_the_mean_log_odds_of_the_cells() -> None:
    log_odds = np.mean([no - yes for no, yes in SCORES])
    expected = 1 / (1 + np.exp(-log_odds))
    assert np.exp(read_cells("here", _line()).debiased) == pytest.approx([expected, 1 - expected])
    sample = read_sample("here", debiased_line("here", _line(), CONFIG), CONFIG)
    assert sample.choices == ("no", "yes")
    assert np.exp(sample.log_probabilities) == pytest.approx([expected, 1 - expected])
    assert (sample.label, sample.doc_id, sample.document_hash) == (1, 4, "d")


def test_what_was_asked_is_told_apart_by_every_cell() -> None:
    one = read_sample("here", debiased_line("here", _line(), CONFIG), CONFIG)
    other_line = _line()
    other_line["arguments"]["gen_args_6"]["arg_0"] = "another wording"
    other = read_sample("here", debiased_line("here", other_line, CONFIG), CONFIG)
    assert one.asked_hash != other.asked_hash


def test_content_free_inputs_are_no_answers() -> None:
    lines = [(1, _line(content_free=True, id="content-free#1", label=None)), (2, _line())]
    assert [number for number, _ in debiased_lines("file", lines, CONFIG)] == [2]


def test_a_choice_without_probability_stays_without() -> None:
    line = _line()
    line["filtered_resps"][1] = ["-inf", "False"]
    assert np.exp(read_cells("here", line).debiased).tolist() == [1.0, 0.0]


def _without_a_cell() -> dict[str, Any]:
    line = _line(cells=CELLS[:3])
    line["filtered_resps"] = line["filtered_resps"][:6]
    return line


def _broken_reply() -> dict[str, Any]:
    line = _line()
    line["filtered_resps"][3] = ["nan", "False"]
    return line


def _nothing_said() -> dict[str, Any]:
    line = _line()
    line["filtered_resps"][2] = line["filtered_resps"][3] = ["-inf", "False"]
    return line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (_without_a_cell(), "the document's cells are not balanced, so their mean is biased: symbol 'no' of words"),
        (_line(cells=None), "not a line of a controlled task: it lacks doc.cells, doc.meanings or the replies"),
        (_line(cells=[]), "are not balanced, so their mean is biased: there are no cells"),
        (_line(cells=["A"]), "a cell: expected an object with wording, symbols, symbol_set, order"),
        (_line(meanings=["no", "yes", "maybe"]), "8 replies to 4 cells of 2 symbols, where the document has 3 choices"),
        ({**_line(), "filtered_resps": [["-1", "False"]]}, "1 replies to 4 cells"),
        ({**_line(), "doc": "text"}, "not a line of a controlled task"),
        (_broken_reply(), "a log-probability is nan"),
        (_nothing_said(), "in a cell every choice has log-probability -inf"),
    ],
)
def test_lines_that_cannot_be_read_are_refused_in_words(line: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError) as caught:
        read_cells("samples.jsonl, line 3", line)
    assert str(caught.value).startswith("samples.jsonl, line 3: ")
    assert message in str(caught.value)
