"""The gap expected by chance: membership patterns permuted against the answers, drawn on counts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from .arguments import check_draws
from .estimate import Chance
from .gaps import GAPS, GapPlan, Key, gap_values
from .rates import Tally

__all__ = ["WITHIN_LABEL", "chance_gaps", "chance_of", "permuted_gaps", "permuted_tables"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

WITHIN_LABEL = {"accuracy_spread": False, "dpd": False, "eopp": True, "eod": True, "eod_mean": True}

_BLOCK = 2_500  # draws made at a time; part of the definition of a seeded result, so a constant
_LIMIT = 1_000_000_000  # numpy's hypergeometric sampler takes no more


def permuted_tables(
    patterns: npt.NDArray[np.bool_], rows: IntArray, columns: IntArray, draws: int, rng: np.random.Generator
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


def _margins(plan: GapPlan, chosen: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], IntArray]:
    """Distinct patterns, over the groups that enter any rate, and their samples among the chosen cells."""
    counts = plan.counts
    entering = np.any(np.stack(list(plan.eligible.values())), axis=0)
    patterns = counts.patterns[chosen] & entering
    _, first, row = np.unique(np.packbits(patterns, axis=1), axis=0, return_index=True, return_inverse=True)
    return patterns[first], np.bincount(row.ravel(), counts.counts[chosen], len(first)).astype(np.int64)


def _tables(plan: GapPlan, within_label: bool, draws: int, rng: np.random.Generator) -> FloatArray:
    """(G, label, prediction, draws) counts under permuted patterns."""
    counts, size = plan.counts, len(plan.counts.classes)
    tables = np.zeros((len(counts.groups), size * size, draws))
    outcome = counts.labels * size + counts.predictions
    strata = [counts.labels == index for index in range(size)] if within_label else [np.ones(len(outcome), np.bool_)]
    for chosen in strata:
        if not chosen.any():
            continue
        patterns, rows = _margins(plan, chosen)
        kinds, column = np.unique(outcome[chosen], return_inverse=True)
        columns = np.bincount(column, counts.counts[chosen], len(kinds)).astype(np.int64)
        tables[:, kinds] += permuted_tables(patterns, rows, columns, draws, rng)
    return tables.reshape(len(counts.groups), size, size, draws)


def _tallies(plan: GapPlan, tables: FloatArray) -> dict[Key, Tally]:
    """Tallies (G, draws) of the plan's keys from (G, label, prediction, draws) tables."""
    members = tables.sum(axis=(1, 2))
    tallies: dict[Key, Tally] = {("accuracy", None): Tally(np.einsum("gccr->gr", tables), members)}
    for index in plan.classes:
        selected, positive = tables[:, :, index].sum(axis=1), tables[:, index].sum(axis=1)
        tallies["selection_rate", index] = Tally(selected, members)
        tallies["tpr", index] = Tally(tables[:, index, index], positive)
        tallies["fpr", index] = Tally(selected - tables[:, index, index], members - positive)
    return tallies


def permuted_gaps(
    plan: GapPlan, draws: int, rng: np.random.Generator, metrics: tuple[str, ...] = tuple(GAPS)
) -> dict[str, FloatArray]:
    """Every gap under permuted groups.

    Args:
        plan: of the measured counts.
        draws: number of permutations.
        rng: the source; block ``i`` of 2,500 draws has its own child generator.
        metrics: the gaps wanted.

    Returns:
        Metric to (draws,) gaps; metrics that the data do not define are absent.

    For ``eopp`` and ``eod`` patterns are permuted within each label: a difference in base rate is no gap there.

    Raises:
        GroupgapError: for 1,000,000,000 samples or more.
    """
    if plan.counts.n >= _LIMIT:
        raise GroupgapError(
            f"Expected fewer than {_LIMIT} samples for the chance level of a gap, but got {plan.counts.n}: judge a part"
        )
    wanted = [metric for metric in metrics if plan.bundles(metric)]
    values: dict[str, list[FloatArray]] = {metric: [] for metric in wanted}
    for (start, stop), child in zip(_blocks(draws), rng.spawn(-(-draws // _BLOCK)), strict=True):
        for within_label in {WITHIN_LABEL[metric]: None for metric in wanted}:
            tallies = _tallies(plan, _tables(plan, within_label, stop - start, child))
            for metric in wanted:
                if WITHIN_LABEL[metric] is within_label:
                    drawn = gap_values(plan, metric, tallies)
                    values[metric] += [] if drawn is None else [drawn]
    return {metric: np.concatenate(parts) for metric, parts in values.items()}


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
    permuted = permuted_gaps(plan, draws, rng)
    found = {}
    for metric, values in permuted.items():
        measured = plan.gap(metric).value
        if measured is not None:
            found[metric] = chance_of(measured, values)
    return found
