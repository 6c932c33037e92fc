"""The factorial design of a controlled task: in which cells a document is asked, and why their mean is unbiased.

A *cell* is one way of asking: a wording, a set of answer symbols, which symbol stands for which meaning, and the order
in which the options are shown. The choices of the raw task are the *meanings*. What a model says of a meaning is, up to
noise, the meaning's own log-odds plus what its symbol and its position bring. A document is asked in *blocks*: in a
block of C cells (C meanings) every meaning carries every symbol once and stands at every position once (two cyclic
Latin squares), so that in the mean over any number of whole blocks the two effects add the same to every meaning.

Other blocks shift the order against the symbols: over documents "A" and "first" come apart, and their effects can be
told from one another.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import GroupgapError

WORDS = "words"
SYMBOLS: dict[str, tuple[str, ...]] = {
    WORDS: (),  # the choices themselves
    "letters": tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "digits": tuple("123456789"),
    "rare": tuple("◐◑◒◓◔◕◖◗"),
    "emoji": tuple("🟠🟡🟢🔵🟣🟤🔴⚫⚪"),
}
TURNED = "/turned"  # ends the name of a wording that asks for the opposite
CONTENT_FREE = ("N/A", "[MASK]", "")  # the inputs of contextual calibration (Zhao et al., ICML 2021)
CONTENT_FREE_ID = "content-free#"


@dataclass(frozen=True)
class Cell:
    """One way of asking a document.

    Attributes:
        wording: name of the wording; one that ends in ``/turned`` asks for the opposite.
        symbols: the symbol of meaning 0, of meaning 1, ...
        symbol_set: name of the set they come from.
        order: the meaning that is shown first, second, ...
    """

    wording: str
    symbols: tuple[str, ...]
    symbol_set: str
    order: tuple[int, ...]

    @classmethod
    def read(cls, entry: object) -> Cell:
        """Read a cell from a logged document.

        Raises:
            GroupgapError: another form.
        """
        fields = ("wording", "symbols", "symbol_set", "order")
        if not isinstance(entry, Mapping) or not all(name in entry for name in fields):
            raise GroupgapError(f"a cell: expected an object with {', '.join(fields)}")
        symbols, order = entry["symbols"], entry["order"]
        if not isinstance(symbols, list) or not isinstance(order, list) or sorted(order) != list(range(len(symbols))):
            raise GroupgapError("a cell: expected one symbol a meaning, and an order that names every meaning once")
        return cls(str(entry["wording"]), tuple(map(str, symbols)), str(entry["symbol_set"]), tuple(order))

    def log(self) -> dict[str, Any]:
        """The cell as it stands in a logged document."""
        return {
            "wording": self.wording,
            "symbols": list(self.symbols),
            "symbol_set": self.symbol_set,
            "order": list(self.order),
        }

    @property
    def turned(self) -> bool:
        """Whether the wording asks for the opposite."""
        return self.wording.endswith(TURNED)


def imbalance(cells: Sequence[Cell]) -> str | None:
    """Why the mean over some cells would be biased, in words; None where it would not be.

    Within each symbol set, every symbol must stand for every meaning equally often, and every meaning at every position
    equally often.

    >>> one = Cell("direct", ("A", "B"), "letters", (0, 1))
    >>> imbalance([one])
    "symbol 'A' of letters: meaning 0 has it 1 times, meaning 1 0 times"
    >>> imbalance([one, Cell("direct", ("B", "A"), "letters", (1, 0))]) is None
    True
    """
    if not cells:
        return "there are no cells"
    size = len(cells[0].symbols)
    if any(len(cell.symbols) != size for cell in cells):
        return "the cells have different numbers of meanings"
    by_symbol: dict[tuple[str, str], Counter[int]] = {}
    by_position: dict[tuple[str, int], Counter[int]] = {}
    for cell in cells:
        for meaning, symbol in enumerate(cell.symbols):
            by_symbol.setdefault((cell.symbol_set, symbol), Counter())[meaning] += 1
        for position, meaning in enumerate(cell.order):
            by_position.setdefault((cell.symbol_set, position), Counter())[meaning] += 1
    for (name, symbol), times in by_symbol.items():
        if uneven := _uneven(times, size):
            return f"symbol {symbol!r} of {name}: {uneven}"
    for (name, position), times in by_position.items():
        if uneven := _uneven(times, size):
            return f"position {position + 1} with {name}: {uneven}"
    return None


def _uneven(times: Counter[int], size: int) -> str | None:
    counts = [times[meaning] for meaning in range(size)]
    other = next((meaning for meaning in range(1, size) if counts[meaning] != counts[0]), None)
    return None if other is None else f"meaning 0 has it {counts[0]} times, meaning {other} {counts[other]} times"


@dataclass(frozen=True)
class Wording:
    """A way to put the question, as Jinja templates over the document's fields, without options and "Answer:".

    Attributes:
        ask: the question; ``None``: the raw task's own prompt without a final "Answer:".
        turned: the question for the opposite, to which the first choice is right where ``ask`` has the second, and the
            other way round; two choices only. With it the choices themselves can serve as balanced symbols.
    """

    ask: str | None = None
    turned: str | None = None


@dataclass(frozen=True)
class Design:
    """Which cells there are, and how many of them a document is asked in.

    Attributes:
        wordings: by name.
        symbol_sets: name -> symbols; ``words`` has none of its own.
        cells: cells a document, or ``"all"``; ``None``: as many as ``blocks_asked`` blocks have.
        content: the fields of a document that hold its content: without them it is a content-free input.
        blocks_asked: blocks a document, whose size goes with its number of choices.
    """

    wordings: Mapping[str, Wording]
    symbol_sets: Mapping[str, tuple[str, ...]]
    cells: int | str | None = None
    content: tuple[str, ...] = ("text",)
    blocks_asked: int = 2

    def __post_init__(self) -> None:
        """Refuse symbols that could not be told apart."""
        for name, symbols in self.symbol_sets.items():
            check_distinct(name, symbols)

    @classmethod
    def read(cls, entry: Mapping[str, Any], options: Mapping[str, Any]) -> Design:
        """Read ``metadata.fair.design``, and what ``--metadata`` says instead (``blocks``, ``cells``, ``symbol_sets``).

        Raises:
            GroupgapError: an unknown key, set or value.
        """
        _no_others("design", entry, ("wordings", "symbol_sets", "cells", "blocks", "content"))
        blocks = options.get("blocks", entry.get("blocks", cls.blocks_asked))
        cells = options.get("cells", None if "blocks" in options else entry.get("cells"))
        for name, value in (("blocks", blocks), ("cells", cells)):
            if value not in ("all", None) and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise GroupgapError(f"option {name}={value!r}: expected a whole number, 1 or more, or all")
        wordings = {}
        for name, texts in (entry.get("wordings") or {"direct": {}}).items():
            _no_others(f"wording {name!r}", texts or {}, ("ask", "turned"))
            wordings[str(name)] = Wording(**(texts or {}))
        named = options.get("symbol_sets", entry.get("symbol_sets"))
        sets = _symbol_sets(named or [name for name in SYMBOLS if name != WORDS])
        content = tuple(entry.get("content", cls.content))
        if blocks == "all":
            return cls(wordings, sets, cells or "all", content)
        return cls(wordings, sets, cells, content, blocks)

    def question(self, cell: Cell) -> str | None:
        """The template of a cell's question; ``None``: the raw task's own."""
        wording = self.wordings[cell.wording.removesuffix(TURNED)]
        return wording.turned if cell.turned else wording.ask

    def blocks(self, meanings: Sequence[str]) -> list[tuple[Cell, ...]]:
        """All blocks of a document with these choices; neighbours have different symbol sets where there are several.

        Raises:
            GroupgapError: a set with too few symbols, or words that cannot be balanced.
        """
        return [tuple(self._block(kind, meanings)) for kind in self._kinds(meanings)]

    def _kinds(self, meanings: Sequence[str]) -> list[tuple[int, str, str]]:
        """The blocks by shift, wording and symbol set."""
        self._check_symbols(meanings)
        shifts = range(len(meanings))
        return [(shift, wording, name) for shift in shifts for wording in self.wordings for name in self.symbol_sets]

    def cells_of(self, document: str, meanings: Sequence[str]) -> tuple[Cell, ...]:
        """The cells in which a document is asked: neighbouring blocks from a place that its id decides.

        Other documents do not matter, so that a part of the documents is asked as the whole would be.

        Raises:
            GroupgapError: a number of cells that is no number of whole blocks.
        """
        kinds, size = self._kinds(meanings), len(meanings)
        most = len(kinds) * size
        wanted = self.cells if isinstance(self.cells, int) else most
        if self.cells is None:
            wanted = min(self.blocks_asked * size, most)
        if wanted % size or not 0 < wanted <= most:
            raise GroupgapError(
                f"option cells={wanted}: {size} choices need a multiple of {size}, at most {most}: with "
                "another number some choice would carry a symbol, or stand at a place, more often than the others, and "
                "the mean over the cells would be biased"
            )
        start = int.from_bytes(hashlib.sha256(f"cells:{document}".encode()).digest()[:8], "big")
        taken = (kinds[(start + step) % len(kinds)] for step in range(wanted // size))
        return tuple(cell for kind in taken for cell in self._block(kind, meanings))

    def _block(self, kind: tuple[int, str, str], meanings: Sequence[str]) -> Iterator[Cell]:
        (shift, wording, name), size = kind, len(meanings)
        own = meanings if name == WORDS else self.symbol_sets[name]
        for turn in range(size):
            asked = f"{wording}{TURNED}" if name == WORDS and turn else wording
            yield Cell(
                wording=asked,
                symbols=tuple(own[(meaning + turn) % size] for meaning in range(size)),
                symbol_set=name,
                order=tuple((place - turn - shift) % size for place in range(size)),
            )

    def _check_symbols(self, meanings: Sequence[str]) -> None:
        for name, symbols in self.symbol_sets.items():
            if name != WORDS and len(symbols) < len(meanings):
                raise GroupgapError(
                    f"symbol set {name!r} has {len(symbols)} symbols, and a document {len(meanings)} choices: "
                    "name more symbols, or leave the set out (option symbol_sets)"
                )
        if WORDS in self.symbol_sets:
            check_distinct(WORDS, meanings)
            alone = [name for name, wording in self.wordings.items() if wording.turned is None]
            if len(meanings) != 2 or alone:
                raise GroupgapError(
                    "symbol set 'words': a choice's own word stands for another choice only in a turned question, so "
                    "it needs two choices and a 'turned' text in every wording"
                    + (f", and {alone[0]!r} has none" if alone else f", and a document has {len(meanings)} choices")
                )


def _no_others(what: str, entry: Mapping[str, Any], allowed: Sequence[str]) -> None:
    unknown = [name for name in entry if name not in allowed]
    if unknown:
        raise GroupgapError(f"{what}: unknown key {unknown[0]!r}; expected {', '.join(allowed)}")


def _symbol_sets(given: object) -> dict[str, tuple[str, ...]]:
    """Sets from a list of known names, or from {name: symbols}, where a known name may have no symbols of its own."""
    if isinstance(given, str):
        given = given.split(",")
    if isinstance(given, list):
        given = dict.fromkeys(map(str, given))
    if not isinstance(given, Mapping) or not given:
        raise GroupgapError(
            f"option symbol_sets={given!r}: expected names ({', '.join(SYMBOLS)}) or {{name: [symbols]}}"
        )
    sets = {}
    for name, symbols in given.items():
        if symbols is None and name not in SYMBOLS:
            raise GroupgapError(
                f"option symbol_sets: unknown set {name!r}; expected {', '.join(SYMBOLS)}, or its symbols"
            )
        sets[str(name)] = tuple(map(str, symbols)) if symbols else SYMBOLS[name]
    return sets


def check_distinct(name: str, symbols: Sequence[str]) -> None:
    """Refuse symbols that are empty, equal, or begin one another: their probabilities would not be of different things.

    >>> check_distinct("mine", ["1", "10"])
    Traceback (most recent call last):
    groupgap.errors.GroupgapError: symbol set 'mine': '1' begins '10', so that its probability holds the other's: ...
    """
    for place, one in enumerate(symbols):
        for other in (*symbols[:place], *symbols[place + 1 :]):
            if other.startswith(one) and one.strip():
                raise GroupgapError(
                    f"symbol set {name!r}: {one!r} begins {other!r}, so that its probability holds the other's: "
                    "take symbols none of which begins another"
                )
        if not one.strip():
            raise GroupgapError(f"symbol set {name!r}: an empty symbol has no probability")
