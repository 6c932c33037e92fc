"""Counts: how often each (groups, label, prediction) occurs, from which every label metric follows exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from .coding import class_codes, group_codes

__all__ = ["Counts", "check_names", "count"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Counts:
    """The distinct (membership pattern, label, prediction) triples of a system's answers, with their counts.

    Attributes:
        patterns: (K, G) bool, the groups that the samples of a cell belong to; groups may overlap, a row may be empty.
        labels: (K,) class index.
        predictions: (K,) class index.
        counts: (K,) samples in the cell, 0 or more.
        groups: the G group names.
        classes: the class names.

    Cells are kept merged and in one order, so that equal data give equal counts; counts of the same groups and classes
    add with ``+``.

    Raises:
        GroupgapError: for shapes that differ, negative counts, class indices out of range, names that occur twice.
    """

    patterns: BoolArray
    labels: IntArray
    predictions: IntArray
    counts: IntArray
    groups: tuple[str, ...]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check, merge equal cells, sort."""
        check_names("groups", self.groups)
        check_names("classes", self.classes)
        columns = {"labels": self.labels, "predictions": self.predictions}
        patterns, codes, counts = canonical_cells(self.patterns, columns, self.counts, self.groups, self.classes)
        for name, array in (
            ("patterns", patterns),
            ("labels", codes[:, 0]),
            ("predictions", codes[:, 1]),
            ("counts", counts),
        ):
            fixed = np.ascontiguousarray(array)
            fixed.setflags(write=False)
            object.__setattr__(self, name, fixed)

    @property
    def n(self) -> int:
        """Samples in all cells."""
        return int(self.counts.sum())

    @property
    def samples(self) -> tuple[bytes, bytes]:
        """Which samples were answered, however they were: each kind of (groups, label), and how many there are."""
        kinds = np.concatenate([self.patterns, self.labels[:, None]], axis=1)
        starts = np.flatnonzero(np.any(np.diff(kinds, axis=0, prepend=-1) != 0, axis=1))
        return kinds[starts].tobytes(), np.add.reduceat(self.counts, starts).tobytes()

    def __add__(self, other: Counts) -> Counts:
        """Counts of both parts together; groups and classes must be the same, in the same order."""
        if not isinstance(other, Counts):
            return NotImplemented
        for name, mine, theirs in (
            ("groups", self.groups, other.groups),
            ("classes", self.classes, other.classes),
        ):
            if mine != theirs:
                raise GroupgapError(
                    f"Cannot add counts whose {name} differ: {mine} and {theirs}. "
                    f"Pass the same '{name}' to every count()"
                )
        return Counts(
            np.concatenate([self.patterns, other.patterns]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.predictions, other.predictions]),
            np.concatenate([self.counts, other.counts]),
            self.groups,
            self.classes,
        )

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same cells, groups and classes."""
        if not isinstance(other, Counts):
            return NotImplemented
        arrays = ("patterns", "labels", "predictions", "counts")
        same = all(np.array_equal(getattr(self, name), getattr(other, name)) for name in arrays)
        return same and self.groups == other.groups and self.classes == other.classes

    __hash__ = None  # type: ignore[assignment]


def check_names(argument: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names as a tuple, or refuse none at all, one that is no string, and one that occurs twice."""
    names = tuple(names)
    if not names:
        raise GroupgapError(f"Expected argument '{argument}' to name at least one, but got none: name them")
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise GroupgapError(f"Expected argument '{argument}' to hold strings, but got {wrong[0]!r}: pass str(...)")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise GroupgapError(f"Expected argument '{argument}' to hold each name once, but {twice[0]!r} occurs twice")
    return names


def canonical_cells(
    patterns: BoolArray,
    columns: dict[str, IntArray],
    counts: IntArray,
    groups: tuple[str, ...],
    classes: tuple[str, ...],
) -> tuple[BoolArray, IntArray, IntArray]:
    """Check the arrays of a table of cells, merge equal cells, drop empty ones, and put them in one order.

    Returns:
        patterns (K, G), the columns side by side (K, len(columns)), counts (K,).
    """
    patterns = np.asarray(patterns)
    if patterns.dtype != np.bool_ or patterns.ndim != 2 or patterns.shape[1] != len(groups):
        raise GroupgapError(
            f"Expected 'patterns' to be a bool matrix with {len(groups)} columns, one for each group, "
            f"but got shape {patterns.shape} of {patterns.dtype}"
        )
    for name, values in {**columns, "counts": counts}.items():
        values = np.asarray(values)
        if values.shape != patterns.shape[:1] or values.dtype.kind not in "iu":
            raise GroupgapError(
                f"Expected '{name}' to hold {len(patterns)} integers, one for each cell, "
                f"but got shape {values.shape} of {values.dtype}"
            )
        if values.size and (values.min() < 0 or (name != "counts" and values.max() >= len(classes))):
            allowed = "0 or more" if name == "counts" else f"class indices from 0 to {len(classes) - 1}"
            raise GroupgapError(f"Expected '{name}' to be {allowed}, but got {values.min()} to {values.max()}")
    codes = np.stack([np.asarray(values, dtype=np.int64) for values in columns.values()], axis=1)
    counts = np.asarray(counts, dtype=np.int64)
    keys = np.concatenate([np.packbits(patterns, axis=1).astype(np.int64), codes], axis=1)[counts > 0]
    _, first, cell = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    merged = np.zeros(len(first), dtype=np.int64)
    np.add.at(merged, cell.ravel(), counts[counts > 0])
    kept = np.flatnonzero(counts > 0)[first]
    return patterns[kept], codes[kept], merged


def count(
    labels: npt.ArrayLike,
    predictions: npt.ArrayLike,
    membership: npt.ArrayLike,
    groups: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> Counts:
    """Count the answers of one system.

    Args:
        labels: (n,) class indices (integers) or class names (strings).
        predictions: (n,) of the same type.
        membership: (n, G) bool, groups may overlap; or (n,) strings, one group for each sample.
        groups: the G names: needed for a matrix; for a column they fix the order and name absent groups too.
        classes: class names in the order of their index; by default the sorted names, or ``"0", "1", ...``.

    Returns:
        Counts of the distinct (pattern, label, prediction) triples.

    Raises:
        GroupgapError: for lengths that differ, NaN, labels of another type, unknown names, names that occur twice.

    Example:
        >>> counts = count([1, 0, 1, 1], [1, 0, 0, 1], ["a", "a", "b", "b"])
        >>> counts.n, counts.groups, counts.classes
        (4, ('a', 'b'), ('0', '1'))
    """
    (label, prediction), class_names = class_codes({"labels": labels, "predictions": predictions}, classes)
    code, patterns, names = group_codes(membership, groups, len(label))
    size = len(class_names)
    cell = (code * size + label) * size + prediction
    cells, amounts = tally_codes(cell, len(patterns) * size * size)
    return Counts(
        patterns[cells // (size * size)],
        cells // size % size,
        cells % size,
        amounts,
        check_names("groups", names),
        class_names,
    )


def tally_codes(codes: IntArray, limit: int) -> tuple[IntArray, IntArray]:
    """The distinct codes and how often each occurs; counts in an array of ``limit`` bins where that is cheaper."""
    if limit <= max(1 << 16, 4 * len(codes)):
        amounts = np.bincount(codes, minlength=1)
        distinct = np.flatnonzero(amounts)
        return distinct.astype(np.int64), amounts[distinct].astype(np.int64)
    distinct, amounts = np.unique(codes, return_counts=True)
    return distinct.astype(np.int64), amounts.astype(np.int64)
