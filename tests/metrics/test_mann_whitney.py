"""Mann and Whitney's test of scores that tie: against all shuffles, values by hand, and memberships drawn at random."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
from groupgap.metrics import mann_whitney
from groupgap.metrics.roc import attack_power
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

SCORES = st.lists(st.sampled_from([-1.0, 0.0, 0.5, math.inf]), min_size=1, max_size=7)


def p_value(members: list[float] | np.ndarray, others: list[float] | np.ndarray) -> float:
    chance = attack_power(members, others, ()).auc.chance
    assert chance is not None
    return chance.p_value


@settings(max_examples=150, deadline=None)
@given(SCORES, SCORES)
def test_the_p_value_is_that_of_all_shuffles(members: list[float], others: list[float]) -> None:
    together = [*members, *others]
    if len(set(together)) in (1, len(together)):
        return
    ranks = stats.rankdata(together)
    seen = ranks[: len(members)].sum()
    sums = np.array([sum(chosen) for chosen in itertools.combinations(ranks, len(members))])
    expected = min(1.0, 2 * min((sums >= seen).mean(), (sums <= seen).mean()))
    assert p_value(members, others) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("members", "others", "tail"),
    [
        ([1.0], [0.0] * 1000, 1 / 1001),  # the normal distribution said 4.9e-219
        ([1.0] + [0.0] * 29, [0.0] * 1000, 30 / 1030),  # 8e-9
        ([1.0] * 2 + [0.0] * 28, [0.0] * 1000, math.comb(30, 2) / math.comb(1030, 2)),  # 3e-16
        ([1.0] * 2, [2.0] * 3 + [0.0] * 200, (math.comb(5, 2) - math.comb(3, 2)) / math.comb(205, 2) + 3 / 20910),
        ([1.0] * 30, [0.0] * 1000, 1 / math.comb(1030, 30)),
        ([1.0] * 40 + [0.0] * 99_960, [0.0] * 100_000, math.comb(100_000, 40) / math.comb(200_000, 40)),
    ],
)
def test_few_scores_above_a_tie(members: list[float], others: list[float], tail: float) -> None:
    assert p_value(members, others) == pytest.approx(2 * tail, rel=1e-6)
    assert p_value(others, members) == pytest.approx(2 * tail, rel=1e-6)


@pytest.mark.parametrize(("m", "n", "above"), [(30, 1000, 5), (30, 1000, 15), (50, 500, 10), (1000, 30, 5)])
def test_random_membership_of_saturated_scores_is_found_in_at_most_one_of_twenty(m: int, n: int, above: int) -> None:
    """Scipy rejects in 12.7% of the first of these."""
    rng, runs = np.random.default_rng(0), 400
    found = []
    for _ in range(runs):
        scores = np.zeros(m + n)
        scores[rng.choice(m + n, above, replace=False)] = rng.random(above)
        found.append(mann_whitney.mann_whitney(scores[:m], scores[m:]))
    assert np.mean(np.array(found) < 0.05) <= 0.05 + 3.1 * np.sqrt(0.05 * 0.95 / runs)
    assert np.mean(np.array(found) < 0.001) <= 0.005


def test_shuffles_that_are_too_many_to_count_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    scores = np.zeros(330)
    scores[rng.choice(330, 60, replace=False)] = rng.normal(size=60)
    scores[:30] += 0.5 * (scores[:30] != 0)
    counted = mann_whitney.mann_whitney(scores[:30], scores[30:])
    monkeypatch.setattr(mann_whitney, "MOST_STEPS", 0)
    drawn = mann_whitney.mann_whitney(scores[:30], scores[30:])
    assert 0.02 < counted < 0.98
    assert drawn == pytest.approx(counted, abs=4 * np.sqrt(counted / mann_whitney.DRAWS))
    assert drawn == mann_whitney.mann_whitney(scores[:30], scores[30:])
    assert mann_whitney.mann_whitney(np.ones(30), np.zeros(1000)) == 2 / (mann_whitney.DRAWS + 1)


def test_the_normal_distribution_stays_where_it_is_good_and_all_of_it_is_quick() -> None:
    rng = np.random.default_rng(0)
    many = [np.round(rng.normal(size=n), 1) for n in (2000, 2000)]
    assert mann_whitney.mann_whitney(*many) == stats.mannwhitneyu(*many, method="asymptotic").pvalue
    few = np.round(rng.normal(size=30), 2), np.round(rng.normal(size=100_000), 2)
    assert mann_whitney.mann_whitney(*few) == stats.mannwhitneyu(*few, method="asymptotic").pvalue
    none = rng.normal(size=5), rng.normal(size=9)
    assert mann_whitney.mann_whitney(*none) == stats.mannwhitneyu(*none, method="exact").pvalue
    began = time.perf_counter()
    for members, others, apart in ((8, 100_000, 1000), (50_000, 50_000, 90), (300, 1000, 150), (49, 49, 60)):
        scores = np.zeros(members + others)
        scores[rng.choice(len(scores), apart, replace=False)] = rng.normal(size=apart)
        assert 0 < mann_whitney.mann_whitney(scores[:members], scores[members:]) <= 1
    assert time.perf_counter() - began < 5
