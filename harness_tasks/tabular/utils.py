"""Loader of the user's own file: text, labels and groups in columns that ``--metadata`` names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import GroupgapError
from ..columns import need_columns, text_column
from ..own_columns import OwnColumns, described, read_axes, read_classes
from ..rows import COPY_MARK, Rows, number_copies, text_id
from ..sources import parse


@dataclass(frozen=True)
class FileOptions:
    """What ``--metadata`` says about the user's file.

    Attributes:
        file: a .csv, .tsv, .jsonl or .parquet file.
        columns: which hold the classes and the groups.
        text_column: the text that is judged.
        id_column: stable row ids; default: the hash of the text.
        question: what the model is asked about the text.
    """

    file: str
    columns: OwnColumns
    text_column: str = "text"
    id_column: str | None = None
    question: str | None = None

    @classmethod
    def read(cls, options: Mapping[str, object]) -> FileOptions:
        """Pick our options out of all that lm-eval passes.

        Raises:
            GroupgapError: a missing or a wrongly typed one.
        """
        for name in ("file", "group_columns"):
            if not options.get(name):
                raise GroupgapError(
                    f"csv_fair: option {name!r} is missing: "
                    '--metadata \'{"file": "my.csv", "text_column": "text", "label_column": "label", '
                    '"group_columns": "religion", "positive": "yes"}\''
                )
        for name in ("file", "text_column", "label_column", "axis", "separator", "id_column", "question"):
            value = options.get(name)
            if value is not None and (not isinstance(value, str) or not value):
                raise GroupgapError(f"csv_fair: option {name}={value!r}: expected a string")
        return cls(columns=OwnColumns(task="csv_fair", **_picked(OwnColumns, options)), **_picked(cls, options))


def _picked(kind: type, options: Mapping[str, object]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)} - {"columns", "task"}
    return {name: value for name, value in options.items() if name in names}


def own_file(**options: object) -> Rows:
    """The rows of the user's file, with axes, choices and positive class as the file and the options say.

    Raises:
        GroupgapError: whatever is wrong with the options or the file, with the column and the row.
    """
    wanted = FileOptions.read(options)
    frame, file, digest = _open(wanted)
    texts = text_column(frame, wanted.text_column, file)
    ids = number_copies(text_column(frame, wanted.id_column, file) if wanted.id_column else map(text_id, texts))
    classes = read_classes(frame, wanted.columns, file)
    prompts = _prompts(texts, wanted, classes.words)
    axes = read_axes(frame, wanted.columns, file)
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
    fair = {"axes": described(axes, file), "choices": list(classes.words), "positive": classes.positive}
    return Rows(documents, origin, fair)


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
    own = wanted.columns
    columns = [wanted.text_column, own.label_column, *own.group_column_names, *optional]
    need_columns(frame, columns, path.name)
    return frame, path.name, hashlib.sha256(data).hexdigest()


def _prompts(texts: Sequence[str], wanted: FileOptions, words: Sequence[str]) -> list[str]:
    question = wanted.question or f"Which label fits this text: {', '.join(words[:-1])} or {words[-1]}?"
    return [f"Text: {text}\n{question}\nAnswer:" for text in texts]
