"""``groupgap check``: the table, the JSON, the status."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from groupgap.cli import main


def strict(text: str) -> Any:
    """Parse JSON as the standard has it."""

    def refuse(name: str) -> NoReturn:
        raise AssertionError(f"{name} in JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_table_of_many(zoo: dict[str, Path], base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(
        ["check", *[str(zoo[name]) for name in ("plain", "dora", "classifier")], str(base), "--base", str(base)]
    )
    out = capsys.readouterr().out
    assert status == 0
    lines = out.splitlines()
    assert lines[0].split() == [
        "checked",
        "verdict",
        "method",
        "rank",
        "alpha",
        "targets",
        "tensors",
        "size",
        "licence",
    ]
    assert [line.split()[1:3] for line in lines[1:5]] == [
        ["served", "lora"],
        ["merged", "dora"],
        ["served", "lora"],
        ["served", "full"],
    ]
    assert "8 of 8" in lines[1]
    assert "vLLM does not take DoRA -> merge: true merges it" in out
    assert "carries a head: score, 3 labels" in out


def test_json_holds_what_the_table_holds_and_more(
    zoo: dict[str, Path], base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(zoo["plain"]), str(base), "--base", str(base), "--deep", "--json"]) == 0
    document = strict(capsys.readouterr().out)
    adapter, full = document["checks"]
    assert (document["schema"], adapter["kind"], full["kind"]) == (1, "adapter", "full")
    assert (adapter["rank"], adapter["targets"]) == (4, {"q_proj": 2, "down_proj": 2})
    assert len(adapter["hashes"]["adapter_model.safetensors"]) == 64
    assert full["reload"] is True


def test_one_refusal_makes_the_status_2_and_the_others_are_still_checked(
    zoo: dict[str, Path], base: Path, edited: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = edited(lambda tensors, _: tensors.clear())
    places = [str(tmp_path / "absent"), str(broken), str(zoo["plain"])]
    assert main(["check", *places, "--base", str(base), "--json"]) == 2
    rows = strict(capsys.readouterr().out)["checks"]
    assert [row["verdict"] for row in rows] == ["refused", "refused", "served"]
    assert "no such folder" in rows[0]["error"]
    assert main(["check", *places, "--base", str(base)]) == 2
    out = capsys.readouterr().out
    assert f"{broken}: refused\n  its file holds no tensors" in out


def test_a_base_that_cannot_be_read_ends_it(
    zoo: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(zoo["plain"]), "--base", str(tmp_path)]) == 2
    assert "groupgap: error:" in capsys.readouterr().err


def test_the_base_that_an_adapter_names_is_used_where_it_is_here(
    zoo: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["check", str(zoo["plain"]), "--json"])
    assert strict(capsys.readouterr().out)["checks"][0]["compared"] is True


def test_the_engine_decides(zoo: dict[str, Path], base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(zoo["prefix"]), "--base", str(base)]) == 2
    assert "engine: hf serves it" in capsys.readouterr().out
    assert main(["check", str(zoo["prefix"]), "--base", str(base), "--engine", "hf"]) == 0


def test_neither_torch_nor_transformers_is_needed(
    zoo: dict[str, Path], base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "transformers", "peft", "vllm"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["check", str(zoo["plain"]), "--base", str(base), "--deep"]) == 0
