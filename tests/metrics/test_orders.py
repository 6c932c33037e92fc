"""Flips beyond chance: planted ones are found, noise is none; the front is what no other one beats."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from groupgap.errors import GroupgapError
from groupgap.metrics import benjamini_hochberg
from groupgap.metrics.all_pairs import Samples, compare_all
from groupgap.metrics.orders import OrderFlips, order_flips, pareto_front


def contest(accuracies: list[float], rng: np.random.Generator, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Differences in accuracy of all pairs of systems with these true accuracies, and q-values."""
    labels = rng.integers(2, size=n)
    samples = Samples(labels, np.ones((n, 1), dtype=bool), ("all",), ("no", "yes"), 1)
    systems = [np.where(rng.random(n) < accuracy, labels, 1 - labels)[None] for accuracy in accuracies]
    found = compare_all(samples, systems, list(itertools.combinations(range(len(systems)), 2)), draws=2)
    return found.value[0], benjamini_hochberg(found.p_value[0])


def test_equal_systems_change_places_all_the_time_and_never_beyond_chance() -> None:
    rng = np.random.default_rng(0)
    total = OrderFlips()
    for _ in range(40):
        total = total + order_flips(contest([0.8] * 6, rng), contest([0.8] * 6, rng))
    assert 0.4 < total.reversed / total.comparable < 0.55  # ties are no reversal
    assert total.flipped <= 2


def test_one_order_under_both_conditions_is_never_said_to_flip() -> None:
    rng = np.random.default_rng(1)
    order = [0.9, 0.85, 0.8, 0.75, 0.7]
    total = OrderFlips()
    for _ in range(20):
        total = total + order_flips(contest(order, rng), contest(order, rng))
    assert total.decided > 40
    assert total.flipped == 0


def test_a_planted_flip_is_found() -> None:
    rng = np.random.default_rng(2)
    found = order_flips(contest([0.95, 0.7, 0.4], rng), contest([0.4, 0.7, 0.95], rng))
    assert found == OrderFlips(comparable=3, reversed=3, decided=3, flipped=3)
    assert found.share == 1.0


def test_what_is_unknown_is_not_comparable_and_no_decision_is_no_share() -> None:
    found = order_flips(([np.nan, 0.1], [np.nan, 0.9]), ([0.1, -0.1], [0.0, 0.0]))
    assert found == OrderFlips(1, 1, 0, 0)
    assert found.share is None
    assert order_flips(([0.0], [0.0]), ([0.1], [0.0])).reversed == 0
    with pytest.raises(GroupgapError, match="the same pairs under both conditions"):
        order_flips(([0.1], [0.1]), ([0.1, 0.2], [0.1, 0.2]))


def test_the_front_is_what_no_other_system_beats() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        gain, cost = rng.integers(5, size=8) / 4, rng.integers(5, size=8) / 4
        expected = [
            not any(
                g >= gain[i] and c <= cost[i] and (g, c) != (gain[i], cost[i]) for g, c in zip(gain, cost, strict=True)
            )
            for i in range(8)
        ]
        assert pareto_front(gain, cost).tolist() == expected
    assert pareto_front([0.5, np.nan], [np.nan, 0.1]).tolist() == [False, False]
