"""ROC curves and membership judgements against scikit-learn, hand loops, and worlds with a known truth."""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from groupgap.errors import GroupgapError
from groupgap.metrics import roc
from groupgap.metrics.membership import compare_attacks, judge_attack
from groupgap.metrics.paired import bonett_price
from groupgap.metrics.roc import attack_power, delong, roc_curve, tpr_at
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as their_curve

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SCORES = st.lists(st.integers(-5, 5), min_size=2, max_size=40)


@pytest.fixture(scope="module")
def worlds() -> ModuleType:
    """``benchmarks/membership_coverage.py``, which imports its neighbour."""
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location("membership_coverage", FOLDER / "membership_coverage.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["membership_coverage"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


@settings(max_examples=100, deadline=None)
@given(SCORES, SCORES)
def test_curve_and_area_equal_scikit_learn(positives: list[int], negatives: list[int]) -> None:
    labels = np.r_[np.ones(len(positives)), np.zeros(len(negatives))]
    values = np.r_[positives, negatives].astype(float)
    fpr, tpr, _ = their_curve(labels, values, drop_intermediate=False)
    found = roc_curve(positives, negatives)
    np.testing.assert_allclose(found.fpr, fpr, atol=1e-12)
    np.testing.assert_allclose(found.tpr, tpr, atol=1e-12)
    area, _ = delong(np.array(positives, float), np.array(negatives, float))
    assert area == pytest.approx(roc_auc_score(labels, values), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES)
def test_delong_error_equals_the_double_loop(positives: list[int], negatives: list[int]) -> None:
    def kernel(one: int, other: int) -> float:
        return 1.0 if one > other else 0.5 if one == other else 0.0

    over = [np.mean([kernel(one, other) for other in negatives]) for one in positives]
    under = [np.mean([kernel(one, other) for one in positives]) for other in negatives]
    expected = np.sqrt(np.var(over, ddof=1) / len(over) + np.var(under, ddof=1) / len(under))
    assert delong(np.array(positives, float), np.array(negatives, float))[1] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(SCORES, SCORES, st.sampled_from([0.05, 0.1, 0.5]))
def test_true_positives_at_few_false_ones_equal_a_search_over_all_thresholds(
    positives: list[int], negatives: list[int], rate: float
) -> None:
    found = tpr_at(np.array(positives, float), np.array(negatives, float), rate)
    if found.value is None:
        assert len(negatives) * rate < 1
        return
    thresholds = [-100, *sorted(set(positives + negatives))]
    allowed = [
        np.mean([score > one for score in positives])
        for one in thresholds
        if np.mean([score > one for score in negatives]) <= rate
    ]
    assert found.value == pytest.approx(max(allowed))
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_perfect_and_hopeless_attacks_have_intervals_with_a_width() -> None:
    ones, zeros = np.ones(50), np.zeros(50)
    perfect, hopeless = attack_power(ones, zeros), attack_power(zeros, ones)
    assert perfect.auc.value == 1.0
    assert perfect.auc.low is not None
    assert 0.8 < perfect.auc.low < 1.0
    assert hopeless.auc.value == 0.0
    assert hopeless.auc.high is not None
    assert 0.0 < hopeless.auc.high < 0.2
    assert perfect.balanced_accuracy.value == 1.0
    assert hopeless.balanced_accuracy.value == 0.5


@pytest.mark.parametrize(
    ("members", "nonmembers", "reason"),
    [([], [1.0], "no members"), ([1.0], [], "no non-members"), ([2.0, 2.0], [2.0], "all scores are the same")],
)
def test_what_cannot_be_judged_is_undefined_in_words(
    members: list[float], nonmembers: list[float], reason: str
) -> None:
    power = attack_power(members, nonmembers)
    for estimate in (power.auc, power.balanced_accuracy, *power.tpr_at.values()):
        assert (estimate.value, estimate.reason) == (None, reason)


def test_a_rate_below_one_nonmember_is_not_a_rate() -> None:
    rng = np.random.default_rng(0)
    power = attack_power(rng.normal(size=300), rng.normal(size=300))
    assert power.tpr_at[0.001].text == "undefined (300 non-members cannot show a rate of 0.001: it takes 1,000)"
    assert power.tpr_at[0.01].value is not None


def test_nan_scores_are_refused() -> None:
    with pytest.raises(GroupgapError, match="1 of the members' are NaN"):
        attack_power([float("nan"), 1.0], [1.0, 2.0])
    with pytest.raises(GroupgapError, match="1 of 2 are NaN"):
        judge_attack([float("nan"), 1.0], [True, False], [[True], [True]], ["a"])


def test_a_leaky_group_is_found_and_the_others_are_at_chance() -> None:
    rng = np.random.default_rng(3)
    member, group = rng.random(2000) < 0.5, rng.integers(0, 4, 2000)
    scores = rng.normal(size=2000) + 1.0 * (member & (group == 2))
    judged = judge_attack(scores, member, group[:, None] == np.arange(4), list("abcd"))
    for name, power in judged.groups.items():
        assert power.own.auc.chance is not None
        assert power.own.auc.low is not None
        assert power.own.auc.high is not None
        if name == "c":
            assert power.own.auc.chance.p_value < 0.01
            assert power.own.auc.low > 0.5
        else:
            assert power.own.auc.low <= 0.5 <= power.own.auc.high


def test_the_common_threshold_shows_a_group_with_many_false_positives() -> None:
    """Group a scores higher, member or not: at the common threshold its non-members are accused."""
    rng = np.random.default_rng(4)
    member, in_a = rng.random(4000) < 0.5, rng.random(4000) < 0.3
    scores = rng.normal(size=4000) + 3.0 * in_a
    judged = judge_attack(scores, member, np.c_[in_a, ~in_a], ["a", "b"])
    a, b = judged.groups["a"].common[0.01], judged.groups["b"].common[0.01]
    assert a.fpr.value is not None
    assert b.fpr.value is not None
    assert a.fpr.value > 0.02
    assert b.fpr.value < 0.002
    weighted = (a.fpr.value * a.fpr.n + b.fpr.value * b.fpr.n) / (a.fpr.n + b.fpr.n)
    assert weighted == pytest.approx(0.01, abs=0.001)


def test_a_small_group_is_undefined_and_overlapping_groups_count_each_example() -> None:
    rng = np.random.default_rng(0)
    member = np.arange(200) % 2 == 0
    matrix = np.c_[np.ones(200, bool), np.arange(200) < 20]
    judged = judge_attack(rng.normal(size=200), member, matrix, ["all", "few"])
    assert judged.groups["all"].own.auc.value == judged.overall.auc.value
    assert judged.groups["few"].own.auc.text == "undefined (10 members and 10 non-members: fewer than 30)"


def test_two_targets_on_the_same_examples() -> None:
    rng = np.random.default_rng(0)
    member = rng.random(3000) < 0.5
    shared = rng.normal(size=3000)
    leaky, tight = shared + 1.5 * member, shared + rng.normal(0, 0.1, 3000)
    found = compare_attacks(leaky, tight, member, draws=300)
    assert found.auc.value == pytest.approx(roc_auc_score(member, leaky) - roc_auc_score(member, tight), abs=1e-12)
    assert found.auc_p_value is not None
    assert found.auc_p_value < 1e-6
    assert found.tpr_at[0.01].low is not None
    assert found.tpr_at[0.01].low > 0
    same = compare_attacks(shared, shared, member, draws=100)
    assert (same.auc.value, same.auc_p_value) == (0.0, 1.0)
    assert set(same.tpr_p_values.values()) == {1.0}


def test_each_draw_weighs_examples_of_both_targets_together() -> None:
    """A difference of exactly 0 on each example has no spread, whatever is drawn: what is left is that of the hits."""
    rng = np.random.default_rng(0)
    scores, member = rng.normal(size=500), rng.random(500) < 0.5
    found = compare_attacks(scores, scores * 3 + 1, member, (0.05,), draws=50)
    _, _, low, high = bonett_price(0, 0, int(member.sum()), 0.95)
    assert (found.tpr_at[0.05].low, found.tpr_at[0.05].high) == (low, high)
    assert low < 0 < high


def hits(rng: np.random.Generator, sizes: tuple[int, int], shares: tuple[float, float]) -> np.ndarray:
    """(2, m + n) scores of two targets: so large a share of the members stands over all others, the rest under."""
    m, n = sizes
    scores = rng.normal(size=(2, m + n))
    for target, share in enumerate(shares):
        scores[target, :m] += np.where(rng.random(m) < share, 12, -12)
    return scores


@pytest.mark.parametrize(
    ("m", "n", "one", "other"), [(30, 200, 1.0, 0.97), (50, 200, 0.03, 0.0), (200, 400, 0.01, 0.0)]
)
def test_a_difference_of_shares_that_no_draw_can_show_is_in_the_interval(
    m: int, n: int, one: float, other: float
) -> None:
    """Where no hit was seen the bootstrap draws none: intervals of width 0, which covered 56-87%."""
    rng = np.random.default_rng(0)
    covered, widths, rejected = 0, [], 0
    for run in range(200):
        scores = hits(rng, (m, n), (one, other))
        found = compare_attacks(scores[0], scores[1], np.arange(m + n) < m, (0.01,), draws=99, seed=run)
        low, high, p_value = found.tpr_at[0.01].low, found.tpr_at[0.01].high, found.tpr_p_values[0.01]
        assert low is not None
        assert high is not None
        assert p_value is not None
        covered += low <= one - other <= high
        widths.append(high - low)
        rejected += p_value < 0.05
        assert p_value >= 0.05 - 1e-12 or not low <= 0 <= high
    assert covered >= 190
    assert min(widths) > 0.01


@pytest.mark.parametrize("m", [2, 3, 5, 10])
def test_few_members_give_the_promised_level_and_coverage(m: int) -> None:
    """By the normal distribution A - B rejected in up to 30% of such runs, and an interval covered as few as 72%."""
    inside, errors, covered, runs = np.arange(m + 500) < m, 0, 0, 600
    truth = stats.norm.cdf(2.5 / np.sqrt(2))
    for run in range(runs):
        rng = np.random.default_rng(run)
        one, other = rng.normal(size=(2, m + 500))
        p_value = compare_attacks(one, other, inside, (), 1).auc_p_value
        assert p_value is not None
        errors += p_value < 0.05
        leaky = attack_power(one[:m] + 2.5, one[m:], ()).auc
        assert leaky.low is not None
        assert leaky.high is not None
        covered += leaky.low <= truth <= leaky.high
    assert errors <= 0.05 * runs + 3.1 * np.sqrt(runs * 0.05 * 0.95)
    assert covered >= 0.95 * runs - 3.1 * np.sqrt(runs * 0.05 * 0.95)


@pytest.mark.parametrize("k", [3, 7, 10, 30])
def test_what_rounding_leaves_of_an_error_is_no_error(k: int) -> None:
    """Every member passes one non-member less: DeLong's variance is 0, and 1e-33 in floats, which made p = 1e-16."""
    members, others = np.arange(1.0, k + 1), np.arange(k) + 0.5
    found = compare_attacks(np.r_[members, others], np.r_[members, others + 1], np.arange(2 * k) < k, (), 1)
    assert (found.auc.value, found.auc.stderr) == pytest.approx((1 / k, 1 / k))
    assert found.auc.low is not None
    assert found.auc.low < 0
    assert found.auc_p_value is not None
    assert found.auc_p_value > 0.3


def test_interval_and_p_value_of_a_difference_of_true_positive_rates_tell_the_same() -> None:
    """Also where the last draw decides: the sizes and draws of these made them differ in 1 of 60."""
    rng, held = np.random.default_rng(1), 0
    for run in range(200):
        m, n = int(rng.integers(10, 60)), 100
        inside = np.arange(m + n) < m
        shared, own = rng.normal(size=m + n), 0.5 * rng.normal(size=(2, m + n))
        scores = shared + own + inside * rng.uniform(0, 3, (2, 1))
        found = compare_attacks(scores[0], scores[1], inside, (0.05,), draws=99, seed=run)
        low, high, p_value = found.tpr_at[0.05].low, found.tpr_at[0.05].high, found.tpr_p_values[0.05]
        assert low is not None
        assert high is not None
        assert p_value is not None
        assert (low <= 0 <= high) == (p_value >= 0.05)
        held += low <= 0 <= high
    assert 0 < held < 200


def test_intervals_by_few_scores_use_the_t_distribution() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0.3, 1, (2, 60)), rng.normal(size=(2, 200))
    auc = attack_power(one[0], other[0]).auc
    half = stats.t.isf(0.025, 59) * (auc.stderr or 0) / ((auc.value or 0) * (1 - (auc.value or 0)))
    expected = special.expit(special.logit(auc.value) + np.array([-half, half]))
    assert (auc.low, auc.high) == pytest.approx(tuple(expected), abs=1e-12)
    found = compare_attacks(np.r_[one[0], other[0]], np.r_[one[1], other[1]], np.arange(260) < 60, (), 1)
    expected_p = 2 * stats.t.sf(abs(found.auc.value or 0) / (found.auc.stderr or 1), 59)
    assert found.auc_p_value == pytest.approx(expected_p)


