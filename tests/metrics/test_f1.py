"""Macro F1: scikit-learn as oracle, classes without labels, its interval's coverage, no false certainty."""

from __future__ import annotations

import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.metrics import count, judge, macro_f1, pool_seeds
from groupgap.metrics.f1 import confusion_matrix, f1_of_classes
from sklearn.metrics import confusion_matrix as sklearn_matrix
from sklearn.metrics import f1_score

CLASSES = [f"age {number}" for number in range(9)]
SHARES = np.array([3062, 1530, 7344, 4536, 2244, 2298, 1316, 699, 673]) / 23702


def drawn(n: int, seed: int = 0) -> tuple[list[int], list[int]]:
    """Labels of nine classes with the shares of faces by age, and answers that miss by a class or two."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(9, n, p=SHARES)
    missed = np.clip(labels + rng.choice([-1, 1, 2], n), 0, 8)
    return labels.tolist(), np.where(rng.random(n) < 0.6, labels, missed).tolist()


def matrix(labels: list[int], predictions: list[int]) -> np.ndarray:
    return np.asarray(sklearn_matrix(labels, predictions, labels=range(9)))


@pytest.mark.parametrize("n", [40, 900])
def test_it_is_sklearn_s_over_the_classes_that_have_labels(n: int) -> None:
    labels, predictions = drawn(n, n)
    counts = count(labels, predictions, ["all"] * n, classes=CLASSES)
    assert np.array_equal(confusion_matrix(counts), matrix(labels, predictions))
    each = f1_score(labels, predictions, labels=sorted(set(labels)), average=None)
    ours = f1_of_classes(matrix(labels, predictions))
    assert ours[~np.isnan(ours)] == pytest.approx(each, abs=1e-12)
    assert judge(counts, draws=20).macro_f1.value == pytest.approx(each.mean(), abs=1e-12)


def test_a_stray_prediction_of_an_absent_class_does_not_change_the_classes_averaged() -> None:
    """scikit-learn's own default halves the value, as the union of labels and predictions has two classes."""
    labels, stray = [0] * 10, [0] * 9 + [1]
    assert f1_score(labels, stray, average="macro") == pytest.approx(18 / 19 / 2)
    assert judge(count(labels, stray, ["a"] * 10), draws=20).macro_f1.value == pytest.approx(18 / 19)


def test_a_class_that_is_never_predicted_counts_as_0_and_groups_do_not_matter() -> None:
    overlapping = np.array([[True, True], [False, False], [True, False], [False, True]])
    found = judge(count([0, 0, 1, 1], [0, 0, 0, 0], overlapping, groups=["a", "b"]), draws=20)
    assert found.macro_f1.value == pytest.approx((2 * 2 / (2 * 2 + 2) + 0) / 2)
    assert found.macro_f1.n == 4


def test_the_interval_covers_the_truth() -> None:
    """The population's own macro F1, in 93 to 97 of 100 samples of 600 (percentile bootstrap; binomial error 1.1)."""
    population = matrix(*drawn(200_000, 1)).astype(float)
    truth = float(np.nanmean(f1_of_classes(population)))
    rng = np.random.default_rng(5)
    cells = population.ravel() / population.sum()
    hits = 0
    for _ in range(400):
        sample = rng.multinomial(600, cells).reshape(9, 9)
        labels, predictions = (np.repeat(axis.ravel(), sample.ravel()) for axis in np.indices((9, 9)))
        found = macro_f1(count(labels, predictions, ["all"] * 600, classes=CLASSES), rng, draws=200)
        hits += found.low <= truth <= found.high
    assert 0.90 <= hits / 400 <= 0.98


def test_all_right_is_no_certainty_and_nothing_is_undefined() -> None:
    perfect = judge(count([0, 1, 2] * 3, [0, 1, 2] * 3, ["a"] * 9), draws=50).macro_f1
    assert (perfect.value, perfect.low, perfect.high, perfect.interval) == (1.0, None, None, None)
    nothing = judge(count([], [], np.zeros((0, 1), bool), groups=["a"], classes=["x", "y"]), draws=50).macro_f1
    assert nothing.text == "undefined (no samples)"


def test_seeds_are_averaged_with_a_t_interval() -> None:
    labels, _ = drawn(300)
    seeds = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        answers = np.where(rng.random(300) < 0.7, labels, rng.integers(0, 9, 300))
        seeds.append(count(labels, answers.tolist(), ["all"] * 300, classes=CLASSES))
    found = pool_seeds(seeds)["macro_f1"]
    expected = [judge(one, draws=20).macro_f1.value for one in seeds]
    assert found.value == pytest.approx(np.mean(expected))
    assert found.interval == "t over 3 seeds"


def test_the_draws_belong_to_the_seed_and_leave_the_other_numbers_alone() -> None:
    labels, predictions = drawn(200)
    counts = count(labels, predictions, ["a", "b"] * 100, classes=CLASSES)
    one, same, other = (judge(counts, draws=200, seed=seed) for seed in (0, 0, 1))
    assert one.macro_f1 == same.macro_f1 != other.macro_f1
    with pytest.raises(GroupgapError, match="'draws'"):
        macro_f1(counts, np.random.default_rng(0), draws=0)
