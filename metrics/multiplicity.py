"""Many comparisons at once: Benjamini-Hochberg q-values and the letters of rank bands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
from scipy import stats

from ..errors import GroupgapError

__all__ = ["benjamini_hochberg", "letter_display"]


def benjamini_hochberg(p_values: Sequence[float]) -> npt.NDArray[np.float64]:
    """q-values of a family of p-values: the false discovery rate at which each would be called a difference.

    Args:
        p_values: (m,) between 0 and 1; m may be 0.

    Raises:
        GroupgapError: for a p-value outside [0, 1] or NaN.

    Source: Benjamini & Hochberg 1995, by ``scipy.stats.false_discovery_control``.

    Example:
        >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.04, 0.04]
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.size == 0:
        return values
    if not ((values >= 0) & (values <= 1)).all():
        raise GroupgapError(f"Expected p-values between 0 and 1, but got {values.min()} to {values.max()}")
    return np.asarray(stats.false_discovery_control(values, method="bh"), dtype=np.float64)


def letter_display(separated: npt.ArrayLike, most: int | None = None) -> tuple[str, ...]:
    """Compact letter display: two rows share a letter unless they are separated.

    Args:
        separated: (m, m) symmetric bool: whether the test separates rows i and j (``q < 0.05``). Rows in rank order
            give letters in rank order.
        most: bands beyond which there are no letters (an empty text for each row): they would say nothing, and there
            may be exponentially many.

    Returns:
        The letters of each row: ``a, b, ..., z, a1, b1, ...``; one letter for each maximal clique of rows that
        are not separated, since "not separated" is not transitive.

    Raises:
        GroupgapError: for a matrix that is not square, symmetric and bool, or separates a row from itself.

    Source: Piepho 2004, Journal of Computational and Graphical Statistics 13:456.

    Example:
        >>> letter_display([[False, False, True], [False, False, False], [True, False, False]])
        ('a', 'ab', 'b')
    """
    matrix = np.asarray(separated)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or (matrix.size and matrix.dtype != np.bool_):
        raise GroupgapError(
            f"Expected 'separated' to be a square bool matrix, but got {matrix.shape} of {matrix.dtype}"
        )
    if (matrix != matrix.T).any() or matrix.diagonal().any():
        raise GroupgapError("Expected 'separated' to be symmetric and False on the diagonal")
    rows = range(len(matrix))
    neighbours = [{other for other in rows if other != row and not matrix[row, other]} for row in rows]
    limit = None if most is None else most + 1
    cliques = sorted(sorted(clique) for clique in islice(_maximal_cliques(set(), set(rows), set(), neighbours), limit))
    if most is not None and len(cliques) > most:
        return ("",) * len(matrix)
    names = [chr(97 + index % 26) + (str(index // 26) if index >= 26 else "") for index in range(len(cliques))]
    return tuple("".join(name for name, clique in zip(names, cliques, strict=True) if row in clique) for row in rows)


def _maximal_cliques(
    clique: set[int], candidates: set[int], done: set[int], neighbours: list[set[int]]
) -> Iterator[set[int]]:
    """Bron & Kerbosch 1973, with a pivot."""
    if not candidates:
        if clique and not done:
            yield clique
        return
    pivot = max(candidates | done, key=lambda row: len(neighbours[row] & candidates))
    for row in sorted(candidates - neighbours[pivot]):
        yield from _maximal_cliques(clique | {row}, candidates & neighbours[row], done & neighbours[row], neighbours)
        candidates = candidates - {row}
        done = done | {row}
