"""The chance level of a gap: drawn on counts as a permutation of samples would be."""

from __future__ import annotations

import numpy as np
import pytest
from groupgap.metrics import GAPS, chance_gaps, count, plan_gaps
from groupgap.metrics.chance import chance_of, permuted_gaps, permuted_tables
from scipy import stats


def data(seed: int, classes: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes, 80), rng.integers(0, classes, 80), rng.random((80, 3)) < 0.5


def uneven(classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions, membership: three groups that overlap, a tiny one, and as many samples of no group.

    Those of no group or of the tiny one alone are answered right far more often.
    """
    rng = np.random.default_rng(1)
    membership = np.zeros((300, 4), dtype=bool)
    membership[:150, :3] = rng.random((150, 3)) < 0.5
    membership[145:160, 3] = True
    labels = rng.integers(0, classes, 300)
    right = rng.random(300) < np.where(membership[:, :3].any(axis=1), 0.4 + 0.3 * membership[:, 0], 0.95)
    return labels, np.where(right, labels, rng.integers(0, classes, 300)), membership


@pytest.mark.parametrize("classes", [2, 3])
def test_drawing_tables_is_permuting_membership_rows_of_entering_groups(classes: int) -> None:
    labels, predictions, membership = uneven(classes)
    rng, names = np.random.default_rng(0), ["a", "b", "c", "d"]
    plan = plan_gaps(count(labels, predictions, membership, names), None, 16)
    assert all(list(entered) == [True, True, True, False] for entered in plan.eligible.values())
    found = permuted_gaps(plan, 600, rng)
    slow: dict[str, list[float]] = {metric: [] for metric in GAPS}
    members = np.flatnonzero(membership[:, :3].any(axis=1))
    for _ in range(600):
        anyhow, within = np.arange(300), np.arange(300)
        anyhow[members] = rng.permutation(members)
        for label in range(classes):
            rows = members[labels[members] == label]
            within[rows] = rng.permutation(rows)
        for metric in GAPS:
            order = anyhow if metric in ("accuracy_spread", "dpd") else within
            permuted = membership[order][:, :3]
            slow[metric].append(plan_gaps(count(labels, predictions, permuted, names[:3]), None, 1).gap(metric).value)
    for metric in GAPS:
        assert stats.ks_2samp(found[metric], slow[metric]).pvalue > 0.0005, metric


@pytest.mark.parametrize("min_group", [5, 60])
def test_adding_samples_of_no_entering_group_changes_no_chance(min_group: int) -> None:
    labels, predictions, membership = uneven(2)
    membership = membership.copy()
    membership[:, 3] &= min_group <= 5  # 15 members are left out or there are none
    inside = membership.any(axis=1)
    names = ["a", "b", "c", "d"]
    whole, part = (
        plan_gaps(count(labels[rows], predictions[rows], membership[rows], names), 1, min_group)
        for rows in (np.full(300, True), inside)
    )
    assert chance_gaps(whole, 199, np.random.default_rng(3)) == chance_gaps(part, 199, np.random.default_rng(3))


def test_rates_of_several_classes_may_have_other_groups_each() -> None:
    """Group c has no positives of class 2: its samples take no part in that rate, but do in the others."""
    rng = np.random.default_rng(2)
    groups = np.repeat(["a", "b", "c"], 120)
    labels = np.where(groups == "c", rng.integers(0, 2, 360), rng.integers(0, 3, 360))
    predictions = np.where(rng.random(360) < 0.7, labels, rng.integers(0, 3, 360))
    plan = plan_gaps(count(labels, predictions, groups), None, 20)
    assert plan.eligible["tpr", 2].tolist() == [True, True, False]
    assert plan.eligible["fpr", 2].all()
    chance = chance_gaps(plan, 499, rng)
    assert set(chance) == set(GAPS)
    for metric in ("eopp", "eod", "eod_mean"):
        assert 0 < chance[metric].median < chance[metric].p95 < 0.5, metric
        assert chance[metric].p_value > 0.01, metric


def test_margins_are_held_in_every_draw() -> None:
    patterns = np.array([[True, False], [True, True], [False, False]])
    rows, columns = np.array([5, 7, 8]), np.array([4, 6, 10])
    tables = permuted_tables(patterns, rows, columns, 200, np.random.default_rng(0))
    assert (tables.sum(axis=1) == np.array([[12], [7]])).all()
    assert (tables >= 0).all()
    assert (tables <= columns[None, :, None]).all()
    assert tables[1].mean(axis=1) == pytest.approx(7 * columns / 20, abs=0.5)


def test_two_groups_give_the_hypergeometric_p_value() -> None:
    labels, groups = [1] * 60, ["a"] * 30 + ["b"] * 30
    predictions = [1] * 26 + [0] * 4 + [1] * 17 + [0] * 13
    chance = chance_gaps(plan_gaps(count(labels, predictions, groups), 1), 20_000, np.random.default_rng(0))["dpd"]
    exact = stats.fisher_exact([[26, 4], [17, 13]]).pvalue
    assert chance.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
    assert 0 < chance.median < chance.p95 < 9 / 30


def test_ties_count_and_no_p_value_is_zero() -> None:
    assert chance_of(0.3, np.array([0.3 - 1e-15, 0.1, 0.2])).p_value == 0.5
    assert chance_of(0.9, np.array([0.3, 0.1, 0.2])).p_value == 0.25


def test_a_difference_in_base_rate_is_no_gap_within_label() -> None:
    rng = np.random.default_rng(5)
    labels = np.concatenate([rng.random(400) < 0.9, rng.random(400) < 0.1]).astype(int)
    predictions = np.where(rng.random(800) < 0.8, labels, 1 - labels)
    plan = plan_gaps(count(labels, predictions, ["a"] * 400 + ["b"] * 400), 1)
    chance = chance_gaps(plan, 999, rng)
    assert chance["dpd"].p_value == 0.001
    assert chance["eopp"].p_value > 0.01


def test_a_seed_fixes_the_draws_and_more_draws_extend_them() -> None:
    plan = plan_gaps(count(*data(2), ["a", "b", "c"]), 1, 1)
    long, short = (permuted_gaps(plan, draws, np.random.default_rng(1))["eod"] for draws in (5500, 5000))
    np.testing.assert_array_equal(long[:5000], short)
