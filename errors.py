"""The one error type for a user's mistake: printed as one line, exit status 2, no traceback."""

from __future__ import annotations


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
