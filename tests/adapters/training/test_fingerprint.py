"""A training is another one where its rows read otherwise: other documents, or the same ones in another wording."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from groupgap.adapters.training.forms import Documents, Part, TaskData
from groupgap.adapters.training.train import rows_hash


def prepared(rows: list[Any], engine: str = "vllm") -> Any:
    return SimpleNamespace(train=Part(("a", "b"), rows), engine=engine)


DATA = TaskData(None, "task", Documents(("a", "b"), ({"text": "x"}, {"text": "y"})), Documents((), ()))


def test_the_same_rows_have_the_same_hash() -> None:
    assert rows_hash(DATA, prepared([[1, 2], [3]])) == rows_hash(DATA, prepared([[1, 2], [3]]))


def test_another_wording_or_tokenizer_shows() -> None:
    assert rows_hash(DATA, prepared([[1, 2], [3]])) != rows_hash(DATA, prepared([[9, 1, 2], [9, 3]]))


def test_other_documents_show() -> None:
    other = replace(DATA, train=Documents(("a", "b"), ({"text": "x"}, {"text": "z"})))
    assert rows_hash(DATA, prepared([[1], [2]])) != rows_hash(other, prepared([[1], [2]]))


def test_images_are_not_opened_for_it() -> None:
    rows_hash(DATA, prepared([], engine="timm"))
