"""Group rates as successes over totals, for the counts themselves or for any number of draws of them at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .arguments import check_confidence, check_positive
from .counts import Counts
from .estimate import Estimate, GroupRates
from .intervals import newcombe, wilson

__all__ = ["RATES", "Tally", "group_rates", "overall_accuracy", "rate_cells", "tally"]

RATES = ("accuracy", "selection_rate", "tpr", "fpr")
EMPTY = {"accuracy": "no members", "selection_rate": "no members", "tpr": "no positives", "fpr": "no negatives"}
DENOMINATOR = {"accuracy": "members", "selection_rate": "members", "tpr": "positives", "fpr": "negatives"}

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Tally:
    """Successes and totals of one rate.

    Attributes:
        successes: (G,) or (G, draws).
        totals: the same shape.
    """

    successes: FloatArray
    totals: FloatArray

    @property
    def rates(self) -> FloatArray:
        """Successes over totals, NaN where the total is 0."""
        with np.errstate(invalid="ignore"):
            return np.where(self.totals > 0, self.successes / np.maximum(self.totals, 1), np.nan)


def rate_cells(
    labels: IntArray, predictions: IntArray, rate: str, class_index: int | None
) -> tuple[BoolArray, BoolArray]:
    """Which cells are in the denominator of a rate, and which of them in its numerator.

    Args:
        labels: (K,) class indices.
        predictions: (K,) class indices.
        rate: one of ``RATES``.
        class_index: the positive class; not used for accuracy.

    Returns:
        (K,) bool denominator, (K,) bool numerator.
    """
    everyone = np.ones(len(labels), dtype=np.bool_)
    if rate == "accuracy":
        return everyone, labels == predictions
    selected = predictions == class_index
    if rate == "selection_rate":
        return everyone, selected
    within = labels == class_index if rate == "tpr" else labels != class_index
    return within, within & selected


def tally(counts: Counts, rate: str, class_index: int | None = None) -> Tally:
    """Successes and totals of a rate in each group, (G,) each."""
    within, success = rate_cells(counts.labels, counts.predictions, rate, class_index)
    members = counts.patterns.astype(np.float64)
    return Tally((counts.counts * success) @ members, (counts.counts * within) @ members)


def proportion(successes: float, total: float, empty: str, confidence: float) -> Estimate:
    """A share with its Wilson interval and standard error, or undefined with the reason ``empty``."""
    if total == 0:
        return Estimate(None, 0, empty)
    value = successes / total
    low, high = wilson(successes, total, confidence)
    stderr = float(np.sqrt(value * (1 - value) / (total - 1))) if total > 1 else None
    return Estimate(float(value), int(total), None, stderr, float(low), float(high), "Wilson")


def overall_accuracy(counts: Counts, confidence: float = 0.95) -> Estimate:
    """Share of all samples answered right, members of a group or not."""
    right = int(counts.counts[counts.labels == counts.predictions].sum())
    return proportion(right, counts.n, "no samples", confidence)


def group_rates(counts: Counts, positive: int | None = None, confidence: float = 0.95) -> dict[str, GroupRates]:
    """The rates of every group.

    Args:
        counts: of one system.
        positive: index of the positive class. With ``None``, or more than two classes, only accuracies are defined;
            rates of one class against the rest follow from :func:`tally`.
        confidence: of the Wilson intervals.

    Returns:
        Group name to its rates, undefined ones with their reason.

    Example:
        >>> from groupgap.metrics import count
        >>> rates = group_rates(count([1, 0, 0, 0], [1, 0, 1, 0], ["a", "a", "b", "b"]), positive=1)
        >>> rates["a"].tpr.value, rates["b"].tpr.text
        (1.0, 'undefined (no positives)')
    """
    check_confidence(confidence)
    single = check_positive(positive, counts.classes)
    tallies = {rate: tally(counts, rate, single) for rate in RATES}
    right = float(counts.counts[counts.labels == counts.predictions].sum())
    result = {}
    for index, group in enumerate(counts.groups):
        found = {
            rate: proportion(
                float(tallies[rate].successes[index]), float(tallies[rate].totals[index]), EMPTY[rate], confidence
            )
            for rate in RATES
        }
        members = int(tallies["accuracy"].totals[index])
        gap = member_gap(float(tallies["accuracy"].successes[index]), members, right, counts.n, confidence)
        if single is None:
            reason = "no single positive class"
            found |= {rate: Estimate(None, members, reason) for rate in RATES[1:]}
        sizes = (None, None) if single is None else (found["tpr"].n, found["fpr"].n)
        result[group] = GroupRates(members, sizes[0], sizes[1], **found, member_gap=gap)
    return result


def member_gap(successes: float, members: int, all_successes: float, n: int, confidence: float) -> Estimate:
    """Accuracy of members minus accuracy of everybody else, with Newcombe's hybrid score interval.

    Source: the masks of Ding et al. 2024 ("On Fairness of Low-Rank Adaptation of Large Models"): member against
    non-member; Newcombe 1998, Statistics in Medicine 17:873, method 10.
    """
    others = n - members
    if members == 0 or others == 0:
        return Estimate(None, members, "no members" if members == 0 else "no non-members")
    pair = np.array([successes, all_successes - successes]), np.array([members, others], dtype=np.float64)
    low, high = newcombe(pair[0][:1], pair[1][:1], pair[0][1:], pair[1][1:], confidence)
    shares = pair[0] / pair[1]
    stderr = float(np.sqrt((shares * (1 - shares) / np.maximum(pair[1] - 1, 1)).sum()))
    return Estimate(
        float(shares[0] - shares[1]), members, None, stderr, float(low[0]), float(high[0]), "Newcombe hybrid score"
    )
