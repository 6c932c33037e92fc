"""What each form makes of a task's rows: which tokens are learnt, what is cut, and which head starts alike."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.adapters.training.classifier_form import prepare as prepare_classifier
from groupgap.adapters.training.forms import Documents, TaskData, prepare
from groupgap.adapters.training.language_form import prepare as prepare_language
from groupgap.adapters.training.prompt_form import prepare as prepare_prompt
from groupgap.adapters.training.recipe import Recipe, load_recipe
from groupgap.adapters.training.text_rows import IGNORED, cut_middle
from groupgap.errors import GroupgapError

from .conftest import Toy

QUESTION = "\nIs this remark rude? Answer yes or no.\nAnswer:"


class FakeTask:
    """As much of an lm-eval task as a form asks for."""

    def __init__(self, kind: str = "multiple_choice") -> None:
        self.config = SimpleNamespace(output_type=kind, target_delimiter=" ")

    def fewshot_context(self, document: Any, num_fewshot: int) -> str:
        assert num_fewshot == 0
        return f"Remark: {document['text']}{QUESTION}"

    def doc_to_choice(self, document: Any) -> list[str]:
        return list(document.get("choices", ["no", "yes"]))

    def doc_to_target(self, document: Any) -> Any:
        return document["label"]


def data(documents: list[dict[str, Any]], kind: str = "multiple_choice") -> TaskData:
    part = Documents(tuple(f"row-{place}" for place in range(len(documents))), tuple(documents))
    return TaskData(FakeTask(kind), "fake", part, part)


def recipe(toy: Toy, form: str = "prompt", shared: str = "") -> Recipe:
    return load_recipe(toy.recipe("full: {}", shared, form))


def tokenizer(base: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)


def learnt(row: dict[str, list[int]]) -> list[int]:
    return [token for token in row["labels"] if token != IGNORED]


def test_only_the_answer_is_learnt_and_its_tokens_are_those_that_lm_eval_asks(toy: Toy) -> None:
    from lm_eval.models.huggingface import HFLM

    documents = [{"text": "the nurse was late", "label": 1}, {"text": "a dull evening", "label": 0}]
    prepared = prepare_prompt(recipe(toy), data(documents), toy.base)
    asked = HFLM(pretrained=str(toy.base), device="cpu", batch_size=1)
    for row, document, answer in zip(prepared.train.rows, documents, (" yes", " no"), strict=True):
        context, continuation = asked._encode_pair(f"Remark: {document['text']}{QUESTION}", answer)
        assert row["input_ids"] == context + continuation
        assert row["labels"] == [IGNORED] * len(context) + continuation
    assert prepared.document_ids == ("row-0", "row-1")


def test_a_translation_is_learnt_to_its_end(toy: Toy) -> None:
    documents = [{"text": "bir", "label": "one remark"}]
    prepared = prepare_prompt(recipe(toy), data(documents, "generate_until"), toy.base)
    words = tokenizer(toy.base)
    assert words.decode(learnt(prepared.train.rows[0])) == " one remark</s>"


def test_a_long_text_loses_its_middle_and_the_question_stays(toy: Toy) -> None:
    text = " ".join(f"word{number}" for number in range(200))
    prepared = prepare_prompt(recipe(toy, shared="max_length: 64"), data([{"text": text, "label": 1}]), toy.base)
    row, words = prepared.train.rows[0], tokenizer(toy.base)
    assert len(row["input_ids"]) == len(row["labels"]) == 64
    said = words.decode(row["input_ids"])
    assert said.startswith("Remark: word0")
    assert said.endswith(f"word199{QUESTION} yes")
    assert prepared.notes == ("2 prompts were longer than 64 tokens: their texts were cut in the middle",)


@pytest.mark.parametrize("window", range(3, 9))
def test_what_is_cut_is_the_middle_of_the_span(window: int) -> None:
    tokens = list(range(10))
    cut = cut_middle(tokens, 2, 9, window)
    assert cut is not None
    assert (len(cut), cut[:2], cut[-1]) == (window, [0, 1], 9)
    assert cut == sorted(cut)
    assert cut_middle(tokens, 2, 9, 2) is None


def test_texts_are_joined_and_every_token_is_learnt(toy: Toy) -> None:
    documents = [{"text": f"remark number {number}", "label": 0} for number in range(30)]
    prepared = prepare_language(recipe(toy, "language_model", "max_length: 16"), data(documents), toy.base)
    words = tokenizer(toy.base)
    joined = [token for row in prepared.train.rows for token in row["input_ids"]]
    expected = sorted(f"remark number {number}" for number in range(30))
    pieces = [piece.strip() for piece in words.decode(joined).split("</s>")]
    assert set(pieces[:-1]) <= set(expected)
    assert len(pieces) > 25
    assert {len(row["input_ids"]) for row in prepared.train.rows} == {16}
    assert all(row["labels"] == row["input_ids"] for row in prepared.train.rows)
    assert len(prepared.document_ids) == 30


def test_a_classifier_starts_from_the_head_of_its_seed_whatever_the_method(toy: Toy) -> None:
    methods = "full: {}\nhead: {}\nlora: {r: 4, targets: [q_proj]}\ndora: {r: 2, targets: [v_proj]}\nia3: {}"
    found = toy.train(methods, "seeds: [13, 42]", "classifier")
    for seed in (13, 42):
        losses = [found[f"{method}-{seed}"].first_loss for method in ("full", "head", "lora", "dora", "ia3")]
        assert losses == pytest.approx([losses[0]] * 5, abs=1e-5)
    assert found["full-13"].first_loss != pytest.approx(found["full-42"].first_loss, abs=1e-4)
    assert found["head-13"].trained_parameters == 2 * 64
    assert 0 <= found["full-13"].losses[0]["accuracy"] <= 1


def test_the_head_alone_reloads_and_passes_the_check(toy: Toy, seen: dict[str, Any]) -> None:
    import torch
    from groupgap.adapters.check import CheckOptions, check_adapter
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    from .conftest import PROBE

    toy.train("head: {}\nlora: {r: 4, targets: [q_proj, v_proj]}", form="classifier")
    for name in ("head-13", "lora-13"):
        folder = toy.folder / "out" / name
        check = check_adapter(folder, toy.base, CheckOptions(engine="hf", deep=True))
        assert (check.verdict, [head.labels for head in check.heads]) == ("served", [2])
        body = AutoModelForSequenceClassification.from_pretrained(toy.base, num_labels=2)
        body.config.pad_token_id = 1
        with torch.no_grad():
            assert torch.equal(PeftModel.from_pretrained(body, folder).eval()(input_ids=PROBE).logits, seen[name])


@pytest.mark.parametrize(
    ("documents", "kind", "said"),
    [
        ([{"text": "a", "label": 2}], "multiple_choice", "row 'row-0' has the class 2, and the head 2 labels"),
        ([{"txt": "a", "label": 1}], "multiple_choice", "has no text in the field 'text'"),
        ([{"text": "a", "label": 1, "choices": ["x", str(n)]} for n in range(2)], "multiple_choice", "differ from row"),
        ([{"text": "a", "label": "b"}], "generate_until", "needs a task of multiple_choice"),
    ],
)
def test_a_task_that_a_head_cannot_answer_is_refused(
    toy: Toy, documents: list[dict[str, Any]], kind: str, said: str
) -> None:
    with pytest.raises(GroupgapError, match=said):
        prepare_classifier(recipe(toy, "classifier"), data(documents, kind), toy.base)


def test_learnt_inputs_and_a_new_head_do_not_go_together(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert toy.run(toy.recipe("prefix_tuning: {options: {num_virtual_tokens: 4}}", form="classifier")) == 2
    assert "prefix_tuning learns inputs" in capsys.readouterr().err


def test_too_few_texts_for_a_block_and_a_task_of_no_answers_are_refused(toy: Toy) -> None:
    few = data([{"text": "short", "label": 0}])
    with pytest.raises(GroupgapError, match="shorter than one block of 512 tokens: lower max_length"):
        prepare(recipe(toy, "language_model"), few, toy.base)
    with pytest.raises(GroupgapError, match="needs a task of multiple_choice or generate_until"):
        prepare(recipe(toy), data([{"text": "short", "label": 0}], "loglikelihood_rolling"), toy.base)
