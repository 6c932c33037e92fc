"""``groupgap show``: the ranking of a written board in the terminal."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from ..errors import GroupgapError

LEAST_WIDTH = 40
LEGEND = (
    "Ranked by worst-group accuracy; rows that share a letter (band) cannot be told apart. Gaps: 0 is best, "
    "chance: the gap of permuted groups."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("board", metavar="DIR", help="a folder that `groupgap board` wrote, or its board.json")
    parser.add_argument("--task", action="append", default=[], metavar="TASK", help="this task only; repeatable")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON, numbers unrounded")


def run(args: argparse.Namespace) -> int:
    """Print the ranking."""
    import textwrap
    from pathlib import Path

    from .board_file import SavedRow, read_board
    from .show import ranking, ranking_document
    from .tables import to_json

    rows = read_board(Path(args.board)).rows
    known = list(dict.fromkeys(row.task for row in rows))
    for task in args.task:
        if task not in known:
            raise GroupgapError(f"--task {task}: not on this board; its tasks are {', '.join(known)[:1000]}")
    rows = [row for row in rows if not args.task or row.task in args.task]
    if args.json:
        print(to_json({"schema": "groupgap-ranking/1", "rows": ranking_document(rows)}, ascii_only=True), end="")
        return 0
    width = max(LEAST_WIDTH, shutil.get_terminal_size().columns)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    tables: dict[tuple[str, str], list[SavedRow]] = {}
    for row in rows:
        tables.setdefault((row.task, row.axis), []).append(row)
    parts = [ranking(table, width, colour) for table in tables.values()]
    legend = "\n".join(textwrap.wrap(LEGEND, width))
    print("\n\n".join([*parts, legend] if parts else ["This board has no rows."]))
    return 0
