"""The expected calibration error with what a calibrated model would show, and an interval that covers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .arguments import check_confidence, check_draws, check_seed
from .estimate import Chance, Estimate
from .intervals import wilson
from .reliability import EQUAL_WIDTH, Binned, check_binning, check_bins, check_confidences, sort_into_bins

__all__ = ["INVERSION", "expected_calibration_error"]

INVERSION = "test inversion"

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
T = TypeVar("T")

_EXACT_DRAWS = 8_000_000  # samples times draws up to which each label is drawn by itself
_SLICES = 16  # slices of a bin beyond that
_FARTHEST = 12.0  # standard errors by which the search for the upper limit widens each bin's gap at most
_HALVINGS = 14
_CHANCE, _INTERVAL = 1, 2  # streams of random numbers, so that the draws of one do not move the other


@dataclass(frozen=True)
class Drawing:
    """How to draw: number of draws, seed, and the level of intervals.

    It keeps the last random numbers that depend on nothing but the number of samples, for the next set of as many.
    """

    draws: int
    seed: int
    confidence: float
    _kept: dict[int, tuple[int, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse arguments out of range."""
        check_draws(self.draws), check_seed(self.seed), check_confidence(self.confidence)

    def stream(self, purpose: int) -> np.random.Generator:
        """The random numbers for one purpose: the same for each group, whatever other groups there are."""
        return np.random.default_rng([self.seed, purpose])

    def shared(self, purpose: int, n: int, make: Callable[[np.random.Generator, int, int], T]) -> T:
        """What ``make`` draws for sets of ``n`` samples, from the stream for this purpose."""
        if purpose not in self._kept or self._kept[purpose][0] != n:
            self._kept[purpose] = n, make(self.stream(purpose), self.draws, n)
        made: T = self._kept[purpose][1]
        return made


