"""The form ``prompt``: a causal language model learns to give a task's answer to the task's own prompt.

The tokens are those that lm-eval asks with (its ``_encode_pair``): the prompt without trailing spaces, then the answer
as the rest of both encoded together. A choice of a ``multiple_choice`` task is learnt as it is asked, without an end; a
``generate_until`` task's target ends in the tokenizer's end of text. Only the answer's tokens enter the loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import GroupgapError
from ..whole_weights import load_whole
from .forms import Documents, Part, Prepared, TaskData, refuse_options
from .recipe import Recipe
from .text_rows import IGNORED, Text, cut_middle, need_language_model, read_text

KINDS = ("multiple_choice", "generate_until")


def prepare(recipe: Recipe, data: TaskData, base: Path) -> Prepared:
    """Prompts and answers of the task as rows of tokens; see the module's text.

    Raises:
        GroupgapError: a base that is no causal language model, a task of another kind, a prompt that does not fit.
    """
    refuse_options(recipe, ())
    text = read_text(recipe, base)
    need_language_model(text.config, recipe)
    kind = data.task.config.output_type
    if kind not in KINDS:
        raise GroupgapError(
            f"{recipe.path}: form prompt needs a task of {' or '.join(KINDS)}, and {data.name} is {kind!s:.60}"
        )
    rows = _Rows(recipe, data.task, text)
    train, validation = rows.part(data.train), rows.part(data.validation)
    return Prepared(
        load=lambda: load_language_model(base),
        train=train,
        validation=validation,
        collate=text.collate,
        save_beside=text.save,
        task_type="CAUSAL_LM",
        head=(),
        new_head=False,
        document_ids=data.train.ids,
        notes=rows.notes(),
    )


def load_language_model(base: Path) -> Any:
    """A causal language model in float32."""
    from transformers import AutoModelForCausalLM

    return load_whole(AutoModelForCausalLM, base)


class _Rows:
    """Rows of tokens, and how many had to be cut."""

    def __init__(self, recipe: Recipe, task: Any, text: Text) -> None:
        self._recipe, self._task, self._text = recipe, task, text
        self._cut = 0

    def notes(self) -> tuple[str, ...]:
        if not self._cut:
            return ()
        return (f"{self._cut} prompts were longer than {self._text.window} tokens: their texts were cut in the middle",)

    def part(self, part: Documents) -> Part:
        return Part(part.ids, [self._row(*pair) for pair in zip(part.ids, part.documents, strict=True)])

    def _row(self, row_id: str, document: Mapping[str, Any]) -> dict[str, list[int]]:
        context = self._task.fewshot_context(document, num_fewshot=0)
        target, ends = self._target(document)
        shift = len(context) - len(context.rstrip())
        context, target = context[: len(context) - shift], context[len(context) - shift :] + target
        prompt = self._tokens(context)
        answer = self._tokens(context + target)[len(prompt) :]
        if ends and self._text.tokenizer.eos_token_id is not None:
            answer = [*answer, self._text.tokenizer.eos_token_id]
        if not answer:
            raise GroupgapError(
                f"{self._recipe.path}: task {self._recipe.task}: row {row_id!r:.80} has an empty answer"
            )
        if len(prompt) + len(answer) > self._text.window:
            prompt = self._shortened(row_id, prompt, context, str(document.get("text", "")), len(answer))
        return {"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}

    def _tokens(self, text: str) -> list[int]:
        found: list[int] = self._text.tokenizer(text, verbose=False)["input_ids"]
        return found

    def _target(self, document: Mapping[str, Any]) -> tuple[str, bool]:
        """The answer as it follows the prompt, and whether the text ends there."""
        config, target = self._task.config, self._task.doc_to_target(document)
        delimiter = config.target_delimiter
        if config.output_type == "multiple_choice":
            choices = self._task.doc_to_choice(document)
            place = target if isinstance(target, int) else list(choices).index(target)
            return f"{delimiter}{choices[place]}", False
        return f"{delimiter}{target[0] if isinstance(target, list) else target}", True

    def _shortened(self, row_id: str, prompt: list[int], context: str, text: str, answer: int) -> list[int]:
        """A prompt that fits: the document's text loses its middle, or, where it is not in the prompt, the start goes.

        Raises:
            GroupgapError: the rest of the prompt, or the answer, is too long by itself.
        """
        self._cut += 1
        window = self._text.window - answer
        start, end = _span(self._text.tokenizer, prompt, context, text, len(prompt) - window)
        cut = cut_middle(prompt, start, end, window) if window > 0 else None
        if cut is None:
            where = f"{self._recipe.path}: task {self._recipe.task}: row {row_id!r:.80}"
            raise GroupgapError(
                f"{where} has {len(prompt)} tokens of prompt and {answer} of answer, and does not fit into "
                f"{self._text.window} even without its text: raise max_length"
            )
        return cut


def _span(tokenizer: Any, prompt: list[int], context: str, text: str, surplus: int) -> tuple[int, int]:
    """The tokens that may go: those of the document's text; without one, the first that are not special."""
    place = context.find(text) if text else -1
    if place < 0:
        first = 1 if prompt and prompt[0] in tokenizer.all_special_ids else 0
        return first, min(first + surplus, len(prompt))
    before = len(tokenizer(context[:place].rstrip(), verbose=False)["input_ids"])
    upto = len(tokenizer(context[: place + len(text)], verbose=False)["input_ids"])
    return min(before + 1, upto), min(upto, len(prompt))
