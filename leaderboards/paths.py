"""Paths in texts that are passed on: as much as tells them from each other, and nothing of the disk above."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

# An absolute path of two parts or more; no part of an address (https://host/path), and no path that is cut already.
PATH = re.compile(r"""(?:(?<=file://)|(?<![\w./~…-]))/(?!/)[^\s"'`,;:=<>|()\[\]{}/]+(?:/[^\s"'`,;:=<>|()\[\]{}/]*)+""")

CUT = re.compile(r"""…(?:/[^\s"'`,;:=<>|()\[\]{}/]+)+""")  # what is left of a path that was cut before

DEEPEST = 20  # last parts that are looked at; a path that ends as another in all of them stays whole


def shortening(texts: Iterable[str]) -> Callable[[str], str]:
    """What shortens the absolute paths in texts: of each as many of its last parts as no other path ends in.

    Args:
        texts: all that are shown together, so that two paths never become one. A path ends at a space.

    Example:
        >>> shown = shortening(["/home/me/a/model", "load /home/me/b/model,dtype=auto"])
        >>> shown("load /home/me/b/model,dtype=auto"), shown("/home/me/a/model")
        ('load …/b/model,dtype=auto', '…/a/model')
        >>> shortening(["/home/me/a/model"])("/home/me/a/model of https://hub.org/me/model")
        '…/model of https://hub.org/me/model'
    """
    texts = tuple(dict.fromkeys(texts))
    paths = {tuple(_parts(found)) for text in texts for found in PATH.findall(text)}
    met: dict[tuple[str, ...], int] = {}
    paths |= {tuple(_parts(found)[1:]) for text in texts for found in CUT.findall(text)}
    for path in paths:
        for length in range(1, min(len(path), DEEPEST) + 1):
            met[path[-length:]] = met.get(path[-length:], 0) + 1

    def ending(found: re.Match[str]) -> str:
        path = tuple(_parts(found[0]))
        alone = (length for length in range(1, min(len(path), DEEPEST + 1)) if met.get(path[-length:], 0) < 2)
        return "/".join(("…", *path[-next(alone, len(path)) :]))

    return lambda text: PATH.sub(ending, text)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
