"""Mann and Whitney's test of two sides of scores, right where scores tie, too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

__all__ = ["mann_whitney"]

FloatArray = npt.NDArray[np.float64]

FEW = 50  # scores of the smaller side expected outside the largest tie from which the normal distribution will do
MOST_EXACT = 100_000  # pairs of a positive and a negative up to which the test may be exact
MOST_STEPS = 1e8  # additions up to which it is exact where scores tie: about a tenth of a second
LIGHT = 0.1  # share of the scores in the largest tie up to which ties change little
DRAWS = 9_999  # shuffles where it is not


def mann_whitney(positives: FloatArray, negatives: FloatArray) -> float:
    """The two-sided p-value of Mann and Whitney's test: twice the smaller tail.

    Args:
        positives: (m,) scores, m >= 1.
        negatives: (n,) scores, n >= 1.

    scipy's, but for scores that tie where few of the smaller side are expected outside the largest tie, e.g. few
    members where most scores are 0. The normal distribution is wrong there (30 against 1,000 with all but 5 scores
    tied: 12.7% at 5%, and 1e-9 for what is 6%), so all shuffles are counted, or some are drawn if they are too many.

    Source: Mann & Whitney 1947, Annals of Mathematical Statistics 18:50; given the ties as in Lehmann 1975,
    Nonparametrics, section 1.4.
    """
    m, n = len(positives), len(negatives)
    distinct, place = np.unique(np.concatenate([positives, negatives]), return_inverse=True)
    tied = np.bincount(place, minlength=len(distinct)).astype(np.int64)
    fewer, largest = min(m, n), int(tied.max()) / (m + n)
    if largest * (m + n) > 1 and fewer * (1 - largest) < FEW:
        of_fewer = place[:m] if m <= n else place[m:]
        found = np.bincount(of_fewer, minlength=len(distinct)).astype(np.int64)
        ranks = 2 * np.cumsum(tied) - tied + 1  # twice the mean ranks: integers
        block = int(tied.argmax())
        away, outside = ranks - ranks[block], np.arange(len(tied)) != block
        apart = _Ties(away[outside], tied[outside], int(tied[block]), fewer, int(away @ found))
        if apart.steps <= MOST_STEPS:
            return apart.counted()
        if largest > LIGHT or fewer <= 8:  # up to 8 the normal distribution will not do without ties either
            return apart.drawn()
    method = "auto" if m * n <= MOST_EXACT else "asymptotic"
    return float(stats.mannwhitneyu(positives, negatives, alternative="two-sided", method=method).pvalue)


@dataclass(frozen=True, eq=False)
class _Ties:
    """How far the rank sum of the smaller side lies from that of as many scores of the largest tie.

    Attributes:
        away: (K,) how far twice the mean rank of each other score is from that of the largest tie, ascending.
        sizes: (K,) how many share it.
        block: how many are in the largest tie.
        fewer: scores of the smaller side.
        seen: the distance that was measured.
    """

    away: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    block: int
    fewer: int
    seen: int

    @property
    def _most(self) -> int:
        """Most scores of the smaller side that can be outside the largest tie."""
        return min(self.fewer, int(self.sizes.sum()))

    @property
    def _unit(self) -> int:
        """What all distances from the lowest are multiples of."""
        return max(1, int(np.gcd.reduce(self.away - self.away[0])))

    @property
    def steps(self) -> float:
        """Additions that :meth:`counted` takes, at most."""
        width = float(self._most) * float(self.away[-1] - self.away[0]) / self._unit + 1
        return (self._most + 1) * width * float(np.minimum(self.sizes, self._most).sum())

    def counted(self) -> float:
        """Over all shuffles, by the distribution of the distance for each number outside the largest tie."""
        most, unit, first = self._most, self._unit, int(self.away[0])
        moves = (self.away - first) // unit
        table = np.zeros((most + 1, most * int(moves[-1]) + 1))
        table[0, 0] = 1.0
        before, last = 0, 0  # scores so far, and how far the last of them moves
        for move, size in zip(moves.tolist(), self.sizes.tolist(), strict=True):
            had = min(most, before)
            old = table[: had + 1, : had * last + 1].copy()
            table[: had + 1, : had * last + 1] = 0.0
            for more in range(min(size, most) + 1):
                rows = min(most - more, had)
                drawn = np.arange(rows + 1)
                share = np.exp(
                    _log_ways(size, more) + _log_ways(before, drawn) - _log_ways(before + size, drawn + more)
                )
                reach = rows * last + 1
                table[more : more + rows + 1, more * move : more * move + reach] += (
                    share[:, None] * old[: rows + 1, :reach]
                )
            before, last = before + size, move
        outside = np.arange(max(0, self.fewer - self.block), most + 1)
        chance = np.exp(
            _log_ways(before, outside)
            + _log_ways(self.block, self.fewer - outside)
            - _log_ways(before + self.block, self.fewer)
        )
        sums = unit * np.arange(table.shape[1]) + first * outside[:, None]
        upper, lower = (
            float(chance @ np.where(tail, table[outside], 0.0).sum(axis=1))
            for tail in (sums >= self.seen, sums <= self.seen)
        )
        return min(1.0, 2 * min(upper, lower))

    def drawn(self) -> float:
        """Over :data:`DRAWS` shuffles, always the same ones."""
        rng = np.random.default_rng(0)
        scores = np.repeat(self.away, self.sizes)
        outside = rng.hypergeometric(len(scores), self.block, self.fewer, DRAWS)
        sums = np.array([scores[rng.choice(len(scores), many, replace=False, shuffle=False)].sum() for many in outside])
        beyond = min(int((sums >= self.seen).sum()), int((sums <= self.seen).sum()))
        return min(1.0, 2 * (1 + beyond) / (DRAWS + 1))


def _log_ways(n: int, k: npt.ArrayLike) -> FloatArray:
    """The logarithm of how many ways there are to choose k of n."""
    chosen = np.asarray(k, dtype=np.float64)
    return np.asarray(special.gammaln(n + 1) - special.gammaln(chosen + 1) - special.gammaln(n - chosen + 1))
