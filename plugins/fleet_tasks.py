"""The tasks of a roster: loaded by lm-eval, marked so that a change is noticed, asked of one model at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from .discovery import tasks_path
from .run_folder import fingerprint


@dataclass(frozen=True)
class Question:
    """One task that is asked.

    Attributes:
        name: of the task itself, groups and tags taken apart.
        num_fewshot: examples in the prompt; None for the task's own number.
        limit: ask only the first so many documents.
        options: as ``lm_eval --metadata`` hands them to the task.
        mark: fingerprint of all that the answers depend on, the model apart.
        documents: how many documents it asks.
    """

    name: str
    num_fewshot: int | None = None
    limit: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    mark: str = ""
    documents: int = 0


def load_questions(choices: Sequence[Mapping[str, Any]]) -> tuple[Question, ...]:
    """Take groups and tags apart, load every task once, and mark it.

    Args:
        choices: the roster's tasks: ``name``, ``num_fewshot``, ``limit``, ``options``.

    Raises:
        GroupgapError: an unknown task; a task asked twice.
    """
    found: dict[str, Question] = {}
    for choice in choices:
        for name, task in _load(choice["name"], choice["options"]).items():
            if name in found:
                raise GroupgapError(f"task {name} is asked twice in the roster: name it once")
            told = {key: choice[key] for key in ("num_fewshot", "limit", "options")}
            documents, limit = len(task.eval_docs), choice["limit"]
            mark = fingerprint(task=name, asked=_as_asked(task), **told)
            found[name] = Question(name=name, mark=mark, documents=min(documents, limit or documents), **told)
    return tuple(found.values())


def _as_asked(task: Any) -> str:
    """A hash of what is asked: the configuration, and every document with its prompt and its right answer."""
    config = {key: value for key, value in task.dump_config().items() if key != "metadata"}
    metadata = {key: value for key, value in (task.config.metadata or {}).items() if key != "config_source"}
    digest = hashlib.sha256(fingerprint(config=config, metadata=metadata).encode())
    examples = task.fewshot_docs() if task.config.fewshot_split or task.config.fewshot_config else None
    for document in (*task.eval_docs, *(examples or ())):
        asked = [document, task.doc_to_text(document), task.doc_to_target(document)]
        digest.update(json.dumps(asked, sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _manager(name: str, options: Mapping[str, Any]) -> Any:
    """lm-eval's task manager: of our tasks alone where they suffice, since its own index takes many seconds."""
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_defaults=False, include_path=str(tasks_path()), metadata=dict(options))
    if name in manager.all_tasks:
        return manager
    manager = TaskManager(include_path=str(tasks_path()), metadata=dict(options))
    if name not in manager.all_tasks:
        raise GroupgapError(
            f"no task, group or tag {name!r} in lm-eval: `groupgap tasks` and `lm_eval ls tasks` list them"
        )
    return manager


def load_task(name: str, options: Mapping[str, Any]) -> Any:
    """One task, as lm-eval loads it with these options.

    Raises:
        GroupgapError: an unknown task, or a group of several.
    """
    tasks = _load(name, options)
    if len(tasks) != 1:
        raise GroupgapError(f"{name} is a group of {len(tasks)} tasks: name one of them")
    return next(iter(tasks.values()))


def _load(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_manager(name, options).load([name])["tasks"])


def ask(model: Any, question: Question, source: str, save_into: Path) -> None:
    """Ask one task of one model by lm-eval's own ``simple_evaluate``, and write lm-eval's own files.

    Args:
        model: an ``LM``, its variant active.
        question: the task.
        source: name of the backend, for the results file.
        save_into: where ``results_*.json`` and ``samples_*.jsonl`` go, in a subfolder that lm-eval names.
    """
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(output_path=str(save_into))
    results = simple_evaluate(
        model=model,
        tasks=[question.name],
        task_manager=_manager(question.name, {**_window_of(model), **question.options}),
        num_fewshot=question.num_fewshot,
        limit=question.limit,
        bootstrap_iters=1000,
        log_samples=True,
        evaluation_tracker=tracker,
    )
    samples = results.pop("samples")
    results["config"]["model"] = source
    tracker.save_results_aggregated(results=results, samples=samples)
    for task, lines in samples.items():
        tracker.save_results_samples(task_name=task, samples=lines)
    _check_written(save_into, question.name, sum(map(len, samples.values())))


def _window_of(model: Any) -> dict[str, Any]:
    """What lm-eval's command would tell a task of the model: where its tokenizer is, and how many tokens it takes.

    Of a tokenizer that is loaded: some backends fetch one from the hub when they are asked for it.
    """
    told = {
        "tokenizer": getattr(vars(model).get("tokenizer"), "name_or_path", None),
        "max_length": getattr(model, "max_length", None),
    }
    return {key: value for key, value in told.items() if isinstance(value, str | int) and value}


def _check_written(folder: Path, task: str, expected: int) -> None:
    """Read back what lm-eval wrote: it logs a full disk and goes on.

    Raises:
        GroupgapError: a file is missing, cut off, or holds another number of answers.
    """
    try:
        (results,) = folder.rglob("results_*.json")
        (samples,) = folder.rglob("samples_*.jsonl")
        json.loads(results.read_text())
        with samples.open() as lines:
            written = sum(1 for line in lines if json.loads(line))
    except (ValueError, OSError) as error:
        raise GroupgapError(
            f"{folder}: the answers to {task} could not be written whole (is the disk full?)"
        ) from error
    if written != expected:
        raise GroupgapError(f"{folder}: {written} of {expected} answers to {task} were written (is the disk full?)")
