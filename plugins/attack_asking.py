"""The audited rows asked of targets and shadows: the fleet's answers as one statistic a row and look."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..adapters.audit_design import AuditDesign
from ..adapters.roster import Roster, TaskChoice
from ..adapters.variant import Variant
from ..errors import GroupgapError
from ..metrics import logit_confidence
from .fleet import RUNS, Fleet
from .fleet_plan import Plan, make_plan
from .fleet_tasks import load_questions
from .plan_command import choices
from .run_folder import FINISHED, folder_name

ROWS, ASKED = "audit-rows.txt", "attack-runs"
MIRRORED, SHADOW = " mirrored", " shadow-"  # what the names of a target's looks and shadows go on with
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Asking:
    """What is asked, and where the answers go.

    Attributes:
        out: the attack's folder; the runs go into a folder of their own in it, apart from those of ``groupgap run``.
        roster: for messages.
        task: of the targets, with its options.
        label: the field of a document that holds the index of its right choice.
        command: for the record.
        say: called with a line of progress at a time.
    """

    out: Path
    roster: Path
    task: TaskChoice
    label: str
    command: str
    say: Callable[[str], None]


def ask_all(
    asking: Asking, design: AuditDesign, variants: Sequence[Variant], mirrored: bool = False
) -> dict[str, FloatArray]:
    """Ask every variant the audited rows.

    Returns:
        Variant to (n, K), the logit-scaled confidence in each row's right choice; K is 2 where images are asked
        mirrored, too.

    Raises:
        GroupgapError: one cannot be served, or fails; a row was not answered.
    """
    looks = {one.name: [one, *([_mirrored(one)] if mirrored else [])] for one in variants}
    task = _ask(asking, design, [look for of_one in looks.values() for look in of_one])
    runs = asking.out / ASKED / RUNS
    return {
        name: np.stack(
            [_statistics(runs / folder_name(one.name), task, design, asking.label) for one in of_one], axis=1
        )
        for name, of_one in looks.items()
    }


def _mirrored(variant: Variant) -> Variant:
    return replace(variant, name=variant.name + MIRRORED, engine_options={**variant.engine_options, "mirror": True})


def check_names(targets: Sequence[str]) -> None:
    """Refuse a target that is called as a shadow or a mirrored look of another is: one would answer for both.

    Raises:
        GroupgapError: naming it.
    """
    for name in targets:
        if any(name == f"{other}{MIRRORED}" or name.startswith(f"{other}{SHADOW}") for other in targets):
            raise GroupgapError(
                f"{name:.120}: a shadow or a mirrored look of another target is called so: give it another name in the "
                "roster"
            )


def _ask(asking: Asking, design: AuditDesign, variants: Sequence[Variant]) -> str:
    """Run everyone through the fleet on the audited rows alone; returns the task's own name."""
    broken = sum("\n" in row or "\r" in row for row in design.examples)
    if broken:
        raise GroupgapError(
            f"{asking.task.name}: {broken:,} audited rows have an id of several lines: give them others"
        )
    rows = _written("".join(f"{row}\n" for row in sorted(design.examples)), asking.out / ASKED)
    task = replace(asking.task, options={**asking.task.options, "part": "all", "only": str(rows.resolve())})
    roster = Roster(asking.roster, (task,), tuple(variants))
    plan = make_plan(roster, asking.say)
    if plan.refused:
        name, reason = next(iter(plan.refused.items()))
        raise GroupgapError(f"{len(plan.refused)} models cannot be served; {name}: {reason}")
    (question,) = load_questions(choices(roster))
    summary = Fleet(asking.out / ASKED, (question,), asking.command, asking.say).run(_as_audit(plan))
    if summary.failed:
        name, reason = next(iter(summary.failed.items()))
        raise GroupgapError(f"{len(summary.failed)} models failed; {name}: {reason}; the same command goes on")
    return question.name


def _written(text: str, folder: Path) -> Path:
    """A file of this text, called by its hash: workers of an attack that runs in this folder read their own rows."""
    told = text.encode("utf-8", "surrogatepass")
    path = folder / f"{hashlib.sha256(told).hexdigest()[:16]}-{ROWS}"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_bytes() != told:
        own = path.with_name(f"{path.name}.{os.getpid()}")
        own.write_bytes(told)
        own.replace(path)
    return path


def _as_audit(plan: Plan) -> Plan:
    """The plan with ``audit: true`` in each ``variant.json``: boards leave out runs on a choice of training rows."""
    jobs = []
    for job in plan.jobs:
        members = (replace(member, description={**member.description, "audit": True}) for member in job.members)
        jobs.append(replace(job, members=tuple(members)))
    return replace(plan, jobs=tuple(jobs))


def _statistics(folder: Path, task: str, design: AuditDesign, label: str) -> FloatArray:
    """(n,) the logit-scaled confidence of each audited row, from the samples of this task that lm-eval logged."""
    files = json.loads((folder / FINISHED).read_text(encoding="utf-8"))[task]["files"]
    found: dict[str, float] = {}
    for name in files:
        if not name.startswith("samples_"):
            continue
        with (folder / name).open(encoding="utf-8") as lines:
            for line in lines:
                sample: dict[str, Any] = json.loads(line)
                replies = [float(reply[0]) for reply in sample["filtered_resps"]]
                found[str(sample["doc"]["id"])] = float(logit_confidence(replies, int(sample["doc"][label])))
    missing = [row for row in design.examples if row not in found]
    if missing:
        raise GroupgapError(f"{folder}: {len(missing):,} of {len(design.examples):,} audited rows were not answered")
    return np.array([found[row] for row in design.examples])
