"""Thresholds on answers with a planted gap: what they remove, what they leave, what they refuse."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fairlearn.postprocessing import ThresholdOptimizer
from groupgap.errors import GroupgapError
from groupgap.metrics import count, judge, optimize_threshold
from groupgap.metrics.threshold import CONSTRAINTS, split_halves


def planted(n: int = 6000, shift: float = 1.2, seed: int = 0, overlap: float = 0.0, **changes: Any) -> SimpleNamespace:
    """Scores of equal quality in both groups, those of group b shifted upward: a threshold removes the gap."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    b = random.random(n) < 0.5
    a = ~b | (random.random(n) < overlap)
    score = 1 / (1 + np.exp(-(2 * labels - 1 + random.standard_normal(n) + shift * b)))
    columns = {
        "labels": labels,
        "predictions": (score > 0.5).astype(int),
        "membership": np.stack([a, b], axis=1),
        "probabilities": np.stack([1 - score, score], axis=1),
    }
    return SimpleNamespace(**{**columns, "groups": ("a", "b"), "classes": ("no", "yes"), "positive": 1, **changes})


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_a_gap_that_a_threshold_can_remove_is_removed(constraint: str) -> None:
    found = optimize_threshold(planted(), constraint, draws=500)
    gap = found.gap_removed
    assert found.gap == CONSTRAINTS[constraint] == gap.metric
    assert gap.a.value > 0.1
    assert gap.b.value < 0.06
    assert gap.low > 0
    assert gap.a.value == getattr(found.before, found.gap).value
    assert gap.b.value == getattr(found.after, found.gap).value
    assert found.n_fit == found.n_judged == found.before.n == found.after.n == 3000
    assert found.accuracy_paid.value == pytest.approx(found.before.accuracy.value - found.after.accuracy.value)
    assert {pattern.treatment for pattern in found.patterns} == {"own threshold"}


def test_it_is_fairlearns_optimizer_on_the_first_half_judged_on_the_second() -> None:
    answers = planted(2000)
    found = optimize_threshold(answers, "demographic_parity", draws=50, seed=5)
    first = split_halves(None, 2000, 5)

    from sklearn.base import BaseEstimator

    class Handed(BaseEstimator):
        def __init__(self) -> None:
            self.fitted_ = True

        def fit(self, x: Any, y: Any) -> Handed:
            return self

        def predict(self, x: Any) -> Any:
            return np.asarray(x)[:, 0]

    scores, groups = answers.probabilities[:, 1:], answers.membership[:, 1].astype(int)
    oracle = ThresholdOptimizer(
        estimator=Handed(), constraints="demographic_parity", prefit=True, predict_method="predict"
    )
    oracle.fit(scores[first], answers.labels[first], sensitive_features=groups[first])
    rates = []
    for flip in range(30):
        after = oracle.predict(scores[~first], sensitive_features=groups[~first], random_state=flip)
        rates.append((after == answers.labels[~first]).mean())
    assert found.randomisation is not None
    assert found.randomisation.accuracy[1] == pytest.approx(np.mean(rates), abs=0.003)
    assert found.after.accuracy.value == pytest.approx(np.mean(rates), abs=0.01)
    before = count(
        answers.labels[~first], answers.predictions[~first], answers.membership[~first], ("a", "b"), ("no", "yes")
    )
    assert found.before == judge(before, 1, draws=50, seed=5)


def test_the_same_seed_gives_the_same_outcome_and_another_another_split() -> None:
    answers = planted(1200)
    one, two, other = (optimize_threshold(answers, draws=50, seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert one.before.accuracy != other.before.accuracy


def test_the_other_class_may_be_the_positive_one() -> None:
    answers = planted(3000)
    found = optimize_threshold(answers, "true_positive_rate_parity", positive=0, draws=50)
    assert found.positive == "no"
    assert found.gap_removed.a.value > 0.2
    assert found.gap_removed.b.value < 0.1


def test_overlapping_groups_get_thresholds_by_combination() -> None:
    found = optimize_threshold(planted(overlap=0.5), draws=200)
    assert {pattern.name for pattern in found.patterns} == {"a", "b", "a & b"}
    assert found.gap_removed.b.value < 0.06


def test_small_combinations_share_a_threshold_or_keep_their_decisions() -> None:
    answers = planted(2000)
    rare = np.zeros((2000, 3), dtype=bool)
    rare[:12, 0] = True
    rare[12:60, 1] = True
    rare[60:90, 2] = True
    membership = np.concatenate([answers.membership, rare], axis=1)
    membership[:90, :2] = False
    answers.membership, answers.groups = membership, ("a", "b", "c", "d", "e")
    found = optimize_threshold(answers, draws=50)
    treatment = {pattern.name: pattern.treatment for pattern in found.patterns}
    assert treatment == {
        "a": "own threshold",
        "b": "own threshold",
        "c": "shared threshold",
        "d": "shared threshold",
        "e": "shared threshold",
    }
    answers.membership = membership.copy()
    answers.membership[12:90] = [True, False, False, False, False]
    kept = {pattern.name: pattern.treatment for pattern in optimize_threshold(answers, draws=50).patterns}
    assert kept["c"] == "decisions as they were"


def test_one_document_is_in_one_half_and_rows_may_come_in_any_order() -> None:
    documents = np.repeat([f"document {i}" for i in range(500)], 4)
    first = split_halves(documents, 2000, 0)
    assert all(len(set(first[row : row + 4])) == 1 for row in range(0, 2000, 4))
    assert first.sum() == 1000
    order = np.random.default_rng(0).permutation(2000)
    assert (split_halves(documents[order], 2000, 0) == first[order]).all()
    found = optimize_threshold(planted(2000), units=documents, draws=50)
    assert found.comparison.clusters == 250


def test_without_coin_flips_nothing_is_said_of_them() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 400)
    score = np.where(labels == 1, 0.9, 0.1)
    answers = planted(400, labels=labels, predictions=labels, probabilities=np.stack([1 - score, score], axis=1))
    found = optimize_threshold(answers, "equalized_odds", draws=50)
    assert found.after.accuracy.value == 1
    assert found.randomisation is None


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"probabilities": None}, {}, "needs class probabilities"),
        ({"classes": ("a", "b", "c")}, {}, "two classes, but the answers have 3"),
        ({"positive": None}, {}, "name the choice"),
        ({"probabilities": np.full((400, 2), np.nan)}, {}, "NaN or infinity"),
        ({"probabilities": np.ones((3, 2))}, {}, r"\(400, 2\)"),
        ({"membership": np.ones((400, 2), dtype=bool)}, {}, "Fewer than 2 groups"),
        ({"labels": np.ones(400, dtype=int)}, {}, "Fewer than 2 groups"),
        ({"labels": np.ones(3, dtype=int)}, {}, "one length|finite"),
        ({}, {"constraint": "fairness"}, "equalized_odds, demographic_parity"),
        ({}, {"objective": "profit"}, "accuracy_score"),
        ({}, {"min_group": 0}, "'min_group'"),
        ({}, {"min_group": 399}, "lower min_group"),
        ({}, {"seed": -1}, "'seed'"),
        ({}, {"draws": 0}, "'draws'"),
        ({}, {"units": ["one"]}, "'units'"),
        ({}, {"units": ["one"] * 400}, "2 documents"),
    ],
)
def test_what_cannot_be_thresholded_is_refused(changes: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError, match=message):
        optimize_threshold(planted(400, **changes), **options)
