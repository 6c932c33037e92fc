"""How numbers are shown, the same in the terminal, in markdown and on the page."""

from __future__ import annotations

from ..metrics import Chance, Estimate

DIGITS = 3
LEVEL = 0.05
RATE_WORDS = {"accuracy": "accuracy", "selection_rate": "selection rate", "tpr": "TPR", "fpr": "FPR"}


def format_number(value: float, digits: int = DIGITS) -> str:
    """A number with a fixed count of digits; never ``-0.000``.

    Example:
        >>> format_number(-0.0001)
        '0.000'
    """
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def format_estimate(estimate: Estimate, interval: bool = True) -> str:
    """The value with its interval, or the reason why there is none.

    Args:
        estimate: what was measured.
        interval: whether the interval is shown.

    Example:
        >>> format_estimate(Estimate(0.25, 40, low=0.141, high=0.402))
        '0.250 [0.141, 0.402]'
        >>> format_estimate(Estimate(None, 12, "no positives"))
        'undefined (no positives, n = 12)'
    """
    if estimate.value is None:
        return f"undefined ({estimate.reason}, n = {estimate.n})"
    text = format_number(estimate.value)
    return f"{text} {interval_text}" if interval and (interval_text := format_interval(estimate)) else text


def format_interval(estimate: Estimate) -> str:
    """``[low, high]``, or nothing where there is no interval."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return ""
    return f"[{format_number(estimate.low)}, {format_number(estimate.high)}]"


def format_decided(estimate: Estimate) -> str:
    """The class and the rate at which a gap is largest: ``maybe, TPR``; nothing where there is but one of each."""
    rate = None if estimate.rate is None else RATE_WORDS.get(estimate.rate, estimate.rate)
    return ", ".join(part for part in (estimate.class_name, rate) if part)


def format_chance(chance: Chance | None) -> str:
    """The gap expected by chance: ``chance 0.055, 95% under 0.110, p = 0.020``; nothing where it was not drawn."""
    if chance is None:
        return ""
    return (
        f"chance {format_number(chance.median)}, 95% under {format_number(chance.p95)}, p = {format_p(chance.p_value)}"
    )


def format_p(value: float) -> str:
    """A p-value; a small one keeps its size, and one under 0.05 is never rounded up to it.

    Example:
        >>> format_p(0.0312), format_p(0.0001), format_p(0.04996), format_p(0.0500001)
        ('0.031', '0.0001', '0.04996', '0.050')
    """
    if value < 0.001:
        return f"{value:.1g}"
    rounded = (f"{value:.{digits}f}" for digits in range(DIGITS, 17))
    return next((text for text in rounded if (float(text) < LEVEL) == (value < LEVEL)), repr(value))
