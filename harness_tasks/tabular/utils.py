"""Loader of the user's own file: text, labels and groups in columns that ``--metadata`` names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import GroupgapError
from ..columns import boolean_column, is_boolean, is_missing, need_columns, text_column
from ..rows import COPY_MARK, Rows, number_copies, text_id
from ..sources import parse

MOST_CLASSES = 50
MOST_GROUPS = 500
TAKEN = frozenset({"id", "text", "label", "prompt"})


@dataclass(frozen=True)
class FileOptions:
    """What ``--metadata`` says about the user's file.

    Attributes:
        file: a .csv, .tsv, .jsonl or .parquet file.
        group_columns: one column, a list of columns, or {group name: true/false column}.
        text_column: the text that is judged.
        label_column: the true class.
        positive: the class whose rates are compared (a value of the label column, or its word in ``choices``).
        choices: the classes in order, or {value of the label column: word the model answers with}; default: the sorted
            values.
        axis: a name for the axis; with several columns of names it pools them into one axis.
        separator: splits a cell into several group names.
        id_column: stable row ids; default: the hash of the text.
        question: what the model is asked about the text.
    """

    file: str
    group_columns: str | Sequence[str] | Mapping[str, str]
    text_column: str = "text"
    label_column: str = "label"
    positive: object = None
    choices: Sequence[object] | Mapping[str, str] | None = None
    axis: str | None = None
    separator: str | None = None
    id_column: str | None = None
    question: str | None = None

    @classmethod
    def read(cls, options: Mapping[str, object]) -> FileOptions:
        """Pick our options out of all that lm-eval passes.

        Raises:
            GroupgapError: a missing or a wrongly typed one.
        """
        given: dict[str, Any] = {field.name: options[field.name] for field in fields(cls) if field.name in options}
        for name in ("file", "group_columns"):
            if not given.get(name):
                raise GroupgapError(
                    f"csv_fair: option {name!r} is missing: "
                    '--metadata \'{"file": "my.csv", "text_column": "text", "label_column": "label", '
                    '"group_columns": "religion", "positive": "yes"}\''
                )
        for name in ("file", "text_column", "label_column", "axis", "separator", "id_column", "question"):
            value = given.get(name)
            if value is not None and (not isinstance(value, str) or not value):
                raise GroupgapError(f"csv_fair: option {name}={value!r}: expected a string")
        columns = given["group_columns"]
        names = list(columns.values()) if isinstance(columns, Mapping) else columns
        listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not listed and not isinstance(names, str):
            raise GroupgapError(
                f"csv_fair: option group_columns={columns!r}: expected a column, a list, or {{name: column}}"
            )
        return cls(**given)

    @property
    def group_column_names(self) -> list[str]:
        """The columns that hold groups."""
        if isinstance(self.group_columns, str):
            return [self.group_columns]
        return list(self.group_columns.values() if isinstance(self.group_columns, Mapping) else self.group_columns)


def own_file(**options: object) -> Rows:
    """The rows of the user's file, with axes, choices and positive class as the file and the options say.

    Raises:
        GroupgapError: whatever is wrong with the options or the file, with the column and the row.
    """
    wanted = FileOptions.read(options)
    frame, file, digest = _open(wanted)
    texts = text_column(frame, wanted.text_column, file)
    ids = number_copies(text_column(frame, wanted.id_column, file) if wanted.id_column else map(text_id, texts))
    classes = _classes(frame, wanted, file)
    prompts = _prompts(texts, wanted, classes.words)
    axes = _axes(frame, wanted, file)
    columns = zip(ids, texts, classes.labels, prompts, strict=True)
    documents = [
        {"id": row_id, "text": text, "label": label, "prompt": prompt, **{axis: axes[axis][row] for axis in axes}}
        for row, (row_id, text, label, prompt) in enumerate(columns)
    ]
    origin = {
        "source": "file",
        "dataset": file,
        "revision": None,
        "files": {file: digest},
        "rows": len(documents),
        "copies": sum(COPY_MARK in row_id for row_id in ids),
    }
    named = {axis: {"field": axis, "groups": _names(groups, axis, file)} for axis, groups in axes.items()}
    return Rows(documents, origin, {"axes": named, "choices": list(classes.words), "positive": classes.positive})


def _open(wanted: FileOptions) -> tuple[pd.DataFrame, str, str]:
    """The table, its file's name and the SHA-256 of its bytes; all named columns are there, and some rows."""
    path = Path(wanted.file).expanduser()
    if not path.is_file():
        raise GroupgapError(f"csv_fair: {wanted.file}: no such file (relative paths start at {Path.cwd()})")
    data = path.read_bytes()
    frame = parse(data, path.name)
    if frame.empty:
        raise GroupgapError(f"{path.name}: holds no rows")
    optional = [] if wanted.id_column is None else [wanted.id_column]
    columns = [wanted.text_column, wanted.label_column, *wanted.group_column_names, *optional]
    need_columns(frame, columns, path.name)
    return frame, path.name, hashlib.sha256(data).hexdigest()


# -- classes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Classes:
    """The classes of a file: the words the model answers with, each row's label, and the positive word."""

    words: tuple[str, ...]
    labels: list[int]
    positive: str


