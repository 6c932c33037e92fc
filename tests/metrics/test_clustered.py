"""Judgements of rows that come in clusters: rates by the effective number of rows, no interval that would lie."""

from __future__ import annotations

import numpy as np
import pytest
from groupgap.metrics import Judgement, count, judge
from groupgap.metrics.clustered import EXTREMES, NONE, over_clusters
from groupgap.metrics.clusters import cluster_share


def world(seed: int, clusters: int = 40, size: int = 10) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    names = np.repeat([f"c{one}" for one in range(clusters)], size)
    likes = np.repeat(rng.random(clusters), size)
    labels = rng.integers(0, 2, clusters * size)
    predictions = (rng.random(clusters * size) < likes).astype(np.int64)
    members = np.c_[np.arange(clusters * size) % 2 == 0, np.arange(clusters * size) % 2 == 1]
    return labels, predictions, members, names


def judged(
    labels: np.ndarray, predictions: np.ndarray, members: np.ndarray, names: np.ndarray
) -> tuple[Judgement, Judgement]:
    plain = judge(count(labels, predictions, members, ["a", "b"]), positive=1, draws=50)
    return plain, over_clusters(plain, (labels, predictions), members, names, 1)


def test_values_stay_and_intervals_are_over_clusters() -> None:
    labels, predictions, members, names = world(0)
    plain, found = judged(labels, predictions, members, names)
    expected = cluster_share(labels == predictions, names, "")
    assert found.accuracy.value == pytest.approx(plain.accuracy.value)
    assert (found.accuracy.low, found.accuracy.high) == (expected.low, expected.high)
    for place, name in enumerate("ab"):
        member = members[:, place]
        for rate, among, hits in (
            ("accuracy", member, labels == predictions),
            ("selection_rate", member, predictions == 1),
            ("tpr", member & (labels == 1), predictions == 1),
            ("fpr", member & (labels == 0), predictions == 1),
        ):
            by_hand = cluster_share(hits[among], names[among], "")
            estimate = getattr(found.groups[name], rate)
            assert estimate.value == pytest.approx(getattr(plain.groups[name], rate).value)
            assert estimate.value == pytest.approx(by_hand.value)
            assert (estimate.low, estimate.high) == (by_hand.low, by_hand.high)
    width = [one.accuracy.high - one.accuracy.low for one in (plain, found)]
    assert width[1] >= width[0] - 1e-12


def test_gaps_have_neither_interval_nor_chance_level() -> None:
    plain, found = judged(*world(1))
    for metric in EXTREMES:
        before, after = getattr(plain, metric), getattr(found, metric)
        assert after.value == before.value
        assert (after.low, after.high, after.stderr, after.chance) == (None, None, None, None)
        assert after.interval == (NONE if before.value is not None else None)


def test_rows_that_are_their_own_clusters_are_left_alone() -> None:
    labels, predictions, members, _ = world(2)
    names = np.array([str(row) for row in range(len(labels))])
    plain, found = judged(labels, predictions, members, names)
    assert found == plain


def test_selection_rate_is_covered_where_clusters_differ() -> None:
    """The share of rows given yes is 1/2 in this world; taken row by row its interval holds that far too rarely."""
    held = {"rows": 0, "clusters": 0}
    for seed in range(200):
        plain, found = judged(*world(seed, 30, 8))
        for name, one in (("rows", plain), ("clusters", found)):
            rate = one.groups["a"].selection_rate
            held[name] += rate.low <= 0.5 <= rate.high
    assert held["clusters"] >= 180
    assert held["rows"] < held["clusters"] - 20


def test_undefined_stays_undefined() -> None:
    labels, predictions, members, names = world(3)
    plain, found = judged(np.zeros_like(labels), predictions, members, names)
    assert found.groups["a"].tpr == plain.groups["a"].tpr
    assert found.eod.reason == plain.eod.reason
