"""What a row says of its worst group: its name, all names where several share the lowest accuracy, or that none is."""

from __future__ import annotations

from collections.abc import Callable

from ..metrics import Estimate

ALIKE = "all judged groups alike"  # one that is too small to be judged may differ
SAME = 1e-9  # means over seeds of equal rates may differ by rounding


def is_same(one: float, other: float) -> bool:
    """Whether two values are equal but for rounding.

    Example:
        >>> (0.28 + 0.34 + 0.35) / 3 == (0.35 + 0.34 + 0.28) / 3, is_same(0.97 / 3, (0.28 + 0.34 + 0.35) / 3)
        (False, True)
    """
    return abs(one - other) < SAME


def is_worst(worst: Estimate, spread: Estimate) -> bool:
    """Whether there is a group that is worse off than another.

    Args:
        worst: the worst-group accuracy of a row.
        spread: its accuracy spread, which is over the same groups: 0 where all are alike, undefined for a single one.
    """
    return worst.value is not None and spread.value is not None and spread.value > SAME


def worst_name(worst: Estimate, spread: Estimate, shown: Callable[[str], str] = str) -> str:
    """The name to show beside a worst-group accuracy; an empty text where that is undefined.

    Args:
        worst: as :func:`is_worst`.
        spread: as :func:`is_worst`.
        shown: makes a group's name harmless.

    Example:
        >>> even = Estimate(0.5, 60, groups=("a", "b"))
        >>> worst_name(even, Estimate(0.0, 60)), worst_name(even, Estimate(0.25, 90))
        ('all judged groups alike', 'a, b')
        >>> worst_name(Estimate(0.5, 60, groups=("a",)), Estimate(None, 60, "fewer than 2 groups with members"))
        'a (the only group judged)'
    """
    if worst.value is None:
        return ""
    if spread.value is not None and not is_worst(worst, spread):
        return ALIKE
    names = ", ".join(map(shown, worst.groups))
    return names if len(worst.groups) != 1 or spread.value is not None else f"{names} (the only group judged)"
