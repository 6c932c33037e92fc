"""Multinomial bootstrap on cells: every metric of every draw from one matrix product, at a cost free of n."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from .arguments import check_draws
from .counts import Counts
from .gaps import GapPlan, Key, gap_values, plan_gaps, worst_values
from .rates import Tally

__all__ = [
    "bootstrap",
    "bootstrap_metrics",
    "bootstrap_tallies",
    "cell_features",
    "metrics_in_draws",
    "percentile_interval",
    "resample",
    "tallies_of_features",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Blocks = Iterable[tuple[slice, FloatArray]]  # rows of some draws, and their (rows, K) drawn counts

_CHUNK_BYTES = 1 << 24  # of one block of drawn cells; the draws do not depend on it


def resample(counts: IntArray, draws: int, rng: np.random.Generator) -> Iterator[tuple[slice, FloatArray]]:
    """Multinomial draws of a table of cells, block by block.

    Args:
        counts: (K,) with a positive sum.
        draws: number of draws.
        rng: consumed draw by draw, so the result does not depend on the size of the blocks.

    Yields:
        The rows of the block and its (rows, K) drawn counts, in the order of ``counts``.
    """
    order = np.argsort(-counts, kind="stable")  # large cells first: numpy stops a draw once all samples are placed
    total = int(counts.sum())
    shares = counts[order] / total
    rows = max(1, _CHUNK_BYTES // (8 * max(1, len(counts))))
    for start in range(0, draws, rows):
        stop = min(start + rows, draws)
        drawn = np.empty((stop - start, len(counts)))
        drawn[:, order] = rng.multinomial(total, shares, size=stop - start)
        yield slice(start, stop), drawn


def cell_features(
    patterns: npt.NDArray[np.bool_], labels: IntArray, predictions: IntArray, classes: tuple[int, ...]
) -> FloatArray:
    """(K, F) indicators whose sums over cells are the group counts that every rate is made of.

    The F columns are blocks of G: members, right answers, then for each class selected, positives, true positives.
    """
    members = patterns.astype(np.float64)
    blocks = [members, members * (labels == predictions)[:, None]]
    for index in classes:
        selected, positive = predictions == index, labels == index
        blocks += [members * one[:, None] for one in (selected, positive, selected & positive)]
    return np.concatenate(blocks, axis=1)


def tallies_of_features(features: FloatArray, groups: int, classes: tuple[int, ...]) -> dict[Key, Tally]:
    """Tallies of every key from summed features.

    Args:
        features: (F, draws), in the order of :func:`cell_features`.
        groups: G.
        classes: class indices of the features.

    Returns:
        (G, draws) successes and totals for each key.
    """
    blocks = features.reshape(-1, groups, *features.shape[1:])
    members = blocks[0]
    tallies: dict[Key, Tally] = {("accuracy", None): Tally(blocks[1], members)}
    for position, index in enumerate(classes):
        selected, positive, true_positive = blocks[2 + 3 * position : 5 + 3 * position]
        tallies["selection_rate", index] = Tally(selected, members)
        tallies["tpr", index] = Tally(true_positive, positive)
        tallies["fpr", index] = Tally(selected - true_positive, members - positive)
    return tallies


def bootstrap_tallies(plan: GapPlan, draws: int, blocks: Blocks) -> tuple[dict[Key, Tally], FloatArray]:
    """Tallies (G, draws) of draws of the plan's cells, and the (draws,) overall accuracy in each."""
    counts = plan.counts
    right = (counts.labels == counts.predictions).astype(np.float64)[:, None]
    features = np.concatenate(
        [cell_features(counts.patterns, counts.labels, counts.predictions, plan.classes), right], axis=1
    )
    summed = np.empty((features.shape[1], draws))
    for rows, drawn in blocks:
        summed[:, rows] = features.T @ drawn.T
    return tallies_of_features(summed[:-1], len(counts.groups), plan.classes), summed[-1] / counts.n


def bootstrap(
    counts: Counts, rng: np.random.Generator, positive: int | None = None, min_group: int = 30, draws: int = 10_000
) -> dict[str, FloatArray]:
    """Draws of every metric: overall accuracy, worst group, and the gaps.

    Args:
        counts: of one system.
        rng: the source of the draws.
        positive: as for :func:`groupgap.metrics.judge`.
        min_group: as for :func:`groupgap.metrics.judge`; the groups that enter are those of the data, in every draw.
        draws: number of draws.

    Returns:
        Metric to (draws,) values, NaN in a draw in which it is undefined; metrics that no data define are absent.

    Source: Efron & Tibshirani 1993, chapter 6; resampling n samples is a multinomial draw of the cells.

    Example:
        >>> from groupgap.metrics import count
        >>> answers = count([1, 0] * 50, [1, 1] * 50, ["a", "a", "b", "b"] * 25)
        >>> values = bootstrap(answers, np.random.default_rng(0), positive=1, draws=1000)
        >>> sorted(values)
        ['accuracy', 'accuracy_spread', 'dpd', 'worst_group']
        >>> bool(abs(values["accuracy"].std() - 0.05) < 0.005)
        True
    """
    return bootstrap_metrics(plan_gaps(counts, positive, min_group), check_draws(draws), rng)


def bootstrap_metrics(plan: GapPlan, draws: int, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Draws of every metric by a given plan, as :func:`bootstrap`."""
    return metrics_in_draws(plan, draws, resample(plan.counts.counts, draws, rng)) if plan.counts.n else {}


def metrics_in_draws(plan: GapPlan, draws: int, blocks: Blocks) -> dict[str, FloatArray]:
    """Every metric in given draws of the plan's cells, as :func:`bootstrap`."""
    tallies, accuracy = bootstrap_tallies(plan, draws, blocks)
    worst = worst_values(plan, tallies)
    return {
        "accuracy": accuracy,
        **({} if worst is None else {"worst_group": worst}),
        **gap_values(plan, tallies),
    }


def percentile_interval(values: npt.ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """The percentile bootstrap interval. For smooth metrics only (accuracy, rates): of a gap it covers 0 to 80%."""
    tail = 50 * (1 - confidence)
    low, high = np.nanpercentile(np.asarray(values, dtype=np.float64), [tail, 100 - tail])
    return float(low), float(high)
