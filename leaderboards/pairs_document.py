"""The comparisons of a board as plain data, column by column: a large board holds a million of these numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from .pairs import LEVEL, Pairs

DIGITS = 6
QUESTION = "do these trained weights differ, on other documents?"


def pairs_document(pairs: Pairs) -> dict[str, Any]:
    """One table's comparisons.

    Returns:
        ``rows`` are names, ``pairs`` positions in them (A, B). Each of ``measures`` has one entry a pair in
        ``difference`` (A minus B), ``low``, ``high``, ``p``, ``q``, ``detectable``: ``None`` where there is none, with
        the reason under the pair's position in ``reasons``. ``not_compared``: positions and the reason.
    """
    found = pairs.found
    measures = []
    for number, (metric, group) in enumerate(found.measures):
        reasons = {str(pair): why for (at, pair), why in sorted(found.reasons.items()) if at == number}
        measures.append(
            {
                "metric": metric,
                "group": group,
                "difference": _known(fixed(found.value[number]).tolist()),
                "low": _known(fixed(found.low[number]).tolist()),
                "high": _known(fixed(found.high[number]).tolist()),
                "p": _tests(found.p_value[number]),
                "q": _tests(pairs.q_value[number]),
                "detectable": _known(fixed(found.detectable[number]).tolist()),
                "reasons": reasons,
            }
        )
    return {
        "task": pairs.task,
        "axis": pairs.axis,
        "compared": pairs.mode,
        "question": QUESTION,
        "draws": pairs.draws,
        "family": pairs.family,
        "rows": list(pairs.variants),
        "pairs": found.pairs.tolist(),
        "measures": measures,
        "not_compared": [[a, b, why] for a, b, why in pairs.not_compared],
    }


def fixed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Differences and ends of intervals as ``board.json`` has them: six decimals. What shows fewer starts from these,
    for a number rounded twice is not always what it is rounded once.
    """
    return np.round(values, DIGITS)


def significant(value: float) -> float:
    """A p-value or q-value as ``board.json`` has it: six digits, or all where fewer would carry it over the level.

    Example:
        >>> significant(0.12345678), significant(0.0499999999)
        (0.123457, 0.0499999999)
    """
    short = float(f"{value:.{DIGITS}g}")
    return short if (short < LEVEL) == (value < LEVEL) else value


def _known(values: list[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]


def _tests(values: npt.NDArray[np.float64]) -> list[float | None]:
    return _known([significant(value) for value in values.tolist()])
