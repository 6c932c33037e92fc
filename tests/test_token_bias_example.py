"""The page of examples/token-bias says what its files hold, and the files hold no review."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from groupgap.adapters.training.recipe import load_recipe
from groupgap.leaderboards.report_blocks import read_blocks
from groupgap.leaderboards.token_tables import SCHEMA

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "token-bias"
FILES = ("README.md", "recipe.yaml", "run.py", "page.py", "made.json", "compare.json", "board.md")
REPORT = tuple(f"token_bias.{kind}" for kind in ("csv", "json", "md", "svg"))


def read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("token_bias_page", FOLDER / "page.py")
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


def test_every_number_of_the_text_stands_in_a_table(page: ModuleType) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    tables = "".join(found[0] for found in page.BLOCK.finditer(text))
    numbers = re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", page.BLOCK.sub("", text))
    assert numbers
    assert [number for number in numbers if number not in tables] == []


def test_the_report_is_of_the_recipe(page: ModuleType) -> None:
    recipe = load_recipe(str(FOLDER / "recipe.yaml"))
    variants = {"base", *(f"{method}-13" for method in ("full", "lora"))}
    document = read("token_bias.json")
    assert document["schema"] == SCHEMA
    assert {one["variant"] for one in document["prompts"]} == variants
    assert {one["variant"] for one in document["tasks"]} == variants
    assert set(read("made.json")["perplexity"]) == variants
    asked = {str(task.task) for task in recipe.roster.tasks}
    for one in document["prompts"]:
        prompts = {f"gender_guess_{rate['prompt'].lower().replace('-', '_')}" for rate in one["rates"]}
        assert prompts == {task for task in asked if task.startswith("gender_guess_")}
        assert {rate["n"] for rate in one["rates"]} == {500}
    assert {block.variant for block in read_blocks(FOLDER / "token_bias.json")} == variants


def test_nothing_of_a_review_or_of_this_machine_is_kept() -> None:
    kept = sorted(path.name for path in FOLDER.iterdir() if path.is_file())
    assert kept == sorted([*FILES, *REPORT])
    assert sum((FOLDER / name).stat().st_size for name in kept) < 1_000_000
    for name in ("made.json", "compare.json", "board.md", *REPORT):
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert not re.search(r"(^|[\s\"'=])/(tmp|home|root|work|mnt)/", text), name
        assert '"doc"' not in text, name
