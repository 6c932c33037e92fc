"""Two models asked in the same cells of the same documents: do their token effects differ?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import stats

from ..errors import GroupgapError
from .cell_effects import CellMatrix, Fit, fit_cells
from .estimate import Estimate
from .extremes import MINIMAL_DETECTABLE, POWER_Z
from .intervals import SMALLEST_P
from .largest import Means, combination, difference_of_largest, from_influence, largest
from .paired import Difference
from .token_bias import NO_TOKENS, Candidates, token_candidates

__all__ = ["TOKEN_METRICS", "compare_token_effects"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TOKEN_METRICS = ("token_effect", "symbol_effect", "position_effect")
NULL_LARGEST = "the true token effect (log-odds) of A equals the true token effect of B"
NULL_SINGLE = "the true effect of {name} (log-odds) is the same in A and B"


def compare_token_effects(
    a: CellMatrix, b: CellMatrix, clusters: IntArray | None = None, confidence: float = 0.95
) -> tuple[Difference, ...]:
    """Compare the token effects of two models, as log-odds, paired by document.

    Args:
        a: answers of A to n documents.
        b: answers of B to the same documents in the same cells, in the same order.
        clusters: (n,) rows with one number are drawn together: the answers of several training seeds to one document.
        confidence: of the intervals.

    Returns:
        The difference of the largest token effects (``"token_effect"``), then of each symbol over another of its set
        and of each place over another (``"symbol_effect"``, ``"position_effect"``), the latter signed. Documents to
        which either model gives a choice probability 0 are left out.

    Raises:
        GroupgapError: for answers in other cells.
    """
    if a.levels != b.levels or not np.array_equal(a.symbols, b.symbols) or not np.array_equal(a.places, b.places):
        raise GroupgapError("Expected both models to be asked in the same cells of the same documents")
    kept = a.finite & b.finite
    n = int(kept.sum())
    if not n:
        nothing = Estimate(None, 0, "no document has log-odds in both")
        return (Difference("token_effect", None, None, nothing, nothing, None, 0, nothing.reason),)
    fits = fit_cells(a.of(kept), "log-odds"), fit_cells(b.of(kept), "log-odds")
    units = None if clusters is None else clusters[kept]
    both = from_influence(
        np.concatenate([fit.values for fit in fits]),
        np.concatenate([fit.influence for fit in fits], axis=1),
        np.concatenate([fit.members for fit in fits], axis=1),
        units,
    )
    candidates = token_candidates(fits[0])
    if candidates is None:
        nothing = Estimate(None, n, NO_TOKENS)
        return (Difference("token_effect", None, None, nothing, nothing, None, n, NO_TOKENS),)
    return (_largest(both, candidates, confidence), *_singles(both, fits[0], candidates, confidence))


def _sides(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The weights on A's part and on B's part of the joint means."""
    nothing = np.zeros_like(weights)
    return np.concatenate([weights, nothing], axis=-1), np.concatenate([nothing, weights], axis=-1)


def _largest(both: Means, candidates: Candidates, confidence: float) -> Difference:
    one, other = _sides(candidates.weights)
    a, b = (largest(both, side, candidates.names, confidence) for side in (one, other))
    found = difference_of_largest(both, one, other, confidence)
    return Difference(
        metric="token_effect",
        group=None,
        class_name=None,
        a=a,
        b=b,
        value=found.value,
        n=a.n,
        stderr=found.stderr,
        low=found.low,
        high=found.high,
        interval="simultaneous t over documents",
        p_value=found.p_value,
        test="t over documents, for all symbols and places that may be the largest",
        null=NULL_LARGEST,
        minimal_detectable=max(found.value - found.low, found.high - found.value) + POWER_Z * found.stderr,
    )


def _singles(both: Means, fit: Fit, candidates: Candidates, confidence: float) -> Iterator[Difference]:
    """Each pair of levels once."""
    seen: set[frozenset[str]] = set()
    for weights, names in zip(candidates.weights, candidates.names, strict=True):
        if frozenset(names) in seen:
            continue
        seen.add(frozenset(names))
        one, other = _sides(weights)
        a, b, found = (combination(both, side, confidence) for side in (one, other, one - other))
        p_value = None
        if found.value is not None and found.stderr is not None:
            degrees = float(both.degrees[np.flatnonzero(one)].min())
            p_value = max(SMALLEST_P, float(2 * stats.t.sf(abs(found.value) / max(found.stderr, 1e-9), degrees)))
        place = any(fit.levels[index].kind == "position" for index in np.flatnonzero(weights[: len(fit.levels)]))
        yield Difference(
            metric="position_effect" if place else "symbol_effect",
            group=None,
            class_name=f"{names[0]} over {names[1]}",
            a=a,
            b=b,
            value=found.value,
            n=found.n,
            stderr=found.stderr,
            low=found.low,
            high=found.high,
            interval=found.interval,
            p_value=p_value,
            test="paired t over documents",
            null=NULL_SINGLE.format(name=f"{names[0]} over {names[1]}"),
            minimal_detectable=None if found.stderr is None else MINIMAL_DETECTABLE * found.stderr,
        )
