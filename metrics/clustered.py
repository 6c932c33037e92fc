"""One call that judges one system whose rows come in clusters (sentence pairs, the lines of one occupation).

Where :func:`groupgap.metrics.judge` takes a row for a unit, here a cluster is one: intervals know of clusters, whole
clusters are drawn, and chance exchanges memberships as clusters allow (:mod:`groupgap.metrics.cluster_chance`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from .arguments import check_confidence, check_draws, check_seed
from .bootstrap import cell_features, resample, tallies_of_features
from .cluster_chance import cluster_chances
from .clusters import EffectiveRates, effective_rates, share_over, sureness, worth
from .estimate import Estimate, GroupRates, Judgement
from .f1 import f1_of_classes, macro_f1_value
from .gaps import GAPS, GapPlan, Key, gap_values, left_out, plan_gaps, worst_values
from .intervals import newcombe_z, two_sided_z, wilson
from .joint import JointCounts, count_pair
from .judge import judge, standard_error
from .rates import RATES, Tally, group_rates, rate_cells
from .simultaneous import gap_interval, worst_interval

__all__ = ["FEWEST", "count_clusters", "judge_clusters"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

FEWEST = 20  # clusters of equal size, under which the variance between them is a guess
FEWEST_A_GROUP = 3  # ... of each group, times the groups whose extremes are taken: their limits lie farther out


def count_clusters(
    answers: tuple[npt.ArrayLike, npt.ArrayLike],
    membership: npt.ArrayLike,
    clusters: npt.ArrayLike,
    groups: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
) -> JointCounts:
    """Count the answers of one system, and what each cluster of rows holds.

    Args:
        answers: (n,) labels and (n,) predictions, as for :func:`groupgap.metrics.count`.
        membership: as for ``count``.
        clusters: (n,) name or number of each row's cluster.
        groups: as for ``count``.
        classes: as for ``count``.

    Returns:
        Joint counts of the system with itself.

    Raises:
        GroupgapError: as for ``count``, and for a row without a cluster.
    """
    labels, predictions = answers
    return count_pair(labels, (predictions, predictions), membership, groups, classes, clusters)


def judge_clusters(
    answers: JointCounts,
    positive: int | None = None,
    *,
    min_group: int = 30,
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Judgement:
    """Judge the answers of one system on one axis, where rows come in clusters.

    Args:
        answers: from :func:`count_clusters`.
        positive: as for :func:`groupgap.metrics.judge`.
        min_group: as for ``judge``; it counts rows.
        draws: bootstrap draws of whole clusters, and exchanges of memberships.
        seed: of the draws.
        confidence: of the intervals.

    Returns:
        The values of ``judge``, with its kinds of intervals at the effective number of rows and with the correlation of
        the groups' rates (:func:`groupgap.metrics.clusters.effective_rates`). What rests on fewer than 20 clusters has
        no interval, nor has a gap that such a group enters; where memberships cannot be exchanged a gap has no chance
        level but a reason. Where every row is its own cluster this is ``judge``.

    Example:
        >>> rows = np.arange(200)
        >>> said = np.where(rows % 8 == 0, 0, 1)  # wrong in every fourth pair, for group a alone
        >>> pairs = count_clusters((np.ones(200, dtype=int), said), np.array(["a", "b"])[rows % 2], rows // 2)
        >>> found = judge_clusters(pairs, positive=1, draws=999).accuracy_spread
        >>> found.value, found.interval, found.chance.p_value
        (0.25, 'simultaneous over 100 clusters', 0.001)
    """
    check_draws(draws), check_seed(seed), check_confidence(confidence)
    counts = answers.a
    if int(answers.units()[0].sum()) == counts.n:
        return judge(counts, positive, min_group=min_group, draws=draws, seed=seed, confidence=confidence)
    rows = _Rows(answers, plan_gaps(counts, positive, min_group), confidence)
    resampling, exchanging = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
    drawn = rows.bootstrap(draws, resampling)
    chances, reasons = cluster_chances(answers, rows.plan, draws, exchanging)
    found = {"macro_f1": rows.macro_f1(drawn["macro_f1"])}
    for metric in ("worst_group", *GAPS):
        found[metric] = rows.extreme(metric, drawn.get(metric))
        found[metric] = replace(found[metric], chance=chances.get(metric), no_chance=reasons.get(metric))
    single = rows.plan.classes[0] if len(rows.plan.classes) == 1 else None
    return Judgement(
        n=counts.n,
        accuracy=rows.share("accuracy", single, None),
        **found,
        groups=rows.groups(single),
        left_out=left_out(rows.plan),
        min_group=rows.plan.min_group,
        seed=seed,
        draws=draws,
        positive=None if single is None else counts.classes[single],
    )


def _none(what: str) -> str:
    return f"none: {what}"


def _told_few(sizes: FloatArray, amounts: FloatArray, needed: int) -> str | None:
    """That clusters of such sizes are worth fewer of equal size than needed, in words; ``None`` where they suffice."""
    clusters, equal = int(amounts @ (sizes > 0)), float(worth(sizes, amounts))
    if equal >= needed - 1e-9:
        return None
    uneven = f" of uneven size, worth {int(equal)} of equal size" if clusters >= needed else ""
    return f"{clusters} clusters{uneven}, of {needed} needed"


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows in clusters, and which groups enter which rate."""

    answers: JointCounts
    plan: GapPlan
    confidence: float

    @cached_property
    def units(self) -> tuple[FloatArray, FloatArray]:
        """(T,) clusters of each kind, and (T, K) what each holds."""
        amounts, kinds = self.answers.units()
        held = np.eye(len(amounts)) if kinds is None else kinds.astype(np.float64)
        return amounts.astype(np.float64), held

    def _sums(self, key: Key, members: BoolArray) -> tuple[FloatArray, FloatArray]:
        """(T, E) successes and rows of a rate in a cluster of each kind, for the (K, E) members."""
        within, success = rate_cells(self.answers.labels, self.answers.predictions_a, *key)
        held = self.units[1]
        return held @ (members & success[:, None]), held @ (members & within[:, None])

    def rates(self, key: Key, confidence: float) -> EffectiveRates:
        """A rate of the groups that enter it, as sure as an interval of this confidence takes it for."""
        return effective_rates(
            *self._sums(key, self.answers.patterns[:, self.plan.eligible[key]]), self.units[0], confidence
        )

    def pair_limits(self, _: GapPlan, key: Key, z: float) -> tuple[FloatArray, FloatArray]:
        """(E, E) limits of rate i minus rate j at ``z`` standard errors."""
        found = self.rates(key, float(1 - 2 * stats.norm.sf(z)))
        one = found.successes, found.totals
        rows, columns = (one[0][:, None], one[1][:, None]), (one[0][None, :], one[1][None, :])
        return newcombe_z(rows, columns, z, found.correlation)

    def _too_few(self, metric: str) -> str | None:
        """That a group which enters a metric has too few clusters; the more groups, the more it takes."""
        bundles = ((("accuracy", None),),) if metric == "worst_group" else self.plan.bundles(metric)
        found = []
        for key in {key for bundle in bundles for key in bundle}:
            chosen = np.flatnonzero(self.plan.eligible[key])
            _, rows = self._sums(key, self.answers.patterns[:, chosen])
            needed = max(FEWEST, FEWEST_A_GROUP * len(chosen))
            for place, of_group in zip(chosen, rows.T, strict=True):
                told = _told_few(of_group, self.units[0], needed)
                found += [(told, self.answers.groups[place])] if told else []
        return _none(f"members of {found[0][1]} in {found[0][0]}") if found else None

    def extreme(self, metric: str, drawn: FloatArray | None) -> Estimate:
        """A gap or the worst group with its interval and standard error, no chance level yet."""
        worst = metric == "worst_group"
        estimate = self.plan.worst_group() if worst else self.plan.gap(metric)
        if estimate.value is None or drawn is None:
            return estimate
        if none := self._too_few(metric):
            return replace(estimate, interval=none)
        stderr, undefined = standard_error(drawn)
        if worst:
            entering = int(self.plan.eligible["accuracy", None].sum())
            every = max((1 + self.confidence) / 2, self.confidence ** (1 / entering))  # as worst_interval takes it
            rates = self.rates(("accuracy", None), 2 * every - 1)
            limits = worst_interval(self.plan, self.confidence, Tally(rates.successes, rates.totals))
        else:
            limits = gap_interval(self.plan, metric, self.confidence, self.pair_limits)
        low, high = limits or (None, None)
        kind = f"simultaneous over {int(self.units[0].sum()):,} clusters"
        return replace(estimate, stderr=stderr, low=low, high=high, interval=kind, undefined_draws=undefined)

    def bootstrap(self, draws: int, rng: np.random.Generator) -> dict[str, FloatArray]:
        """(draws,) values of every metric in draws of whole clusters; metrics that no data define are absent."""
        answers, size = self.answers, len(self.answers.classes)
        cells = cell_features(answers.patterns, answers.labels, answers.predictions_a, self.plan.classes)
        confused = np.eye(size * size)[answers.labels * size + answers.predictions_a]
        amounts, held = self.units
        features = held @ np.concatenate([cells, confused], axis=1)
        summed = np.empty((draws, features.shape[1]))
        for rows, drawn in resample(amounts.astype(np.int64), draws, rng):
            summed[rows] = drawn @ features
        tallies = tallies_of_features(summed[:, : cells.shape[1]].T, len(answers.groups), self.plan.classes)
        matrices = summed[:, cells.shape[1] :].reshape(-1, size, size)
        found = {"macro_f1": np.nanmean(f1_of_classes(matrices), axis=-1), **gap_values(self.plan, tallies)}
        worst = worst_values(self.plan, tallies)
        return found if worst is None else {**found, "worst_group": worst}

    def macro_f1(self, drawn: FloatArray) -> Estimate:
        """As :func:`groupgap.metrics.macro_f1`, with Wilson's interval at the size that has its standard error.

        A percentile interval would be too short where few clusters hold a wrong answer. Of those that hold one only
        half count for how sure the error is: a cluster that brings a mistake may bring many.
        """
        counts, (amounts, held) = self.plan.counts, self.units
        value, stderr = macro_f1_value(counts), standard_error(drawn)[0]
        right = self.answers.labels == self.answers.predictions_a
        rests_on = int(min(amounts @ (held @ right > 0), amounts @ (held @ ~right > 0)))
        clusters, sizes = int(amounts.sum()), held.sum(axis=1)
        told = _told_few(sizes, amounts, FEWEST)
        if told or value is None:
            return Estimate(value, counts.n, interval=_none(told or "no rows"))
        if rests_on < 2:
            return Estimate(
                value, counts.n, interval=_none(f"wrong or right answers in {rests_on} clusters, of 2 needed")
            )
        if not stderr:
            return Estimate(value, counts.n, interval=_none("all draws alike"))
        equal = float(worth(sizes**2, amounts))
        size = value * (1 - value) / stderr**2 * float(sureness(min(equal, rests_on) / 2, self.confidence))
        low, high = wilson(value * size, size, self.confidence)
        kind = f"Wilson over {clusters:,} clusters"
        return Estimate(value, counts.n, None, stderr, float(low), float(high), kind)

    def share(self, rate: str, class_index: int | None, group: int | None) -> Estimate:
        """One rate, of all rows or of a group, with Wilson's interval at the effective number of rows."""
        members = (
            np.ones(len(self.answers.labels), dtype=np.bool_) if group is None else self.answers.patterns[:, group]
        )
        hits, sizes = self._sums((rate, class_index), members[:, None])
        found = share_over(hits[:, 0], sizes[:, 0], self.units[0], "no rows", self.confidence)
        told = _told_few(sizes[:, 0], self.units[0], FEWEST)
        if told is None or int((self.units[0] @ (sizes > 0)).item()) == found.n:
            return found
        return replace(found, stderr=None, low=None, high=None, interval=_none(told))

    def groups(self, positive: int | None) -> dict[str, GroupRates]:
        """The rates of every group, and how its members differ from all others."""
        found = {}
        for place, (name, rates) in enumerate(group_rates(self.plan.counts, positive, self.confidence).items()):
            defined = (rate for rate in RATES if getattr(rates, rate).value is not None)
            told: dict[str, Any] = {rate: self.share(rate, positive, place) for rate in defined}
            found[name] = replace(rates, **told, member_gap=self._member_gap(rates.member_gap, place))
        return found

    def _member_gap(self, estimate: Estimate, group: int) -> Estimate:
        """Accuracy of members minus that of others, with Newcombe's interval of correlated shares."""
        if estimate.value is None:
            return estimate
        member = self.answers.patterns[:, group]
        sums = self._sums(("accuracy", None), np.c_[member, ~member])
        told = [few for side in sums[1].T if (few := _told_few(side, self.units[0], FEWEST))]
        if told:
            none = _none(f"members or others in {told[0]}")
            return replace(estimate, stderr=None, low=None, high=None, interval=none)
        found = effective_rates(*sums, self.units[0], self.confidence)
        one, other = ((found.successes[at : at + 1], found.totals[at : at + 1]) for at in (0, 1))
        rho = float(found.correlation[0, 1])
        low, high = newcombe_z(one, other, two_sided_z(self.confidence), rho)
        first, second = found.stderr
        stderr = float(np.sqrt(max(0.0, first**2 + second**2 - 2 * rho * first * second)))
        kind = f"Newcombe hybrid score over {int(self.units[0].sum()):,} clusters"
        return replace(estimate, stderr=stderr, low=float(low[0]), high=float(high[0]), interval=kind)
