"""Maxima of means: single means against scipy and statsmodels, intervals against the truth, p-values against both."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from groupgap.metrics import wilson
from groupgap.metrics.largest import difference_of_largest, largest, mean_of, means, share_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

SIGNS = np.array([[1.0], [-1.0]])


def test_a_mean_has_the_t_interval_of_scipy() -> None:
    values = np.random.default_rng(0).gamma(2.0, 1.0, 37)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    found = mean_of(values, confidence=0.9)
    assert (found.value, found.n) == (pytest.approx(values.mean()), 37)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_clusters_are_drawn_together_as_in_statsmodels() -> None:
    rng = np.random.default_rng(1)
    clusters = rng.integers(0, 25, 90)
    values = rng.normal(0, 1, 25)[clusters] + rng.normal(0, 0.5, 90)
    fitted = sm.OLS(values, np.ones(90)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    assert mean_of(values, clusters).stderr == pytest.approx(float(fitted.bse[0]))


def test_rows_given_twice_change_nothing_where_they_are_one_cluster() -> None:
    values = np.random.default_rng(2).normal(0, 1, 40)
    once, twice = mean_of(values), mean_of(np.tile(values, 2), np.tile(np.arange(40), 2))
    assert (twice.low, twice.high) == (pytest.approx(once.low), pytest.approx(once.high))


def test_no_values_and_one_value_have_no_interval() -> None:
    assert mean_of([], reason="nobody was asked").reason == "nobody was asked"
    assert mean_of([3.0]).low is None
    assert mean_of([3.0]).interval == "1 document"


def test_equal_values_do_not_make_floating_point_noise_significant() -> None:
    both = means(np.stack([np.full(50, 0.1 + 0.2), np.full(50, 0.3)], axis=1))
    found = difference_of_largest(both, SIGNS * [1.0, 0.0], SIGNS * [0.0, 1.0])
    assert found.low <= 0 <= found.high
    assert found.p_value > 0.05


def test_a_maximum_names_the_largest_and_reckons_with_the_choice() -> None:
    rng = np.random.default_rng(3)
    drawn = means(rng.normal(0, 1, (100, 20)))
    names = [(str(index),) for index in range(40)]
    found = largest(drawn, np.concatenate([np.eye(20), -np.eye(20)]), names)
    at = int(np.abs(drawn.values).argmax())
    assert found.value == pytest.approx(abs(drawn.values[at]))
    assert int(found.groups[0]) % 20 == at
    assert found.low == 0  # of 20 true zeros the largest looks significant alone, and is not
    assert found.value / found.stderr > 1.96


def test_a_mean_of_one_document_makes_no_bound() -> None:
    inside = np.array([[True, True], [True, False], [True, False]])
    drawn = means(np.array([[1.0, 9.0], [2.0, 0.0], [2.5, 0.0]]), inside)
    found = largest(drawn, np.array([[0.0, 1.0], [1.0, 0.0]]), [("lone",), ("three",)])
    assert (found.value, found.groups) == (9.0, ("lone",))
    assert (found.low, found.high, found.interval) == (None, None, "none: a candidate rests on 1 document")
    minus = difference_of_largest(drawn, np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]))
    assert (minus.low, minus.high, minus.p_value) == (-np.inf, np.inf, 1.0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-1.0, 1.0), tied=st.booleans())
def test_the_p_value_and_the_interval_agree(seed: int, shift: float, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    centre = np.array([0.5, 0.5 if tied else 0.1, 0.5 + shift, -0.2])
    drawn = means(rng.normal(centre, 1.0, (80, 4)))
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[:2, :2], a[2:, :2] = np.eye(2), -np.eye(2)
    b[:2, 2:], b[2:, 2:] = np.eye(2), -np.eye(2)
    found = difference_of_largest(drawn, a, b)
    assert found.low <= found.value <= found.high
    assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high)
    turned = difference_of_largest(drawn, b, a)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert turned.p_value == pytest.approx(found.p_value)


@pytest.mark.parametrize("truth", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.6, 0.0, -0.6)])
def test_the_intervals_hold_the_true_maximum(truth: tuple[float, float, float]) -> None:
    """Ties are where a bootstrap of a maximum fails."""
    rng = np.random.default_rng(4)
    both = np.concatenate([np.eye(3), -np.eye(3)])
    names = [(str(index),) for index in range(6)]
    hits = 0
    for _ in range(400):
        found = largest(means(rng.normal(truth, 1.0, (60, 3))), both, names)
        hits += found.low <= max(map(abs, truth)) <= found.high
    assert stats.binomtest(hits, 400).proportion_ci(0.999).high >= 0.95


def test_a_share_of_one_answer_a_document_has_wilsons_interval() -> None:
    hits = np.arange(200) < 30
    low, high = wilson(30, 200)
    found = share_of(hits[:, None])
    assert (found.value, found.n) == (0.15, 200)
    assert (found.low, found.high) == (pytest.approx(float(low), abs=2e-4), pytest.approx(float(high), abs=2e-4))


@pytest.mark.parametrize("value", [0, 1])
def test_a_share_has_no_width_of_0(value: int) -> None:
    found = share_of(np.full((50, 2), value))
    low, high = wilson(50 * value, 50)  # the document counts, not its answers: they may all go together
    assert (found.value, found.low, found.high) == (value, pytest.approx(float(low)), pytest.approx(float(high)))
    assert mean_of(np.full(50, 0.5), step=0.5).stderr == pytest.approx(0.01)
    assert share_of([], reason="nobody").reason == "nobody"


@pytest.mark.parametrize(("rate", "together"), [(0.5, 0.0), (0.9, 0.8), (0.98, 0.5), (0.5, -1.0)])
def test_shares_of_several_answers_a_document_are_covered(rate: float, together: float) -> None:
    """Answers that go together, or against each other: what counts is the document."""
    rng = np.random.default_rng(9)
    hits = 0
    for _ in range(400):
        first = rng.random(120) < rate
        same = rng.random(120) < abs(together)
        second = np.where(same, first if together >= 0 else ~first, rng.random(120) < rate)
        found = share_of(np.stack([first, second], axis=1))
        truth = rate if together >= 0 else 0.5
        hits += found.low <= truth <= found.high
    assert stats.binomtest(hits, 400).proportion_ci(0.999).high >= 0.95


def test_a_share_near_1_of_answers_that_all_go_together_is_covered() -> None:
    """20 documents, each asked in 8 cells with one answer: often all 160 answers are the same."""
    rng = np.random.default_rng(1)
    drawn = [share_of(np.repeat((rng.random(20) < 0.95)[:, None], 8, axis=1)) for _ in range(400)]
    hits = sum(one.low <= 0.95 <= one.high for one in drawn)
    assert stats.binomtest(hits, 400).proportion_ci(0.999).high >= 0.95
