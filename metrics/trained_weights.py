"""Two methods as trained: do these weights differ on other samples? A sample is drawn with the answers of all seeds.

The answers of several seeds to one sample are one cluster: they tend to be right or wrong together, so that five seeds
on 200 samples are not 1,000 samples. All denominators here are samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from .arguments import check_confidence, check_draws, check_min_group, check_seed
from .estimate import Estimate
from .gaps import GAPS, GapPlan, Key, plan_gaps
from .joint import JointCounts, count_pair
from .paired import WORDS, Comparison, Difference, extreme_difference, paired_tallies, rate_difference, with_q_values
from .rates import Tally, tally

__all__ = ["SeedPlan", "compare_weights", "stack_seeds"]

THESE = "for these trained weights, on other samples"
NULL_RATE = (
    "{these}: swapping all seeds' answers of A and B to a sample changes nothing; the mean {rate}{where} is equal"
)
NULL_GAP = "{these}: the true {metric} of A, of rates averaged over the seeds, equals that of B"


@dataclass(frozen=True, eq=False)
class SeedPlan(GapPlan):
    """A plan of stacked answers whose denominators are samples, not answers.

    Attributes:
        seeds: answers of each sample.
    """

    seeds: int = 1

    @cached_property
    def tallies(self) -> dict[Key, Tally]:
        """Successes, averaged over the seeds, and samples of each key in each group."""
        found = {(rate, index): tally(self.counts, rate, index) for rate, index in self.keys}
        return {key: Tally(one.successes / self.seeds, one.totals / self.seeds) for key, one in found.items()}

    def samples(self, keys: tuple[Key, ...]) -> int:
        """Samples in the denominator of any of these rates for any eligible group."""
        return super().samples(keys) // self.seeds


def stack_seeds(
    labels: npt.ArrayLike,
    predictions: tuple[npt.ArrayLike, npt.ArrayLike],
    membership: npt.ArrayLike,
    groups: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    clusters: npt.ArrayLike | None = None,
) -> JointCounts:
    """Count the answers of two methods' seeds, each sample with all its answers as one cluster.

    Args:
        labels: (n,) class indices or names.
        predictions: (seeds, n) of method A and (seeds, n) of method B, the same seeds in the same order.
        membership: as for :func:`groupgap.metrics.count`, n rows.
        groups: as for ``count``.
        classes: as for ``count``.
        clusters: (n,) samples that are one unit themselves (a sentence pair): one cluster with all their answers.

    Raises:
        GroupgapError: for other shapes, and as for ``count``.

    Example:
        >>> joint = stack_seeds([1, 0], ([[1, 0], [1, 1]], [[0, 0], [1, 0]]), ["a", "b"])
        >>> joint.n, int(joint.clusters.counts.sum())
        (4, 2)
    """
    label, members = np.asarray(labels), np.asarray(membership)
    answers = [np.asarray(one) for one in predictions]
    for name, one in zip("AB", answers, strict=True):
        if one.ndim != 2 or not len(one) or one.shape != answers[0].shape or one.shape[1:] != label.shape:
            raise GroupgapError(
                f"Expected the predictions of {name} to be (seeds, {len(label)}), the same seeds as the other method, "
                f"but got shape {one.shape}"
            )
    seeds = len(answers[0])
    stacked = np.concatenate([members] * seeds)
    both = (answers[0].ravel(), answers[1].ravel())
    units = np.arange(len(label)) if clusters is None else np.asarray(clusters)
    return count_pair(np.tile(label, seeds), both, stacked, groups, classes, np.tile(units, seeds))


def compare_weights(
    joint: JointCounts,
    seeds: int,
    positive: int | None = None,
    *,
    min_group: int = 30,
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Compare the trained weights of two methods: rates averaged over their seeds, on other samples.

    Args:
        joint: from :func:`stack_seeds`.
        seeds: answers of each sample.
        positive: index of the favourable class, as for :func:`groupgap.metrics.judge`.
        min_group: smallest denominator, in samples, with which a group enters a minimum or maximum.
        draws: bootstrap draws of whole samples.
        seed: of the draws.
        confidence: of the intervals.

    Returns:
        As :func:`groupgap.metrics.compare` with clusters, in units of samples; the estimates of A and of B have no
        interval of their own.

    Raises:
        GroupgapError: for an argument out of range, or counts that do not hold ``seeds`` answers of every sample.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels, groups = np.ones(200, dtype=int), np.repeat(["a", "b"], 100)
        >>> a, b = (rng.random((3, 200)) < 0.9).astype(int), (rng.random((3, 200)) < 0.7).astype(int)
        >>> found = compare_weights(stack_seeds(labels, (a, b), groups), 3, positive=1, draws=999).find("accuracy")
        >>> found.n, round(found.value, 3), found.p_value < 0.001
        (200, 0.202, True)
    """
    check_draws(draws), check_seed(seed), check_confidence(confidence), check_min_group(min_group)
    if joint.clusters is None or seeds < 1 or (joint.clusters.kinds.sum(axis=1) % seeds).any():
        raise GroupgapError(f"Expected {seeds} answers of every sample: count them with stack_seeds()")
    plans = tuple(plan_gaps(one, positive, min_group) for one in (joint.a, joint.b))
    a, b = (SeedPlan(plan.counts, plan.classes, plan.min_group, seeds) for plan in plans)
    drawn = paired_tallies(joint, a, draws, np.random.default_rng(seed))
    everywhere: list[int | None] = [None, *range(len(joint.groups))]
    overall, *by_group = ([_rate(joint, seeds, key, group, confidence) for key in a.keys] for group in everywhere)
    unit = joint.n / seeds / max(1, int(joint.clusters.counts.sum()))
    extreme = []
    for metric in ("worst_group", *GAPS):
        estimates = (a.worst_group(), b.worst_group()) if metric == "worst_group" else (a.gap(metric), b.gap(metric))
        one = extreme_difference((a, b), metric, estimates, drawn, confidence, unit)
        null = None if one.null is None else NULL_GAP.format(these=THESE, metric=WORDS[metric])
        extreme.append(replace(one, null=null))
    single = len(a.classes) == 1
    found = [*overall, *extreme, *(one for group in by_group for one in group)]
    return Comparison(
        n=joint.n // seeds,
        differences=with_q_values([replace(one, class_name=None) if single else one for one in found]),
        min_group=a.min_group,
        draws=draws,
        seed=seed,
        positive=joint.classes[a.classes[0]] if single else None,
        clusters=int(joint.clusters.counts.sum()),
    )


def _rate(joint: JointCounts, seeds: int, key: Key, group: int | None, confidence: float) -> Difference:
    """One rate, in units of samples."""
    found = rate_difference(joint, *key, group, confidence)
    shown = replace(
        found,
        n=found.n // seeds,
        a=_of_samples(found.a, seeds),
        b=_of_samples(found.b, seeds),
        only_a=None,  # how many answers only A has right depends on which seed stands beside which
        only_b=None,
    )
    if found.value is None:
        return shown
    where = "" if found.group is None else f" of {found.group}"
    null = NULL_RATE.format(these=THESE, rate=WORDS[found.metric], where=where)
    return replace(shown, test="exact swap test of whole samples", interval="t over samples", null=null)


def _of_samples(estimate: Estimate, seeds: int) -> Estimate:
    """The estimate with its denominator in samples, without the interval of independent answers."""
    return replace(estimate, n=estimate.n // seeds, stderr=None, low=None, high=None, interval=None)
