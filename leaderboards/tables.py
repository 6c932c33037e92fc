"""The board as plain data: a strict JSON document, and flat tables for csv."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .. import __version__
from ..metrics import Calibration, CalibrationReport, Estimate, GroupRates, Judgement
from .board import METRICS, Board, Row, SeedResult, estimates
from .flips import Flips, flips_of, fronts
from .markdown import plain
from .pairs_document import pairs_document
from .reported import Discrepancy

SCHEMA = "groupgap-board"
SCHEMA_VERSION = 1
RATES = ("accuracy", "selection_rate", "tpr", "fpr", "member_gap")
WITHOUT_GROUPS = ("accuracy", "macro_f1")
CALIBRATION = ("ece", "ece_equal_mass", "ece_positive", "brier", "nll", "signed_gap")
SEVERAL_SEEDS = Estimate(None, 0, "several seeds: each one's own stands in board.json")
NO_PROBABILITIES = Estimate(None, 0, "judged texts have no probabilities")
# Where a spreadsheet would read a formula (signs and their full-width forms): at a cell's start, and behind a
# semicolon, where many cut, too.
FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")


def board_document(board: Board) -> dict[str, Any]:
    """The board as JSON-ready data: finite numbers, texts, ``None`` with a ``reason`` beside it."""
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "groupgap": __version__,
        "options": {
            "min_group": board.options.min_group,
            "draws": board.options.draws,
            "seed": board.options.seed,
            "confidence": 0.95,
        },
        "request": dict(board.request),
        "notes": list(board.notes),
        "rows": [_row_document(row) for row in board.rows],
        "order_flips": [_flips_document(one) for one in flips_of(board)],
        "fronts": [{"task": task, "axis": axis, "rows": fronts(rows)} for (task, axis), rows in board.tables.items()],
        "blocks": [block.model_dump(mode="json") for block in board.blocks],
    }


def _flips_document(one: Flips) -> dict[str, Any]:
    counts = asdict(one.counts)
    return {"between": one.between, "metrics": list(one.metrics), **counts, "share": one.counts.share}


def board_json(board: Board) -> str:
    """``board.json``: the document of :func:`board_document`, and under ``pairs`` the comparisons, one line a table."""
    head = to_json(board_document(board)).removesuffix("\n}\n")
    lines = (json.dumps(pairs_document(one), allow_nan=False, separators=(",", ":")) for one in board.pairs)
    return head + ',\n "pairs": [\n' + ",\n".join(lines) + "\n ]\n}\n"


def to_json(document: Mapping[str, Any], *, ascii_only: bool = False) -> str:
    """Strict JSON, indented by one space; NaN and infinities raise ``ValueError``.

    Args:
        document: what to write.
        ascii_only: for a terminal or pipe, whose encoding may lack the characters of a name.
    """
    text = json.dumps(document, allow_nan=False, ensure_ascii=ascii_only, indent=1) + "\n"
    # A lone surrogate has no encoding: it is written as JSON's own escape.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def estimate_document(estimate: Estimate) -> dict[str, Any]:
    """An estimate with all that belongs to it; keys that do not apply are absent, ``value`` and ``n`` never are."""
    document: dict[str, Any] = {"value": estimate.value, "n": estimate.n}
    for key in ("reason", "stderr", "low", "high", "interval", "class_name", "rate"):
        if (value := getattr(estimate, key)) is not None:
            document[key] = value
    if estimate.groups:
        document["groups"] = list(estimate.groups)
    if estimate.undefined_draws:
        document["undefined_draws"] = estimate.undefined_draws
    if estimate.chance is not None:
        chance = estimate.chance
        document["chance"] = {"median": chance.median, "p95": chance.p95, "p": chance.p_value, "draws": chance.draws}
    return document


def _row_document(row: Row) -> dict[str, Any]:
    return {
        "task": row.task,
        "axis": row.axis,
        "variant": row.variant,
        "controlled_of": row.controlled_of,
        "rank": row.rank,
        "base": row.base,
        "method": row.method,
        "proof": row.proof,
        "backend": row.backend,
        "seeds": list(row.seeds),
        "members": list(row.members),
        "sources": list(row.sources),
        "documents": row.documents,
        "identity": row.identity,
        "n": row.n,
        "limited": row.limited,
        "shots": row.shots,
        "classes": list(row.classes),
        "positive": row.judgement.positive,
        "min_group": row.judgement.min_group,
        "metrics": {name: estimate_document(estimate) for name, estimate in estimates(row).items()},
        "raw": None if row.raw is None else _metrics_document(row.raw),
        "groups": [_group_document(name, rates, row) for name, rates in row.judgement.groups.items()],
        "left_out": [asdict(one) for one in row.judgement.left_out],
        "calibration": None if row.calibration is None else _report_document(row.calibration),
        "by_seed": [_seed_document(one) for one in row.by_seed],
        "lm_eval": [_discrepancy_document(found) for found in row.discrepancies],
        "runs": list(row.dates),
        "lm_eval_versions": list(row.lm_eval_versions),
        "notes": list(row.notes),
        "licence": row.licence,
        "trained_parameters": row.trained_parameters,
        "bands": dict(row.bands),
        "provenance": [dict(one) for one in row.provenance],
    }


def _discrepancy_document(found: Discrepancy) -> dict[str, Any]:
    recomputed = estimate_document(found.recomputed)
    return {"metric": found.metric, "reported": found.reported, "recomputed": recomputed, "remark": found.remark}


def _seed_document(one: SeedResult) -> dict[str, Any]:
    return {
        "seed": one.seed,
        "variant": one.variant,
        "metrics": _metrics_document(one.judgement),
        "calibration": None if one.calibration is None else _calibration_document(one.calibration.overall),
    }


def _metrics_document(judgement: Judgement) -> dict[str, Any]:
    return {name: estimate_document(getattr(judgement, name)) for name in METRICS}


def _report_document(report: CalibrationReport) -> dict[str, Any]:
    groups = [{"group": name, **_calibration_document(found)} for name, found in report.groups.items()]
    return {"bins": report.bins, "draws": report.draws, **_calibration_document(report.overall), "groups": groups}


def _calibration_document(found: Calibration) -> dict[str, Any]:
    """Numbers, and the reliability curve with its histogram: n, confidence and accuracy of bins of equal width."""
    document: dict[str, Any] = {"n": found.n} | {name: estimate_document(getattr(found, name)) for name in CALIBRATION}
    bins = () if found.curve is None else found.curve.bins
    curve = {key: [getattr(one, key) for one in bins] for key in ("n", "confidence", "accuracy")}
    return {**document, "curve": curve if bins else None}


def _group_document(name: str, rates: GroupRates, row: Row) -> dict[str, Any]:
    document: dict[str, Any] = {"group": name, "n": rates.n, "positives": rates.positives, "negatives": rates.negatives}
    document |= {rate: estimate_document(getattr(rates, rate)) for rate in RATES}
    return {**document, "left_out": row.left_out.get(name)}


def board_csv(board: Board) -> str:
    """One line a row (``board.csv``): every metric with interval, reason, groups and chance level in own columns."""
    return csv_text([flat_row(row) for row in board.rows])


def groups_csv(board: Board) -> str:
    """One line for each row and group (``groups.csv``)."""
    return csv_text([flat for row in board.rows for flat in flat_groups(row)])


def flat_row(row: Row) -> dict[str, Any]:
    """A row of the board as one line."""
    flat: dict[str, Any] = {
        "task": row.task,
        "axis": row.axis,
        "variant": row.variant,
        "controlled_of": row.controlled_of,
        "rank": row.rank,
        "base": row.base,
        "method": row.method,
        "proof": row.proof,
        "licence": row.licence,
        "trained_parameters": row.trained_parameters,
        "backend": row.backend,
        "seeds": " ".join(map(str, row.seeds)),
        "members": " / ".join(row.members),
        "n": row.n,
        "limited": row.limited,
        "shots": row.shots,
        "positive": row.judgement.positive,
        "min_group": row.judgement.min_group,
        "groups": len(row.judgement.groups),
        "left_out": "; ".join(f"{group} ({why})" for group, why in row.left_out.items()),
    }
    for name in METRICS:
        flat |= _flat_estimate(name, estimates(row)[name])
    for name in CALIBRATION:
        missing = SEVERAL_SEEDS if row.by_seed else NO_PROBABILITIES
        found = missing if row.calibration is None else getattr(row.calibration.overall, name)
        flat |= _flat_estimate(name, found)
    flat["lm_eval_differs"] = "; ".join(f"{found.metric} {found.reported}" for found in row.discrepancies)
    return flat | {"notes": "; ".join(row.notes), "identity": row.identity, "runs": " ".join(row.dates)}


def _flat_estimate(name: str, estimate: Estimate) -> dict[str, Any]:
    flat: dict[str, Any] = {
        name: estimate.value,
        f"{name}_low": estimate.low,
        f"{name}_high": estimate.high,
        f"{name}_interval": estimate.interval,
        f"{name}_undefined": estimate.reason,
    }
    if name in METRICS and name not in WITHOUT_GROUPS:
        flat[f"{name}_groups"] = " / ".join(estimate.groups)
    if name in METRICS and name not in (*WITHOUT_GROUPS, "worst_group"):
        flat |= {f"{name}_class": estimate.class_name, f"{name}_rate": estimate.rate}
    if name.startswith("ece") or (name in METRICS and name not in (*WITHOUT_GROUPS, "worst_group")):
        chance = estimate.chance
        flat[f"{name}_chance_median"] = None if chance is None else chance.median
        flat[f"{name}_chance_p95"] = None if chance is None else chance.p95
        flat[f"{name}_chance_p"] = None if chance is None else chance.p_value
    return flat


def flat_groups(row: Row) -> Iterable[dict[str, Any]]:
    """A row of the board as one line a group."""
    for group, rates in row.judgement.groups.items():
        flat: dict[str, Any] = {"task": row.task, "axis": row.axis, "variant": row.variant, "group": group}
        flat |= {"positive": row.judgement.positive, "min_group": row.judgement.min_group}
        flat |= {"n": rates.n, "positives": rates.positives, "negatives": rates.negatives}
        for rate in RATES:
            estimate: Estimate = getattr(rates, rate)
            flat |= {
                rate: estimate.value,
                f"{rate}_low": estimate.low,
                f"{rate}_high": estimate.high,
                f"{rate}_interval": estimate.interval,
                f"{rate}_undefined": estimate.reason,
            }
        yield flat | {"left_out": row.left_out.get(group)}


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of one set of columns as csv, harmless in a spreadsheet."""
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return file.getvalue()


def _cell(value: object) -> object:
    """A text on one line (readers of csv end a row at a bare carriage return); one that a spreadsheet would run as a
    formula, whole or from a semicolon on, has an apostrophe there.
    """
    if not isinstance(value, str):
        return "" if value is None else value
    return FORMULA.sub(r"\1'", plain(value))
