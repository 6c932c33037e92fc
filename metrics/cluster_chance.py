"""The gap expected by chance where rows come in clusters: memberships exchanged between like clusters, and within them.

Null hypothesis: which of these groups a row belongs to has nothing to do with its answer, nor with its cluster's. Then
clusters of one size are alike whatever their groups, and so are the rows of one cluster. A draw hands whole clusters'
memberships to clusters of the same size at random, and shuffles them among the rows of each. Where a cluster lies in
one group this exchanges clusters, where all clusters hold all groups (pairs) it exchanges rows within them, and mixed
clusters are exchanged in both ways. Rows of one cluster may depend on each other in any way.

For TPR and FPR only clusters with as many rows of each label are alike, and only rows of one label: a difference in
base rate is no gap there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .chance import chance_of
from .estimate import Chance
from .gaps import GAPS, GapPlan, Key, gap_values
from .joint import JointCounts
from .rates import Tally, rate_cells

__all__ = ["cluster_chances", "exchanged_gaps"]

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FAMILIES = (("accuracy_spread", "dpd"), ("eopp",), ("eod", "eod_mean"))  # each has its own draws
FIXED = 0.2  # largest share of rows that no draw moves: their part of a gap would be taken for chance
_PLACED = 20_000_000  # rows placed for a family, and so a bound of its time ...
_FEWEST = 999  # ... but at least so many draws
_CHUNK = 1 << 22  # rows placed at a time, for the memory


@dataclass(frozen=True, eq=False)
class _Alike:
    """Clusters that may take each other's memberships.

    Attributes:
        cells: (C, s) the cell of each row, those of one label together; in as few bytes as they need.
        members: (C, s, G) bool, the groups that enter.
        between: whether the clusters' memberships differ.
        mixed: for each label (for rates over all labels once) the places of its rows, and the clusters in which they
            are of several memberships.
    """

    cells: npt.NDArray[np.integer]
    members: BoolArray
    between: bool
    mixed: tuple[tuple[slice, IntArray], ...]

    @property
    def moved(self) -> int:
        """Rows whose membership a draw can change."""
        if self.between:
            return self.cells.size
        return sum(len(clusters) * (places.stop - places.start) for places, clusters in self.mixed)

    def draw(self, draws: int, rng: np.random.Generator) -> npt.NDArray[np.integer]:
        """(draws, C, s) the cells that come to stand at each membership."""
        if self.between:
            order = rng.permuted(np.tile(np.arange(len(self.cells)), (draws, 1)), axis=1)
            placed: npt.NDArray[np.integer] = self.cells[order]
        else:
            placed = np.repeat(self.cells[None], draws, axis=0)
        for places, clusters in self.mixed:
            placed[:, clusters, places] = rng.permuted(placed[:, clusters, places], axis=2)
        return placed


def _alike(answers: JointCounts, plan: GapPlan, keys: Sequence[Key]) -> list[_Alike]:
    """The rows in a denominator of these rates and in a group that enters it, by clusters that are alike."""
    patterns = np.zeros_like(answers.patterns)
    for key in keys:
        within, _ = rate_cells(answers.labels, answers.predictions_a, *key)
        patterns |= answers.patterns & plan.eligible[key] & within[:, None]
    of_label = keys[0][0] in ("tpr", "fpr")
    label = answers.labels if of_label else np.zeros_like(answers.labels)
    chosen = np.flatnonzero(patterns.any(axis=1))
    chosen = chosen[np.argsort(label[chosen], kind="stable")]
    amounts, kinds = _units(answers, chosen)
    rows_of_label = kinds @ (label[chosen][:, None] == np.arange(len(answers.classes)))
    like, found = np.unique(rows_of_label, axis=0, return_inverse=True)
    return [
        _stratum(kinds[found.ravel() == place], amounts[found.ravel() == place], (chosen, patterns[chosen]), of_each)
        for place, of_each in enumerate(like)
        if of_each.any()
    ]


def _units(answers: JointCounts, chosen: IntArray) -> tuple[IntArray, IntArray]:
    """How many clusters there are of each kind, and (T, K) what each holds of the chosen cells."""
    amounts, kinds = answers.units()
    return amounts, np.eye(len(answers.counts), dtype=np.int64)[:, chosen] if kinds is None else kinds[:, chosen]


def _stratum(kinds: IntArray, amounts: IntArray, cells: tuple[IntArray, BoolArray], of_label: IntArray) -> _Alike:
    """Clusters with so many rows ``of_label`` each, from (T, K) what their kinds hold of the ``cells``."""
    named, patterns = cells
    size = int(of_label.sum())
    kind, cell = np.nonzero(kinds)
    rows = np.repeat(cell, kinds[kind, cell]).reshape(len(kinds), size)
    _, code = np.unique(np.packbits(patterns, axis=1), axis=0, return_inverse=True)
    pattern = code.ravel()[rows]
    ends = np.cumsum(of_label)
    blocks = [slice(int(end - width), int(end)) for end, width in zip(ends, of_label, strict=True) if width]
    composition = np.concatenate([np.sort(pattern[:, block], axis=1) for block in blocks], axis=1)
    between = bool((composition != composition[0]).any())
    place = np.repeat(np.arange(len(kinds)), amounts)
    mixed = [(block, (pattern[:, block] != pattern[:, block][:, :1]).any(axis=1)[place]) for block in blocks]
    several = tuple((block, np.flatnonzero(those)) for block, those in mixed if those.any())
    small = np.min_scalar_type(int(named.max()))
    return _Alike(named.astype(small)[rows[place]], patterns[rows[place]], between, several)


def _successes(
    plan: GapPlan, right: Mapping[Key, IntArray], alike: Sequence[_Alike], draws: int, rng: np.random.Generator
) -> dict[Key, FloatArray]:
    """Successes (G, draws) of each rate under exchanged memberships, from the (K,) successes of a row of each cell."""
    successes = {key: np.zeros((len(plan.counts.groups), draws)) for key in right}
    weights = {key: success.astype(np.float32) for key, success in right.items()}  # whole numbers: exact to 2^24
    for one in alike:
        placed = one.draw(draws, rng).reshape(draws, -1)
        members = one.members.reshape(placed.shape[1], -1).astype(np.float32)
        for key, weight in weights.items():
            successes[key] += (np.take(weight, placed) @ members).T
    return successes


def exchanged_gaps(
    answers: JointCounts,
    plan: GapPlan,
    metrics: Sequence[str],
    draws: int,
    rng: np.random.Generator,
    said: IntArray | None = None,
) -> dict[str, FloatArray] | str:
    """Gaps of one family under exchanged memberships.

    Args:
        answers: of one system, from :func:`groupgap.metrics.clustered.count_clusters`.
        plan: of ``answers.a``.
        metrics: of one family, each defined by the plan.
        draws: number of draws; fewer, but at least 999, where there are so many rows that they would take long.
        rng: the source.
        said: (K, S) class index that each of several systems predicts in a cell of ``answers``, whose own predictions
            only tell cells apart then; the plan is of any of the systems, and the gaps are of the mean of their rates.

    Returns:
        Metric to (draws,) gaps; or, in words, why memberships cannot be exchanged.
    """
    keys = tuple(dict.fromkeys(key for metric in metrics for bundle in plan.bundles(metric) for key in bundle))
    alike = _alike(answers, plan, keys)
    rows = sum(one.cells.size for one in alike)
    fixed = rows - sum(one.moved for one in alike)
    if fixed > FIXED * rows:
        also = " with as many rows of each label" if keys[0][0] in ("tpr", "fpr") else " with as many rows"
        return f"{fixed:,} of {rows:,} rows lie in units of one group, and no unit{also} holds another to exchange"
    predicted = answers.predictions_a[:, None] if said is None else said
    right = {key: rate_cells(answers.labels[:, None], predicted, *key)[1].sum(axis=1) for key in keys}
    number = min(draws, max(_FEWEST, _PLACED // rows))
    values: dict[str, list[FloatArray]] = {metric: [] for metric in metrics}
    for size in _chunks(number, max(1, _CHUNK // rows)):
        tallies = {
            key: Tally(found / predicted.shape[1], plan.tallies[key].totals[:, None])
            for key, found in _successes(plan, right, alike, size, rng).items()
        }
        for metric, drawn in gap_values(plan, tallies, metrics).items():
            values[metric].append(drawn)
    return {metric: np.concatenate(parts) for metric, parts in values.items()}


def _chunks(total: int, most: int) -> Iterator[int]:
    return (min(most, total - start) for start in range(0, total, most))


def cluster_chances(
    answers: JointCounts,
    plan: GapPlan,
    draws: int,
    rng: np.random.Generator,
    said: IntArray | None = None,
    measured: Mapping[str, float | None] | None = None,
) -> tuple[dict[str, Chance], dict[str, str]]:
    """The chance level of every gap, and why there is none.

    Args:
        answers: as for :func:`exchanged_gaps`.
        plan: of ``answers.a``.
        draws: number of draws, as for ``exchanged_gaps``.
        rng: the source.
        said: as for ``exchanged_gaps``.
        measured: the gaps of these systems; by default those of the plan.

    Returns:
        Metric to its chance level; and metric to the reason, for gaps that have a value but no chance level.

    The p-value is exact, since the draws are uniform over exchanges that the null hypothesis allows: Phipson & Smyth
    2010, Statistical Applications in Genetics and Molecular Biology 9:39.
    """
    found: dict[str, Chance] = {}
    reasons: dict[str, str] = {}
    values = {metric: plan.gap(metric).value for metric in GAPS} if measured is None else measured
    for family, child in zip(FAMILIES, rng.spawn(len(FAMILIES)), strict=True):
        defined = [metric for metric in family if plan.bundles(metric)]
        if not defined:
            continue
        drawn = exchanged_gaps(answers, plan, defined, draws, child, said)
        for metric in defined:
            value = values[metric]
            if isinstance(drawn, str):
                reasons[metric] = drawn
            elif value is not None:
                found[metric] = chance_of(value, drawn[metric])
    return found, reasons
