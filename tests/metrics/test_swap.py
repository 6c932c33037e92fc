"""The swap test of a rate: McNemar's exact test, and whole clusters by brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from groupgap.metrics import compare, count_pair, mcnemar, swap_draws, swap_p_value
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar


@given(st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=400, deadline=None)
def test_mcnemar_is_statsmodels_s(only_a: int, only_b: int) -> None:
    if only_a + only_b == 0:
        assert mcnemar(0, 0) == 1.0
    else:
        expected = statsmodels_mcnemar([[5, only_a], [only_b, 5]], exact=True).pvalue
        assert mcnemar(only_a, only_b) == pytest.approx(min(1, expected), rel=1e-9)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=10))
@settings(max_examples=200, deadline=None)
def test_clusters_are_swapped_as_a_whole_and_exactly(differences: list[int]) -> None:
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    expected = np.mean([one >= abs(sum(differences)) for one in sums])
    kinds, amounts = np.unique(differences, return_counts=True)
    assert swap_p_value(kinds, amounts) == pytest.approx(expected, abs=1e-9)


def test_drawn_swaps_agree_with_the_exact_test() -> None:
    rng = np.random.default_rng(2)
    labels, a, b = (rng.integers(0, 2, 300) for _ in range(3))
    membership = rng.random((300, 3)) < 0.4
    joint = count_pair(labels, (a, b), membership, ["x", "y", "z"])
    drawn, compared = swap_draws(joint, rng, 1, draws=20_000), compare(joint, 1, draws=10)
    for rate, values in drawn.items():
        for index, group in enumerate(joint.groups):
            found = compared.find(rate, group)
            assert found.value is not None
            assert found.p_value is not None
            monte_carlo = (1 + (np.abs(values[index]) >= abs(found.value) - 1e-12).sum()) / 20_001
            assert monte_carlo == pytest.approx(found.p_value, abs=4 * np.sqrt(0.25 / 20_000))


def test_systems_that_agree_everywhere_cannot_be_told_apart() -> None:
    joint = count_pair([1, 0] * 40, ([1, 1] * 40, [1, 1] * 40), ["a", "b"] * 40)
    assert (swap_draws(joint, np.random.default_rng(0), 1, draws=9)["accuracy"] == 0).all()
    found = compare(joint, 1, draws=99)
    assert {one.p_value for one in found.differences if one.value is not None} == {1.0}


@pytest.mark.parametrize("amounts", [[3000], [1500, 1500], [30, 30]])
def test_no_p_value_is_0(amounts: list[int]) -> None:
    """Not where it underflows, nor where a fast convolution rounds it away."""
    kinds = np.arange(1, len(amounts) + 1)
    found = swap_p_value(kinds, np.array(amounts))
    assert 0 < found < 1e-17
    assert found >= 0.5 ** (sum(amounts) - 1)
    assert 0 < mcnemar(sum(amounts), 0) < 1e-17
