"""The train/validation/test split of every task, and the order in which documents are asked.

One split for evaluation, training and attacks: whoever asks for a part of a task gets it from :func:`split_parts`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import GroupgapError
from .rows import Rows, stem_of

SPLITS = ("hash", "paper")
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
DEFAULT_SEED = 13

Document = dict[str, Any]


def part_of(row_id: str, seed: int = DEFAULT_SEED) -> str:
    """The part a row belongs to, from its id and the seed alone: other rows and their order do not matter.

    Copies of a row (``id#copy2``) go where the row goes.

    >>> part_of("17") == part_of("17#copy2")
    True
    """
    digest = hashlib.sha256(f"{seed}:{stem_of(row_id)}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    if share < TEST_SHARE:
        return "test"
    return "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


def split_parts(rows: Rows, split: str = "hash", seed: int = DEFAULT_SEED) -> dict[str, list[Document]]:
    """The parts of a dataset: as :func:`split_rows`, with the dataset's own unit and its own split of the paper.

    Raises:
        GroupgapError: as for :func:`split_rows`.
    """
    if split == "paper" and rows.paper_split is not None:
        return rows.paper_split(seed)
    return split_rows(rows.documents, split, seed, rows.unit)


def split_rows(
    documents: Sequence[Document], split: str = "hash", seed: int = DEFAULT_SEED, unit: str = "id"
) -> dict[str, list[Document]]:
    """Split documents into ``train``, ``validation`` and ``test``.

    Args:
        documents: dicts with an ``id``, in file order.
        split: ``"hash"``: by :func:`part_of`, about 70/10/20. ``"paper"``:
            ``datasets.Dataset.train_test_split(test_size=0.2)`` on file order, as in arXiv 2405.17512: shuffled, not
            stratified, redrawn with the seed, ``ceil(0.2 n)`` test rows, no validation.
        seed: the split's seed.
        unit: the field by whose hash ``"hash"`` splits; rows with one value share a part.

    Raises:
        GroupgapError: an unknown split; two documents with one id; too few documents for "paper".
    """
    if split not in SPLITS:
        raise GroupgapError(f"option split={split!r}: expected one of {', '.join(SPLITS)}")
    repeated = [row_id for row_id, times in Counter(document["id"] for document in documents).items() if times > 1]
    if repeated:
        raise GroupgapError(f"row id {repeated[0]!r} occurs more than once: a split needs one id a row")
    if split == "paper":
        return _paper_split(documents, seed)
    parts: dict[str, list[Document]] = {"train": [], "validation": [], "test": []}
    for document in documents:
        parts[part_of(document[unit], seed)].append(document)
    return parts


def _paper_split(documents: Sequence[Document], seed: int) -> dict[str, list[Document]]:
    from datasets import Dataset

    if len(documents) < 2:
        raise GroupgapError(f"split 'paper' needs 2 rows or more, got {len(documents)}: use split=hash and part=all")
    positions = Dataset.from_dict({"position": range(len(documents))})
    drawn = positions.train_test_split(test_size=TEST_SHARE, seed=seed)
    return {
        "train": [documents[position] for position in drawn["train"]["position"]],
        "validation": [],
        "test": [documents[position] for position in drawn["test"]["position"]],
    }


def interleave(documents: Iterable[Document], fields: Sequence[str]) -> list[Document]:
    """Order documents so that a prefix keeps every group: the first G documents hold all G groups.

    First one document for each group that is not covered yet (rarest group first), then round-robin, where a document
    counts for its rarest group and documents without a group are one more queue. Within a queue the order is that of
    the hashed ids. The result depends on the set of documents only, not on the order in which they came.

    Args:
        documents: dicts with an ``id`` and, for each field, a list of group names.
        fields: the axes' fields.
    """
    rows = sorted(documents, key=lambda document: hashlib.sha256(document["id"].encode()).digest())
    groups = [[(field, name) for field in fields for name in row[field]] for row in rows]
    sizes = Counter(group for of_row in groups for group in of_row)
    by_rarity = sorted(sizes, key=lambda group: (sizes[group], group))
    cover = _cover(groups, by_rarity)
    first = set(cover)
    rank = {group: place for place, group in enumerate(by_rarity)}
    queues: list[list[int]] = [[] for _ in range(len(by_rarity) + 1)]
    for position, of_row in enumerate(groups):
        if position not in first:
            queues[min((rank[group] for group in of_row), default=len(by_rarity))].append(position)
    return [rows[position] for position in (*cover, *_round_robin(queues))]


def _cover(groups: Sequence[Sequence[tuple[str, str]]], by_rarity: Sequence[tuple[str, str]]) -> list[int]:
    """One position for each group that an earlier one does not hold."""
    first_with: dict[tuple[str, str], int] = {}
    for position, of_row in enumerate(groups):
        for group in of_row:
            first_with.setdefault(group, position)
    covered: set[tuple[str, str]] = set()
    cover = []
    for group in by_rarity:
        if group not in covered:
            cover.append(first_with[group])
            covered.update(groups[first_with[group]])
    return cover


def _round_robin(queues: Sequence[Sequence[int]]) -> list[int]:
    """One of each queue in turn, until all are empty."""
    turns = ((turn, place, position) for place, queue in enumerate(queues) for turn, position in enumerate(queue))
    return [position for _, _, position in sorted(turns)]
