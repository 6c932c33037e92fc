"""Could a threshold remove this gap? fairlearn's ``ThresholdOptimizer``, fitted on one half, judged on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from .arguments import check_min_group, check_seed
from .counts import Counts, count
from .estimate import Judgement
from .fairlearn_bridge import TidyAnswers, membership_patterns
from .gaps import plan_gaps
from .joint import count_pair
from .judge import judge
from .paired import Comparison, Difference, compare

__all__ = ["CONSTRAINTS", "Pattern", "Randomisation", "ThresholdOutcome", "optimize_threshold"]

CONSTRAINTS = {
    "equalized_odds": "eod",
    "demographic_parity": "dpd",
    "true_positive_rate_parity": "eopp",
}
OBJECTIVES = ("accuracy_score", "balanced_accuracy_score")
OWN, SHARED, KEPT = "own threshold", "shared threshold", "decisions as they were"
SHARED_CODE = -1
REPEATS = 20
MIN_CLASS = 5  # positives and negatives without which a threshold is not fitted

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pattern:
    """A combination of groups, and what was done with it.

    Attributes:
        name: the groups, joined by ``" & "``; ``"(no group)"``.
        n: samples in the half on which thresholds were fitted.
        positives: positive labels among them.
        treatment: ``"own threshold"``; ``"shared threshold"``: too small, one threshold for all such patterns;
            ``"decisions as they were"``: too small even together.
    """

    name: str
    n: int
    positives: int
    treatment: str


@dataclass(frozen=True)
class Randomisation:
    """What other coin flips give, where the fitted decision is randomised.

    Attributes:
        repeats: number of repeated decisions on the judged half.
        accuracy: lowest, mean and highest accuracy.
        gap: lowest, mean and highest gap; ``None`` where it is undefined.
    """

    repeats: int
    accuracy: tuple[float, float, float]
    gap: tuple[float, float, float] | None


@dataclass(frozen=True)
class ThresholdOutcome:
    """What a threshold of its own for each group changes, on answers that it was not fitted on.

    Attributes:
        constraint: what the thresholds were to equalize.
        objective: what they were to keep as high as possible.
        gap: the gap that belongs to the constraint: ``"eod"``, ``"dpd"`` or ``"eopp"``.
        positive: name of the positive class.
        n_fit: samples of the half they were fitted on.
        n_judged: samples of the other half, on which everything below is measured.
        before: the answers as they are.
        after: with the fitted thresholds.
        comparison: before minus after, paired on the same samples, with intervals and tests.
        patterns: how each combination of groups was treated.
        randomisation: what other coin flips give; ``None`` where the fitted decision flips none.
        seed: of the split, the coin flips and the draws.
    """

    constraint: str
    objective: str
    gap: str
    positive: str
    n_fit: int
    n_judged: int
    before: Judgement
    after: Judgement
    comparison: Comparison
    patterns: tuple[Pattern, ...]
    randomisation: Randomisation | None
    seed: int

    @property
    def accuracy_paid(self) -> Difference:
        """Accuracy before minus accuracy after."""
        return self.comparison.find("accuracy")

    @property
    def gap_removed(self) -> Difference:
        """Gap before minus gap after; what is left is ``b`` of it."""
        return self.comparison.find(self.gap)


@dataclass(frozen=True, eq=False)
class _Half:
    """Some of the answers: scores and labels of the positive class, labels, predictions, and each one's pattern."""

    scores: FloatArray
    positives: BoolArray
    labels: IntArray
    predictions: IntArray
    membership: BoolArray
    codes: IntArray


