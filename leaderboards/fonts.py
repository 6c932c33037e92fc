"""Fonts for names in any script: matplotlib's own font has Latin, Greek and Cyrillic letters, and few others."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

OWN = "DejaVu Sans"  # comes with matplotlib


def families(texts: Iterable[str]) -> tuple[list[str], str]:
    """The fonts that together have the letters of all texts, as matplotlib falls back through them.

    Args:
        texts: what is to be drawn.

    Returns:
        Names of font families, matplotlib's own first, then installed ones, the one with most of the missing letters
        first (on ties by name); and the letters that no installed font has, in order, which are drawn as boxes.
    """
    from matplotlib.font_manager import fontManager

    found = [OWN]
    left = {ord(letter) for text in texts for letter in text} - _letters_of(OWN)
    if left:
        # the "last resort" fonts of matplotlib and of macOS have boxes for all letters
        others = {
            entry.name for entry in fontManager.ttflist if "lastresort" not in entry.name.lower().replace(" ", "")
        }
        with no_word_of_fonts():
            covered = {name: left & _letters_of(name) for name in sorted(others)}
        for name in sorted(others, key=lambda name: (-len(covered[name]), name)):
            if left & covered[name]:
                found.append(name)
                left -= covered[name]
    return found, "".join(map(chr, sorted(left)))


def _letters_of(family: str) -> set[int]:
    """The code points that the family's regular font has a glyph for; none where the font cannot be read."""
    from matplotlib.font_manager import FontProperties, fontManager, get_font

    try:
        return set(get_font(fontManager.findfont(FontProperties(family=[family]))).get_charmap())
    except (OSError, RuntimeError):
        return set()


@contextmanager
def no_word_of_fonts() -> Iterator[None]:
    """Without matplotlib's warnings of each letter that is drawn as a box and of fonts that have no bold letters.

    They tell a user nothing to do.
    """
    log = logging.getLogger("matplotlib.font_manager")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)
            yield
    finally:
        log.setLevel(before)
