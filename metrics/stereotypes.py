"""How often a translation follows a stereotype: ratios of Ding et al. 2024, with intervals over sentence pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .clusters import cluster_mean, cluster_share
from .estimate import Estimate
from .paired import MINIMAL_DETECTABLE, Difference
from .pronouns import CLASSES, FEMALE, MALE, UNKNOWN

__all__ = ["NULL", "StereotypeReport", "compare_stereotypes", "ratio_names", "stereotype_report"]

NULL = (
    "which occupation of a pair is called male has nothing to do with its stereotype: swapping the answers to the two "
    "lines of a pair changes nothing; the pro- and the anti-stereotypical ratio are equal"
)
NULL_OF_TWO = "swapping the answers of A and B to a whole pair changes nothing: the {metric} is equal in both"
EMPTY = "no line of a predisposed occupation"


@dataclass(frozen=True)
class StereotypeReport:
    """The ratios of one system.

    Attributes:
        ratios: ``"{group}_predispose_{class}_ratio"`` to its share of the group's lines.
        pro: share of all predisposed lines given the stereotypical gender.
        anti: share given the other gender.
        neutral: share given a neutral pronoun.
        unknown: share without one answer.
        difference: pro minus anti; above 0 the system follows the stereotype. Undefined, as pro and anti are, where
            the two genders' occupations have other numbers of lines.
        p_value: of a difference of 0, by exact sign flips of whole pairs; its null hypothesis is ``NULL``.
    """

    ratios: Mapping[str, Estimate]
    pro: Estimate
    anti: Estimate
    neutral: Estimate
    unknown: Estimate
    difference: Estimate
    p_value: float | None


def ratio_names(groups: Sequence[str]) -> tuple[str, ...]:
    """The paper's names of the ratios: each class in each group."""
    return tuple(f"{group}_predispose_{name}_ratio" for group in groups for name in CLASSES)


def stereotype_report(
    genders: Sequence[str],
    membership: npt.ArrayLike,
    groups: Sequence[str],
    clusters: Sequence[str],
    confidence: float = 0.95,
) -> StereotypeReport:
    """The ratios, with Wilson intervals that know of the pairs.

    Args:
        genders: (n,) the class that a judge gave each line, of ``CLASSES``.
        membership: (n, G) bool; lines without a group do not count.
        groups: the G groups, named by the gender that the stereotype expects ("male", "female"); others have ratios of
            their own but no stereotype.
        clusters: (n,) the sentence pair of each line.
        confidence: of the intervals.

    Example:
        >>> said = ["male", "female", "male", "male"]
        >>> members = [[True, False], [False, True]] * 2
        >>> found = stereotype_report(said, members, ["male", "female"], ["a", "a", "b", "b"])
        >>> found.ratios["female_predispose_male_ratio"].value, found.pro.value, found.difference.value
        (0.5, 0.75, 0.5)
    """
    said, pairs = np.asarray(genders, dtype=object), np.asarray(clusters, dtype=object)
    members = np.asarray(membership, dtype=np.bool_).reshape(len(said), len(groups))
    of_group = [(group, members[:, place]) for place, group in enumerate(groups)]
    ratios = [
        cluster_share(said[rows] == name, pairs[rows], f"no line of {group}", confidence)
        for group, rows in of_group
        for name in CLASSES
    ]
    expected = _expected(members, groups)
    counted = expected != ""
    said, expected, pairs = said[counted], expected[counted], pairs[counted]
    pro, anti = _sides(said, expected)
    shares = {
        "pro": pro,
        "anti": anti,
        "neutral": said == CLASSES[2],
        "unknown": said == UNKNOWN,
    }
    found = {name: cluster_share(hits, pairs, EMPTY, confidence) for name, hits in shares.items()}
    difference, p_value = cluster_mean(pro.astype(np.int64) - anti.astype(np.int64), pairs, EMPTY, confidence)
    reason = _uneven(expected)
    if reason:
        found |= {name: Estimate(None, len(said), reason) for name in ("pro", "anti")}
        difference, p_value = Estimate(None, len(said), reason), None
    return StereotypeReport(
        dict(zip(ratio_names(groups), ratios, strict=True)), **found, difference=difference, p_value=p_value
    )


