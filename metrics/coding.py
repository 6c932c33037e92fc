"""From a user's arrays to integer codes: class indices, and one code for each distinct membership pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import GroupgapError

__all__ = ["class_codes", "group_codes", "intersect", "membership_matrix"]

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_BITS = 48  # groups packed into one integer; more are combined block by block


def class_codes(
    columns: Mapping[str, npt.ArrayLike], classes: Sequence[str] | None = None
) -> tuple[list[IntArray], tuple[str, ...]]:
    """Turn columns of labels and predictions into class indices.

    Args:
        columns: argument name to (n,) integers or strings; all of one type and length.
        classes: class names; by default the sorted names, or ``"0", "1", ...`` (at least two).

    Returns:
        One (n,) int64 array for each column, and the class names.

    Raises:
        GroupgapError: for lengths that differ, another type, NaN, a class that ``classes`` does not name.
    """
    arrays = {name: _class_column(name, values) for name, values in columns.items()}
    first_name, first = next(iter(arrays.items()))
    for name, array in arrays.items():
        if len(array) != len(first):
            raise GroupgapError(
                f"Expected '{name}' and '{first_name}' to have one length, but got {len(array)} and {len(first)}"
            )
        if (array.dtype.kind == "O") != (first.dtype.kind == "O"):
            raise GroupgapError(
                f"Expected '{name}' and '{first_name}' to be of one type, but one holds strings and one holds integers"
            )
    if first.dtype.kind == "O":
        return _string_codes(arrays, classes)
    top = max((int(array.max()) for array in arrays.values() if array.size), default=0)
    names = tuple(classes) if classes is not None else tuple(str(index) for index in range(max(top + 1, 2)))
    for name, array in arrays.items():
        if array.size and (array.min() < 0 or array.max() >= len(names)):
            raise GroupgapError(
                f"Expected '{name}' to hold class indices from 0 to {len(names) - 1}, "
                f"but got {array.min()} to {array.max()}"
            )
    return list(arrays.values()), names


def _class_column(name: str, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """One column as int64 or as objects that are all strings."""
    array = _column(name, values)
    if array.dtype.kind in "iub":
        return array.astype(np.int64)
    if array.dtype.kind in "UO" or len(array) == 0:
        return _strings(name, array, "integers (class indices) or strings (class names)")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise GroupgapError(f"Expected '{name}' to have no missing value, but got NaN: drop or answer those samples")
    raise GroupgapError(
        f"Expected '{name}' to hold integers (class indices) or strings (class names), but got {array.dtype}: "
        "convert them with .astype(int)"
    )


def _column(name: str, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The values as a one-dimensional array; strings as objects."""
    if isinstance(values, (str, bytes)):
        raise GroupgapError(f"Expected '{name}' to be a column of n values, but got one string")
    try:
        array = np.asarray(values)
        if array.dtype.kind == "U" and not isinstance(values, np.ndarray):
            array = np.asarray(values, dtype=object)  # numpy turns [1, "a"] into strings: look at what was given
    except ValueError as error:
        raise GroupgapError(f"Expected '{name}' to be a column of n values, but got rows of several lengths") from error
    if array.ndim != 1:
        raise GroupgapError(f"Expected '{name}' to be a column of n values, but got shape {array.shape}")
    return array


def _strings(name: str, array: npt.NDArray[np.int64], allowed: str) -> npt.NDArray[np.int64]:
    """The array as objects, refused unless each is a string."""
    objects = array.astype(object)
    kinds = {type(value) for value in objects}
    if any(pd.isna(value) for value in objects[pd.isna(objects)]):
        raise GroupgapError(
            f"Expected '{name}' to have no missing value, but got NaN or None: drop or answer those samples"
        )
    wrong = sorted(kind.__name__ for kind in kinds if not issubclass(kind, str))
    if wrong:
        raise GroupgapError(f"Expected '{name}' to hold {allowed}, all of one type, but got {', '.join(wrong)}")
    return objects


