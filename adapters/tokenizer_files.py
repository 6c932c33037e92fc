"""Do two folders hold one tokenizer? The files are compared as data; no tokenizer is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from .finding import Finding
from .safe_json import MEBIBYTE, read_json_object
from .tensors import inside, sha256

TOKENIZER = "tokenizer.json"
TOKENIZER_BYTES = 64 * MEBIBYTE
MAX_VALUES = 4_000_000
_OTHER_FILES = ("tokenizer.model", "vocab.json", "merges.txt", "vocab.txt", "spiece.model")
_PIPELINE = ("normalizer", "pre_tokenizer", "post_processor")


@dataclass(frozen=True)
class TokenizerComparison:
    """How a folder's tokenizer relates to its base's.

    Attributes:
        state: ``"none"`` (the folder has none), ``"same"``, ``"extended"`` (tokens added, none changed), ``"differs"``
            or ``"unknown"`` (the base has none to compare with).
        added: tokens that the base's does not have.
        findings: what is wrong or worth knowing.
    """

    state: str
    added: int = 0
    findings: tuple[Finding, ...] = ()


def compare_tokenizers(folder: Path, base: Path) -> TokenizerComparison:
    """Compare the tokenizer files of a variant with its base's, which is the one that prompts are made with.

    Raises:
        GroupgapError: a tokenizer file that is no JSON of the expected size.
    """
    if not (folder / TOKENIZER).exists():
        return _compare_other_files(folder, base)
    own = inside(folder, TOKENIZER)
    if not (base / TOKENIZER).exists():
        text = "it has a tokenizer.json and the base has none: whether they agree is not known"
        return TokenizerComparison("unknown", findings=(Finding("tokenizer", "served", text),))
    theirs = inside(base, TOKENIZER)
    if own.stat().st_size == theirs.stat().st_size and sha256(own) == sha256(theirs):
        return TokenizerComparison("same")
    return _compare(_read(own), _read(theirs))


def _read(path: Path) -> dict[str, Any]:
    return read_json_object(path, TOKENIZER_BYTES, max_values=MAX_VALUES)


def _compare_other_files(folder: Path, base: Path) -> TokenizerComparison:
    shared = [name for name in _OTHER_FILES if (folder / name).exists() and (base / name).exists()]
    if not shared:
        return TokenizerComparison("none")
    for name in shared:
        if sha256(inside(folder, name)) != sha256(inside(base, name)):
            return _differs(f"its {name} is not the base's")
    return TokenizerComparison("same")


def _differs(what: str) -> TokenizerComparison:
    text = f"its tokenizer differs from the base's: {what}"
    way = "prompts are made with the base's: remove the adapter's tokenizer files if it was trained with the base's"
    return TokenizerComparison("differs", findings=(Finding("tokenizer", "refused", text, way),))


def _compare(own: dict[str, Any], theirs: dict[str, Any]) -> TokenizerComparison:
    mine, base = _tokens(own), _tokens(theirs)
    moved = [token for token, number in mine.items() if token in base and base[token] != number]
    if moved:
        return _differs(f"{len(moved)} tokens have other ids")
    if len(base.keys() - mine.keys()):
        return _differs(f"{len(base.keys() - mine.keys())} of the base's tokens are absent")
    if _merges(own) != _merges(theirs):
        return _differs("its merges are others")
    for part in _PIPELINE:
        if own.get(part) != theirs.get(part):
            return _differs(f"its {part} is another")
    added = len(mine.keys() - base.keys())
    if not added:
        return TokenizerComparison("same")
    text = f"its tokenizer adds {added} tokens to the base's; prompts are made with the base's"
    return TokenizerComparison("extended", added, (Finding("tokenizer", "served", text),))


def _tokens(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Token -> id; a unigram model's vocabulary is a list of [token, score]."""
    model = tokenizer.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    tokens: dict[str, Any] = {}
    if isinstance(vocabulary, dict):
        tokens.update(vocabulary)
    elif isinstance(vocabulary, list):
        tokens.update({str(item[0]): place for place, item in enumerate(vocabulary) if isinstance(item, list) and item})
    for token in tokenizer.get("added_tokens") or []:
        if not isinstance(token, dict) or not isinstance(token.get("content"), str):
            raise GroupgapError("tokenizer.json: added_tokens are not objects with a content and an id")
        tokens[token["content"]] = token.get("id")
    return tokens


def _merges(tokenizer: dict[str, Any]) -> list[Any]:
    """Merges in one spelling: older files hold ``"a b"``, newer ones ``["a", "b"]``."""
    model = tokenizer.get("model")
    merges = model.get("merges") if isinstance(model, dict) else None
    if not isinstance(merges, list):
        return []
    return [" ".join(map(str, merge)) if isinstance(merge, list) else merge for merge in merges]
