"""Judgements of rows that come in clusters: the values of rows, intervals and chance levels of clusters."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from groupgap.errors import GroupgapError
from groupgap.metrics import GAPS, Estimate, JointCounts, Judgement, count, judge
from groupgap.metrics.clustered import count_clusters, judge_clusters
from groupgap.metrics.clusters import cluster_share

RATES = ("accuracy", "selection_rate", "tpr", "fpr")
Rows = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def world(seed: int, clusters: int = 40, size: int = 10) -> Rows:
    rng = np.random.default_rng(seed)
    names = np.repeat([f"c{one}" for one in range(clusters)], size)
    likes = np.repeat(rng.random(clusters), size)
    labels = rng.integers(0, 2, clusters * size)
    predictions = (rng.random(clusters * size) < likes).astype(np.int64)
    members = np.c_[np.arange(clusters * size) % 2 == 0, np.arange(clusters * size) % 2 == 1]
    return labels, predictions, members, names


def counted(rows: Rows, classes: int = 2) -> JointCounts:
    labels, predictions, members, names = rows
    groups = [chr(ord("a") + place) for place in range(members.shape[1])]
    return count_clusters((labels, predictions), members, names, groups, [f"class {one}" for one in range(classes)])


def judged(rows: Rows, draws: int = 99) -> tuple[Judgement, Judgement]:
    answers = counted(rows)
    return judge(answers.a, 1, draws=draws), judge_clusters(answers, 1, draws=draws)


def estimates(found: object) -> dict[str, Estimate]:
    return {
        one.name: getattr(found, one.name)
        for one in fields(found)  # type: ignore[arg-type]
        if isinstance(getattr(found, one.name), Estimate)
    }


@pytest.mark.parametrize(("classes", "positive"), [(2, 1), (2, None), (3, None)])
def test_values_and_reasons_are_those_of_rows(classes: int, positive: int | None) -> None:
    rng = np.random.default_rng(classes)
    names = np.repeat(np.arange(70), 3)
    members = np.c_[rng.random((210, 3)) < 0.4, np.arange(210) < 5, np.zeros(210, dtype=bool)]
    rows = rng.integers(0, classes, 210), rng.integers(0, classes, 210), members, names
    answers = counted(rows, classes)
    plain = judge(answers.a, positive, min_group=20, draws=9, seed=3)
    found = judge_clusters(answers, positive, min_group=20, draws=9, seed=3)
    for one, other in [(plain, found), *zip(plain.groups.values(), found.groups.values(), strict=True)]:
        for name, estimate in estimates(one).items():
            same = estimates(other)[name]
            assert (same.n, same.reason, same.groups, same.class_name, same.rate) == (
                (estimate.n, estimate.reason, estimate.groups, estimate.class_name, estimate.rate)
            ), name
            assert same.value == pytest.approx(estimate.value), name
    plain, found = (replace(one, groups={}) for one in (plain, found))
    for name in ("n", "left_out", "min_group", "seed", "draws", "positive"):
        assert getattr(found, name) == getattr(plain, name)
    assert [metric for metric in GAPS if (getattr(found, metric).chance is None)] == []


def test_rates_have_the_interval_of_a_share_of_clusters() -> None:
    labels, predictions, members, names = world(0)
    _, found = judged((labels, predictions, members, names))
    expected = cluster_share(labels == predictions, names, "")
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx((expected.low, expected.high))
    for place, name in enumerate("ab"):
        member = members[:, place]
        for rate, among, hits in (
            ("accuracy", member, labels == predictions),
            ("selection_rate", member, predictions == 1),
            ("tpr", member & (labels == 1), predictions == 1),
            ("fpr", member & (labels == 0), predictions == 1),
        ):
            estimate, by_hand = getattr(found.groups[name], rate), cluster_share(hits[among], names[among], "")
            for part in ("value", "low", "high", "stderr"):
                assert getattr(estimate, part) == pytest.approx(getattr(by_hand, part)), (rate, part)


def test_groups_that_share_clusters_are_compared_more_sharply_and_others_less() -> None:
    """The same answers: a gap within clusters is known better than rows tell, one between clusters worse."""
    labels, predictions, members, names = world(1)
    apart = np.c_[np.arange(400) < 200, np.arange(400) >= 200]
    for membership, sharper in ((members, True), (apart, False)):
        plain, found = judged((labels, predictions, membership, names), 999)
        gap = found.groups["a"].member_gap  # of two groups, the same difference
        assert found.accuracy_spread.high == pytest.approx(max(abs(gap.low), abs(gap.high)))
        for one, other in ((plain.dpd, found.dpd), (plain.groups["a"].member_gap, found.groups["a"].member_gap)):
            assert other.low <= other.value <= other.high
            if one is plain.dpd:
                assert (other.high - other.low < one.high - one.low) == sharper
                assert (other.stderr < one.stderr) == sharper


def test_standard_errors_are_those_of_drawing_whole_clusters() -> None:
    labels, predictions, members, names = world(2)
    answers = counted((labels, predictions, members, names))
    found = judge_clusters(answers, 1, draws=4000)
    rng, by_cluster = np.random.default_rng(0), np.arange(400).reshape(40, 10)
    slow: dict[str, list[float]] = {metric: [] for metric in ("macro_f1", "worst_group", *GAPS)}
    for _ in range(300):
        rows = by_cluster[rng.integers(0, 40, 40)].ravel()
        one = judge(count(labels[rows], predictions[rows], members[rows], ["a", "b"]), 1, draws=1)
        for metric, values in slow.items():
            values.append(getattr(one, metric).value)
    for metric, values in slow.items():
        assert getattr(found, metric).stderr == pytest.approx(np.std(values), rel=0.2), metric


def test_pairs_that_are_copies_of_a_row_are_as_sure_as_that_row() -> None:
    rng = np.random.default_rng(7)
    group, right = np.arange(300) % 3, rng.random(300) < 0.7
    once = judge(
        count(np.ones(300, dtype=int), right.astype(int), np.eye(3, dtype=bool)[group], list("abc")), 1, draws=99
    )
    twice = np.repeat(np.arange(300), 2)
    copies = np.ones(600, dtype=int), right[twice].astype(int), np.eye(3, dtype=bool)[group[twice]], twice
    found = judge_clusters(counted(copies), 1, draws=99)
    for metric in ("worst_group", "accuracy_spread", "dpd", "eopp"):
        one, other = getattr(once, metric), getattr(found, metric)
        assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=0.01), metric
    assert found.dpd.chance.p95 == pytest.approx(once.dpd.chance.p95, abs=0.03)


def test_names_and_order_of_clusters_do_not_matter() -> None:
    labels, predictions, members, names = world(3)
    order = np.random.default_rng(0).permutation(400)
    renamed = np.array([f"unit {name[::-1]}" for name in names])
    one = judge_clusters(counted((labels, predictions, members, names)), 1, draws=99)
    other = judge_clusters(counted((labels[order], predictions[order], members[order], renamed[order])), 1, draws=99)
    assert one == other


def test_f1_is_no_surer_than_the_clusters_with_a_mistake_are_many() -> None:
    """Forty answers in ten clusters are wrong, or forty in one, or in two: the fewer, the wider."""
    names = np.repeat(np.arange(100), 40)
    labels, members = np.arange(4000) % 2, np.eye(2, dtype=bool)[np.arange(4000) % 2]
    widths = []
    for clusters in (10, 2, 1):
        wrong = (names < clusters) & (np.arange(4000) % 40 < 40 // clusters)
        _, found = judged((labels, np.where(wrong, 1 - labels, labels), members, names))
        assert found.macro_f1.value == pytest.approx(0.99, abs=0.001)
        widths.append(None if found.macro_f1.low is None else found.macro_f1.high - found.macro_f1.low)
    assert found.macro_f1.interval == "none: wrong or right answers in 1 clusters, of 2 needed"
    assert widths[2] is None
    assert 0.01 < widths[0] < widths[1]


def test_few_rows_of_their_own_are_not_few_clusters() -> None:
    """Each of the 12 rows of group a is in a cluster by itself: nothing between them has to be guessed."""
    labels, predictions, _, names = world(5, 30, 4)
    rare = (np.arange(120) % 4 == 0) & (np.arange(120) < 48)
    _, found = judged((labels, predictions, np.c_[rare, ~rare], names))
    assert found.groups["a"].accuracy.n == 12
    assert found.groups["a"].accuracy.interval == "Wilson"
    assert found.groups["b"].accuracy.interval == "Wilson over 30 clusters"


def test_rows_that_are_their_own_clusters_are_left_alone() -> None:
    labels, predictions, members, _ = world(2)
    plain, found = judged((labels, predictions, members, np.arange(400)))
    assert found == plain


def test_undefined_stays_undefined() -> None:
    labels, predictions, members, names = world(3)
    plain, found = judged((np.zeros_like(labels), predictions, members, names))
    assert found.groups["a"].tpr == plain.groups["a"].tpr
    assert (found.eod.reason, found.eod.interval, found.eod.chance) == (plain.eod.reason, None, None)


def test_a_group_in_few_clusters_has_gaps_without_interval() -> None:
    _, found = judged(world(4, 19, 20))
    for metric in ("worst_group", *GAPS):
        one = getattr(found, metric)
        assert (one.low, one.high, one.stderr) == (None, None, None)
        assert one.interval == "none: members of a in 19 clusters, of 20 needed"
    assert found.groups["b"].member_gap.interval == "none: members or others in 19 clusters, of 20 needed"
    for one in (found.accuracy, found.macro_f1, *(getattr(found.groups["b"], rate) for rate in RATES)):
        assert (one.low, one.high, one.stderr, one.interval) == (None, None, None, "none: 19 clusters, of 20 needed")
        assert one.value is not None
    assert found.dpd.chance is not None


def test_a_missing_chance_level_is_told_in_words() -> None:
    """Sixty clusters of sixty sizes, each in one group; two in three of their rows are positives."""
    names = np.repeat(np.arange(60), 3 * np.arange(1, 61))
    labels = (np.arange(len(names)) % 3 > 0).astype(np.int64)
    _, found = judged((labels, labels, np.eye(2, dtype=bool)[names % 2], names))
    assert found.dpd.chance is None
    assert found.dpd.low is not None
    every = "no unit with as many rows holds another to exchange"
    of_label = "no unit with as many rows of each label holds another to exchange"
    assert found.dpd.no_chance == f"5,490 of 5,490 rows lie in units of one group, and {every}"
    assert found.eopp.no_chance == f"3,660 of 3,660 rows lie in units of one group, and {of_label}"
    assert found.eod.no_chance == f"5,490 of 5,490 rows lie in units of one group, and {of_label}"


def test_a_row_without_a_cluster_is_refused() -> None:
    with pytest.raises(GroupgapError, match="'clusters' to have no missing value"):
        count_clusters(([1, 1], [1, 0]), ["a", "b"], ["x", None])


def test_intervals_cover_where_clusters_differ() -> None:
    """Both groups are given yes half of the time; taken row by row the interval of that holds it far too rarely."""
    held = {"rows": 0, "clusters": 0, "gap": 0}
    for seed in range(150):
        plain, found = judged(world(seed, 30, 8), 9)
        for name, one in (("rows", plain), ("clusters", found)):
            rate = one.groups["a"].selection_rate
            held[name] += rate.low <= 0.5 <= rate.high
        held["gap"] += found.dpd.low == 0
    assert min(held["clusters"], held["gap"]) >= 132
    assert held["rows"] < held["clusters"] - 20


def test_uneven_clusters_count_for_what_they_are_worth() -> None:
    """Sixty clusters in each group, one of ten with thirty lines: they are worth ten of equal size."""
    sizes = np.tile([1] * 9 + [30], 12)
    names = np.repeat(np.arange(120), sizes)
    labels = (np.arange(len(names)) % 3 > 0).astype(np.int64)
    said = np.where(names % 5 == 0, 1 - labels, labels)
    _, found = judged((labels, said, np.eye(2, dtype=bool)[names // 60], names))
    worth = int((sizes[:60].sum()) ** 2 / (sizes[:60] ** 2).sum())
    assert worth == 10
    few = f"60 clusters of uneven size, worth {worth} of equal size, of 20 needed"
    assert found.groups["a"].accuracy.interval == f"none: {few}"
    assert found.dpd.interval == f"none: members of a in {few}"
    assert (found.dpd.low, found.groups["a"].accuracy.low) == (None, None)
    assert found.dpd.chance is not None


def test_thirteen_groups_need_more_clusters_than_two() -> None:
    def gap(clusters: int) -> Estimate:
        names = np.repeat(np.arange(13 * clusters), 4)
        labels = np.arange(len(names)) % 2
        said = np.where(names % 7 == 0, 1 - labels, labels)
        answers = count_clusters((labels, said), np.eye(13, dtype=bool)[names % 13], names, list("abcdefghijklm"))
        return judge_clusters(answers, 1, draws=20).accuracy_spread

    assert gap(38).interval == "none: members of a in 38 clusters, of 39 needed"
    assert gap(39).low is not None
