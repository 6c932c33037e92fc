"""FairFace: the published csv with damaged ages, the hub's parquet files, the real sample, and what is refused."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from groupgap import GroupgapError
from groupgap.harness_tasks.fairface import utils as fairface
from lm_eval.tasks import TaskManager

ROWS = [
    (f"val/{number}.jpg", fairface.AGES[number % 9], fairface.GENDERS[number % 2], fairface.RACES[number % 7])
    for number in range(40)
]
SPREADSHEET = {"3-9": ("9-Mar", "03-Sep", "3-Sep", "Mar-09"), "10-19": ("19-Oct", "Oct-19")}


def write(folder: Path, rows: list[tuple[str, ...]], name: str = "fairface_label_val.csv", inside: str = "") -> None:
    """A csv file of the published form, and its images, whose bytes are their names."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["file,age,gender,race,service_test", *(",".join((*row, "TRUE")) for row in rows)]
    (folder / name).write_text("\n".join(lines))
    for file, *_ in rows:
        path = folder / inside / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.encode())


def parquet(rows: list[tuple[str, ...]]) -> bytes:
    """The same as the hub has it: images inside, attributes as numbers, their names in the file's metadata."""
    features = Features(
        {
            "image": Image(),
            "age": ClassLabel(names=list(fairface.AGES)),
            "gender": ClassLabel(names=list(fairface.GENDERS)),
            "race": ClassLabel(names=list(fairface.RACES)),
            "service_test": Value("bool"),
        }
    )
    table = [
        {"image": {"bytes": file.encode(), "path": None}, "age": age, "gender": sex, "race": race, "service_test": True}
        for file, age, sex, race in rows
    ]
    buffer = io.BytesIO()
    Dataset.from_list(table, features=features).to_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("inside", ["", "fairface-img-margin025-trainval"])
def test_each_attribute_is_a_label_and_never_its_own_axis(data: Path, inside: str) -> None:
    write(data / "fairface", ROWS, inside=inside)
    by_name = {file: row for file, *row in ROWS}
    for attribute, place in (("age", 0), ("gender", 1), ("race", 2)):
        rows = getattr(fairface, attribute)()
        assert len(rows.documents) == len(ROWS)
        for document in rows.documents:
            file = document["image"].removeprefix(f"{inside}/")
            row = by_name[file]
            assert fairface.ATTRIBUTES[attribute][document["label"]] == row[place]
            axes = {"race": [row[2]], "gender": [row[1]]}
            axes.pop(attribute, None)
            assert {axis: document[axis] for axis in ("race", "gender") if axis in document} == axes


