"""``groupgap token-bias``: what a model says because of the symbol or the place, not the meaning."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GroupgapError, MissingExtraError
from .board_command import add_reading_arguments, parse_names

if TYPE_CHECKING:
    from .token_report import TokenReport

MARKER = "token_bias.json"
FIGURE = "token_bias.svg"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="lm-eval output folders or results files of controlled tasks, or of the gender_guess prompts",
    )
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="DIR", help="folder: new, empty, or an earlier such report"
    )
    parser.add_argument("--no-figure", action="store_true", help=f"do not draw {FIGURE}")
    add_reading_arguments(parser)
    judging = parser.add_argument_group("judging (every interval is in closed form: nothing is drawn)")
    judging.add_argument(
        "--min-group",
        type=int,
        metavar="N",
        help="fewest documents with which a group enters a gap (default: what the run was judged with, else 30)",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, write the report, print the verdicts."""
    from .axes import Reading
    from .collection import Request
    from .markdown import plain
    from .tables import csv_text, to_json
    from .token_markdown import token_markdown, verdicts
    from .token_report import token_report
    from .token_tables import SCHEMA, token_document, token_rows
    from .write import check_output, write_texts

    if args.min_group is not None and args.min_group < 1:
        raise GroupgapError(f"--min-group {args.min_group}: expected a whole number, 1 or more")
    check_output(args.output, MARKER, SCHEMA, "a token-bias report")
    reading = Reading.from_options(args.axis, args.positive)
    request = Request(args.runs, parse_names(args.name), reading, args.skip)
    report = token_report(request, args.min_group, _progress)
    texts = {
        MARKER: to_json(token_document(report)),
        "token_bias.csv": csv_text(token_rows(report)),
        "token_bias.md": token_markdown(report),
        **({} if args.no_figure else _figure(report)),
    }
    write_texts(args.output, texts, "the report")
    print(verdicts(report))
    print(f"\nThe report: {plain(str(args.output.resolve()))}")
    return 0


def _figure(report: TokenReport) -> dict[str, str]:
    from .token_plot import token_figure

    try:
        return {FIGURE: token_figure(report)}
    except MissingExtraError as error:
        print(f"groupgap: no {FIGURE}: {error}", file=sys.stderr)
        return {}


def _progress(line: str) -> None:
    from .markdown import plain

    print(plain(line), file=sys.stderr)
