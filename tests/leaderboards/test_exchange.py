"""What leaves the board for other programs: parquet, and records of Every Eval Ever."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from groupgap.cli import main

# What the schema and the validator of Every Eval Ever ask for, written down here from their text; records like these
# passed both (commit 9bce413 of github.com/evaleval/every_eval_ever, schema 0.3.0).
TOP = {
    "schema_version",
    "evaluation_id",
    "retrieved_timestamp",
    "source_metadata",
    "model_info",
    "eval_library",
    "evaluation_results",
}
OPTIONAL = {"evaluation_timestamp", "detailed_evaluation_results"}
RESULT = {"evaluation_result_id", "evaluation_name", "source_data", "metric_config", "score_details"}
METRIC = {"evaluation_description", "metric_id", "metric_name", "metric_unit", "lower_is_better", "score_type"}
UNCERTAINTY = {"standard_error", "confidence_interval", "num_samples"}
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.json")
HOSTILE = [
    "../../escape",
    "org/../x",
    "data/x",
    "=1+2",
    "org/name",
    "a\nb",
    "\u202ex",
    "日本",
    "CON",
    "org/model.",
    "aux/x",
    "local/=1+2",
]


def build(folder: Path, out: Path, *options: str) -> Path:
    assert main(["board", str(folder), "-o", str(out), "--draws", "999", "--min-group", "5", *options]) == 0
    return out


@pytest.fixture
def runs(tmp_path: Path, factory: SimpleNamespace) -> Path:
    for number, name in enumerate(HOSTILE):
        folder = factory.run(n=60, skill=number + 1, seed=0).write(tmp_path / "runs" / str(number))
        (folder / "variant.json").write_text(json.dumps({"name": name, "base": "org/base", "method": "lora"}))
    return tmp_path / "runs"


def strings(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


def check_record(record: dict[str, Any]) -> None:
    assert TOP <= set(record) <= TOP | OPTIONAL
    assert record["schema_version"] == "0.3.0"
    assert int(record["retrieved_timestamp"]) > 1_700_000_000
    source = record["source_metadata"]
    assert source["source_type"] == "evaluation_run"
    assert source["evaluator_relationship"] in ("first_party", "third_party", "collaborative", "other")
    assert isinstance(source["source_organization_name"], str)
    assert {"name", "version"} <= set(record["eval_library"])
    model = record["model_info"]
    assert re.fullmatch(r"[^/]+/[^/]+", model["id"])
    assert strings(model["additional_details"])
    assert model["additional_details"]["deployment_type"] in ("self_deployed", "externally_managed", "unknown")
    assert model["additional_details"]["model_availability"] in ("open_weights", "closed_weights", "unknown")
    for result in record["evaluation_results"]:
        assert set(result) == RESULT
        assert result["source_data"] == {"dataset_name": result["source_data"]["dataset_name"], "source_type": "other"}
        metric, score = result["metric_config"], result["score_details"]
        assert set(metric) == METRIC | {"min_score", "max_score"}
        assert set(score) == {"score", "details", "uncertainty"}
        assert {"num_samples"} <= set(score["uncertainty"]) <= UNCERTAINTY
        assert isinstance(score["uncertainty"]["num_samples"], int)
        assert metric["metric_id"] in ("accuracy", "f1_macro") or metric["metric_id"].startswith("groupgap.")
        assert metric["metric_unit"] == "proportion"
        assert isinstance(metric["lower_is_better"], bool)
        assert metric["score_type"] == "continuous"
        assert metric["min_score"] <= score["score"] <= metric["max_score"]
        assert math.isfinite(score["score"])
        assert strings(score["details"])
        interval = score["uncertainty"].get("confidence_interval")
        assert interval is None or interval["lower"] <= interval["upper"]
        assert interval is None or interval["confidence_level"] == 0.95


def test_each_variant_has_a_record_that_the_format_takes(runs: Path, tmp_path: Path) -> None:
    out = build(runs, tmp_path / "out", "--every-eval-ever")
    again = build(runs, tmp_path / "again", "--every-eval-ever")
    files = sorted(path.relative_to(out) for path in out.rglob("every_eval_ever/**/*.json"))
    assert files == sorted(path.relative_to(again) for path in again.rglob("every_eval_ever/**/*.json"))
    rows = {row["variant"]: row for row in json.loads((out / "board.json").read_text())["rows"]}
    names = set()
    for file in files:
        _, data, collection, developer, model, name = file.parts
        assert (data, collection) == ("data", "groupgap")
        assert UUID4.fullmatch(name)
        assert not {developer.lower(), model.lower()} & {"", ".", "..", "data", "con"}
        assert not (developer + model).endswith((".", " "))
        record = json.loads((out / file).read_text())
        check_record(record)
        assert record["model_info"]["id"] == f"{developer}/{model}"
        row = rows[record["model_info"]["name"]]
        names.add(row["variant"])
        scores = {one["evaluation_result_id"]: one["score_details"]["score"] for one in record["evaluation_results"]}
        prefix = f"{row['task']}/{row['axis']}/"
        assert scores == {
            f"{prefix}{key}": one["value"] for key, one in row["metrics"].items() if one["value"] is not None
        }
    assert names == set(HOSTILE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "out", "runs"]


def test_a_better_score_is_the_right_way_round(runs: Path, tmp_path: Path) -> None:
    out = build(runs, tmp_path / "out", "--every-eval-ever")
    record = json.loads(next(out.rglob("every_eval_ever/**/*.json")).read_text())
    lower = {
        one["metric_config"]["metric_id"]: one["metric_config"]["lower_is_better"]
        for one in record["evaluation_results"]
    }
    assert lower["accuracy"] is lower["groupgap.worst_group"] is False
    assert lower["groupgap.dpd"] is lower["groupgap.eod"] is lower["groupgap.accuracy_spread"] is True


def test_what_is_undefined_is_named_and_has_no_score(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = [{"id": str(row), "text": "", "label": 0, "faith": [["aur", "bron"][row % 2]]} for row in range(12)]
    factory.WrittenRun(made, [0] * 12, fair=factory.FAIR).write(tmp_path / "run")
    out = build(tmp_path / "run", tmp_path / "out", "--every-eval-ever")
    record = json.loads(next(out.rglob("every_eval_ever/**/*.json")).read_text())
    check_record(record)
    assert "mytask/faith/eopp" in record["source_metadata"]["additional_details"]["undefined"]
    assert not [one for one in record["evaluation_results"] if one["evaluation_result_id"].endswith("/eopp")]


def test_parquet_holds_what_csv_holds_with_types(runs: Path, tmp_path: Path) -> None:
    out = build(runs, tmp_path / "out", "--parquet")
    for name in ("board", "groups"):
        frame = pd.read_parquet(out / f"{name}.parquet")
        with (out / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
            lines = list(csv.DictReader(stream))
        assert list(frame.columns) == list(lines[0])
        assert len(frame) == len(lines)
        for column in ("accuracy", "accuracy_low", "n"):
            assert frame[column].tolist() == [float(line[column]) for line in lines]
    assert set(pd.read_parquet(out / "board.parquet")["variant"]) == set(HOSTILE)


def test_a_missing_number_is_null_in_parquet_with_its_reason(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = [{"id": str(row), "text": "", "label": 0, "faith": [["aur", "bron"][row % 2]]} for row in range(12)]
    factory.WrittenRun(made, [0] * 12, fair=factory.FAIR).write(tmp_path / "run")
    frame = pd.read_parquet(build(tmp_path / "run", tmp_path / "out", "--parquet") / "board.parquet")
    assert frame["eopp"].isna().all()
    assert frame["eopp_undefined"].tolist() == [
        json.loads((tmp_path / "out" / "board.json").read_text())["rows"][0]["metrics"]["eopp"]["reason"]
    ]
