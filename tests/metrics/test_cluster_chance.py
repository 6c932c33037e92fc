"""Memberships exchanged between like clusters and within them: exact tests, a slow loop, error rates, no exchange."""

from __future__ import annotations

import numpy as np
import pytest
from groupgap.metrics import GAPS, JointCounts, chance_gaps, count, mcnemar, plan_gaps
from groupgap.metrics.cluster_chance import FAMILIES, cluster_chances, exchanged_gaps
from groupgap.metrics.clustered import count_clusters
from scipy import stats

NAMES = ["a", "b", "c"]
Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def mixed(seed: int = 0) -> Rows:
    """Labels, predictions, membership and clusters: sizes 1 to 4, groups that overlap, rows of no group."""
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(60), rng.integers(1, 5, 60))
    membership = rng.random((len(clusters), 3)) < 0.4
    membership[clusters % 3 == 0] = [True, False, False]
    labels = rng.integers(0, 2, len(clusters))
    right = rng.random(60)[clusters] < np.where(membership[:, 0], 0.5, 0.7)
    return labels, np.where(right, labels, 1 - labels), membership, clusters


def counted(rows: Rows) -> JointCounts:
    labels, predictions, membership, clusters = rows
    return count_clusters((labels, predictions), membership, clusters, NAMES[: membership.shape[1]], ["no", "yes"])


def exchanged_slowly(rows: Rows, within_label: bool, rng: np.random.Generator) -> np.ndarray:
    """Memberships after one exchange, in plain loops."""
    labels, _, membership, clusters = rows
    inside = np.flatnonzero(membership.any(axis=1))
    like: dict[tuple[int, ...], list[list[np.ndarray]]] = {}
    for cluster in np.unique(clusters):
        own = inside[clusters[inside] == cluster]
        parts = [own[labels[own] == label] for label in (0, 1)] if within_label else [own]
        like.setdefault(tuple(map(len, parts)), []).append(parts)
    result = membership.copy()
    for alike in like.values():
        for to, source in enumerate(rng.permutation(len(alike))):
            for here, there in zip(alike[to], alike[source], strict=True):
                result[here] = membership[rng.permutation(there)]
    return result


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_are_those_of_a_plain_loop(family: tuple[str, ...]) -> None:
    rows, rng = mixed(), np.random.default_rng(1)
    labels, predictions, membership, _ = rows
    if family == ("eopp",):  # only rows with that label take part
        kept = labels == 1
        slow_rows: Rows = (labels[kept], predictions[kept], membership[kept], rows[3][kept])
    else:
        slow_rows = rows
    answers = counted(rows)
    plan = plan_gaps(answers.a, 1, 5)
    found = exchanged_gaps(answers, plan, family, 800, rng)
    assert not isinstance(found, str)
    slow: dict[str, list[float | None]] = {metric: [] for metric in family}
    for _ in range(800):
        drawn = exchanged_slowly(slow_rows, family != FAMILIES[0], rng)
        counts = count(slow_rows[0], slow_rows[1], drawn, NAMES, ["no", "yes"])
        for metric in family:
            slow[metric].append(plan_gaps(counts, 1, 5).gap(metric).value)
    for metric in family:
        assert stats.ks_2samp(found[metric], slow[metric]).pvalue > 0.0005, metric


