"""The form ``classifier``: a sequence classifier learns a task's classes from its texts alone, without a prompt.

A base with another head (a language model, say) gets a new one, drawn from the training's seed before any adapter, so
that all methods of a seed start from the same head. Texts that are longer than the window are cut at the end, as
groupgap's ``classifier`` backend cuts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import GroupgapError
from ..base_model import HEADS
from ..whole_weights import load_whole
from .forms import Documents, Part, Prepared, TaskData, refuse_options
from .recipe import Recipe
from .text_rows import Text, read_text


def prepare(recipe: Recipe, data: TaskData, base: Path) -> Prepared:
    """Texts and classes of the task as rows of tokens.

    Options: ``field``: the document's field that holds the text (``text``).

    Raises:
        GroupgapError: a task without classes or texts, or a base whose own head has another number of labels.
    """
    refuse_options(recipe, ("field",))
    text = read_text(recipe, base)
    field = str(recipe.form_options.get("field", "text"))
    classes = classes_of(recipe, data)
    new_head = _check_head(recipe, text.config, classes)
    rows = _Rows(recipe, data.task, text, field, len(classes))
    train, validation = rows.part(data.train), rows.part(data.validation)
    return Prepared(
        load=lambda: _load(base, text, classes, new_head),
        train=train,
        validation=validation,
        collate=text.collate,
        save_beside=text.save,
        task_type="SEQ_CLS",
        head=HEADS,
        new_head=True,
        document_ids=data.train.ids,
        engine="classifier",
        classes=classes,
        notes=(*rows.notes(), *(() if new_head else ("the training starts from the base's own head",))),
        metrics=accuracy,
    )


def classes_of(recipe: Recipe, data: TaskData) -> tuple[str, ...]:
    """The task's choices: the same for every document, since a head has one row for each.

    Raises:
        GroupgapError: a task of another kind, or choices that differ.
    """
    where = f"{recipe.path}: task {data.name}"
    if data.task.config.output_type != "multiple_choice":
        kind = data.task.config.output_type
        raise GroupgapError(f"{where}: form {recipe.form} needs a task of multiple_choice, and this is {kind!s:.60}")
    found = {tuple(map(str, data.task.doc_to_choice(document))) for document in data.train.documents}
    if len(found) != 1:
        raise GroupgapError(f"{where}: its choices differ from row to row: form {recipe.form} needs the same for all")
    return next(iter(found))


def _check_head(recipe: Recipe, config: Any, classes: tuple[str, ...]) -> bool:
    """Whether the base gets a new head.

    Raises:
        GroupgapError: it has one, of another number of labels than the task has classes.
    """
    named = [str(name) for name in config.architectures or []]
    if not any(name.endswith("ForSequenceClassification") for name in named):
        return True
    if config.num_labels != len(classes):
        raise GroupgapError(
            f"{recipe.path}: base {recipe.base} has a head of {config.num_labels} labels, and task {recipe.task} has "
            f"{len(classes)} classes: give a base without that head"
        )
    return False


def _load(base: Path, text: Text, classes: tuple[str, ...], new_head: bool) -> Any:
    from transformers import AutoModelForSequenceClassification

    model = load_whole(
        AutoModelForSequenceClassification,
        base,
        HEADS if new_head else (),
        num_labels=len(classes),
        id2label=dict(enumerate(classes)),
        label2id={name: place for place, name in enumerate(classes)},
    )
    # decoders look for a text's last token by it
    model.config.get_text_config().pad_token_id = text.padding
    return model


class _Rows:
    """Rows of tokens and a class each, and how many texts had to be cut."""

    def __init__(self, recipe: Recipe, task: Any, text: Text, field: str, classes: int) -> None:
        self._recipe, self._task, self._text, self._field, self._classes = recipe, task, text, field, classes
        self._cut = 0

    def notes(self) -> tuple[str, ...]:
        return (f"{self._cut} texts were longer than {self._text.window} tokens and were cut",) if self._cut else ()

    def part(self, part: Documents) -> Part:
        return Part(part.ids, [self._row(*pair) for pair in zip(part.ids, part.documents, strict=True)])

    def _row(self, row_id: str, document: Mapping[str, Any]) -> dict[str, Any]:
        where = f"{self._recipe.path}: task {self._recipe.task}: row {row_id!r:.80}"
        text = document.get(self._field)
        if not isinstance(text, str):
            raise GroupgapError(f"{where} has no text in the field {self._field!r:.60}: form_options: {{field: ...}}")
        tokenizer = self._text.tokenizer
        tokens = tokenizer(text, verbose=False)["input_ids"]
        if len(tokens) > self._text.window:
            self._cut += 1
            tokens = tokenizer(text, truncation=True, max_length=self._text.window)["input_ids"]
        if not tokens:
            raise GroupgapError(f"{where} has a text without a token")
        return {"input_ids": tokens, "labels": class_of(self._task, document, self._classes, where)}


def class_of(task: Any, document: Mapping[str, Any], classes: int, where: str) -> int:
    """The index of a document's class.

    Args:
        task: says the target.
        document: whose.
        classes: how many the head has.
        where: names recipe, task and row, for the message.

    Raises:
        GroupgapError: an index that the head does not have.
    """
    target = task.doc_to_target(document)
    place = target if isinstance(target, int) else list(task.doc_to_choice(document)).index(target)
    if not 0 <= place < classes:
        raise GroupgapError(f"{where} has the class {place}, and the head {classes} labels (from 0)")
    return place


def accuracy(prediction: Any) -> dict[str, float]:
    """Share of right classes among transformers' ``EvalPrediction``: logits (n, classes) and labels (n,)."""
    logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    return {"accuracy": float((logits.argmax(-1) == prediction.label_ids).mean())}
