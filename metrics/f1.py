"""Macro F1: the mean over classes of each class's F1, for tasks of several classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .arguments import check_confidence, check_draws
from .bootstrap import Blocks, percentile_interval, resample
from .counts import Counts
from .estimate import Estimate

__all__ = ["confusion_matrix", "f1_of_classes", "macro_f1", "macro_f1_estimate", "macro_f1_value"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def confusion_matrix(counts: Counts) -> IntArray:
    """(C, C) samples by label (row) and prediction (column), members of a group or not."""
    size = len(counts.classes)
    matrix = np.zeros((size, size), dtype=np.int64)
    np.add.at(matrix, (counts.labels, counts.predictions), counts.counts)
    return matrix


def f1_of_classes(matrices: npt.ArrayLike) -> FloatArray:
    """F1 of every class, ``2 TP / (2 TP + FP + FN)``; NaN for a class that no label names.

    Args:
        matrices: (..., C, C) confusion matrices, labels in rows.

    Returns:
        (..., C).

    A class without labels has no recall, so it has no F1, even if it is predicted (its false positives count against
    the classes that they should have been). A class that is never predicted has F1 0. scikit-learn takes in all classes
    that are labels *or* predictions, so that one stray prediction of an absent class moves its macro F1, and two models
    on the same samples may be averaged over different classes.

    Example:
        >>> f1_of_classes([[2, 1, 0], [0, 3, 0], [0, 0, 0]]).round(3).tolist()
        [0.8, 0.857, nan]
    """
    array = np.asarray(matrices, dtype=np.float64)
    labels, predictions = array.sum(axis=-1), array.sum(axis=-2)
    hits = np.diagonal(array, axis1=-2, axis2=-1)
    return np.where(labels > 0, 2 * hits / np.where(labels > 0, labels + predictions, 1), np.nan)


def macro_f1_value(counts: Counts) -> float | None:
    """Macro F1 without an interval; ``None`` without samples."""
    return float(np.nanmean(f1_of_classes(confusion_matrix(counts)))) if counts.n else None


def macro_f1(counts: Counts, rng: np.random.Generator, draws: int = 10_000, confidence: float = 0.95) -> Estimate:
    """Mean F1 over the classes that occur among the labels.

    Args:
        counts: of one system.
        rng: the source of the bootstrap draws.
        draws: bootstrap draws; each is judged by the same rule, over the classes whose labels were drawn.
        confidence: of the percentile interval.

    Returns:
        The estimate. Where all draws agree (every answer is right) it has no interval: a width of 0 would be no
        certainty. ``n`` counts samples.

    Source: Opitz & Burst 2019 (arXiv 1911.03347), "averaged F1", the mean of the classes' F1 as in scikit-learn.

    Example:
        >>> from groupgap.metrics import count
        >>> answers = count([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1], ["a"] * 6, classes=["x", "y", "z"])
        >>> round(macro_f1(answers, np.random.default_rng(0), draws=100).value, 4)
        0.8286
    """
    check_draws(draws), check_confidence(confidence)
    matrix = confusion_matrix(counts).ravel()
    cells = np.flatnonzero(matrix)
    return macro_f1_estimate(counts, cells, draws, resample(matrix[cells], draws, rng) if counts.n else (), confidence)


def macro_f1_estimate(counts: Counts, cells: IntArray, draws: int, blocks: Blocks, confidence: float) -> Estimate:
    """:func:`macro_f1` from given draws.

    Args:
        counts: of one system.
        cells: (K,) which entry of the flattened confusion matrix each drawn number is of.
        draws: number of draws.
        blocks: drawn counts of these cells.
        confidence: of the percentile interval.
    """
    value = macro_f1_value(counts)
    if value is None:
        return Estimate(None, 0, "no samples")
    size = len(counts.classes)
    drawn = np.empty(draws)
    into = (cells == np.arange(size * size)[:, None]).astype(np.float64)
    for rows, block in blocks:
        matrices = (into @ block.T).reshape(size, size, -1)
        drawn[rows] = np.nanmean(f1_of_classes(matrices.transpose(2, 0, 1)), axis=-1)
    stderr = float(drawn.std(ddof=1)) if draws > 1 else None
    if not np.ptp(drawn):
        return Estimate(value, counts.n, stderr=stderr)
    low, high = percentile_interval(drawn, confidence)
    return Estimate(value, counts.n, None, stderr, low, high, "percentile bootstrap")
