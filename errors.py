"""The one error type for a user's mistake: printed as one line, exit status 2, no traceback."""

from __future__ import annotations

import sys
from types import TracebackType


class GroupgapError(Exception):
    """A mistake that the reader of the message can mend.

    The message says what was wrong, where, what is allowed, and what to do next, in one line.
    """


class MissingExtraError(GroupgapError):
    """A package of an optional extra is absent.

    Args:
        need: what needs the package, e.g. ``"groupgap doctor's engine check"``.
        package: the missing distribution, e.g. ``"vllm"``.
        extra: the extra of groupgap that brings it, e.g. ``"cpu"``.
    """

    def __init__(self, need: str, package: str, extra: str) -> None:
        super().__init__(f"{need} needs the package {package!r}: pip install 'groupgap[{extra}]'")
        self.package = package
        self.extra = extra


def one_line(error: object) -> str:
    """The message as one printable line: names and paths are untrusted, and a terminal obeys control characters.

    >>> one_line(GroupgapError("no such run: a\\x1b[2Jb\\nc"))
    'no such run: a?[2Jb c'
    """
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(str(error).split()))


def one_line_for_mistakes() -> None:
    """Let an uncaught :class:`GroupgapError` end the interpreter with one line and status 2, whoever's command it runs.

    ``lm_eval`` is such a command: it knows nothing of our error, and would show a traceback. Other errors are shown as
    before; a second call changes nothing.
    """
    shown_before = sys.excepthook
    if getattr(shown_before, "of_groupgap", False):
        return

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not isinstance(error, GroupgapError):
            shown_before(kind, error, traceback)
            return
        # torch.distributed calls hooks with sys.stderr held back, and would lose the line
        print(f"groupgap: error: {one_line(error)}", file=sys.__stderr__ or sys.stderr, flush=True)
        raise SystemExit(2)

    show.of_groupgap = True  # type: ignore[attr-defined]
    sys.excepthook = show
