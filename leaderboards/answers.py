"""The answers of one run to one task, tidy: labels, predictions, groups, probabilities, documents."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import GroupgapError
from ..metrics import Counts, count
from .axes import Axis, Reading, axes_of, groups_at, membership, survey_fields
from .controlled import debiased_lines
from .judged import judged_lines
from .roles import kept_values, roles_of
from .runs import Run
from .samples import LIKELIHOODS, Sample, read_sample
from .untrusted import read_json_lines

UNITS = (
    "lines with one doc.{field} are one unit: intervals are over units, chance exchanges the groups of whole units of "
    "one size and of the lines of a unit, and comparisons of rows draw and swap whole units; calibration has "
    "neither intervals nor chance levels"
)

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Answers:
    """One run's answers to one task, seen along one axis. Rows are in the order of lm-eval's doc_id.

    Attributes:
        run: name of the run.
        task: name of the task.
        axis: name of the axis.
        groups: the G group names.
        classes: the C texts of the choices.
        labels: (n,) class index.
        predictions: (n,) class index: the largest log-probability, the first one on ties, as lm-eval does it.
        membership: (n, G) bool; groups may overlap, a row may be empty.
        probabilities: (n, C) softmax over the log-probabilities of the choices; 0 where a document has fewer choices.
        documents: (n,) lm-eval's hash of each document.
        occurrences: (n,) 0 for a document's first row, 1 for its second, ...
        prompts: (n,) hash of what was asked: each prompt and its continuations.
        positive: index of the positive class, ``None``: rates are one-vs-rest.
        limited: whether the run answered only a part of the task (``--limit``).
        notes: what a reader should know, in words.
        declared: whether the task says what its groups are; else they are the names that occur in this run.
        kept: role (``roles.roles_of``) to the (n,) values of the document field that the task names for it.
    """

    run: str
    task: str
    axis: str
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    labels: IntArray
    predictions: IntArray
    membership: BoolArray
    probabilities: FloatArray
    documents: tuple[str, ...]
    occurrences: IntArray
    prompts: tuple[str, ...]
    positive: int | None = None
    limited: bool = False
    notes: tuple[str, ...] = ()
    declared: bool = False
    kept: Mapping[str, tuple[str | float, ...]] = field(default_factory=dict)

    @property
    def clusters(self) -> npt.NDArray[np.object_] | None:
        """(n,) which rows are one unit (a sentence pair); ``None`` where each is its own."""
        return np.array(self.kept["cluster"], dtype=object) if "cluster" in self.kept else None

    @property
    def n(self) -> int:
        """Number of answers."""
        return len(self.labels)

    @property
    def positive_class(self) -> str | None:
        """The text of the positive choice."""
        return None if self.positive is None else self.classes[self.positive]

    @property
    def keys(self) -> tuple[tuple[str, int], ...]:
        """(document hash, occurrence) of each row: what answers of different runs are joined by."""
        return tuple(zip(self.documents, self.occurrences.tolist(), strict=True))

    @property
    def digest(self) -> str:
        """Which documents were answered, in whatever order: sha256 of their hashes."""
        keys = "\n".join(f"{document} {occurrence}" for document, occurrence in sorted(self.keys))
        return f"sha256:{hashlib.sha256(keys.encode('utf-8', 'replace')).hexdigest()}"

    def counts(self) -> Counts:
        """The answers as counts of (groups, label, prediction), from which every label metric follows."""
        return count(self.labels, self.predictions, self.membership, self.groups, self.classes)

    def to_frame(self) -> pd.DataFrame:
        """One row an answer.

        Returns:
            Columns run, task, axis, document, occurrence, prompt, label, prediction, correct; ``group:NAME`` (bool)
            for each
            group; ``p:CLASS`` for each choice.
        """
        names = np.array(self.classes, dtype=object)
        columns: dict[str, Any] = {
            "run": self.run,
            "task": self.task,
            "axis": self.axis,
            "document": self.documents,
            "occurrence": self.occurrences,
            "prompt": self.prompts,
            "label": names[self.labels],
            "prediction": names[self.predictions],
            "correct": self.labels == self.predictions,
        }
        columns |= {f"group:{group}": self.membership[:, index] for index, group in enumerate(self.groups)}
        columns |= {f"p:{name}": self.probabilities[:, index] for index, name in enumerate(self.classes)}
        return pd.DataFrame(columns)


@dataclass
class _Columns:
    """What is kept of the samples while a file is read."""

    axes: tuple[Axis, ...]
    roles: Mapping[str, str]
    named_classes: tuple[str, ...] = ()
    kept: list[tuple[str | float, ...]] = field(default_factory=list)
    groups: list[list[tuple[str, ...] | None]] = field(init=False)
    samples: list[tuple[int, str, str, int, tuple[float, ...]]] = field(default_factory=list)
    two_readings: dict[int, tuple[int, int | None, bool | None]] = field(default_factory=dict)
    choices: dict[tuple[str, ...], int] = field(default_factory=dict)
    outside: Counter[str] = field(default_factory=Counter)
    first_outside: int = 0
    lines: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.groups = [[] for _ in self.axes]

    def add(self, path: Path, number: int, sample: Sample) -> None:
        if sample.doc_id in self.lines:
            raise GroupgapError(
                f"{path}, line {number}: doc_id {sample.doc_id} stands on line {self.lines[sample.doc_id]} already: "
                "the file holds two runs; run again"
            )
        self.lines[sample.doc_id] = number
        self.choices[sample.choices] = self.choices.get(sample.choices, 0) + 1
        if sample.label is None:
            self.outside[sample.target if len(sample.target) <= 30 else "a longer text"] += 1
            self.first_outside = self.first_outside or number
        for column, axis in zip(self.groups, self.axes, strict=True):
            column.append(groups_at(sample.document, axis.path))
        self.kept.append(kept_values(f"{path}, line {number}", sample.document, self.roles))
        if sample.label_as_text is not None:
            self.two_readings[len(self.samples)] = (sample.label_as_text, sample.label, sample.right)
        label = -1 if sample.label is None else sample.label
        self.samples.append((sample.doc_id, sample.document_hash, sample.asked_hash, label, sample.log_probabilities))

    def settle_labels(self, path: Path) -> None:
        """Take the one reading of a Python function's digits under which lm-eval's own right and wrong come out."""
        fitting = {0, 1}
        for row, (as_text, as_index, right) in self.two_readings.items():
            scores = self.samples[row][-1]
            found = scores.index(max(scores))
            fitting &= {side for side, label in enumerate((as_text, as_index)) if (label == found) is right}
        if self.two_readings and len(fitting) != 1:
            raise GroupgapError(
                f"{path}: the labels of {len(self.two_readings):,} rows are digits that are both a choice's text and "
                "the index of another choice, and lm-eval's own acc does not tell which was meant: have "
                f"doc_to_target return the index, or words. {LIKELIHOODS}"
            )
        if fitting == {0}:
            for row, (as_text, *_) in self.two_readings.items():
                doc_id, document, asked, _, scores = self.samples[row]
                self.samples[row] = (doc_id, document, asked, as_text, scores)


def read_answers(run: Run, task: str, reading: Reading | None = None) -> tuple[Answers, ...]:
    """Read the answers of a run to a task.

    Args:
        run: from :func:`groupgap.leaderboards.runs.find_runs`.
        task: one of ``run.samples``.
        reading: axes and positive choice of foreign tasks.

    Returns:
        One for each axis of the task; they share their arrays.

    Raises:
        GroupgapError: if the task has no axis, if a line is broken, if there are no answers, if a label is outside
        the choices,
            if an axis field is missing in some rows.
    """
    reading = reading or Reading()
    path, config = run.samples[task], run.task_config(task)
    axes = axes_of(task, run.fair(task), reading)
    if not axes:
        raise GroupgapError(
            f"task {task} ({path}) has no axis: name one by --axis {task}=doc.FIELD, or leave it out by --skip {task}. "
            f"Fields to choose from: {_fields(path)}"
        )
    fair = run.fair(task)
    _check_judgeable(path, task, fair)
    columns = _Columns(axes, roles_of(task, fair), tuple(map(str, fair.get("classes") or ())))
    lines = answered_lines(run, task)
    if fair.get("controlled"):
        lines = debiased_lines(path, lines, config)
    elif fair.get("judge"):
        lines = judged_lines(path, lines, task, fair)
    for number, line in lines:
        columns.add(path, number, read_sample(f"{path}, line {number}", line, config))
    if not columns.samples:
        raise GroupgapError(f"{path}: an empty run, no answer to judge: run lm_eval again (a --limit of 0?)")
    _check_labels(path, columns)
    columns.settle_labels(path)
    return _assemble(run, task, columns, reading.positive.get(task, fair.get("positive")))


def answered_lines(run: Run, task: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of a samples file that count: of one filter, and all that lm-eval judged.

    Args:
        run: from :func:`groupgap.leaderboards.runs.find_runs`.
        task: one of ``run.samples``.

    Yields:
        The line number (from 1) and the line.

    Raises:
        GroupgapError: for several filters and none of them ``none``, and, after the last line, where there are fewer
            than lm-eval judged: the file was cut.
    """
    path, judged, found = run.samples[task], run.answered(task), 0
    for found, numbered in enumerate(_of_filter(path, run.task_config(task)), start=1):  # noqa: B007 - counted
        yield numbered
    if 0 < found < (judged or 0):
        raise GroupgapError(
            f"{path}: {found:,} answers, but its results file is of {judged:,}: lines are lost: copy the run whole, "
            "or run it again"
        )