@pytest.mark.parametrize(("m", "n", "allowed"), [(7, 5, 1), (20, 30, 2), (4, 40, 3)])
def test_what_guessing_finds_is_exact(m: int, n: int, allowed: int) -> None:
    """Against all orders of members and others that a shuffle can give, counted by their binomial coefficients."""
    ways = [math.comb(k + allowed, k) * math.comb(m - k + n - allowed - 1, m - k) for k in range(m + 1)]
    assert sum(ways) == math.comb(m + n, m)
    for found in range(m + 1):
        members = np.r_[np.full(found, 2.0 * n), np.full(m - found, -1.0)]
        chance = tpr_at(members, np.arange(n, dtype=float), (allowed + 0.5) / n).chance
        assert chance is not None
        assert chance.p_value == pytest.approx(sum(ways[found:]) / sum(ways), rel=1e-9)
        over = [sum(ways[count:]) / sum(ways) for count in range(m + 2)]
        assert over[round(chance.p95 * m) + 1] <= 0.05 < over[round(chance.p95 * m)]


def test_random_membership_does_not_find_more_than_its_rate() -> None:
    rng = np.random.default_rng(5)
    runs = [attack_power(rng.normal(size=150), rng.normal(size=300), (0.01, 0.05)) for _ in range(400)]
    for rate in (0.01, 0.05):
        found = [run.tpr_at[rate].chance for run in runs]
        p_values = [chance.p_value for chance in found if chance is not None]
        assert len(p_values) == 400
        assert sum(p_value <= 0.05 for p_value in p_values) <= 33