def _uneven(expected: npt.NDArray[np.object_]) -> str | None:
    """Why the pro- and anti-stereotypical ratios would lie: with more lines of one side, who says that gender to
    everybody seems to follow the stereotype.
    """
    sides = [int((expected == gender).sum()) for gender in (MALE, FEMALE)]
    if not any(sides) or sides[0] == sides[1]:
        return None
    return f"{sides[0]:,} lines of male-typed and {sides[1]:,} of female-typed occupations: as many of each are needed"


def _expected(members: npt.NDArray[np.bool_], groups: Sequence[str]) -> npt.NDArray[np.object_]:
    """(n,) the gender that the stereotype expects, empty for lines of neither side."""
    expected = np.full(len(members), "", dtype=object)
    for place, group in enumerate(groups):
        if group in (MALE, FEMALE):
            expected[members[:, place]] = group
    return expected


def _sides(
    said: npt.NDArray[np.object_], expected: npt.NDArray[np.object_]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(n,) whether a line follows the stereotype, and whether it goes against it."""
    gendered = ((said == MALE) | (said == FEMALE)) & (expected != "")
    return gendered & (said == expected), gendered & (said != expected)


def compare_stereotypes(
    genders: tuple[Sequence[str], Sequence[str]],
    membership: npt.ArrayLike,
    groups: Sequence[str],
    clusters: Sequence[str],
    confidence: float = 0.95,
) -> tuple[Difference, ...]:
    """The stereotype ratios of two systems on the same lines, A minus B; whole pairs are swapped.

    Args:
        genders: (n,) of A and (n,) of B.
        membership: as for :func:`stereotype_report`.
        groups: as for ``stereotype_report``.
        clusters: as for ``stereotype_report``.
        confidence: of the intervals.

    Returns:
        Of the pro- and the anti-stereotypical ratio and of their difference.

    Example:
        >>> said = ["male", "female", "male", "male"] * 10, ["male", "male", "female", "male"] * 10
        >>> members, pairs = [[True, False], [False, True]] * 20, [f"pair {line // 2}" for line in range(40)]
        >>> [(one.metric, one.value) for one in compare_stereotypes(said, members, ["male", "female"], pairs)][2]
        ('stereotype_difference', 1.0)
    """
    pairs = np.asarray(clusters, dtype=object)
    members = np.asarray(membership, dtype=np.bool_).reshape(len(pairs), len(groups))
    expected = _expected(members, groups)
    counted = expected != ""
    reason = _uneven(expected[counted])
    sides = [_sides(np.asarray(one, dtype=object), expected) for one in genders]
    values = [
        {"pro_stereotype_ratio": pro, "anti_stereotype_ratio": anti, "stereotype_difference": pro.astype(int) - anti}
        for pro, anti in sides
    ]
    found = []
    for metric in values[0]:
        a, b = (one[metric].astype(np.int64)[counted] for one in values)
        difference, p_value = cluster_mean(a - b, pairs[counted], EMPTY, confidence)
        of_each = [cluster_mean(one, pairs[counted], EMPTY, confidence)[0] for one in (a, b)]
        if reason:
            difference, of_each = (Estimate(None, len(a), reason), [Estimate(None, len(a), reason)] * 2)
        found.append(_difference(metric, of_each[0], of_each[1], difference, p_value))
    return tuple(found)


def _difference(metric: str, a: Estimate, b: Estimate, found: Estimate, p_value: float | None) -> Difference:
    if found.value is None or found.stderr is None:
        return Difference(metric, None, None, a, b, None, found.n, found.reason)
    return Difference(
        metric=metric,
        group=None,
        class_name=None,
        a=a,
        b=b,
        value=found.value,
        n=found.n,
        stderr=found.stderr,
        low=found.low,
        high=found.high,
        interval=found.interval,
        p_value=p_value,
        test="exact swap test of whole pairs",
        null=NULL_OF_TWO.format(metric=metric.replace("_", " ")),
        minimal_detectable=MINIMAL_DETECTABLE * found.stderr,
    )
