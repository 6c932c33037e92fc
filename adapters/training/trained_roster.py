"""The roster of what a recipe trained: the base and every training, each served as its files allow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ...errors import GroupgapError
from ..check import CheckOptions, check_adapter
from ..peft_config import CONFIG
from .forms import Prepared
from .recipe import Recipe
from .record import Training, has_record, read_training
from .train import Job

ROSTER = "roster.yaml"


def trained_beside(names: Sequence[str], job: Job) -> list[str]:
    """The trainings of a roster: these, and what was trained in the same folder before from the same base for the task.

    Args:
        names: of the trainings' folders, in the recipe's order.
        job: one of them.
    """
    found = list(names)
    for folder in sorted(path for path in job.out.iterdir() if has_record(path) and path.name not in names):
        try:
            training = read_training(folder)
        except GroupgapError as error:
            job.progress(f"{folder.name}: left out of the roster: {error}")
            continue
        same = training.base_hashes == job.base_hashes and training.form == job.recipe.form
        if same and (training.task, training.task_options) == (job.recipe.task, job.recipe.task_options):
            found.append(folder.name)
    return found


def write_roster(recipe: Recipe, out: Path, names: Sequence[str], base: Path, prepared: Prepared) -> Path:
    """Write ``roster.yaml`` for ``groupgap run``: one variant for the base and for each training.

    Args:
        recipe: for its task and its ``roster`` part.
        out: the folder of the trainings, where the roster goes.
        names: of the trainings' folders.
        base: folder of the base, to see which adapters are served as they are, and which merged.
        prepared: the form's work, for its engine and classes.
    """
    tasks = [task.model_dump(exclude_defaults=True) for task in recipe.roster.tasks]
    own = {"task": recipe.task, "options": dict(recipe.task_options)}
    said = recipe.roster.defaults.model_dump(exclude_unset=True)
    engine = said.get("engine", prepared.engine)
    defaults = {"base": recipe.base, "engine": engine, **said}
    if prepared.classes:
        defaults.setdefault("labels", {name.strip(): place for place, name in enumerate(prepared.classes)})
    variants = [{"name": "base", "method": "base"}] if engine in ("vllm", "hf") else []
    variants += [_variant(out, name, base, engine) for name in names]
    roster = {"tasks": tasks or [own], "defaults": defaults, "variants": variants}
    path = out / ROSTER
    temporary = path.with_name(f".{ROSTER}.tmp")
    temporary.write_text(yaml.safe_dump(roster, sort_keys=False, allow_unicode=True), encoding="utf-8")
    temporary.replace(path)
    return path


def _variant(out: Path, name: str, base: Path, engine: str) -> dict[str, Any]:
    training: Training = read_training(out / name)
    variant: dict[str, Any] = {"name": name, "method": training.method, "weights": f"./{name}", "seed": training.seed}
    if engine == "vllm" and (out / name / CONFIG).is_file():
        check = check_adapter(out / name, base, CheckOptions(engine="vllm", other_base=True))
        if check.verdict == "merged":
            variant["merge"] = True
        elif check.verdict == "refused":  # learnt inputs: transformers and peft serve them
            variant["engine"] = "hf"
    return variant
