"""What the fleet makes of a training's record: recipes that fold by seed only, and a head that lies in a checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from groupgap.adapters.roster import load_roster
from groupgap.adapters.tensors import weight_hashes
from groupgap.plugins.fleet_plan import make_plan

RECORD: dict[str, Any] = {
    "schema": "groupgap.training/1",
    "name": "full-13",
    "recipe": {"learning_rate": 1e-3, "epochs": 1},
    "method": "full",
    "seed": 13,
    "base": "base",
    "base_hashes": {},
    "form": "prompt",
    "task": "toy_religion_fair",
    "task_options": {},
    "part": "train",
    "row_ids": ["toy-1"],
    "validation_ids_hash": None,
    "batch_order": "sha256:0",
    "epoch_orders": ["sha256:0"],
    "first_loss": 1.0,
    "losses": [{"epoch": 1, "train": 1.0, "validation": None}],
    "selected_epoch": 1,
    "trained_parameters": 77,
    "total_parameters": 100,
    "steps": 1,
    "seconds": 1.0,
    "seconds_per_step": 1.0,
    "peak_memory_bytes": None,
    "peak_memory_of": "process",
    "world_size": 1,
    "device": "cpu",
    "versions": {},
    "command": "",
    "fingerprint": "0",
    "notes": [],
}


def descriptions(planted: Any, folder: Path, records: dict[str, dict[str, Any] | None], method: str) -> dict[str, Any]:
    lines = [f"tasks: [toy_religion_fair]\ndefaults: {{base: {planted.base}}}\nvariants:"]
    for seed, (name, record) in enumerate(records.items()):
        shutil.copytree(planted.base, folder / name)
        if record is not None:
            told = RECORD | {"weights": weight_hashes(folder / name)} | record
            (folder / name / "training.json").write_text(json.dumps(told))
        lines.append(f"  - {{name: {name}, method: {method}, weights: {folder / name}, seed: {seed}}}")
    roster = folder / "roster.yaml"
    roster.write_text("\n".join(lines))
    plan = make_plan(load_roster(roster))
    assert plan.refused == {}
    return {member.name: member for job in plan.jobs for member in job.members}


def test_full_fine_tunes_fold_by_their_recipe(planted: Any, tmp_path: Path) -> None:
    from groupgap.leaderboards.identity import variant_from_file

    records: dict[str, dict[str, Any] | None] = {
        "a": {},
        "b": {"seed": 42},
        "slow": {"recipe": {"learning_rate": 1e-4, "epochs": 1}},
        "untold": None,
        "damaged": {"row_ids": 3},
        "other-weights": {"weights": {"model.safetensors": "0" * 64}},
        "no-weights": {"weights": {}},
    }
    members = descriptions(planted, tmp_path, records, "full")
    told = {name: member.description for name, member in members.items()}
    assert told["a"]["recipe"] == {"training": {"learning_rate": 1e-3, "epochs": 1}}
    assert (told["a"]["trained_parameters"], told["untold"]["recipe"], told["damaged"]["recipe"]) == (77, None, None)
    assert (told["other-weights"]["recipe"], told["no-weights"]["recipe"]) == (None, None)
    recipes = {name: variant_from_file(description).recipe for name, description in told.items()}
    assert recipes["a"] == recipes["b"] != recipes["slow"]
    assert recipes["untold"] not in (recipes["a"], recipes["slow"])


def test_an_adapter_keeps_its_configuration_in_the_recipe(planted: Any, tmp_path: Path) -> None:
    folder = tmp_path / "lora"
    shutil.copytree(planted.adapter("attention"), folder)
    (folder / "training.json").write_text(json.dumps(RECORD | {"weights": weight_hashes(folder)}))
    roster = tmp_path / "roster.yaml"
    roster.write_text(
        f"tasks: [toy_religion_fair]\nvariants: [{{name: a, base: {planted.base}, method: lora, weights: {folder}}}]"
    )
    (member,) = (member for job in make_plan(load_roster(roster)).jobs for member in job.members)
    recipe = member.description["recipe"]
    assert (recipe["r"], recipe["training"]["epochs"]) == (4, 1)
    assert "base_model_name_or_path" not in recipe


@pytest.mark.parametrize(("tied", "served"), [(False, "full"), (True, "own engine")])
def test_a_head_in_a_checkpoint_is_served_as_one(planted: Any, tmp_path: Path, tied: bool, served: str) -> None:
    if tied:  # the base says nothing of tying, so a checkpoint that ties differs from it
        base = tmp_path / "base"
        shutil.copytree(planted.base, base)
        config = json.loads((base / "config.json").read_text()) | {"tie_word_embeddings": True}
        (base / "config.json").write_text(json.dumps(config))
        head = tmp_path / "head"
        shutil.copytree(planted.base, head)
        roster = tmp_path / "roster.yaml"
        roster.write_text(
            f"tasks: [toy_religion_fair]\nvariants: [{{name: head, base: {base}, method: head, weights: {head}}}]"
        )
        (member,) = (member for job in make_plan(load_roster(roster)).jobs for member in job.members)
    else:
        member = descriptions(planted, tmp_path, {"head": {}}, "head")["head"]
    assert (member.served, member.description["method"]) == (served, "head")
