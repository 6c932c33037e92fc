"""Least squares within documents: what a symbol and a place add to a choice, and what is left for its meaning.

A document is asked in k cells. In cell k the log-probabilities of the C meanings are taken as

    meaning_(document, j) + symbol_(what stands for j) + position_(where j stands)

up to what is common to all choices of the cell. Each document has meanings of its own; symbol and position effects are
means over documents. Where all documents are asked in the same balanced cells they are plain differences of means
over the cells; where each is asked in some of the blocks of a balanced design, symbol and position come apart over the
documents. Standard errors are sandwiches over documents (or clusters of them): they hold whatever the effects do from
document to document, and however the cells of one document hang together.

Source: the within (fixed effects) estimator, its errors clustered by document: Liang & Zeger 1986, Biometrika 73:13.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from ..errors import GroupgapError
from .largest import Means, from_influence

__all__ = ["SCALES", "CellMatrix", "Fit", "Level", "fit_cells"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SCALES = ("log-odds", "probability")


@dataclass(frozen=True, order=True)
class Level:
    """A symbol, or a place.

    Attributes:
        kind: ``"symbol"`` or ``"position"``.
        within: the set that a symbol is of; empty for a place.
        name: the symbol; ``"1"`` for the place of the option that is shown first.
    """

    kind: str
    within: str
    name: str


@dataclass(frozen=True, eq=False)
class CellMatrix:
    """What a model answered to documents that were asked in several cells.

    Attributes:
        log_probabilities: (n, k, C) of the symbol that stands for meaning j in cell k of document i.
        levels: what meanings may carry.
        symbols: (n, k, C) which of ``levels`` stands for the meaning; -1: none.
        places: (n, k, C) which of ``levels`` is its place; -1: the options are not listed.
    """

    log_probabilities: FloatArray
    levels: tuple[Level, ...]
    symbols: IntArray
    places: IntArray

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together."""
        shape = self.log_probabilities.shape
        if len(shape) != 3 or shape[2] < 2 or self.symbols.shape != shape or self.places.shape != shape:
            raise GroupgapError(
                "Expected log-probabilities, symbols and places of one shape (documents, cells, 2 choices or more), "
                f"but got {shape}, {self.symbols.shape} and {self.places.shape}"
            )

    @property
    def choices(self) -> int:
        """C."""
        return int(self.log_probabilities.shape[2])

    @property
    def finite(self) -> BoolArray:
        """(n,) documents of which every log-odds exist."""
        return np.asarray(np.isfinite(self.log_probabilities).all(axis=(1, 2)))

    def of(self, rows: BoolArray | IntArray) -> CellMatrix:
        """The answers to some of the documents."""
        return CellMatrix(self.log_probabilities[rows], self.levels, self.symbols[rows], self.places[rows])

    def scaled(self, scale: str) -> FloatArray:
        """(n, k, C) log-probabilities or probabilities among the choices, centred in each cell."""
        logs = log_softmax(self.log_probabilities, axis=2)
        values = logs if scale == "log-odds" else np.exp(logs)
        return np.asarray(values - values.mean(axis=2, keepdims=True))

    def carried(self) -> FloatArray:
        """(n, k, C, L) which levels a choice carries, centred in each cell as the answers are."""
        found = np.zeros((*self.symbols.shape, len(self.levels)))
        for codes in (self.symbols, self.places):
            at = np.nonzero(codes >= 0)
            found[(*at, codes[at])] = 1.0
        return np.asarray(found - found.mean(axis=2, keepdims=True))


