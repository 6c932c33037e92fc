"""``groupgap tasks``: what can be asked, and whether the data is here. Reads the YAML files; fetches nothing."""

from __future__ import annotations

import argparse
import io
import json
import os
import pkgutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

from ..errors import GroupgapError
from .discovery import tasks_path

_GROUPS_WIDTH = 56
_MANY = 10
_TWIN = "_controlled"


@dataclass(frozen=True)
class Availability:
    """Whether a task's data can be read without a network.

    Attributes:
        here: it can.
        source: ``"generated"``, ``"file"`` or ``"hub"`` (its cache on this machine); None where the data is not here.
        dataset: the folder or hub id it was read from; None where it is not here.
        revision: the hub commit, where there is one.
        rows: number of rows of all parts; None where the data is not here.
        complete: False where the loader found fewer rows than the published set has; None where it does not know.
        how: what to do to have it; None where it is here.
    """

    here: bool
    source: str | None = None
    dataset: str | None = None
    revision: str | None = None
    rows: int | None = None
    complete: bool | None = None
    how: str | None = None


@dataclass(frozen=True)
class TaskEntry:
    """One task, as its YAML file and its loader describe it.

    Attributes:
        task: the name lm-eval knows.
        dataset: its folder among the tasks.
        axes: axis -> its groups; empty where only the user's data can tell.
        tags: lm-eval tags that run it together with others.
        licence: licence of the data.
        hub: id of the data on the Hugging Face hub; None where it is generated or the user's.
        url: where the data is published.
        citation: whom to cite.
        prompt: name and version of the prompt.
        data: whether the data is here.
    """

    task: str
    dataset: str
    axes: dict[str, list[str]]
    tags: list[str]
    licence: str | None
    hub: str | None
    url: str | None
    citation: str | None
    prompt: str | None
    data: Availability


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--json``."""
    parser.add_argument("--json", action="store_true", help="print everything that is known, as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table of tasks, or the same as JSON."""
    entries = list_tasks()
    if args.json:
        json.dump([asdict(entry) for entry in entries], sys.stdout, indent=2, allow_nan=False)
        print()
    else:
        print(as_table(entries))
    return 0


def list_tasks(folder: Path | None = None) -> list[TaskEntry]:
    """Describe every task below a folder, sorted by name.

    Args:
        folder: a folder of lm-eval task files; ours where None.

    Raises:
        GroupgapError: lm-eval cannot be imported.
    """
    _stay_offline()
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise GroupgapError(f"lm-eval cannot be imported ({error}): pip install 'lm_eval>=0.4.12,<0.5'") from error
    root = folder or tasks_path()
    index = TaskManager(include_defaults=False, include_path=str(root)).task_index
    files = [(entry.cfg, entry.yaml_path) for entry in index.values() if entry.cfg and entry.yaml_path]
    found: dict[str, Availability] = {}  # by loader: tasks that share one share its answer
    entries = (_entry(config, path, found) for config, path in files if "fair" in (config.get("metadata") or {}))
    return sorted(entries, key=lambda entry: entry.task)


def _stay_offline() -> None:
    """Keep the hub's client to its cache: listing the tasks must not start a download."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    constants: Any = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        constants.HF_HUB_OFFLINE = True


def _entry(config: Mapping[str, Any], path: Path, found: dict[str, Availability]) -> TaskEntry:
    loader = str(config["custom_dataset"])
    if loader not in found:
        found[loader] = _availability(config)
    fair = config["metadata"]["fair"]
    source = fair.get("source") or {}
    tags = config.get("tag") or []
    return TaskEntry(
        task=config["task"],
        dataset=path.parent.name,
        axes={name: [str(group) for group in axis["groups"]] for name, axis in (fair.get("axes") or {}).items()},
        tags=[tags] if isinstance(tags, str) else list(tags),
        licence=source.get("licence"),
        hub=source.get("hub"),
        url=source.get("url"),
        citation=source.get("citation"),
        prompt=fair.get("prompt"),
        data=found[loader],
    )


def _availability(config: Mapping[str, Any]) -> Availability:
    # lm-eval's index leaves `!function a.b.c` unresolved, as the path of the YAML's folder and then a.b.c
    module, _, function = Path(str(config["custom_dataset"])).name.rpartition(".")
    try:
        with redirect_stderr(io.StringIO()):  # loaders note there what they dropped
            rows = pkgutil.resolve_name(f"{module}:{function}")()
    except GroupgapError as error:
        return Availability(here=False, how=str(error))
    origin = rows.origin
    return Availability(
        here=True,
        source=origin.get("source"),
        dataset=origin.get("dataset"),
        revision=origin.get("revision"),
        rows=len(rows.documents),
        complete=origin.get("complete"),
    )


def as_table(entries: Iterable[TaskEntry]) -> str:
    """Lay the tasks out as text, one line per task and axis, and below it how to get what is missing."""
    everything = list(entries)
    twins = [entry.task.removesuffix(_TWIN) for entry in everything if entry.task.endswith(_TWIN)]
    tasks = _families([entry for entry in everything if not entry.task.endswith(_TWIN)])
    lines = [("task", "axis", "groups", "rows", "licence", "data")]
    for entry in tasks:
        rows = "" if entry.data.rows is None else f"{entry.data.rows:,}"
        for axis, groups in (entry.axes or {"": []}).items():
            names = shorten(", ".join(groups), _GROUPS_WIDTH, placeholder=" ...")
            named = f"{len(groups)}: {names}" if groups else ""
            lines.append((entry.task, axis, named, rows, entry.licence or "", _state(entry)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    also = ["", f"Add {_TWIN} to ask with balanced symbols and order: {', '.join(twins)}"] if twins else []
    return "\n".join([*text, *also, *_how_to_get(tasks)])


def _families(entries: list[TaskEntry]) -> list[TaskEntry]:
    """One entry for a whole tag of many tasks that differ by their prompt alone."""
    sizes = Counter(tag for entry in entries for tag in entry.tags[:1])
    shown: dict[str, TaskEntry] = {}
    for entry in entries:
        tag = entry.tags[0] if entry.tags else ""
        alike = [other for other in entries if other.tags[:1] == [tag] and other.axes == entry.axes]
        family = tag and len(alike) == sizes[tag] > _MANY
        name = f"{tag}_* ({len(alike)} tasks)" if family else entry.task
        shown.setdefault(name, replace(entry, task=name))
    return list(shown.values())


def _state(entry: TaskEntry) -> str:
    if not entry.data.here:
        return "on the hub" if entry.hub else "by hand" if entry.url else "yours"
    if entry.data.source == "generated":
        return "generated"
    where = "here (hub cache)" if entry.data.source == "hub" else "here"
    return f"{where}, a part of it" if entry.data.complete is False else where


def _how_to_get(entries: Iterable[TaskEntry]) -> list[str]:
    missing: dict[str, list[str]] = {}
    for entry in entries:
        if entry.data.how is not None:
            missing.setdefault(entry.data.how, []).append(entry.task)
    if not missing:
        return []
    head = "lm_eval fetches what is on the hub when a task is first run. Without a network, or with data of your own:"
    return ["", head, *(f"  {', '.join(names)}: {how.removeprefix(f'{names[0]}: ')}" for how, names in missing.items())]
