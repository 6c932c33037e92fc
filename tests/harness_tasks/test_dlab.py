"""D-Lab: every aggregation against a loop over the csv, both file forms, the published sizes as assertions."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.dlab import utils
from groupgap.harness_tasks.dlab.utils import GROUPS, Aggregation, all_axes

LOADERS: dict[str, Callable[..., Any]] = {axis: getattr(utils, axis) for axis in GROUPS}
RULES: dict[str, Callable[[list[bool]], bool]] = {
    "first_annotator": lambda votes: votes[0],
    "majority": lambda votes: sum(votes) > len(votes) / 2,
    "any": any,
    "mean>=0.3": lambda votes: Fraction(sum(votes), len(votes)) >= Fraction(3, 10),
    "mean>=0.5": lambda votes: 2 * sum(votes) >= len(votes),
    "mean>=1": all,
}


def _oracle(path: Path, axis: str | None, rule: Callable[[list[bool]], bool]) -> list[dict[str, Any]]:
    """The protocol as a plain loop: comments in order of first appearance, votes in file order."""
    comments: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            comments.setdefault(row["text"], []).append(row)
    documents = []
    for text, rows in comments.items():

        def flagged(column: str, rows: list[dict[str, str]] = rows) -> bool:
            return rule([row[column] == "true" for row in rows])

        if axis is None or flagged(f"target_{axis}"):
            document: dict[str, Any] = {"id": rows[0]["comment_id"], "text": text}
            document["label"] = 1 if float(rows[0]["hate_speech_score"]) > 0.5 else 0
            for name in [axis] if axis else GROUPS:
                document[name] = [group for group in GROUPS[name] if flagged(f"target_{name}_{group}")]
            documents.append(document)
    return documents


@pytest.fixture
def planted(data: Path, dlab_rows: list[dict[str, str]], write_csv: Callable[..., Path]) -> Path:
    return write_csv(data / "dlab" / "measuring-hate-speech.csv", dlab_rows)


@pytest.mark.parametrize("aggregation", RULES)
@pytest.mark.parametrize("axis", [*GROUPS, None])
def test_loader_equals_the_loop(planted: Path, axis: str | None, aggregation: str) -> None:
    loader = LOADERS[axis] if axis else all_axes
    rows = loader(aggregation=aggregation, pretrained="ignored")
    expected = _oracle(planted, axis, RULES[aggregation])
    assert rows.documents == expected
    assert 0 < len(expected) <= 80
    assert rows.origin["positives"] == sum(document["label"] for document in expected)


def test_planted_rows_tell_the_rules_apart(planted: Path) -> None:
    sizes = {aggregation: len(_oracle(planted, "religion", rule)) for aggregation, rule in RULES.items()}
    assert len(set(sizes.values())) >= 5
    assert any(len(document["race"]) > 1 for document in _oracle(planted, "race", RULES["first_annotator"]))


def test_a_score_of_one_half_is_not_hate(planted: Path) -> None:
    with planted.open(encoding="utf-8", newline="") as file:
        scores = {row["comment_id"]: row["hate_speech_score"] for row in csv.DictReader(file)}
    labels = {scores[document["id"]]: document["label"] for document in all_axes().documents}
    assert labels == {"0.5": 0, "0.51": 1, "-1.25": 0, "2.0": 1, "0.49": 0}


def test_parquet_of_the_hub_equals_the_csv(
    planted: Path, dlab_parquet: bytes, plant: Callable[..., None], commit: str
) -> None:
    from_csv = LOADERS["gender"](aggregation="majority")
    planted.unlink()
    plant(utils.DATASET.hub, "main", {"measuring-hate-speech.parquet": dlab_parquet})
    rows = LOADERS["gender"](aggregation="majority", dataset_revision="main")
    assert rows.documents == from_csv.documents
    assert (rows.origin["source"], rows.origin["revision"]) == ("hub", commit)


def test_two_comments_with_one_id_stay_apart_but_together_in_a_split(
    data: Path, dlab_rows: list[dict[str, str]], write_csv: Callable[..., Path]
) -> None:
    rows = [{**dlab_rows[0], "text": f"text {number}"} for number in range(3)]
    write_csv(data / "dlab" / "measuring-hate-speech.csv", rows)
    stem = rows[0]["comment_id"]
    assert [document["id"] for document in all_axes().documents] == [stem, f"{stem}#copy2", f"{stem}#copy3"]


def test_real_sample_equals_the_loop(real: Path) -> None:
    path = real / "dlab" / "sample_full_schema.csv"
    if any((real / "dlab" / name).exists() for names in utils.LOCAL_FILES[:2] for name in names):
        pytest.skip("the full data is here; this test is about the sample")
    for axis, loader in LOADERS.items():
        rows = loader()
        assert rows.documents == _oracle(path, axis, RULES["first_annotator"])
        assert rows.origin["annotation_rows"] == 99
        assert not rows.origin["complete"]


def test_complete_file_must_have_the_published_sizes(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with planted.open(encoding="utf-8", newline="") as file:
        monkeypatch.setattr(utils, "FULL_ANNOTATIONS", len(list(csv.DictReader(file))))
    for loader, aggregation in ((LOADERS["race"], "first_annotator"), (LOADERS["age"], "majority"), (all_axes, "any")):
        with pytest.raises(GroupgapError, match="published"):
            loader(aggregation=aggregation)
    first, majority = _oracle(planted, "race", RULES["first_annotator"]), _oracle(planted, "race", RULES["majority"])
    whole = _oracle(planted, None, RULES["any"])
    monkeypatch.setattr(utils, "FULL_COMMENTS", len(whole))
    monkeypatch.setattr(utils, "FULL_POSITIVES", sum(document["label"] for document in whole))
    monkeypatch.setitem(utils.FULL_FIRST, "race", (len(first), sum(document["label"] for document in first)))
    monkeypatch.setitem(utils.FULL_MAJORITY, "race", len(majority))
    assert LOADERS["race"]().origin["complete"]
    assert LOADERS["race"](aggregation="majority").origin["complete"]
    assert all_axes().origin["complete"]


def test_published_sizes_are_those_of_the_protocol() -> None:
    assert (utils.FULL_ANNOTATIONS, utils.FULL_COMMENTS, utils.FULL_POSITIVES) == (135_556, 39_565, 10_354)
    test_sizes = {axis: math.ceil(n / 5) for axis, (n, _) in utils.FULL_FIRST.items()}
    assert test_sizes == {"race": 2334, "religion": 1217, "age": 192, "gender": 2796, "sexuality": 1460}
    negatives = {axis: n - positives for axis, (n, positives) in utils.FULL_FIRST.items()}
    assert negatives == {"race": 8716, "religion": 4778, "age": 756, "gender": 9847, "sexuality": 5233}


def test_a_share_is_compared_exactly() -> None:
    import numpy as np

    third = Aggregation.parse("mean>=0.1")
    assert third.decide(np.array([3, 1, 2]), np.array([30, 10, 21])).tolist() == [True, True, False]


@pytest.mark.parametrize("given", ["most", "mean>0.3", "mean>=0", "mean>=1.1", "mean>=", 3, None])
def test_unknown_aggregation(planted: Path, given: object) -> None:
    with pytest.raises(GroupgapError, match="expected first_annotator, majority, any, or mean>=T"):
        all_axes(aggregation=given)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("target_religion_muslim", "maybe", "column 'target_religion_muslim' holds 'maybe' in data row 1"),
        ("hate_speech_score", "nan", "column 'hate_speech_score' holds no number in data row 1"),
        ("text", "", "column 'text' is empty in data row 1"),
    ],
)
def test_broken_cells(
    data: Path, dlab_rows: list[dict[str, str]], write_csv: Callable[..., Path], column: str, cell: str, message: str
) -> None:
    dlab_rows[0][column] = cell
    write_csv(data / "dlab" / "measuring-hate-speech.csv", dlab_rows)
    with pytest.raises(GroupgapError, match=message):
        LOADERS["religion"]()


def test_missing_column_and_missing_data(
    data: Path, dlab_rows: list[dict[str, str]], write_csv: Callable[..., Path]
) -> None:
    with pytest.raises(
        GroupgapError, match=r"fetch measuring-hate-speech\.parquet from .*CC-BY-4\.0.*dlab/ of \$GROUPGAP_DATA"
    ):
        all_axes()
    rows = [{("target_race_blak" if key == "target_race_black" else key): row[key] for key in row} for row in dlab_rows]
    write_csv(data / "dlab" / "measuring-hate-speech.csv", rows)
    with pytest.raises(GroupgapError, match="no column 'target_race_black'; did you mean 'target_race_blak'"):
        all_axes()