@dataclass(frozen=True, eq=False)
class Fit:
    """Effects of levels, and means of the meanings over all documents and over groups of them, on one scale.

    Attributes:
        levels: L of them.
        choices: C.
        values: (B,) the L levels, the C choices over all documents, then the C choices over each group.
        influence: (n, B) of each document on each.
        members: (n, B) which documents enter which.
        means: all of them with their joint covariance.
        known: (L, L) projection on the effects of levels that the cells tell apart.
        carried: (B, L) levels that a mean of meanings still carries, since the cells were not balanced; and the levels.
    """

    levels: tuple[Level, ...]
    choices: int
    values: FloatArray
    influence: FloatArray
    members: BoolArray
    means: Means
    known: FloatArray
    carried: FloatArray

    def can_tell(self, weights: FloatArray) -> bool:
        """Whether a combination (B,) follows from the answers: levels that never changed places do not."""
        left = weights @ self.carried
        return bool(np.allclose(left @ self.known, left, atol=1e-7))

    def weights(self, *parts: tuple[int, float]) -> FloatArray:
        """(B,) of a combination."""
        found = np.zeros(len(self.values))
        for place, weight in parts:
            found[place] += weight
        return found

    def choice(self, meaning: int, group: int | None = None) -> int:
        """Where the mean of a choice stands: over all documents, or over those of a group."""
        return len(self.levels) + self.choices * (0 if group is None else group + 1) + meaning


def fit_cells(
    answers: CellMatrix, scale: str, membership: BoolArray | None = None, clusters: IntArray | None = None
) -> Fit:
    """Fit the effects of symbols and places, and the meanings of groups of documents.

    Args:
        answers: of one model; all finite on the scale of log-odds.
        scale: one of ``SCALES``.
        membership: (n, G) of groups, which may overlap; each must have members.
        clusters: (n,) documents with one number are drawn together; by default each by itself.

    Example:
        >>> levels = (Level("symbol", "letters", "A"), Level("symbol", "letters", "B"))
        >>> logs = np.log([[[0.8, 0.2], [0.6, 0.4]]] * 3)       # A stands for the first choice, then for the second
        >>> symbols = np.array([[[0, 1], [1, 0]]] * 3)
        >>> found = fit_cells(CellMatrix(logs, levels, symbols, np.full((3, 2, 2), -1)), "log-odds")
        >>> a, b, first, second = found.values
        >>> round(float(a - b), 3), round(float(first - second), 3)      # log(4) = m + s, log(1.5) = m - s
        (0.49, 0.896)
    """
    values, carried = answers.scaled(scale), answers.carried()
    inner, moved = values - values.mean(axis=1, keepdims=True), carried - carried.mean(axis=1, keepdims=True)
    n, size, length = len(values), answers.choices, len(answers.levels)
    flat = moved.reshape(-1, length)
    crossed = flat.T @ flat
    inverse = np.linalg.pinv(crossed, rcond=1e-10, hermitian=True)
    effects = inverse @ (flat.T @ inner.reshape(-1))
    left = inner - moved @ effects
    of_levels = np.einsum("nkcl,nkc->nl", moved, left) @ inverse
    rest = carried.mean(axis=1)  # 0 where a document's own cells are balanced
    meanings = values.mean(axis=1) - rest @ effects
    everyone = np.ones((n, 1), dtype=np.bool_)
    groups = everyone if membership is None else np.concatenate([everyone, membership], axis=1)
    shares = groups / groups.sum(axis=0)
    averages = shares.T @ meanings
    rest_of = np.einsum("ng,ncl->gcl", shares, rest)
    influence = shares[:, :, None] * (meanings[:, None] - averages) - np.einsum("nl,gcl->ngc", of_levels, rest_of)
    influence = np.concatenate([of_levels, influence.reshape(n, -1)], axis=1)
    members = np.concatenate([moved.any(axis=(1, 2)), np.repeat(groups, size, axis=1)], axis=1)
    found = np.concatenate([effects, averages.reshape(-1)])
    return Fit(
        levels=answers.levels,
        choices=size,
        values=found,
        influence=influence,
        members=members,
        means=from_influence(found, influence, members, clusters),
        known=inverse @ crossed,
        carried=np.concatenate([np.eye(length), -rest_of.reshape(-1, length)]),
    )
