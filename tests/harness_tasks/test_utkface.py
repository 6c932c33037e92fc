"""UTKFace: real and odd file names, ages at the ends of their classes, a parquet file of the same, what is dropped."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.utkface import utils as utkface
from lm_eval.tasks import TaskManager

# Five of the 23,708 names have odd stamps and good labels; three lack the race. Two more lack gender too.
ODD = {
    "24_0_1_20170116220224657 .jpg.chip.jpg": (24, "male", "Black"),
    "55_0_0_20170116232725357jpg.chip.jpg": (55, "male", "White"),
    "14_0_0_2017011022340900.jpg.chip.jpg": (14, "male", "White"),
    "28_1_2_201701161846515488.jpg.chip.jpg": (28, "female", "Asian"),
    "38_0_1_201701162330572788.jpg.chip.jpg": (38, "male", "Black"),
}
WITHOUT = (
    "61_1_20170109142408075.jpg.chip.jpg",
    "61_1_20170109150557335.jpg.chip.jpg",
    "39_1_20170116174525125.jpg.chip.jpg",
    "53__0_20170116184028385.jpg",
    "61_3_20170109150557335.jpg",
)


def fill(folder: Path, count: int = 60) -> dict[str, bytes]:
    """Files with strict names in the shares of a seeded draw, and the odd ones; their bytes are no images."""
    rng = random.Random(3)
    stamps = [f"2017010{rng.randint(1, 9)}{number:09d}.jpg.chip.jpg" for number in range(count)]
    names = [f"{rng.randint(1, 116)}_{rng.randint(0, 1)}_{rng.randint(0, 4)}_{stamp}" for stamp in stamps]
    files = {name: name.encode() for name in (*names, *ODD, *WITHOUT)}
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "Thumbs.db").write_bytes(b"")
    return files


@pytest.mark.parametrize("name", ODD)
def test_odd_stamps_have_good_labels(name: str) -> None:
    assert utkface.parse_name(name) == ODD[name]


@pytest.mark.parametrize("name", [*WITHOUT, "0_0_0_20170109142408075.jpg", "12_0_7_20170109142408075.jpg", "x.jpg"])
def test_a_name_without_age_gender_or_race_has_no_label(name: str) -> None:
    assert utkface.parse_name(name) is None


def test_age_classes_are_those_of_pandas() -> None:
    ages = list(range(1, 117))
    expected = pd.cut(ages, [0, 10, 20, 30, 40, 50, 60, 70, 80, 200], labels=False).tolist()
    assert [utkface.age_class(years) for years in ages] == expected


@pytest.mark.parametrize("place", ["utkface", "UTKFace", "utkface/UTKFace"])
def test_labels_and_groups_are_those_of_the_names(data: Path, place: str, caplog: pytest.LogCaptureFixture) -> None:
    files = fill(data / place)
    gender, age = utkface.gender(), utkface.age()
    assert "5 names without age, gender or race, dropped" in caplog.text
    assert "70 files, UTKFace has 23708" in caplog.text
    for rows in (gender, age):
        assert rows.origin["dropped"] == 5
        assert rows.origin["dropped_names"] == sorted(WITHOUT)
        assert rows.origin["complete"] is False
        assert len(rows.documents) == len(files) - 5
    for of_gender, of_age in zip(gender.documents, age.documents, strict=True):
        years, sex, race, *_ = of_gender["image"].rpartition("/")[2].split("_")
        assert of_gender["label"] == int(sex)
        assert utkface.AGES[of_age["label"]] == utkface.AGES[(int(years) - 1) // 10 if int(years) <= 80 else 8]
        assert of_gender["race"] == of_age["race"] == [utkface.RACES[int(race)]]
        assert "gender" not in of_gender
        assert "age" not in of_age


@pytest.mark.parametrize("form", ["webdataset", "paths", "numbers"])
def test_a_parquet_file_gives_the_same_documents(data: Path, form: str) -> None:
    files = fill(data / "folder")
    numbers = [name.split("_")[:3] for name in files]
    names = {"webdataset": None, "numbers": None, "paths": list(files)}[form] or [None] * len(files)
    frame = pd.DataFrame(
        {"jpg": [{"bytes": content, "path": name} for content, name in zip(files.values(), names, strict=True)]}
    )
    if form == "webdataset":
        frame["__key__"] = [f"./{name.removesuffix('.jpg')}" for name in files]
    if form == "numbers":
        frame = frame[: -len(WITHOUT)]
        for place, column in enumerate(("age", "gender", "race")):
            frame[column] = [int(parts[place]) for parts in numbers[: -len(WITHOUT)]]
    (data / "utkface").mkdir()
    frame.to_parquet(data / "utkface" / "train.parquet")
    packed, plain = utkface.age(), utkface.age(folder="folder")
    assert packed.origin["dropped"] == (0 if form == "numbers" else 5)
    kept: list[dict[str, Any]] = []
    for rows in (packed, plain):
        kept.append({row["id"]: (row["label"], row["race"], row["image_sha256"]) for row in rows.documents})
    assert kept[0] == kept[1]


def test_a_whole_copy_with_other_groups_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utkface, "FULL_FILES", len(fill(data / "utkface")))
    with pytest.raises(GroupgapError, match=r"has UTKFace's 70 files, but gives .* where .*'White': 10078"):
        utkface.gender()


def test_published_sizes() -> None:
    assert sum(utkface.FULL_RACES.values()) == utkface.FULL_ROWS == utkface.FULL_FILES - 3


def test_without_the_images_the_message_says_how_to_get_them(data: Path) -> None:
    with pytest.raises(GroupgapError, match=r"susanqq.github.io/UTKFace \(non-commercial research only\)"):
        utkface.gender()
    (data / "utkface").mkdir()
    with pytest.raises(GroupgapError, match="holds neither images nor parquet files"):
        utkface.gender()


def test_the_tasks_take_them_through_lm_eval(data: Path) -> None:
    fill(data / "utkface", 200)
    folder = str(Path(utkface.__file__).parents[1])
    names = ["utkface_gender_fair", "utkface_age_fair"]
    manager = TaskManager(include_defaults=False, include_path=folder, metadata={"split": "paper"})
    gender, age = (manager.load([name])["tasks"][name] for name in names)
    assert len(gender.eval_docs) == -(-205 // 5)  # 20%, rounded up
    assert gender.doc_to_choice(gender.eval_docs[0]) == ["male", "female"]
    assert age.doc_to_choice(age.eval_docs[0]) == list(utkface.AGES)
    assert age.positive is None
    assert "macro_f1" in age.aggregation()
    (row, *_) = age.eval_docs
    requests = age.construct_requests(row, age.doc_to_text(row))
    assert [request.args for request in requests] == [("Image:", f" {name}") for name in utkface.AGES]