def test_a_p_value_of_exactly_one_in_twenty_is_not_rejected() -> None:
    """1 - 0.95 is a hair more than 0.05 in floats."""
    assert 1 - 0.95 > 0.05
    assert roc._explained(0.05, 0.95)
    assert not roc._explained(0.05 - 1e-6, 0.95)


def test_the_exact_test_is_left_where_it_would_take_minutes() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.normal(size=8), rng.normal(size=100_000)
    began = time.perf_counter()
    chance = attack_power(members, others).auc.chance
    assert time.perf_counter() - began < 5
    assert chance is not None
    assert chance.p_value == stats.mannwhitneyu(members, others, method="asymptotic").pvalue


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_attacks_rank_as_published(worlds: ModuleType, seed: int) -> None:
    """At a false positive rate of 0.1%: tensorflow-privacy's readme and lira-pytorch on CIFAR-10, 16 shadows."""
    found = worlds.order_of_attacks(worlds.shadowed(seed, n=60_000))
    order = [
        "online, fixed variance",
        "offline (density), fixed variance",
        "online",
        "offline (density)",
        "global threshold",
    ]
    rates = [found[name][1] for name in order]
    assert rates == sorted(rates, reverse=True)
    assert found["offline (one-sided)"][0] > found["offline (density)"][0]


