"""Controlled tasks inside lm-eval: what is asked, what is logged, what is judged, and what it costs an engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import groupgap
import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.toy.generate import RUDE
from groupgap.leaderboards.answers import read_answers
from groupgap.leaderboards.controlled import read_cells
from groupgap.leaderboards.runs import find_runs
from groupgap.plugins.choice_trie import ChoiceTrie
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

TASKS = Path(groupgap.__file__).parent / "harness_tasks"
TOY = "toy_religion_fair_controlled"


class RuledModel(LM):
    """Gives every choice the log-probability of a rule on prompt and choice, and keeps what it was asked."""

    def __init__(self, rule: Callable[[str, str], float]) -> None:
        super().__init__()
        self.rule = rule
        self.asked: list[tuple[str, str]] = []

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        self.asked = [request.args for request in requests]
        return [(self.rule(prompt, choice.strip()), False) for prompt, choice in self.asked]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise AssertionError("not asked")

    def generate_until(self, requests: list[Instance]) -> list[str]:
        raise AssertionError("not asked")

    @property
    def tokenizer_name(self) -> str:
        return "ruled"

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return "".join(f"<{turn['role']}>{turn['content']}" for turn in chat_history) + "<assistant>"


def _evaluate(model: Any, metadata: dict[str, Any] | None = None, task: str = TOY, **options: Any) -> dict[str, Any]:
    manager = TaskManager(include_defaults=False, include_path=str(TASKS), metadata=metadata)
    result = simple_evaluate(model=model, tasks=[task], task_manager=manager, bootstrap_iters=0, **options)
    assert result is not None
    return dict(result)


def _said(prompt: str, choice: str) -> str:
    """What a choice says, read off the last question of a prompt: "rude", "kind"."""
    question = prompt.rsplit("emark: ", 1)[1]
    turned = "kind?" in question
    shown = {line.partition(") ")[0]: line.partition(") ")[2] for line in question.split("\n") if ") " in line}
    word = shown.get(choice, choice)
    return "rude" if (word == "yes") != turned else "kind"


def _truth(prompt: str) -> str:
    remark = prompt.rsplit("emark: ", 1)[1].split("\n")[0]
    return "rude" if any(word in remark for word in RUDE) else "kind"


def _knows(prompt: str, choice: str) -> float:
    """A weak opinion about the remark, and strong ones about symbols and places."""
    place = (
        prompt.rsplit("Options:\n", 1)[1]
        .split("\n")
        .index(next(line for line in prompt.rsplit("Options:\n", 1)[1].split("\n") if line.partition(")")[0] == choice))
    )
    return 0.5 * (_said(prompt, choice) == _truth(prompt)) + 3.0 * (choice in "yes A 1 ◐ 🟠") + 2.0 * (place == 0) - 9


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return _evaluate(RuledModel(_knows), limit=300)


def test_the_debiased_answer_is_right_where_the_raw_one_follows_the_symbol(result: dict[str, Any]) -> None:
    samples = [sample for sample in result["samples"][TOY] if not sample["doc"]["content_free"]]
    assert len(samples) == 300
    clean = [_truth(sample["arguments"][0][0]) == "rude" for sample in samples]
    hits = [sample["doc"]["label"] == int(rude) for sample, rude in zip(samples, clean, strict=True)]
    row = result["results"][TOY]
    assert row["acc,none"] == pytest.approx(np.mean(hits))
    for group in ("aurelian", "elmic"):
        own = [hit for hit, sample in zip(hits, samples, strict=True) if group in sample["doc"]["religion"]]
        assert row[f"acc[{group}],none"] == pytest.approx(np.mean(own))
    raw = [
        np.argmax([float(reply[0]) for reply in sample["filtered_resps"][:2]]) == int(rude)
        for sample, rude in zip(samples, clean, strict=True)
    ]
    assert 0.3 < np.mean(raw) < 0.7  # in one cell the symbol decides


def test_a_document_is_logged_with_its_cells(result: dict[str, Any]) -> None:
    sample = result["samples"][TOY][10]
    document = sample["doc"]
    assert document["meanings"] == ["no", "yes"]
    assert len(document["cells"]) == 4
    assert len(sample["arguments"]) == 8
    for number, cell in enumerate(document["cells"]):
        (prompt, first), (other, second) = sample["arguments"][2 * number : 2 * number + 2]
        assert prompt == other
        assert [first, second] == [f" {symbol}" for symbol in cell["symbols"]]
        remark = document["text"]
        asked = {"direct": "Is this remark rude?", "direct/turned": "Is this remark kind?"}
        asked |= {"calling": "Would you call it rude?", "calling/turned": "Would you call it kind?"}
        start = "Remark" if cell["wording"].startswith("direct") else "Read this remark"
        labels = ["yes", "no"] if cell["wording"].endswith("turned") else ["no", "yes"]
        listed = [
            cell["symbols"][m] if cell["symbol_set"] == "words" else f"{cell['symbols'][m]}) {labels[m]}"
            for m in cell["order"]
        ]
        assert prompt == "\n".join([f"{start}: {remark}", asked[cell["wording"]], "Options:", *listed, "Answer:"])
    json.dumps(document)


def test_content_free_inputs_are_asked_in_every_cell_and_never_judged(result: dict[str, Any]) -> None:
    free, rest = result["samples"][TOY][:3], result["samples"][TOY][3:]
    assert [sample["doc"]["id"] for sample in free] == ["content-free#1", "content-free#2", "content-free#3"]
    assert [sample["doc"]["text"] for sample in free] == ["N/A", "[MASK]", ""]
    assert not any(sample["doc"]["content_free"] for sample in rest)
    assert {len(sample["doc"]["cells"]) for sample in free} == {40}  # 2 wordings x 5 sets x 2 shifts x 2 turns
    assert all(sample["acc"] is None and sample["doc"]["religion"] == [] for sample in free)
    fair = result["configs"][TOY]["metadata"]["fair"]
    assert fair["controlled"] == "toy_religion_fair"
    assert (fair["content_free"], fair["symbols"]) == (3, {"checked": False, "why": "no tokenizer is known"})
    assert fair["judged"]["religion"]["elmic"]["n"] == sum("elmic" in sample["doc"]["religion"] for sample in rest)


def test_examples_are_put_in_the_way_of_the_cell_and_are_the_same_in_all_of_them() -> None:
    model = RuledModel(_knows)
    _evaluate(model, limit=3, num_fewshot=2)
    assert len(model.asked) == 2 * (3 * 40 + 3 * 4)
    for prompt, _ in model.asked:
        *examples, last = prompt.split("\n\n")
        assert len(examples) == 2
        wording = last.split("\n")[1]
        for example in examples:
            lines = example.split("\n")
            assert lines[1] == wording
            shown = [line.partition(")")[0] for line in lines[3:5]]
            assert shown == [line.partition(")")[0] for line in last.split("\n")[3:5]]  # same symbols, same order
            assert lines[5].removeprefix("Answer: ") in shown
    own = [prompt for prompt, _ in model.asked if prompt.rsplit("emark: ", 1)[1].startswith("N/A")]
    remarks = {tuple(part.split("emark: ")[1].split("\n")[0] for part in prompt.split("\n\n")[:2]) for prompt in own}
    assert len(remarks) == 1


def test_chat_templates_work() -> None:
    model = RuledModel(_knows)
    result = _evaluate(model, limit=4, apply_chat_template=True)
    assert all(prompt.startswith("<user>") and prompt.endswith("<assistant>") for prompt, _ in model.asked)
    assert all(choice == choice.strip() for _, choice in model.asked)
    assert isinstance(result["results"][TOY]["acc,none"], float)


def test_options_choose_sets_and_cells() -> None:
    result = _evaluate(RuledModel(lambda *_: -1.0), {"symbol_sets": ["letters"], "cells": "all"}, limit=2)
    for sample in result["samples"][TOY]:
        cells = sample["doc"]["cells"]
        assert {cell["symbol_set"] for cell in cells} == {"letters"}
        assert len(cells) == len({json.dumps(cell) for cell in cells}) == 8


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"cells": 3}, "option cells=3: 2 choices need a multiple of 2"),
        ({"symbol_sets": ["runes"]}, "unknown set 'runes'"),
        ({"symbol_sets": {"mine": ["a", "ab"]}}, "symbol set 'mine': 'a' begins 'ab'"),
    ],
)
def test_designs_that_would_be_biased_are_refused(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError) as caught:
        _evaluate(RuledModel(lambda *_: -1.0), metadata, limit=2)
    assert message in str(caught.value)


def test_the_board_reads_the_debiased_answers_and_the_cells(tmp_path: Path) -> None:
    tracker = EvaluationTracker(output_path=str(tmp_path))
    result = _evaluate(RuledModel(_knows), limit=200, evaluation_tracker=tracker)
    samples = result.pop("samples")
    result["config"] |= {"model": "ruled", "model_args": "pretrained=ruled"}
    tracker.save_results_aggregated(results=result, samples=samples)
    tracker.save_results_samples(task_name=TOY, samples=samples[TOY])
    (run,), _ = find_runs([tmp_path])
    (answers,) = read_answers(run, TOY)
    assert (answers.n, answers.classes, answers.positive_class) == (200, ("no", "yes"), "yes")
    assert np.mean(answers.predictions == answers.labels) == pytest.approx(result["results"][TOY]["acc,none"])
    # a weak opinion of 0.5, whatever the symbol: softmax((0.5, 0))
    assert np.max(answers.probabilities, axis=1) == pytest.approx(1 / (1 + np.exp(-0.5)))
    lines = [json.loads(line) for line in run.samples[TOY].read_text().splitlines()]
    cells = read_cells("here", lines[-1])
    assert cells.log_probabilities.shape == (4, 2)
    assert read_cells("here", lines[0]).content_free


# --- with a real engine -------------------------------------------------------------------------------------------


def _tokens(engine: Any, prompt: str, choice: str) -> tuple[int, ...]:
    before, whole = engine.tok_encode(prompt), engine.tok_encode(prompt + choice)
    return tuple(whole[len(before) :])


def test_a_cell_costs_one_prefill_where_its_symbols_are_tokens_and_else_its_tries_inner_nodes(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in the engine's own requests; the tries are built here from the tokenizer alone."""
    counted: list[int] = []
    generate = engine._model_generate

    def counting(requests: list[Any], *args: Any, **kwargs: Any) -> Any:
        counted.append(len(requests))
        return generate(requests, *args, **kwargs)

    monkeypatch.setattr(engine, "_model_generate", counting)
    words = [
        word for word in ("she", "he", "the", "was", "it", "old") if len(_tokens(engine, "Answer:", f" {word}")) == 1
    ]
    whole = {"whole": words[:2]}  # letters are two tokens in this tiny vocabulary
    found = {}
    for sets in (whole, {"emoji": None}, dict.fromkeys(["words", "letters", "digits", "rare", "emoji"])):
        counted.clear()
        result = _evaluate(engine, {"symbol_sets": sets, "cells": 4}, limit=3)
        nodes = 0
        for sample in result["samples"][TOY]:
            by_prompt: dict[str, list[str]] = {}
            for prompt, choice in sample["arguments"]:
                by_prompt.setdefault(prompt, []).append(choice)
            nodes += sum(
                len(ChoiceTrie.of([_tokens(engine, prompt, choice) for choice in choices]).nodes)
                for prompt, choices in by_prompt.items()
            )
            assert len(by_prompt) == len(sample["doc"]["cells"])
        assert sum(counted) == nodes
        cells = sum(len(sample["doc"]["cells"]) for sample in result["samples"][TOY])
        found[tuple(sets)] = nodes / cells
    assert found["whole",] == 1.0  # k cells, k prefills
    assert found["emoji",] > 3
