"""A roster read: the tasks, and every variant that its list, its globs and its matrix name."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from .peft_config import read_adapter_config
from .resolve import CONFIGS
from .roster_file import (
    Located,
    OptionsFile,
    Path_,
    RosterFile,
    check_method,
    nearest,
    read_roster_file,
)
from .variant import METHODS, Variant

MAX_VARIANTS = 10_000
_GLOB = re.compile(r"[*?\[]")
_NAME = re.compile(r"[^\s/\\\0.][^/\\\0\n\r\t]*")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class TaskChoice:
    """A task that the roster asks.

    Attributes:
        name: an lm-eval task, group or tag.
        num_fewshot: examples in the prompt; None for the task's own number.
        limit: ask only the first so many documents; None for all.
        options: handed to the task, as ``lm_eval --metadata`` does.
    """

    name: str
    num_fewshot: int | None = None
    limit: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Roster:
    """A comparison: who is asked what.

    Attributes:
        path: its file.
        tasks: in the roster's order.
        variants: in the roster's order: list, then matrix (method by method, seed by seed).
    """

    path: Path
    tasks: tuple[TaskChoice, ...]
    variants: tuple[Variant, ...]


def load_roster(path: Path | str) -> Roster:
    """Read a roster.

    Relative paths in it start from the folder of its file.

    Raises:
        GroupgapError: whatever in it is not allowed: one line, with the line number where possible.
    """
    file, located = read_roster_file(Path(path))
    if not file.variants and not file.matrix:
        located.fail((), "names no model: give variants: or matrix:")
    tasks = tuple(TaskChoice(task.task, task.num_fewshot, task.limit, task.options) for task in file.tasks)
    _unique([task.name for task in tasks], [("tasks", index) for index in range(len(tasks))], located, "task")
    found = list(_variants(file, located))
    _unique([variant.name for variant, _ in found], [where for _, where in found], located, "variant")
    return Roster(Path(path), tasks, tuple(variant for variant, _ in found))


def _unique(names: list[str], places: list[Path_], located: Located, kind: str) -> None:
    seen: dict[str, str] = {}
    for name, where in zip(names, places, strict=True):
        if name.casefold() in seen:
            located.fail(where, f"two {kind}s have the name {name!r:.120}: names are unique (case does not count)")
        seen[name.casefold()] = name


def _variants(file: RosterFile, located: Located) -> Iterator[tuple[Variant, Path_]]:
    count = 0
    for options, name, where in [*_listed(file, located), *_crossed(file, located)]:
        for variant in _found(options, name, located, where):
            count += 1
            if count > MAX_VARIANTS:
                located.fail(where, f"names more than {MAX_VARIANTS:,} variants")
            yield variant, where


def _merged(*layers: OptionsFile) -> dict[str, Any]:
    """Later layers win, key by key; engine options are merged key by key themselves."""
    merged: dict[str, Any] = {}
    for layer in layers:
        said = layer.model_dump(exclude_unset=True, include=set(OptionsFile.model_fields))
        merged |= {**said, "engine_options": merged.get("engine_options", {}) | said.get("engine_options", {})}
    return merged


def _listed(file: RosterFile, located: Located) -> Iterator[tuple[dict[str, Any], str, Path_]]:
    for index, entry in enumerate(file.variants):
        where: Path_ = ("variants", index)
        _placeholders(entry, {"match"}, located, where)
        yield _merged(file.defaults, entry), entry.name, where


def _crossed(file: RosterFile, located: Located) -> Iterator[tuple[dict[str, Any], str, Path_]]:
    for index, matrix in enumerate(file.matrix):
        where: Path_ = ("matrix", index)
        _placeholders(matrix, {"seed", "method", "match"}, located, where)
        if (len(matrix.methods) > 1 and "{method}" not in matrix.name) or (
            len(matrix.seeds) > 1 and "{seed}" not in matrix.name
        ):
            located.fail((*where, "name"), f"{matrix.name!r:.60} is one name for all: it needs {{method}} and {{seed}}")
        for label, own in matrix.methods.items():
            at: Path_ = (*where, "methods", label)
            _placeholders(own, {"seed", "method", "match"}, located, at)
            for seed in matrix.seeds:
                options = {"method": label, **_merged(file.defaults, matrix, own)}
                if "method" not in own.model_fields_set:
                    options["method"] = label
                yield _filled(options | {"seed": seed}, label, seed), _fill(matrix.name, label, seed), at


def _placeholders(entry: OptionsFile, allowed: set[str], located: Located, where: Path_) -> None:
    for key in ("name", "weights", "served_as"):
        for word in _PLACEHOLDER.findall(getattr(entry, key, None) or ""):
            if word not in allowed:
                located.fail((*where, key), f"unknown placeholder {{{word}}}: {nearest(word, sorted(allowed))}")


def _fill(text: str, method: str, seed: int) -> str:
    return text.replace("{method}", method).replace("{seed}", str(seed))


def _filled(options: dict[str, Any], method: str, seed: int) -> dict[str, Any]:
    texts = {key: _fill(options[key], method, seed) for key in ("weights", "served_as") if options.get(key)}
    return options | texts


def _found(options: dict[str, Any], name: str, located: Located, where: Path_) -> list[Variant]:
    """The variants of one entry: one, or one for each match of its glob."""
    weights = options.get("weights")
    if not weights or not _GLOB.search(weights):
        return [_variant(options, name, located, where)]
    root = located.path.absolute().parent
    matches = sorted(
        path for path in _glob(root, weights) if path.is_dir() and any((path / config).is_file() for config in CONFIGS)
    )
    if not matches:
        located.fail((*where, "weights"), f"{weights!r:.120} matches no folder with an {CONFIGS[0]} or a {CONFIGS[1]}")
    pattern = name if "{match}" in name else f"{name}-{{match}}"
    return [
        _variant(options | {"weights": str(path)}, pattern.replace("{match}", path.name), located, where)
        for path in matches
    ]


def _glob(root: Path, pattern: str) -> list[Path]:
    anchor = Path(Path(pattern).anchor) if Path(pattern).is_absolute() else root
    return list(
        anchor.glob(str(Path(pattern).relative_to(anchor)) if Path(pattern).is_absolute() else str(Path(pattern)))
    )


def _variant(options: dict[str, Any], name: str, located: Located, where: Path_) -> Variant:
    said = {key: value for key, value in options.items() if value is not None}
    for key in ("base", "weights"):
        if key in said:
            said[key] = _located(said[key], located.path.absolute().parent)
    if "method" not in said:
        said["method"] = _method(said.get("weights"), located, where)
    if said.get("server"):
        said.setdefault("engine", "server")
    check_method(said["method"], located, (*where, "method"))
    _sensible(said, name, located, where)
    if said["method"] == "base":
        said.pop("weights", None)
    return Variant(name=name, base=said.pop("base", None), **said)


def _method(weights: str | None, located: Located, where: Path_) -> str:
    """The method that a folder's own files name; an adapter that cannot be read is refused later, by its check."""
    if weights is None:
        return "base"
    folder = Path(weights)
    if not folder.is_dir():
        located.fail(where, "the key 'method' is missing: it is read only from folders that are here")
    if not (folder / CONFIGS[0]).exists():
        return "full"
    try:
        method = read_adapter_config(folder).method
    except GroupgapError:
        return "lora"
    return method if method in METHODS else "lora"