@pytest.mark.parametrize(
    ("members", "nonmembers", "shift", "spread"), [(600, 600, 0.0, 1.0), (100, 100, 0.3, 1.0), (200, 1000, 1.0, 1.0)]
)
def test_intervals_cover(worlds: ModuleType, members: int, nonmembers: int, shift: float, spread: float) -> None:
    rng = np.random.default_rng(2)
    for name, (hits, defined) in worlds.coverage_case(members, nonmembers, shift, spread, 300, rng).items():
        assert worlds.covers(hits, defined), (name, hits, defined)


def test_random_membership_is_called_random(worlds: ModuleType) -> None:
    for name, (errors, runs) in worlds.null_case(100, 150, 400, np.random.default_rng(2)).items():
        assert worlds.holds(errors, runs), (name, errors)


def test_equal_leaks_are_called_equal(worlds: ModuleType) -> None:
    for name, (errors, runs) in worlds.paired_null_case(200, 300, 0.5, 0.7, 100, np.random.default_rng(2)).items():
        assert worlds.holds(errors, runs), (name, errors)


def test_no_p_value_of_an_attack_is_0_and_no_interval_has_width_0() -> None:
    rng = np.random.default_rng(0)
    power = attack_power(rng.normal(3, 1, 2000), rng.normal(0, 1, 2000))
    assert power.auc.chance is not None
    assert 0 < power.auc.chance.p_value < 1e-100
    assert power.balanced_accuracy.chance is not None
    assert 0 < power.balanced_accuracy.chance.p_value < 1e-100
    member = np.arange(6) < 3
    few = compare_attacks(member.astype(float), np.zeros(6), member, (), 1)  # DeLong's error is 0
    assert few.auc.value == 0.5
    assert few.auc.low is not None
    assert few.auc.low < 0
    assert few.auc_p_value is not None
    assert 0.05 < few.auc_p_value < 1
    many = np.repeat([True, False], 2000)
    sure = compare_attacks(many + rng.normal(0, 0.1, 4000), rng.normal(0, 1, 4000), many, (), 1)
    assert sure.auc_p_value is not None
    assert 0 < sure.auc_p_value < 1e-100


def test_the_interval_of_an_auc_holds_a_half_where_the_test_does_not_reject() -> None:
    """Also where members and non-members differ in spread, so that DeLong's error is smaller than under the null."""
    kept = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        auc = attack_power(rng.normal(0.2, 1, 300), rng.normal(0, 0.1, 40)).auc
        assert auc.low is not None
        assert auc.high is not None
        assert auc.chance is not None
        kept += auc.chance.p_value >= 0.05
        assert auc.low <= 0.5 <= auc.high or auc.chance.p_value < 0.05
    assert 0 < kept < 300
