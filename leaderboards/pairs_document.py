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
                "difference": _fixed(found.value[number]),
                "low": _fixed(found.low[number]),
                "high": _fixed(found.high[number]),
                "p": _significant(found.p_value[number]),
                "q": _significant(pairs.q_value[number]),
                "detectable": _fixed(found.detectable[number]),
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


def _fixed(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in np.round(values, DIGITS).tolist()]


def _significant(values: npt.NDArray[np.float64]) -> list[float | None]:
    """Six digits, and all of them where fewer would carry a value over the level of a test."""
    shown = []
    for value in values.tolist():
        short = value if math.isnan(value) else float(f"{value:.{DIGITS}g}")
        shown.append(None if math.isnan(value) else short if (short < LEVEL) == (value < LEVEL) else value)
    return shown