def optimize_threshold(
    answers: TidyAnswers,
    constraint: str = "equalized_odds",
    *,
    positive: int | None = None,
    units: Sequence[object] | npt.ArrayLike | None = None,
    objective: str = "accuracy_score",
    min_group: int = 30,
    draws: int = 10_000,
    seed: int = 0,
) -> ThresholdOutcome:
    """Fit thresholds for each group on one half of the answers, and judge them on the other half.

    Args:
        answers: of one system on one axis, two classes, with probabilities.
        constraint: ``"equalized_odds"``, ``"demographic_parity"`` or ``"true_positive_rate_parity"``.
        positive: index of the positive class; by default the answers' own.
        units: (n,) the document of each answer; answers to one document go into the same half. By default each by
            itself.
        objective: ``"accuracy_score"`` or ``"balanced_accuracy_score"``.
        min_group: smallest denominator of the judgement, and smallest pattern that gets a threshold of its own.
        draws: of the judgement and the comparison.
        seed: of the split, the coin flips and the draws.

    Returns:
        Judgement before and after, their paired differences, and how each pattern was treated.

    fairlearn's thresholds are for groups that do not overlap, so each combination of groups (pattern) is one; rates
    that are equal in all patterns are equal in all groups. A pattern with fewer than ``min_group`` samples, or
    fewer than 5 positives or negatives, in the fitted half shares a threshold with all such patterns; where even
    they together are too few, their decisions stay as they were. The optimum mixes two thresholds by coin flips:
    ``after`` is one seeded flip a sample, as a user would deploy it, and ``randomisation`` says what 20 others
    give. Intervals hold for these fitted thresholds; they do not show how another half would have fitted them. The
    decision needs to know each person's group: where that may not be known or used, this answers what is possible,
    not what may be done.

    Raises:
        GroupgapError: without probabilities or a single positive class, with fewer than two patterns to equalize, or
            for an argument out of range.

    Source: Hardt et al. 2016 (Equality of Opportunity in Supervised Learning), as fairlearn has it.
    """
    _check(constraint, objective)
    check_min_group(min_group), check_seed(seed)
    single = _positive(answers, positive)
    whole = _whole(answers, single)
    first = split_halves(units, len(whole.labels), seed)
    fit, judged = _part(whole, first), _part(whole, ~first)
    codes, patterns = _treat(fit, whole, answers.groups, min_group)
    decide = _Decision(_fit(fit, codes[first], constraint, objective), judged, codes[~first], single)
    flips = [int(state) for state in np.random.SeedSequence([seed, 1]).generate_state(REPEATS + 1)]
    after = decide(flips[0])
    groups, classes = tuple(answers.groups), tuple(answers.classes)
    joint = count_pair(
        judged.labels, (judged.predictions, after), judged.membership, groups, classes, _clusters(units, ~first)
    )
    others = [count(judged.labels, decide(flip), judged.membership, groups, classes) for flip in flips[1:]]
    return ThresholdOutcome(
        constraint,
        objective,
        CONSTRAINTS[constraint],
        classes[single],
        int(first.sum()),
        int((~first).sum()),
        judge(joint.a, single, min_group=min_group, draws=draws, seed=seed),
        judge(joint.b, single, min_group=min_group, draws=draws, seed=seed),
        compare(joint, single, min_group=min_group, draws=draws, seed=seed),
        patterns,
        _randomisation(others, single, min_group, CONSTRAINTS[constraint]),
        seed,
    )


def _check(constraint: str, objective: str) -> None:
    for argument, value, allowed in (
        ("constraint", constraint, tuple(CONSTRAINTS)),
        ("objective", objective, OBJECTIVES),
    ):
        if value not in allowed:
            raise GroupgapError(f"Expected argument '{argument}' to be one of {', '.join(allowed)}, but got {value!r}")


def _positive(answers: TidyAnswers, positive: int | None) -> int:
    """Index of the positive class of answers that a threshold can decide."""
    if len(answers.classes) != 2:
        raise GroupgapError(
            f"A threshold decides between two classes, but the answers have {len(answers.classes)}: "
            "judge such a task by its accuracies"
        )
    if answers.probabilities is None:
        raise GroupgapError(
            "A threshold needs class probabilities, but the answers have none: run with log-likelihoods"
        )
    single = positive if positive is not None else getattr(answers, "positive", None)
    if single not in (0, 1):
        raise GroupgapError(
            f"Expected argument 'positive' to be 0 or 1, the index of the positive class of {tuple(answers.classes)}, "
            f"but got {single!r}: name the choice whose probability is thresholded"
        )
    return int(single)


def _whole(answers: TidyAnswers, single: int) -> _Half:
    """All answers, coded: 1 is the positive class."""
    labels, predictions = np.asarray(answers.labels), np.asarray(answers.predictions)
    scores = np.asarray(answers.probabilities, dtype=np.float64)
    if scores.shape != (len(labels), 2) or not np.isfinite(scores).all():
        raise GroupgapError(
            f"Expected 'probabilities' to be ({len(labels)}, 2) finite numbers, but got shape {scores.shape}"
            + (" with NaN or infinity" if not np.isfinite(scores).all() else "")
        )
    counted = count(labels, predictions, answers.membership, answers.groups, answers.classes)  # checks every array
    if counted.n < 2:
        raise GroupgapError(f"Expected at least 2 answers, one for each half, but got {counted.n}")
    membership = np.asarray(answers.membership, dtype=np.bool_)
    codes = np.unique(membership, axis=0, return_inverse=True)[1].astype(np.int64).ravel()
    return _Half(
        scores[:, single],
        labels == single,
        labels.astype(np.int64),
        predictions.astype(np.int64),
        membership,
        codes,
    )


def _part(whole: _Half, rows: BoolArray) -> _Half:
    return _Half(**{name: column[rows] for name, column in vars(whole).items()})


