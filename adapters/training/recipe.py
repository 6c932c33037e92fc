"""A recipe read: one comparison, and every single training that its methods, ranks and seeds make of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..resolve import HUB_ID
from ..roster_file import Located, Path_, nearest
from ..variant import ADAPTER_METHODS
from .recipe_file import MethodFile, RecipeFile, RosterPart, SettingsFile, read_recipe_file

DEFAULT_RANK = 8
TRAINED = ("full", *ADAPTER_METHODS)
# what every method of a recipe has alike, places and seeds apart
SHARED = ("form", "task", "task_options", "form_options", "max_rows", "max_validation_rows", "max_length")
RANKED = ("lora", "dora", "rslora")


@dataclass(frozen=True)
class Settings:
    """How a model is trained; see ``docs/train.md`` for each key."""

    learning_rate: float
    epochs: int = 1
    max_steps: int | None = None
    batch_size: int = 8
    gradient_accumulation: int = 1
    weight_decay: float = 0.0
    warmup_ratio: float = 0.0
    schedule: str = "linear"
    max_grad_norm: float = 1.0
    precision: str = "float32"
    gradient_checkpointing: bool = False
    select: str = "best"
    checkpoint_steps: int | None = None
    trainer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """One side of the comparison, its rank decided.

    Attributes:
        name: unique in the recipe; with the seed it names the training's folder.
        method: ``full``, ``head`` or an adapter's method, as rosters spell it.
        settings: how it is trained.
        r: rank; None for methods without one, or PEFT's own.
        alpha: ``lora_alpha``; None for PEFT's own.
        dropout: before the adapter.
        targets: ``target_modules``; None for PEFT's own choice.
        options: more fields of PEFT's configuration.
    """

    name: str
    method: str
    settings: Settings
    r: int | None = None
    alpha: float | None = None
    dropout: float = 0.0
    targets: tuple[str, ...] | str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A comparison: what all methods share, and the methods.

    Attributes:
        path: its file.
        base: folder (absolute) or hub id of the base.
        form: ``prompt``, ``classifier``, ``language_model`` or ``image_classifier``.
        task: lm-eval task whose training and validation parts are used.
        task_options: as ``lm_eval --metadata`` hands them to the task.
        form_options: options of the form.
        max_rows: train on so many rows; None for all.
        max_validation_rows: validate on so many rows; None for all.
        max_length: tokens a row; None for what the model takes.
        seeds: training seeds.
        methods: in the recipe's order, a rank sweep taken apart.
        roster: what ``--roster`` writes beside the variants.
    """

    path: Path
    base: str
    form: str
    task: str
    task_options: Mapping[str, Any]
    form_options: Mapping[str, Any]
    max_rows: int | None
    max_validation_rows: int | None
    max_length: int | None
    seeds: tuple[int, ...]
    methods: tuple[Method, ...]
    roster: RosterPart

    def told(self, method: Method) -> dict[str, Any]:
        """The recipe of one method as plain JSON: what two of its trainings have in common, seeds and places apart."""
        shared = {
            name: getattr(self, name)
            for name in (
                "form",
                "task",
                "task_options",
                "form_options",
                "max_rows",
                "max_validation_rows",
                "max_length",
            )
        }
        own = asdict(method)
        plain: dict[str, Any] = json.loads(json.dumps({**shared, **own.pop("settings"), **own}, default=str))
        return plain


def load_recipe(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe. Relative paths in it start from the folder of its file.

    Args:
        path: the YAML file.
        overrides: keys of the top level that replace the file's, e.g. ``{"base": ..., "max_steps": 2}``.

    Raises:
        GroupgapError: whatever in it is not allowed: one line, with the line number where possible.
    """
    file, located = read_recipe_file(Path(path), dict(overrides or {}))
    methods = tuple(_methods(file, located))
    for index, method in enumerate(methods):
        if method.name.casefold() in {other.name.casefold() for other in methods[:index]}:
            located.fail(
                ("methods",), f"two methods are called {method.name!r}: names are unique (case does not count)"
            )
    if len(set(file.seeds)) < len(file.seeds):
        located.fail(("seeds",), "a seed stands there twice")
    shared = {item.name: getattr(file, item.name) for item in fields(Recipe) if item.name in RecipeFile.model_fields}
    own = {"base": _base(file.base, located.path), "seeds": tuple(file.seeds), "methods": methods}
    return Recipe(path=Path(path), **{**shared, **own})


def _base(text: str, path: Path) -> str:
    """A path made absolute from the recipe's folder; what is no folder there and may be a hub id stays."""
    place = Path(path.absolute().parent, Path(text).expanduser())
    hub = HUB_ID.fullmatch(text.partition("@")[0]) and not text.startswith((".", "/", "~"))
    return text if hub and not place.is_dir() else str(place)


def _methods(file: RecipeFile, located: Located) -> Iterator[Method]:
    for name, own in file.methods.items():
        where: Path_ = ("methods", name)
        method = own.method or name
        if method not in ("full", *ADAPTER_METHODS):
            located.fail(
                (*where, "method"), f"{method!r:.60} is not known: {nearest(method, ('full', *ADAPTER_METHODS))}"
            )
        if method in ("full", "head"):
            _refuse_adapter_keys(own, method, located, where)
        if own.ranks is not None and own.r is not None and own.scale != "alpha_over_r":
            located.fail((*where, "r"), "a sweep has ranks: leave r out (scale: alpha_over_r alone refers to it)")
        if (own.ranks is not None or own.scale) and method not in RANKED:
            located.fail(where, f"ranks and scale belong to {', '.join(RANKED)}, not to {method}")
        settings = _settings(file, own, located, where)
        if own.ranks is None:
            yield _method(name, method, own, settings, own.r)
            continue
        for rank in own.ranks:
            yield _method(f"{name}-r{rank}", method, own, settings, rank)


def _refuse_adapter_keys(own: MethodFile, method: str, located: Located, where: Path_) -> None:
    for key in ("r", "ranks", "alpha", "scale", "dropout", "targets", "options"):
        if key in own.model_fields_set:
            located.fail((*where, key), f"belongs to adapters, and method {method} has none")


def _settings(file: RecipeFile, own: MethodFile, located: Located, where: Path_) -> Settings:
    """The method's own settings over the recipe's; keys of ``trainer`` one by one."""
    said: dict[str, Any] = {}
    for layer in (file, own):
        mine = {key: getattr(layer, key) for key in SettingsFile.model_fields if getattr(layer, key) is not None}
        said |= {**mine, "trainer": {**said.get("trainer", {}), **mine.get("trainer", {})}}
    if "learning_rate" not in said:
        located.fail(where, "the key 'learning_rate' is missing: give one here, or for all methods")
    return Settings(**said)


def _method(name: str, method: str, own: MethodFile, settings: Settings, rank: int | None) -> Method:
    if rank == 0:
        return Method(name, "head", settings)
    alpha = own.alpha
    if own.scale == "alpha_over_r" and rank:
        alpha = (16.0 if alpha is None else alpha) * rank / (own.r or DEFAULT_RANK)
    targets = tuple(own.targets) if isinstance(own.targets, list) else own.targets
    return Method(name, method, settings, rank, alpha, own.dropout or 0.0, targets, own.options)


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of a recipe, which ``docs/recipe.schema.json`` holds for editors."""
    schema = RecipeFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "groupgap training recipe"}


if __name__ == "__main__":
    json.dump(recipe_schema(), sys.stdout, indent=2)
    print()