def _sensible(said: dict[str, Any], name: str, located: Located, where: Path_) -> None:
    if not _NAME.fullmatch(name) or not name.isprintable() or len(name) > 120 or name.endswith((" ", ".")):
        located.fail(
            (*where, "name"),
            f"{name!r:.130} names a folder: no slashes, dots or spaces at its ends, at most 120 letters",
        )
    method, server = said["method"], said.get("server")
    if method != "base" and not said.get("weights") and not server:
        located.fail(where, f"method {method} needs weights: a folder or a hub id")
    if method != "full" and not said.get("base"):
        located.fail(where, f"method {method} needs a base: a folder or a hub id, here or in defaults")
    if (said.get("engine") == "server") != bool(server):
        located.fail(where, "engine: server and server: URL belong together")
    if said.get("served_as") and not server:
        located.fail((*where, "served_as"), "is the name on a server, and there is no server: URL")
    if said.get("merge") and (method in ("base", "full") or server or said.get("engine") == "timm"):
        located.fail((*where, "merge"), "is for adapters in an engine of ours: nothing to merge here")
    if said["engine_options"].get("trust_remote_code"):
        located.fail(
            (*where, "engine_options"), "trust_remote_code is never used here: convert the model to a known class"
        )


def _located(text: str, root: Path) -> str:
    """A path made absolute from the roster's folder; what is no path and no folder there may be a hub id and stays."""
    path = Path(root, Path(text).expanduser())
    return str(path) if text.startswith((".", "/", "~")) or path.exists() else text


def roster_schema() -> dict[str, Any]:
    """The JSON schema of a roster, which ``docs/roster.schema.json`` holds for editors."""
    schema = RosterFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "groupgap roster"}


if __name__ == "__main__":
    json.dump(roster_schema(), sys.stdout, indent=2)
    print()
