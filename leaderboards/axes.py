"""Which groups a document belongs to: the axes of a task, from its own metadata or from the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError

MAX_GROUPS = 500
_ABSENT = object()


@dataclass(frozen=True)
class Axis:
    """A sensitive attribute of a task's documents.

    Attributes:
        name: how it is shown.
        path: the field of the document that holds a group's name or a list of them (groups may overlap), with dots
            for nested fields.
        groups: all groups in their fixed order, or ``None``: the names that occur, sorted.
    """

    name: str
    path: str
    groups: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Reading:
    """How foreign tasks are to be read, from the command line.

    Attributes:
        axes: task to the paths of its axes.
        positive: task to the text of its positive choice.
    """

    axes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    positive: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_options(cls, axes: Iterable[str] = (), positive: Iterable[str] = ()) -> Reading:
        """Read ``--axis TASK=doc.FIELD`` and ``--positive TASK=CHOICE``, each as often as wanted.

        Raises:
            GroupgapError: for an option of another form, or a task with two positive choices.
        """
        paths: dict[str, tuple[str, ...]] = {}
        for option in axes:
            task, _, path = option.partition("=")
            if not task or not path.startswith("doc.") or not all(path.split(".")):
                raise GroupgapError(f"--axis {option}: expected TASK=doc.FIELD, for instance my_task=doc.category")
            if path[4:] not in paths.get(task, ()):
                paths[task] = (*paths.get(task, ()), path[4:])
        choices: dict[str, str] = {}
        for option in positive:
            task, equals, choice = option.partition("=")
            if not task or not equals or not choice:
                raise GroupgapError(f"--positive {option}: expected TASK=CHOICE, a choice's text")
            if choices.setdefault(task, choice) != choice:
                raise GroupgapError(f"--positive {task}: two choices, {choices[task]!r} and {choice!r}; expected one")
        return cls(paths, choices)

    def check_tasks(self, tasks: Iterable[str]) -> None:
        """Refuse an option for a task that no run answers."""
        known = sorted(set(tasks))
        for flag, options in (("--axis", self.axes), ("--positive", self.positive)):
            for task in options:
                if task not in known:
                    raise GroupgapError(
                        f"{flag} {task}=...: no run answers the task {task!r}; the tasks are {', '.join(known)}"
                    )


def axes_of(task: str, fair: Mapping[str, Any], reading: Reading) -> tuple[Axis, ...]:
    """The axes of a task: those that it declares, and those of the command line (which win where names are equal).

    Args:
        task: its name.
        fair: ``metadata.fair`` of the task, empty for a foreign one.
        reading: the command line.

    Returns:
        The axes, none for a foreign task without ``--axis``.

    Raises:
        GroupgapError: if ``metadata.fair.axes`` has another form.
    """
    declared = fair.get("axes") or {}
    if not isinstance(declared, dict) or not all(isinstance(entry, dict) for entry in declared.values()):
        raise GroupgapError(f"task {task}: metadata.fair.axes: expected a mapping of axis to its field and groups")
    axes = {}
    for name, entry in declared.items():
        groups = entry.get("groups")
        names = tuple(dict.fromkeys(map(str, groups))) if isinstance(groups, list) and groups else None
        axes[name] = Axis(name, str(entry.get("field", name)), names)
    for path in reading.axes.get(task, ()):
        kept = next((axis for axis in axes.values() if axis.path == path), None)
        if kept is None:
            axes[path] = Axis(path, path)
    return tuple(axes.values())


def value_at(document: Mapping[str, Any], path: str) -> object:
    """The value of a nested field; a sentinel that is no JSON value where it is absent."""
    value: object = document
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return _ABSENT
        value = value[part]
    return value


def groups_at(document: Mapping[str, Any], path: str) -> tuple[str, ...] | None:
    """The groups of one document, each once; ``None`` where the field is absent, null, or holds an empty text or NaN.

    Raises:
        GroupgapError: if the field holds an object, or a list of anything but plain values.
    """
    value = value_at(document, path)
    if value is _ABSENT or value is None:
        return None
    names = value if isinstance(value, list) else [value]
    if any(name == "" or (isinstance(name, float) and not math.isfinite(name)) for name in names):
        return None
    if not all(isinstance(name, str | int | float) for name in names):
        raise GroupgapError(f"axis doc.{path}: expected a group's name or a list of names, but got {_kind(value)}")
    return tuple(dict.fromkeys(str(name) for name in names))


def membership(
    where: str, axis: Axis, columns: Sequence[tuple[str, ...] | None], fields: Callable[[], str]
) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """The membership matrix of an axis.

    Args:
        where: the samples file, for messages.
        axis: whose groups.
        columns: for each document its groups, ``None`` where the field is missing.
        fields: called for a message: the fields that could serve instead, in words.

    Returns:
        (n, G) bool and the G names.

    Raises:
        GroupgapError: if the field is missing in some rows, if a group is not declared, if there are no groups or too
        many.
    """
    groups = _group_names(where, axis, columns, fields)
    position = {name: index for index, name in enumerate(groups)}
    matrix = np.zeros((len(columns), len(groups)), dtype=np.bool_)
    for row, column in enumerate(columns):
        for name in column or ():
            matrix[row, position[name]] = True
    return matrix, groups


def _group_names(
    where: str, axis: Axis, columns: Sequence[tuple[str, ...] | None], fields: Callable[[], str]
) -> tuple[str, ...]:
    missing = sum(column is None for column in columns)
    if missing:
        raise GroupgapError(
            f"{where}: the axis field doc.{axis.path} is missing or null (or an empty text, or NaN) in "
            f"{missing:,} of {len(columns):,} rows; "
            f"an empty list means 'no group'. Fields to choose from: {fields()}"
        )
    occurring = sorted({name for column in columns for name in column or ()})
    groups = axis.groups or tuple(occurring)
    unknown = [name for name in occurring if name not in set(groups)]
    if unknown:
        raise GroupgapError(
            f"{where}: axis {axis.name}: groups {', '.join(unknown[:5])} are not among those the task declares"
        )
    if not groups:
        raise GroupgapError(f"{where}: the axis field doc.{axis.path} names no group in any row")
    if len(groups) > MAX_GROUPS:
        raise GroupgapError(
            f"{where}: the axis field doc.{axis.path} has {len(groups):,} values in {len(columns):,} rows, "
            f"more than {MAX_GROUPS}: not an axis. Fields to choose from: {fields()}"
        )
    return groups


def survey_fields(documents: Iterable[Mapping[str, Any]]) -> str:
    """The fields that could be an axis, those with 2 to 50 short values that recur, in words.

    Example:
        >>> documents = [{"text": "...", "faith": ["a", "b"]}, {"text": "...", "faith": "a", "meta": {"lang": "de"}}]
        >>> survey_fields(documents)
        'doc.faith (2 values)'
    """
    values: dict[str, set[str]] = {}
    rows = 0
    for document in documents:
        _survey(document, "", values)
        rows += 1
    most = min(50, max(2, rows // 2))
    fitting = [f"doc.{path} ({len(seen)} values)" for path, seen in values.items() if 2 <= len(seen) <= most]
    return ", ".join(fitting) or "no field has 2 to 50 short values"


def _survey(document: Mapping[str, Any], prefix: str, values: dict[str, set[str]]) -> None:
    for key, value in document.items():
        if isinstance(value, dict) and prefix.count(".") < 3:
            _survey(value, f"{prefix}{key}.", values)
            continue
        seen = values.setdefault(f"{prefix}{key}", set())
        if len(seen) <= 50:
            names = value if isinstance(value, list) else [value]
            seen.update(str(name) for name in names if isinstance(name, str | int) and len(str(name)) <= 60)


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return f"an object; choose one of its fields: {', '.join(map(str, list(value)[:8]))}"
    return "a list that holds lists or objects" if isinstance(value, list) else f"a {type(value).__name__}"
