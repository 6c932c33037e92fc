"""A table of the board in a few sentences: who is best for its worst group, who is worst, and what is noise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..metrics import Estimate
from .board import Row
from .format import format_estimate
from .pairs import Pairs
from .worst import is_same, is_worst, worst_name


def beyond_chance(estimate: Estimate) -> bool:
    """Whether a gap is larger than 95 of 100 gaps of chance alone."""
    return estimate.value is not None and estimate.chance is not None and estimate.value > estimate.chance.p95


def summary(rows: Sequence[Row], pairs: Pairs | None) -> list[list[tuple[str, bool]]]:
    """Sentences of a table, each in parts: a text, and whether it is a name from the runs that stands out.

    Args:
        rows: of one table, in its order.
        pairs: the table's comparisons.
    """
    ranked = [row for row in rows if row.judgement.worst_group.value is not None]
    if not ranked:
        return [[("No group is large enough to be judged.", False)]]
    sentences = [_leader(ranked, rows, pairs)]
    if len(ranked) > 1:
        sentences += _last(ranked)
        sentences += _often(ranked)
    return sentences + _gaps(rows)


def _leader(ranked: Sequence[Row], rows: Sequence[Row], pairs: Pairs | None) -> list[tuple[str, bool]]:
    best = ranked[0]
    parts = [(best.variant, True), *_worst(best, " treats its worst group best: " if len(ranked) > 1 else None)]
    if pairs is None or pairs.mode != "all" or pairs.not_compared or len(rows) < 2:
        return parts
    others = len(rows) - 1
    alike = others - int(pairs.separated(("worst_group", None))[rows.index(best)].sum())
    said = {0: "It is told apart from every other row", others: "No other row is told apart from it"}
    return [*parts, (f" {said.get(alike, f'{alike} of {others} other rows cannot be told apart from it')}.", False)]


def _worst(row: Row, treats: str | None) -> list[tuple[str, bool]]:
    """The row's worst group and its accuracy; of groups that are all alike, or of a single one, none is worst."""
    worst, spread = row.judgement.worst_group, row.judgement.accuracy_spread
    value = (f", {format_estimate(worst)}.", False)
    if is_worst(worst, spread):
        return [(treats or " treats this group worst: ", False), (", ".join(worst.groups), True), value]
    if spread.value is not None:
        return [(" treats all groups judged alike", False), value]
    leads = " does best in the only group judged: " if treats else " was judged in one group only: "
    return [(leads, False), (", ".join(worst.groups), True), value]


def _last(ranked: Sequence[Row]) -> list[list[tuple[str, bool]]]:
    """Who stands at the other end, where there is one."""
    last = ranked[-1].judgement
    values = [value for row in ranked if (value := row.judgement.worst_group.value) is not None]
    if is_same(values[0], values[-1]):
        return []
    alike = sum(is_same(value, values[-1]) for value in values) - 1
    others = f" and {alike} more of equal value" if alike else ""
    name = worst_name(last.worst_group, last.accuracy_spread)
    return [
        [
            ("At the other end ", False),
            (ranked[-1].variant, True),
            *([(others, False)] if others else []),
            (": ", False),
            *([] if alike else [(name, is_worst(last.worst_group, last.accuracy_spread)), (", ", False)]),
            (f"{format_estimate(last.worst_group)}.", False),
        ]
    ]


def _often(ranked: Sequence[Row]) -> list[list[tuple[str, bool]]]:
    """Which group is worst off most often, where one is; rows where several groups are worst, or none is, name none."""
    judged = [row.judgement for row in ranked]
    alone = [one.worst_group.groups for one in judged if is_worst(one.worst_group, one.accuracy_spread)]
    often = Counter(groups[0] for groups in alone if len(groups) == 1).most_common(2)
    if not often or (len(often) > 1 and often[0][1] == often[1][1]):
        return []
    group, times = often[0]
    return [[("Worst off most often: ", False), (group, True), (f", in {times} of {len(ranked)} rows.", False)]]


def _gaps(rows: Sequence[Row]) -> list[list[tuple[str, bool]]]:
    """How many rows have gaps beyond chance."""
    drawn = [row for row in rows if row.judgement.accuracy_spread.chance is not None]
    if not drawn:
        return []
    real = sum(beyond_chance(row.judgement.accuracy_spread) for row in drawn)
    return [[(f"The gap in accuracy between groups is beyond chance in {real} of {len(drawn)} rows.", False)]]
