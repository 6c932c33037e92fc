"""``groupgap board``: lm-eval output folders in, a fairness leaderboard out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import GroupgapError

if TYPE_CHECKING:
    from pathlib import Path

    from .board import Board, Options
    from .collection import Collection
    from .update import Update

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
        "runs",
        nargs="*",
        metavar="RUN",
        help="an lm-eval output folder, searched at any depth, or a results file; with --update a board, too",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("-o", "--output", metavar="DIR", help="folder of the board: new, empty, or an earlier board")
    where.add_argument(
        "--update", metavar="DIR", help="add the runs, and the runs of other boards, to the board in this folder"
    )
    add_reading_arguments(parser)
    add_judging_arguments(parser)
    parser.set_defaults(draws=None, seed=None)  # those of the board that is updated, else the ones above
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
    from pathlib import Path

    from .figures import boxes_note
    from .markdown import plain, terminal
    from .write import check_output, passed_on, write_board

    folder = Path(args.update or args.output)
    if not args.update:
        check_output(folder)
    board, collection = _judged(args, folder)
    written = write_board(board, folder, lambda shown: _more(args, shown, collection))
    print(terminal(board))
    print(f"\nThe page: {plain(str(written['index.html'].resolve()))}")
    if args.figures and (note := boxes_note(passed_on(board, folder))):
        print(f"note: {note}")
    if args.show_samples:
        print(f"Samples, which may be hateful or private: {plain(str(written['samples.html'].resolve()))}")
    return 0


def _judged(args: argparse.Namespace, folder: Path) -> tuple[Board, Collection]:
    """The board, and the answers that it was judged from."""
    from dataclasses import replace
    from pathlib import Path

    from .board import build_board
    from .collection import collect
    from .report_blocks import placed, read_blocks
    from .update import Wanted, plan_update, rows_to_keep, without_held
    from .update_reports import with_earlier

    blocks = tuple(block for report in args.reports for block in read_blocks(Path(report)))
    wanted = Wanted(args.runs, parse_names(args.name), args.axis, args.positive, args.skip)
    update = plan_update(folder, wanted) if args.update else None
    options = _options(args, update)
    wanted = update.wanted if update else wanted
    collection = collect(wanted.request())
    collection = without_held(collection, update) if update else collection
    kept = rows_to_keep(update, collection) if update else ()
    try:
        board = build_board(collection, options, _progress if sys.stderr.isatty() else None, kept)
    finally:
        if sys.stderr.isatty():
            _progress("")
    shown, strange = placed(blocks, board.rows)
    board = replace(board, blocks=(*board.blocks, *shown))
    board = with_earlier(board, update, kept) if update else board
    notes = (*board.notes, *strange)
    request = {"axis": wanted.axis, "positive": wanted.positive, "skip": wanted.skip, "pairs": options.pairs}
    return replace(board, notes=notes, request=request), collection


def _options(args: argparse.Namespace, update: Update | None) -> Options:
    """How to judge: what the command line says, else what the board that is updated was judged with."""
    from .board import Options
    from .judging import enough_draws

    before = Options() if update is None else update.board.options
    pairs = args.pairs or (None if update is None else update.board.request.pairs)
    options = Options(
        before.min_group if args.min_group is None else args.min_group,
        before.draws if args.draws is None else enough_draws(args.draws),
        before.seed if args.seed is None else args.seed,
        pairs,
    )
    _refuse_unreadable(options)
    return options


def _refuse_unreadable(options: Options) -> None:
    """Refuse numbers that ``--update`` would not take from a board.

    Raises:
        GroupgapError: for the first that is too large.
    """
    from .kept import MOST_DRAWS, MOST_PARAMETERS

    for flag, value, most in (
        ("--min-group", options.min_group, MOST_PARAMETERS - 1),
        ("--draws", options.draws, MOST_DRAWS),
        ("--seed", options.seed, MOST_PARAMETERS - 1),
    ):
        if value is not None and value > most:
            raise GroupgapError(f"{flag} {value}: expected {most} or less: the board could not be read again")


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
