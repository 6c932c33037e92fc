"""``groupgap plan``: what a roster would run: engines, order, memory, what is done already."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..adapters.roster import Roster
    from .fleet_plan import Plan
    from .fleet_tasks import Question


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("roster", type=Path, help="the roster (docs/roster.md)")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="the folder of an earlier run, to see what is done"
    )
    parser.add_argument("--json", action="store_true", help="strict JSON on stdout")


def choices(roster: Roster) -> list[dict[str, Any]]:
    """The roster's tasks as plain values."""
    return [
        {"name": task.name, "num_fewshot": task.num_fewshot, "limit": task.limit, "options": dict(task.options)}
        for task in roster.tasks
    ]


def run(args: argparse.Namespace) -> int:
    """Print the plan; status 1 where a variant would be refused."""
    from ..adapters.roster import load_roster
    from .fleet_plan import make_plan
    from .fleet_tasks import load_questions

    roster = load_roster(args.roster)
    plan, questions = make_plan(roster), load_questions(choices(roster))
    described = describe(plan, questions, args.output)
    if args.json:
        print(json.dumps(described, indent=2, allow_nan=False))
    else:
        print("\n".join(_lines(described)))
    return 1 if plan.refused else 0


def describe(plan: Plan, questions: tuple[Question, ...], output: Path | None) -> dict[str, Any]:
    """The plan as plain values."""
    jobs = [
        {
            "engine": job.engine,
            "base": job.base,
            "weights_bytes": _weights(job.base),
            "variants": [
                {
                    "name": member.name,
                    "served": member.served,
                    "proof": member.proof,
                    "tasks": [question.name for question in questions],
                    "done": _done(member, questions, output),
                }
                for member in job.members
            ],
        }
        for job in plan.jobs
    ]
    asked = {question.name: question.documents for question in questions}
    return {
        "schema": "groupgap-plan",
        "schema_version": 1,
        "tasks": asked,
        "engines": jobs,
        "refused": dict(plan.refused),
    }


def _done(member: Any, questions: tuple[Question, ...], output: Path | None) -> list[str]:
    from .fleet import RUNS
    from .fleet_worker import open_questions
    from .run_folder import folder_name

    if output is None or not (output / RUNS / folder_name(member.name)).is_dir():
        return []
    left = {question.name for question in open_questions(member, questions, output / RUNS)}
    return [question.name for question in questions if question.name not in left]


def _weights(base: str | None) -> int | None:
    if base is None:
        return None
    return sum(path.stat().st_size for path in Path(base).glob("*.safetensors"))


def _lines(plan: dict[str, Any]) -> list[str]:
    lines = [f"{len(plan['engines'])} engines, one after the other"]
    for place, job in enumerate(plan["engines"], start=1):
        size = "" if job["weights_bytes"] is None else f", {job['weights_bytes'] / 2**20:,.1f} MiB of weights"
        lines.append(f"{place}. {job['engine']} on {job['base'] or 'a server'}{size}")
        for variant in job["variants"]:
            done = f"; done: {', '.join(variant['done'])}" if variant["done"] else ""
            lines.append(f"     {variant['name']}: {variant['served']}, proof {variant['proof']}{done}")
    lines.append("tasks: " + ", ".join(f"{name} ({count:,} documents)" for name, count in plan["tasks"].items()))
    lines += [f"refused: {name}: {reason}" for name, reason in plan["refused"].items()]
    return lines
