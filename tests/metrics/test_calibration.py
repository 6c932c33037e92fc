"""Calibration against torchmetrics and scikit-learn, its properties, its errors, and a short run of its coverage."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from groupgap.errors import GroupgapError
from groupgap.metrics import Calibration, calibration, expected_calibration_error, reliability_curve
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

SCORES = ("ece", "ece_equal_mass", "ece_positive", "brier", "nll", "signed_gap")


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def functional(torch: Any) -> Any:
    return pytest.importorskip("torchmetrics.functional.classification")


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """``benchmarks/calibration_coverage.py``: benchmarks are not installed, so it is loaded from the checkout."""
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "calibration_coverage.py"
    spec = importlib.util.spec_from_file_location("calibration_coverage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["calibration_coverage"] = module
    spec.loader.exec_module(module)
    return module


def answers(seed: int, n: int, classes: int, skew: float = 0.5) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Probabilities and labels that have something to do with them."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(classes, skew), n)
    mixed = 0.7 * probabilities + 0.3 / classes
    labels = (mixed.cumsum(axis=1) < random.random(n)[:, None]).sum(axis=1)
    return probabilities, np.minimum(labels, classes - 1)


def away_from_edges(scores: npt.NDArray[Any], bins: int) -> bool:
    """Whether float32 and float64 put every score into the same bin."""
    return bool((np.abs(scores * bins - np.round(scores * bins)) > 1e-4).all())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 300), st.integers(2, 6), st.integers(1, 20))
def test_ece_equals_torchmetrics(torch: Any, functional: Any, seed: int, n: int, classes: int, bins: int) -> None:
    probabilities, labels = answers(seed, n, classes)
    assume(away_from_edges(probabilities, bins))
    found = calibration(probabilities, labels, positive=1, bins=bins, draws=5).overall
    scores, target = torch.tensor(probabilities), torch.tensor(labels)
    top = functional.multiclass_calibration_error(scores, target, classes, n_bins=bins)
    assert found.ece.value == pytest.approx(float(top), abs=2e-6)
    if classes == 2:
        binary = functional.binary_calibration_error(scores[:, 1], target, n_bins=bins)
        assert found.ece_positive.value == pytest.approx(float(binary), abs=2e-6)
    else:
        assert found.ece_positive.reason == "no single positive class"


def test_a_confidence_of_one_is_in_the_last_bin_where_torchmetrics_opens_another(torch: Any, functional: Any) -> None:
    probabilities, labels = np.array([[0.0, 1.0], [0.04, 0.96]]), np.array([1, 0])
    ours = calibration(probabilities, labels, draws=5).overall.ece.value
    theirs = functional.multiclass_calibration_error(torch.tensor(probabilities), torch.tensor(labels), 2, n_bins=15)
    assert ours == pytest.approx(abs(1.96 - 1) / 2)
    assert float(theirs) == pytest.approx(0.96 / 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 300), st.integers(2, 6))
def test_brier_and_nll_equal_scikit_learn(seed: int, n: int, classes: int) -> None:
    probabilities, labels = answers(seed, n, classes, skew=1.0)
    found = calibration(probabilities, labels, draws=5).overall
    names = list(range(classes))
    if classes == 2:
        assert found.brier.value == pytest.approx(brier_score_loss(labels, probabilities[:, 1]))
    else:
        assert found.brier.value == pytest.approx(brier_score_loss(labels, probabilities, labels=names))
    assert found.nll.value == pytest.approx(log_loss(labels, probabilities, labels=names))
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    assert found.signed_gap.value == pytest.approx(probabilities.max(axis=1).mean() - accuracy)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 300), st.integers(1, 20), st.sampled_from(["uniform", "quantile"]))
def test_curves_equal_scikit_learn(seed: int, n: int, bins: int, strategy: str) -> None:
    probabilities, labels = answers(seed, n, 2)
    scores = probabilities[:, 1]
    assume(away_from_edges(scores, bins))
    accuracies, confidences = calibration_curve(labels, scores, n_bins=bins, strategy=strategy, pos_label=1)
    binning = {"uniform": "equal width", "quantile": "equal mass"}[strategy]
    curve = reliability_curve(scores, labels, bins=bins, binning=binning)
    filled = [entry for entry in curve.bins if entry.n]
    assert [entry.accuracy for entry in filled] == pytest.approx(list(accuracies))
    assert [entry.confidence for entry in filled] == pytest.approx(list(confidences))
    assert sum(curve.histogram) == n == curve.n
    error = expected_calibration_error(scores, labels, bins=bins, binning=binning, draws=5)
    assert error.value == pytest.approx(sum(entry.n * abs(entry.gap or 0) for entry in filled) / n)


def test_groups_may_overlap_and_each_is_judged_as_if_alone() -> None:
    probabilities, labels = answers(3, 400, 3)
    random = np.random.default_rng(4)
    membership = random.random((400, 3)) < (0.5, 0.3, 0.05)
    report = calibration(probabilities, labels, membership, ["a", "b", "c"], draws=50)
    for column, name in enumerate("ab"):
        rows = membership[:, column]
        alone = calibration(probabilities[rows], labels[rows], draws=50).overall
        assert report.groups[name] == alone
    small = report.groups["c"]
    assert small.n < 30
    for score in SCORES:
        estimate = getattr(small, score)
        assert (estimate.value, estimate.reason, estimate.n) == (None, "fewer than 30 members", small.n)
    assert small.curve is None


def test_a_group_without_members_has_a_reason() -> None:
    probabilities, labels = answers(3, 40, 2)
    report = calibration(probabilities, labels, ["a"] * 40, ["a", "b"], draws=5)
    assert report.groups["b"].ece.reason == "no members"
    assert report.groups["a"] == report.overall


def test_the_order_of_rows_and_other_groups_change_nothing() -> None:
    probabilities, labels = answers(5, 200, 2)
    membership = np.random.default_rng(0).random((200, 2)) < 0.6
    order = np.random.default_rng(1).permutation(200)
    one = calibration(probabilities, labels, membership, ["a", "b"], positive=1, draws=100)
    other = calibration(probabilities[order], labels[order], membership[order], ["a", "b"], positive=1, draws=100)
    assert flat(one.overall) == pytest.approx(flat(other.overall), nan_ok=True)
    swapped = calibration(probabilities, labels, membership[:, ::-1], ["b", "a"], positive=1, draws=100)
    assert swapped.groups["a"] == one.groups["a"]


def flat(found: Calibration) -> list[float]:
    """Every number of the six estimates."""
    estimates = [getattr(found, score) for score in SCORES]
    chances = [[one.chance.median, one.chance.p95, one.chance.p_value] for one in estimates if one.chance]
    return [one for e in estimates for one in (e.value, e.low, e.high, e.stderr)] + [x for row in chances for x in row]


def test_all_rows_twice_leave_the_values_and_narrow_the_intervals() -> None:
    probabilities, labels = answers(6, 300, 2)
    once = calibration(probabilities, labels, positive=1).overall
    twice = calibration(np.tile(probabilities, (2, 1)), np.tile(labels, 2), positive=1).overall
    for score in SCORES:
        one, two = getattr(once, score), getattr(twice, score)
        if score != "ece_equal_mass":
            assert two.value == pytest.approx(one.value)
        assert two.high - two.low < one.high - one.low


def test_a_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    probabilities, labels = answers(7, 150, 2)
    assert calibration(probabilities, labels, seed=3) == calibration(probabilities, labels, seed=3)
    assert calibration(probabilities, labels, seed=3) != calibration(probabilities, labels, seed=4)


def test_beside_the_error_stands_that_of_a_calibrated_model() -> None:
    random = np.random.default_rng(0)
    values, p_values = [], []
    for _ in range(200):
        confidences = 0.5 + 0.5 * random.random(100)
        estimate = expected_calibration_error(confidences, random.random(100) < confidences, draws=199)
        assert estimate.chance is not None
        values.append(estimate.value - estimate.chance.median)
        p_values.append(estimate.chance.p_value)
    assert abs(np.mean(values)) < 0.005
    assert 2 <= np.sum(np.array(p_values) <= 0.05) <= 22  # binomial(200, 0.05), 99.9%


def test_chance_does_not_depend_on_how_labels_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    confidences = 0.5 + 0.5 * random.random(3000)
    correct = random.random(3000) < confidences
    one = expected_calibration_error(confidences, correct, draws=2000).chance
    monkeypatch.setattr("groupgap.metrics.calibration_error._EXACT_DRAWS", 0)
    other = expected_calibration_error(confidences, correct, draws=2000).chance
    assert one is not None
    assert other is not None
    assert other.median == pytest.approx(one.median, rel=0.04)
    assert other.p95 == pytest.approx(one.p95, rel=0.04)


def test_answers_all_right_and_all_sure_still_have_an_interval() -> None:
    found = calibration(np.tile([0.0, 1.0], (30, 1)), np.ones(30, dtype=int), positive=1).overall
    assert found.ece.value == 0
    assert found.ece.low == 0
    assert found.ece.high == pytest.approx(1 - 0.8865, abs=1e-3)  # Wilson's lower limit of 30 out of 30
    for score in ("brier", "nll", "signed_gap"):
        estimate = getattr(found, score)
        assert estimate.low < estimate.high


def test_a_label_of_probability_zero_makes_the_likelihood_undefined_and_nothing_else() -> None:
    probabilities = np.array([[0.0, 1.0], [0.5, 0.5]] * 20)
    found = calibration(probabilities, np.array([0, 1] * 20), draws=50).overall
    assert found.nll.reason == "infinite: 20 labels have probability 0"
    assert found.brier.value == pytest.approx((1 + 0.25) / 2)


def test_one_sample_and_one_bin_are_measured() -> None:
    found = calibration([[0.3, 0.7]], [1], bins=1, draws=20).overall
    assert found.ece.value == pytest.approx(0.3)
    assert found.ece.low == 0
    assert found.brier.value == pytest.approx(0.09)


def test_class_names_and_a_report_as_plain_data() -> None:
    probabilities, labels = answers(8, 60, 2)
    named = np.array(["no", "yes"], dtype=object)[labels]
    report = calibration(probabilities, named, classes=["no", "yes"], positive=1, draws=20)
    assert report.positive == "yes"
    same = calibration(probabilities, labels, positive=1, draws=20)
    assert asdict(report.overall) == asdict(same.overall)


GOOD = [[0.4, 0.6], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([[np.nan, 1.0], [0.5, 0.5]], [0, 1]), {}, "NaN in 1 rows"),
        (([[0.4, 0.4], [0.5, 0.5]], [0, 1]), {}, "row 0 sums to 0.8"),
        (([[-1.0, -0.5], [-0.2, -2.0]], [0, 1]), {}, "softmax"),
        (([0.4, 0.6], [0, 1]), {}, r"np.stack\(\[1 - p, p\], axis=1\)"),
        (([["a", "b"]], [0]), {}, r"\(n, C\) numbers"),
        ((np.zeros((0, 2)), []), {}, "at least one sample"),
        ((GOOD, [0]), {}, "one length, but got 1 and 2"),
        ((GOOD, [0, 2]), {}, "class indices from 0 to 1"),
        ((GOOD, [0.0, np.nan]), {}, "NaN"),
        ((GOOD, ["yes", "no"]), {"classes": ["no", "maybe"]}, "one of the classes"),
        ((GOOD, [0, 1]), {"classes": ["a", "b", "c"]}, "name the 2 columns"),
        ((GOOD, [0, 1]), {"positive": 2}, "'positive'"),
        ((GOOD, [0, 1]), {"bins": 0}, "'bins'"),
        ((GOOD, [0, 1]), {"draws": 0}, "'draws'"),
        ((GOOD, [0, 1]), {"seed": -1}, "'seed'"),
        ((GOOD, [0, 1]), {"min_group": 0}, "'min_group'"),
        ((GOOD, [0, 1]), {"confidence": 1.0}, "'confidence'"),
        ((GOOD, [0, 1], ["a"]), {}, "2 rows"),
        ((GOOD, [0, 1], np.ones((2, 2), dtype=bool), ["a", "a"]), {}, "occurs twice"),
    ],
)
def test_bad_input_is_named(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError, match=message):
        calibration(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0.5, 1.2], [0, 1]), {}, "0.5 to 1.2"),
        (([0.5, np.nan], [0, 1]), {}, "NaN"),
        (([0.5], [0, 1]), {}, "one length"),
        (([], []), {}, "at least one sample"),
        (([0.5, 0.5], [0, 2]), {}, "True and False"),
        (([0.5, 0.5], ["a", "b"]), {}, "True and False"),
        ((["x"], [1]), {}, "n numbers"),
        (([0.5, 0.5], [0, 1]), {"binning": "fixed"}, "'binning'"),
    ],
)
def test_bad_confidences_are_named(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError, match=message):
        expected_calibration_error(*arguments, **options)
    with pytest.raises(GroupgapError, match=message):
        reliability_curve(*arguments, **options)


@pytest.mark.parametrize(
    ("confidences", "accuracies", "n"),
    [("even", "calibrated", 100), ("even", "one bin by .3", 300), ("sharp", "over by .03", 30)],
)
def test_intervals_hold_the_truth(benchmark: ModuleType, confidences: str, accuracies: str, n: int) -> None:
    """A short version of the benchmark; the percentile bootstrap of an ECE covers 0% of the first."""
    held = benchmark.coverage(benchmark.Case(confidences, accuracies, n), runs=200, draws=300, seed=1)
    promised = benchmark.PROMISED
    assert {name: share for name, share in held.items() if not benchmark.holds(share, 200, promised[name])} == {}


def test_the_rule_of_the_benchmark_can_fail(benchmark: ModuleType) -> None:
    assert benchmark.holds(180, 200, 0.90)
    assert not benchmark.holds(150, 200, 0.90)
