"""All answers of all runs, checked against each other: one set of documents a task, one set of answers a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from ..errors import GroupgapError
from .answers import Answers, read_answers
from .axes import Reading
from .runs import Run, find_runs


@dataclass(frozen=True)
class Entry:
    """The answers of one variant to one task, along each of its axes, and the run that they come from."""

    run: Run
    task: str
    answers: tuple[Answers, ...]


@dataclass(frozen=True)
class Collection:
    """What was read.

    Attributes:
        entries: in order of task and run name.
        notes: what a reader should know, in words.
    """

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What to read, and how.

    Attributes:
        paths: run folders or results files.
        names: run to the name it shall get.
        reading: axes and positive choices of foreign tasks.
        skip: names or patterns (``mmlu_*``) of tasks to leave out.
    """

    paths: Sequence[str | Path]
    names: Mapping[str, str] = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)
    skip: Sequence[str] = ()


def collect(request: Request, same_documents: bool = True) -> Collection:
    """Read all runs.

    Args:
        request: what to read.
        same_documents: whether all runs of a task must have answered the same documents.

    Returns:
        The answers, each (variant, task) once.

    Raises:
        GroupgapError: for bad input, and if two runs of one name answered differently, or two runs of one task answered
            different documents.
    """
    runs, notes = find_runs(request.paths, request.names)
    tasks = sorted({task for run in runs for task in run.samples})
    request.reading.check_tasks(tasks)
    for pattern in request.skip:
        if not any(fnmatchcase(task, pattern) for task in tasks):
            raise GroupgapError(f"--skip {pattern}: no run answers such a task; the tasks are {', '.join(tasks)}")
    wanted = [task for task in tasks if not any(fnmatchcase(task, pattern) for pattern in request.skip)]
    if not wanted:
        raise GroupgapError(f"--skip leaves no task; the tasks are {', '.join(tasks)}")
    said = list(notes)
    entries = [entry for task in wanted for entry in _collect_task(task, runs, request.reading, said, same_documents)]
    return Collection(tuple(entries), tuple(dict.fromkeys(said)))


def _collect_task(
    task: str, runs: Sequence[Run], reading: Reading, notes: list[str], same_documents: bool
) -> list[Entry]:
    kept: dict[str, Entry] = {}
    for run in runs:
        if task not in run.samples:
            continue
        entry = Entry(run, task, read_answers(run, task, reading))
        earlier = kept.get(run.name)
        if earlier is not None:
            _check_same_answers(earlier, entry)
            notes.append(
                f"task {task}: {run.name} was run more than once with equal answers; the latest ({run.date}) is shown"
            )
        kept[run.name] = entry
    entries = list(kept.values())
    for entry in entries[1:] if same_documents else ():
        _check_same_documents(entries[0], entry)
        check_same_positive(entries[0].answers[0], entry.answers[0])
    notes += [f"task {task}: {note}" for entry in entries for answers in entry.answers for note in answers.notes]
    notes += _prompt_notes(task, entries) if same_documents else []
    return entries


def _check_same_answers(earlier: Entry, later: Entry) -> None:
    old, new = earlier.answers[0], later.answers[0]
    files = f"{earlier.run.results_file} and {later.run.results_file}"
    mend = "name them apart by --name RUN=NAME (RUN is a run's folder or results file), or leave one out"
    if sorted(old.keys) != sorted(new.keys):
        shared = len(set(old.keys) & set(new.keys))
        raise GroupgapError(
            f"two runs with the name {later.run.name!r} answered different documents of task {later.task}: "
            f"{old.n:,}{_limited(old)} and {new.n:,}{_limited(new)}, {shared:,} of them shared ({files}): {mend}"
        )
    place = {key: row for row, key in enumerate(old.keys)}
    rows = np.array([place[key] for key in new.keys], dtype=np.int64)
    differ = int(((old.predictions[rows] != new.predictions) | (old.labels[rows] != new.labels)).sum())
    if differ:
        raise GroupgapError(
            f"two runs with the name {later.run.name!r} answered task {later.task} differently, "
            f"in {differ:,} of {new.n:,} documents{_how_asked(earlier, later)} ({files}): {mend}"
        )


def _check_same_documents(first: Entry, other: Entry) -> None:
    old, new = first.answers[0], other.answers[0]
    if len(old.keys) == len(new.keys) and set(old.keys) == set(new.keys):
        return
    shared = len(set(old.keys) & set(new.keys))
    raise GroupgapError(
        f"different documents under the task name {other.task}: {first.run.name} answered {old.n:,}{_limited(old)}, "
        f"{other.run.name} {new.n:,}{_limited(new)}, {shared:,} are the same: their numbers cannot stand in one table; "
        "run both on the same data, split and --limit, or make two boards"
    )


def check_same_positive(one: Answers, other: Answers) -> None:
    """Refuse two runs whose rates would be those of different choices.

    Choices in other words (a translated prompt) cannot be told to be different, and are not refused.

    Raises:
        GroupgapError: naming both positive choices.
    """
    a, b = one.positive_class, other.positive_class
    if a == b or not (a is None or b is None or a in other.classes or b in one.classes):
        return
    raise GroupgapError(
        f"task {one.task}: the positive choice is {a!r} for {one.run} and {b!r} for {other.run}: their selection "
        f"rates, TPR and FPR are of different things; name the one for both by --positive {one.task}=CHOICE"
    )


def _limited(answers: Answers) -> str:
    return " (limited)" if answers.limited else ""


def _how_asked(earlier: Entry, later: Entry) -> str:
    ways = []
    shots = earlier.run.shots(earlier.task), later.run.shots(later.task)
    if shots[0] != shots[1]:
        ways.append(f"{shots[0]}-shot and {shots[1]}-shot")
    if earlier.run.facts.get("chat_template_sha") != later.run.facts.get("chat_template_sha"):
        ways.append("with different chat templates")
    if not ways and earlier.answers[0].prompts != later.answers[0].prompts:
        ways.append("with different prompts")
    return f"; they were asked {' and '.join(ways)}" if ways else ""


def _prompt_notes(task: str, entries: Sequence[Entry]) -> list[str]:
    ways: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for entry in entries:
        answers = entry.answers[0]
        key = (tuple(prompt for _, prompt in sorted(zip(answers.keys, answers.prompts, strict=True))), answers.classes)
        ways.setdefault(key, []).append(entry.run.name)
    if len(ways) < 2:
        return []
    groups = "; ".join(", ".join(names) for names in ways.values())
    return [
        f"task {task}: the runs were asked with different prompts or choices "
        f"(few-shot, chat template, wording): {groups}"
    ]
