"""Draws that serve many systems at once: all answered the same samples, and what is drawn depends on no answer.

The samples of a table of counts lie in the order of its cells, each at a place. A bootstrap draws places, a permutation
of memberships deals them out anew; how often a cell was drawn, or how many members of a group an outcome got, is the
difference of two cumulated numbers at the ends of the cell. So a system costs a few differences and not draws of its
own, and what is drawn for it is the same whoever shares the draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .counts import Counts

__all__ = ["SharedDraws", "deal_groups", "draw_samples", "sharing", "worth_sharing"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

BLOCK_SIZE = 1 << 21  # samples times draws that are made at a time
SAMPLES_A_CELL = 2  # samples that are drawn one by one in less time than a cell takes
_SHARED_BYTES = 96 << 20  # of the draws that systems share at a time


@dataclass(frozen=True, eq=False)
class SharedDraws:
    """Cumulated numbers of drawn samples, at each place where some system's cell ends.

    Attributes:
        ends: (E,) samples before each end, ascending.
        cumulated: (..., E, draws) drawn samples before it, or members of groups among them.
    """

    ends: IntArray
    cumulated: npt.NDArray[np.unsignedinteger]

    def of(self, table: IntArray, draws: slice = slice(None)) -> npt.NDArray[np.float64]:
        """(..., K, draws) what each cell of a system's table was given.

        Args:
            table: (K,) samples in each cell; their ends must be among ``ends``.
            draws: some of them.
        """
        places = np.searchsorted(self.ends, np.cumsum(table))
        none = self.cumulated.dtype.type(0)
        return np.diff(self.cumulated[..., places, draws], axis=-2, prepend=none).astype(np.float64)

    def blocks(self, table: IntArray) -> Iterator[tuple[slice, npt.NDArray[np.float64]]]:
        """The same as (draws, K), some draws at a time, as :func:`groupgap.metrics.bootstrap.resample` yields them."""
        size, draws = max(1, BLOCK_SIZE // len(table)), self.cumulated.shape[-1]
        for start in range(0, draws, size):
            rows = slice(start, min(start + size, draws))
            yield rows, self.of(table, rows).T


def sharing(systems: Sequence[Counts], draws: int) -> list[tuple[list[int], bool]]:
    """The positions of systems that answered the same samples, as many together as fit into memory, and whether they
    share their draws: decided for all of the same samples, so that no system's numbers depend on its place.
    """
    alike: dict[tuple[bytes, bytes], list[int]] = {}
    for place, counts in enumerate(systems):
        alike.setdefault(counts.samples, []).append(place)
    found = []
    for places in alike.values():
        first = systems[places[0]]
        room = _SHARED_BYTES // (draws * np.min_scalar_type(first.n).itemsize)  # ends of cells
        cells = max(len(systems[place].counts) for place in places)
        dealt = len(first.groups) * len(first.classes) ** 2  # ends of outcomes, for each group
        most = max(1, room // (cells + dealt), (room - first.n) // dealt)
        shared = worth_sharing([systems[place].counts for place in places])
        found += [(part.tolist(), shared) for part in np.array_split(places, -(-len(places) // most))]
    return found


def worth_sharing(tables: Sequence[IntArray]) -> bool:
    """Whether drawing the samples one by one for all systems is cheaper than drawing the cells of each."""
    return len(tables) > 1 and 0 < int(tables[0].sum()) <= SAMPLES_A_CELL * sum(map(len, tables))


def draw_samples(tables: Sequence[IntArray], draws: int, rng: np.random.Generator) -> SharedDraws:
    """Bootstrap draws: as many samples as there are, with replacement.

    Args:
        tables: (K,) samples in each cell, of each system; all of one sum.
        draws: number of draws.
        rng: consumed in the same way whatever the tables.
    """
    ends, total = _ends(tables), int(tables[0].sum())
    cumulated = np.empty((len(ends), draws), dtype=np.min_scalar_type(total))
    rows = max(1, BLOCK_SIZE // total)
    for start in range(0, draws, rows):
        size = min(rows, draws - start)
        places = rng.integers(total, size=(size, total)) + total * np.arange(size)[:, None]
        often = np.bincount(places.ravel(), minlength=size * total).reshape(size, total)
        cumulated[:, start : start + size] = np.cumsum(often, axis=1, dtype=cumulated.dtype)[:, ends - 1].T
    return SharedDraws(ends, cumulated)


def deal_groups(
    patterns: BoolArray, rows: IntArray, tables: Sequence[IntArray], draws: int, rng: np.random.Generator
) -> SharedDraws:
    """Permutations of memberships against outcomes.

    Args:
        patterns: (P, G) bool.
        rows: (P,) samples with each pattern.
        tables: (C,) samples with each outcome, of each system; all of the sum of ``rows``.
        draws: number of permutations.
        rng: consumed in the same way whatever the tables.

    Returns:
        Cumulated numbers (G, E, draws) of each group's members.
    """
    ends, total = _ends(tables), int(rows.sum())
    cumulated = np.empty((patterns.shape[1], len(ends), draws), dtype=np.min_scalar_type(total))
    codes = np.repeat(np.arange(len(rows), dtype=np.min_scalar_type(len(rows))), rows)
    starts = np.concatenate([[0], ends[:-1]])
    block = max(1, BLOCK_SIZE // total)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        dealt = rng.permuted(np.broadcast_to(codes, (size, total)), axis=1)
        for group, members in enumerate(patterns.T.astype(np.uint8)):
            steps = np.add.reduceat(members[dealt], starts, axis=1, dtype=cumulated.dtype)
            cumulated[group, :, start : start + size] = np.cumsum(steps, axis=1, dtype=cumulated.dtype).T
    return SharedDraws(ends, cumulated)


def _ends(tables: Sequence[IntArray]) -> IntArray:
    """Every place where a filled cell of some system ends."""
    ends = np.unique(np.concatenate([np.cumsum(table) for table in tables]))
    return ends[ends > 0]
