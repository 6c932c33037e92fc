"""The gap expected by chance: memberships permuted against the answers, drawn on counts.

A permutation exchanges the memberships of samples that belong to a group entering the rate, never those of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from .arguments import check_draws
from .counts import Counts
from .estimate import Chance
from .gaps import GAPS, GapPlan, Key, gap_values
from .rates import Tally, rate_cells
from .shared_draws import BLOCK_SIZE, SAMPLES_A_CELL, deal_groups

__all__ = [
    "Answered",
    "chance_gaps",
    "chance_of",
    "chances_of",
    "permuted_gaps",
    "permuted_tables",
    "shared_permuted_gaps",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_BLOCK = 2_500  # draws made at a time; part of the definition of a seeded result, so a constant
_LIMIT = 1_000_000_000  # numpy's hypergeometric sampler takes no more


def permuted_tables(
    patterns: BoolArray, rows: IntArray, columns: IntArray, draws: int, rng: np.random.Generator
) -> IntArray:
    """Group tables when patterns are permuted against outcomes, both margins held.

    Args:
        patterns: (P, G) bool.
        rows: (P,) samples with each pattern.
        columns: (C,) samples with each outcome; the same sum.
        draws: number of permutations.
        rng: the source.

    Returns:
        (G, C, draws): samples of each group with each outcome.

    Draws the P x C table pattern by pattern, outcome by outcome, from the hypergeometric distribution, which is what a
    uniform permutation of the samples does to the counts.
    """
    left = np.repeat(columns[:, None], draws, axis=1)
    tables = np.zeros((patterns.shape[1], len(columns), draws), dtype=np.int64)
    *order, last = np.argsort(rows, kind="stable")  # the largest row takes what is left and costs nothing
    for row in order:
        missing = np.full(draws, rows[row], dtype=np.int64)
        later = left.sum(axis=0)
        taken = np.empty_like(left)
        for column in range(len(columns) - 1):
            later = later - left[column]
            taken[column] = rng.hypergeometric(left[column], later, missing)
            missing = missing - taken[column]
        taken[-1] = missing
        left -= taken
        tables[patterns[row]] += taken
    tables[patterns[last]] += left
    return tables


@dataclass(frozen=True, eq=False)
class Answered:
    """Samples with the answers of one system, or of several that are judged by the mean of their rates.

    Attributes:
        patterns: (K, G) bool, the groups that the samples of a cell belong to.
        labels: (K,) class index.
        predictions: (K, S) class index, of each of S systems.
        counts: (K,) samples in the cell.
    """

    patterns: BoolArray
    labels: IntArray
    predictions: IntArray
    counts: IntArray

    @classmethod
    def of(cls, counts: Counts) -> Answered:
        """The samples of one system."""
        return cls(counts.patterns, counts.labels, counts.predictions[:, None], counts.counts)


@dataclass(frozen=True, eq=False)
class _Shuffle:
    """Samples whose memberships are exchanged for one another: a permutation of them in every draw.

    Attributes:
        label: of the samples; ``None``: any.
        patterns: (P, G) bool, distinct memberships in the groups that enter.
        rows: (P,) samples with each pattern.
        outcomes: (C, R) how many of the systems succeed at a sample, in each rate.
        columns: (C,) samples with each outcome.
        keys: the R rates that are read from these draws.
        systems: how many systems there are.
    """

    label: int | None
    patterns: BoolArray
    rows: IntArray
    outcomes: FloatArray
    columns: IntArray
    keys: tuple[Key, ...]
    systems: int

    @property
    def samples(self) -> tuple[int | None, bytes, bytes]:
        """Whose memberships are exchanged: the same for shuffles that one permutation serves."""
        return self.label, self.patterns.tobytes(), self.rows.tobytes()

    def successes(self, draws: int, rng: np.random.Generator) -> FloatArray:
        """(G, R, draws) successes of each group in each rate: drawn as tables or, where that is less, by sample."""
        if self.rows.sum() > SAMPLES_A_CELL * len(self.rows) * len(self.columns):
            return self.of_tables(permuted_tables(self.patterns, self.rows, self.columns, draws, rng))
        codes, samples = (np.repeat(np.arange(len(sizes)), sizes) for sizes in (self.rows, self.columns))
        found = np.empty((self.patterns.shape[1], len(self.keys), draws))
        for part in np.array_split(np.arange(draws), -(-draws * len(codes) // BLOCK_SIZE)):
            dealt = rng.permuted(np.broadcast_to(codes, (len(part), len(codes))), axis=1)
            for group, members in enumerate(self.patterns.T.astype(np.float64)):
                found[group][:, part] = (members[dealt] @ self.outcomes[samples]).T
        return found / self.systems

    def of_tables(self, tables: npt.NDArray[np.integer | np.floating]) -> FloatArray:
        """The same from (G, C, draws) members of each group with each outcome."""
        return np.asarray(np.einsum("gcd,cr->grd", tables, self.outcomes) / self.systems)


def _labels_of(key: Key, classes: int) -> tuple[int | None, ...]:
    """The labels within which memberships are exchanged for a rate; ``None``: over all labels at once."""
    rate, index = key
    if rate in ("accuracy", "selection_rate"):
        return (None,)
    return tuple(label for label in range(classes) if (label == index) == (rate == "tpr"))


def _shuffles(plan: GapPlan, answered: Answered, metrics: Sequence[str]) -> list[_Shuffle]:
    """What is permuted for these gaps.

    Only samples in a group that enters the rate take part: a sample that belongs to none of them says nothing of the
    gap, and its answers may be of another kind altogether. Rates for which the same samples take part, in the same
    groups, share one permutation.
    """
    keys = dict.fromkeys(key for metric in metrics for bundle in plan.bundles(metric) for key in bundle)
    shared: dict[tuple[int | None, bool, bytes], list[Key]] = {}
    for key in keys:
        for label in _labels_of(key, len(plan.counts.classes)):
            same = (label, key[0] == "accuracy", plan.eligible[key].tobytes())
            shared.setdefault(same, []).append(key)
    found = (
        _shuffle(answered, label, tuple(of_label), plan.eligible[of_label[0]])
        for (label, _, _), of_label in shared.items()
    )
    return [shuffle for shuffle in found if len(shuffle.rows)]


def _shuffle(answered: Answered, label: int | None, keys: tuple[Key, ...], eligible: BoolArray) -> _Shuffle:
    """The samples with this label (``None``: any) that belong to a group that enters these rates."""
    patterns = answered.patterns & eligible
    chosen = patterns.any(axis=1) & (answered.labels == label if label is not None else True)
    patterns, amounts = patterns[chosen], answered.counts[chosen]
    labels, predictions = answered.labels[chosen, None], answered.predictions[chosen]
    success = [rate_cells(labels, predictions, *key)[1].sum(axis=1) for key in keys]
    _, first, row = np.unique(np.packbits(patterns, axis=1), axis=0, return_index=True, return_inverse=True)
    outcomes, column = np.unique(np.stack(success, axis=1).astype(np.float64), axis=0, return_inverse=True)
    rows, columns = (
        np.bincount(place.ravel(), amounts, size).astype(np.int64)
        for place, size in ((row, len(first)), (column, len(outcomes)))
    )
    return _Shuffle(label, patterns[first], rows, outcomes, columns, keys, predictions.shape[1])


def _tallies(plan: GapPlan, shuffled: Iterable[tuple[_Shuffle, FloatArray]]) -> dict[Key, Tally]:
    """Tallies of the rates under permuted memberships: successes (G, draws), totals (G, 1) as measured."""
    successes: dict[Key, FloatArray] = {}
    for shuffle, found in shuffled:
        for place, key in enumerate(shuffle.keys):
            successes[key] = successes.get(key, 0.0) + found[:, place]
    return {key: Tally(found, plan.tallies[key].totals[:, None]) for key, found in successes.items()}


def permuted_gaps(
    plan: GapPlan,
    draws: int,
    rng: np.random.Generator,
    metrics: tuple[str, ...] = tuple(GAPS),
    answered: Answered | None = None,
) -> dict[str, FloatArray]:
    """Every gap under permuted groups.

    Args:
        plan: of the measured counts.
        draws: number of permutations.
        rng: the source; block ``i`` of 2,500 draws has its own child generator.
        metrics: the gaps wanted.
        answered: several systems' answers to the samples of the plan: gaps of the mean of their rates.

    Returns:
        Metric to (draws,) gaps; metrics that the data do not define are absent.

    Memberships are exchanged among the samples of the groups that enter a rate, and of no others. For TPR and FPR they
    are exchanged within each label: a difference in base rate is no gap there. With more than two classes, rates of
    several classes may have other groups each; those are drawn independently, which the largest of several gaps
    allows: at 5% it rejects at most 5.2% of true nulls.

    Raises:
        GroupgapError: for 1,000,000,000 samples or more.
    """
    if plan.counts.n >= _LIMIT:
        raise GroupgapError(
            f"Expected fewer than {_LIMIT} samples for the chance level of a gap, but got {plan.counts.n}: judge a part"
        )
    wanted = [metric for metric in metrics if plan.bundles(metric)]
    shuffles = _shuffles(plan, answered or Answered.of(plan.counts), wanted)
    values: dict[str, list[FloatArray]] = {metric: [] for metric in wanted}
    for (start, stop), child in zip(_blocks(draws), rng.spawn(-(-draws // _BLOCK)), strict=True):
        found = ((one, one.successes(stop - start, child)) for one in shuffles)
        for metric, drawn in gap_values(plan, _tallies(plan, found), wanted).items():
            values[metric].append(drawn)
    return {metric: np.concatenate(parts) for metric, parts in values.items()}


def shared_permuted_gaps(
    plans: Sequence[GapPlan], draws: int, rng: np.random.Generator
) -> Iterator[dict[str, FloatArray]]:
    """:func:`permuted_gaps` of several systems that answered the same samples: the same permutations serve all."""
    shuffles = [_shuffles(plan, Answered.of(plan.counts), tuple(GAPS)) for plan in plans]
    alike: dict[tuple[int | None, bytes, bytes], list[_Shuffle]] = {}
    for one in chain.from_iterable(shuffles):
        alike.setdefault(one.samples, []).append(one)
    dealt = {
        samples: deal_groups(same[0].patterns, same[0].rows, [one.columns for one in same], draws, rng)
        for samples, same in alike.items()
    }
    for plan, own in zip(plans, shuffles, strict=True):
        found = ((one, one.of_tables(dealt[one.samples].of(one.columns))) for one in own)
        yield gap_values(plan, _tallies(plan, found))


def _blocks(draws: int) -> Iterator[tuple[int, int]]:
    """Starts and ends of blocks of draws."""
    return ((start, min(start + _BLOCK, draws)) for start in range(0, draws, _BLOCK))


def chance_of(value: float, permuted: FloatArray) -> Chance:
    """Median, 95th percentile and p-value of a measured gap among permuted ones.

    Source: Phipson & Smyth 2010: ``(1 + #{permuted >= measured}) / (draws + 1)``, never 0; ``>=`` up to 1e-12 so that
    ties count.
    """
    beyond = int((permuted >= value - 1e-12).sum())
    median, p95 = np.percentile(permuted, [50, 95])
    return Chance(float(median), float(p95), (1 + beyond) / (len(permuted) + 1), len(permuted))


def chance_gaps(plan: GapPlan, draws: int, rng: np.random.Generator) -> dict[str, Chance]:
    """The chance level of every gap that the data define.

    Example:
        >>> from groupgap.metrics import count, plan_gaps
        >>> answers = count([1] * 200, [1, 1, 1, 0] * 50, ["a", "b", "c", "a"] * 50)
        >>> chance = chance_gaps(plan_gaps(answers, positive=1), 999, np.random.default_rng(0))["accuracy_spread"]
        >>> chance.p_value
        0.001
    """
    check_draws(draws)
    return chances_of(plan, permuted_gaps(plan, draws, rng))


def chances_of(plan: GapPlan, permuted: Mapping[str, FloatArray]) -> dict[str, Chance]:
    """The chance level of every gap from its permuted values."""
    found = {}
    for metric, values in permuted.items():
        measured = plan.gap(metric).value
        if measured is not None:
            found[metric] = chance_of(measured, values)
    return found