def _of_filter(path: Path, config: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines of one filter, ``none`` or the only one (lm-eval writes one line for each document and filter)."""
    filters = config.get("filter_list")
    names = (
        [str(entry.get("name")) for entry in filters if isinstance(entry, dict)] if isinstance(filters, list) else []
    )
    if len(names) > 1 and "none" not in names:
        raise GroupgapError(f"{path}: several filters ({', '.join(names)}) and none of them 'none': {LIKELIHOODS}")
    chosen = names[0] if len(names) == 1 else "none"
    for number, line in read_json_lines(path):
        if str(line.get("filter", chosen)) == chosen:
            yield number, line


def _fields(path: Path) -> str:
    return survey_fields(line["doc"] for _, line in read_json_lines(path) if isinstance(line.get("doc"), dict))


def _check_judgeable(path: Path, task: str, fair: Mapping[str, Any]) -> None:
    """Refuse answers that no label judges, and scores that are no log-probabilities of choices."""
    probe, data = (value if isinstance(value, dict) else {} for value in (fair.get("probe"), fair.get("data")))
    if probe.get("scoring") == "paper":
        raise GroupgapError(
            f"task {task} ({path}): scoring=paper scores whole strings, not choices: its shares are in the table of "
            f"lm_eval; leave it out by --skip {task}, or ask again with scoring=choice"
        )
    if data.get("labelled") is False:
        raise GroupgapError(
            f"task {task} ({path}): its texts name no author gender, so that no answer is right or wrong: "
            f"`groupgap token-bias` reads it; leave it out here by --skip {task}"
        )


def _check_labels(path: Path, columns: _Columns) -> None:
    if not columns.outside:
        return
    found = ", ".join(repr(label) for label, _ in columns.outside.most_common(3))
    choices = max(columns.choices, key=lambda texts: columns.choices[texts])
    shown = ", ".join(repr(choice if len(choice) <= 30 else f"{choice[:27]}...") for choice in choices[:10])
    raise GroupgapError(
        f"{path}, line {columns.first_outside}: labels outside the choices in "
        f"{columns.outside.total():,} of {len(columns.samples):,} rows: {found}; the choices are {shown}"
    )


def _assemble(run: Run, task: str, columns: _Columns, positive: object) -> tuple[Answers, ...]:
    order = sorted(range(len(columns.samples)), key=lambda row: columns.samples[row][0])
    samples = [columns.samples[row] for row in order]
    classes, notes = _classes(columns)
    scores = np.full((len(samples), len(classes)), -np.inf)
    for row, (*_, log_probabilities) in enumerate(samples):
        scores[row, : len(log_probabilities)] = log_probabilities
    documents = tuple(document for _, document, *_ in samples)
    chosen = _positive(task, positive, classes)
    if chosen is None and len(classes) == 2:
        notes = (*notes, f"no positive choice is named (--positive {task}=CHOICE): rates are one-vs-rest")
    if "cluster" in columns.roles:
        notes = (*notes, UNITS.format(field=columns.roles["cluster"]))
    shared = {
        "classes": classes,
        "labels": np.array([label for *_, label, _ in samples], dtype=np.int64),
        "predictions": scores.argmax(axis=1).astype(np.int64),
        "probabilities": _softmax(run.samples[task], scores),
        "documents": documents,
        "occurrences": _occurrences(documents),
        "prompts": tuple(prompt for _, _, prompt, *_ in samples),
        "positive": chosen,
        "limited": run.limited(task, len(samples)),
        "notes": notes,
        "kept": {role: tuple(columns.kept[row][place] for row in order) for place, role in enumerate(columns.roles)},
    }
    result = []
    path = run.samples[task]
    for axis, column in zip(columns.axes, columns.groups, strict=True):
        matrix, groups = membership(str(path), axis, [column[row] for row in order], lambda: _fields(path))
        own: dict[str, Any] = {
            "axis": axis.name,
            "groups": groups,
            "membership": matrix,
            "declared": axis.groups is not None,
        }
        result.append(Answers(run=run.name, task=task, **own, **shared))
    return tuple(result)


def _classes(columns: _Columns) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the classes: what the task calls them, or the choices' texts; their positions where these differ
    between documents.
    """
    if {len(texts) for texts in columns.choices} == {len(columns.named_classes)}:
        return columns.named_classes, ()
    if len(columns.choices) == 1:
        (texts,) = columns.choices
        if len(set(texts)) == len(texts) and all(text.strip() for text in texts):
            return texts, ()
    size = max(map(len, columns.choices))
    note = "the choices differ between documents: classes are positions, and so are all rates but accuracy"
    return tuple(f"choice {index + 1}" for index in range(size)), (note,)


def _positive(task: str, positive: object, classes: tuple[str, ...]) -> int | None:
    if positive is None:
        return None
    if positive in classes:
        return classes.index(str(positive))
    stripped = [text.strip() for text in classes]
    if str(positive).strip() in stripped:
        return stripped.index(str(positive).strip())
    raise GroupgapError(f"task {task}: the positive choice {positive!r} is not one of {', '.join(map(repr, classes))}")


def _occurrences(documents: tuple[str, ...]) -> IntArray:
    seen: Counter[str] = Counter()
    occurrences = np.zeros(len(documents), dtype=np.int64)
    for row, document in enumerate(documents):
        occurrences[row] = seen[document]
        seen[document] += 1
    return occurrences


def _softmax(path: Path, scores: FloatArray) -> FloatArray:
    best = scores.max(axis=1, keepdims=True)
    if np.isneginf(best).any():
        rows = int(np.isneginf(best).sum())
        raise GroupgapError(
            f"{path}: in {rows:,} rows every choice has log-probability -inf: the model is broken, run again"
        )
    shares = np.exp(scores - best)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float64)
