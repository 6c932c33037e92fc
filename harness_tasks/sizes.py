"""How many documents each group of a dataset has: the tables of ``docs/datasets``.

``python -m groupgap.harness_tasks.sizes hatexplain:religion hatexplain_files=annotators`` prints one table per axis.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import GroupgapError
from .rows import Rows
from .splits import split_rows

USAGE = (
    "usage: python -m groupgap.harness_tasks.sizes FOLDER:LOADER [OPTION=VALUE ...], e.g. toxigen:toxigen label=intent"
)


def size_table(rows: Rows, axis: str) -> str:
    """A Markdown table: documents, positives (label 1) and documents of the test part, overall and for each group."""
    test = {document["id"] for document in split_rows(rows.documents)["test"]}
    groups = sorted({name for document in rows.documents for name in document[axis]})
    lines = ["| group | documents | positive | in the test part | positive there |", "|---|---|---|---|---|"]
    without = any(not document[axis] for document in rows.documents)
    for name in ["(all)", *groups, *(["(no group)"] if without else [])]:
        picked = [document for document in rows.documents if _belongs(document[axis], name)]
        tested = [document for document in picked if document["id"] in test]
        counts = (len(picked), _positives(picked), len(tested), _positives(tested))
        lines.append(f"| {name} | " + " | ".join(f"{count:,}" for count in counts) + " |")
    return "\n".join(lines)


def _belongs(names: Sequence[str], name: str) -> bool:
    return name == "(all)" or (not names if name == "(no group)" else name in names)


def _positives(documents: Sequence[dict[str, Any]]) -> int:
    return sum(document["label"] == 1 for document in documents)


def _options(arguments: Sequence[str]) -> dict[str, object]:
    options: dict[str, object] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            raise GroupgapError(f"{argument!r}: expected OPTION=VALUE; {USAGE}")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def _loader(folder: str, name: str) -> Callable[..., Rows]:
    try:
        loader: Callable[..., Rows] = getattr(importlib.import_module(f".{folder}.utils", __package__), name)
    except (ImportError, AttributeError) as error:
        raise GroupgapError(f"no loader {folder}:{name} ({error}); {USAGE}") from error
    return loader


def main(arguments: Sequence[str]) -> int:
    """Load, and print a table for each axis."""
    try:
        folder, colon, loader = (arguments[0] if arguments else "").partition(":")
        if not (folder.isidentifier() and colon and loader.isidentifier()):
            raise GroupgapError(USAGE)
        rows = _loader(folder, loader)(**_options(arguments[1:]))
    except GroupgapError as error:
        print(f"groupgap: error: {error}", file=sys.stderr)
        return 2
    for axis in (name for name, value in rows.documents[0].items() if isinstance(value, list)):
        print(f"{axis}:\n\n{size_table(rows, axis)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
