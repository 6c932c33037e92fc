"""A judgement of rows that come in clusters: rates with intervals over clusters, gaps without any that would lie."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .clusters import cluster_share
from .estimate import Estimate, GroupRates, Judgement

__all__ = ["over_clusters"]

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

NONE = "none: rows come in clusters"
EXTREMES = ("macro_f1", "worst_group", "accuracy_spread", "dpd", "eopp", "eod", "eod_mean")


def over_clusters(
    judgement: Judgement,
    answers: tuple[IntArray, IntArray],
    membership: npt.ArrayLike,
    clusters: npt.ArrayLike,
    positive: int | None,
) -> Judgement:
    """Replace what takes each row for a unit where the unit is a cluster of rows (a sentence pair, an occupation).

    Args:
        judgement: of the rows, by :func:`groupgap.metrics.judge`.
        answers: (n,) labels and (n,) predictions.
        membership: (n, G) bool, in the order of ``judgement.groups``.
        clusters: (n,) name of each row's cluster.
        positive: index of the positive class that the groups' rates are of; ``None`` where they are undefined.

    Returns:
        The same values. Accuracy and the groups' rates have Wilson's interval at the effective number of rows
        (:func:`groupgap.metrics.clusters.cluster_share`). Gaps, the worst group and F1 have neither interval nor
        chance level: those that take each row for a unit would be too narrow, and call gaps real that are not.
    """
    names = np.asarray(clusters)
    if len(np.unique(names)) == len(names):
        return judgement
    labels, predictions = answers
    members = np.asarray(membership, dtype=np.bool_)
    right = labels == predictions
    groups = {
        name: _group(rates, right, (labels, predictions), members[:, place], names, positive)
        for place, (name, rates) in enumerate(judgement.groups.items())
    }
    accuracy = _share(judgement.accuracy, right, np.ones(len(right), dtype=np.bool_), names)
    told: dict[str, Any] = {metric: _bare(getattr(judgement, metric)) for metric in EXTREMES}
    return replace(judgement, **{**told, "accuracy": accuracy, "groups": groups})


def _group(
    rates: GroupRates,
    right: BoolArray,
    answers: tuple[IntArray, IntArray],
    member: BoolArray,
    names: npt.NDArray[np.object_],
    positive: int | None,
) -> GroupRates:
    labels, predictions = answers
    hits = {"accuracy": right, **dict.fromkeys(("selection_rate", "tpr", "fpr"), predictions == positive)}
    among = {"tpr": member & (labels == positive), "fpr": member & (labels != positive)}
    found = {
        rate: _share(getattr(rates, rate), of_rate, among.get(rate, member), names) for rate, of_rate in hits.items()
    }
    return replace(
        rates,
        accuracy=found["accuracy"],
        selection_rate=found["selection_rate"],
        tpr=found["tpr"],
        fpr=found["fpr"],
        member_gap=_bare(rates.member_gap),
    )


def _share(estimate: Estimate, hits: BoolArray, among: BoolArray, names: npt.NDArray[np.object_]) -> Estimate:
    """The share with its interval over clusters; one that is undefined stays so."""
    if estimate.value is None:
        return estimate
    found = cluster_share(hits[among], names[among], "no rows")
    return replace(estimate, stderr=found.stderr, low=found.low, high=found.high, interval=found.interval)


def _bare(estimate: Estimate) -> Estimate:
    if estimate.value is None:
        return estimate
    return replace(estimate, stderr=None, low=None, high=None, interval=NONE, chance=None)
