"""A difference put into words: what it allows to say, and what could not have been seen."""

from __future__ import annotations

from ..metrics import Difference
from ..metrics.token_compare import TOKEN_METRICS

OVERALL = ("accuracy", "selection_rate", "tpr", "fpr")
# neither of two is better for being higher
HIGHER_ONLY = (
    *(*OVERALL, "pro_stereotype_ratio", "anti_stereotype_ratio", "stereotype_difference"),
    *("symbol_effect", "position_effect"),
)
# What is asked of two methods that were trained with several seeds; the two answers may well differ.
QUESTIONS = {
    "trainings": "would other trainings of the two methods (other seeds) differ, on these documents?",
    "weights": "do these trained weights differ, on other documents?",
}
SHORT = {"trainings": "other trainings", "weights": "these weights"}
UNSEEN = "no difference that two shares can have (at most 1) would be seen with 80% power"


def detectable(one: Difference) -> tuple[float | None, str | None]:
    """The smallest difference that would have been seen, or the reason why there is none.

    Example:
        >>> from groupgap.metrics import Estimate
        >>> few = Estimate(0.8, 7)
        >>> detectable(Difference("accuracy", None, None, few, few, 0.0, 7, minimal_detectable=1.2))[0] is None
        True
    """
    smallest = one.minimal_detectable
    if smallest is not None and (smallest < 1 or one.metric in TOKEN_METRICS):  # log-odds have no largest size
        return smallest, None
    if smallest is not None:
        return None, UNSEEN
    return None, one.reason or "no interval"


def verdict(one: Difference, level: float = 0.05, question: str | None = None) -> str:
    """What a difference allows to say.

    Args:
        one: a difference with its q-value.
        level: the false discovery rate that is accepted.
        question: one of ``QUESTIONS``, named where two are asked of the same pair.

    Example:
        >>> from groupgap.metrics import Estimate
        >>> same = Estimate(0.8, 212)
        >>> tested = {"p_value": 0.7, "q_value": 0.9, "minimal_detectable": 0.06}
        >>> verdict(Difference("accuracy", None, None, same, same, 0.01, 212, **tested))
        'cannot tell apart: a difference under 0.060 would not be seen with n = 212'
    """
    said = _said(one, level)
    return said if question is None else f"{SHORT[question]}: {said}"


def _said(one: Difference, level: float) -> str:
    if one.value is None:
        return f"undefined ({one.reason}, n = {one.n})"
    unseen = ""
    if one.minimal_detectable is not None:
        smallest, _ = detectable(one)
        size = "of any size" if smallest is None else f"under {smallest:.3f}"
        basis = f"{len(one.by_seed)} seeds" if one.by_seed else f"n = {one.n}"
        unseen = f": a difference {size} would not be seen with {basis}"
    if one.p_value is None or one.q_value is None:
        seen = one.low is not None and one.high is not None and (one.low > 0 or one.high < 0)
        return f"{_direction(one)} (by its interval alone)" if seen else f"cannot tell apart{unseen}"
    if one.q_value < level:
        return f"{_direction(one)} by {abs(one.value):.3f}"
    if one.p_value < level:
        return f"cannot tell apart among all tests here (p = {one.p_value:.2g} alone, q = {one.q_value:.2g}){unseen}"
    return f"cannot tell apart{unseen}"


def _direction(one: Difference) -> str:
    higher = "A" if one.value is not None and one.value > 0 else "B"
    lower = "B" if higher == "A" else "A"
    if one.metric in ("accuracy", "worst_group"):
        return f"{higher} is better"
    if one.metric in HIGHER_ONLY:
        return f"{higher} is higher"
    return f"{lower} is better (the smaller {'effect' if one.metric == 'token_effect' else 'gap'})"
