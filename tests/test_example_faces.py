"""The example of faces: what was measured comes to the planted ceilings, and its page says what its files hold."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from groupgap.adapters.training.recipe import load_recipe
from groupgap.harness_tasks.splits import part_of
from groupgap.harness_tasks.toy_faces.draw import HUES, plan
from groupgap.harness_tasks.toy_faces.utils import faces, image_name
from groupgap.metrics import wilson

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "faces"
SEEDS = {13, 1337, 42, 666, 888}


def rows(which: str) -> dict[str, dict[str, Any]]:
    """The board's rows by method."""
    found = json.loads((FOLDER / which / "board.json").read_text(encoding="utf-8"))["rows"]
    return {row["variant"]: row for row in found}


def accuracies(row: dict[str, Any]) -> dict[str, tuple[float, int]]:
    return {group["group"]: (group["accuracy"]["value"], group["n"]) for group in row["groups"]}


@pytest.fixture
def best(drawn_faces: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What a reader who sees every mouth exactly is right on, of the discs that are asked, by hue."""
    monkeypatch.setenv("GROUPGAP_CACHE", str(drawn_faces))
    monkeypatch.delenv("GROUPGAP_DATA", raising=False)
    discs = plan()
    place = {image_name(number): number for number in range(len(discs))}
    asked = [place[row["image"]] for row in faces().documents if part_of(row["id"]) == "test"]
    read = (discs.curvature > 0) == discs.smiles
    return {
        hue.name: float(np.mean([read[disc] for disc in asked if discs.hue[disc] == number]))
        for number, hue in enumerate(HUES)
    }


def as_planted(found: dict[str, tuple[float, int]], best: dict[str, float]) -> bool:
    """Whether every ceiling lies in the interval of its hue, and the hues are in their order."""
    for hue, (accuracy, n) in found.items():
        low, high = wilson(accuracy * n, n)
        if not low <= best[hue] <= high:
            return False
    return sorted(found, key=lambda hue: -found[hue][0]) == [hue.name for hue in HUES]


@pytest.fixture(scope="module")
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("faces_make", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("method", ["full", "lora"])
def test_what_was_trained_comes_to_the_planted_ceilings(method: str, best: dict[str, float]) -> None:
    row = rows("toy")[method]
    found = accuracies(row)
    assert sum(n for _, n in found.values()) == row["n"] == 1203
    assert as_planted(found, best), (found, best)


def test_the_check_sees_a_head_that_learnt_too_little_and_groups_that_are_shifted(
    best: dict[str, float],
) -> None:
    found = rows("toy")
    assert not as_planted(accuracies(found["head"]), best)
    full = accuracies(found["full"])
    names = list(full)
    shifted = {name: full[other] for name, other in zip(names, [*names[1:], names[0]], strict=True)}
    assert not as_planted(shifted, best)


def test_lora_is_close_to_full_in_every_hue() -> None:
    full, lora = (rows("toy")[method] for method in ("full", "lora"))
    assert abs(full["metrics"]["accuracy"]["value"] - lora["metrics"]["accuracy"]["value"]) < 0.01
    for hue, (accuracy, _) in accuracies(full).items():
        assert abs(accuracy - accuracies(lora)[hue][0]) < 0.02


@pytest.mark.parametrize(("which", "methods"), [("toy", {"full", "lora", "head"}), ("adults", {"full", "lora"})])
def test_five_seeds_of_each_method_proven_live_by_the_recipes_here(which: str, methods: set[str]) -> None:
    found = rows(which)
    assert set(found) == methods
    recipe = load_recipe(FOLDER / f"{which}.yaml")
    assert {method.name for method in recipe.methods} == methods
    for row in found.values():
        assert set(row["seeds"]) == set(recipe.seeds) == SEEDS
        assert row["proof"] == "full"
        assert not row["lm_eval"]  # lm-eval's own numbers are the board's
    assert load_recipe(FOLDER / f"{which}-base.yaml").form == "image_classifier"


def test_the_tables_of_the_page_are_those_of_its_files(page: ModuleType) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert page.fill(text) == text
    assert all(found[2] for found in page.BLOCK.findall(text))
    prose = page.BLOCK.sub("", text)
    for which in ("toy", "adults"):
        assert f"{next(iter(rows(which).values()))['n']:,} are asked" in prose


def test_the_page_says_what_the_best_reader_reaches(best: dict[str, float]) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert ", ".join(f"{value:.3f} ({hue})" for hue, value in best.items()) in " ".join(text.split())


def test_nothing_there_names_a_machine_or_shows_a_picture() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file() and "work" not in path.parts[len(FOLDER.parts) :]]
    assert {path.suffix for path in files} <= {".py", ".yaml", ".md", ".csv", ".json"}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.$])/(tmp|work|home|root|mnt)/", text), path.name
        assert ".jpg" not in text, path.name
