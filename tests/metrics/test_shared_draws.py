"""Draws that many systems share: exactly those that each would get alone, and distributed as its own would be."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from groupgap.metrics import (
    GAPS,
    Counts,
    Estimate,
    Judgement,
    Scores,
    calibrate_all,
    calibration,
    count,
    judge,
    judge_all,
    plan_gaps,
)
from groupgap.metrics.bootstrap import bootstrap_metrics, metrics_in_draws
from groupgap.metrics.chance import permuted_gaps, shared_permuted_gaps
from groupgap.metrics.shared_draws import deal_groups, draw_samples, sharing, worth_sharing
from scipy import stats

GROUPS = ["a", "b", "c", "d"]
N = 240
GAP_ESTIMATES = ("worst_group", *GAPS)


def world(classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Labels and membership: three groups that overlap, a tiny one, and samples of no group."""
    rng = np.random.default_rng(1)
    membership = np.zeros((N, 4), dtype=bool)
    membership[:200, :3] = np.eye(3, dtype=bool)[rng.integers(3, size=200)] | (rng.random((200, 3)) < 0.1)
    membership[:8, 3] = True
    return rng.integers(0, classes, N), membership


def systems(classes: int = 2, number: int = 12) -> list[Counts]:
    """Counts of answers to the same samples, each in an order of its own."""
    labels, membership = world(classes)
    found = []
    for seed in range(number):
        rng = np.random.default_rng(seed)
        predictions = np.where(rng.random(N) < 0.6 + 0.03 * seed, labels, rng.integers(0, classes, N))
        order = rng.permutation(N)
        names = [str(index) for index in range(classes)]
        found.append(count(labels[order], predictions[order], membership[order], GROUPS, names))
    return found


def without_draws(judgement: Judgement) -> Judgement:
    """The judgement without what random draws say."""
    undrawn = {
        name: replace(getattr(judgement, name), stderr=None, undefined_draws=0, chance=None) for name in GAP_ESTIMATES
    }
    bare = replace(judgement.macro_f1, stderr=None, low=None, high=None)
    return replace(judgement, **undrawn, macro_f1=bare)


def test_samples_are_drawn_with_replacement_and_counted_by_cell() -> None:
    table, other = np.array([3, 1, 6]), np.array([5, 5])
    shared = draw_samples([table, other], 70, np.random.default_rng(5))
    places = np.random.default_rng(5).integers(10, size=(70, 10))
    for cells in (table, other):
        cell_of = np.repeat(np.arange(len(cells)), cells)
        expected = [[(cell_of[row] == cell).sum() for row in places] for cell in range(len(cells))]
        np.testing.assert_array_equal(shared.of(cells), expected)


def test_memberships_are_dealt_out_and_counted_by_outcome() -> None:
    patterns, rows = np.array([[True, False], [True, True], [False, False]]), np.array([5, 7, 8])
    tables = [np.array([4, 6, 10]), np.array([20]), np.array([1, 19])]
    shared = deal_groups(patterns, rows, tables, 30, np.random.default_rng(2))
    codes = np.repeat(np.arange(3, dtype=np.uint8), rows)
    dealt = np.random.default_rng(2).permuted(np.tile(codes, (30, 1)), axis=1)
    for table in tables:
        outcome_of = np.repeat(np.arange(len(table)), table)
        for group in range(2):
            for outcome in range(len(table)):
                expected = (patterns[dealt, group] & (outcome_of == outcome)).sum(axis=1)
                np.testing.assert_array_equal(shared.of(table)[group, outcome], expected)