def expected_calibration_error(
    confidences: npt.ArrayLike,
    correct: npt.ArrayLike,
    *,
    bins: int = 15,
    binning: str = EQUAL_WIDTH,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    r"""The expected calibration error, ``sum_b n_b / n |accuracy_b - confidence_b|``.

    Args:
        confidences: (n,) between 0 and 1: of the predicted class (top-label), or of the positive class.
        correct: (n,) bool (or 0 and 1), whether the prediction is right; for the positive class, whether the label is
            positive.
        bins: number of bins.
        binning: ``"equal width"`` or ``"equal mass"``.
        draws: of labels under calibration, and of the interval.
        seed: of the draws.
        confidence: of the interval.

    Returns:
        The error with its interval, its standard error, and under ``chance`` the error that a perfectly calibrated
        model with these confidences shows: median, 95th percentile, and the p-value of "this model is calibrated".

    The interval inverts a test. The error is biased upward by an amount that depends on how the true error is spread
    over the bins, so the interval holds each error ``t`` under which an error as high (as low) as the one seen has a
    probability above a quarter of ``1 - confidence``; under ``t`` the bins' gaps are the measured ones, each moved
    toward 0 (or away from it) by one number of its standard errors until they sum to ``t``. A quarter and not a half,
    since the gaps are themselves measured. The lower limit is 0 when calibration is not rejected, and the upper one
    never under the Wilson limit of ``|mean confidence - accuracy|``. Measured coverage:
    ``benchmarks/calibration_coverage.py``.

    Drawn under calibration: each label from its confidence (beyond 8 million label draws: binomially for 16 slices of
    each bin). Drawn for the interval: the bins' gaps, jointly normal with the covariance of a multinomial.

    Raises:
        GroupgapError: for bad arrays or arguments.

    Source: Naeini et al. 2015; Guo et al. 2017, eq. 3. Equal to torchmetrics' ``calibration_error`` (norm ``"l1"``)
    except at confidences of exactly 1, which torchmetrics keeps in a 16th bin.

    Example:
        >>> error = expected_calibration_error([0.9, 0.8, 0.6, 0.7] * 25, [True, True, False, True] * 25)
        >>> round(error.value, 4), error.chance.p_value < 0.05
        (0.3, True)
    """
    values, outcomes = check_confidences(confidences, correct)
    binned = sort_into_bins(values, outcomes, check_bins(bins), check_binning(binning))
    return calibration_error(values, binned, Drawing(draws, seed, confidence))


def calibration_error(confidences: FloatArray, binned: Binned, drawing: Drawing) -> Estimate:
    """The estimate from confidences that are sorted into bins already."""
    chance = chance_error(confidences, binned, drawing)
    model = GapModel.of(binned, drawing)
    tail = (1 - drawing.confidence) / 4
    low = 0.0 if chance.p_value > 1 - drawing.confidence else model.lower_limit(tail)
    high = max(model.upper_limit(tail), _signed_gap_limit(binned, drawing.confidence))
    stderr = float(model.errors(0.0).std())
    return Estimate(binned.error, binned.n, None, stderr, min(low, binned.error), high, INVERSION, chance=chance)


def _signed_gap_limit(binned: Binned, confidence: float) -> float:
    """Upper limit of |mean confidence - accuracy|, under which no expected calibration error can lie."""
    low, high = wilson(float(binned.hits.sum()), binned.n, confidence)
    mean = float(binned.confidences.sum()) / binned.n
    return float(max(mean - low, high - mean))


def chance_error(confidences: FloatArray, binned: Binned, drawing: Drawing) -> Chance:
    """The expected calibration error of a calibrated model with these confidences: labels are drawn from them."""
    bin_of, hits = _drawn_hits(confidences, binned, drawing)
    filled = np.unique(bin_of)
    drawn = (bin_of == filled[:, None]).astype(hits.dtype) @ hits
    errors = np.abs(binned.confidences[filled][:, None] - drawn).sum(axis=0) / binned.n
    as_high = int((errors >= binned.error - 1e-12).sum())
    median, p95 = np.quantile(errors, (0.5, 0.95))
    return Chance(float(median), float(p95), (1 + as_high) / (drawing.draws + 1), drawing.draws)


def _drawn_hits(
    confidences: FloatArray, binned: Binned, drawing: Drawing
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.floating]]:
    """Bins (S,) of samples, or of slices of them, and (S, draws) how many of their labels are drawn to be hits."""
    order = np.lexsort((confidences, binned.bin_of))
    values = confidences[order]
    if len(values) * drawing.draws <= _EXACT_DRAWS:
        drawn = _uniforms_above(values)[:, None] > drawing.shared(_CHANCE, len(values), _uniforms)
        return binned.bin_of[order], drawn.astype(np.float32)  # which counts so few samples exactly
    values, totals, bin_of = _slices(values, binned)
    return bin_of, drawing.stream(_CHANCE).binomial(totals, values, (drawing.draws, len(values))).T.astype(np.float64)


def _uniforms(random: np.random.Generator, draws: int, n: int) -> npt.NDArray[np.float32]:
    """(n, draws)."""
    return np.ascontiguousarray(random.random((draws, n), dtype=np.float32).T)


def _uniforms_above(values: FloatArray) -> npt.NDArray[np.float32]:
    """The smallest single-precision numbers that are not under the values: a uniform is under both or under neither."""
    rounded = values.astype(np.float32)
    return np.where(rounded < values, np.nextafter(rounded, np.float32(2)), rounded)


