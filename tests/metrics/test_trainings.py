"""Methods over training seeds: scipy's paired t, gaps as data, error rates, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.metrics import GAPS, Counts, compare_trainings, count, plan_gaps, pool_seeds
from groupgap.metrics.trainings import detectable_over_seeds
from scipy import stats
from statsmodels.stats.power import TTestPower

N = 400
RNG = np.random.default_rng(11)
LABELS = RNG.integers(0, 2, N)
MEMBERS = RNG.random((N, 3)) < 0.5
GROUPS = ["x", "y", "z"]


def trained(seed: int, level: float = 0.8) -> tuple[np.ndarray, Counts]:
    """One training: its level varies around the method's."""
    rng = np.random.default_rng(seed)
    right = rng.random(N) < level + rng.normal(0, 0.02)
    said = np.where(right, LABELS, 1 - LABELS)
    return said, count(LABELS, said, MEMBERS, GROUPS)


def methods(seeds: int) -> tuple[list[tuple[np.ndarray, Counts]], list[tuple[np.ndarray, Counts]]]:
    return [trained(seed) for seed in range(seeds)], [trained(100 + seed, 0.78) for seed in range(seeds)]


def rate_by_loop(said: np.ndarray, rate: str, group: int | None) -> float:
    hits, total = 0, 0
    for row in range(N):
        if group is not None and not MEMBERS[row, group]:
            continue
        if (rate == "tpr" and LABELS[row] != 1) or (rate == "fpr" and LABELS[row] != 0):
            continue
        total += 1
        hits += int(said[row] == LABELS[row]) if rate == "accuracy" else int(said[row] == 1)
    return hits / total


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_every_rate_has_scipy_s_paired_t(seeds: int) -> None:
    a, b = methods(seeds)
    found = compare_trainings([one for _, one in a], [one for _, one in b], 1)
    for rate in ("accuracy", "selection_rate", "tpr", "fpr"):
        for group in (None, 0, 2):
            one = found.find(rate, None if group is None else GROUPS[group])
            first, second = ([rate_by_loop(said, rate, group) for said, _ in method] for method in (a, b))
            if np.ptp(np.subtract(first, second)) < 1e-12:  # scipy says p = 0; test_seeds.py has what we say
                assert one.p_value > 0
                continue
            expected = stats.ttest_rel(first, second)
            assert one.p_value == pytest.approx(expected.pvalue, rel=1e-9)
            interval = expected.confidence_interval(0.95)
            assert (one.low, one.high) == pytest.approx(
                (max(-1.0, interval.low), min(1.0, interval.high)), rel=1e-9, abs=1e-12
            )
            assert one.value == pytest.approx(np.mean(first) - np.mean(second))
            assert one.by_seed == pytest.approx(np.subtract(first, second))
            assert one.test == f"paired t over {seeds} seeds"
            assert "over trainings with other seeds" in (one.null or "")


def test_gaps_are_those_of_averaged_rates_with_an_interval_and_no_test() -> None:
    a, b = ([one for _, one in method] for method in methods(4))
    found = compare_trainings(a, b, 1)
    pooled, wide = ([pool_seeds(one, 1, confidence=level) for one in (a, b)] for level in (0.95, 0.975))
    for metric in ("worst_group", *GAPS):
        one = found.find(metric)
        assert one.value == pytest.approx(pooled[0][metric].value - pooled[1][metric].value)
        assert one.low == pytest.approx(wide[0][metric].low - wide[1][metric].high)
        assert (one.p_value, one.q_value, one.test, one.null) == (None, None, None, None)
        assert len(one.by_seed) == 4
    spreads = [plan_gaps(one, 1).gap("accuracy_spread").value for one in (*a, *b)]
    assert found.find("accuracy_spread").by_seed == pytest.approx(np.subtract(spreads[:4], spreads[4:]))


def test_one_seed_says_so_and_tests_nothing() -> None:
    a, b = ([one for _, one in method] for method in methods(1))
    for one in compare_trainings(a, b, 1).differences:
        assert (one.p_value, one.low, one.minimal_detectable) == (None, None, None)
        assert one.a.interval in ("1 seed", "simultaneous")
    assert compare_trainings(a, b, 1).find("accuracy").interval == "1 seed"


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_the_detectable_difference_is_statsmodels_s(seeds: int) -> None:
    effect = TTestPower().solve_power(nobs=seeds, alpha=0.05, power=0.8, alternative="two-sided")
    assert detectable_over_seeds(0.01, seeds) == pytest.approx(0.01 * effect * np.sqrt(seeds), rel=1e-4)


def test_the_level_holds_when_both_methods_vary_alike() -> None:
    rng = np.random.default_rng(3)
    rejected, runs = {"accuracy": 0, "tpr": 0}, 200
    for _ in range(runs):
        a, b = ([trained(int(rng.integers(2**32)))[1] for _ in range(3)] for _ in range(2))
        found = compare_trainings(a, b, 1)
        for rate in rejected:
            rejected[rate] += found.find(rate).p_value < 0.05
        assert found.find("accuracy_spread").low <= 0 <= found.find("accuracy_spread").high
    for times in rejected.values():
        assert stats.binomtest(times, runs).proportion_ci(0.999).low <= 0.05
    assert sum(rejected.values()) > 0


def test_undefined_rates_keep_their_reason() -> None:
    ones = [count([1] * 80, [1] * (79 - seed) + [0] * (1 + seed), ["a", "b"] * 40) for seed in range(2)]
    found = compare_trainings(ones, ones[::-1], 1)
    assert (found.find("fpr").value, found.find("fpr").reason) == (None, "no negatives")
    assert found.find("eod").reason == "no negatives in all groups"
    assert found.find("accuracy").by_seed == pytest.approx((1 / 80, -1 / 80))


def test_other_seeds_and_other_samples_are_refused() -> None:
    a, b = ([one for _, one in method] for method in methods(2))
    with pytest.raises(GroupgapError, match="same training seeds of both methods, but got 2 and 1"):
        compare_trainings(a, b[:1])
    with pytest.raises(GroupgapError, match="at least one training seed"):
        compare_trainings([], [])
    other = count([1] * N, [1] * N, MEMBERS, GROUPS)
    with pytest.raises(GroupgapError, match="other groups, classes or labels"):
        compare_trainings(a, [b[0], other])
