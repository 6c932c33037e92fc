"""Which targets can be attacked, by whose shadows, and what of their data is one unit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.errors import GroupgapError
from groupgap.plugins.attack_fleet import _pool, _shadow_target, _task


def training(task: str) -> SimpleNamespace:
    return SimpleNamespace(task=task, task_options={})


def test_a_task_that_asks_in_cells_is_refused() -> None:
    """Its samples hold every cell's choices in a row; taken for one row's they would make a wrong confidence."""
    with pytest.raises(GroupgapError, match="only tasks of ours that ask each row once, with choices"):
        _task(training("toy_religion_fair_controlled"))  # type: ignore[arg-type]


def test_a_plain_task_is_taken() -> None:
    assert _task(training("toy_religion_fair")).label_field == "label"  # type: ignore[arg-type]


def target(name: str, method: str, base: str, recipe: int = 1) -> Any:
    hashes = {"model.safetensors": base}
    told = {"name": name, "recipe": {"r": recipe}, "base": "tiny", "base_hashes": hashes}
    return SimpleNamespace(variant=SimpleNamespace(name=name, method=method), training=SimpleNamespace(**told))


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
