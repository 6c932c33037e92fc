"""Do the probabilities mean what they say? Calibration of class probabilities, overall and in each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from .arguments import check_min_group, check_positive
from .calibration_error import Drawing, calibration_error
from .coding import class_codes, group_codes
from .counts import check_names
from .estimate import Estimate
from .intervals import two_sided_z
from .reliability import EQUAL_MASS, EQUAL_WIDTH, ReliabilityCurve, check_bins, sort_into_bins
from .smoothed_bootstrap import Resampled

__all__ = ["Calibration", "CalibrationReport", "Scores", "calibrate_all", "calibration"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

_SUM_TOLERANCE = 1e-3  # probabilities of half precision sum to 1 only so well
_RESAMPLED = 2_000_000  # samples times draws up to which samples are drawn one by one
_FLOOR = 1e-12  # probability of a label that is drawn anew where the model gave it less
_MEANS = 3  # stream of random numbers of the three means
_SCORES = ("brier", "nll", "signed_gap")


@dataclass(frozen=True)
class Calibration:
    """How well probabilities fit outcomes, over one set of samples.

    Attributes:
        n: samples.
        ece: top-label expected calibration error, equal-width bins.
        ece_equal_mass: top-label, bins of equally many samples.
        ece_positive: of the probability of the positive class, equal-width bins; undefined without a single positive
            class.
        brier: mean squared error of the probabilities, scikit-learn's definition: of the positive class (0 to 1) with
            two classes, summed over the classes (0 to 2) with more.
        nll: mean negative log-likelihood of the labels, in nats; undefined where a label has probability 0.
        signed_gap: mean confidence minus accuracy; above 0 is overconfident.
        curve: reliability curve and histogram of the top-label confidences, equal-width bins; ``None`` under the size
            floor.
        curve_equal_mass: the same, equal-mass bins.
        curve_positive: of the probability of the positive class.
    """

    n: int
    ece: Estimate
    ece_equal_mass: Estimate
    ece_positive: Estimate
    brier: Estimate
    nll: Estimate
    signed_gap: Estimate
    curve: ReliabilityCurve | None = None
    curve_equal_mass: ReliabilityCurve | None = None
    curve_positive: ReliabilityCurve | None = None


@dataclass(frozen=True)
class CalibrationReport:
    """Calibration over all samples and in each group.

    Attributes:
        overall: over all samples, members of a group or not.
        groups: by group name, in the order given; under ``min_group`` members every estimate is undefined.
        bins: number of bins.
        min_group: the smallest group that is measured.
        draws: draws of each interval and chance level.
        seed: of the draws.
        positive: name of the positive class.
    """

    overall: Calibration
    groups: dict[str, Calibration] = field(default_factory=dict)
    bins: int = 15
    min_group: int = 30
    draws: int = 0
    seed: int = 0
    positive: str | None = None


@dataclass(frozen=True, eq=False)
class Scores:
    """Class probabilities of one system, and the labels and memberships of its samples, as for :func:`calibration`."""

    probabilities: npt.ArrayLike
    labels: npt.ArrayLike
    membership: npt.ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class _Checked:
    """Checked probabilities (n, C), labels (n,), names of the classes, and the (n,) members of each group."""

    probabilities: FloatArray
    labels: IntArray
    classes: tuple[str, ...]
    members: dict[str, BoolArray]

    def size(self, group: str | None) -> int:
        """Samples of a group, ``None`` for all."""
        return len(self.labels) if group is None else int(self.members[group].sum())


@dataclass(frozen=True, eq=False)
class _Scored:
    """Checked probabilities (n, C) and labels (n,), and how to judge them."""

    probabilities: FloatArray
    labels: IntArray
    positive: int | None
    bins: int
    drawing: Drawing

    def of(self, rows: BoolArray) -> _Scored:
        """Some of the samples."""
        return _Scored(self.probabilities[rows], self.labels[rows], self.positive, self.bins, self.drawing)


def calibration(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    membership: npt.ArrayLike | None = None,
    groups: Sequence[str] | None = None,
    *,
    classes: Sequence[str] | None = None,
    positive: int | None = None,
    bins: int = 15,
    min_group: int = 30,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> CalibrationReport:
    """Judge class probabilities against labels: ECE of three kinds, Brier score, NLL, signed gap, reliability curves.

    Args:
        probabilities: (n, C), rows that sum to 1; the prediction is the largest, the first one on ties.
        labels: (n,) class indices, or class names with ``classes``.
        membership: (n, G) bool, groups may overlap; or (n,) group names; ``None`` for no groups.
        groups: the G names; needed for a matrix.
        classes: the C class names in the order of the columns.
        positive: index of the positive class; with ``None``, or more than two classes, ``ece_positive`` is undefined.
        bins: number of bins.
        min_group: smallest group that is measured.
        draws: draws of each interval and chance level.
        seed: of the draws; the same seed gives the same result, whatever the order of the rows.
        confidence: of the intervals.

    Returns:
        Estimates with intervals, each expected calibration error beside that of a perfectly calibrated model.

    Intervals. Expected calibration errors: see :func:`groupgap.metrics.expected_calibration_error`. Brier, NLL and
    signed gap: a smoothed bootstrap of the samples. Each drawn label is, with probability 2 / (n + 2), drawn anew from
    the mean of the model's probabilities and the uniform ones, so that a sample without an error does not prove that
    there are none; the tails are narrowed by n / (n + 30), which simulations of small n ask for. Beyond 2 million
    draws of a sample: the normal interval of a mean.

    Raises:
        GroupgapError: for shapes or lengths that differ, no sample, NaN, rows that do not sum to 1, unknown labels or
            groups.

    Source: Guo et al. 2017; Brier 1950; scikit-learn's ``brier_score_loss`` and ``log_loss``.

    Example:
        >>> report = calibration([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]] * 10, [1, 1, 0, 0] * 10, positive=1)
        >>> round(report.overall.brier.value, 4), round(report.overall.signed_gap.value, 4)
        (0.125, 0.0)
    """
    (found,) = calibrate_all(
        [Scores(probabilities, labels, membership)],
        groups,
        classes=classes,
        positive=positive,
        bins=bins,
        min_group=min_group,
        draws=draws,
        seed=seed,
        confidence=confidence,
    )
    return found


def calibrate_all(
    systems: Sequence[Scores],
    groups: Sequence[str] | None = None,
    *,
    classes: Sequence[str] | None = None,
    positive: int | None = None,
    bins: int = 15,
    min_group: int = 30,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> tuple[CalibrationReport, ...]:
    """Judge the probabilities of several systems, each as :func:`calibration` does, with the same result.

    Random numbers depend on nothing but the number of samples, so that sets of equally many share them: all samples,
    and each group, of systems that answered the same.
    """
    drawing, floor = Drawing(draws, seed, confidence), check_min_group(min_group)
    checked = [_checked(one, groups, classes) for one in systems]
    scored = [
        _Scored(one.probabilities, one.labels, check_positive(positive, one.classes), check_bins(bins), drawing)
        for one in checked
    ]
    sets = [(place, name) for place, one in enumerate(checked) for name in (None, *one.members)]
    found: list[dict[str | None, Calibration]] = [{} for _ in systems]
    for place, name in sorted(sets, key=lambda one: checked[one[0]].size(one[1])):
        whole, members = scored[place], checked[place].members
        found[place][name] = _judge(whole) if name is None else _judge_group(whole.of(members[name]), floor)
    return tuple(
        CalibrationReport(
            overall=of_sets[None],
            groups={name: of_sets[name] for name in one.members},
            bins=bins,
            min_group=floor,
            draws=draws,
            seed=seed,
            positive=None if judged.positive is None else one.classes[judged.positive],
        )
        for of_sets, one, judged in zip(found, checked, scored, strict=True)
    )


def _checked(scores: Scores, groups: Sequence[str] | None, classes: Sequence[str] | None) -> _Checked:
    """The arrays of one system, or why they cannot be judged."""
    matrix = _check_probabilities(scores.probabilities)
    coded, names = _check_labels(scores.labels, matrix, classes)
    if scores.membership is None:
        return _Checked(matrix, coded, names, {})
    code, patterns, group_names = group_codes(scores.membership, groups, len(coded))
    members = {name: patterns[code, column] for column, name in enumerate(check_names("groups", group_names))}
    return _Checked(matrix, coded, names, members)


def _check_probabilities(probabilities: npt.ArrayLike) -> FloatArray:
    """(n, C) probabilities, refused unless each row is a distribution."""
    try:
        matrix = np.asarray(probabilities, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise GroupgapError(f"Expected 'probabilities' to be (n, C) numbers, but got {error}") from error
    if matrix.ndim != 2 or (len(matrix) and matrix.shape[1] < 2):
        raise GroupgapError(
            f"Expected 'probabilities' to be (n, C), a column for each of 2 or more classes, but got {matrix.shape}: "
            "for the probability p of one class pass np.stack([1 - p, p], axis=1)"
        )
    if len(matrix) == 0:
        raise GroupgapError("Expected 'probabilities' to hold at least one sample, but got none")
    if np.isnan(matrix).any():
        rows = int(np.isnan(matrix).any(axis=1).sum())
        raise GroupgapError(
            f"Expected 'probabilities' to have no missing value, but got NaN in {rows} rows: drop or answer them"
        )
    if matrix.min() < 0 or matrix.max() > 1 + _SUM_TOLERANCE:
        raise GroupgapError(
            f"Expected 'probabilities' to be between 0 and 1, but got {matrix.min():g} to {matrix.max():g}: "
            "turn log-probabilities or logits into probabilities with softmax"
        )
    sums = matrix.sum(axis=1)
    worst = int(np.argmax(np.abs(sums - 1)))
    if abs(sums[worst] - 1) > _SUM_TOLERANCE:
        raise GroupgapError(
            f"Expected each row of 'probabilities' to sum to 1, but row {worst} sums to {sums[worst]:g}: "
            "divide each row by its sum, or pass the probabilities of all classes"
        )
    return np.minimum(matrix, 1.0)


def _check_labels(
    labels: npt.ArrayLike, matrix: FloatArray, classes: Sequence[str] | None
) -> tuple[IntArray, tuple[str, ...]]:
    """Class indices and names of the classes, as many as the matrix has columns."""
    columns = matrix.shape[1]
    names = tuple(str(index) for index in range(columns)) if classes is None else check_names("classes", classes)
    if len(names) != columns:
        raise GroupgapError(
            f"Expected argument 'classes' to name the {columns} columns of 'probabilities', but got {len(names)}"
        )
    (coded,), names = class_codes({"labels": labels}, names)
    if len(coded) != len(matrix):
        raise GroupgapError(
            f"Expected 'labels' and 'probabilities' to have one length, but got {len(coded)} and {len(matrix)}"
        )
    return coded, names


def _judge_group(scored: _Scored, floor: int) -> Calibration:
    """The calibration of a group, undefined under the size floor."""
    n = len(scored.labels)
    if n >= floor:
        return _judge(scored)
    missing = Estimate(None, n, f"fewer than {floor} members" if n else "no members")
    return Calibration(n, missing, missing, missing, missing, missing, missing)


def _judge(scored: _Scored) -> Calibration:
    """All estimates over one set of samples."""
    predictions = scored.probabilities.argmax(axis=1)
    confidences, correct = scored.probabilities.max(axis=1), predictions == scored.labels
    wide, mass = (sort_into_bins(confidences, correct, scored.bins, binning) for binning in (EQUAL_WIDTH, EQUAL_MASS))
    positive, curve_positive = Estimate(None, len(correct), "no single positive class"), None
    if scored.positive is not None:
        scores = scored.probabilities[:, scored.positive]
        binned = sort_into_bins(scores, scored.labels == scored.positive, scored.bins, EQUAL_WIDTH)
        positive, curve_positive = calibration_error(scores, binned, scored.drawing), binned.curve()
    return Calibration(
        len(correct),
        calibration_error(confidences, wide, scored.drawing),
        calibration_error(confidences, mass, scored.drawing),
        positive,
        **_means(scored),
        curve=wide.curve(),
        curve_equal_mass=mass.curve(),
        curve_positive=curve_positive,
    )


def _tables(probabilities: FloatArray) -> dict[str, FloatArray]:
    """For each score its (n, C) value for each label that a sample could have."""
    size = probabilities.shape[1]
    squares = (probabilities**2).sum(axis=1, keepdims=True) - 2 * probabilities + 1
    right = np.arange(size) == probabilities.argmax(axis=1)[:, None]
    with np.errstate(divide="ignore"):
        nll = -np.log(probabilities)
    brier = (1 - probabilities) ** 2 if size == 2 else squares
    return {"brier": brier, "nll": nll, "signed_gap": probabilities.max(axis=1, keepdims=True) - right}


def _means(scored: _Scored) -> dict[str, Estimate]:
    """Brier score, NLL and signed gap with their intervals."""
    n, draws = len(scored.labels), scored.drawing.draws
    order = np.lexsort((scored.labels, *scored.probabilities.T))  # so that the order of the rows does not matter
    probabilities, labels = scored.probabilities[order], scored.labels[order]
    tables = _tables(probabilities)
    seen = {name: table[np.arange(n), labels] for name, table in tables.items()}
    tables["nll"] = np.minimum(tables["nll"], -np.log(_FLOOR)) if np.isfinite(seen["nll"]).all() else tables["nll"]
    means: dict[str, FloatArray] = {}
    if n * draws <= _RESAMPLED:
        drawn = scored.drawing.shared(_MEANS, n, Resampled.draw)
        new_labels = drawn.new_labels(probabilities)
        finite = [name for name in _SCORES if np.isfinite(seen[name]).all()]
        means = {name: drawn.means(tables[name], seen[name], new_labels) for name in finite}
    found = {}
    for name in _SCORES:
        impossible = int(np.isinf(seen[name]).sum())
        if impossible:
            found[name] = Estimate(None, n, f"infinite: {impossible} labels have probability 0")
            continue
        found[name] = _mean(seen[name], means.get(name), scored.drawing.confidence)
    return found


def _mean(values: FloatArray, drawn: FloatArray | None, confidence: float) -> Estimate:
    """A mean with the interval of its draws, or the normal one where there are none."""
    n, mean = len(values), float(values.mean())
    if drawn is None:
        spread = float(values.std(ddof=1) / np.sqrt(n))
        half = two_sided_z(confidence) * spread
        return Estimate(mean, n, None, spread, mean - half, mean + half, "normal")
    tail = (1 - confidence) / 2 * n / (n + 30)
    low, high = np.quantile(drawn, (tail, 1 - tail))
    stderr = float(drawn.std(ddof=1)) if len(drawn) > 1 else None
    return Estimate(mean, n, None, stderr, float(min(low, mean)), float(max(high, mean)), "smoothed bootstrap")
