"""Likelihood-ratio membership scores (LiRA): how much more at home an example is in the target than in its shadows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from ..errors import GroupgapError

__all__ = ["CENTRES", "MODES", "VARIANCES", "LiraOptions", "lira_scores", "logit_confidence"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MODES = ("online", "offline", "offline-density")
VARIANCES = ("example", "residual", "pooled")
CENTRES = ("median", "mean")
FEW_SHADOWS = 64  # below it a variance of each example's own is too noisy (Carlini et al. 2022, section VI)
_TINY = 1e-30  # added to a standard deviation, as the reference code does


def logit_confidence(logits: npt.ArrayLike, labels: npt.ArrayLike) -> FloatArray:
    """The logit of the true class's probability, ``log p_y - log(1 - p_y)``, without ever forming a probability.

    Args:
        logits: (..., C) logits or log-probabilities, C >= 2; ``-inf`` is allowed for a class that cannot be.
        labels: (...) class indices.

    Returns:
        (...) float64.

    Raises:
        GroupgapError: fewer than two classes, shapes that do not fit, a NaN or ``+inf``.

    Source: Carlini et al. 2022 (arXiv 2112.03570), equation 6.

    Example:
        >>> logit_confidence([[40.0, 0.0], [0.0, 0.0]], [0, 1]).tolist()
        [40.0, 0.0]
    """
    values, index = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if values.ndim < 1 or values.shape[-1] < 2 or values.shape[:-1] != index.shape:
        raise GroupgapError(
            f"Expected logits of shape (..., classes) with 2 classes or more and labels of shape (...), but got "
            f"{values.shape} and {index.shape}"
        )
    if np.isnan(values).any() or np.isposinf(values).any():
        raise GroupgapError("Expected logits that are finite or -inf, but got NaN or +inf: the model is broken")
    if index.size and (index.min() < 0 or index.max() >= values.shape[-1]):
        raise GroupgapError(f"Expected labels from 0 to {values.shape[-1] - 1}, got {index.min()} to {index.max()}")
    own = np.take_along_axis(values, index[..., None], axis=-1)[..., 0]
    others = values.copy()
    np.put_along_axis(others, index[..., None], -np.inf, axis=-1)
    return np.asarray(own - special.logsumexp(others, axis=-1), dtype=np.float64)


@dataclass(frozen=True)
class LiraOptions:
    """Which reading of LiRA.

    Attributes:
        mode: ``"online"``: log-likelihood ratio of IN against OUT shadows. ``"offline"``: one-sided, how far above the
            OUT shadows (the paper's equation). ``"offline-density"``: minus the log-density under OUT (two-sided, the
            paper's released code).
        variance: ``"example"``: of each example's own shadow scores. ``"residual"``: one for all examples, of what is
            left around each example's centre, IN and OUT apart. ``"pooled"``: one of all IN scores, spread between
            examples included, for IN and OUT alike (of all OUT scores offline); the released code's "fixed variance".
            ``None``: residual below 64 shadows, example from there on.
        centre: ``"median"`` or ``"mean"`` over shadows.
    """

    mode: str = "online"
    variance: str | None = None
    centre: str = "median"

    def __post_init__(self) -> None:
        """Refuse a word that means nothing."""
        for name, value, allowed in (
            ("mode", self.mode, MODES),
            ("variance", self.variance, (*VARIANCES, None)),
            ("centre", self.centre, CENTRES),
        ):
            if value not in allowed:
                shown = ", ".join(str(one) for one in allowed if one)
                raise GroupgapError(f"Expected argument {name!r} to be one of {shown}, but got {value!r}")

    def variance_for(self, shadows: int) -> str:
        """The variance that is used with so many shadows."""
        return self.variance or ("residual" if shadows < FEW_SHADOWS else "example")


def lira_scores(
    target: npt.ArrayLike, shadows: npt.ArrayLike, inside: npt.ArrayLike, options: LiraOptions | None = None
) -> FloatArray:
    """Membership scores: the larger, the more the target seems to have been trained on the example.

    Args:
        target: (n,) or (n, K) scores of the target (:func:`logit_confidence`), K augmentations of each example.
        shadows: (S, n) or (S, n, K) scores of the S shadows.
        inside: (S, n) bool, whether a shadow was trained on an example. Offline reads only the shadows outside.
        options: which reading.

    Returns:
        (n,) float64. Online: the log-likelihood ratio, averaged over augmentations. Offline: the standard score
        ``(target - centre) / deviation``, averaged over augmentations; the paper's ``1 - Pr[Z > score]`` is its normal
        distribution function, which ranks the same and saturates at 1. Offline-density: minus the log-density.

    Raises:
        GroupgapError: shapes that do not fit, values that are not finite, an example with fewer than 2 shadows on a
            side that is needed.

    Source: Carlini et al. 2022 (arXiv 2112.03570), algorithm 1 and section V-C. ``residual`` is
    ``tensorflow_privacy``'s ``compute_score_lira(fix_variance=True)``.

    Example:
        >>> shadows = [[0.0, 5.0], [1.0, 6.0], [2.0, 7.0], [3.0, 8.0]]
        >>> outside = [[False, False]] * 4
        >>> lira_scores([1.5, 9.0], shadows, outside, LiraOptions("offline")).round(3).tolist()
        [0.0, 2.236]
    """
    options = options or LiraOptions()
    values, table, mask = _checked(target, shadows, inside)
    kind = options.variance_for(len(table))
    out = _Side(table, ~mask, options.centre, "outside")
    if options.mode == "online":
        into = _Side(table, mask, options.centre, "inside")
        pooled = into.pooled() if kind == "pooled" else None
        ratio = _log_density(values, into, kind, pooled) - _log_density(values, out, kind, pooled)
        return np.asarray(ratio.mean(axis=1), dtype=np.float64)
    deviation = out.pooled() if kind == "pooled" else out.deviation(kind)
    if options.mode == "offline":
        return np.asarray(((values - out.centres) / (deviation + _TINY)).mean(axis=1), dtype=np.float64)
    return np.asarray(-stats.norm.logpdf(values, out.centres, deviation + _TINY).mean(axis=1), dtype=np.float64)


def _log_density(values: FloatArray, side: _Side, kind: str, pooled: FloatArray | None) -> FloatArray:
    deviation = side.deviation(kind) if pooled is None else pooled
    return np.asarray(stats.norm.logpdf(values, side.centres, deviation + _TINY), dtype=np.float64)


class _Side:
    """The shadows inside, or those outside: centre and spread of each example's scores, (n, K)."""

    def __init__(self, table: FloatArray, mask: BoolArray, centre: str, name: str) -> None:
        self.counts = mask.sum(axis=0)
        if (self.counts < 2).any():
            raise GroupgapError(
                f"{int((self.counts < 2).sum()):,} of {len(self.counts):,} examples have fewer than 2 shadows {name} "
                "their training rows: train more shadows, or choose the offline attack where none is inside"
            )
        # the scores of this side first, ascending; the others as +inf behind them
        self._sorted = np.sort(np.where(mask[:, :, None], table, np.inf), axis=0)
        self._used = np.arange(len(table))[:, None, None] < self.counts[None, :, None]
        self.centres = self._median() if centre == "median" else self._mean()
        self._residuals = np.where(self._used, self._sorted - self.centres, 0.0)

    def _median(self) -> FloatArray:
        low, high = (
            np.take_along_axis(self._sorted, place[None, :, None], axis=0)[0]
            for place in ((self.counts - 1) // 2, self.counts // 2)
        )
        return np.asarray((low + high) / 2, dtype=np.float64)

    def _mean(self) -> FloatArray:
        total = np.where(self._used, self._sorted, 0.0).sum(axis=0)
        return np.asarray(total / self.counts[:, None], dtype=np.float64)

    def deviation(self, kind: str) -> FloatArray:
        """``example``: (n, K) around each example's mean; ``residual``: one number around the centres' residuals."""
        if kind == "residual":
            return np.asarray(np.std(self._residuals[np.broadcast_to(self._used, self._residuals.shape)]))
        around = np.where(self._used, self._sorted - self._mean(), 0.0)
        return np.asarray(np.sqrt((around**2).sum(axis=0) / self.counts[:, None]), dtype=np.float64)

    def pooled(self) -> FloatArray:
        """One number: the deviation of all scores of this side, spread between examples included."""
        return np.asarray(np.std(self._sorted[np.broadcast_to(self._used, self._sorted.shape)]))


def _checked(
    target: npt.ArrayLike, shadows: npt.ArrayLike, inside: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, BoolArray]:
    values, table = np.asarray(target, dtype=np.float64), np.asarray(shadows, dtype=np.float64)
    mask = np.asarray(inside)
    if values.ndim == 1 and table.ndim == 2:
        values, table = values[:, None], table[:, :, None]
    if values.ndim != 2 or table.ndim != 3 or table.shape[1:] != values.shape or mask.shape != table.shape[:2]:
        raise GroupgapError(
            "Expected target (n, K), shadows (S, n, K) and inside (S, n), but got "
            f"{np.shape(target)}, {np.shape(shadows)} and {np.shape(inside)}"
        )
    if mask.dtype != np.bool_:
        raise GroupgapError(f"Expected argument 'inside' to be bool, but got {mask.dtype}")
    for name, array in (("target", values), ("shadows", table)):
        if not np.isfinite(array).all():
            raise GroupgapError(
                f"Expected finite scores, but {name} holds {(~np.isfinite(array)).sum():,} that are not"
            )
    return values, table, mask
