"""A bootstrap of the mean of a score, in which a sample without an error does not prove that there are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Resampled"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Resampled:
    """Samples drawn with replacement, some of which get a label drawn anew.

    Attributes:
        often: (draws, n) how often each sample is drawn.
        draw_of: (A,) the draws in which a label is drawn anew.
        row_of: (A,) of which sample.
        uniforms: (A,) what decides on the new label.
    """

    often: FloatArray
    draw_of: IntArray
    row_of: IntArray
    uniforms: FloatArray

    @classmethod
    def draw(cls, random: np.random.Generator, draws: int, n: int) -> Resampled:
        """Draw them, whatever the answers."""
        rows = random.integers(0, n, (draws, n))
        anew = np.nonzero(random.random(rows.shape, dtype=np.float32) < 2 / (n + 2))
        often = np.bincount((rows + n * np.arange(draws)[:, None]).ravel(), minlength=draws * n)
        return cls(often.reshape(draws, n).astype(np.float64), anew[0], rows[anew], random.random(len(anew[0])))

    def new_labels(self, probabilities: FloatArray) -> IntArray:
        """(A,) labels from the mean of the samples' probabilities (n, C) and the uniform ones."""
        size = probabilities.shape[1]
        mixed = np.cumsum((probabilities + 1 / size) / 2, axis=1)[self.row_of]
        return np.asarray(np.minimum((self.uniforms[:, None] >= mixed).sum(axis=1), size - 1), dtype=np.int64)

    def means(self, table: FloatArray, seen: FloatArray, new_labels: IntArray) -> FloatArray:
        """(draws,) means of a score: (n, C) for each label that a sample could have, (n,) for the one that it has."""
        draws, n = self.often.shape
        moved = table[self.row_of, new_labels] - seen[self.row_of]
        return np.asarray((self.often @ seen + np.bincount(self.draw_of, moved, draws)) / n, dtype=np.float64)
