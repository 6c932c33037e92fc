"""How often a translation follows a stereotype: ratios of Ding et al. 2024, with intervals over sentence pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .clusters import cluster_mean, cluster_share
from .estimate import Estimate
from .pronouns import CLASSES, FEMALE, MALE, UNKNOWN

__all__ = ["NULL", "StereotypeReport", "ratio_names", "stereotype_report"]

NULL = (
    "which occupation of a pair is called male has nothing to do with its stereotype: swapping the answers to the two "
    "lines of a pair changes nothing; the pro- and the anti-stereotypical ratio are equal"
)
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
        difference: pro minus anti; above 0 the system follows the stereotype.
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
    expected = np.full(len(said), "", dtype=object)
    for group, rows in of_group:
        if group in (MALE, FEMALE):
            expected[rows] = group
    counted = expected != ""
    said, expected, pairs = said[counted], expected[counted], pairs[counted]
    gendered = (said == MALE) | (said == FEMALE)
    pro, anti = gendered & (said == expected), gendered & (said != expected)
    shares = {
        "pro": pro,
        "anti": anti,
        "neutral": said == CLASSES[2],
        "unknown": said == UNKNOWN,
    }
    found = {name: cluster_share(hits, pairs, EMPTY, confidence) for name, hits in shares.items()}
    difference, p_value = cluster_mean(pro.astype(np.int64) - anti.astype(np.int64), pairs, EMPTY, confidence)
    return StereotypeReport(
        dict(zip(ratio_names(groups), ratios, strict=True)), **found, difference=difference, p_value=p_value
    )
