"""``groupgap compare`` on controlled tasks: differences of token effects, paired by document, in the same family."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groupgap import cli

N = 150
Write = Callable[..., str]


@pytest.fixture
def write(factory: SimpleNamespace, tmp_path: Path) -> Write:
    documents = factory.documents(N)
    cells = factory.balanced_cells()
    rng = np.random.default_rng(0)
    label = np.array([document["label"] for document in documents])
    meaning = np.stack([np.zeros(N), 1.5 * (2 * label - 1) + rng.normal(0, 0.7, N)], axis=1)

    def made(name: str, effects: dict[str, float], kept: Sequence[int] = range(N), **changes: Any) -> str:
        noise = np.random.default_rng([*map(ord, name)]).normal(0, 0.3, (N, 4, 2))
        logs = factory.planted(meaning, cells, effects) + noise
        run = factory.ControlledRun(
            **{
                "documents": [documents[row] for row in kept],
                "fair": factory.FAIR,
                "predictions": [0] * len(kept),
                "task": "mytask_controlled",
                "cells": [cells] * len(kept),
                "log_probabilities": [logs[row] for row in kept],
                "model_args": {"pretrained": f"org/{name}"},
                **changes,
            }
        )
        return str(run.write(tmp_path / name))

    return made


def compared(capsys: Any, *arguments: str) -> list[dict[str, Any]]:
    assert cli.main(["compare", *arguments, "--json"]) == 0
    return list(json.loads(capsys.readouterr().out)["comparisons"])


def tokens(comparison: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["class_name"] or "": one for one in comparison["tests"] if one["metric"].endswith("_effect")}


def test_a_smaller_token_effect_is_found(write: Write, capsys: Any) -> None:
    found = compared(capsys, write("lora", {"A": 1.5, "1": 0.2}), write("full", {"A": 0.3, "1": 0.2}))
    by_name = tokens(found[0])
    assert list(by_name) == ["", "A over B", "place 1 over place 2"]
    largest, symbol, place = by_name.values()
    assert largest["low"] <= 1.2 <= largest["high"]
    assert symbol["low"] <= 1.2 <= symbol["high"]
    assert place["low"] <= 0.0 <= place["high"]
    assert largest["verdict"] == f"B is better (the smaller effect) by {largest['difference']:.3f}"
    assert symbol["verdict"].startswith("A is higher")
    assert largest["a"]["groups"] == ["A", "B"]
    assert all(one["n"] == N and one["q"] >= one["p"] and one["null"] for one in by_name.values())
    assert place["minimal_detectable"] is not None


def test_they_are_of_the_family_of_the_output(write: Write, capsys: Any) -> None:
    runs = write("lora", {"A": 1.5}), write("full", {"A": 0.3})
    assert cli.main(["compare", *runs, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    tested = [one for comparison in document["comparisons"] for one in comparison["tests"] if one["p"] is not None]
    assert document["family"]["tests"] == len(tested)
    assert {"token_effect", "symbol_effect", "position_effect"} < {one["metric"] for one in tested}
    assert cli.main(["compare", *runs]) == 0
    printed = capsys.readouterr().out
    assert "token effect in log-odds" in printed
    assert "symbol effect in log-odds (A over B)" in printed


def test_documents_are_joined_whatever_their_order(write: Write, capsys: Any) -> None:
    lora = write("lora", {"A": 1.5})
    order = np.random.default_rng(1).permutation(N)[:100].tolist()
    mixed = tokens(compared(capsys, lora, write("full", {"A": 0.3}, order, original=N))[0])
    straight = tokens(compared(capsys, lora, write("again/full", {"A": 0.3}, sorted(order), original=N))[0])
    assert mixed["A over B"]["n"] == straight["A over B"]["n"] == 100
    assert mixed["A over B"]["low"] <= 1.2 <= mixed["A over B"]["high"]
    assert mixed["A over B"]["stderr"] < 0.1


def test_a_second_axis_does_not_test_them_again(write: Write, capsys: Any) -> None:
    runs = write("lora", {"A": 1.5}), write("full", {"A": 0.3})
    first, second = compared(capsys, *runs, "--axis", "mytask_controlled=doc.meta.lang")
    assert tokens(first)
    assert not tokens(second)


def test_plain_tasks_have_none(factory: SimpleNamespace, tmp_path: Path, capsys: Any) -> None:
    one = factory.run(n=60).write(tmp_path / "a")
    other = factory.run(n=60, skill=2, model_args={"pretrained": "org/b"}).write(tmp_path / "b")
    assert not tokens(compared(capsys, str(one), str(other))[0])


def test_methods_of_several_seeds_are_compared_by_whole_documents(write: Write, capsys: Any) -> None:
    runs = []
    for method, size in (("lora", 1.5), ("full", 0.3)):
        for seed in (13, 42):
            folder = write(f"{method}-{seed}", {"A": size})
            told = {"name": f"{method}-{seed}", "base": "org/b", "method": method, "seed": seed}
            (Path(folder) / "variant.json").write_text(json.dumps(told))
            runs.append(folder)
    trainings, weights = compared(capsys, *runs)
    assert not tokens(trainings)
    found = tokens(weights)
    assert found["A over B"]["n"] == N
    assert found["A over B"]["low"] <= 1.2 <= found["A over B"]["high"]
    assert found[""]["verdict"].startswith("these weights: B is better (the smaller effect)")
