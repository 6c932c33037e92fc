"""Score intervals against scipy and statsmodels; intervals of extremes hold what they must."""

from __future__ import annotations

import numpy as np
import pytest
from groupgap.metrics import GAPS, count, newcombe, plan_gaps, wilson
from groupgap.metrics.intervals import newcombe_z
from groupgap.metrics.simultaneous import gap_interval, range_quantile, worst_interval
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint


@given(st.integers(1, 100_000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=500, deadline=None)
def test_wilson_is_scipy_s_and_statsmodels_s(n: int, share: float, confidence: float) -> None:
    successes = round(share * n)
    low, high = (float(end) for end in wilson(successes, n, confidence))
    expected = stats.binomtest(successes, n).proportion_ci(confidence, "wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert (low, high) == pytest.approx(proportion_confint(successes, n, 1 - confidence, "wilson"), abs=1e-9)
    assert low <= successes / n <= high
    assert high > low


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=500, deadline=None)
def test_newcombe_is_statsmodels_s(n1: int, n2: int, share1: float, share2: float) -> None:
    one, other = np.array([round(share1 * n1)], float), np.array([round(share2 * n2)], float)
    low, high = newcombe(one, np.array([n1], float), other, np.array([n2], float))
    expected = confint_proportions_2indep(one[0], n1, other[0], n2, method="newcomb", compare="diff")
    assert (low[0], high[0]) == pytest.approx(expected, abs=1e-9)


def test_correlation_narrows_a_difference_and_none_leaves_it() -> None:
    one, other = (np.array([80.0]), np.array([100.0])), (np.array([70.0]), np.array([100.0]))
    free, tied = newcombe_z(one, other, 1.96), newcombe_z(one, other, 1.96, 0.5)
    assert free[0] < tied[0] < 0.1 < tied[1] < free[1]


@pytest.mark.parametrize(("groups", "quantile"), [(2, 1.960), (5, 2.728), (8, 3.031), (13, 3.314)])
def test_the_range_quantile_is_that_of_tukey_s_tables(groups: int, quantile: float) -> None:
    draws = np.random.default_rng(0).standard_normal((200_000, groups))
    assert range_quantile(groups, 0.95) == pytest.approx(quantile, abs=2e-3)
    assert np.quantile(np.ptp(draws, axis=1) / np.sqrt(2), 0.95) == pytest.approx(quantile, abs=0.02)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_intervals_hold_their_value_and_stay_in_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, groups = int(rng.integers(4, 300)), int(rng.integers(2, 6))
    membership = rng.random((n, groups)) < 0.5
    answers = rng.integers(0, 3, (2, n)) % int(rng.integers(2, 4))
    plan = plan_gaps(count(*answers, membership, [f"g{index}" for index in range(groups)]), None, 2)
    for metric in GAPS:
        value, limits = plan.gap(metric).value, gap_interval(plan, metric)
        assert (value is None) == (limits is None)
        if value is not None and limits is not None:
            assert 0 <= limits[0] <= value + 1e-12 <= limits[1] + 2e-12 <= 1 + 4e-12
            assert limits[1] > limits[0]
    worst, limits = plan.worst_group().value, worst_interval(plan)
    assert (worst is None) == (limits is None)
    assert limits is None or worst is None or 0 <= limits[0] <= worst <= limits[1] <= 1


def test_the_interval_of_two_groups_is_newcombe_s() -> None:
    counts = count([1] * 200, [1] * 90 + [0] * 10 + [1] * 60 + [0] * 40, ["a"] * 100 + ["b"] * 100)
    found = gap_interval(plan_gaps(counts, 1), "dpd")
    low, high = newcombe(np.array([90.0]), np.array([100.0]), np.array([60.0]), np.array([100.0]))
    assert found == pytest.approx((low[0], high[0]), abs=1e-6)