def _string_codes(
    arrays: Mapping[str, npt.NDArray[np.int64]], classes: Sequence[str] | None
) -> tuple[list[IntArray], tuple[str, ...]]:
    """Indices of class names."""
    uniques = {name: _factorize(array) for name, array in arrays.items()}
    seen = sorted({value for _, values in uniques.values() for value in values})
    names = tuple(classes) if classes is not None else tuple(seen)
    index = {value: position for position, value in enumerate(names)}
    codes = []
    for name, (code, values) in uniques.items():
        unknown = [value for value in values if value not in index]
        if unknown:
            raise GroupgapError(f"Expected '{name}' to hold one of the classes {names}, but got {unknown[0]!r}")
        lookup = np.array([index[value] for value in values], dtype=np.int64)
        codes.append(lookup[code] if len(values) else np.zeros(0, dtype=np.int64))
    return codes, names


def _factorize(strings: npt.NDArray[np.int64]) -> tuple[IntArray, list[str]]:
    """Codes of strings and the sorted distinct strings."""
    code, values = pd.factorize(strings, sort=True)
    return code.astype(np.int64), [str(value) for value in values]


def group_codes(
    membership: npt.ArrayLike, groups: Sequence[str] | None, n: int
) -> tuple[IntArray, BoolArray, tuple[str, ...]]:
    """Code each sample by its membership pattern.

    Args:
        membership: (n, G) bool matrix, or (n,) group names.
        groups: names of the G groups; may be left out for a column.
        n: samples, for the check of the length.

    Returns:
        (n,) codes, the (P, G) patterns they index, the group names.
    """
    array = np.asarray(membership, dtype=object) if _is_names(membership) else np.asarray(membership)
    if array.ndim not in (1, 2):
        raise GroupgapError(f"Expected 'membership' to be (n, G) bool or (n,) group names, but got shape {array.shape}")
    if len(array) != n:
        raise GroupgapError(f"Expected 'membership' to have {n} rows, one for each label, but got {len(array)}")
    if array.ndim == 1:
        return _name_codes(array, groups)
    if array.dtype != np.bool_:
        raise GroupgapError(
            f"Expected a membership matrix of bool, but got {array.dtype}: "
            "NaN is no answer to 'is it a member?'; convert 0 and 1 with .astype(bool)"
        )
    if groups is None or len(tuple(groups)) != array.shape[1]:
        got = "none" if groups is None else str(len(tuple(groups)))
        raise GroupgapError(
            f"Expected argument 'groups' to name the {array.shape[1]} columns of 'membership', but got {got}"
        )
    code, patterns = _pattern_codes(array)
    return code, patterns, tuple(groups)


def _is_names(membership: npt.ArrayLike) -> bool:
    """Whether the membership came as a column of names rather than a matrix."""
    if isinstance(membership, np.ndarray):
        return membership.ndim == 1 and membership.dtype.kind in "UO"
    if isinstance(membership, (pd.Series, pd.Categorical)):
        return True
    return isinstance(membership, Sequence) and len(membership) > 0 and isinstance(membership[0], str)


def _name_codes(
    array: npt.NDArray[np.int64], groups: Sequence[str] | None
) -> tuple[IntArray, BoolArray, tuple[str, ...]]:
    """Codes of a column of group names: each is its own pattern."""
    if array.dtype.kind not in "UO" and len(array):
        raise GroupgapError(
            f"Expected a membership column to hold group names (strings), but got {array.dtype}: "
            "convert with .astype(str)"
        )
    strings = _strings("membership", array, "group names (strings)")
    code, values = _factorize(strings)
    names = tuple(groups) if groups is not None else tuple(values)
    index = {value: position for position, value in enumerate(names)}
    unknown = [value for value in values if value not in index]
    if unknown:
        raise GroupgapError(f"Expected 'membership' to hold one of the groups {names}, but got {unknown[0]!r}")
    lookup = np.array([index[value] for value in values], dtype=np.int64)
    return (lookup[code] if len(values) else np.zeros(0, np.int64)), np.eye(len(names), dtype=np.bool_), names


