"""What a form of training is: rows of a task made ready for one kind of model.

A form is a module of this package, named by the recipe's ``form`` in :data:`FORMS`, with one public function::

    def prepare(recipe: Recipe, data: TaskData, base: Path) -> Prepared

It refuses options that it does not know (``recipe.form_options``) and a base that does not fit with a one-line
:class:`~groupgap.errors.GroupgapError`, and loads no weights itself: ``Prepared.load`` does, once for each training,
after the trainer has seeded torch, so that a new head starts alike for every method of a seed.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import GroupgapError
from ..roster_file import nearest
from .recipe import Recipe

FORMS = {
    "prompt": "prompt_form",
    "classifier": "classifier_form",
    "language_model": "language_form",
    "image_classifier": "image_form",
}


@dataclass(frozen=True)
class Documents:
    """One part of a task.

    Attributes:
        ids: one for each document, unique.
        documents: as the task gives them.
    """

    ids: tuple[str, ...]
    documents: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class TaskData:
    """What a form may see of a task: never its test part.

    Attributes:
        task: the lm-eval task, for its prompt, choices and targets; its documents come from here alone.
        name: the task's name.
        train: its training part, cut to ``max_rows``.
        validation: its validation part; empty where the task's split has none.
    """

    task: Any
    name: str
    train: Documents
    validation: Documents


@dataclass(frozen=True)
class Part:
    """Rows as the model reads them.

    Attributes:
        ids: one for each row, unique; the order of a training is drawn from them alone.
        rows: ``rows[i]`` is what ``collate`` takes (opened only when asked for, where that is costly).
    """

    ids: tuple[str, ...]
    rows: Sequence[Any]


@dataclass(frozen=True)
class Prepared:
    """A form's work: rows, and how to make the model that learns them.

    Attributes:
        load: loads the base in float32, with its new head if it gets one; called once for each training, torch seeded.
        train: the training rows.
        validation: the validation rows; may be empty.
        collate: rows to a batch of tensors that the model's ``forward`` takes, ``labels`` among them.
        save_beside: writes what a full checkpoint needs beside its weights (tokenizer, image processor) into a folder.
        task_type: PEFT's name of the task: ``CAUSAL_LM``, ``SEQ_CLS`` or None.
        head: last names of a new head's modules, e.g. ``("score",)``; empty where the head is the base's own.
        new_head: whether every adapter trains the head and stores it whole, and ``method: head`` stores it alone.
        document_ids: the documents that were trained on, in the data's order; what membership means.
        engine: the roster's engine for what was trained: ``vllm``, ``classifier``, ``timm``.
        classes: the task's choices in the order of the head's rows, which the roster tells the engine.
        notes: what a reader should know, e.g. how many texts were cut; no text of a row.
        metrics: transformers' ``compute_metrics`` for the validation rows; None for the loss alone.
        begin_epoch: told the training's seed and the epoch (from 0) before its rows are asked for; for augmentation.
    """

    load: Callable[[], Any]
    train: Part
    validation: Part
    collate: Callable[[list[Any]], dict[str, Any]]
    save_beside: Callable[[Path], None]
    task_type: str | None
    head: tuple[str, ...]
    new_head: bool
    document_ids: tuple[str, ...]
    engine: str = "vllm"
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    metrics: Callable[[Any], dict[str, float]] | None = field(default=None, compare=False)
    begin_epoch: Callable[[int, int], None] | None = field(default=None, compare=False)


def prepare(recipe: Recipe, data: TaskData, base: Path) -> Prepared:
    """Let the recipe's form make its rows ready.

    Raises:
        GroupgapError: the form is not in this installation, or cannot work with the task, the base or its options.
    """
    module = f"{__package__}.{FORMS[recipe.form]}"
    if importlib.util.find_spec(module) is None:
        raise GroupgapError(f"form {recipe.form}: is not part of this version of groupgap")
    prepared: Prepared = importlib.import_module(module).prepare(recipe, data, base)
    return prepared


def refuse_options(recipe: Recipe, known: Sequence[str]) -> None:
    """Refuse an option that the recipe's form does not have.

    Raises:
        GroupgapError: with the nearest that it has.
    """
    for name in recipe.form_options:
        if name not in known:
            allowed = nearest(name, list(known)) if known else "it has none"
            raise GroupgapError(f"{recipe.path}: form_options: {recipe.form} has no option {name!r:.60}: {allowed}")
