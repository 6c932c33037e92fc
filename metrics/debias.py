"""The debiased answer: the mean over the cells of a balanced design of what a model says of each meaning."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

FloatArray = npt.NDArray[np.float64]


def debiased_log_probabilities(log_probabilities: npt.ArrayLike) -> FloatArray:
    """The log of the debiased probabilities of the meanings of one document.

    ``log_softmax_j(mean_i(log_softmax_j(l_ij)))``: within each cell the choices' log-probabilities are normalized, so
    that every cell weighs the same; in the mean over a balanced set of cells (:mod:`groupgap.harness_tasks.design`)
    additive effects of symbol and position add a constant to every meaning, which the last normalization removes.

    Args:
        log_probabilities: (k, C): in cell i the natural log-probability of the symbol that stands for meaning j. A
            choice may have -inf (then its debiased probability is 0).

    Returns:
        (C,), a distribution: ``exp`` sums to 1.

    Example:
        >>> biased = [[-1.0, -2.0], [-1.0, -2.0]]  # the same symbol wins, whatever it stands for:
        >>> turned = [biased[0], biased[1][::-1]]
        >>> np.exp(debiased_log_probabilities(turned)).round(3).tolist()
        [0.5, 0.5]
    """
    cells = np.asarray(log_probabilities, dtype=np.float64)
    if cells.ndim != 2 or not cells.size:
        raise ValueError(f"Expected argument 'log_probabilities' to be (cells, choices), but got shape {cells.shape}")
    with np.errstate(invalid="ignore"):
        return np.asarray(log_softmax(log_softmax(cells, axis=1).mean(axis=0)), dtype=np.float64)
