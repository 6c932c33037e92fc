"""What a task's loader returns: documents, and where they come from."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

COPY_MARK = "#copy"
_MARKED = re.compile(rf"{COPY_MARK}[1-9][0-9]*\Z")


@dataclass(frozen=True)
class Rows:
    """The documents of one task.

    Attributes:
        documents: one dict a document, all with the same keys: ``id`` (stable row id), ``text`` (or the fields of
            :func:`images.image_fields`), ``label`` (index into the task's choices), and for each axis a field that
            lists the groups the document speaks of (none, one or several).
        origin: where the data comes from and what was dropped: ``source`` ("hub", "file" or "generated"), ``dataset``,
            ``revision`` (commit hash or None), ``files`` ({name: sha256}), ``rows``, and counts.
        fair: entries of ``metadata.fair`` (axes, positive) and ``choices`` that only the data can tell; None for most
            tasks.
        unit: the field whose value keeps rows in one part: the row itself, or a sentence pair.
        paper_split: seed -> the rows of ``train``, ``validation`` and ``test``, where the paper split this data in
            another way than by shuffled rows.
    """

    documents: list[dict[str, Any]]
    origin: dict[str, Any]
    fair: Mapping[str, Any] | None = field(default=None)
    unit: str = "id"
    paper_split: Callable[[int], dict[str, list[dict[str, Any]]]] | None = None


def text_id(text: str) -> str:
    """A stable id for a row that has none: the first 16 hex digits of the SHA-256 of its text.

    >>> text_id("a remark")
    '778d84fb7798fa50'
    """
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def number_copies(ids: Iterable[str]) -> list[str]:
    """Make ids unique: the second row with id ``a`` becomes ``a#copy2``. :func:`splits.split_rows` keeps copies in one
    part.

    An id that looks marked already is marked once more, so that :func:`stem_of` gives back every id as it was.

    >>> number_copies(["a", "b", "a", "b#copy2", "b"])
    ['a', 'b', 'a#copy2', 'b#copy2#copy1', 'b#copy2']
    """
    seen: Counter[str] = Counter()
    numbered = []
    for row_id in ids:
        seen[row_id] += 1
        plain = seen[row_id] == 1 and stem_of(row_id) == row_id
        numbered.append(row_id if plain else f"{row_id}{COPY_MARK}{seen[row_id]}")
    return numbered


def stem_of(row_id: str) -> str:
    """The id that a row had before :func:`number_copies`; any other ``#`` belongs to the id.

    >>> stem_of("a#copy2"), stem_of("owner/name#17")
    ('a', 'owner/name#17')
    """
    return _MARKED.sub("", row_id)
