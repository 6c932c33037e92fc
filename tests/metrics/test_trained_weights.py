"""These weights on other samples: plain-loop cluster bootstrap, repeated seeds, error rates, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.metrics import GAPS, Comparison, compare, compare_weights, count_pair, stack_seeds
from scipy import stats

GROUPS = np.repeat(["u", "v", "w"], 60)
LABELS = np.tile([1, 0, 1], 60)


def answers(rng: np.random.Generator, seeds: int, level: float = 0.75, shift: float = 0.0) -> np.ndarray:
    """(seeds, n) of a method whose seeds err on the same samples."""
    hard = rng.beta(level / 2, (1 - level) / 2, len(LABELS)) - shift * (GROUPS == "w")
    right = rng.random((seeds, len(LABELS))) < hard
    return np.where(right, LABELS, 1 - LABELS)


def compared(a: np.ndarray, b: np.ndarray, draws: int = 999, min_group: int = 20) -> Comparison:
    joint = stack_seeds(LABELS, (a, b), GROUPS)
    return compare_weights(joint, len(a), 1, min_group=min_group, draws=draws)


def loop(a: np.ndarray, b: np.ndarray, rows: list[int]) -> tuple[float, float, float]:
    """Accuracy, accuracy spread and worst group, A minus B, by counting."""
    found = []
    for method in (a, b):
        rates = []
        for group in "uvw":
            inside = [row for row in rows if GROUPS[row] == group]
            hits = sum(int(seed[row] == LABELS[row]) for seed in method for row in inside)
            rates.append(hits / (len(inside) * len(method)))
        hits = sum(int(seed[row] == LABELS[row]) for seed in method for row in rows)
        found.append((hits / (len(rows) * len(method)), max(rates) - min(rates), min(rates)))
    return tuple(float(one - other) for one, other in zip(*found, strict=True))  # type: ignore[return-value]


def test_values_and_errors_are_those_of_a_plain_bootstrap_of_samples() -> None:
    rng = np.random.default_rng(2)
    a, b = answers(rng, 3, shift=0.2), answers(rng, 3)
    found = compared(a, b, draws=4000)
    metrics = ("accuracy", "accuracy_spread", "worst_group")
    seen = loop(a, b, list(range(len(LABELS))))
    drawn = np.array([loop(a, b, rng.integers(0, len(LABELS), len(LABELS)).tolist()) for _ in range(400)])
    for position, metric in enumerate(metrics):
        one = found.find(metric)
        assert one.value == pytest.approx(seen[position])
        assert one.stderr == pytest.approx(drawn[:, position].std(ddof=1), rel=0.15)
    assert (found.n, found.clusters, found.find("accuracy", "u").n) == (180, 180, 60)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_a_seed_given_twice_changes_nothing(shift: float) -> None:
    rng = np.random.default_rng(5)
    a, b = answers(rng, 2, shift=shift), answers(rng, 2)
    once, twice = compared(a, b), compared(np.tile(a, (2, 1)), np.tile(b, (2, 1)))
    for one, other in zip(once.differences, twice.differences, strict=True):
        assert (other.n, other.a.n) == (one.n, one.a.n)
        for name in ("value", "stderr", "low", "high", "p_value", "minimal_detectable"):
            assert getattr(other, name) == pytest.approx(getattr(one, name), abs=1e-12), (one.metric, name)


def test_equal_answers_keep_an_interval_however_often_they_are_repeated() -> None:
    a = answers(np.random.default_rng(1), 1)
    once, often = compared(a, a), compared(np.tile(a, (5, 1)), np.tile(a, (5, 1)))
    assert once.find("accuracy").high == often.find("accuracy").high > 0


def test_answers_taken_for_samples_would_be_too_sure() -> None:
    """The test of clusters holds its level where that of 5 x n samples does not."""
    rng = np.random.default_rng(6)
    rejected, runs = {"clusters": 0, "spread": 0, "worst": 0, "answers": 0}, 120
    for _ in range(runs):
        a, b = answers(rng, 5), answers(rng, 5)
        found = compared(a, b, draws=199)
        rejected["clusters"] += found.find("accuracy").p_value < 0.05
        rejected["spread"] += found.find("accuracy_spread").p_value < 0.05
        rejected["worst"] += found.find("worst_group").p_value < 0.05
        stacked = count_pair(np.tile(LABELS, 5), (a.ravel(), b.ravel()), np.tile(GROUPS, 5))
        rejected["answers"] += compare(stacked, 1, draws=9).find("accuracy").p_value < 0.05
    for test in ("clusters", "spread", "worst"):
        assert stats.binomtest(rejected[test], runs).proportion_ci(0.999).low <= 0.05, rejected
    assert rejected["clusters"] > 0
    assert stats.binomtest(rejected["answers"], runs).proportion_ci(0.999).low > 0.05, rejected


def test_the_floor_of_a_group_is_in_samples() -> None:
    rng = np.random.default_rng(7)
    found = compared(answers(rng, 5), answers(rng, 5), draws=99, min_group=61)
    assert (found.min_group, found.find("worst_group").value) == (61, None)
    assert found.find("worst_group").reason == "no group with at least 61 members"
    assert {found.find(metric).value for metric in GAPS} == {None}
    assert found.find("worst_group").n == 60


def test_every_test_names_these_weights_and_no_answer_is_counted_as_a_sample() -> None:
    rng = np.random.default_rng(8)
    for one in compared(answers(rng, 2), answers(rng, 2), draws=99).differences:
        assert one.null is not None
        assert one.null.startswith("for these trained weights, on other samples: ")
        assert (one.only_a, one.only_b, one.a.interval, one.b.low) == (None, None, None, None)
        assert one.low <= one.value <= one.high


def test_shapes_and_counts_that_do_not_fit_are_refused() -> None:
    two, one = np.zeros((2, 3), dtype=int), np.zeros((1, 3), dtype=int)
    for pair in ((two, one), (two[0], two[0]), (two[:, :2], two[:, :2])):
        with pytest.raises(GroupgapError, match=r"predictions of [AB] to be \(seeds, 3\)"):
            stack_seeds([1, 0, 1], pair, ["a"] * 3)
    joint = stack_seeds([1, 0, 1], (two, two), ["a"] * 3)
    with pytest.raises(GroupgapError, match="Expected 3 answers of every sample"):
        compare_weights(joint, 3)
    with pytest.raises(GroupgapError, match="Expected 1 answers of every sample"):
        compare_weights(count_pair([1], ([1], [1]), ["a"]), 1)
