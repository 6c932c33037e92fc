"""The recipes that come with groupgap: found by name, and each with the settings of the paper's code."""

from __future__ import annotations

from pathlib import Path

import pytest
from groupgap.adapters.training.recipe import load_recipe
from groupgap.adapters.training.recipe_shelf import about, find_recipe, shelf
from groupgap.errors import GroupgapError

PAPER_SEEDS = (13, 1337, 42, 666, 888)
LLAMA, MISTRAL = "meta-llama/Llama-2-7b-hf", "mistralai/Mistral-7B-v0.1"
LLAMA_CHAT, MISTRAL_CHAT = "meta-llama/Llama-2-7b-chat-hf", "mistralai/Mistral-7B-Instruct-v0.2"
VIT, SWIN = "google/vit-base-patch16-224-in21k", "microsoft/swinv2-large-patch4-window12-192-22k"
# name: base, task, rank, (epochs, learning rate) of the full fine-tune, then of LoRA; from the paper's released scripts
PAPER = {
    "llama2-7b-dlab-gender": (LLAMA, "dlab_gender_fair", 8, (1, 1e-5), (2, 3e-4)),
    "llama2-7b-dlab-race": (LLAMA, "dlab_race_fair", 8, (1, 1e-5), (6, 3e-4)),
    "llama2-7b-dlab-religion": (LLAMA, "dlab_religion_fair", 8, (2, 1e-5), (6, 3e-4)),
    "llama2-7b-dlab-sexuality": (LLAMA, "dlab_sexuality_fair", 8, (1, 1e-5), (4, 1e-4)),
    "mistral-7b-dlab-gender": (MISTRAL, "dlab_gender_fair", 8, (4, 1e-5), (2, 3e-4)),
    "mistral-7b-dlab-race": (MISTRAL, "dlab_race_fair", 8, (4, 5e-5), (4, 1e-4)),
    "mistral-7b-dlab-religion": (MISTRAL, "dlab_religion_fair", 8, (2, 1e-5), (4, 3e-4)),
    "mistral-7b-dlab-sexuality": (MISTRAL, "dlab_sexuality_fair", 8, (3, 1e-5), (12, 1e-4)),
    "mistral-7b-dlab-age": (MISTRAL, "dlab_age_fair", 8, (8, 1e-4), (8, 3e-4)),
    "llama2-7b-winomt-general": (LLAMA, "winomt_tr_en_general_fair", 8, (2, 1e-5), (6, 3e-3)),
    "llama2-7b-winomt-pro": (LLAMA, "winomt_tr_en_pro_fair", 8, (4, 1e-5), (12, 3e-3)),
    "mistral-7b-winomt-general": (MISTRAL, "winomt_tr_en_general_fair", 8, (1, 3e-6), (2, 1e-3)),
    "mistral-7b-winomt-pro": (MISTRAL, "winomt_tr_en_pro_fair", 8, (2, 3e-6), (3, 1e-3)),
    "llama2-7b-yelp-base": (LLAMA, "yelp_review_ppl", 8, (4, 3e-5), (12, 1e-3)),
    "llama2-7b-yelp-chat": (LLAMA_CHAT, "yelp_review_ppl", 8, (3, 3e-6), (4, 1e-3)),
    "mistral-7b-yelp-base": (MISTRAL, "yelp_review_ppl", 256, (4, 3e-5), (12, 1e-3)),
    "mistral-7b-yelp-chat": (MISTRAL_CHAT, "yelp_review_ppl", 64, (4, 3e-5), (12, 1e-3)),
    "vit-base-utkface-gender": (VIT, "utkface_gender_fair", 16, (2, 3e-5), (2, 3e-4)),
    "vit-base-utkface-age": (VIT, "utkface_age_fair", 16, (3, 1e-4), (3, 1e-3)),
    "swinv2-large-utkface-gender": (SWIN, "utkface_gender_fair", 16, (6, 3e-6), (2, 1e-3)),
    "swinv2-large-utkface-age": (SWIN, "utkface_age_fair", 16, (2, 1e-4), (8, 3e-4)),
}


def test_the_shelf_holds_the_paper_and_some_for_a_laptop() -> None:
    names = set(shelf())
    assert {f"paper/{name}" for name in PAPER} == {name for name in names if name.startswith("paper/")}
    own = {"stories-toxigen", "stories-hatexplain", "toy-ranks", "toy-faces"}
    assert {name for name in names if "/" not in name} == own


@pytest.mark.parametrize("name", PAPER)
def test_a_recipe_of_the_paper_has_its_settings(name: str) -> None:
    base, task, rank, full, lora = PAPER[name]
    recipe = load_recipe(find_recipe(f"paper/{name}"))
    assert (recipe.base, recipe.task) == (base, task)
    assert recipe.seeds == ((13,) if "yelp" in name else PAPER_SEEDS)
    assert recipe.max_length == {"dlab": 256, "wino": 128, "yelp": 256, "utkf": None}[task[:4]]
    assert recipe.max_rows == (50_000 if "yelp" in name else None)
    found = {method.name: method for method in recipe.methods}
    assert set(found) == {"full", "lora"}
    assert (found["full"].settings.epochs, found["full"].settings.learning_rate) == full
    assert (found["lora"].settings.epochs, found["lora"].settings.learning_rate) == lora
    adapter = found["lora"]
    assert (adapter.r, adapter.alpha, adapter.dropout) == (rank, 16, 0)
    assert set(adapter.targets or ()) >= ({"query", "value"} if "utkface" in name else {"q_proj", "v_proj"})
    for method in recipe.methods:
        settings = method.settings
        assert settings.batch_size * settings.gradient_accumulation == 32
        assert (settings.weight_decay, settings.warmup_ratio) == (0.001, 0.01)
        assert (settings.schedule, settings.precision, settings.select) == ("cosine", "bfloat16", "last")


@pytest.mark.parametrize("name", sorted(shelf()))
def test_every_recipe_says_what_it_is(name: str) -> None:
    said = about(shelf()[name])
    assert 20 < len(said) < 130
    assert not said.startswith("#")
    if name.startswith("paper/"):
        assert "\n# Departures:\n# - " in shelf()[name].read_text(encoding="utf-8")


def test_a_file_of_ones_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe("toy-ranks") == find_recipe("toy-ranks.yaml") == shelf()["toy-ranks"]
    (tmp_path / "toy-ranks.yaml").write_text("mine")
    assert find_recipe("toy-ranks.yaml") == Path("toy-ranks.yaml")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("paper/lama2-7b-dlab-religion", "did you mean 'paper/llama2-7b-dlab-religion'?"),
        ("../recipes/toy-ranks", "(groupgap train --list shows them)"),
    ],
)
def test_a_name_that_is_nowhere_is_refused(name: str, words: str) -> None:
    with pytest.raises(GroupgapError) as error:
        find_recipe(name)
    assert words in str(error.value)
