"""Numbers as marks on a line of a hundred units: the paths of the small drawings in the tables."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ...metrics import Estimate

WIDTH = 100


def scale_of(estimates: Iterable[Estimate]) -> float:
    """The end of a column's scale: the largest interval end or chance level, up to the next tenth; at most 1."""
    ends = (
        end
        for one in estimates
        for end in (one.value, one.high, None if one.chance is None else one.chance.p95)
        if end is not None
    )
    return min(1.0, max(1, math.ceil(max(ends, default=0.0) * 10 - 1e-9)) / 10)


def bar(estimate: Estimate, scale: float = 1.0) -> str:
    """The interval as a line and the value as a tick across it; nothing without a value.

    Example:
        >>> from groupgap.metrics import Estimate
        >>> bar(Estimate(0.5, 40, low=0.4, high=0.6))
        'M40 5h20M50 1v8'
    """
    if estimate.value is None:
        return ""
    tick = f"M{_place(estimate.value, scale)} 1v8"
    if estimate.low is None or estimate.high is None:
        return tick
    low, high = _place(estimate.low, scale), _place(estimate.high, scale)
    return f"M{low} 5h{max(high - low, 1)}{tick}"


def chance_mark(level: float | None, scale: float = 1.0) -> str:
    """The area up to a chance level; its right edge, drawn first, is the tick."""
    return "" if level is None else f"M{_place(level, scale)} 0v10H0V0"


def _place(value: float, scale: float) -> int:
    return round(min(max(value / scale, 0.0), 1.0) * WIDTH)
