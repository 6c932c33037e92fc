"""``groupgap lm-eval ...``: lm-eval's own command line with our tasks and models, without the startup file.

Every argument goes to lm-eval as it stands, ``--help`` too; the exit status is lm-eval's.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress

from ..errors import GroupgapError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take everything after ``groupgap lm-eval`` as it stands, options and ``--help`` included."""
    parser.prefix_chars = (
        "\0"  # so that no argument looks like an option of ours: REMAINDER alone refuses a leading one
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER)


def run(args: argparse.Namespace) -> int:
    """Run lm-eval in this process, its task manager reading our tasks too.

    Raises:
        GroupgapError: lm-eval cannot be imported, or is not one that we know.
    """
    with suppress(ImportError):  # where it is installed it also guards `import torchvision`; the tasks do not need it
        import groupgap_startup

        groupgap_startup.install()
    try:
        import lm_eval.tasks.manager as manager
        from lm_eval.__main__ import cli_evaluate

        from .discovery import add_models, add_tasks

        add_tasks(manager)
        add_models()
    except (ImportError, AttributeError) as error:
        raise GroupgapError(f"lm-eval cannot be used ({error}): pip install 'lm_eval>=0.4.12,<0.5'") from error
    sys.argv = ["lm_eval", *args.arguments]
    cli_evaluate()
    return 0