def _pattern_codes(matrix: BoolArray) -> tuple[IntArray, BoolArray]:
    """Dense codes of the distinct rows of a bool matrix, and those rows."""
    code = np.zeros(len(matrix), dtype=np.int64)
    for start in range(0, matrix.shape[1], _BITS):
        packed = np.packbits(matrix[:, start : start + _BITS], axis=1)
        block = np.zeros(len(matrix), dtype=np.int64)
        for column in range(packed.shape[1]):
            block = (block << 8) | packed[:, column]
        width = 1 << (8 * packed.shape[1])
        dense = _densify(block, width)
        code = dense if start == 0 else _densify(code * (int(dense.max(initial=0)) + 1) + dense, 1 << 62)
    first = np.full(int(code.max(initial=-1)) + 1, -1, dtype=np.int64)
    first[code[::-1]] = np.arange(len(code) - 1, -1, -1)
    return code, matrix[first]


def _densify(codes: IntArray, width: int) -> IntArray:
    """Renumber codes 0..distinct-1, by a table where the codes are small and by sorting where they are not."""
    if width <= 1 << 24:
        table = np.cumsum(np.bincount(codes, minlength=1) > 0) - 1
        return table[codes].astype(np.int64)
    return np.unique(codes, return_inverse=True)[1].astype(np.int64).ravel()


def membership_matrix(members: Sequence[Sequence[str]], groups: Sequence[str]) -> BoolArray:
    """The (n, G) bool matrix of lists of group names, one list (it may be empty) for each sample.

    Raises:
        GroupgapError: for a name that ``groups`` does not hold.

    Example:
        >>> membership_matrix([["a"], [], ["b", "a"]], ["a", "b"]).tolist()
        [[True, False], [False, False], [True, True]]
    """
    index = {name: position for position, name in enumerate(groups)}
    matrix = np.zeros((len(members), len(index)), dtype=np.bool_)
    for row, names in enumerate(members):
        if isinstance(names, str):
            raise GroupgapError(f"Expected a list of group names in row {row}, but got the string {names!r}")
        for name in names:
            if name not in index:
                raise GroupgapError(f"Expected one of the groups {tuple(groups)} in row {row}, but got {name!r}")
            matrix[row, index[name]] = True
    return matrix


def intersect(
    first: npt.ArrayLike, second: npt.ArrayLike, first_groups: Sequence[str], second_groups: Sequence[str]
) -> tuple[BoolArray, tuple[str, ...]]:
    """The product of two axes: a group for each pair, whose members belong to both.

    Args:
        first: (n, G1) bool.
        second: (n, G2) bool.
        first_groups: G1 names, e.g. religions.
        second_groups: G2 names, e.g. genders.

    Returns:
        (n, G1 * G2) bool and the names ``"first & second"``.

    Example:
        >>> intersect([[True, False]], [[True, True]], ["a", "b"], ["x", "y"])[1]
        ('a & x', 'a & y', 'b & x', 'b & y')
    """
    left, right = np.asarray(first), np.asarray(second)
    for name, matrix, names in (("first", left, first_groups), ("second", right, second_groups)):
        if matrix.ndim != 2 or matrix.dtype != np.bool_ or matrix.shape[1] != len(names):
            raise GroupgapError(
                f"Expected '{name}' to be an (n, {len(names)}) bool matrix, "
                f"but got shape {matrix.shape} of {matrix.dtype}"
            )
    if len(left) != len(right):
        raise GroupgapError(f"Expected 'first' and 'second' to have one length, but got {len(left)} and {len(right)}")
    product = (left[:, :, None] & right[:, None, :]).reshape(len(left), -1)
    return product, tuple(f"{one} & {other}" for one in first_groups for other in second_groups)
