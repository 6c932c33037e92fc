"""``groupgap board``: lm-eval output folders in, a fairness leaderboard out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import GroupgapError

if TYPE_CHECKING:
    from .board import Board
    from .collection import Collection

MODES = ("all", "baseline", "none")
MOST_ROWS = 64  # of a table whose rows are all compared with each other when nothing else is wished


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say which runs are read and how; ``board`` and ``compare`` share them."""
    reading = parser.add_argument_group("reading runs")
    reading.add_argument(
        "--axis",
        action="append",
        default=[],
        metavar="TASK=doc.FIELD",
        help="the field of its documents that holds the group or a list of groups (nested: with dots); repeatable",
    )
    reading.add_argument(
        "--positive",
        action="append",
        default=[],
        metavar="TASK=CHOICE",
        help="the text of a task's positive choice; repeatable",
    )
    reading.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="RUN=NAME",
        help="call a run (its folder, results file or name) NAME; repeatable",
    )
    reading.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="TASK",
        help="leave a task out; patterns like 'mmlu_*' work; repeatable",
    )


def add_judging_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say how answers are judged; ``board`` and ``compare`` share them."""
    judging = parser.add_argument_group("judging")
    judging.add_argument(
        "--min-group",
        type=int,
        metavar="N",
        help="smallest denominator with which a group enters a gap (default: what the run was judged with, else 30)",
    )
    judging.add_argument(
        "--draws", type=int, default=10_000, metavar="N", help="bootstrap draws and permutations (default 10000)"
    )
    judging.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the draws (default 0)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="an lm-eval output folder, searched at any depth, or a results file"
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="folder of the board: new, empty, or an earlier board"
    )
    add_reading_arguments(parser)
    add_judging_arguments(parser)
    showing = parser.add_argument_group("comparing and showing")
    showing.add_argument(
        "--pairs",
        choices=MODES,
        help="rows of a table that are compared with each other: all; baseline: each with the base model of its base; "
        f"none (default: all in a table of up to {MOST_ROWS} rows, else baseline)",
    )
    showing.add_argument(
        "--with",
        dest="reports",
        action="append",
        default=[],
        metavar="REPORT.json",
        help="show a report's tables (token bias, translation, attacks) with the variants they are about; repeatable",
    )
    add_writing_arguments(parser)


def add_writing_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that write more files than the board's own."""
    writing = parser.add_argument_group("writing more")
    writing.add_argument("--figures", action="store_true", help="figures for a paper, as svg, png and pdf (figures/)")
    writing.add_argument("--parquet", action="store_true", help="the csv tables as board.parquet and groups.parquet")
    writing.add_argument(
        "--every-eval-ever", action="store_true", help="a record of Every Eval Ever for each variant (every_eval_ever/)"
    )
    writing.add_argument(
        "--show-samples",
        action="store_true",
        help="documents and answers, each behind a click (samples.html): may be hateful or private",
    )


def parse_names(options: Iterable[str]) -> dict[str, str]:
    """``RUN=NAME`` options as a mapping.

    Raises:
        GroupgapError: for an option of another form, or a run that gets two names.
    """
    names: dict[str, str] = {}
    for option in options:
        run, equals, name = option.rpartition("=")
        if not equals or not run or not name.strip():
            raise GroupgapError(f"--name {option}: expected RUN=NAME")
        if names.setdefault(run, name) != name:
            raise GroupgapError(f"--name {run}: two names, {names[run]!r} and {name!r}; expected one")
    return names


def run(args: argparse.Namespace) -> int:
    """Build the board, print its table and where its page is."""
    from dataclasses import replace
    from pathlib import Path

    from .axes import Reading
    from .board import Options, build_board
    from .collection import Request, collect
    from .markdown import plain, terminal
    from .report_blocks import read_blocks, strangers
    from .write import check_output, write_board

    options = Options(args.min_group, args.draws, args.seed, args.pairs)
    blocks = tuple(block for report in args.reports for block in read_blocks(Path(report)))
    folder = Path(args.output)
    check_output(folder)
    request = Request(args.runs, parse_names(args.name), Reading.from_options(args.axis, args.positive), args.skip)
    collection = collect(request)
    try:
        board = build_board(collection, options, _progress if sys.stderr.isatty() else None)
    finally:
        if sys.stderr.isatty():
            _progress("")
    notes = (*board.notes, *strangers(blocks, [row.variant for row in board.rows]))
    board = replace(board, blocks=(*board.blocks, *blocks), notes=notes)
    written = write_board(board, folder, _more(args, board, collection))
    print(terminal(board))
    print(f"\nThe page: {plain(str(written['index.html'].resolve()))}")
    if args.show_samples:
        print(f"Samples, which may be hateful or private: {plain(str(written['samples.html'].resolve()))}")
    return 0


def _more(args: argparse.Namespace, board: Board, collection: Collection) -> dict[str, str | bytes]:
    """The files that were asked for beside the board's own."""
    from .every_eval_ever import board_records
    from .figures import board_figures
    from .parquet import board_parquet
    from .samples_page import NAME, samples_page

    more: dict[str, str | bytes] = {}
    if args.figures:
        more |= board_figures(board)
    if args.parquet:
        more |= board_parquet(board)
    if args.every_eval_ever:
        more |= board_records(board)
    if args.show_samples:
        more[NAME] = samples_page(collection)
    return more


def _progress(line: str) -> None:
    from .markdown import plain

    sys.stderr.write(f"\r\x1b[K{plain(line)[:100]}")
    sys.stderr.flush()
