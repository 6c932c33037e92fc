"""The examples' pages say what their files hold: tables made anew from the json, every number of the text in them."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from groupgap.adapters.roster import load_roster
from groupgap.adapters.training.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[1]
BOARD = ROOT / "examples" / "lora-vs-full"
SEEDS = (13, 1337, 42, 666, 888)
METHODS = ("full", "lora-r8", "lora-r2", "dora", "head")
SETS = {"toxigen": ["toxigen_fair"], "hatexplain": ["hatexplain_race_fair", "hatexplain_religion_fair"]}


def read(name: str) -> Any:
    return json.loads((BOARD / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lora_vs_full_page", BOARD / "page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_page_are_those_of_its_files(page: ModuleType) -> None:
    text = (BOARD / "README.md").read_text(encoding="utf-8")
    assert len(page.BLOCK.findall(text)) == 4
    assert page.fill(text) == text
    assert page.fill(page.BLOCK.sub(r"\1\3", text)) == text


def test_every_number_of_the_text_stands_in_its_files(page: ModuleType) -> None:
    """A number with three decimals is one of a table, and what was counted is counted again."""
    text = (BOARD / "README.md").read_text(encoding="utf-8")
    tables = "".join(match.group(0) for match in page.BLOCK.finditer(text))
    prose = page.BLOCK.sub("", text)
    numbers = re.findall(r"(?<![\w.])\d+\.\d{3}(?!\d)", prose)
    assert numbers
    for number in numbers:
        assert number in tables, number
    for words in facts():
        assert words in prose, words


def facts() -> list[str]:
    """What the text says that no table does."""
    made = read("made.json")
    seconds = sum(one["seconds"] for one in made["trainings"])
    asking = sum(one["seconds"] for one in made["asked"].values())
    return [
        f"{len(made['trainings'])} trainings",
        f"{seconds / 60:.0f} minutes",
        f"{asking / 60:.0f} minutes",
        *(f"{seconds / 60:.0f} minutes for {name}" for name, seconds in made["clock_seconds"].items()),
        made["machine"],
        *(f"{counted['documents']:,} documents" for counted in made["asked"].values()),
    ]


def test_the_board_is_of_five_methods_and_five_seeds() -> None:
    rows = read("board.json")["rows"]
    for name, tasks in SETS.items():
        for task in tasks:
            found = {row["variant"]: row for row in rows if row["task"] == task}
            assert set(found) - {"base"} == {f"{name}-{method}" for method in METHODS}
            for method in METHODS:
                row = found[f"{name}-{method}"]
                assert sorted(row["seeds"]) == sorted(SEEDS)
                assert len(row["by_seed"]) == 5
                assert "t over 5 seeds" in row["metrics"]["accuracy"]["interval"]
                assert row["proof"] == ("full" if name == "toxigen" else "fast")
                assert not row["limited"]


def test_all_methods_of_a_seed_start_alike_and_saw_the_same_rows_in_the_same_order() -> None:
    trainings = read("made.json")["trainings"]
    starts: dict[tuple[str, int], list[float]] = {}
    for one in trainings:
        starts.setdefault((one["task"], one["seed"]), []).append(one["first_loss"])
    assert all(max(losses) - min(losses) < 1e-5 for losses in starts.values())
    assert len(trainings) == len(SETS) * len(METHODS) * len(SEEDS)
    orders: dict[tuple[str, int], set[str]] = {}
    for one in trainings:
        orders.setdefault((one["task"], one["seed"]), set()).add(one["batch_order"])
    assert len(orders) == len(SETS) * len(SEEDS)
    assert all(len(found) == 1 for found in orders.values())
    assert len(set.union(*orders.values())) == len(orders)


@pytest.mark.parametrize("name", SETS)
def test_the_methods_are_compared_over_the_seeds(name: str) -> None:
    comparisons = read(f"compare-{name}.json")["comparisons"]
    asked = {(one["task"], one["a"], one["b"], one["question"]) for one in comparisons}
    for task in SETS[name]:
        for method in METHODS[1:]:
            for question in ("trainings", "weights"):
                assert (task, f"{name}-{method}", f"{name}-full", question) in asked
    assert all(sorted(one["seeds"]) == sorted(SEEDS) for one in comparisons if not one["a"].startswith("base"))


@pytest.mark.parametrize("name", SETS)
def test_the_recipe_and_the_roster_are_those_of_the_board(name: str) -> None:
    recipe = load_recipe(BOARD / f"{name}.yaml")
    assert recipe.seeds == SEEDS
    assert tuple(method.name for method in recipe.methods) == METHODS
    roster = load_roster(BOARD / f"roster-{name}.yaml")
    assert [task.name for task in roster.tasks] == SETS[name]
    trained = {variant.name for variant in roster.variants} - {"base"}
    assert trained == {f"{name}-{method}-{seed}" for method in METHODS for seed in SEEDS}
    rows = {one["rows"] for one in read("made.json")["trainings"] if one["task"] == recipe.task}
    assert rows == {recipe.max_rows}


def test_what_is_kept_is_small_and_names_no_machine() -> None:
    files = [path for path in BOARD.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 1_500_000
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])/(work|tmp|home|root)/", text), path.name
    assert yaml.safe_load((BOARD / "roster-toxigen.yaml").read_text())["defaults"]["base"] == "stories260K"