def test_blocks_of_draws_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table, patterns, rows = np.array([30, 10]), np.eye(2, dtype=bool), np.array([25, 15])

    def drawn() -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        return [draw_samples([table], 99, rng).cumulated, deal_groups(patterns, rows, [table], 99, rng).cumulated]

    whole = drawn()
    monkeypatch.setattr("groupgap.metrics.shared_draws.BLOCK_SIZE", 7 * 40)
    for one, other in zip(whole, drawn(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("classes", [2, 3])
def test_shared_draws_are_distributed_as_each_system_s_own(classes: int) -> None:
    plans = [plan_gaps(counts, None, 16) for counts in systems(classes, 5)]
    tables = [plan.counts.counts for plan in plans]
    samples = draw_samples(tables, 4_000, np.random.default_rng(0))
    dealt = shared_permuted_gaps(plans, 4_000, np.random.default_rng(1))
    for plan, table, permuted in zip(plans, tables, dealt, strict=True):
        drawn = metrics_in_draws(plan, 4_000, [(slice(0, 4_000), samples.of(table).T)])
        for ours, alone in (
            (drawn, bootstrap_metrics(plan, 4_000, np.random.default_rng(2))),
            (permuted, permuted_gaps(plan, 4_000, np.random.default_rng(3))),
        ):
            assert set(ours) == set(alone)
            for metric, values in alone.items():
                assert stats.ks_2samp(ours[metric], values, nan_policy="omit").pvalue > 1e-4, metric


@pytest.mark.parametrize("classes", [2, 3])
def test_every_system_is_judged_as_if_alone(classes: int) -> None:
    """Equal in all that is not drawn; what is drawn differs as with another seed."""
    many = systems(classes)
    assert worth_sharing([one.counts for one in many])
    positive = 1 if classes == 2 else None
    together = judge_all(many, positive, min_group=16, draws=4_000)
    for counts, found in zip(many, together, strict=True):
        alone = judge(counts, positive, min_group=16, draws=4_000)
        assert without_draws(found) == without_draws(alone)
        assert found.macro_f1.stderr == pytest.approx(alone.macro_f1.stderr, rel=0.08)
        assert found.macro_f1.low == pytest.approx(alone.macro_f1.low, abs=0.01)
        for name in GAP_ESTIMATES:
            ours, theirs = getattr(found, name), getattr(alone, name)
            assert ours.stderr == pytest.approx(theirs.stderr, rel=0.08), name
            if name != "worst_group":
                assert ours.chance.median == pytest.approx(theirs.chance.median, abs=0.01)
                assert ours.chance.p95 == pytest.approx(theirs.chance.p95, abs=0.02)
                assert ours.chance.p_value == pytest.approx(theirs.chance.p_value, abs=0.05)
                assert ours.chance.draws == 4_000


def test_shared_draws_are_the_same_whoever_shares_them() -> None:
    many = systems(number=12)
    first = judge_all(many, 1, min_group=16, draws=200)
    assert judge_all(many[:1] + many[6:], 1, min_group=16, draws=200)[0] == first[0]
    assert judge_all(many[::-1], 1, min_group=16, draws=200)[::-1] == first
    assert judge_all(many, 1, min_group=16, draws=200, seed=1)[0] != first[0]


def test_what_memory_allows_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    many = systems(number=12)
    whole = judge_all(many, 1, min_group=16, draws=200)
    assert sharing(many, 200) == [(list(range(12)), True)]
    monkeypatch.setattr("groupgap.metrics.shared_draws._SHARED_BYTES", 200 * (N + 6 * 16))
    assert sharing(many, 200) == [(list(range(6)), True), (list(range(6, 12)), True)]
    monkeypatch.setattr("groupgap.metrics.shared_draws.BLOCK_SIZE", 1_000)
    assert judge_all(many, 1, min_group=16, draws=200) == whole


def test_systems_that_answered_other_samples_share_nothing() -> None:
    many = systems(number=12)
    labels, membership = world()
    flipped = count(1 - labels, labels, membership, GROUPS)
    fewer = count(labels[:-1], labels[:-1], membership[:-1], GROUPS)
    found = judge_all([flipped, *many, fewer], 1, min_group=16, draws=200)
    assert found[0] == judge(flipped, 1, min_group=16, draws=200)
    assert found[-1] == judge(fewer, 1, min_group=16, draws=200)
    assert found[1:-1] == judge_all(many, 1, min_group=16, draws=200)


def test_few_systems_and_many_samples_are_drawn_on_counts() -> None:
    few = systems(number=2)
    large = [replace(one, counts=one.counts * 1_000_000) for one in few]
    assert not worth_sharing([one.counts for one in large])
    assert judge_all(large, 1, draws=50) == tuple(judge(one, 1, draws=50) for one in large)


def test_nothing_to_judge() -> None:
    nothing = count([], [], np.zeros((0, 2), dtype=bool), ["a", "b"], ["x", "y"])
    assert judge_all([]) == ()
    for found in judge_all([nothing, nothing], 1, draws=20):
        estimates = [getattr(found, one.name) for one in fields(found)]
        assert all(one.value is None for one in estimates if isinstance(one, Estimate))


def test_calibration_of_many_is_that_of_each() -> None:
    labels, membership = world()
    rng = np.random.default_rng(4)
    scores = []
    for number in range(3):
        order, probabilities = rng.permutation(N), rng.dirichlet([1 + number, 1], N)
        scores.append(Scores(probabilities, labels[order], membership[order]))
    scores.append(Scores(scores[0].probabilities[:-9], labels[:-9], membership[:-9]))
    together = calibrate_all(scores, GROUPS, positive=1, draws=99, seed=3)
    for one, found in zip(scores, together, strict=True):
        alone = calibration(one.probabilities, one.labels, one.membership, GROUPS, positive=1, draws=99, seed=3)
        assert found == alone
    assert calibrate_all([]) == ()
