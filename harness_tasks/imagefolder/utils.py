"""Loader of the user's own images: a folder with a table, or folders named after the classes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from ...errors import GroupgapError
from ..columns import need_columns, text_column
from ..image_rows import ImageOptions, ImageSource, Labelled, image_rows
from ..images import SUFFIXES, image_path, image_root
from ..own_columns import OwnColumns, described, read_axes, read_classes
from ..rows import Rows
from ..sources import parse

TASK = "imagefolder_fair"
CLASS_FOLDER = "class folder"
GROUP_FOLDER = "group"
EXAMPLE = (
    '--metadata \'{"folder": "mine", "table": "labels.csv", "path_column": "file", "label_column": "label", '
    '"group_columns": "faith", "positive": "yes"}\''
)


@dataclass(frozen=True)
class FolderOptions:
    """What ``--metadata`` says about the user's folder.

    Attributes:
        folder: a subfolder of ``GROUPGAP_DATA``.
        columns: which hold the classes and the groups.
        table: a .csv, .tsv, .jsonl or .parquet file in it; without one, the folders are ``CLASS/GROUP/...``.
        path_column: the image's path in the folder.
        by_folder: the class is the first folder of the path, as in torchvision's ``ImageFolder``; the table then needs
            no label column.
    """

    folder: str
    columns: OwnColumns
    table: str | None
    path_column: str
    by_folder: bool

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> FolderOptions:
        """Pick our options out of all that lm-eval passes.

        Raises:
            GroupgapError: a missing or a wrongly typed one.
        """
        table = options.get("table")
        needed = ("folder", "group_columns") if table else ("folder",)
        missing = next((name for name in needed if not options.get(name)), None)
        if missing:
            raise GroupgapError(f"{TASK}: option {missing!r} is missing: {EXAMPLE}")
        for name in ("folder", "table", "path_column", "label_column", "axis", "separator"):
            value = options.get(name)
            if value is not None and (not isinstance(value, str) or not value):
                raise GroupgapError(f"{TASK}: option {name}={value!r}: expected a string")
        if not table and options.get("group_columns"):
            raise GroupgapError(f"{TASK}: option group_columns needs a table: {EXAMPLE}")
        by_folder = not table or not options.get("label_column")
        names = {field.name for field in fields(OwnColumns)} - {"task"}
        own = {name: value for name, value in options.items() if name in names}
        own |= {"label_column": CLASS_FOLDER} if by_folder else {}
        own |= {} if table else {"group_columns": GROUP_FOLDER}
        path_column = options.get("path_column") or "path"
        return cls(options["folder"], OwnColumns(task=TASK, **own), table, path_column, by_folder)


def own_folder(**options: object) -> Rows:
    """The images of the user's folder, with axes, choices and positive class as the table and the options say.

    Raises:
        GroupgapError: whatever is wrong with the options, the table or the images, with column and row.
    """
    wanted = FolderOptions.read(options)
    root = image_root(wanted.folder)
    frame, where, digests = _table(root, wanted) if wanted.table else _tree(root, wanted)
    own = wanted.columns
    paths = text_column(frame, wanted.path_column, where)
    if wanted.table and wanted.by_folder:
        frame = frame.assign(**{CLASS_FOLDER: [_class_of(path, where) for path in paths]})
    need_columns(frame, [own.label_column, *own.group_column_names], where)
    classes, axes = read_classes(frame, own, where), read_axes(frame, own, where)
    labelled = (
        Labelled(path, classes.labels[row], {axis: axes[axis][row] for axis in axes}) for row, path in enumerate(paths)
    )
    origin: dict[str, Any] = {"source": "file", "dataset": wanted.folder, "revision": None, "files": digests}
    fair = {"axes": described(axes, where), "choices": list(classes.words), "positive": classes.positive}
    return image_rows(ImageSource(wanted.folder, where, origin, fair, ImageOptions.read(options)), labelled)


def _table(root: Path, wanted: FolderOptions) -> tuple[pd.DataFrame, str, dict[str, str]]:
    name = str(wanted.table)
    path = image_path(root, name)
    if not path.is_file():
        raise GroupgapError(f"{TASK}: {name}: no such file in {root}")
    data = path.read_bytes()
    frame = parse(data, name)
    if frame.empty:
        raise GroupgapError(f"{name}: holds no rows")
    need_columns(frame, [wanted.path_column], name)
    return frame, name, {name: hashlib.sha256(data).hexdigest()}


def _class_of(path: str, where: str) -> str:
    """The first folder of a path."""
    parts = PurePosixPath(path).parts
    if len(parts) < 2:
        raise GroupgapError(
            f"{where}: the image {path!r:.160} lies in no folder that could name its class: give label_column"
        )
    return parts[0]


def _tree(root: Path, wanted: FolderOptions) -> tuple[pd.DataFrame, str, dict[str, str]]:
    """The images of ``CLASS/GROUP/...`` as a table."""
    rows = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        inside = path.relative_to(root)
        if len(inside.parts) < 3:
            raise GroupgapError(
                f"{root}: the image {inside.as_posix()!r:.160} has no folder of its group: expected CLASS/GROUP/IMAGE, "
                f"or a table with the groups: {EXAMPLE}"
            )
        rows.append((inside.as_posix(), *inside.parts[:2]))
    if not rows:
        raise GroupgapError(f"{root}: holds no images")
    return pd.DataFrame(rows, columns=[wanted.path_column, CLASS_FOLDER, GROUP_FOLDER], dtype=object), str(root), {}
