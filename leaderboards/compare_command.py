"""``groupgap compare``: is the difference between two runs more than chance, on the same documents?"""

from __future__ import annotations

import argparse
import sys

from .board_command import add_judging_arguments, add_reading_arguments, parse_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="lm-eval output folders or results files; with two variants the first is A and the second is B",
    )
    parser.add_argument("--baseline", metavar="RUN", help="the run (name or folder) that is B for all others")
    parser.add_argument("--json", action="store_true", help="strict JSON on stdout, progress on stderr")
    parser.add_argument(
        "--force-unpaired",
        action="store_true",
        help="compare runs on other documents, prompts or choices as independent samples (and say what that loses)",
    )
    add_reading_arguments(parser)
    add_judging_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Compare the runs and print tables and verdicts, or JSON."""
    from ..errors import GroupgapError
    from .axes import Reading
    from .board import Options
    from .collection import Request, collect
    from .compare import Wish, compare_runs
    from .compare_tables import comparison_document, comparison_text
    from .reported import accuracy_notes
    from .tables import to_json

    if args.draws < 9_999:
        raise GroupgapError(f"--draws {args.draws}: expected 9999 or more, or p-values are too coarse")
    options = Options(args.min_group, args.draws, args.seed)
    paths = list(dict.fromkeys([*args.runs, *_also(args.baseline, args.runs)]))
    request = Request(paths, parse_names(args.name), Reading.from_options(args.axis, args.positive), args.skip)
    collection = collect(request, same_documents=False)
    found = compare_runs(collection, Wish(paths, args.baseline, options, args.force_unpaired), _progress)
    notes = (*collection.notes, *accuracy_notes(collection.entries))
    if args.json:
        shown = {"min_group": args.min_group, "draws": args.draws, "seed": args.seed, "confidence": 0.95}
        sys.stdout.write(to_json(comparison_document(found, shown, notes), ascii_only=True))
    else:
        print(comparison_text(found, notes))
        print(f"Drawn with seed {args.seed} and {args.draws:,} draws.")
    return 0


def _also(baseline: str | None, runs: list[str]) -> list[str]:
    """The baseline's folder, where it is one that is not among the runs."""
    from pathlib import Path

    return [baseline] if baseline and baseline not in runs and Path(baseline).exists() else []


def _progress(line: str) -> None:
    from .markdown import plain

    print(plain(line), file=sys.stderr)
