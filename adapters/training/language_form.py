"""The form ``language_model``: a causal language model goes on reading texts, without a question.

Every text ends in the tokenizer's end of text; all are joined, in the order of their hashed ids, and cut into blocks of
``max_length`` tokens (the rest is left out). The loss is on every token. The blocks are the rows whose order is seeded.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ...errors import GroupgapError
from .forms import Documents, Part, Prepared, TaskData, refuse_options
from .prompt_form import load_language_model
from .recipe import Recipe
from .text_rows import Text, need_language_model, read_text


def prepare(recipe: Recipe, data: TaskData, base: Path) -> Prepared:
    """Blocks of the task's texts.

    Options: ``field``: the document's field that holds the text (``text``).

    Raises:
        GroupgapError: a base that is no causal language model, a tokenizer without an end of text, no text in the
            field, or fewer tokens than one block.
    """
    refuse_options(recipe, ("field",))
    text = read_text(recipe, base)
    need_language_model(text.config, recipe)
    if text.tokenizer.eos_token_id is None:
        raise GroupgapError(f"{recipe.path}: the tokenizer of {recipe.base} has no end of text (eos_token)")
    field = str(recipe.form_options.get("field", "text"))
    train = _blocks(recipe, data.train, text, field)
    if not train.ids:
        raise GroupgapError(
            f"{recipe.path}: task {data.name}: its training texts together are shorter than one block of {text.window} "
            "tokens: lower max_length"
        )
    return Prepared(
        load=lambda: load_language_model(base),
        train=train,
        validation=_blocks(recipe, data.validation, text, field),
        collate=text.collate,
        save_beside=text.save,
        task_type="CAUSAL_LM",
        head=(),
        new_head=False,
        document_ids=data.train.ids,
        notes=(f"{len(data.train.ids)} texts in {len(train.ids)} blocks of {text.window} tokens",),
    )


def _blocks(recipe: Recipe, part: Documents, text: Text, field: str) -> Part:
    tokens: list[int] = []
    for row_id, document in sorted(
        zip(part.ids, part.documents, strict=True), key=lambda pair: hashlib.sha256(pair[0].encode()).digest()
    ):
        words: Any = document.get(field)
        if not isinstance(words, str):
            raise GroupgapError(
                f"{recipe.path}: task {recipe.task}: row {row_id!r:.80} has no text in the field {field!r:.60}: "
                "form_options: {field: ...}"
            )
        tokens += [*text.tokenizer(words, verbose=False)["input_ids"], text.tokenizer.eos_token_id]
    count = len(tokens) // text.window
    rows = [tokens[place * text.window : (place + 1) * text.window] for place in range(count)]
    return Part(tuple(f"block-{place}" for place in range(count)), [{"input_ids": row, "labels": row} for row in rows])
