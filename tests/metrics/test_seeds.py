"""Training seeds: t intervals by scipy, gaps from averaged rates, what cannot be pooled."""

from __future__ import annotations

import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.metrics import Counts, count, mean_over_seeds, paired_over_seeds, plan_gaps, pool_seeds
from scipy import stats

LABELS = np.tile([1, 0], 150)
GROUPS = np.repeat(["a", "b", "c"], 100)


def trained(seed: int, rates: tuple[float, float, float] = (0.8, 0.8, 0.8), noise: float = 0.03) -> Counts:
    rng = np.random.default_rng(seed)
    off = rng.normal(0, noise, 3)
    right = rng.random(300) < np.repeat(np.array(rates) + off, 100)
    return count(LABELS, np.where(right, LABELS, 1 - LABELS), GROUPS)


def test_the_mean_has_scipy_s_t_interval() -> None:
    values = [0.81, 0.84, 0.79, 0.86, 0.83]
    found = mean_over_seeds(values, 100)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.interval == "t over 5 seeds"


def test_no_interval_leaves_the_range_of_what_it_measures() -> None:
    """Two seeds at 0.5 and 0.98 make a t interval of [-2.31, 3.79]."""
    found = mean_over_seeds([0.5, 0.98], 100, share=True)
    assert (found.low, found.high) == (0.0, 1.0)
    signed = mean_over_seeds([-0.3, 0.2], 100)
    assert (signed.low, signed.high) == (-1.0, 1.0)
    paired = paired_over_seeds([0.5, 0.98], [0.9, 0.4], 100).estimate
    assert (paired.low, paired.high) == (-1.0, 1.0)
    rough = pool_seeds([trained(0, (0.1, 0.1, 0.1)), trained(0, (0.9, 0.9, 0.9))], 1)
    for one in rough.values():
        assert 0 <= one.low <= one.value <= one.high <= 1


def test_one_seed_has_no_interval_and_says_so() -> None:
    assert (mean_over_seeds([0.8], 9).low, mean_over_seeds([0.8], 9).interval) == (None, "1 seed")
    assert pool_seeds([trained(0)], 1)["dpd"].interval == "1 seed"


def test_a_value_missing_in_one_seed_is_missing_in_the_mean() -> None:
    assert mean_over_seeds([0.8, None], 9).reason == "undefined in 1 of 2 seeds"


def test_the_paired_t_test_is_scipy_s() -> None:
    first, second = [0.81, 0.84, 0.79, 0.86], [0.80, 0.80, 0.79, 0.82]
    found = paired_over_seeds(first, second, 100, "accuracy")
    assert found.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert "accuracy" in found.null
    assert paired_over_seeds([0.5], [0.4], 10).p_value is None


def test_differences_that_agree_in_all_seeds_are_not_certain() -> None:
    """By floating point the differences of .82 - .80 and .84 - .82 differ by 1e-16: without a floor, p = 1e-15."""
    found = paired_over_seeds([0.82, 0.84], [0.80, 0.82], 100)
    assert found.estimate.stderr == pytest.approx(1 / 200)
    assert found.p_value == pytest.approx(2 * stats.t.sf(0.02 * 200, 1))
    assert found.estimate.low < 0 < found.estimate.high
    assert paired_over_seeds([0.5, 0.6], [0.5, 0.6], 10).p_value == 1
    same = mean_over_seeds([0.8, 0.8], 50)
    assert same.low < 0.8 < same.high


@pytest.mark.parametrize(("seeds", "n", "noise"), [(2, 30, 1.0), (2, 100, 7.0), (3, 30, 3.0), (5, 100, 2.0)])
def test_the_paired_t_test_holds_its_level_on_shares(seeds: int, n: int, noise: float) -> None:
    """Without the floor it rejects 12% of true nulls at two seeds, 30 samples and one answer of noise."""
    rng = np.random.default_rng(4)
    differences = np.rint(rng.normal(0, noise, (600, seeds))) / n
    rejected = sum(paired_over_seeds(row.tolist(), [0.0] * seeds, n).p_value < 0.05 for row in differences)
    assert stats.binomtest(rejected, 600).proportion_ci(0.999).low <= 0.05


def test_a_gap_is_that_of_the_averaged_rates() -> None:
    seeds = [trained(seed) for seed in range(4)]
    found = pool_seeds(seeds, 1)
    rates = np.mean([plan_gaps(one, 1).tallies["accuracy", None].rates for one in seeds], axis=0)
    assert found["accuracy_spread"].value == pytest.approx(np.ptp(rates))
    assert found["worst_group"].value == pytest.approx(rates.min())
    assert found["worst_group"].groups == ("abc"[int(rates.argmin())],)
    for metric in ("accuracy_spread", "dpd", "eopp", "eod", "eod_mean", "worst_group", "accuracy"):
        one = found[metric]
        assert one.low <= one.value <= one.high


@pytest.mark.parametrize(("groups", "n", "seeds"), [(8, 40, 2), (5, 100, 2), (8, 40, 3)])
def test_groups_that_agree_by_chance_in_all_seeds_make_no_gap(groups: int, n: int, seeds: int) -> None:
    """Without the floor 92%, 29% and 15% of these intervals left out the true 0."""
    rng = np.random.default_rng(0)
    labels, group = np.ones(groups * n, dtype=int), np.repeat([f"g{index}" for index in range(groups)], n)
    missed = 0
    for _ in range(60):
        answers = [(rng.random(groups * n) < 0.8).astype(int) for _ in range(seeds)]
        found = pool_seeds([count(labels, one, group, classes=["no", "yes"]) for one in answers], 1)
        missed += found["accuracy_spread"].low > 0
    assert stats.binomtest(missed, 60).proportion_ci(0.999).low <= 0.05


@pytest.mark.parametrize("gap", [0.0, 0.15])
def test_intervals_over_seeds_hold_the_true_gap(gap: float) -> None:
    rng = np.random.default_rng(8)
    covered = 0
    for _ in range(200):
        seeds = [trained(int(rng.integers(2**32)), (0.8, 0.8, 0.8 - gap)) for _ in range(4)]
        found = pool_seeds(seeds, 1)["accuracy_spread"]
        covered += found.low <= gap <= found.high
    assert stats.binomtest(covered, 200).proportion_ci(0.999).high >= 0.93


def test_seeds_of_other_samples_and_no_seeds_are_refused() -> None:
    other = count([1] * 300, [1] * 300, GROUPS)
    with pytest.raises(GroupgapError, match="seed number 2 has other groups, classes or labels"):
        pool_seeds([trained(0), other], 1)
    with pytest.raises(GroupgapError, match="at least one training seed"):
        pool_seeds([])
    with pytest.raises(GroupgapError, match="for each training seed, but got none"):
        mean_over_seeds([], 3)
    with pytest.raises(GroupgapError, match="but got 2 and 1"):
        paired_over_seeds([0.1, 0.2], [0.1], 3)
