"""HateXplain: the flat file and four forms with annotators, each against a plain loop."""

from __future__ import annotations

import ast
import csv
import io
import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.hatexplain import utils
from groupgap.harness_tasks.hatexplain.utils import AXES, DATASET, LABELS

LOADERS: dict[str, Callable[..., Any]] = {axis: getattr(utils, axis) for axis in AXES}
COLUMNS = {"religion": "Religion", "race": "Race", "gender": "Gender", "orientation": "Sexual_Orientation"}
Post = dict[str, Any]
Write = Callable[[Path, list[dict[str, Any]]], Path]


def _posts(count: int = 120) -> list[Post]:
    rng = random.Random(5)
    names = [name for groups in AXES.values() for name in groups] + ["None", "Other", "Nonreligious", "Refugee"]
    return [
        {
            "post_id": f"{number}_gab",
            "labels": [rng.choice(LABELS) for _ in range(3)],
            "targets": [[rng.choice(names) for _ in range(rng.randint(1, 6))] for _ in range(3)],
            "tokens": ["it's", "a", "post", f"<number {number}>"],
        }
        for number in range(count)
    ]


def _oracle(posts: list[Post], axis: str, votes: int = 2, positive: tuple[str, ...] = ("hatespeech",)) -> list[Post]:
    documents = []
    for post in posts:
        for label in LABELS:
            if post["labels"].count(label) >= 2:
                named = [group for group in AXES[axis] if sum(group in one for one in post["targets"]) >= votes]
                if named:
                    text = " ".join(post["tokens"])
                    document = {"id": post["post_id"], "text": text, axis: named, "label": int(label in positive)}
                    documents.append({**document, "class": label})
    return documents


def _same(rows: Any, expected: list[Post]) -> bool:
    return [{key: value for key, value in row.items() if key != "question"} for row in rows.documents] == expected


def _json(posts: list[Post]) -> bytes:
    return json.dumps(
        {
            post["post_id"]: {
                "post_id": post["post_id"],
                "annotators": [
                    {"label": label, "annotator_id": number, "target": target}
                    for number, (label, target) in enumerate(zip(post["labels"], post["targets"], strict=True))
                ],
                "rationales": [],
                "post_tokens": post["tokens"],
            }
            for post in posts
        }
    ).encode()


def _annotators(post: Post) -> dict[str, Any]:
    return {
        "label": [LABELS.index(label) for label in post["labels"]],
        "annotator_id": [1, 2, 3],
        "target": post["targets"],
    }


def _parquet(posts: list[Post], as_list: bool) -> bytes:
    rows = []
    for post in posts:
        cell = _annotators(post)
        listed = [dict(zip(cell, values, strict=True)) for values in zip(*cell.values(), strict=True)]
        rows.append({"id": post["post_id"], "annotators": listed if as_list else cell, "post_tokens": post["tokens"]})
    buffer = io.BytesIO()
    pd.DataFrame(rows).to_parquet(buffer)
    return buffer.getvalue()


def _csv_rows(posts: list[Post]) -> list[dict[str, str]]:
    return [
        {"id": post["post_id"], "annotators": str(_annotators(post)), "post_tokens": str(post["tokens"])}
        for post in posts
    ]


@pytest.mark.parametrize("axis", AXES)
def test_upstream_json(data: Path, axis: str) -> None:
    posts = _posts()
    (data / "hatexplain").mkdir()
    (data / "hatexplain" / "dataset.json").write_bytes(_json(posts))
    rows = LOADERS[axis]()
    assert _same(rows, _oracle(posts, axis))
    assert rows.documents
    assert rows.origin["dropped_undecided"] == sum(len(set(post["labels"])) == 3 for post in posts) > 0
    assert _same(LOADERS[axis](target_votes=1), _oracle(posts, axis, votes=1))
    assert _same(LOADERS[axis](target_votes=3), _oracle(posts, axis, votes=3))


def test_groups_overlap_with_annotators(data: Path) -> None:
    (data / "hatexplain").mkdir()
    (data / "hatexplain" / "dataset.json").write_bytes(_json(_posts()))
    assert any(len(row["race"]) > 1 for row in LOADERS["race"](target_votes=1).documents)


@pytest.mark.parametrize("as_list", [False, True])
def test_parquet_conversion_of_the_hub(plant: Callable[..., None], commit: str, as_list: bool) -> None:
    posts = _posts()
    parts = {"train": posts[:80], "validation": posts[80:100], "test": posts[100:]}
    files = {f"plain_text/{part}/0000.parquet": _parquet(rows, as_list) for part, rows in parts.items()}
    plant(DATASET.hub, "refs/convert/parquet", files)
    rows = LOADERS["race"]()
    assert _same(rows, _oracle(posts, "race"))
    assert (rows.origin["source"], rows.origin["revision"], len(rows.origin["files"])) == ("hub", commit, 3)


def test_csv_files_with_annotators(data: Path, write_csv: Write) -> None:
    posts = _posts()
    write_csv(data / "hatexplain" / "official_val_3annotators.csv", _csv_rows(posts[:50]))
    write_csv(data / "hatexplain" / "official_test_3annotators.csv", _csv_rows(posts[50:]))
    assert _same(LOADERS["gender"](), _oracle(posts, "gender"))


