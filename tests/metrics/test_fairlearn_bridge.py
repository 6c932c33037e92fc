"""The hand-over to fairlearn: the same numbers as fairlearn's own metrics, and overlap refused in words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fairlearn.metrics import (
    demographic_parity_difference,
    equalized_odds_difference,
    selection_rate,
    true_positive_rate,
)
from groupgap.errors import GroupgapError
from groupgap.metrics import count, judge, membership_patterns, metric_frame, to_fairlearn
from hypothesis import given, settings
from hypothesis import strategies as st


def tidy(seed: int = 0, n: int = 200, **changes: Any) -> SimpleNamespace:
    """Answers of one system on a disjoint axis of three groups."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    predictions = np.where(random.random(n) < 0.7, labels, 1 - labels)
    membership = np.eye(3, dtype=bool)[random.integers(0, 3, n)]
    columns = {"labels": labels, "predictions": predictions, "membership": membership, "probabilities": None}
    return SimpleNamespace(
        **{**columns, "groups": ("a", "b", "c"), "classes": ("no", "yes"), "positive": 1, "axis": "faith", **changes}
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(30, 400))
def test_the_frame_agrees_with_fairlearn_and_with_our_counts(seed: int, n: int) -> None:
    answers = tidy(seed, n)
    frame = to_fairlearn(answers)
    names = membership_patterns(answers.membership, answers.groups)
    found = judge(count(answers.labels, answers.predictions, names), positive=1, min_group=1, draws=10)
    difference = frame.difference()
    features = {"sensitive_features": names}
    assert difference["selection_rate"] == pytest.approx(
        demographic_parity_difference(answers.labels, answers.predictions, **features)
    )
    assert difference["selection_rate"] == pytest.approx(found.dpd.value)
    if found.eod.value is not None and all(one.positives and one.negatives for one in found.groups.values()):
        gap = max(difference["true_positive_rate"], difference["false_positive_rate"])
        assert gap == pytest.approx(found.eod.value)
        assert gap == pytest.approx(equalized_odds_difference(answers.labels, answers.predictions, **features))
    assert frame.by_group["count"].to_dict() == {name: one.n for name, one in found.groups.items() if one.n}
    assert frame.by_group["accuracy"].min() == pytest.approx(found.worst_group.value)
    assert frame.sensitive_levels == ["faith"]


def test_a_rate_without_a_denominator_is_nan_and_not_zero() -> None:
    frame = metric_frame([1, 0, 0, 0], [1, 0, 1, 0], ["a", "a", "b", "b"], positive=1)
    assert np.isnan(frame.by_group["true_positive_rate"]["b"])
    assert frame.difference()["true_positive_rate"] == 0
    assert true_positive_rate(np.array([0, 0]), np.array([1, 0]), pos_label=1) == 0  # what fairlearn would say


def test_the_positive_class_may_be_any_and_metrics_may_be_fairlearns() -> None:
    answers = tidy()
    frame = to_fairlearn(answers, positive=0, metrics={"selected": selection_rate})
    assert frame.overall["selected"] == pytest.approx((answers.predictions == 0).mean())


def test_strings_are_taken_as_they_are() -> None:
    frame = metric_frame(["yes", "no"], ["yes", "yes"], ["a", "b"], classes=["no", "yes"], positive=1)
    assert frame.by_group["false_positive_rate"]["b"] == 1


def test_many_classes_have_count_and_accuracy_only() -> None:
    frame = metric_frame([0, 1, 2, 2], [0, 1, 1, 2], ["a", "a", "b", "b"], positive=1)
    assert list(frame.by_group.columns) == ["count", "accuracy"]
    assert frame.by_group["accuracy"].to_dict() == {"a": 1.0, "b": 0.5}


def test_overlapping_groups_are_refused_by_name_and_taken_as_patterns() -> None:
    membership = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 1, 1]], dtype=bool)
    answers = tidy(n=4, membership=membership)
    with pytest.raises(GroupgapError, match=r"b and c share 2 samples; a and b share 1 samples.*by='pattern'.*overlap"):
        to_fairlearn(answers)
    frame = to_fairlearn(answers, by="pattern")
    assert frame.by_group["count"].to_dict() == {"a": 1, "a & b": 1, "b & c": 2}


def test_many_overlaps_are_counted() -> None:
    with pytest.raises(GroupgapError, match="and 3 more pairs"):
        to_fairlearn(tidy(n=2, membership=np.ones((2, 4), dtype=bool), groups=tuple("abcd")))


def test_samples_of_no_group_are_left_out_aloud() -> None:
    membership = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 0]], dtype=bool)
    with pytest.warns(UserWarning, match="1 of 3 samples belong to no group"):
        frame = to_fairlearn(tidy(n=3, membership=membership))
    assert frame.overall["count"] == 2
    assert to_fairlearn(tidy(n=3, membership=membership), by="pattern").by_group["count"]["(no group)"] == 1


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"membership": np.zeros((200, 3), dtype=bool)}, {}, "nothing to hand"),
        ({}, {"by": "sample"}, "'by'"),
        ({}, {"positive": 3}, "'positive'"),
        ({"groups": ("a", "b", "b")}, {}, "occurs twice"),
        ({"groups": ("a", "b")}, {}, "3 columns"),
        ({"membership": np.zeros((3, 3), dtype=bool)}, {}, "200 rows"),
        ({"predictions": np.zeros(3, dtype=int)}, {}, "one length"),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError, match=message):
        to_fairlearn(tidy(**changes), **options)
