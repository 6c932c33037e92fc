"""``groupgap attack``: whose training rows does a model give away? Shadows trained and asked, the attack judged."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GroupgapError, MissingExtraError

if TYPE_CHECKING:
    from ..adapters.attack_scores import AuditScores
    from .attack_report import AttackOptions, AttackReport

MARKER = "attack.json"
FIGURE = "roc.svg"
REPORT = "report"
OWN = frozenset({"scores.parquet", "shadows", "attack-runs", "audit-rows.txt", REPORT})  # what an attack's folder holds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("roster", nargs="?", type=Path, help="a roster of variants made by `groupgap train`")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for everything")
    parser.add_argument("--scores", type=Path, metavar="FILE", help="judge this scores.parquet; nothing is trained")
    shadows = parser.add_argument_group("shadows (with a roster)")  # defaults: where they are read, attack_fleet
    shadows.add_argument("--shadows", type=int, metavar="N", help="how many for each target (default 16)")
    shadows.add_argument(
        "--design",
        choices=("offline", "online"),
        help="offline: no shadow sees an audited row; online: each row in half of them (default offline)",
    )
    shadows.add_argument(
        "--shadow",
        choices=("same", "lora"),
        help="the target's own method, or LoRA for all as the paper did (default same)",
    )
    shadows.add_argument("--audit", type=int, metavar="N", help="audit at most so many members, and as many others")
    shadows.add_argument("--audit-seed", type=int, metavar="N", help="draws audit and shadow rows (default 25)")
    shadows.add_argument("--looks", type=int, choices=(1, 2), help="2: ask image models about each image mirrored, too")
    judging = parser.add_argument_group("judging")
    judging.add_argument(
        "--attack",
        choices=("online", "offline", "offline-density"),
        help="which LiRA (default: online where the shadows allow it, else offline, one-sided)",
    )
    judging.add_argument(
        "--variance",
        choices=("example", "residual", "pooled"),
        help="of the shadows' scores (default: residual below 64 shadows, else example)",
    )
    judging.add_argument(
        "--min-group", type=int, default=30, metavar="N", help="fewest members and others (default 30)"
    )
    judging.add_argument("--draws", type=int, default=1_000, metavar="N", help="bootstrap draws (default 1000)")
    judging.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the draws (default 0)")


def run(args: argparse.Namespace) -> int:
    """Make the scores where a roster is given, judge them, write the report."""
    from .attack_report import AttackOptions
    from .attack_tables import SCHEMA
    from .write import check_output

    if (args.roster is None) == (args.scores is None):
        raise GroupgapError("give a roster to attack, or --scores FILE to judge scores that are there: one of the two")
    options = AttackOptions(args.attack, args.variance, args.min_group, args.draws, args.seed)
    scores, report_folder = args.scores, args.output
    if scores is None:
        report_folder = args.output / REPORT
        _check_folder(args.output)
    elif _for_shadows(args):
        raise GroupgapError(
            f"{_for_shadows(args)[0]} is for a roster: with --scores nothing is drawn, trained or asked"
        )
    check_output(report_folder, MARKER, SCHEMA, "an attack report")
    if scores is None:
        scores = args.output / "scores.parquet"
        status = _make_scores(args)
        if status:
            return status
    return _judge(scores, options, report_folder)


def _check_folder(folder: Path) -> None:
    """Refuse to train and ask into a folder that holds anything but an attack's own files.

    Raises:
        GroupgapError: naming what is there.
    """
    if folder.exists() and not folder.is_dir():
        raise GroupgapError(f"{folder}: a file of this name is in the way: choose another folder by -o")
    found = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    strange = [name for name in found if name not in OWN and not name.startswith(".")]  # file managers leave those
    if strange:
        raise GroupgapError(
            f"{folder}: not empty and not an attack's folder ({strange[0]!r:.80} is in it): choose a new folder by -o"
        )


def _for_shadows(args: argparse.Namespace) -> list[str]:
    """The given options that say how shadows are made, as words of a command line."""
    names = ("shadows", "design", "shadow", "audit", "audit_seed", "looks")
    given = ((f"--{name.replace('_', '-')}", getattr(args, name)) for name in names)
    return [word for option, value in given if value is not None for word in (option, str(value))]


def _make_scores(args: argparse.Namespace) -> int:
    """Train and ask in a process of its own, on the floor below this one."""
    package = __package__.rpartition(".")[0]
    command = [sys.executable, "-P", "-m", f"{package}.plugins.attack_fleet", str(args.roster), str(args.output)]
    return subprocess.run([*command, *_for_shadows(args)], check=False).returncode


def _judge(scores: Path, options: AttackOptions, folder: Path) -> int:
    from ..adapters.attack_scores import read_scores
    from .attack_report import build_report
    from .attack_tables import attack_document, attack_markdown, attack_rows, summary
    from .markdown import plain
    from .tables import csv_text, to_json
    from .write import write_texts

    report = build_report(_passed_on(read_scores(scores)), options)
    texts = {
        MARKER: to_json(attack_document(report)),
        "attack.csv": csv_text(attack_rows(report)),
        "attack.md": attack_markdown(report),
        **_figure(report),
    }
    write_texts(folder, texts, "the report")
    print("\n".join(plain(line) for part in summary(report) for line in (*part.splitlines(), "")))
    print(f"The report: {plain(str(folder.resolve()))}")
    return 0


def _passed_on(audits: Sequence[AuditScores]) -> list[AuditScores]:
    """What is known of the targets, without the user's folders: the report may be passed on."""
    from .paths import shortening

    facts = [dict(audit.facts) for audit in audits]
    short = shortening(text for told in facts for text in told.values() if isinstance(text, str))
    return [
        replace(audit, facts={key: short(text) if isinstance(text, str) else text for key, text in told.items()})
        for audit, told in zip(audits, facts, strict=True)
    ]


def _figure(report: AttackReport) -> dict[str, str]:
    from .attack_plot import roc_figure

    try:
        return {FIGURE: roc_figure(report)}
    except MissingExtraError as error:
        print(f"groupgap: no {FIGURE}: {error}", file=sys.stderr)
        return {}