def test_toxic_adds_offensive_posts_and_asks_for_them(data: Path) -> None:
    posts = _posts()
    (data / "hatexplain").mkdir()
    (data / "hatexplain" / "dataset.json").write_bytes(_json(posts))
    expected = _oracle(posts, "race", positive=("hatespeech", "offensive"))
    for option in ({"positive": "toxic"}, {"hatexplain_positive": "toxic", "positive": "hatespeech"}):
        rows = LOADERS["race"](**option)
        assert _same(rows, expected)
        assert {row["question"] for row in rows.documents} == {"Is this post hate speech or offensive?"}
    assert {row["question"] for row in LOADERS["race"]().documents} == {"Is this post hate speech?"}


@pytest.mark.parametrize(
    ("axis", "size"), [("religion", 4722), ("race", 6530), ("gender", 3729), ("orientation", 2282)]
)
def test_real_flat_file(real: Path, axis: str, size: int) -> None:
    with (real / "hatexplain" / "final_hateXplain.csv").open(encoding="utf-8", newline="") as file:
        table = [row for row in csv.DictReader(file) if not row[COLUMNS[axis]].lower().startswith("no")]
    rows = LOADERS[axis](hatexplain_files="flat")
    assert len(rows.documents) == len(table) == size
    assert rows.origin["complete"]
    assert [row["text"] for row in rows.documents] == [row["comment"] for row in table]
    assert [row[axis] for row in rows.documents] == [[row[COLUMNS[axis]]] for row in table]
    assert [row["label"] for row in rows.documents] == [int(row["label"] == "hatespeech") for row in table]


@pytest.mark.parametrize(("axis", "size"), [("religion", 754), ("race", 938), ("gender", 305), ("orientation", 364)])
def test_real_annotator_files(real: Path, axis: str, size: int) -> None:
    posts = _real_posts(real)
    rows = LOADERS[axis](hatexplain_files="annotators")
    assert _same(rows, _oracle(posts, axis))
    assert len(rows.documents) == size
    assert (rows.origin["posts"], rows.origin["complete"]) == (3846, False)


def _real_posts(real: Path) -> list[Post]:
    posts = []
    for part in ("val", "test"):
        with (real / "hatexplain" / f"official_{part}_3annotators.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                cell = ast.literal_eval(row["annotators"])
                labels = [LABELS[label] for label in cell["label"]]
                tokens = ast.literal_eval(row["post_tokens"])
                posts.append({"post_id": row["id"], "labels": labels, "targets": cell["target"], "tokens": tokens})
    return posts


def test_how_far_the_flat_file_agrees_with_the_annotators(real: Path) -> None:
    """Also checks that numbers stand for the labels they are taken for: another order would agree far less."""
    with (real / "hatexplain" / "final_hateXplain.csv").open(encoding="utf-8", newline="") as file:
        flat = {row["comment"]: row for row in csv.DictReader(file)}
    counted: Counter[str] = Counter()
    for post in _real_posts(real):
        row = flat[" ".join(post["tokens"])]
        counted["posts"] += 1
        counted["majority"] += row["label"] == Counter(post["labels"]).most_common(1)[0][0]
        if row["Religion"] in ("Islam", "Jewish"):
            votes = sum(row["Religion"] in named for named in post["targets"])
            counted["religion"] += 1
            counted["one vote"] += votes >= 1
            counted["two votes"] += votes >= 2
    assert counted == {"posts": 3846, "majority": 3636, "religion": 831, "one vote": 831, "two votes": 691}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positive": "bad"}, "hatexplain_positive='bad': expected one of hatespeech, toxic"),
        ({"target_votes": 4}, "target_votes=4: expected 1, 2 or 3"),
        ({"target_votes": True}, "target_votes=True"),
        ({"hatexplain_files": "all"}, "hatexplain_files='all': expected one of auto, annotators, flat"),
        ({"hatexplain_files": "flat"}, r"expected final_hateXplain\.csv in hatexplain/ of \$GROUPGAP_DATA"),
        ({}, "fetch dataset.json from https://github.com/hate-alert/HateXplain .*licence MIT"),
    ],
)
def test_mistakes_in_options(data: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError, match=message):
        LOADERS["race"](**options)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("annotators", "__import__('os').getcwd()", "post 0_gab: a cell is no plain list"),
        ("annotators", "[" * 5000, "post 0_gab: a cell is no plain list"),
        ("annotators", f"['{'x' * 60_000}']", "post 0_gab: a cell is no plain list"),
        ("annotators", "{'label': [7, 7, 7], 'target': [[], [], []]}", "annotators in an unknown form"),
        ("annotators", "{'label': [0, 0], 'target': [[]]}", "2 labels and 1 lists of targets"),
        ("annotators", "{'label': ['rude'], 'target': [[]]}", "unknown label 'rude'"),
        ("post_tokens", "[a, b]", "post 0_gab: a cell is no plain list"),
    ],
)
def test_broken_cells(data: Path, write_csv: Write, column: str, cell: str, message: str) -> None:
    rows = _csv_rows(_posts(3))
    rows[0][column] = cell
    for part in ("val", "test"):
        write_csv(data / "hatexplain" / f"official_{part}_3annotators.csv", rows)
    with pytest.raises(GroupgapError, match=message):
        LOADERS["race"]()


@pytest.mark.parametrize(("column", "cell"), [("Race", "Martian"), ("label", "rude")])
def test_unknown_names_in_the_flat_file(data: Path, write_csv: Write, column: str, cell: str) -> None:
    row = {"comment": "c", "label": "normal", "Race": "No_race", "Religion": "Nonreligious", "Gender": "Men"}
    write_csv(data / "hatexplain" / "final_hateXplain.csv", [{**row, "Sexual_Orientation": "Asexual", column: cell}])
    with pytest.raises(GroupgapError, match=f"unknown .* '{cell}'; expected one of"):
        LOADERS["race"]()
