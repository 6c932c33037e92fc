"""The reviews: lines or tables of the user's, the hub's conversion, the real release; each text once."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.splits import split_rows
from groupgap.harness_tasks.yelp.utils import reviews


@pytest.fixture
def folder(data: Path) -> Path:
    path = data / "yelp"
    path.mkdir()
    return path


def test_lines_are_reviews_each_once(folder: Path) -> None:
    (folder / "reviews.txt").write_text("good soup\n\n  bad soup \ngood soup\n", encoding="utf-8")
    rows = reviews()
    assert sorted(document["text"] for document in rows.documents) == ["bad soup", "good soup"]
    assert all(document["gender"] == [] for document in rows.documents)
    origin = rows.origin
    assert (origin["source"], origin["rows"], origin["dropped_repeated"]) == ("file", 2, 1)
    assert origin["labelled"] is False
    assert len(origin["files"]["reviews.txt"]) == 64


def test_a_table_may_name_genders_and_then_the_others_are_left_out(folder: Path) -> None:
    (folder / "reviews.csv").write_text("text,gender\na,Male\nb,female\nc,\na,female\n")
    rows = reviews()
    assert {document["text"]: document["gender"] for document in rows.documents} == {"a": ["male"], "b": ["female"]}
    counts = {key: rows.origin[key] for key in ("dropped_without_gender", "dropped_repeated", "labelled")}
    assert counts == {"dropped_without_gender": 1, "dropped_repeated": 1, "labelled": True}


def test_the_hubs_classes_are_read_by_their_numbers(
    data: Path, plant: Callable[[str, str, dict[str, bytes]], None], commit: str
) -> None:
    frame = pd.DataFrame({"text": ["x", "y"], "binary_label": [0, 1], "binary_score": [0.99, 0.98]})
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    plant("facebook/md_gender_bias", "refs/convert/parquet", {"yelp_inferred/train/0000.parquet": buffer.getvalue()})
    rows = reviews()
    assert {document["text"]: document["gender"] for document in rows.documents} == {"x": ["female"], "y": ["male"]}
    assert (rows.origin["source"], rows.origin["revision"]) == ("hub", commit)


def test_of_many_the_same_are_taken_whatever_else_is_there(folder: Path) -> None:
    (folder / "reviews.txt").write_text("".join(f"review {number}\n" for number in range(300)))
    chosen = {document["id"] for document in reviews(most_reviews=50).documents}
    assert len(chosen) == 50
    (folder / "reviews.txt").write_text("".join(f"review {number}\n" for number in reversed(range(300))))
    assert {document["id"] for document in reviews(most_reviews=50).documents} == chosen
    assert reviews(most_reviews=50).origin["left_out"] == 250


def test_a_changed_file_is_read_again(folder: Path) -> None:
    (folder / "reviews.txt").write_text("one\n")
    assert reviews().origin["rows"] == 1
    (folder / "reviews.txt").write_text("one\ntwo\n")
    assert reviews().origin["rows"] == 2


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("reviews.txt", b"\n \n", {}, "reviews.txt: holds no review; expected one a line, or a column 'text'"),
        ("reviews.txt", b"caf\xe9\n", {}, "reviews.txt: cannot be read as UTF-8 text"),
        ("reviews.csv", b"review\nx\n", {}, "reviews.csv: no column 'text'"),
        ("reviews.csv", b"text,gender\nx,neutral\n", {}, "holds 'neutral' in data row 1; expected male or female"),
        ("reviews.txt", b"x\n", {"most_reviews": 0}, "option most_reviews=0: expected a whole number, 1 or more"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(
    folder: Path, name: str, content: bytes, options: dict[str, object], message: str
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(GroupgapError) as caught:
        reviews(**options)
    assert message in str(caught.value)


def test_without_data_it_says_what_to_fetch(data: Path) -> None:
    with pytest.raises(GroupgapError, match=r"fetch reviews.parquet from https://huggingface.co/datasets/facebook"):
        reviews()


@pytest.mark.slow
def test_the_real_release(real: Path) -> None:
    rows = reviews(most_reviews=200_000)
    assert rows.origin["rows"] + rows.origin["dropped_repeated"] == 50_278 + 76_392
    assert len({document["text"] for document in rows.documents}) == len(rows.documents)
    parts = split_rows(reviews().documents)
    assert len(parts["train"]) >= 50_000  # the paper's sizes, of which each part is cut
    assert len(parts["test"]) >= 10_000
