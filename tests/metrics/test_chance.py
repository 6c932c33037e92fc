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


@pytest.mark.parametrize("classes", [2, 3])
def test_drawing_tables_is_permuting_membership_rows(classes: int) -> None:
    labels, predictions, membership = data(1, classes)
    rng, names = np.random.default_rng(0), ["a", "b", "c"]
    plan = plan_gaps(count(labels, predictions, membership, names), None, 1)
    found = permuted_gaps(plan, 600, rng)
    slow: dict[str, list[float]] = {metric: [] for metric in GAPS}
    for _ in range(600):
        anyhow = rng.permutation(80)
        within = np.arange(80)
        for label in range(classes):
            rows = np.flatnonzero(labels == label)
            within[rows] = rng.permutation(rows)
        for metric in GAPS:
            order = anyhow if metric in ("accuracy_spread", "dpd") else within
            permuted = plan_gaps(count(labels, predictions, membership[order], names), None, 1)
            slow[metric].append(permuted.gap(metric).value or 0.0)
    for metric in GAPS:
        assert stats.ks_2samp(found[metric], slow[metric]).pvalue > 0.0005, metric


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
