"""Classes and groups out of columns of the user's own table, as ``--metadata`` names them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ..errors import GroupgapError
from .columns import boolean_column, is_boolean, is_missing, text_column

MOST_CLASSES = 50
MOST_GROUPS = 500
TAKEN = frozenset({"id", "text", "label", "prompt", "image", "image_set", "image_sha256"})


@dataclass(frozen=True)
class OwnColumns:
    """Which columns hold the classes and the groups.

    Attributes:
        task: its name, for messages.
        group_columns: one column, a list of columns, or {group name: true/false column}.
        label_column: the true class.
        positive: the class whose rates are compared (a value of the label column, or its word in ``choices``); not
            needed with more than two classes, which are compared one against the rest.
        choices: the classes in order, or {value of the label column: word the model answers with}; default: the sorted
            values.
        axis: a name for the axis; with several columns of names it pools them into one axis.
        separator: splits a cell into several group names.
    """

    task: str
    group_columns: str | Sequence[str] | Mapping[str, str]
    label_column: str = "label"
    positive: object = None
    choices: Sequence[object] | Mapping[str, str] | None = None
    axis: str | None = None
    separator: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot name columns."""
        columns = self.group_columns
        names = list(columns.values()) if isinstance(columns, Mapping) else columns
        listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not listed and not isinstance(names, str):
            raise GroupgapError(
                f"{self.task}: option group_columns={columns!r}: expected a column, a list, or {{name: column}}"
            )

    @property
    def group_column_names(self) -> list[str]:
        """The columns that hold groups."""
        if isinstance(self.group_columns, str):
            return [self.group_columns]
        return list(self.group_columns.values() if isinstance(self.group_columns, Mapping) else self.group_columns)


# -- classes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Classes:
    """The classes of a file: the words the model answers with, each row's label, and the positive word (if any)."""

    words: tuple[str, ...]
    labels: list[int]
    positive: str | None


def read_classes(frame: pd.DataFrame, own: OwnColumns, file: str) -> Classes:
    """The classes of a table.

    Raises:
        GroupgapError: an empty cell, too many or too few classes, a value that is no choice, a positive that is none.
    """
    values = text_column(frame, own.label_column, file)
    there = sorted(set(values))
    if len(there) > MOST_CLASSES:
        raise GroupgapError(
            f"{file}: column {own.label_column!r} holds {len(there)} different values; "
            f"expected at most {MOST_CLASSES} classes (cut a score into classes first)"
        )
    words = _words(there, own)
    unknown = [value for value in there if value not in words]
    if unknown:
        raise GroupgapError(
            f"{file}: column {own.label_column!r} holds {unknown[0]!r}, "
            f"which is not among the choices {', '.join(words)}"
        )
    if len(words) < 2 or len(set(words.values())) != len(words):
        raise GroupgapError(f"{file}: expected two or more different classes, got {', '.join(words.values())}")
    places = {value: place for place, value in enumerate(words)}
    return Classes(tuple(words.values()), [places[value] for value in values], _positive(own, words))


def _words(there: Sequence[str], own: OwnColumns) -> dict[str, str]:
    """Value of the label column -> word the model answers with, in the order of the choices."""
    choices = own.choices
    if choices is None:
        return {value: value for value in there}
    if isinstance(choices, Mapping):
        return {str(value): str(word) for value, word in choices.items()}
    if isinstance(choices, Sequence) and not isinstance(choices, str):
        return {str(value): str(value) for value in choices}
    raise GroupgapError(f"{own.task}: option choices={choices!r}: expected a list of classes or {{class: word}}")


def _positive(own: OwnColumns, words: Mapping[str, str]) -> str | None:
    given = own.positive
    if given is None and len(words) > 2:
        return None
    if given is not None and str(given) in words:
        return words[str(given)]
    if given is not None and str(given) in words.values():
        return str(given)
    raise GroupgapError(
        f"{own.task}: option positive={given!r}: expected the class whose rates are compared, one of {', '.join(words)}"
    )


# -- groups -----------------------------------------------------------------------------------------------------------


def read_axes(frame: pd.DataFrame, own: OwnColumns, file: str) -> dict[str, list[list[str]]]:
    """Axis name -> each row's groups.

    Raises:
        GroupgapError: a cell that cannot be read, an axis that cannot have this name.
    """
    return {_axis_name(axis, own.task): groups for axis, groups in _axes(frame, own, file).items()}


def described(axes: Mapping[str, Sequence[Sequence[str]]], file: str) -> dict[str, dict[str, object]]:
    """The axes as ``metadata.fair.axes`` takes them; their fields have the axes' names."""
    return {axis: {"field": axis, "groups": _names(groups, axis, file)} for axis, groups in axes.items()}


def _axes(frame: pd.DataFrame, own: OwnColumns, file: str) -> dict[str, list[list[str]]]:
    columns = own.group_columns
    if isinstance(columns, Mapping):
        return {own.axis or "group": _flagged(frame, columns, file)}
    if isinstance(columns, str):
        return {own.axis or columns: _named(frame, columns, own.separator, file)}
    flags = [column for column in columns if is_boolean(frame[column])]
    if len(flags) == len(columns):
        return {own.axis or "group": _flagged(frame, {column: column for column in columns}, file)}
    if flags:
        rest = next(column for column in columns if column not in flags)
        raise GroupgapError(
            f"{file}: column {flags[0]!r} holds true/false and {rest!r} holds names; expected one kind in group_columns"
        )
    named = {column: _named(frame, column, own.separator, file) for column in columns}
    if own.axis is None:
        return named
    pooled = [list(dict.fromkeys(name for names in row for name in names)) for row in zip(*named.values(), strict=True)]
    return {own.axis: pooled}


def _axis_name(name: str, task: str) -> str:
    if name in TAKEN:
        raise GroupgapError(f"{task}: an axis cannot be called {name!r}: give another name as option 'axis'")
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
