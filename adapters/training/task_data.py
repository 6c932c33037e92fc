"""The rows of a recipe: a task's own training and validation parts, as lm-eval loads them; never its test part."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ... import harness_tasks
from ...errors import GroupgapError
from .forms import Documents, TaskData
from .recipe import Recipe


def load_task_data(recipe: Recipe) -> TaskData:
    """Load the recipe's task and take the rows that the recipe asks for.

    Raises:
        GroupgapError: an unknown task, a group of tasks, a task without a training part, an empty part, or no
            validation part where a method chooses its epoch by it.
    """
    task = _task(recipe)
    train = _documents(task.training_docs() if task.has_training_docs() else None)
    validation = _documents(task.validation_docs() if task.has_validation_docs() else None)
    if not train.ids:
        raise GroupgapError(
            f"{recipe.path}: task {recipe.task}: its training part {_options(recipe)}holds no rows to learn from"
        )
    if not validation.ids and any(method.settings.select == "best" for method in recipe.methods):
        raise GroupgapError(
            f"{recipe.path}: task {recipe.task}: its validation part {_options(recipe)}holds no rows, and the best "
            "epoch is chosen by it: choose a split with one (split: hash), or say select: last"
        )
    return TaskData(task, recipe.task, _cut(train, recipe.max_rows), _cut(validation, recipe.max_validation_rows))


def _options(recipe: Recipe) -> str:
    told = ", ".join(f"{key}: {value!s:.40}" for key, value in recipe.task_options.items())
    return f"({told}) " if told else ""


def _task(recipe: Recipe) -> Any:
    """The lm-eval task: of our tasks alone where they suffice, since lm-eval's own index takes many seconds."""
    from lm_eval.tasks import TaskManager

    ours = str(Path(harness_tasks.__file__).parent)
    options = dict(recipe.task_options)
    manager = TaskManager(include_defaults=False, include_path=ours, metadata=options)
    if recipe.task not in manager.all_tasks:
        manager = TaskManager(include_path=ours, metadata=options)
    if recipe.task not in manager.all_tasks:
        raise GroupgapError(
            f"{recipe.path}: no task {recipe.task!r:.80} in lm-eval: `groupgap tasks` and `lm_eval ls tasks` list them"
        )
    tasks = manager.load([recipe.task])["tasks"]
    if len(tasks) != 1:
        raise GroupgapError(f"{recipe.path}: {recipe.task} is a group of {len(tasks)} tasks: train on one of them")
    return next(iter(tasks.values()))


def _documents(rows: Any) -> Documents:
    listed: list[Mapping[str, Any]] = rows.to_list() if hasattr(rows, "to_list") else list(rows or ())
    documents = tuple(listed)
    ids = tuple(str(document.get("id", "")) for document in documents)
    if len(set(ids)) < len(ids) or "" in ids:  # a task of others: its rows have places, no names
        ids = tuple(str(place) for place in range(len(documents)))
    return Documents(ids, documents)


def _cut(part: Documents, count: int | None) -> Documents:
    """So many documents, chosen by the hash of their ids: more rows elsewhere never change which come first."""
    if count is None or count >= len(part.ids):
        return part
    chosen = sorted(range(len(part.ids)), key=lambda place: hashlib.sha256(part.ids[place].encode()).digest())[:count]
    return Documents(
        tuple(part.ids[place] for place in sorted(chosen)), tuple(part.documents[place] for place in sorted(chosen))
    )
