"""Fifty mutated adapters, by the benchmark that makes five hundred."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def test_nothing_harmful_is_accepted_nothing_runs_and_nothing_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))  # benchmarks are not installed
    benchmark = importlib.import_module("check_mutants")
    result = benchmark.measure(tmp_path, 50, 20)
    assert benchmark.missed(result) == [], result
    assert 30 <= result["refused"] < 50
    assert not result["torch_imported"]
