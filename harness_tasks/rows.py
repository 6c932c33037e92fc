"""What a task's loader returns: documents, and where they come from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

COPY_MARK = "#"


@dataclass(frozen=True)
class Rows:
    """The documents of one task.

    Attributes:
        documents: one dict a document, all with the same keys: ``id`` (stable row id), ``text``, ``label`` (index into
            the task's choices), and for each axis a field that lists the groups the document speaks of (none, one or
            several).
        origin: where the data comes from and what was dropped: ``source`` ("hub", "file" or "generated"), ``dataset``,
            ``revision`` (commit hash or None), ``files`` ({name: sha256}), ``rows``, and counts.
        fair: entries of ``metadata.fair`` (axes, positive) and ``choices`` that only the data can tell; None for most
            tasks.
    """

    documents: list[dict[str, Any]]
    origin: dict[str, Any]
    fair: Mapping[str, Any] | None = field(default=None)


def text_id(text: str) -> str:
    """A stable id for a row that has none: the first 16 hex digits of the SHA-256 of its text.

    >>> text_id("a remark")
    '778d84fb7798fa50'
    """
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def number_copies(ids: Iterable[str]) -> list[str]:
    """Make ids unique: the second row with id ``a`` becomes ``a#2``. :func:`splits.split_rows` keeps copies in one
    part.

    >>> number_copies(["a", "b", "a"])
    ['a', 'b', 'a#2']
    """
    seen: Counter[str] = Counter()
    numbered = []
    for row_id in ids:
        seen[row_id] += 1
        numbered.append(row_id if seen[row_id] == 1 else f"{row_id}{COPY_MARK}{seen[row_id]}")
    return numbered
