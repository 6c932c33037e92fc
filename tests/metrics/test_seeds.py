"""Training seeds: t intervals by scipy, gaps from averaged rates, what cannot be pooled."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.metrics import (
    GAPS,
    Counts,
    chance_gaps,
    chance_over_seeds,
    count,
    count_clusters,
    mean_over_seeds,
    paired_over_seeds,
    plan_gaps,
    pool_seeds,
)
from groupgap.metrics.chance import Answered, permuted_gaps
from groupgap.metrics.cluster_chance import cluster_chances
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


def together(seed: int, classes: int, trainings: int) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Labels, each training's answers (mostly those of the first), overlapping memberships with some in no group."""
    rng = np.random.default_rng(seed)
    labels, first = rng.integers(0, classes, 240), rng.integers(0, classes, 240)
    said = [np.where(rng.random(240) < 0.7, first, rng.integers(0, classes, 240)) for _ in range(trainings)]
    return labels, said, rng.random((240, 3)) < 0.4


@cache
def one_by_one(classes: int, draws: int = 300) -> dict[str, list[float]]:
    """Gaps of three trainings' mean rates in a loop over permutations of membership rows."""
    labels, said, membership = together(1, classes, 3)
    members, rng = np.flatnonzero(membership.any(axis=1)), np.random.default_rng(5)
    found: dict[str, list[float]] = {metric: [] for metric in GAPS}
    for _ in range(draws):
        anyhow, within = np.arange(240), np.arange(240)
        anyhow[members] = rng.permutation(members)
        for label in range(classes):
            rows = members[labels[members] == label]
            within[rows] = rng.permutation(rows)
        for metrics, order in ((("accuracy_spread", "dpd"), anyhow), (("eopp", "eod", "eod_mean"), within)):
            pooled = pool_seeds([count(labels, one, membership[order], list("abc")) for one in said], min_group=1)
            for metric in metrics:
                found[metric].append(pooled[metric].value)
    return found


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("by_sample", [False, True])
def test_chance_over_seeds_permutes_documents_with_all_their_answers(
    classes: int, by_sample: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groupgap.metrics.chance.SAMPLES_A_CELL", 1000 if by_sample else 0)
    labels, said, membership = together(1, classes, 3)
    plan = plan_gaps(count(labels, said[0], membership, list("abc")), None, 5)
    answered = Answered(membership, labels, np.stack(said, axis=1), np.ones(240, dtype=np.int64))
    permuted = permuted_gaps(plan, 1000, np.random.default_rng(0), answered=answered)
    for metric, slow in one_by_one(classes).items():
        assert stats.ks_2samp(permuted[metric], slow).pvalue > 0.0005, metric


def test_chance_over_one_seed_is_that_of_one_system() -> None:
    labels, (said,), membership = together(2, 2, 1)
    found, _ = chance_over_seeds(labels, [said], membership, list("abc"), positive=1, draws=300, seed=4)
    plan = plan_gaps(count(labels, said, membership, list("abc")), 1)
    assert found == chance_gaps(plan, 300, np.random.default_rng(4))
    assert found == chance_over_seeds(labels, [said] * 3, membership, list("abc"), positive=1, draws=300, seed=4)[0]


def test_chance_over_seeds_measures_the_pooled_gap() -> None:
    labels, said, membership = together(3, 2, 4)
    found, _ = chance_over_seeds(labels, said, membership, list("abc"), positive=1, draws=299)
    pooled = pool_seeds([count(labels, one, membership, list("abc")) for one in said], 1)
    answered = Answered(membership, labels, np.stack(said, axis=1), np.ones(240, dtype=np.int64))
    plan = plan_gaps(count(labels, said[0], membership, list("abc")), 1)
    drawn = permuted_gaps(plan, 299, np.random.default_rng(0), answered=answered)
    for metric, chance in found.items():
        assert chance.p_value == (1 + (drawn[metric] >= pooled[metric].value - 1e-12).sum()) / 300


def test_chance_over_seeds_holds_its_level_where_seeds_agree() -> None:
    """Five trainings that nearly agree: as five times as many documents they would find a gap in nothing."""
    rejected = {"documents": 0, "answers": 0}
    for run in range(300):
        rng = np.random.default_rng(run)
        labels, groups = np.ones(120, dtype=int), np.repeat(["a", "b", "c"], 40)
        hard = rng.random(120) < 0.3
        said = [np.where(rng.random(120) < 0.05, hard, ~hard).astype(int) for _ in range(5)]
        found = chance_over_seeds(labels, said, groups, positive=1, draws=199, seed=run)[0]["dpd"]
        rejected["documents"] += found.p_value <= 0.05
        stacked = plan_gaps(count(np.tile(labels, 5), np.concatenate(said), np.tile(groups, 5)), 1)
        rejected["answers"] += chance_gaps(stacked, 199, rng)["dpd"].p_value <= 0.05
    assert rejected["documents"] <= 28  # the 99.9% point of 300 draws at 5%
    assert rejected["answers"] >= 90


def test_chance_over_no_seeds_is_refused() -> None:
    with pytest.raises(GroupgapError, match="at least one training seed"):
        chance_over_seeds([1, 0], [], ["a", "b"])


def pairs(seed: int) -> tuple[np.ndarray, list[np.ndarray], np.ndarray, np.ndarray]:
    """Labels, three trainings' answers, groups and pair of 160 lines: a line of each group in every pair."""
    rng = np.random.default_rng(seed)
    hard = np.repeat(rng.random(80) < 0.4, 2)
    said = [np.where(rng.random(160) < 0.15, hard, ~hard).astype(int) for _ in range(3)]
    return np.ones(160, dtype=int), said, np.tile(["a", "b"], 80), np.repeat(np.arange(80), 2)


def test_chance_over_seeds_of_pairs_swaps_their_lines_with_all_answers() -> None:
    labels, said, groups, pair = pairs(0)
    chances, reasons = chance_over_seeds(labels, said, groups, positive=1, clusters=pair, draws=4000)
    assert not reasons
    rng, mean = np.random.default_rng(1), np.mean(said, axis=0).reshape(80, 2)
    gaps = [abs(float(np.where(rng.random(80) < 0.5, 1, -1) @ (mean[:, 0] - mean[:, 1]) / 80)) for _ in range(4000)]
    for metric in ("accuracy_spread", "dpd", "eopp"):
        assert chances[metric].median == pytest.approx(np.median(gaps), abs=0.003)
        assert chances[metric].p95 == pytest.approx(np.percentile(gaps, 95), abs=0.006)
    apart, _ = chance_over_seeds(labels, said, groups, positive=1, draws=4000)
    assert apart["dpd"].median > 1.3 * chances["dpd"].median


def test_chance_over_equal_seeds_in_units_is_that_of_one() -> None:
    labels, said, groups, pair = pairs(2)
    one = count_clusters((labels, said[0]), groups[:, None] == ["a", "b"], pair, ["a", "b"], ["0", "1"])
    expected = cluster_chances(one, plan_gaps(one.a, 1), 300, np.random.default_rng(3))
    found = chance_over_seeds(labels, [said[0]] * 4, groups, positive=1, clusters=pair, draws=300, seed=3)
    assert found == expected


def test_chance_over_seeds_says_why_units_cannot_be_exchanged() -> None:
    labels, said, _, _ = pairs(4)
    unlike = np.repeat(np.arange(80), 2) // np.where(np.arange(160) < 80, 1, 2)  # 40 units of two lines, 20 of four
    groups = np.where(np.arange(160) < 80, "a", "b")
    chances, reasons = chance_over_seeds(labels, said, groups, positive=1, clusters=unlike, draws=99)
    assert not chances
    assert "no unit with as many rows holds another to exchange" in reasons["dpd"]


def test_groups_whose_mean_accuracy_is_equal_are_all_named() -> None:
    """Over three seeds a has 1, 2 and 3 of 10 right, b 3, 1 and 2: means that floating point may tell apart."""
    seeds = [(1, 3, 9), (2, 1, 9), (3, 2, 9)]
    groups = [name for name in "abc" for _ in range(10)]
    systems = [count([1] * 30, [int(at < right) for right in one for at in range(10)], groups) for one in seeds]
    worst = pool_seeds(systems, 1, 5)["worst_group"]
    assert worst.groups == ("a", "b")
    assert worst.value == pytest.approx(0.2)
