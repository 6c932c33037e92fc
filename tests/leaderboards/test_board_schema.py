"""``docs/board.schema.json``: boards of every kind fit it, broken ones do not; it names all columns of csv."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.cli import main
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "board.schema.json").read_text(encoding="utf-8"))


def errors(document: dict[str, Any]) -> list[str]:
    return [error.json_path for error in Draft202012Validator(SCHEMA).iter_errors(document)]


def build(tmp_path: Path, *options: str) -> Path:
    out = tmp_path / "out"
    assert main(["board", str(tmp_path / "runs"), "-o", str(out), "--draws", "999", "--min-group", "5", *options]) == 0
    return out


@pytest.fixture
def out(tmp_path: Path, factory: SimpleNamespace) -> Path:
    """Seeds of one recipe, a base, a run without a variant.json, and a report."""
    for number, name in enumerate(("lora-13", "lora-42", "base", "own")):
        folder = factory.run(n=90, skill=number + 1).write(tmp_path / "runs" / name)
        told: dict[str, Any] = {
            "name": name,
            "base": "org/base",
            "method": name.partition("-")[0],
            "weights": name,
            "licence": "mit",
        }
        told |= {"seed": int(name[5:])} if name.startswith("lora") else {}
        if name != "own":
            (folder / "variant.json").write_text(json.dumps(told))
    block = {"variant": "base", "title": "t", "columns": ["a"], "rows": [[None]], "notes": ["n"]}
    (tmp_path / "report.json").write_text(json.dumps({"blocks": [block]}))
    return build(tmp_path, "--with", str(tmp_path / "report.json"))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_boards_fit(out: Path) -> None:
    document = json.loads((out / "board.json").read_text(encoding="utf-8"))
    assert any(row["by_seed"] for row in document["rows"])
    assert document["pairs"][0]["pairs"]
    assert document["blocks"]
    assert errors(document) == []


def test_a_board_of_undefined_numbers_fits(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = [{"id": str(row), "text": "", "label": 0, "faith": [["aur", "bron"][row % 2]]} for row in range(12)]
    factory.WrittenRun(made, [0] * 12, fair=factory.FAIR).write(tmp_path / "runs")
    assert errors(json.loads((build(tmp_path) / "board.json").read_text())) == []


def test_an_updated_board_fits(out: Path, tmp_path: Path) -> None:
    (tmp_path / "runs" / "own").rename(tmp_path / "gone")
    (tmp_path / "gone").rename(tmp_path / "runs" / "elsewhere")
    document = json.loads((out / "board.json").read_text())
    for row in document["rows"]:
        row["sources"] = ["../nowhere.json"] * len(row["members"]) if row["variant"] == "base" else row["sources"]
    (out / "board.json").write_text(json.dumps(document))
    assert main(["board", "--update", str(out)]) == 0
    updated = json.loads((out / "board.json").read_text())
    assert updated["pairs"][0]["not_compared"]
    assert errors(updated) == []


def test_a_broken_board_does_not_fit(out: Path) -> None:
    document = json.loads((out / "board.json").read_text())
    faults: dict[str, Callable[[dict[str, Any]], object]] = {
        "no reason": lambda row: row["metrics"].update(eod={"value": None, "n": 3}),
        "a number and a reason": lambda row: row["metrics"].update(eod={"value": 0, "n": 3, "reason": "no positives"}),
        "text for a number": lambda row: row["metrics"]["dpd"].update(value="0.1"),
        "unknown key": lambda row: row.update(colour="red"),
        "missing key": lambda row: row.pop("groups"),
    }
    for fault, make in faults.items():
        broken = copy.deepcopy(document)
        make(broken["rows"][0])
        assert errors(broken), fault
    assert errors(document | {"schema_version": 2})


def test_every_column_of_the_csv_files_is_described(out: Path) -> None:
    kinds: dict[str, Callable[[str], object]] = {
        "number": float,
        "integer": int,
        "boolean": ["False", "True"].index,
        "string": str,
    }
    for name in ("board", "groups"):
        with (out / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
            lines = list(csv.DictReader(stream))
        columns = SCHEMA["$defs"][f"{name}_csv"]["properties"]
        assert list(lines[0]) == list(columns)
        for line in lines:
            for column, text in line.items():
                if text:
                    kinds[columns[column]["type"]](text)
