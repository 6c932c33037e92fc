"""Tokenizers compared as files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from groupgap.adapters.tokenizer_files import compare_tokenizers

BASE: dict[str, Any] = {
    "added_tokens": [{"id": 3, "content": "<s>"}],
    "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]},
}


@pytest.fixture
def compare(tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], object]], Any]:
    def edit(change: Callable[[dict[str, Any]], object]) -> Any:
        folder, base, own = tmp_path / "own", tmp_path / "base", copy.deepcopy(BASE)
        change(own)
        for path, content in ((folder, own), (base, BASE)):
            path.mkdir(exist_ok=True)
            (path / "tokenizer.json").write_text(json.dumps(content))
        return compare_tokenizers(folder, base)

    return edit


@pytest.mark.parametrize(
    "change",
    [
        lambda own: None,
        lambda own: own["model"].update(merges=["a b"]),  # the older spelling
        lambda own: own.update(added_tokens=[{"content": "<s>", "id": 3, "lstrip": False}]),
    ],
)
def test_the_same_tokenizer_in_another_spelling(compare: Any, change: Any) -> None:
    assert compare(change).state == "same"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda own: own["model"]["vocab"].update(a=1, b=0), "2 tokens have other ids"),
        (lambda own: own["model"]["vocab"].pop("ab"), "1 of the base's tokens are absent"),
        (lambda own: own["model"].update(merges=[["b", "a"]]), "its merges are others"),
        (lambda own: own.update(normalizer={"type": "NFC"}), "its normalizer is another"),
        (lambda own: own.update(model=3), "of the base's tokens are absent"),
    ],
)
def test_another_tokenizer_is_refused(compare: Any, change: Any, what: str) -> None:
    found = compare(change)
    assert (found.state, found.findings[0].level) == ("differs", "refused")
    assert what in found.findings[0].text


def test_added_tokens_are_a_remark(compare: Any) -> None:
    found = compare(lambda own: own["added_tokens"].append({"id": 4, "content": "<pad>"}))
    assert (found.state, found.added, found.findings[0].level) == ("extended", 1, "served")


def test_unigram_vocabularies_and_folders_without_a_tokenizer(compare: Any, tmp_path: Path) -> None:
    unigram = {"vocab": [["a", -1.0], ["b", -2.0], ["ab", -3.0]], "merges": [["a", "b"]]}
    assert compare(lambda own: own.update(model=unigram)).state == "same"
    (tmp_path / "own" / "tokenizer.json").unlink()
    assert compare_tokenizers(tmp_path / "own", tmp_path / "base").state == "none"
    (tmp_path / "own" / "tokenizer.model").write_bytes(b"1")
    (tmp_path / "base" / "tokenizer.model").write_bytes(b"2")
    assert compare_tokenizers(tmp_path / "own", tmp_path / "base").state == "differs"
    assert compare_tokenizers(tmp_path / "base", tmp_path / "own").state == "unknown"