def split_halves(units: Sequence[object] | npt.ArrayLike | None, n: int, seed: int) -> BoolArray:
    """Which answers belong to the fitted half: half of the documents, drawn without replacement.

    Args:
        units: (n,) document of each answer; ``None``: each its own.
        n: answers.
        seed: of the draw.

    Returns:
        (n,) bool. It does not depend on the order of the answers where ``units`` are given.
    """
    codes = np.arange(n) if units is None else _unit_codes(units, n)
    number = int(codes.max()) + 1
    if number < 2:
        raise GroupgapError(f"Expected at least 2 documents, one for each half, but got {number}")
    chosen = np.zeros(number, dtype=np.bool_)
    chosen[np.random.default_rng([seed, 0]).permutation(number)[: number // 2]] = True
    return np.asarray(chosen[codes])


def _unit_codes(units: Sequence[object] | npt.ArrayLike, n: int) -> IntArray:
    names = [str(unit) for unit in np.asarray(units, dtype=object).ravel()]
    if len(names) != n:
        raise GroupgapError(f"Expected 'units' to have {n} values, one for each answer, but got {len(names)}")
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64).ravel()


def _clusters(units: Sequence[object] | npt.ArrayLike | None, rows: BoolArray) -> IntArray | None:
    """The documents of these answers, where any occurs more than once."""
    if units is None:
        return None
    codes = _unit_codes(units, len(rows))[rows]
    return codes if len(np.unique(codes)) < len(codes) else None


def _treat(fit: _Half, whole: _Half, groups: Sequence[str], min_group: int) -> tuple[IntArray, tuple[Pattern, ...]]:
    """The code by which each answer of the whole gets its threshold, and what that means for each pattern."""
    number = int(whole.codes.max()) + 1
    sizes = np.bincount(fit.codes, minlength=number)
    positives = np.bincount(fit.codes, weights=fit.positives, minlength=number).astype(np.int64)
    fine = (sizes >= min_group) & (np.minimum(positives, sizes - positives) >= MIN_CLASS)
    rest, rest_positives = int(sizes[~fine].sum()), int(positives[~fine].sum())
    shared = rest >= min_group and min(rest_positives, rest - rest_positives) >= MIN_CLASS
    if int(fine.sum()) + shared < 2:
        raise GroupgapError(
            f"Fewer than 2 groups (or combinations of them) have {min_group} samples with {MIN_CLASS} positives and "
            f"{MIN_CLASS} negatives in the half of {len(fit.labels)} that thresholds are fitted on: no gap to remove; "
            "lower min_group or answer more documents"
        )
    names = membership_patterns(whole.membership[np.unique(whole.codes, return_index=True)[1]], groups)
    treatments = np.where(fine, OWN, SHARED if shared else KEPT)
    patterns = tuple(
        Pattern(str(names[code]), int(sizes[code]), int(positives[code]), str(treatments[code]))
        for code in range(number)
    )
    return np.where(fine[whole.codes], whole.codes, SHARED_CODE if shared else SHARED_CODE - 1), patterns


def _fit(fit: _Half, codes: IntArray, constraint: str, objective: str) -> Any:
    """fairlearn's optimizer, fitted on the answers that have a threshold."""
    from fairlearn.postprocessing import ThresholdOptimizer

    rows = codes >= SHARED_CODE
    optimizer = ThresholdOptimizer(
        estimator=_scores_estimator(),
        constraints=constraint,
        objective=objective,
        prefit=True,
        predict_method="predict_proba",
    )
    return optimizer.fit(
        fit.scores[rows, None], fit.positives[rows].astype(np.int64), sensitive_features=codes[rows].astype(str)
    )


def _scores_estimator() -> Any:
    """An estimator, fitted already, whose only feature is the probability of the positive class."""
    from sklearn.base import BaseEstimator, ClassifierMixin  # type: ignore[import-untyped]

    class Scores(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        """Hands the probability through."""

        def __init__(self) -> None:
            self.classes_ = np.array([0, 1])

        def fit(self, x: Any, y: Any = None) -> Scores:
            """Nothing to fit."""
            return self

        def predict_proba(self, x: Any) -> FloatArray:
            """(n, 2) from the (n, 1) probabilities of class 1."""
            positive = np.asarray(x, dtype=np.float64)[:, 0]
            return np.stack([1 - positive, positive], axis=1)

    return Scores()


@dataclass(frozen=True, eq=False)
class _Decision:
    """The fitted decision on the judged half; the coin flips are given."""

    optimizer: Any
    judged: _Half
    codes: IntArray
    single: int

    def __call__(self, flips: int) -> IntArray:
        """(n,) class indices."""
        rows = self.codes >= SHARED_CODE
        decided = self.judged.predictions.copy()
        if rows.any():
            positive = self.optimizer.predict(
                self.judged.scores[rows, None],
                sensitive_features=self.codes[rows].astype(str),
                random_state=flips,
            )
            decided[rows] = np.where(np.asarray(positive) == 1, self.single, 1 - self.single)
        return decided


def _randomisation(others: list[Counts], single: int, min_group: int, gap: str) -> Randomisation | None:
    """What the other coin flips give, ``None`` where all decide alike."""
    if all(other == others[0] for other in others[1:]):
        return None
    right = [float(one.counts[one.labels == one.predictions].sum()) / one.n for one in others]
    gaps = [plan_gaps(one, single, min_group).gap(gap).value for one in others]
    defined = [value for value in gaps if value is not None]
    return Randomisation(len(others), _range(right), _range(defined) if len(defined) == len(gaps) else None)


def _range(values: list[float]) -> tuple[float, float, float]:
    return min(values), float(np.mean(values)), max(values)
