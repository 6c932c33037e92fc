"""Rates and gaps against fairlearn, scikit-learn and plain loops; who is left out; what is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn import metrics as fairlearn
from groupgap import GroupgapError
from groupgap.metrics import GAPS, Counts, count, group_rates, judge, overall_accuracy, plan_gaps
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

SEEDS = st.integers(0, 2**32 - 1)


def overlapping(seed: int, classes: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray, Counts]:
    rng = np.random.default_rng(seed)
    n, groups = int(rng.integers(1, 80)), int(rng.integers(1, 6))
    labels, predictions = rng.integers(0, classes, n), rng.integers(0, classes, n)
    membership = rng.random((n, groups)) < rng.random()
    names = [f"g{index}" for index in range(groups)]
    counts = count(labels, predictions, membership, names, [str(index) for index in range(classes)])
    return labels, predictions, membership, counts


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_gaps_of_disjoint_groups_are_fairlearn_s(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, n = int(rng.integers(2, 6)), int(rng.integers(20, 200))
    labels, predictions, group = rng.integers(0, 2, n), rng.integers(0, 2, n), rng.integers(0, groups, n)
    filled = all(((group == g) & (labels == y)).any() for g in range(groups) for y in (0, 1))
    assume(filled)  # fairlearn answers 0.0 for a rate of nobody
    plan = plan_gaps(count(labels, predictions, group.astype(str)), positive=1, min_group=1)
    kind = {"sensitive_features": group}
    expected = {
        "dpd": fairlearn.demographic_parity_difference(labels, predictions, **kind),
        "eopp": fairlearn.equal_opportunity_difference(labels, predictions, **kind),
        "eod": fairlearn.equalized_odds_difference(labels, predictions, **kind),
        "eod_mean": fairlearn.equalized_odds_difference(labels, predictions, agg="mean", **kind),
    }
    frame = fairlearn.MetricFrame(
        metrics=sklearn.accuracy_score, y_true=labels, y_pred=predictions, sensitive_features=group
    )
    expected["accuracy_spread"] = frame.difference()
    for metric, value in expected.items():
        assert plan.gap(metric).value == pytest.approx(value, abs=1e-12)
    assert plan.worst_group().value == pytest.approx(frame.group_min(), abs=1e-12)


@given(SEEDS, st.integers(1, 12))
@settings(max_examples=400, deadline=None)
def test_gaps_of_overlapping_groups_are_those_of_a_plain_loop(seed: int, min_group: int) -> None:
    labels, predictions, membership, counts = overlapping(seed)
    sides: dict[str, list[float]] = {"accuracy": [], "selection_rate": [], "tpr": [], "fpr": []}
    for column in membership.T:
        y, p = labels[column], predictions[column]
        for rate, hits in (
            ("accuracy", y == p),
            ("selection_rate", p == 1),
            ("tpr", p[y == 1] == 1),
            ("fpr", p[y == 0] == 1),
        ):
            if len(hits) >= min_group:
                sides[rate].append(float(hits.mean()))
    spread = {rate: max(found) - min(found) if len(found) >= 2 else None for rate, found in sides.items()}
    both = spread["tpr"] is not None and spread["fpr"] is not None
    expected = {
        "accuracy_spread": spread["accuracy"],
        "dpd": spread["selection_rate"],
        "eopp": spread["tpr"],
        "eod": max(spread["tpr"], spread["fpr"]) if both else None,  # type: ignore[type-var]
        "eod_mean": (spread["tpr"] + spread["fpr"]) / 2 if both else None,  # type: ignore[operator]
    }
    plan = plan_gaps(counts, 1, min_group)
    for metric, value in expected.items():
        found = plan.gap(metric)
        assert (found.value is None) == (value is None)
        assert value is None or found.value == pytest.approx(value, abs=1e-12)
        assert found.value is not None or found.reason
    worst = plan.worst_group().value
    assert worst == (pytest.approx(min(sides["accuracy"])) if sides["accuracy"] else None)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_group_rates_are_scikit_learn_s(seed: int) -> None:
    labels, predictions, membership, counts = overlapping(seed)
    rates = group_rates(counts, positive=1)
    assert overall_accuracy(counts).value == pytest.approx(sklearn.accuracy_score(labels, predictions))
    for name, column in zip(counts.groups, membership.T, strict=True):
        y, p, found = labels[column], predictions[column], rates[name]
        assert (found.n, found.positives, found.negatives) == (len(y), int((y == 1).sum()), int((y == 0).sum()))
        assert found.accuracy.value == (pytest.approx(sklearn.accuracy_score(y, p)) if len(y) else None)
        assert found.tpr.value == (pytest.approx(sklearn.recall_score(y, p)) if (y == 1).any() else None)
        assert found.fpr.value == (
            pytest.approx(1 - sklearn.recall_score(y, p, pos_label=0)) if (y == 0).any() else None
        )
        if column.any() and not column.all():
            right = labels == predictions
            assert found.member_gap.value == pytest.approx(right[column].mean() - right[~column].mean())


@given(SEEDS)
@settings(max_examples=150, deadline=None)
def test_more_than_two_classes_are_one_against_the_rest_and_named(seed: int) -> None:
    _labels, predictions, membership, counts = overlapping(seed, classes=3)
    plan = plan_gaps(counts, positive=None, min_group=1)
    found = plan.gap("dpd")
    used = [column for column in membership.T if column.any()]
    if len(used) < 2:
        assert found.value is None
        return
    by_class = []
    for index in range(3):
        shares = [(predictions[column] == index).mean() for column in used]
        by_class.append(max(shares) - min(shares))
    assert found.value == pytest.approx(max(by_class))
    assert found.class_name is not None
    assert by_class[int(found.class_name)] == pytest.approx(max(by_class))
    assert group_rates(counts)["g0"].tpr.reason == "no single positive class"


@given(SEEDS, st.randoms())
@settings(max_examples=100, deadline=None)
def test_relabelling_doubling_and_an_empty_group_change_what_they_should(seed: int, random) -> None:  # noqa: ANN001
    labels, predictions, membership, counts = overlapping(seed)
    plan = plan_gaps(counts, 1, 1)
    order = list(range(len(counts.groups)))
    random.shuffle(order)
    relabelled = count(labels, predictions, membership[:, order], [f"x{index}" for index in order], ["0", "1"])
    doubled = count(np.tile(labels, 2), np.tile(predictions, 2), np.tile(membership, (2, 1)), counts.groups, ["0", "1"])
    nobody = np.zeros((len(labels), 1), bool)
    wider = count(labels, predictions, np.hstack([membership, nobody]), [*counts.groups, "empty"], ["0", "1"])
    for metric in GAPS:
        value = plan.gap(metric).value
        same = value if value is None else pytest.approx(value, abs=1e-12)
        assert plan_gaps(relabelled, 1, 1).gap(metric).value == same
        assert plan_gaps(doubled, 1, 2).gap(metric).value == same
        assert plan_gaps(wider, 1, 1).gap(metric).value == same
    assert judge(wider, 1, draws=2).groups["empty"].accuracy.text == "undefined (no members)"


def test_a_small_group_is_listed_but_does_not_enter() -> None:
    labels = [1] * 60 + [0] * 40 + [1] * 5
    predictions = [1] * 60 + [0] * 40 + [0] * 5
    found = judge(count(labels, predictions, ["a"] * 50 + ["b"] * 50 + ["c"] * 5), positive=1, draws=50)
    assert found.worst_group.value == 1.0
    assert found.groups["c"].accuracy.value == 0.0
    assert [(one.group, one.n, one.reason) for one in found.left_out if one.rate == "accuracy"] == [
        ("c", 5, "fewer than 30 members")
    ]
    assert [(one.group, one.reason) for one in found.left_out if one.rate == "fpr"] == [
        ("a", "no negatives"),
        ("c", "no negatives"),
    ]


@pytest.mark.parametrize(
    ("labels", "membership", "metric", "reason"),
    [
        ([0] * 80, ["a", "b"] * 40, "eopp", "no positives in all groups"),
        ([1] * 80, ["a", "b"] * 40, "eod", "no negatives in all groups"),
        ([1] * 80, ["a"] * 80, "dpd", "fewer than 2 groups with members"),
        ([1] * 40, ["a", "b"] * 20, "dpd", "fewer than 2 groups with at least 30 members"),
        ([1] * 40, ["a", "b"] * 20, "worst_group", "no group with at least 30 members"),
        ([1] * 40 + [0] * 40, ["a"] * 40 + ["b"] * 40, "eopp", "fewer than 2 groups with positives"),
    ],
)
def test_what_is_undefined_says_why(labels: list[int], membership: list[str], metric: str, reason: str) -> None:
    found = getattr(judge(count(labels, labels, membership, classes=["0", "1"]), positive=1, draws=20), metric)
    assert (found.value, found.reason) == (None, reason)
    assert found.stderr is found.low is found.chance is None


def test_a_group_without_positives_reads_so() -> None:
    counts = count([1] * 40 + [0] * 40, [1] * 80, ["a"] * 40 + ["b"] * 40)
    assert group_rates(counts, positive=1)["b"].tpr.text == "undefined (no positives)"


def test_no_samples_at_all() -> None:
    found = judge(count([], [], [], groups=["a", "b"], classes=["0", "1"]), positive=1, draws=20)
    assert (found.n, found.accuracy.reason, found.dpd.reason) == (0, "no samples", "no members in all groups")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positive": 2}, "'positive' to be None or the index"),
        ({"positive": True}, "'positive' to be None or the index"),
        ({"draws": 0}, "'draws' to be an integer of at least 1, but got 0"),
        ({"seed": -1}, "'seed' to be an integer of at least 0, but got -1"),
        ({"seed": None}, "'seed' to be an integer of at least 0, but got None"),
        ({"min_group": 0}, "'min_group' to be an integer of at least 1, but got 0"),
        ({"confidence": 95}, "'confidence' to be between 0 and 1"),
    ],
)
def test_an_argument_out_of_range_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(GroupgapError, match=message):
        judge(count([0, 1], [0, 1], ["a", "b"]), **arguments)


def test_a_gap_of_nothing_names_no_groups_and_still_has_an_interval() -> None:
    found = judge(count([1, 0] * 100, [1, 0] * 100, ["a", "a", "b", "b"] * 50), positive=1, draws=50).eod
    assert (found.value, found.groups, found.low) == (0.0, (), 0.0)
    assert found.high is not None
    assert found.high > 0.05
    assert found.chance is not None
    assert found.chance.p_value == 1.0


def test_groups_that_share_the_lowest_accuracy_are_all_named() -> None:
    """2 of 4, 3 of 6 and 3 of 4 are right; a group under the smallest size does not count."""
    right = [1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0]
    groups = ["a"] * 4 + ["b"] * 6 + ["c"] * 4 + ["d"]
    worst = plan_gaps(count([1] * 15, right, groups), positive=1, min_group=2).worst_group()
    assert (worst.value, worst.groups, worst.n) == (0.5, ("a", "b"), 4)
