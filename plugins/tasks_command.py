"""``groupgap tasks``: what can be asked, and whether the data is here. Reads the YAML files; fetches nothing."""

from __future__ import annotations

import argparse
import json
import os
import pkgutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from ..errors import GroupgapError
from .discovery import tasks_path

_GROUPS_WIDTH = 56


@dataclass(frozen=True)
class Availability:
    """Whether a task's data can be read without a network.

    Attributes:
        here: it can.
        source: ``"generated"``, ``"file"`` or ``"hub"`` (its cache on this machine); None where the data is not here.
        dataset: the folder or hub id it was read from; None where it is not here.
        revision: the hub commit, where there is one.
        rows: number of rows of all parts; None where the data is not here.
        how: what to do to have it; None where it is here.
    """

    here: bool
    source: str | None = None
    dataset: str | None = None
    revision: str | None = None
    rows: int | None = None
    how: str | None = None


@dataclass(frozen=True)
class TaskEntry:
    """One task, as its YAML file and its loader describe it.

    Attributes:
        task: the name lm-eval knows.
        axes: axis -> its groups; empty where only the user's data can tell.
        tags: lm-eval tags that run it together with others.
        licence: licence of the data.
        url: where the data is published.
        citation: whom to cite.
        prompt: name and version of the prompt.
        data: whether the data is here.
    """

    task: str
    axes: dict[str, list[str]]
    tags: list[str]
    licence: str | None
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
    configs = [entry.cfg for entry in index.values() if entry.cfg and entry.yaml_path]
    ours = [config for config in configs if "fair" in (config.get("metadata") or {})]
    return sorted(map(_entry, ours), key=lambda entry: entry.task)


def _stay_offline() -> None:
    """Keep the hub's client to its cache: listing the tasks must not start a download."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        constants.HF_HUB_OFFLINE = True


def _entry(config: Mapping[str, Any]) -> TaskEntry:
    fair = config["metadata"]["fair"]
    source = fair.get("source") or {}
    tags = config.get("tag") or []
    return TaskEntry(
        task=config["task"],
        axes={name: [str(group) for group in axis["groups"]] for name, axis in (fair.get("axes") or {}).items()},
        tags=[tags] if isinstance(tags, str) else list(tags),
        licence=source.get("licence"),
        url=source.get("url"),
        citation=source.get("citation"),
        prompt=fair.get("prompt"),
        data=_availability(config),
    )


def _availability(config: Mapping[str, Any]) -> Availability:
    # lm-eval's index leaves `!function a.b.c` unresolved, as the path of the YAML's folder and then a.b.c
    module, _, function = Path(str(config["custom_dataset"])).name.rpartition(".")
    try:
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
    )


def as_table(entries: Iterable[TaskEntry]) -> str:
    """Lay the tasks out as text, one line per task and axis, and below it how to get what is missing."""
    lines = [("task", "axis", "groups", "rows", "licence", "data")]
    missing: dict[str, list[str]] = {}
    for entry in entries:
        here = {"generated": "generated", "file": "here", "hub": "here (hub cache)"}.get(
            entry.data.source or "", "here"
        )
        if entry.data.how is not None:
            missing.setdefault(entry.data.how, []).append(entry.task)
        for axis, groups in (entry.axes or {"(yours)": []}).items():
            names = shorten(", ".join(groups), _GROUPS_WIDTH, placeholder=" ...")
            rows = "" if entry.data.rows is None else f"{entry.data.rows:,}"
            state = here if entry.data.here else "not here"
            lines.append(
                (entry.task, axis, f"{len(groups)}: {names}" if groups else "", rows, entry.licence or "", state)
            )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text += ["", *(f"{', '.join(tasks)}: {how}" for how, tasks in missing.items())] if missing else []
    return "\n".join(text)
