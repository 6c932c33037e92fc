"""Checks of scalar arguments, so that every function refuses a wrong one in the same words."""

from __future__ import annotations

import numbers

from ..errors import GroupgapError

__all__ = ["check_confidence", "check_draws", "check_min_group", "check_positive", "check_seed"]


def _is_integer(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_draws(draws: int) -> int:
    """Return the number of draws, or refuse one under 1."""
    if not _is_integer(draws) or draws < 1:
        raise GroupgapError(f"Expected argument 'draws' to be an integer of at least 1, but got {draws!r}: give 10000")
    return int(draws)


def check_seed(seed: int) -> int:
    """Return the seed, or refuse one that is no integer of at least 0 (0 is a seed like any other)."""
    if not _is_integer(seed) or seed < 0:
        raise GroupgapError(f"Expected argument 'seed' to be an integer of at least 0, but got {seed!r}: give 0")
    return int(seed)


def check_min_group(min_group: int) -> int:
    """Return the floor for a group's denominator, or refuse one under 1."""
    if not _is_integer(min_group) or min_group < 1:
        raise GroupgapError(
            f"Expected argument 'min_group' to be an integer of at least 1, but got {min_group!r}: give 30, the default"
        )
    return int(min_group)


def check_confidence(confidence: float) -> float:
    """Return the confidence level, or refuse one outside (0, 1)."""
    if isinstance(confidence, bool) or not isinstance(confidence, numbers.Real) or not 0 < float(confidence) < 1:
        raise GroupgapError(
            f"Expected argument 'confidence' to be between 0 and 1 (exclusive), but got {confidence!r}: give 0.95"
        )
    return float(confidence)


def check_positive(positive: int | None, classes: tuple[str, ...]) -> int | None:
    """Return the index of the positive class, or ``None`` where rates are one-vs-rest over all classes.

    With more than two classes the answer is always ``None``: no single class is the favourable one.
    """
    if positive is None:
        return None
    if not _is_integer(positive) or not 0 <= positive < len(classes):
        raise GroupgapError(
            f"Expected argument 'positive' to be None or the index of one of the classes {classes}, "
            f"but got {positive!r}: give a number from 0 to {len(classes) - 1}"
        )
    return int(positive) if len(classes) == 2 else None
