"""Joint counts of two systems on the same samples, and the units (samples or clusters of them) that are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import GroupgapError
from .coding import class_codes, group_codes
from .counts import BoolArray, Counts, IntArray, canonical_cells, check_names, tally_codes

__all__ = ["Clusters", "JointCounts", "count_pair"]


@dataclass(frozen=True, eq=False)
class Clusters:
    """Clusters of samples (prompt variants of one document, sentence pairs) by what they hold.

    Attributes:
        kinds: (T, K) samples of each cell in a cluster of each kind.
        counts: (T,) clusters of each kind.
    """

    kinds: IntArray
    counts: IntArray


@dataclass(frozen=True, eq=False)
class JointCounts:
    """The distinct (membership pattern, label, prediction A, prediction B) cells of two systems, with their counts.

    Attributes:
        patterns: (K, G) bool.
        labels: (K,) class index.
        predictions_a: (K,) class index.
        predictions_b: (K,) class index.
        counts: (K,) samples in the cell.
        groups: the G group names.
        classes: the class names.
        clusters: the clusters that are drawn and swapped as a whole; ``None`` where every sample is its own.

    Raises:
        GroupgapError: as for :class:`Counts`.
    """

    patterns: BoolArray
    labels: IntArray
    predictions_a: IntArray
    predictions_b: IntArray
    counts: IntArray
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    clusters: Clusters | None = None

    def __post_init__(self) -> None:
        """Check, merge equal cells, sort; cells that clusters refer to are taken as they are."""
        check_names("groups", self.groups)
        check_names("classes", self.classes)
        if self.clusters is not None:
            if self.clusters.kinds.shape != (len(self.clusters.counts), len(self.counts)):
                raise GroupgapError(
                    "Expected 'clusters' to count every cell of every kind of cluster: use count_pair()"
                )
            return
        columns = {
            "labels": self.labels,
            "predictions_a": self.predictions_a,
            "predictions_b": self.predictions_b,
        }
        patterns, codes, counts = canonical_cells(self.patterns, columns, self.counts, self.groups, self.classes)
        object.__setattr__(self, "patterns", patterns)
        object.__setattr__(self, "counts", counts)
        for position, name in enumerate(columns):
            object.__setattr__(self, name, np.ascontiguousarray(codes[:, position]))

    @property
    def n(self) -> int:
        """Samples."""
        return int(self.counts.sum())

    @cached_property
    def a(self) -> Counts:
        """Counts of the first system."""
        return Counts(self.patterns, self.labels, self.predictions_a, self.counts, self.groups, self.classes)

    @cached_property
    def b(self) -> Counts:
        """Counts of the second system."""
        return Counts(self.patterns, self.labels, self.predictions_b, self.counts, self.groups, self.classes)

    def units(self) -> tuple[IntArray, IntArray | None]:
        """How many units of each kind there are, and what each kind holds (``None``: one sample of its cell)."""
        return (self.counts, None) if self.clusters is None else (self.clusters.counts, self.clusters.kinds)

    def __add__(self, other: JointCounts) -> JointCounts:
        """Counts of both parts; groups and classes must be the same; clusters cannot be added."""
        if not isinstance(other, JointCounts):
            return NotImplemented
        if self.clusters is not None or other.clusters is not None:
            raise GroupgapError("Cannot add joint counts with clusters: count all samples in one call of count_pair()")
        for name in ("groups", "classes"):
            if getattr(self, name) != getattr(other, name):
                raise GroupgapError(f"Cannot add joint counts whose {name} differ: pass the same '{name}' to both")
        names = ("patterns", "labels", "predictions_a", "predictions_b", "counts")
        stacked = [np.concatenate([getattr(self, name), getattr(other, name)]) for name in names]
        patterns, labels, first, second, counts = stacked
        return JointCounts(patterns, labels, first, second, counts, self.groups, self.classes)


def count_pair(
    labels: npt.ArrayLike,
    predictions: tuple[npt.ArrayLike, npt.ArrayLike],
    membership: npt.ArrayLike,
    groups: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    clusters: npt.ArrayLike | None = None,
) -> JointCounts:
    """Count the answers of two systems on the same samples.

    Args:
        labels: (n,) class indices or names.
        predictions: (n,) of system A and (n,) of system B, of the same type, in the order of the labels.
        membership: as for :func:`groupgap.metrics.count`.
        groups: as for ``count``.
        classes: as for ``count``.
        clusters: (n,) name or number of the cluster of each sample; whole clusters are then drawn and swapped.

    Raises:
        GroupgapError: as for ``count``.

    Example:
        >>> joint = count_pair([1, 0, 1], ([1, 0, 0], [1, 1, 1]), ["a", "a", "b"])
        >>> joint.n, joint.a.n, joint.groups
        (3, 3, ('a', 'b'))
    """
    columns = {"labels": labels, "predictions of A": predictions[0], "predictions of B": predictions[1]}
    codes, names = class_codes(columns, classes)
    code, patterns, group_names = group_codes(membership, groups, len(codes[0]))
    size = len(names)
    cell = code
    for one in codes:
        cell = cell * size + one
    cells, amounts = tally_codes(cell, len(patterns) * size**3)
    parts = (patterns[cells // size**3], cells // size**2 % size, cells // size % size, cells % size)
    checked = check_names("groups", group_names)
    if clusters is None:
        return JointCounts(*parts, amounts, checked, names)
    found = _clusters(clusters, np.searchsorted(cells, cell), len(cells))
    return JointCounts(*parts, amounts, checked, names, found)


def _clusters(clusters: npt.ArrayLike, cell: IntArray, cells: int) -> Clusters:
    """Clusters by kind, from the cluster and the cell of each sample."""
    names = np.asarray(clusters)
    if names.shape != cell.shape:
        raise GroupgapError(
            f"Expected 'clusters' to have {len(cell)} values, one for each label, but got shape {names.shape}"
        )
    if pd.isna(names).any():
        raise GroupgapError("Expected 'clusters' to have no missing value, but got NaN or None: name the cluster")
    code, _ = pd.factorize(names)
    sizes = np.bincount(code, minlength=0)
    width = int(sizes.max(initial=0))
    if width >= cells:
        return _kinds_of(_table(code, cell, len(sizes), cells))
    # Far fewer cells in a cluster than there are: its cells in order, padded, instead of a row of mostly zeros.
    order = np.lexsort((cell, code))
    place = np.arange(len(code)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    held = np.full((len(sizes), width), -1, dtype=np.int64)
    held[code[order], place] = cell[order]
    found = _kinds_of(held)
    kind, column = np.nonzero(found.kinds >= 0)
    return Clusters(_table(kind, found.kinds[kind, column], len(found.counts), cells), found.counts)


def _table(rows: IntArray, columns: IntArray, height: int, width: int) -> IntArray:
    """(height, width) how often each (row, column) occurs."""
    table = np.zeros((height, width), dtype=np.int64)
    np.add.at(table, (rows, columns), 1)
    return table


def _kinds_of(rows: IntArray) -> Clusters:
    kinds, amounts = np.unique(rows, axis=0, return_counts=True)
    return Clusters(kinds, amounts.astype(np.int64))