def test_pairs_give_mcnemars_exact_p_value() -> None:
    """Both groups in every pair: membership is exchanged within pairs, whatever the pairs share."""
    answers = np.array([[1, 1]] * 30 + [[0, 0]] * 25 + [[1, 0]] * 14 + [[0, 1]] * 4).ravel()
    labels, groups = np.ones_like(answers), np.tile(np.eye(2, dtype=bool), (73, 1))
    pairs = count_clusters((labels, answers), groups, np.arange(146) // 2, NAMES[:2], ["no", "yes"])
    chance, _ = cluster_chances(pairs, plan_gaps(pairs.a, 1), 20_000, np.random.default_rng(0))
    exact = mcnemar(14, 4)
    assert chance["accuracy_spread"].p_value == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
    rows = chance_gaps(plan_gaps(pairs.a, 1), 20_000, np.random.default_rng(0))["accuracy_spread"]
    assert rows.p_value > 3 * exact


def test_clusters_of_one_group_give_the_test_of_clusters() -> None:
    """Each cluster lies in one group and agrees with itself: as many independent rows as there are clusters."""
    right = np.repeat([1] * 17 + [0] * 3 + [1] * 9 + [0] * 11, 4)
    groups = np.repeat([[True, False]] * 20 + [[False, True]] * 20, 4, axis=0)
    clusters = count_clusters((np.ones_like(right), right), groups, np.arange(160) // 4, NAMES[:2], ["no", "yes"])
    chance, _ = cluster_chances(clusters, plan_gaps(clusters.a, 1), 20_000, np.random.default_rng(0))
    exact = stats.fisher_exact([[17, 3], [9, 11]]).pvalue
    assert chance["dpd"].p_value == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
    assert chance_gaps(plan_gaps(clusters.a, 1), 999, np.random.default_rng(0))["dpd"].p_value == 0.001


def test_rows_of_their_own_give_the_test_of_rows() -> None:
    labels, predictions, membership, _ = mixed(3)
    answers = counted((labels, predictions, membership, np.arange(len(labels))))
    plan = plan_gaps(answers.a, 1, 5)
    ours, _ = cluster_chances(answers, plan, 5000, np.random.default_rng(0))
    plain = chance_gaps(plan, 5000, np.random.default_rng(1))
    for metric in GAPS:
        assert ours[metric].p_value == pytest.approx(plain[metric].p_value, abs=0.04)
        assert ours[metric].p95 == pytest.approx(plain[metric].p95, abs=0.02)


def test_adding_rows_of_no_group_changes_nothing() -> None:
    labels, predictions, membership, clusters = mixed(4)
    more = np.arange(60)
    padded = (
        np.concatenate([labels, more % 2]),
        np.concatenate([predictions, np.ones(60, dtype=int)]),
        np.concatenate([membership, np.zeros((60, 3), dtype=bool)]),
        np.concatenate([clusters, more]),
    )
    found = []
    for rows in ((labels, predictions, membership, clusters), padded):
        answers = counted(rows)
        found.append(cluster_chances(answers, plan_gaps(answers.a, 1, 5), 499, np.random.default_rng(5))[0])
    for metric in GAPS:
        assert found[0][metric].p_value == pytest.approx(found[1][metric].p_value, abs=0.1)
        assert found[0][metric].median == pytest.approx(found[1][metric].median, abs=0.02)


def test_rows_of_a_group_that_does_not_enter_take_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groupgap.metrics.cluster_chance.FIXED", -1.0)  # so that the rows are told
    labels, predictions, membership, clusters = mixed(5)
    membership[:, 2] = False
    entering = int(membership.any(axis=1).sum())
    membership[np.flatnonzero(~membership.any(axis=1))[:9], 2] = True
    assert membership[:, 2].sum() == 9
    answers = counted((labels, predictions, membership, clusters))
    told = exchanged_gaps(answers, plan_gaps(answers.a, 1, 12), ("dpd",), 9, np.random.default_rng(6))
    assert f" of {entering} rows " in str(told)


def test_clusters_that_nothing_can_stand_for_have_no_chance_level() -> None:
    """Ten clusters of ten sizes, each in one group: no exchange keeps the clusters whole."""
    clusters = np.repeat(np.arange(10), np.arange(20, 40, 2))
    membership = np.eye(2, dtype=bool)[clusters % 2]
    labels = np.arange(len(clusters)) % 2
    answers = count_clusters((labels, labels), membership, clusters, NAMES[:2], ["no", "yes"])
    chance, reasons = cluster_chances(answers, plan_gaps(answers.a, 1), 99, np.random.default_rng(0))
    assert not chance
    assert reasons["dpd"].startswith("290 of 290 rows lie in units of one group, and no unit with as many rows holds")
    assert "with as many rows of each label" in reasons["eod"]
    assert set(reasons) == set(GAPS)


def test_where_there_are_very_many_rows_there_are_fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = counted(mixed())
    plan = plan_gaps(answers.a, 1, 5)
    monkeypatch.setattr("groupgap.metrics.cluster_chance._PLACED", 10_000)
    chance, _ = cluster_chances(answers, plan, 5000, np.random.default_rng(0))
    assert chance["dpd"].draws == 999
    assert cluster_chances(answers, plan, 50, np.random.default_rng(0))[0]["dpd"].draws == 50


@pytest.mark.parametrize("whole", [True, False])
def test_true_nulls_are_rejected_as_often_as_promised_and_by_rows_far_more(whole: bool) -> None:
    """Clusters of four that often agree. In one group each, rows reject too often; holding both, too rarely."""
    rejected, runs = {"ours": 0, "rows": 0}, 150
    rng, ones = np.random.default_rng(9), np.ones(400, dtype=int)
    clusters = np.repeat(np.arange(100), 4)
    members = np.eye(2, dtype=bool)[clusters % 2 if whole else np.arange(400) % 2]
    for _ in range(runs):
        agreed = np.where(rng.random(400) < 0.8, (rng.random(100) < 0.6)[clusters], rng.random(400) < 0.6)
        answers = count_clusters((ones, agreed.astype(int)), members, clusters, NAMES[:2], ["no", "yes"])
        plan = plan_gaps(answers.a, 1)
        ours = exchanged_gaps(answers, plan, ("accuracy_spread", "dpd"), 199, rng)
        assert not isinstance(ours, str)
        measured = plan.gap("dpd").value or 0.0
        rejected["ours"] += (1 + (ours["dpd"] >= measured - 1e-12).sum()) / 200 <= 0.05
        rejected["rows"] += chance_gaps(plan, 199, rng)["dpd"].p_value <= 0.05
    assert stats.binomtest(rejected["ours"], runs).proportion_ci(0.999).low <= 0.05
    assert rejected["rows"] > 0.15 * runs if whole else rejected["rows"] < rejected["ours"] > 0
