"""A hand-over to fairlearn: groupgap's answers as a ``MetricFrame``, for fairlearn's own tables and plots."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import GroupgapError
from .arguments import check_positive
from .coding import class_codes, group_codes
from .counts import check_names

if TYPE_CHECKING:
    from fairlearn.metrics import MetricFrame

__all__ = ["TidyAnswers", "membership_patterns", "metric_frame", "to_fairlearn"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Metric = Callable[[Any, Any], float]

NO_GROUP = "(no group)"
BY = ("group", "pattern")


class TidyAnswers(Protocol):
    """The answers of one system on one axis: any object with these attributes, e.g. of ``groupgap.leaderboards``."""

    @property
    def labels(self) -> IntArray:
        """(n,) class index."""

    @property
    def predictions(self) -> IntArray:
        """(n,) class index."""

    @property
    def membership(self) -> BoolArray:
        """(n, G) bool; groups may overlap, a row may be empty."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The G group names."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The C class names."""

    @property
    def probabilities(self) -> FloatArray | None:
        """(n, C) class probabilities, where the system gave any."""


def membership_patterns(membership: BoolArray, groups: Sequence[str]) -> npt.NDArray[np.object_]:
    """The distinct combinations of groups as names: ``"a"``, ``"a & b"``, ``"(no group)"``.

    Args:
        membership: (n, G) bool.
        groups: the G names.

    Returns:
        (n,) strings.

    Example:
        >>> list(membership_patterns(np.array([[True, False], [True, True], [False, False]]), ["a", "b"]))
        ['a', 'a & b', '(no group)']
    """
    code, patterns, names = group_codes(np.asarray(membership), groups, len(membership))
    texts = [" & ".join(names[index] for index in np.flatnonzero(row)) or NO_GROUP for row in patterns]
    return np.array(texts, dtype=object)[code] if len(texts) else np.zeros(0, dtype=object)


def to_fairlearn(
    answers: TidyAnswers,
    *,
    positive: int | None = None,
    by: str = "group",
    metrics: Mapping[str, Metric] | None = None,
) -> MetricFrame:
    """Hand the answers of one system on one axis to fairlearn.

    Args:
        answers: labels, predictions, membership, groups and classes; ``positive`` and ``axis`` are read where they are
            there.
        positive: index of the positive class; by default the answers' own.
        by: as for :func:`metric_frame`.
        metrics: as for :func:`metric_frame`.

    Returns:
        ``fairlearn.metrics.MetricFrame``.

    Raises:
        GroupgapError: as for :func:`metric_frame`.
    """
    return metric_frame(
        answers.labels,
        answers.predictions,
        answers.membership,
        answers.groups,
        classes=answers.classes,
        positive=positive if positive is not None else getattr(answers, "positive", None),
        by=by,
        metrics=metrics,
        axis=str(getattr(answers, "axis", "group")),
    )


def metric_frame(
    labels: npt.ArrayLike,
    predictions: npt.ArrayLike,
    membership: npt.ArrayLike,
    groups: Sequence[str] | None = None,
    *,
    classes: Sequence[str] | None = None,
    positive: int | None = None,
    by: str = "group",
    metrics: Mapping[str, Metric] | None = None,
    axis: str = "group",
) -> MetricFrame:
    """A ``fairlearn.metrics.MetricFrame`` of labels, predictions and a disjoint axis.

    Args:
        labels: (n,) class indices or names.
        predictions: (n,) of the same type.
        membership: (n,) group names, or (n, G) bool of which no row holds two groups (with ``by="pattern"``: any
            rows).
        groups: the G names; needed for a matrix.
        classes: class names in the order of their index.
        positive: index of the positive class; with ``None``, or more than two classes, there are only count and
            accuracy.
        by: ``"group"``, or ``"pattern"``: each combination of groups that occurs is a value of its own.
        metrics: name to ``metric(y_true, y_pred)``; by default count, accuracy and, with a positive class, selection
            rate, true and false positive rate. ``y_true`` and ``y_pred`` are 1 for the positive class and 0 for the
            rest; class indices without one.
        axis: name of the sensitive feature.

    Returns:
        The frame. Samples of no group are left out with a warning (``by="group"``): fairlearn would take them for a
        group.

    A rate without a denominator is NaN here, so that fairlearn's differences pass it over; fairlearn's own
    ``true_positive_rate`` says 0.0 there. fairlearn has no floor for small groups, and its bootstrap interval of a
    difference does not cover: :func:`groupgap.metrics.judge` has both.

    Raises:
        GroupgapError: for overlapping groups, no sample in any group, or bad arrays.

    Example:
        >>> frame = metric_frame([1, 0, 1, 0], [1, 0, 0, 0], ["a", "a", "b", "b"], positive=1)
        >>> float(frame.difference()["true_positive_rate"])
        1.0
    """
    from fairlearn.metrics import MetricFrame

    if by not in BY:
        raise GroupgapError(f"Expected argument 'by' to be one of {BY}, but got {by!r}")
    (label, prediction), names = class_codes({"labels": labels, "predictions": predictions}, classes)
    code, patterns, group_names = group_codes(membership, groups, len(label))
    matrix = patterns[code] if len(code) else np.zeros((0, len(group_names)), dtype=np.bool_)
    if by == "group":
        check_disjoint(matrix, check_names("groups", group_names))
    feature = membership_patterns(matrix, group_names)
    kept = _kept(matrix, by)
    single = check_positive(positive, names)
    if single is not None:
        label, prediction = (label == single).astype(np.int64), (prediction == single).astype(np.int64)
    return MetricFrame(
        metrics=dict(metrics) if metrics is not None else default_metrics(single is not None),
        y_true=label[kept],
        y_pred=prediction[kept],
        sensitive_features=pd.Series(feature[kept], name=axis),
    )


def _kept(matrix: BoolArray, by: str) -> BoolArray:
    """Which samples fairlearn gets; it warns of those that it does not."""
    kept: BoolArray = np.any(matrix, axis=1) if by == "group" else np.ones(len(matrix), dtype=np.bool_)
    if not kept.any():
        raise GroupgapError("Expected at least one sample in a group, but got none: nothing to hand to fairlearn")
    left_out = int((~kept).sum())
    if left_out:
        words = (
            f"{left_out} of {len(kept)} samples belong to no group and are left out of the frame, of its 'overall' too"
        )
        warnings.warn(words, UserWarning, stacklevel=3)
    return kept


def check_disjoint(membership: BoolArray, groups: Sequence[str]) -> None:
    """Refuse groups that overlap, and say which.

    Raises:
        GroupgapError: naming the pairs that share most samples.
    """
    members = membership.astype(np.float64)
    shared = np.triu(members.T @ members, k=1)
    if not shared.any():
        return
    rows, columns = np.nonzero(shared)
    order = np.argsort(-shared[rows, columns], kind="stable")[:3]
    pairs = [
        f"{groups[rows[i]]} and {groups[columns[i]]} share {int(shared[rows[i], columns[i]])} samples" for i in order
    ]
    more = f", and {len(rows) - len(order)} more pairs" if len(rows) > len(order) else ""
    raise GroupgapError(
        f"fairlearn needs groups that do not overlap, but {'; '.join(pairs)}{more}: "
        "pass by='pattern', where each combination of groups is a group of its own, or use judge(): it allows overlap"
    )


def default_metrics(with_positive: bool) -> dict[str, Metric]:
    """Count and accuracy, and the rates of the positive class."""
    found: dict[str, Metric] = {"count": _count, "accuracy": _accuracy}
    if with_positive:
        found |= {
            "selection_rate": _selection_rate,
            "true_positive_rate": _true_positive_rate,
            "false_positive_rate": _false_positive_rate,
        }
    return found


def _count(y_true: IntArray, y_pred: IntArray) -> float:
    return float(len(y_true))


def _accuracy(y_true: IntArray, y_pred: IntArray) -> float:
    return _share(np.asarray(y_true) == np.asarray(y_pred))


def _selection_rate(y_true: IntArray, y_pred: IntArray) -> float:
    return _share(np.asarray(y_pred) == 1)


def _true_positive_rate(y_true: IntArray, y_pred: IntArray) -> float:
    return _share(np.asarray(y_pred)[np.asarray(y_true) == 1] == 1)


def _false_positive_rate(y_true: IntArray, y_pred: IntArray) -> float:
    return _share(np.asarray(y_pred)[np.asarray(y_true) == 0] == 1)


def _share(hits: BoolArray) -> float:
    """Share of hits, NaN of nothing."""
    return float(hits.mean()) if len(hits) else float("nan")
