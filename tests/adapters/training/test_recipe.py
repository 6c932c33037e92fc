"""Recipes: what is allowed, what is refused with which words, and what a sweep becomes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from groupgap.adapters.training.recipe import Recipe, load_recipe, recipe_schema
from groupgap.errors import GroupgapError

DOCS = Path(__file__).resolve().parents[3] / "docs"
WHOLE = """base: base
form: prompt
task: toy_religion_fair
learning_rate: 1e-3
methods:
  full: {}
  lora-r8: {method: lora, r: 8, alpha: 16, targets: [q_proj, v_proj], epochs: 2, learning_rate: 2e-3}
"""


def recipe(folder: Path, text: str = WHOLE) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return load_recipe(path)


def test_the_schema_in_the_documentation_is_current() -> None:
    written = json.loads((DOCS / "recipe.schema.json").read_text())
    assert written == recipe_schema(), "python -m groupgap.adapters.training.recipe > docs/recipe.schema.json"


def test_a_method_has_its_own_settings_over_the_shared_ones(tmp_path: Path) -> None:
    full, lora = recipe(tmp_path).methods
    assert (full.method, full.settings.learning_rate, full.settings.epochs, full.r) == ("full", 1e-3, 1, None)
    assert (lora.method, lora.settings.learning_rate, lora.settings.epochs) == ("lora", 2e-3, 2)
    assert (lora.r, lora.alpha, lora.targets, lora.dropout) == (8, 16.0, ("q_proj", "v_proj"), 0.0)


def test_a_base_is_a_folder_beside_the_recipe_or_a_hub_id(tmp_path: Path) -> None:
    assert recipe(tmp_path).base == str(tmp_path / "base")
    assert recipe(tmp_path, WHOLE.replace("base: base", "base: meta-llama/Llama-2-7b-hf@main")).base == (
        "meta-llama/Llama-2-7b-hf@main"
    )
    (tmp_path / "org" / "model").mkdir(parents=True)
    assert recipe(tmp_path, WHOLE.replace("base: base", "base: org/model")).base == str(tmp_path / "org/model")


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ("ranks: [0, 1, 8], alpha: 16", [("head", None, None), ("lora", 1, 16.0), ("lora", 8, 16.0)]),
        ("ranks: [1, 4, 16], alpha: 16, scale: alpha_over_r", [("lora", 1, 2.0), ("lora", 4, 8.0), ("lora", 16, 32.0)]),
        ("ranks: [2, 4], alpha: 4, r: 4, scale: alpha_over_r", [("lora", 2, 2.0), ("lora", 4, 4.0)]),
        ("ranks: [1, 2], scale: alpha", [("lora", 1, None), ("lora", 2, None)]),
    ],
)
def test_a_rank_sweep_holds_alpha_or_alpha_over_r(
    tmp_path: Path, sweep: str, expected: list[tuple[str, int | None, float | None]]
) -> None:
    methods = recipe(tmp_path, WHOLE + f"  rank: {{method: lora, {sweep}}}\n").methods[2:]
    assert [(method.method, method.r, method.alpha) for method in methods] == expected
    assert all(method.name.startswith("rank-r") for method in methods)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("task: toy", "tsk: toy", "unknown key 'tsk': did you mean 'task'?"),
        ("task: toy_religion_fair\n", "", "the key 'task' is missing"),
        ("form: prompt", "form: promt", "'promt' is not allowed: did you mean 'prompt'? Allowed: prompt, classifier"),
        ("epochs: 2", "epoch: 2", "recipe.yaml:7: methods.lora-r8.epoch: unknown key 'epoch': did you mean 'epochs'?"),
        ("epochs: 2", "epochs: 0", "methods.lora-r8.epochs: input should be greater than or equal to 1, got 0"),
        ("method: lora", "method: lroa", "'lroa' is not known"),
        ("learning_rate: 1e-3", "learning_rate: fast", "got 'fast'"),
        ("learning_rate: 1e-3\n", "", "the key 'learning_rate' is missing: give one here, or for all methods"),
        ("full: {}", "full: {r: 3}", "methods.full.r: belongs to adapters, and method full has none"),
        ("full: {}", "ia3: {ranks: [1]}", "ranks and scale belong to lora, dora, rslora, not to ia3"),
        ("r: 8, alpha", "r: 8, ranks: [1, 2], alpha", "a sweep has ranks: leave r out"),
        ("full: {}", "LORA-r8: {method: full}", "two methods are called"),
        ("full: {}", "../full: {method: full}", "string should match pattern"),
        ("methods:", "seeds: [1, 1]\nmethods:", "a seed stands there twice"),
        ("methods:", "roster: {defaults: {engin: hf}}\nmethods:", "did you mean 'engine'?"),
    ],
)
def test_what_is_not_allowed_is_said_in_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in WHOLE
    with pytest.raises(GroupgapError) as caught:
        recipe(tmp_path, WHOLE.replace(old, new, 1))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_recipe_tells_of_a_method_has_no_seed_and_no_place(tmp_path: Path) -> None:
    read = recipe(tmp_path)
    told = read.told(read.methods[1])
    assert (told["r"], told["learning_rate"], told["task"], told["max_length"]) == (8, 2e-3, "toy_religion_fair", None)
    assert not {"seed", "seeds", "base", "path"} & set(told)


def test_the_recipe_in_the_documentation_is_one(tmp_path: Path) -> None:
    text = (DOCS / "train.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    read = recipe(tmp_path, text)
    assert [method.name for method in read.methods][-1] == "sweep-r8"
    assert len(read.seeds) == 5


def test_every_key_is_in_the_documentation() -> None:
    page = (DOCS / "train.md").read_text()
    schema = recipe_schema()
    keys = {*schema["properties"], *schema["$defs"]["MethodFile"]["properties"]}
    assert {key for key in keys if f"`{key}`" not in page} == set()
