"""``groupgap doctor``: what is installed, what is missing, and the command that mends it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable

from ..errors import GroupgapError
from .environment import Finding, State, examine
from .tasks_command import list_tasks

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
    """Say for every published dataset whether its rows can be read on this machine."""
    folder = os.environ.get(DATA_VARIABLE)
    place = (
        Finding("data folder", State.OK, f"{DATA_VARIABLE}={folder}")
        if folder
        else Finding(
            "data folder",
            State.NOTE,
            f"{DATA_VARIABLE} is not set: data comes from the Hugging Face hub",
            f"export {DATA_VARIABLE}=FOLDER",
        )
    )
    try:
        tasks = list_tasks()
    except GroupgapError as error:
        return [place, Finding("tasks", State.BROKEN, str(error))]
    findings = [place]
    for task in tasks:
        if task.data.here:
            where = f"{task.data.source} {task.data.dataset or ''} {task.data.revision or ''}".strip()
            findings.append(Finding(task.task, State.OK, f"{task.data.rows:,} rows ({where})"))
        else:
            findings.append(Finding(task.task, State.NOTE, "data not on this machine", task.data.how))
    return findings


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
