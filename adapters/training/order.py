"""The order of the rows: from seed, epoch and row ids alone, so that every method of a seed sees the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .forms import Part


def order_of(ids: Sequence[str], seed: int, epoch: int) -> list[int]:
    """Places of the rows, sorted by the SHA-256 of seed, epoch and id.

    >>> order_of(["a", "b", "c"], 13, 0)
    [1, 0, 2]
    >>> order_of(["c", "b", "a"], 13, 0)
    [1, 2, 0]
    """
    keys = [hashlib.sha256(f"{seed}:{epoch}:{row_id}".encode()).digest() for row_id in ids]
    return sorted(range(len(ids)), key=keys.__getitem__)


def order_hash(ids: Iterable[str]) -> str:
    """``sha256:`` and the hash of row ids in the order in which they came."""
    digest = hashlib.sha256()
    for row_id in ids:
        digest.update(row_id.encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"


class SeededOrder:
    """A sampler (torch's protocol: iteration and length) that draws each epoch's order by :func:`order_of`.

    Args:
        ids: of the rows.
        seed: of the training.
        begin_epoch: told seed and epoch before the rows of an epoch are drawn.
    """

    def __init__(self, ids: Sequence[str], seed: int, begin_epoch: Callable[[int, int], None] | None = None) -> None:
        self._ids, self._seed, self._begin = ids, seed, begin_epoch
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """The Trainer says which epoch begins (from 0), after a resumption too."""
        self._epoch = epoch
        if self._begin:
            self._begin(self._seed, epoch)

    def __len__(self) -> int:
        """Rows in an epoch."""
        return len(self._ids)

    def __iter__(self) -> Iterator[int]:
        """The places of the current epoch, in order."""
        return iter(order_of(self._ids, self._seed, self._epoch))


class Rows:
    """A part as the Trainer's dataset: each row with its place, so that what the model really saw can be noted.

    Args:
        part: ids and rows.
    """

    def __init__(self, part: Part) -> None:
        self._part = part

    def __len__(self) -> int:
        """Rows of the part."""
        return len(self._part.ids)

    def __getitem__(self, place: int) -> tuple[int, Any]:
        """A place and its row."""
        return place, self._part.rows[place]
