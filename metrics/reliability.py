"""Reliability curves: confidences sorted into bins, and how often the answers in each bin are right."""

from __future__ import annotations

import numbers
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError

__all__ = ["BINNINGS", "Bin", "Binned", "ReliabilityCurve", "check_bins", "reliability_curve"]

EQUAL_WIDTH = "equal width"
EQUAL_MASS = "equal mass"
BINNINGS = (EQUAL_WIDTH, EQUAL_MASS)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability curve.

    Attributes:
        low: lower edge.
        high: upper edge.
        n: samples in the bin.
        confidence: their mean confidence, ``None`` in an empty bin.
        accuracy: the share of them that is right, ``None`` in an empty bin.
        gap: confidence minus accuracy (above 0: overconfident), ``None`` in an empty bin.
    """

    low: float
    high: float
    n: int
    confidence: float | None = None
    accuracy: float | None = None
    gap: float | None = None


@dataclass(frozen=True)
class ReliabilityCurve:
    """A reliability curve and its confidence histogram, as data.

    Attributes:
        binning: ``"equal width"`` or ``"equal mass"``.
        n: samples.
        bins: from low to high confidence, empty ones included.
    """

    binning: str
    n: int
    bins: tuple[Bin, ...]

    @property
    def histogram(self) -> tuple[int, ...]:
        """Samples in each bin."""
        return tuple(entry.n for entry in self.bins)


@dataclass(frozen=True, eq=False)
class Binned:
    """Sums over the samples of each bin; everything that an expected calibration error needs.

    Attributes:
        binning: one of ``BINNINGS``.
        edges: (B + 1,) bin edges.
        bin_of: (n,) bin of each sample.
        counts: (B,) samples.
        hits: (B,) samples that are right.
        confidences: (B,) sums of confidences.
    """

    binning: str
    edges: FloatArray
    bin_of: IntArray
    counts: IntArray
    hits: IntArray
    confidences: FloatArray

    @property
    def n(self) -> int:
        """All samples."""
        return int(self.counts.sum())

    @property
    def gaps(self) -> FloatArray:
        """(B,) what each bin adds to ``mean confidence - accuracy``: its gap times its share of the samples."""
        return np.asarray((self.confidences - self.hits) / self.n, dtype=np.float64)

    @property
    def error(self) -> float:
        """The expected calibration error, ``sum_b n_b / n |accuracy_b - confidence_b|``."""
        return float(np.abs(self.gaps).sum())

    def curve(self) -> ReliabilityCurve:
        """As frozen data."""
        bins = []
        for index, n in enumerate(self.counts.tolist()):
            edges = float(self.edges[index]), float(self.edges[index + 1])
            if n == 0:
                bins.append(Bin(*edges, 0))
                continue
            confidence, accuracy = float(self.confidences[index] / n), float(self.hits[index] / n)
            bins.append(Bin(*edges, n, confidence, accuracy, confidence - accuracy))
        return ReliabilityCurve(self.binning, self.n, tuple(bins))


def check_bins(bins: int) -> int:
    """Return the number of bins, or refuse one under 1."""
    if not isinstance(bins, numbers.Integral) or isinstance(bins, bool) or bins < 1:
        raise GroupgapError(f"Expected argument 'bins' to be an integer of at least 1, but got {bins!r}: give 15")
    return int(bins)


def sort_into_bins(confidences: FloatArray, correct: BoolArray, bins: int, binning: str) -> Binned:
    """Sort checked arrays into bins and sum over each.

    Equal width: [low, high), the last bin closed, as torchmetrics has it (which keeps a confidence of exactly 1 in a
    bin of its own). Equal mass: edges at the quantiles of the confidences, (low, high], as scikit-learn's
    ``calibration_curve`` has it; equal confidences stay together.
    """
    if binning == EQUAL_WIDTH:
        edges: FloatArray = np.linspace(0.0, 1.0, bins + 1)
        bin_of = np.minimum(np.searchsorted(edges, confidences, side="right") - 1, bins - 1)
    else:
        edges = np.percentile(confidences, np.linspace(0, 1, bins + 1) * 100).astype(np.float64)
        bin_of = np.searchsorted(edges[1:-1], confidences)
    bin_of = np.maximum(bin_of, 0)
    return Binned(
        binning,
        edges,
        bin_of.astype(np.int64),
        np.bincount(bin_of, minlength=bins).astype(np.int64),
        np.bincount(bin_of, weights=correct, minlength=bins).astype(np.int64),
        np.bincount(bin_of, weights=confidences, minlength=bins).astype(np.float64),
    )


def check_confidences(confidences: npt.ArrayLike, correct: npt.ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Return (n,) confidences in [0, 1] and (n,) whether each answer is right, or refuse them.

    Raises:
        GroupgapError: for other shapes, lengths that differ, no sample, NaN, values outside [0, 1], outcomes that are
            not 0 or 1.
    """
    try:
        values, outcomes = np.asarray(confidences, dtype=np.float64), np.asarray(correct)
    except (TypeError, ValueError) as error:
        raise GroupgapError(f"Expected 'confidences' to hold n numbers between 0 and 1, but got {error}") from error
    if values.ndim != 1 or outcomes.shape != values.shape:
        raise GroupgapError(
            "Expected 'confidences' and 'correct' to be two columns of one length, "
            f"but got shapes {values.shape} and {outcomes.shape}"
        )
    if len(values) == 0:
        raise GroupgapError("Expected 'confidences' to hold at least one sample, but got none")
    if np.isnan(values).any():
        raise GroupgapError("Expected 'confidences' to have no missing value, but got NaN: drop or answer them")
    if values.min() < 0 or values.max() > 1:
        raise GroupgapError(
            f"Expected 'confidences' to be between 0 and 1, but got {values.min():g} to {values.max():g}: "
            "turn log-probabilities into probabilities with exp, logits with softmax"
        )
    if outcomes.dtype.kind not in "biuf" or not np.isin(outcomes, (0, 1)).all():
        raise GroupgapError("Expected 'correct' to hold only True and False (or 1 and 0): pass predictions == labels")
    return values, outcomes.astype(np.bool_)


def check_binning(binning: str) -> str:
    """Return the kind of bins, or refuse an unknown one."""
    if binning not in BINNINGS:
        raise GroupgapError(f"Expected argument 'binning' to be one of {BINNINGS}, but got {binning!r}")
    return binning


def reliability_curve(
    confidences: npt.ArrayLike, correct: npt.ArrayLike, bins: int = 15, binning: str = EQUAL_WIDTH
) -> ReliabilityCurve:
    """The reliability curve of confidences against outcomes, with its histogram.

    Args:
        confidences: (n,) between 0 and 1.
        correct: (n,) bool (or 0 and 1), whether the answer is right; for the positive class, whether the label is
            positive.
        bins: number of bins.
        binning: ``"equal width"`` or ``"equal mass"``.

    Returns:
        Bins with counts, mean confidence, accuracy and gap.

    Raises:
        GroupgapError: for bad arrays or arguments.

    Source: Guo et al. 2017 (On Calibration of Modern Neural Networks), eq. 3; scikit-learn's ``calibration_curve``.

    Example:
        >>> curve = reliability_curve([0.9, 0.8, 0.6], [True, False, True], bins=2)
        >>> curve.histogram, round(curve.bins[1].gap, 4)
        ((0, 3), 0.1)
    """
    values, outcomes = check_confidences(confidences, correct)
    return sort_into_bins(values, outcomes, check_bins(bins), check_binning(binning)).curve()