def _slices(values: FloatArray, binned: Binned) -> tuple[FloatArray, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Each bin cut into slices of neighbouring confidences: their mean, size and bin."""
    starts, bins = [], []
    offset = 0
    for index, count in enumerate(binned.counts.tolist()):
        pieces = min(count, _SLICES)
        starts += [offset + count * piece // pieces for piece in range(pieces)]
        bins += [index] * pieces
        offset += count
    totals = np.diff([*starts, offset])
    means = np.add.reduceat(values, starts) / totals
    return np.minimum(means, 1.0), totals.astype(np.int64), np.asarray(bins, dtype=np.int64)


@lru_cache(maxsize=4)
def _normals(drawing: Drawing, bins: int) -> FloatArray:
    """(bins, draws); the three errors of one set of samples have two or three numbers of filled bins."""
    return np.ascontiguousarray(drawing.stream(_INTERVAL).standard_normal((drawing.draws, bins)).T)


@dataclass(frozen=True, eq=False)
class GapModel:
    """The measured gaps of the filled bins as a jointly normal vector whose mean can be moved.

    Attributes:
        n: samples.
        gaps: (B,) confidence minus accuracy of each bin, times its share.
        shares: (B,) each bin's share of the samples.
        variances: (B,) variance of one outcome in each bin.
        noise: (B, draws) standard normal.
        observed: the measured error.
    """

    n: int
    gaps: FloatArray
    shares: FloatArray
    variances: FloatArray
    noise: FloatArray
    observed: float

    @classmethod
    def of(cls, binned: Binned, drawing: Drawing) -> GapModel:
        """The model of these bins; accuracies are pulled to the confidences by two samples: no variance is 0."""
        filled = binned.counts > 0
        counts, hits = binned.counts[filled], binned.hits[filled]
        means = np.clip(binned.confidences[filled] / counts, 0.001, 0.999)
        rates = (hits + 2 * means) / (counts + 2)
        noise = _normals(drawing, len(counts))
        return cls(binned.n, binned.gaps[filled], counts / binned.n, rates * (1 - rates), noise, binned.error)

    @cached_property
    def stderrs(self) -> FloatArray:
        """(B,) standard errors of the gaps."""
        return np.asarray(np.sqrt(self.shares * self.variances / self.n), dtype=np.float64)

    def moved(self, by: float) -> FloatArray:
        """The gaps, each moved toward 0 by so many of its standard errors, but not across it."""
        return np.asarray(np.copysign(np.maximum(np.abs(self.gaps) - by * self.stderrs, 0.0), self.gaps))

    def errors(self, by: float) -> FloatArray:
        """(draws,) measured errors if the moved gaps were true.

        The covariance of the gaps of a multinomial sample is D - m m' (m the means, D the second moments, over n); its
        root is sqrt(D) (I - c v v') with v = m / sqrt(D) and c such that 2 c - c^2 |v|^2 = 1.
        """
        means = self.moved(by)
        moments = self.shares * self.variances + means**2 / self.shares
        direction = means / np.sqrt(moments)
        length = float(direction @ direction)
        factor = (1 - np.sqrt(max(1 - length, 0.0))) / length if length > 1e-12 else 0.5
        root = np.sqrt(moments / self.n)
        along = np.einsum("b,bd->d", direction, self.noise)  # small products: a BLAS would start threads for each
        drawn = self.noise * root[:, None]
        drawn -= np.multiply.outer(factor * direction * root, along)
        drawn += means[:, None]
        return np.asarray(np.abs(drawn, out=drawn).sum(axis=0), dtype=np.float64)

    @property
    def farthest(self) -> float:
        """How far the gaps move until all are 0."""
        return float((np.abs(self.gaps) / self.stderrs).max())

    def lower_limit(self, tail: float) -> float:
        """The smallest true error under which one as high as the observed one is not in a tail."""
        as_high = self.observed - 1e-12
        return self._edge(self.farthest, -1.0, lambda by: self._share(self.errors(by) >= as_high) <= tail)

    def upper_limit(self, tail: float) -> float:
        """The largest true error under which one as low as the observed one is not in a tail."""
        as_low = self.observed + 1e-12
        return self._edge(-_FARTHEST, self.farthest, lambda by: self._share(self.errors(by) <= as_low) <= tail)

    def _share(self, extreme: BoolArray) -> float:
        """A Monte Carlo p-value."""
        return float((1 + np.count_nonzero(extreme)) / (len(extreme) + 1))

    def _edge(self, outside: float, inside: float, rejected: Callable[[float], bool]) -> float:
        """The error at the edge between a rejected and an accepted move, by bisection."""
        if not rejected(outside):
            return 0.0 if outside > inside else float(np.abs(self.moved(outside)).sum())
        for _ in range(_HALVINGS):
            middle = (outside + inside) / 2
            outside, inside = (middle, inside) if rejected(middle) else (outside, middle)
        return float(np.abs(self.moved(outside)).sum())
