"""Counting: equal to plain loops, blind to the order of rows, additive over chunks; each mistake is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from groupgap import GroupgapError
from groupgap.metrics import Counts, count, intersect, membership_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

Answers = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def answers(draw: st.DrawFn, max_groups: int = 5) -> Answers:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, groups, classes = draw(st.integers(1, 60)), draw(st.integers(1, max_groups)), draw(st.integers(2, 4))
    return rng.integers(0, classes, n), rng.integers(0, classes, n), rng.random((n, groups)) < 0.4


def names(membership: np.ndarray) -> list[str]:
    return [f"g{index}" for index in range(membership.shape[1])]


@given(answers())
@settings(max_examples=300, deadline=None)
def test_counts_are_those_of_a_plain_loop(drawn: Answers) -> None:
    labels, predictions, membership = drawn
    counts = count(labels, predictions, membership, names(membership))
    expected = Counter((tuple(m.tolist()), int(y), int(p)) for y, p, m in zip(*drawn, strict=True))
    found = {
        (tuple(m.tolist()), int(y), int(p)): int(c)
        for m, y, p, c in zip(counts.patterns, counts.labels, counts.predictions, counts.counts, strict=True)
    }
    assert found == expected


@given(answers(), st.integers(0, 60), st.randoms())
@settings(max_examples=200, deadline=None)
def test_chunks_add_up_and_the_order_of_rows_is_nothing(drawn: Answers, cut: int, random: Any) -> None:
    labels, predictions, membership = drawn
    classes = [str(index) for index in range(4)]
    whole = count(labels, predictions, membership, names(membership), classes)
    parts = [
        count(labels[part], predictions[part], membership[part], names(membership), classes)
        for part in (slice(None, cut), slice(cut, None))
    ]
    order = list(range(len(labels)))
    random.shuffle(order)
    assert parts[0] + parts[1] == whole
    assert count(labels[order], predictions[order], membership[order], names(membership), classes) == whole


def test_many_groups_are_packed_without_collisions() -> None:
    rng = np.random.default_rng(0)
    membership = rng.random((500, 130)) < 0.02
    labels = rng.integers(0, 2, 500)
    counts = count(labels, labels, membership, names(membership))
    expected = Counter((row.tobytes(), int(label)) for row, label in zip(membership, labels, strict=True))
    assert sorted(counts.counts.tolist()) == sorted(expected.values())
    assert counts.counts @ counts.patterns.astype(int) == pytest.approx(membership.sum(axis=0))


def test_names_and_indices_give_the_same_counts() -> None:
    by_name = count(["no", "yes", "yes"], ["no", "no", "yes"], ["a", "b", "a"], classes=["no", "yes"])
    by_index = count([0, 1, 1], [0, 0, 1], np.array([[1, 0], [0, 1], [1, 0]], bool), ["a", "b"], ["no", "yes"])
    assert by_name == by_index
    assert count(pd.Series([0, 1]), pd.Series([1, 1]), pd.Series(["a", "b"])).n == 2


def test_a_column_may_name_a_group_that_is_absent() -> None:
    assert count([1], [1], ["a"], groups=["b", "a"]).groups == ("b", "a")
    assert count([], [], [], groups=["a"], classes=["0", "1"]).n == 0


M2 = np.ones((2, 1), bool)

MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "lengths": (
        lambda: count([1, 0], [1], ["a", "b"]),
        "'predictions' and 'labels' to have one length, but got 1 and 2",
    ),
    "membership length": (lambda: count([1, 0], [1, 0], ["a"]), "'membership' to have 2 rows"),
    "NaN label": (lambda: count([1.0, np.nan], [1, 0], ["a", "b"]), "'labels' to have no missing value, but got NaN"),
    "None label": (lambda: count(["a", None], ["a", "a"], ["a", "b"]), "'labels' to have no missing value"),
    "float labels": (lambda: count([1.0, 0.0], [1, 0], ["a", "b"]), "convert them with .astype"),
    "two types": (lambda: count(["1", "0"], [1, 0], ["a", "b"]), "one holds strings and one holds integers"),
    "mixed column": (lambda: count([1, "0"], ["1", "0"], ["a", "b"]), "all of one type, but got int"),
    "one string": (lambda: count("10", [1, 0], ["a", "b"]), "but got one string"),
    "matrix of labels": (lambda: count([[1], [0]], [1, 0], ["a", "b"]), r"'labels' to be a column of n values"),
    "ragged labels": (lambda: count([[1], [0, 1]], [1, 0], ["a", "b"]), "rows of several lengths"),
    "negative label": (lambda: count([-1, 0], [1, 0], ["a", "b"]), "class indices from 0 to 1, but got -1 to 0"),
    "class beyond": (lambda: count([2, 0], [1, 0], ["a", "b"], classes=["x", "y"]), "class indices from 0 to 1"),
    "unknown class": (lambda: count(["z"], ["x"], ["a"], classes=["x", "y"]), "one of the classes .* but got 'z'"),
    "class twice": (lambda: count([0], [0], ["a"], classes=["x", "x"]), "'classes' .* 'x' occurs twice"),
    "group twice": (lambda: count([0, 1], [0, 1], np.ones((2, 2), bool), ["a", "a"]), "'groups' .* 'a' occurs twice"),
    "group number": (lambda: count([0, 1], [0, 1], M2, [1]), "'groups' to hold strings"),  # type: ignore[list-item]
    "no groups": (lambda: count([], [], []), "'groups' to name at least one"),
    "unnamed matrix": (
        lambda: count([0, 1], [0, 1], M2),
        "'groups' to name the 1 columns of 'membership', but got none",
    ),
    "names too few": (
        lambda: count([0, 1], [0, 1], M2, ["a", "b"]),
        "to name the 1 columns of 'membership', but got 2",
    ),
    "matrix of floats": (lambda: count([0, 1], [0, 1], M2 * 1.0, ["a"]), "membership matrix of bool, but got float64"),
    "cube": (lambda: count([0], [0], np.ones((1, 1, 1), bool), ["a"]), r"got shape \(1, 1, 1\)"),
    "numbers as names": (lambda: count([0, 1], [0, 1], np.array([3, 4])), "hold group names .strings., but got int64"),
    "missing group": (lambda: count([0, 1], [0, 1], pd.Series(["a", None])), "'membership' to have no missing value"),
    "unknown group": (lambda: count([0], [0], ["c"], ["a", "b"]), "one of the groups .* but got 'c'"),
    "negative count": (
        lambda: Counts(np.ones((1, 1), bool), np.array([0]), np.array([0]), np.array([-1]), ("a",), ("0", "1")),
        "'counts' to be 0 or more, but got -1",
    ),
    "class in counts": (
        lambda: Counts(np.ones((1, 1), bool), np.array([2]), np.array([0]), np.array([1]), ("a",), ("0", "1")),
        "'labels' to be class indices from 0 to 1",
    ),
    "shape in counts": (
        lambda: Counts(np.ones((1, 1), bool), np.array([0, 1]), np.array([0]), np.array([1]), ("a",), ("0", "1")),
        "'labels' to hold 1 integers, one for each cell",
    ),
    "patterns in counts": (
        lambda: Counts(np.ones((1, 2), bool), np.array([0]), np.array([0]), np.array([1]), ("a",), ("0", "1")),
        "bool matrix with 1 columns",
    ),
    "adding other groups": (lambda: count([0], [0], ["a"]) + count([0], [0], ["b"]), "whose groups differ"),
    "adding other classes": (
        lambda: count([0], [0], ["a"]) + count([0], [0], ["a"], classes=["x", "y"]),
        "whose classes differ",
    ),
    "unknown name in lists": (lambda: membership_matrix([["a"], ["z"]], ["a"]), "in row 1, but got 'z'"),
    "string for a list": (lambda: membership_matrix(["a"], ["a"]), "a list of group names in row 0"),
    "intersection type": (lambda: intersect([[1]], [[True]], ["a"], ["x"]), "'first' to be an"),
    "intersection length": (lambda: intersect(M2, M2[:1], ["a"], ["x"]), "one length, but got 2 and 1"),
}


@pytest.mark.parametrize(("call", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_said_in_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(GroupgapError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_an_intersection_holds_who_is_in_both(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.random((20, 3)) < 0.5, rng.random((20, 2)) < 0.5
    product, groups = intersect(one, other, ["a", "b", "c"], ["x", "y"])
    for index, name in enumerate(groups):
        left, right = name.split(" & ")
        assert (product[:, index] == (one[:, "abc".index(left)] & other[:, "xy".index(right)])).all()
