"""Shadow models: a target's own recipe on other rows, so that an attack knows what a model looks like without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from ...errors import GroupgapError
from ..base_model import read_base
from ..resolve import resolve
from ..tensors import file_hashes
from .forms import Documents, TaskData, prepare
from .recipe import Recipe, Settings, load_recipe
from .record import Training, read_training
from .task_data import load_task_data
from .train import Job, finished, hash_of, quiet, rows_hash, train

# of the paper's scripts, in order; later ones go on from the last
SEEDS = (2044, 776, 1885, 2094, 55, 2142, 1895, 2157, 762, 1390, 1481, 472, 1712, 2008, 1719, 101)


@dataclass(frozen=True)
class ShadowPlan:
    """The shadows of one recipe.

    Attributes:
        folder: where they go, one folder each.
        training: the target whose recipe they follow.
        documents: every row that a shadow may be trained on, by id.
        device: ``cpu``, ``cuda`` or None for what is there.
        command: for the record.
        progress: called with one line at a time.
    """

    folder: Path
    training: Training
    documents: Mapping[str, Mapping[str, Any]]
    device: str | None
    command: str
    progress: Callable[[str], None]


def train_shadows(plan: ShadowPlan, rows: Sequence[Sequence[str]]) -> tuple[Training, ...]:
    """Train what is not trained yet, a shadow for each list of rows.

    Returns:
        Their records, in order; each one's folder is ``plan.folder / record.name``.

    Raises:
        GroupgapError: the target's recipe cannot be followed any more, or a training fails.
    """
    quiet()
    recipe = _recipe(plan)
    base, hashes = _base(plan, recipe)
    data = load_task_data(recipe)
    records = []
    for number, ids in enumerate(rows):
        wanted = Documents(tuple(ids), tuple(plan.documents[row] for row in ids))
        part = TaskData(data.task, data.name, wanted, data.validation)
        prepared = prepare(recipe, part, base)
        seed = SEEDS[number] if number < len(SEEDS) else SEEDS[-1] + number
        method = replace(recipe.methods[0], name=f"shadow-{number:02d}")
        job = Job(
            recipe=replace(recipe, methods=(method,)),
            method=method,
            seed=seed,
            prepared=prepared,
            base=base,
            base_hashes=hashes,
            data_hash=rows_hash(part, prepared),
            validation_hash=hash_of(data.validation.ids) if data.validation.ids else None,
            out=plan.folder,
            device=plan.device,
            command=plan.command,
            progress=plan.progress,
        )
        if not finished(job):
            plan.progress(f"{plan.folder.name}, shadow {number + 1} of {len(rows)}: {len(ids):,} rows")
            train(job)
        records.append(read_training(job.folder))
    return tuple(records)


def _base(plan: ShadowPlan, recipe: Recipe) -> tuple[Path, Mapping[str, str]]:
    """The base's folder and hashes, refused before anything is loaded where it is not the one of the target."""
    found = resolve(recipe.base)
    read_base(found.path)
    hashes = {"commit": found.commit} if found.commit else file_hashes(found.path)
    if hashes != dict(plan.training.base_hashes):
        raise GroupgapError(
            f"{recipe.base}: is not the base that {plan.training.name:.80} was trained from any more (base_hashes in "
            "its training.json): shadows of another base would say nothing about it; give it its old files or revision"
        )
    return found.path, hashes


def _recipe(plan: ShadowPlan) -> Recipe:
    """The target's recipe as a recipe file of its own, read back with all its checks: its record is a stranger's."""
    path = plan.folder / "recipe.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(recipe_file_of(plan.training), sort_keys=False, allow_unicode=True))
    recipe = load_recipe(path)
    if len(recipe.methods) != 1:
        raise GroupgapError(f"{path}: expected one method, got {len(recipe.methods)}")
    return recipe


def recipe_file_of(training: Training) -> dict[str, Any]:
    """The recipe of one training, as the file that would repeat it; its number of rows aside."""
    told = dict(training.recipe)
    own = {key: told.pop(key, None) for key in ("name", "method", "r", "alpha", "dropout", "targets", "options")}
    settings = {item.name: told.pop(item.name, None) for item in fields(Settings)}
    method: dict[str, Any] = {"method": own["method"], **settings}
    if own["method"] not in ("full", "head"):
        method |= {key: own[key] for key in ("r", "alpha", "dropout", "targets", "options")}
    shared = {"base": training.base, **told, "seeds": [training.seed], "max_rows": None}
    return _said({**shared, "methods": {str(own["name"] or "shadow"): _said(method)}})


def _said(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if value is not None and value != {}}
