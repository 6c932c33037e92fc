"""What the page's script is told of the board: everything that ``board.json`` holds and the page shows on demand.

Every text is made harmless here (:func:`groupgap.leaderboards.markdown.plain`); the script shows texts as text only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ...metrics import Calibration, Estimate, GroupRates, Judgement
from ..board import METRICS, Board, Row, SeedResult
from ..flips import COSTS, HIGHER_IS_BETTER, Flips, fronts, ranks
from ..format import format_decided
from ..markdown import plain
from ..pairs import BANDED
from ..report_blocks import Block
from ..summary import beyond_chance
from ..worst import worst_name
from .pack import deflated, pack_pairs, short_p, shown

RATES = ("accuracy", "selection_rate", "tpr", "fpr", "member_gap")
CALIBRATION = ("ece", "ece_equal_mass", "ece_positive", "brier", "nll", "signed_gap")
Packed = str | list[Any]


def page_data(board: Board, flips: Sequence[Flips]) -> str:
    """The packed data of a board (:func:`groupgap.leaderboards.page.pack.deflated`)."""
    told: dict[tuple[tuple[str, str], ...], int] = {}
    rows = board.tables
    pairs, planes = pack_pairs(board.pairs, [rows[one.task, one.axis] for one in board.pairs])
    document = {
        "metrics": METRICS,
        "better": {metric: metric in HIGHER_IS_BETTER for metric in METRICS},
        "banded": BANDED,
        "costs": COSTS,
        "rates": RATES,
        "calibration": CALIBRATION,
        "tables": [_table(task, axis, rows) for (task, axis), rows in board.tables.items()],
        "rows": _columns(board.rows, told),
        "provenance": [list(map(list, entries)) for entries in told],
        "blocks": [_block(block) for block in board.blocks],
        "flips": [{"between": one.between, "metrics": one.metrics, **asdict(one.counts)} for one in flips],
        "pairs": pairs,
    }
    return deflated(document, planes)


def _table(task: str, axis: str, rows: Sequence[Row]) -> dict[str, Any]:
    names = [row.variant for row in rows]
    return {
        "task": plain(task),
        "axis": plain(axis),
        "size": len(rows),
        "ranks": {metric: ranks(rows, metric) for metric in BANDED},
        "fronts": {gap: [names.index(name) for name in best] for gap, best in fronts(rows).items()},
    }


def _columns(rows: Sequence[Row], told: dict[tuple[tuple[str, str], ...], int]) -> dict[str, list[Any]]:
    """The rows key by key, the estimates measure by measure: neighbours are alike, which is what deflate compresses."""
    found = [_row(row, told) for row in rows]
    groups = [row.judgement.groups.values() for row in rows]
    overall = [None if row.calibration is None else row.calibration.overall for row in rows]
    return {key: [one[key] for one in found] for key in (found[0] if found else ["variant"])} | {
        "metrics": [[_measure(row.judgement, metric) for row in rows] for metric in METRICS],
        "rates": [[[_estimate(getattr(rates, rate)) for rates in one] for one in groups] for rate in RATES],
        "calibration": [[one and _estimate(getattr(one, name)) for one in overall] for name in CALIBRATION],
        "curve": [one and _curve(one) for one in overall],
    }


def _row(row: Row, told: dict[tuple[tuple[str, str], ...], int]) -> dict[str, Any]:
    """What is no estimate; ``None`` where there is nothing to say."""
    judged = row.judgement
    document: dict[str, Any] = {
        "variant": plain(row.variant),
        "base": _text(row.base),
        "method": _text(row.method),
        "groups": [_group(name, rates, row) for name, rates in judged.groups.items()],
        "n": row.n,
        "classes": len(row.classes),
        "positive": _text(judged.positive),
        "floor": judged.min_group,
        "provenance": [told.setdefault(_entries(one), len(told)) for one in row.provenance],
    }
    optional = {
        "seeds": [_seed(one) for one in row.by_seed],
        "bands": [row.bands.get(metric, "") for metric in BANDED] if row.bands else None,
        "raw": None if row.raw is None else [_measure(row.raw, metric) for metric in METRICS],
        "raw_task": _text(row.controlled_of),
        "licence": _text(row.licence),
        "trained": row.trained_parameters,
        "proof": plain(row.proof),
        "shots": row.shots,
        "limited": row.limited,
        "notes": [plain(note) for note in row.notes],
    }
    return document | {key: value or None for key, value in optional.items()}


def _text(text: str | None) -> str | None:
    return None if text is None else plain(text)


def _entries(provenance: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((plain(key), plain(value)) for key, value in provenance.items())


def _measure(judged: Judgement, metric: str) -> Packed:
    """The estimate of a metric; of the worst group with its name, or that all are alike."""
    found = getattr(judged, metric)
    return _estimate(found, worst_name(found, judged.accuracy_spread, plain) if metric == "worst_group" else None)


def _estimate(estimate: Estimate, groups: str | None = None) -> Packed:
    """A value and what belongs to it, in thousandths; or why there is none.

    ``[value, distance down to the lower end, up to the upper end, chance median, chance p95, chance p, 1 where a gap is
    not beyond chance, groups, what decides it]``, without what is ``None`` at its end.
    """
    if estimate.value is None:
        return plain(f"{estimate.reason}, n = {estimate.n}")
    found: list[Any] = [shown(estimate.value)]
    known = estimate.low is not None and estimate.high is not None
    found += [found[0] - shown(estimate.low or 0.0), shown(estimate.high or 0.0) - found[0]] if known else [None, None]
    chance = estimate.chance
    found += [None] * 3 if chance is None else [shown(chance.median), shown(chance.p95), short_p(chance.p_value)]
    found += [None if chance is None or beyond_chance(estimate) else 1]
    found += [groups or " / ".join(map(plain, estimate.groups)) or None, plain(format_decided(estimate)) or None]
    while found[-1] is None:
        found.pop()
    return found


def _group(name: str, rates: GroupRates, row: Row) -> list[Any]:
    """Name, n, positives, negatives, and why it enters no gap."""
    return [plain(name), rates.n, rates.positives, rates.negatives, _text(row.left_out.get(name))]


def _curve(found: Calibration) -> list[Any]:
    """For each bin that holds answers: its place, how many, mean confidence, share that is right."""
    bins = () if found.curve is None else found.curve.bins
    return [
        [place, one.n, shown(one.confidence or 0.0), shown(one.accuracy or 0.0)]
        for place, one in enumerate(bins)
        if one.n
    ]


def _seed(one: SeedResult) -> list[Any]:
    """Seed, run, and an estimate of each metric, then of the calibration error."""
    metrics = [_measure(one.judgement, metric) for metric in METRICS]
    ece = "not measured, n = 0" if one.calibration is None else _estimate(one.calibration.overall.ece)
    return [one.seed, plain(one.variant), metrics, ece]


def _block(block: Block) -> dict[str, Any]:
    return {
        "variant": plain(block.variant),
        "task": _text(block.task),
        "title": plain(block.title),
        "columns": [plain(column) for column in block.columns],
        "rows": [[plain(cell) if isinstance(cell, str) else cell for cell in row] for row in block.rows],
        "notes": [plain(note) for note in block.notes],
    }