@pytest.mark.parametrize(("age", "day"), [(age, day) for age, days in SPREADSHEET.items() for day in days])
def test_ages_that_a_spreadsheet_damaged_are_mended_and_counted(
    data: Path, age: str, day: str, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = [(file, day if own == age else own, *rest) for file, own, *rest in ROWS]
    write(data / "fairface", damaged)
    rows = fairface.age()
    damage = sum(own == age for _, own, *_ in ROWS)
    assert rows.origin["mended_ages"] == damage > 0
    assert f"{damage} ages that a spreadsheet made days were mended" in caplog.text
    write(data / "whole", ROWS)
    assert rows.documents[0]["label"] == fairface.age(folder="whole").documents[0]["label"]
    assert [row["label"] for row in rows.documents] == [row["label"] for row in fairface.age(folder="whole").documents]


@pytest.mark.parametrize(
    ("column", "value"), [("age", "Jan-09"), ("age", "4-9"), ("age", "9-May"), ("gender", "male"), ("race", "Latino")]
)
def test_an_unknown_value_is_named_with_its_row(data: Path, column: str, value: str) -> None:
    place = ("file", "age", "gender", "race").index(column)
    write(data / "fairface", [*ROWS[:5], tuple(value if at == place else cell for at, cell in enumerate(ROWS[5]))])
    with pytest.raises(GroupgapError, match=f"column '{column}' holds '{value}' in data row 6; expected one of"):
        fairface.gender()


def test_the_hub_s_files_at_the_pinned_commit_give_the_ids_of_the_folder(
    data: Path, tmp_path: Path, plant: Callable[[str, str, dict[str, bytes]], None]
) -> None:
    half, rest = ROWS[:25], ROWS[25:]
    files = dict(zip(fairface.HUB_FILES["both"], map(parquet, (half[:10], half[10:], rest)), strict=True))
    plant(fairface.DATASET.hub, fairface.DATASET.revision, files)
    packed = fairface.race()
    assert packed.origin["revision"] == fairface.DATASET.revision == "54d573cdb8b5af490ba8da9da2799628f6e5c496"
    assert len(packed.documents) == len(rest)
    both = fairface.race(portion="both")
    write(data / "fairface", ROWS)
    plain = fairface.race()
    keys = [{row["id"]: (row["label"], row["gender"]) for row in rows.documents} for rows in (both, plain)]
    assert keys[0] == keys[1]
    (image, *_) = (row["image"] for row in both.documents)
    unpacked = tmp_path / "cache" / "images" / both.documents[0]["image_set"]
    stamp = (unpacked / image).stat().st_mtime_ns
    fairface.race(dataset_revision=fairface.DATASET.revision, portion="both")
    assert (unpacked / image).stat().st_mtime_ns == stamp  # unpacked once
    assert not list(unpacked.rglob(".*"))
    (data / "local").mkdir()
    (data / "local" / "train.parquet").write_bytes(files[fairface.HUB_FILES["train"][0]])
    assert len(fairface.race(folder="local").documents) == 10


def test_what_is_absent_or_unknown_is_said(data: Path) -> None:
    with pytest.raises(
        GroupgapError, match=r"fairface_label_val.csv from https://github.com/joojs/fairface .*CC-BY-4.0"
    ):
        fairface.gender()
    with pytest.raises(GroupgapError, match="option portion='test': expected one of validation, train, both"):
        fairface.gender(portion="test")
    with pytest.raises(GroupgapError, match="image set 'mine': no such folder"):
        fairface.gender(folder="mine")
    (data / "mine").mkdir()
    with pytest.raises(GroupgapError, match=r"expected fairface_label_val.csv or labels.csv, or parquet files"):
        fairface.gender(folder="mine")
    (data / "mine" / "x.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(GroupgapError, match=r"x.parquet: not a parquet file"):
        fairface.gender(folder="mine")


def test_the_real_sample_in_numbers(real: Path) -> None:
    rows = fairface.gender(folder="fairface_adults")
    assert len(rows.documents) == 1120
    assert Counter((row["race"][0], row["label"]) for row in rows.documents) == {
        (race, label): 80 for race in fairface.RACES for label in (0, 1)
    }
    assert rows.origin["mended_ages"] == rows.origin["copies"] == rows.origin["missing_files"] == 0
    ages = Counter(fairface.AGES[row["label"]] for row in fairface.age(folder="fairface_adults").documents)
    assert ages == {"20-29": 469, "30-39": 302, "40-49": 177, "50-59": 118, "60-69": 42, "more than 70": 12}


def test_the_tasks_take_the_real_sample_through_lm_eval(real: Path) -> None:
    folder = str(Path(fairface.__file__).parents[1])
    manager = TaskManager(include_defaults=False, include_path=folder, metadata={"folder": "fairface_adults"})
    for attribute, axes in (("gender", ["race"]), ("age", ["race", "gender"]), ("race", ["gender"])):
        name = f"fairface_{attribute}_fair"
        task = manager.load([name])["tasks"][name]
        assert [axis.name for axis in task.code.axes] == axes
        assert task.doc_to_choice(task.eval_docs[0]) == list(fairface.ATTRIBUTES[attribute])
        assert 180 <= len(task.eval_docs) <= 270
