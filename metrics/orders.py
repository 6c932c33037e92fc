"""Orders of systems: which pairs change places between two conditions beyond chance, and which systems none beats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError

__all__ = ["OrderFlips", "order_flips", "pareto_front"]

BoolArray = npt.NDArray[np.bool_]
LEVEL = 0.05


@dataclass(frozen=True)
class OrderFlips:
    """Pairs of systems under two conditions (two metrics, two tasks, two base models).

    Attributes:
        comparable: pairs whose difference is known under both conditions.
        reversed: those of them that stand in opposite orders, chance or not.
        decided: comparable pairs that the paired test separates under both conditions.
        flipped: decided pairs in opposite orders: one system is better here, the other one there, beyond chance.

    Pairs share systems and conditions share samples, so that these counts are no independent trials: no interval.
    """

    comparable: int = 0
    reversed: int = 0
    decided: int = 0
    flipped: int = 0

    def __add__(self, other: OrderFlips) -> OrderFlips:
        """Counts of both together."""
        return OrderFlips(
            self.comparable + other.comparable,
            self.reversed + other.reversed,
            self.decided + other.decided,
            self.flipped + other.flipped,
        )

    @property
    def share(self) -> float | None:
        """Share of the decided pairs that flip; ``None`` where no pair is decided."""
        return self.flipped / self.decided if self.decided else None


def order_flips(
    first: tuple[npt.ArrayLike, npt.ArrayLike], second: tuple[npt.ArrayLike, npt.ArrayLike], level: float = LEVEL
) -> OrderFlips:
    """Count the pairs that change places between two conditions.

    Args:
        first: (P,) how much better the first system of each pair is than the second under one condition (above 0:
            better, whatever the metric), NaN where unknown; and (P,) the q-values of these differences.
        second: the same pairs under the other condition.
        level: q-value under which a difference is one.

    Returns:
        The counts. A flip needs two separated differences of opposite sign, so it is claimed falsely only where at
        least one of the two is claimed falsely, or in the wrong direction, which the false discovery rate bounds
        (Benjamini & Yekutieli 2005, directional errors). An order seen in the numbers alone (``reversed``) is mostly
        noise where systems are alike: of equal systems half of all pairs.

    Raises:
        GroupgapError: for arrays of different lengths.

    Example:
        >>> order_flips(([0.2, 0.2, 0.01], [0.001, 0.001, 0.9]), ([0.1, -0.1, -0.01], [0.01, 0.01, 0.8]))
        OrderFlips(comparable=3, reversed=2, decided=2, flipped=1)
    """
    (a, q_a), (b, q_b) = ((np.asarray(one, dtype=np.float64), np.asarray(q)) for one, q in (first, second))
    if not a.shape == q_a.shape == b.shape == q_b.shape:
        raise GroupgapError(f"Expected the same pairs under both conditions, but got {a.shape} and {b.shape}")
    comparable = ~(np.isnan(a) | np.isnan(b))
    opposite = comparable & (a * b < 0)
    decided = comparable & (q_a < level) & (q_b < level)
    return OrderFlips(*(int(one.sum()) for one in (comparable, opposite, decided, opposite & decided)))


def pareto_front(gain: npt.ArrayLike, cost: npt.ArrayLike) -> BoolArray:
    """Which systems no other one beats: none has at least the gain and at most the cost, and one of them better.

    Args:
        gain: (m,) more is better, NaN where unknown.
        cost: (m,) less is better, NaN where unknown.

    Returns:
        (m,) bool; a system with an unknown number is never on the front.

    Example:
        >>> pareto_front([0.9, 0.8, 0.7, 0.8], [0.3, 0.1, 0.2, 0.1]).tolist()
        [True, True, False, True]
    """
    gains, costs = np.asarray(gain, dtype=np.float64), np.asarray(cost, dtype=np.float64)
    known = ~(np.isnan(gains) | np.isnan(costs))
    as_good = (gains[None] >= gains[:, None]) & (costs[None] <= costs[:, None])
    better = (gains[None] > gains[:, None]) | (costs[None] < costs[:, None])
    return np.asarray(known & ~(as_good & better).any(axis=1))
