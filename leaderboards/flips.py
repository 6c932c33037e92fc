"""Does the ranking flip? Pairs of rows that change places between metrics, tasks or base models, beyond chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from ..metrics.orders import OrderFlips, order_flips, pareto_front
from .board import METRICS, Board, Row
from .pairs import BANDED, Pairs

FloatArray = npt.NDArray[np.float64]
Matrix = tuple[FloatArray, FloatArray]

HIGHER_IS_BETTER = ("accuracy", "macro_f1", "worst_group")
COSTS = ("accuracy_spread", "dpd", "eopp", "eod")


@dataclass(frozen=True)
class Flips:
    """How often the order of two rows flips between conditions of one kind.

    Attributes:
        between: ``metrics``, ``tasks`` or ``bases``.
        metrics: the two metrics, or the one metric that is compared between tasks or bases.
        counts: over all such pairs of conditions.
    """

    between: str
    metrics: tuple[str, ...]
    counts: OrderFlips


def flips_of(board: Board) -> tuple[Flips, ...]:
    """All kinds of conditions that the board holds.

    Two rows are a pair where they are of one base model; on a board whose rows share no base, any two rows are. Between
    metrics: the same two rows, task and axis. Between tasks: the same two rows and metric; two axes of one task are no
    two tasks. Between base models: the same task, axis, metric and two methods; a base that has a method twice does not
    take part with it. Accuracy is the same on all axes of a task, and counted once.
    """
    names = sorted({row.variant for row in board.rows})
    bases = {row.variant: row.base for row in board.rows}
    shares = _same_base([bases[name] for name in names])
    pairs = np.triu(shares if shares.any() else np.ones_like(shares), 1)
    compared = [one for one in board.pairs if one.found.pairs.size]
    tables = [{metric: _matrix(one, metric, names) for metric in BANDED} for one in compared]
    firsts = {one.task: place for place, one in reversed(list(enumerate(compared)))}
    once = {metric: range(len(tables)) if metric != "accuracy" else sorted(firsts.values()) for metric in BANDED}
    chosen = [{metric: (found[0][pairs], found[1][pairs]) for metric, found in table.items()} for table in tables]
    found = [
        Flips("metrics", (one, other), _sum(order_flips(table[one], table[other]) for table in chosen))
        for one, other in combinations(BANDED, 2)
    ]
    found += [
        Flips(
            "tasks",
            (metric,),
            _sum(
                order_flips(chosen[a][metric], chosen[b][metric])
                for a, b in combinations(once[metric], 2)
                if compared[a].task != compared[b].task
            ),
        )
        for metric in BANDED
    ]
    by_base = _methods(board.rows, names)
    found += [
        Flips("bases", (metric,), _sum(_between_bases(tables[place][metric], by_base) for place in once[metric]))
        for metric in BANDED
    ]
    return tuple(one for one in found if one.counts.comparable)


def _same_base(bases: Sequence[str | None]) -> npt.NDArray[np.bool_]:
    return np.array([[a is not None and a == b and i != j for j, b in enumerate(bases)] for i, a in enumerate(bases)])


def _matrix(pairs: Pairs, metric: str, names: Sequence[str]) -> Matrix:
    """(variants, variants) how much better the first is than the second, and the q-value; NaN where unknown."""
    at = pairs.found.measures.index((metric, None))
    place = np.array([names.index(name) for name in pairs.variants])
    a, b = place[pairs.found.pairs].T
    sign = 1 if metric in HIGHER_IS_BETTER else -1
    better, q_value = (np.full((len(names),) * 2, np.nan) for _ in range(2))
    better[a, b] = sign * pairs.found.value[at]
    better[b, a] = -better[a, b]
    q_value[a, b] = q_value[b, a] = pairs.q_value[at]
    return better, q_value


def _methods(rows: Sequence[Row], names: Sequence[str]) -> list[dict[str, int]]:
    """For each base model its methods, and where the one row of each is among the names."""
    variants: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        if row.base is not None and row.method is not None:
            variants.setdefault(row.base, {}).setdefault(row.method, set()).add(row.variant)
    return [
        {method: names.index(next(iter(found))) for method, found in sorted(methods.items()) if len(found) == 1}
        for _, methods in sorted(variants.items())
    ]


def _between_bases(matrix: Matrix, by_base: Sequence[dict[str, int]]) -> OrderFlips:
    return _sum(_pairs_of_methods(matrix, one, other) for one, other in combinations(by_base, 2))


def _pairs_of_methods(matrix: Matrix, one: dict[str, int], other: dict[str, int]) -> OrderFlips:
    shared = list(combinations([method for method in one if method in other], 2))
    if not shared:
        return OrderFlips()
    first, second = (tuple(np.array([(base[a], base[b]) for a, b in shared]).T) for base in (one, other))
    better, q_value = matrix
    return order_flips((better[first], q_value[first]), (better[second], q_value[second]))


def _sum(counts: Iterator[OrderFlips]) -> OrderFlips:
    return sum(counts, OrderFlips())


def ranks(rows: Sequence[Row], metric: str) -> list[int | None]:
    """The place of each row of a table by one metric, the best first; equal values share a place."""
    values = [getattr(row.judgement, metric).value for row in rows]
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    order = sorted(sign * value for value in values if value is not None)
    return [None if value is None else order.index(sign * value) + 1 for value in values]


def fronts(rows: Sequence[Row]) -> dict[str, list[str]]:
    """For each gap the rows of a table that no other one beats in both accuracy and gap."""

    def of(metric: str) -> list[float]:
        values = (getattr(row.judgement, metric).value for row in rows)
        return [np.nan if value is None else value for value in values]

    return {
        gap: [row.variant for row, best in zip(rows, pareto_front(of("accuracy"), of(gap)), strict=True) if best]
        for gap in COSTS
        if gap in METRICS
    }
