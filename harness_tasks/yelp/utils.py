"""Loader of Yelp reviews: the hub's, or a file of the user's: lines of text, or a table with columns text and gender.

Dinan et al., "Multi-Dimensional Gender Bias Classification", EMNLP 2020 (config ``yelp_inferred``; MIT). The gender of
an author there is a classifier's guess (Subramanian et al., arXiv:1811.00552), kept where the classifier was sure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import GroupgapError
from ..columns import is_missing, text_column
from ..rows import Rows, text_id
from ..sources import CONVERTED, Dataset, load, local_files
from .templates import GENDERS

DATASET = Dataset(
    name="yelp",
    hub="facebook/md_gender_bias",
    revision=CONVERTED,  # the hub keeps a loading script on its main branch, which is never run
    hub_files=(("yelp_inferred/train/0000.parquet",),),
    licence="MIT (the texts: Yelp's dataset terms)",
    url="https://huggingface.co/datasets/facebook/md_gender_bias",
    folders=("md_gender_bias",),
)
TABLES = tuple((f"reviews.{kind}",) for kind in ("parquet", "csv", "tsv", "jsonl"))
LINES = (
    ("reviews.txt",),
    ("sentiment.dev.0", "sentiment.dev.1", "sentiment.test.0", "sentiment.test.1"),
    ("sentiment.test.0", "sentiment.test.1"),
)
# The names of the hub's classes, and the numbers that stand for them in its files (its loading script's order).
GENDER_WORDS = {
    **dict.fromkeys(("male", "m", "man", "about:male", "as:male", "self:male", "1"), "male"),
    **dict.fromkeys(("female", "f", "woman", "about:female", "as:female", "self:female", "0"), "female"),
}
MOST_REVIEWS = 100_000


def reviews(most_reviews: object = MOST_REVIEWS, dataset_revision: object = None, **_: object) -> Rows:
    """The reviews, each text once; ``gender`` lists the author's gender where the data names one.

    Args:
        most_reviews: of more, those with the smallest hashed ids are taken: which ones depends on no other review.
        dataset_revision: a hub revision to read instead of the parquet conversion.

    Raises:
        GroupgapError: no data, an empty file, or a gender that is neither male nor female.
    """
    if not isinstance(most_reviews, int) or isinstance(most_reviews, bool) or most_reviews < 1:
        raise GroupgapError(f"option most_reviews={most_reviews!r}: expected a whole number, 1 or more")
    return _read(_stamps(), str(dataset_revision or ""), most_reviews)


def _stamps() -> tuple[tuple[str, int, int], ...]:
    """What tells whether the local files are the ones that were read before."""
    paths = local_files(DATASET, (*TABLES, *LINES)) or ()
    return tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths)


@lru_cache(maxsize=1)  # 45 tasks read the same reviews
def _read(stamps: tuple[tuple[str, int, int], ...], revision: str, most: int) -> Rows:
    paths = [Path(path) for path, *_ in stamps]
    if paths and paths[0].name in {name for names in LINES for name in names} and not revision:
        texts, genders, origin = _lines(paths)
    else:
        table = load(DATASET, TABLES, revision or None)
        texts = text_column(table.frame, "text", table.files[0])
        genders, origin = _genders(table.frame, table.files[0]), table.origin
    rows: dict[str, str | None] = {}
    for text, gender in zip(texts, genders or [None] * len(texts), strict=True):
        rows.setdefault(text, gender)
    labelled = [text for text, gender in rows.items() if gender]
    kept = labelled or list(rows)
    chosen = first_hashed([(text_id(text), text) for text in kept], most)
    documents = [{"id": row_id, "text": text, "gender": [rows[text]] if rows[text] else []} for row_id, text in chosen]
    if not documents:
        raise GroupgapError(f"{' + '.join(origin['files'])}: holds no review; expected one a line, or a column 'text'")
    counts = {
        "rows": len(documents),
        "dropped_repeated": len(texts) - len(rows),
        "dropped_without_gender": len(rows) - len(kept),
        "left_out": len(kept) - len(documents),
        "labelled": bool(labelled),
    }
    return Rows(documents=documents, origin={**origin, **counts})


def first_hashed(reviews: Sequence[tuple[str, Any]], most: int) -> list[tuple[str, Any]]:
    """The ``most`` of some (id, anything) pairs whose ids have the smallest hashes."""
    return sorted(reviews, key=lambda pair: hashlib.sha256(pair[0].encode()).digest())[:most]


def _lines(paths: Sequence[Path]) -> tuple[list[str], None, dict[str, Any]]:
    texts, digests = [], {}
    for path in paths:
        data = path.read_bytes()
        digests[path.name] = hashlib.sha256(data).hexdigest()
        try:
            texts += [line.strip() for line in data.decode("utf-8-sig").split("\n") if line.strip()]
        except UnicodeDecodeError as error:
            raise GroupgapError(f"{path.name}: cannot be read as UTF-8 text ({error.reason}); convert it") from error
    return texts, None, {"source": "file", "dataset": DATASET.name, "revision": None, "files": digests}


def _genders(frame: pd.DataFrame, file: str) -> list[str | None] | None:
    column = next((name for name in ("gender", "binary_label") if name in frame.columns), None)
    if column is None:
        return None
    genders: list[str | None] = []
    for row, cell in enumerate(frame[column].tolist(), start=1):
        word = "" if is_missing(cell) else str(cell).strip().lower().removesuffix(".0")
        if word and word not in GENDER_WORDS:
            raise GroupgapError(
                f"{file}: column {column!r} holds {word!r} in data row {row}; "
                f"expected {' or '.join(GENDERS)}, or nothing"
            )
        genders.append(GENDER_WORDS[word] if word else None)
    return genders
