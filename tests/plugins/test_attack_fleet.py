"""Which targets can be attacked, by whose shadows, and what of their data is one unit."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.adapters.variant import Variant
from groupgap.errors import GroupgapError
from groupgap.plugins.attack_fleet import _pool, _recipe_hash, _shadow_target, _task


def training(task: str) -> SimpleNamespace:
    return SimpleNamespace(task=task, task_options={})


def test_a_task_that_asks_in_cells_is_refused() -> None:
    """Its samples hold every cell's choices in a row; taken for one row's they would make a wrong confidence."""
    with pytest.raises(GroupgapError, match="only tasks of ours that ask each row once, with choices"):
        _task(training("toy_religion_fair_controlled"))  # type: ignore[arg-type]


def test_a_plain_task_is_taken() -> None:
    assert _task(training("toy_religion_fair")).label_field == "label"  # type: ignore[arg-type]


def target(name: str, method: str, base: str, recipe: int = 1, **served: Any) -> Any:
    hashes = {"model.safetensors": base}
    told = {"name": name, "recipe": {"r": recipe}, "base": "tiny", "base_hashes": hashes}
    variant = Variant(name, "tiny", method, name, **served)
    return SimpleNamespace(variant=variant, training=SimpleNamespace(**told))


def test_shadows_are_shared_by_targets_of_the_same_files_of_the_base_only() -> None:
    """The base's folder was replaced between two trainings: its name is the same, its weights are others."""
    one, other, third = (
        target("full-1", "full", "aaaa"),
        target("full-2", "full", "bbbb"),
        target("f-3", "full", "bbbb"),
    )
    everybody = [one, other, third]
    assert [_shadow_target(each, everybody, "same") for each in everybody] == [one, other, other]
    lora = target("lora-1", "lora", "aaaa", recipe=2)
    assert _shadow_target(one, [*everybody, lora], "lora") is lora
    with pytest.raises(GroupgapError, match="full-2 has no LoRA target of the same base"):
        _shadow_target(other, [*everybody, lora], "lora")


@pytest.mark.parametrize(
    "served",
    [
        {"engine": "hf"},
        {"engine_options": {"dtype": "bfloat16", "quantization": "fp8"}},
        {"labels": {"no": 0, "yes": 1}},
        {"merge": True},
        {"base": "other"},
    ],
)
def test_shadows_are_shared_by_targets_that_are_served_alike_only(served: dict[str, Any]) -> None:
    """A target in bfloat16 against shadows in float32: the attack would find the number format."""
    one, same = (target(f"lora-{seed}", "lora", "aaaa", engine_options={"dtype": "float32"}) for seed in (1, 2))
    other = target("lora-3", "lora", "aaaa", engine_options={"dtype": "float32"})
    other.variant = replace(other.variant, **served)
    everybody = [one, same, other]
    assert [_shadow_target(each, everybody, "same") for each in everybody] == [one, one, other]
    assert _recipe_hash(one) == _recipe_hash(same) != _recipe_hash(other)


def test_lora_shadows_are_served_as_the_whole_target_is() -> None:
    full = target("full-1", "full", "aaaa", engine_options={"dtype": "float32"})
    full.variant = replace(full.variant, base=None)
    odd = target("lora-1", "lora", "aaaa", recipe=2, engine_options={"dtype": "bfloat16"})
    like = target("lora-2", "lora", "aaaa", recipe=2, engine_options={"dtype": "float32"}, merge=True)
    assert _shadow_target(full, [full, odd, like], "lora") is like
    with pytest.raises(GroupgapError, match="that is served by the same engine and options"):
        _shadow_target(full, [full, odd], "lora")


def test_rows_of_a_text_and_of_a_pair_are_one_unit_of_the_pool() -> None:
    task = SimpleNamespace(
        config=SimpleNamespace(metadata={"fair": {"cluster": "pair"}}),
        code=SimpleNamespace(axes=[SimpleNamespace(field="gender")]),
        has_validation_docs=lambda: True,
        validation_docs=lambda: [{"id": "v", "text": "w", "pair": 3, "gender": []}],
    )
    rows = {"a": ("x", 1), "b": ("x", 2), "c": ("y", 2), "d": ("z", 3), "spare": ("z", 1)}
    documents = {row: {"id": row, "text": text, "pair": pair, "gender": []} for row, (text, pair) in rows.items()}
    pool = _pool(task, documents, SimpleNamespace(row_ids=("a", "b")), ["c", "d"])  # type: ignore[arg-type]
    assert pool.units == {"a": "a", "b": "a", "c": "a", "d": "d", "v": "d"}
    assert pool.validation == ("v",)


def test_the_pool_knows_what_the_split_keeps_together_and_what_the_target_did_not_take() -> None:
    task = SimpleNamespace(
        config=SimpleNamespace(metadata={"fair": {"cluster": "pair"}}),
        code=SimpleNamespace(axes=[]),
        has_validation_docs=lambda: False,
    )
    pairs = {"a": 1, "a#copy2": 1, "b": 1, "c": 2, "d": 3, "e": 3}
    documents = {row: {"id": row, "text": row, "pair": pair} for row, pair in pairs.items()}
    pool = _pool(task, documents, SimpleNamespace(row_ids=("a",)), ["d", "e"])  # type: ignore[arg-type]
    assert pool.together == {"a": "a", "a#copy2": "a", "b": "a", "c": "c", "d": "d", "e": "d"}
    assert pool.spare == ("a#copy2", "b")
    assert pool.units == {"a": "a", "a#copy2": "a", "b": "a", "d": "d", "e": "d"}
