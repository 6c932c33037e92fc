"""The recipes that come with groupgap, named without a path: ``paper/llama2-7b-dlab-religion``."""

from __future__ import annotations

import difflib
from pathlib import Path

from ...errors import GroupgapError

SHELF = Path(__file__).resolve().parents[1] / "recipes"


def shelf() -> dict[str, Path]:
    """All recipes of groupgap: name to file, in the order of their names."""
    return {path.relative_to(SHELF).with_suffix("").as_posix(): path for path in sorted(SHELF.rglob("*.yaml"))}


def about(path: Path) -> str:
    """What a recipe of groupgap says of itself: its first line, a comment."""
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def find_recipe(text: str) -> Path:
    """The recipe that a user names: a file of theirs, else one of groupgap's.

    Args:
        text: a path, or a name from :func:`shelf`; the ``.yaml`` may be left away there.

    Raises:
        GroupgapError: it is neither; the nearest name is given.
    """
    path = Path(text)
    if path.is_file():
        return path
    ours = shelf()
    name = text.removesuffix(".yaml")
    if name in ours:
        return ours[name]
    close = difflib.get_close_matches(name, ours, n=1)
    meant = f": did you mean {close[0]!r}?" if close else ""
    raise GroupgapError(
        f"recipe {text}: no such file, and none of groupgap's has this name{meant} (groupgap train --list shows them)"
    )
