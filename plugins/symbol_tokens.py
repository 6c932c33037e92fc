"""What a model's tokenizer makes of answer symbols: one token, several, or none that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import GroupgapError
from ..harness_tasks.design import Cell
from .prompt_window import Window

_BEFORE = "Answer:"


def check_symbols(window: Window | None, cells: Sequence[Cell], delimiter: str) -> tuple[dict[str, Any], list[str]]:
    """Look at the symbols of some cells.

    A symbol of several tokens is scored along its path (the log-probabilities of its tokens add up), which costs more
    requests and is right. One that the tokenizer does not know is scored as its "unknown" token, whatever it was.

    Args:
        window: with the model's tokenizer; ``None``: nothing can be said.
        cells: cells with all symbols.
        delimiter: between prompt and symbol.

    Returns:
        What goes into the results (``checked``, ``split``: set -> symbol -> number of tokens, ``unknown``: set ->
        symbols), and warnings.

    Raises:
        GroupgapError: two symbols of a set are the same tokens.
    """
    if window is None:
        return {"checked": False, "why": "no tokenizer is known"}, []
    split: dict[str, dict[str, int]] = {}
    unknown: dict[str, list[str]] = {}
    for name in dict.fromkeys(cell.symbol_set for cell in cells):
        tokens = {s: _tokens(window, delimiter, s) for cell in cells if cell.symbol_set == name for s in cell.symbols}
        _check_apart(name, tokens)
        if several := {symbol: len(own) for symbol, own in tokens.items() if len(own) > 1}:
            split[name] = several
        strange = window.tokenizer.unk_token_id
        if lost := [symbol for symbol, own in tokens.items() if strange is not None and strange in own]:
            unknown[name] = lost
    return {"checked": True, "split": split, "unknown": unknown}, _warnings(split, unknown)


def _tokens(window: Window, delimiter: str, symbol: str) -> tuple[int, ...]:
    before, after = (
        window.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        for text in (_BEFORE, f"{_BEFORE}{delimiter}{symbol}")
    )
    return tuple(after[len(before) :])


def _check_apart(name: str, tokens: dict[str, tuple[int, ...]]) -> None:
    first: dict[tuple[int, ...], str] = {}
    for symbol, own in tokens.items():
        if (other := first.setdefault(own, symbol)) != symbol:
            raise GroupgapError(
                f"symbol set {name!r}: {other!r} and {symbol!r} are the same tokens to this model's tokenizer (unknown "
                "to it?), so no answer tells them apart: leave the set out, or name other symbols (option symbol_sets)"
            )


def _warnings(split: dict[str, dict[str, int]], unknown: dict[str, list[str]]) -> list[str]:
    found = []
    for name, symbols in split.items():
        listed = ", ".join(f"{symbol!r} ({count})" for symbol, count in symbols.items())
        found.append(f"symbols of several tokens in {name!r}: {listed}; they are scored token by token")
    for name, lost in unknown.items():
        found.append(
            f"symbols in {name!r} that the tokenizer does not know whole: {', '.join(map(repr, lost))}; what is scored "
            "is its unknown token"
        )
    return found
