"""The board as records of Every Eval Ever, a shared format for results of evaluations: one file a variant.

Schema: ``every_eval_ever/schemas/eval.schema.json`` of github.com/evaleval/every_eval_ever, with the rules of its
validator (paths, bounds of scores, how a model was deployed).
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from .. import __version__
from ..metrics import Estimate
from .board import METRICS, Board, Row, estimates
from .flips import HIGHER_IS_BETTER
from .tables import to_json

SCHEMA_VERSION = "0.3.0"
COLLECTION = "groupgap"
FOLDER = "every_eval_ever/data"
GLOBAL_IDS = {"accuracy": "accuracy", "macro_f1": "f1_macro"}  # as the schema spells what is measured elsewhere, too
OWN_ENGINES = ("hf", "vllm", "groupgap-vllm", "groupgap-classifier", "timm")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,94}\w/[A-Za-z0-9][\w.-]{0,94}\w", re.ASCII)
# What a path of the shared data may not hold, and the developer of variants without one.
TAKEN = re.compile(r"(?:^|/)(?:data|local|con|prn|aux|nul|com\d|lpt\d)(?:[./]|$)", re.IGNORECASE)


def board_records(board: Board) -> dict[str, bytes]:
    """One record a variant, over all its tasks and axes.

    Args:
        board: what to write.

    Returns:
        ``every_eval_ever/data/groupgap/DEVELOPER/MODEL/UUID.json`` to the file's content. A number that does not exist
        has no entry (the format has no word for it): it stands with its reason in the record's ``undefined``.
    """
    variants: dict[str, list[Row]] = {}
    for row in board.rows:
        variants.setdefault(row.variant, []).append(row)
    files = {}
    for name, rows in variants.items():
        record = _record(name, rows)
        text = to_json(record)
        digest = hashlib.sha256(text.encode()).digest()[:16]
        path = f"{FOLDER}/{COLLECTION}/{record['model_info']['id']}/{uuid.UUID(bytes=digest, version=4)}.json"
        files[path] = text.encode()
    return files


def _record(variant: str, rows: Sequence[Row]) -> dict[str, Any]:
    model = _model_id(variant)
    last = max((date for row in rows for date in row.dates), default="")
    stamp = _seconds(last)
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{COLLECTION}/{model}/{stamp}",
        "evaluation_timestamp": last or "unknown",
        "retrieved_timestamp": stamp,
        "source_metadata": {
            "source_name": "groupgap",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": {"undefined": "; ".join(_undefined(rows)) or "none"},
        },
        "eval_library": {
            "name": "lm_eval",
            "version": ", ".join(dict.fromkeys(one for row in rows for one in row.lm_eval_versions)) or "unknown",
            "additional_details": {"groupgap": __version__},
        },
        "model_info": _model_info(variant, model, rows[0]),
        "evaluation_results": [
            _result(row, metric, estimate)
            for row in rows
            for metric, estimate in estimates(row).items()
            if estimate.value is not None
        ],
    }


def _model_id(variant: str) -> str:
    """``developer/model``: the variant's own name where it has this form, else one below ``local``."""
    if HUB_ID.fullmatch(variant) and not TAKEN.search(variant):
        return variant
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", variant).strip("-_")[:80]
    digest = hashlib.sha256(variant.encode("utf-8", "replace")).hexdigest()[:8]
    return f"local/{safe or 'variant'}-{digest}"


def _seconds(date: str) -> str:
    """lm-eval's date, taken as UTC, in seconds of the Unix epoch; ``0`` where there is none."""
    try:
        moment = datetime.strptime(date.partition(".")[0], "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC)
    except ValueError:
        return "0"
    return str(int(moment.timestamp()))


def _model_info(variant: str, model: str, row: Row) -> dict[str, Any]:
    told = {
        "deployment_type": "self_deployed" if row.backend in OWN_ENGINES else "unknown",
        "model_availability": "unknown",
        "base": row.base,
        "method": row.method,
        "seeds": " ".join(map(str, row.seeds)) or None,
        "trained_parameters": None if row.trained_parameters is None else str(row.trained_parameters),
        "licence": row.licence,
        "proof_of_life": row.proof,
    }
    info: dict[str, Any] = {"name": variant, "id": model, "developer": model.partition("/")[0]}
    if row.backend:
        info["inference_engine"] = {"name": row.backend}
    return info | {"additional_details": {key: value for key, value in told.items() if value is not None}}


def _result(row: Row, metric: str, estimate: Estimate) -> dict[str, Any]:
    chance = estimate.chance
    told = {
        "groups": " / ".join(estimate.groups) or None,
        "class": estimate.class_name,
        "rate": estimate.rate,
        "chance_median": None if chance is None else repr(chance.median),
        "chance_p95": None if chance is None else repr(chance.p95),
        "chance_p": None if chance is None else repr(chance.p_value),
        "positive": row.judgement.positive,
        "min_group": str(row.judgement.min_group),
        "shots": None if row.shots is None else str(row.shots),
        "a_part_of_the_task_only": "yes" if row.limited else None,
    }
    score: dict[str, Any] = {
        "score": estimate.value,
        "details": {key: value for key, value in told.items() if value is not None},
        "uncertainty": _uncertainty(estimate),
    }
    return {
        "evaluation_result_id": f"{row.task}/{row.axis}/{metric}",
        "evaluation_name": f"{row.task}.{row.axis}",
        "source_data": {"dataset_name": row.task, "source_type": "other"},
        "metric_config": {
            "evaluation_description": f"{METRICS[metric]} on {row.task}, groups by {row.axis}",
            "metric_id": GLOBAL_IDS.get(metric, f"groupgap.{metric}"),
            "metric_name": METRICS[metric],
            "metric_unit": "proportion",
            "lower_is_better": metric not in HIGHER_IS_BETTER,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": score,
    }


def _uncertainty(estimate: Estimate) -> dict[str, Any]:
    told: dict[str, Any] = {"num_samples": estimate.n}
    if estimate.stderr is not None:
        told["standard_error"] = {"value": estimate.stderr}
    if estimate.low is not None and estimate.high is not None:
        interval: dict[str, Any] = {"lower": estimate.low, "upper": estimate.high, "confidence_level": 0.95}
        told["confidence_interval"] = interval | ({"method": estimate.interval} if estimate.interval else {})
    return told


def _undefined(rows: Sequence[Row]) -> Iterable[str]:
    for row in rows:
        for metric, estimate in estimates(row).items():
            if estimate.value is None:
                yield f"{row.task}/{row.axis}/{metric}: {estimate.reason}, n = {estimate.n}"
