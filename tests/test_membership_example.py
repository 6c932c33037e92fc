"""The page of examples/membership says what its files hold, the files hold no text, and the report is of the recipe."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from groupgap.adapters.training.recipe import load_recipe
from groupgap.leaderboards.attack_tables import SCHEMA
from groupgap.leaderboards.report_blocks import read_blocks

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "membership"
REPORT = ("attack.csv", "attack.json", "attack.md", "roc.svg")
FILES = ("README.md", "recipe.yaml", "run.py", "page.py", "made.json", *REPORT)
TARGETS = ("full-13", "lora-13")


def read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("membership_page", FOLDER / "page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_page_are_those_of_its_files(page: ModuleType) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert {found[1] for found in page.BLOCK.findall(text)} == set(page.TABLES)
    assert page.fill(text) == text
    assert page.fill(page.BLOCK.sub(r"\1\3", text)) == text


def test_every_number_of_the_text_stands_in_its_files(page: ModuleType) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    tables = "".join(found[0] for found in page.BLOCK.finditer(text))
    prose = page.BLOCK.sub("", text)
    numbers = re.findall(r"(?<![\w.])\d+\.\d{3}(?![\w.]*\d)", prose)
    assert len(numbers) > 5
    assert [number for number in numbers if number not in tables] == []
    made, (attack, *_) = read("made.json"), read("attack.json")["attacks"]
    facts = attack["facts"]
    judged = [one for one in attack["results"] if one["group"] and one["auc"]["value"] is not None]
    members = [one["members"] for one in judged]
    for words in (
        f"took {sum(made['seconds'].values()) / 60:.0f} minutes",
        made["machine"],
        f"{facts['members']} of these rows",
        f"{facts['nonmembers']} of the test part",
        f"each on {facts['shadow_rows'].partition(' ')[0]} other rows",
        f"{min(members)} to {max(members)} members each",
    ):
        assert words in prose, words


def test_the_report_is_of_the_recipe() -> None:
    recipe = load_recipe(FOLDER / "recipe.yaml")
    assert tuple(f"{method.name}-{seed}" for seed in recipe.seeds for method in recipe.methods) == TARGETS
    document = read("attack.json")
    assert document["schema"] == SCHEMA
    for one in document["attacks"]:
        assert one["target"] in TARGETS
        assert one["facts"]["task"] == recipe.task
        assert one["facts"]["target_rows"] == recipe.max_rows
        assert one["facts"]["shadow_method"] == one["facts"]["method"]
        assert "--shadows 16" in one["facts"]["command"]
    assert {one["reading"] for one in document["attacks"] if one["attack"] == "lira"} == {
        "offline, 16 shadows, variance residual"
    }
    assert {block.variant for block in read_blocks(FOLDER / "attack.json")} == set(TARGETS)
    assert set(read("made.json")["targets"]) == set(TARGETS)


def test_nothing_of_a_text_or_of_a_machine_is_kept() -> None:
    kept = sorted(path.name for path in FOLDER.iterdir() if path.is_file())
    assert kept == sorted(FILES)
    assert sum((FOLDER / name).stat().st_size for name in kept) < 1_000_000
    for name in kept:
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])/(work|tmp|home|root)/", text), name
