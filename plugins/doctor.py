"""``groupgap doctor``: what is installed, what is missing, and the command that mends it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable

from ..errors import GroupgapError
from .environment import Finding, State, examine
from .tasks_command import TaskEntry, list_tasks

DATA_VARIABLE = "GROUPGAP_DATA"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--fix`` and ``--json``."""
    parser.add_argument(
        "--fix",
        action="store_true",
        help="mend what needs no download: the vllm alias, torchaudio and torchcodec on a CPU",
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the findings; the exit status is 1 where something is broken.

    Raises:
        GroupgapError: a fix failed.
    """
    findings = examine()
    done = [finding.fix() for finding in findings if args.fix and finding.fix is not None]
    if done:
        findings = examine()
    findings += data_findings()
    if args.json:
        report = {"done": done, "findings": [_plain(finding) for finding in findings]}
        json.dump(report, sys.stdout, indent=2, allow_nan=False)
        print()
    else:
        print(as_text(findings, done))
    return int(any(finding.state is State.BROKEN for finding in findings))


def data_findings() -> list[Finding]:
    """Say for every dataset whether its rows can be read on this machine; the user's own file is left out."""
    folder = os.environ.get(DATA_VARIABLE)
    if folder:
        place = Finding("data folder", State.OK, f"{DATA_VARIABLE}={folder}")
    else:
        detail = f"{DATA_VARIABLE} is not set: data comes from the Hugging Face hub and its cache"
        place = Finding("data folder", State.NOTE, detail, f"export {DATA_VARIABLE}=FOLDER")
    try:
        tasks = list_tasks()
    except GroupgapError as error:
        return [place, Finding("tasks", State.BROKEN, str(error))]
    datasets: dict[str, list[TaskEntry]] = {}
    for task in tasks:
        if task.data.here or task.hub:
            datasets.setdefault(task.dataset, []).append(task)
    return [place, *(_dataset(name, entries) for name, entries in datasets.items())]


def _dataset(name: str, entries: list[TaskEntry]) -> Finding:
    data, count = entries[0].data, f"{len(entries)} task" + "s" * (len(entries) > 1)
    if not data.here:
        return Finding(f"data {name}", State.NOTE, f"{count}, data not on this machine", data.how)
    part = ", a part of the published set" if data.complete is False else ""
    rows = max(entry.data.rows or 0 for entry in entries)
    where = " ".join(word for word in (data.source, data.dataset, data.revision) if word)
    return Finding(f"data {name}", State.OK, f"{count}, up to {rows:,} rows ({where}){part}")


def _plain(finding: Finding) -> dict[str, str | bool | None]:
    return {
        "name": finding.name,
        "state": finding.state.value,
        "detail": finding.detail,
        "remedy": finding.remedy,
        "fixable": finding.fix is not None,
    }


def as_text(findings: Iterable[Finding], done: Iterable[str] = ()) -> str:
    """Lay the findings out, one line each, the remedy below what needs one."""
    rows = list(findings)
    width = max(len(finding.name) for finding in rows)
    lines = [f"done: {line}" for line in done]
    for finding in rows:
        lines.append(f"{finding.state.value:<6}  {finding.name:<{width}}  {finding.detail}")
        if finding.remedy is not None:
            lines.append(f"{'':<6}  {'':<{width}}  -> {finding.remedy}")
    broken = sum(finding.state is State.BROKEN for finding in rows)
    lines.append(f"\n{broken} broken" if broken else "\nnothing broken")
    return "\n".join(lines)
