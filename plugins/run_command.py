"""``groupgap run``: every variant of a roster proven live and asked, then the board."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from ..errors import GroupgapError, one_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("roster", type=Path, help="the roster: which variants, which tasks (docs/roster.md)")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder for runs, logs and the board"
    )
    parser.add_argument("--no-board", action="store_true", help="stop after the runs")
    parser.add_argument(
        "--start-limit",
        type=float,
        default=900,
        metavar="SECONDS",
        help="how long an engine may take to start (default 900)",
    )


def run(args: argparse.Namespace) -> int:
    """Plan, ask, build the board; status 1 where a variant failed."""
    from ..adapters.roster import load_roster
    from .fleet import RUNS, Fleet
    from .fleet_plan import make_plan
    from .fleet_tasks import load_questions
    from .plan_command import choices
    from .run_folder import folder_name

    started = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {one_line(line)}", file=sys.stderr, flush=True)

    roster = load_roster(args.roster)
    if args.output.exists() and not args.output.is_dir():
        raise GroupgapError(f"{args.output}: is no folder")
    questions = load_questions(choices(roster))
    plan = make_plan(roster, say)
    for variant, reason in plan.refused.items():
        say(f"  {variant}: refused; {reason}")
    command = f"groupgap run {args.roster} -o {args.output}"
    summary = Fleet(args.output, questions, command, say, args.start_limit).run(plan)
    say(
        f"{len(summary.answered)} answered, {len(summary.kept)} kept from before, {len(summary.failed)} variants failed"
    )
    for variant, reason in summary.failed.items():
        print(f"groupgap: failed: {one_line(variant)}: {one_line(reason)}", file=sys.stderr)
    there = sorted({variant for variant, _ in (*summary.answered, *summary.kept)} - set(summary.failed))
    if there and not args.no_board:  # of this roster's variants alone: a folder may hold others, and old answers
        board = [sys.executable, "-P", "-m", f"{__package__.rpartition('.')[0]}.cli", "board"]
        board += [str(args.output / RUNS / folder_name(variant)) for variant in there]
        status = subprocess.run([*board, "-o", str(args.output / "board")], check=False).returncode
        if status:
            return status
    return 1 if summary.failed else 0