def _classes(frame: pd.DataFrame, wanted: FileOptions, file: str) -> Classes:
    values = text_column(frame, wanted.label_column, file)
    there = sorted(set(values))
    if len(there) > MOST_CLASSES:
        raise GroupgapError(
            f"{file}: column {wanted.label_column!r} holds {len(there)} different values; "
            f"expected at most {MOST_CLASSES} classes (cut a score into classes first)"
        )
    words = _words(there, wanted.choices)
    unknown = [value for value in there if value not in words]
    if unknown:
        raise GroupgapError(
            f"{file}: column {wanted.label_column!r} holds {unknown[0]!r}, "
            f"which is not among the choices {', '.join(words)}"
        )
    if len(words) < 2 or len(set(words.values())) != len(words):
        raise GroupgapError(f"{file}: expected two or more different classes, got {', '.join(words.values())}")
    places = {value: place for place, value in enumerate(words)}
    positive = _positive(wanted.positive, words)
    return Classes(tuple(words.values()), [places[value] for value in values], positive)


def _words(there: Sequence[str], choices: object) -> dict[str, str]:
    """Value of the label column -> word the model answers with, in the order of the choices."""
    if choices is None:
        return {value: value for value in there}
    if isinstance(choices, Mapping):
        return {str(value): str(word) for value, word in choices.items()}
    if isinstance(choices, Sequence) and not isinstance(choices, str):
        return {str(value): str(value) for value in choices}
    raise GroupgapError(f"csv_fair: option choices={choices!r}: expected a list of classes or {{class: word}}")


def _positive(given: object, words: Mapping[str, str]) -> str:
    if given is not None and str(given) in words:
        return words[str(given)]
    if given is not None and str(given) in words.values():
        return str(given)
    raise GroupgapError(
        f"csv_fair: option positive={given!r}: expected the class whose rates are compared, one of {', '.join(words)}"
    )


def _prompts(texts: Sequence[str], wanted: FileOptions, words: Sequence[str]) -> list[str]:
    question = wanted.question or f"Which label fits this text: {', '.join(words[:-1])} or {words[-1]}?"
    return [f"Text: {text}\n{question}\nAnswer:" for text in texts]


# -- groups -----------------------------------------------------------------------------------------------------------


def _axes(frame: pd.DataFrame, wanted: FileOptions, file: str) -> dict[str, list[list[str]]]:
    """Axis name -> each row's groups."""
    columns = wanted.group_columns
    if isinstance(columns, Mapping):
        return {_axis_name(wanted.axis or "group"): _flagged(frame, columns, file)}
    if isinstance(columns, str):
        return {_axis_name(wanted.axis or columns): _named(frame, columns, wanted.separator, file)}
    flags = [column for column in columns if is_boolean(frame[column])]
    if len(flags) == len(columns):
        return {_axis_name(wanted.axis or "group"): _flagged(frame, {column: column for column in columns}, file)}
    if flags:
        rest = next(column for column in columns if column not in flags)
        raise GroupgapError(
            f"{file}: column {flags[0]!r} holds true/false and {rest!r} holds names; expected one kind in group_columns"
        )
    named = {column: _named(frame, column, wanted.separator, file) for column in columns}
    if wanted.axis is None:
        return {_axis_name(column): groups for column, groups in named.items()}
    pooled = [list(dict.fromkeys(name for names in row for name in names)) for row in zip(*named.values(), strict=True)]
    return {_axis_name(wanted.axis): pooled}


def _axis_name(name: str) -> str:
    if name in TAKEN:
        raise GroupgapError(f"csv_fair: an axis cannot be called {name!r}: give another name as option 'axis'")
    return name


def _flagged(frame: pd.DataFrame, columns: Mapping[str, str], file: str) -> list[list[str]]:
    flags = {name: boolean_column(frame, column, file) for name, column in columns.items()}
    return [[name for name in flags if flags[name][row]] for row in range(len(frame))]


def _named(frame: pd.DataFrame, column: str, separator: str | None, file: str) -> list[list[str]]:
    rows = []
    for row, cell in enumerate(frame[column].tolist(), start=1):
        names = _cell_names(cell, separator)
        if names is None:
            raise GroupgapError(
                f'{file}: column {column!r}, data row {row}: a list that cannot be read; expected JSON, e.g. ["a", "b"]'
            )
        rows.append(names)
    return rows


def _cell_names(cell: object, separator: str | None) -> list[str] | None:
    """The names in a cell: a list (typed, or JSON in a csv), separated names, one name, or none; None: broken."""
    if hasattr(cell, "tolist"):
        cell = cell.tolist()
    if isinstance(cell, str) and cell.startswith("["):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return None
    if isinstance(cell, list | tuple):
        if any(isinstance(name, list | dict) for name in cell):
            return None
        return list(dict.fromkeys(str(name) for name in cell if not is_missing(name)))
    if is_missing(cell):
        return []
    parts = str(cell).split(separator) if separator else [str(cell)]
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _names(groups: Sequence[Sequence[str]], axis: str, file: str) -> list[str]:
    names = sorted({name for row in groups for name in row})
    if not names or len(names) > MOST_GROUPS:
        raise GroupgapError(f"{file}: axis {axis!r} has {len(names)} groups; expected 1 to {MOST_GROUPS}")
    return names
