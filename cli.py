"""The ``groupgap`` command: a table of verbs, each in a module of its own, imported only when it is asked for."""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import os
import select
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from . import __version__
from .errors import GroupgapError, one_line

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

VERBS: dict[str, tuple[str, str]] = {
    "tasks": ("plugins.tasks_command", "list the tasks: axis, groups, licence, and whether the data is here"),
    "control": ("plugins.control_command", "write a task that asks another one with balanced symbols and order"),
    "lm-eval": ("plugins.lm_eval_command", "run lm_eval with our tasks, without the startup file"),
    "plan": ("plugins.plan_command", "say what a roster would run: engines, variants, what is done already"),
    "run": ("plugins.run_command", "serve every variant of a roster, prove it live, ask it, and build the board"),
    "board": ("leaderboards.board_command", "build a fairness leaderboard from lm-eval output folders"),
    "show": ("leaderboards.show_command", "print the ranking of a board, as wide as the terminal"),
    "compare": ("leaderboards.compare_command", "test the difference between runs on the same documents"),
    "card": ("leaderboards.card_command", "write a row of a board as the section of a model card"),
    "token-bias": (
        "leaderboards.token_bias_command",
        "how much of the answers is the symbol or its place, not the meaning?",
    ),
    "threshold": ("leaderboards.threshold_command", "how much of a gap could a decision threshold remove?"),
    "check": ("adapters.check_command", "is an adapter what it says, does it fit its base, can it be served?"),
    "train": ("adapters.training.train_command", "train every method of a recipe on the same rows, in the same order"),
    "attack": ("leaderboards.attack_command", "whose training rows does a model give away? membership inference"),
    "doctor": ("plugins.doctor", "say what is installed, what is missing, and the command that mends it"),
}

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Parser(argparse.ArgumentParser):
    """Shows a verb's help as everything else is shown: argparse would hide that it could not be written."""

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        print(self.format_help(), end="", file=file)


def _usage() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {help_line}" for verb, (_, help_line) in VERBS.items())
    return (
        "usage: groupgap VERB ...\n\nIs this adapter less fair, and are we sure?\n\n"
        f"{verbs}\n\n`groupgap VERB --help` explains a verb."
    )


def _load(verb: str) -> ModuleType:
    if verb not in VERBS:
        raise GroupgapError(f"unknown verb {verb!r}: expected one of {', '.join(VERBS)}")
    return importlib.import_module(f".{VERBS[verb][0]}", __package__)


def _run(argv: Sequence[str]) -> int:
    verb, *rest = argv
    module = _load(verb)
    parser = _Parser(prog=f"groupgap {verb}", description=VERBS[verb][1].capitalize() + ".")
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(rest)))


def _answer(arguments: Sequence[str]) -> int:
    """Run the verb, or say what verbs there are."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
    elif arguments[0] == "--version":
        print(f"groupgap {__version__}")
    else:
        return _run(arguments)
    return 0


def _take_any_text() -> None:
    """Names come from runs: what the encoding of the output lacks is written out (``\\u732b``).

    An output that is closed (``>&-``), which is None, takes everything, too.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _reader_is_gone() -> bool:
    """Whether nobody reads the output any more: a broken pipe may be another one, of a program that a verb started."""
    try:
        look = select.poll()
        look.register(sys.stdout.fileno(), 0)
        return bool(look.poll(0))
    except (OSError, ValueError):  # an output that is no file
        return False


def _in_words(error: OSError) -> str:
    if error.errno in FULL:
        return f"{error.filename or 'the output'}: {error.strerror}, so it is not whole: make room and run this again"
    return f"{error.filename}: {error.strerror}"


def _outcome(arguments: Sequence[str]) -> tuple[int, str]:
    """The exit status of what is asked for, and the line that says what went wrong."""
    try:
        return _answer(arguments), ""
    except GroupgapError as error:
        problem = str(error)
    except KeyboardInterrupt:
        return 130, "groupgap: interrupted"
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        return 0, ""
    except OSError as error:
        if error.errno not in FULL and error.filename is None:
            raise
        problem = _in_words(error)
    return 2, f"groupgap: error: {one_line(problem)}"


def _write_out() -> str:
    """Write what is left of the output; returns why it cannot be, but for a reader who is gone.

    What could not be written is not tried again when the interpreter ends.
    """
    try:
        sys.stdout.flush()
        return ""
    except OSError as error:
        if error.errno not in (*FULL, errno.EPIPE):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "" if error.errno == errno.EPIPE else f"groupgap: error: {_in_words(error)}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status: 0, or 2 for a mistake of the user's or a full disk (one line on stderr).

    A reader that closes the pipe has read enough: without a word, and the status is the verb's.
    """
    _take_any_text()
    ended: SystemExit | None = None
    try:
        status, line = _outcome(list(sys.argv[1:] if argv is None else argv))
    except SystemExit as error:  # of argparse, or of lm-eval
        ended, status, line = error, int(bool(error.code)), ""
    unwritten = _write_out()
    if unwritten and not status:
        ended, status, line = None, 2, unwritten
    if ended:
        raise ended
    if line:
        print(line, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
