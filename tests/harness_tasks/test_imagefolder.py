"""imagefolder_fair: tables and folders, torchvision's ImageFolder as oracle, and every mistake with its message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.imagefolder import utils as imagefolder
from groupgap.harness_tasks.imagefolder.utils import own_folder
from groupgap.plugins.torchvision_guard import missing_operators_skipped
from lm_eval.tasks import TaskManager
from PIL import Image

ROWS: list[dict[str, Any]] = [
    {"path": "one/a.png", "label": "ok", "faith": "north", "city": "a"},
    {"path": "one/b.png", "label": "bad", "faith": "south", "city": "b"},
    {"path": "two/c.png", "label": "ok", "faith": "", "city": "a"},
    {"path": "two/d.png", "label": "bad", "faith": "north; south", "city": ""},
]


@pytest.fixture
def mine(data: Path) -> Path:
    """A folder of four drawn squares with a table."""
    for number, row in enumerate(ROWS):
        path = data / "mine" / row["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (60 * number, 0, 0)).save(path)
    pd.DataFrame(ROWS).to_csv(data / "mine" / "labels.csv", index=False)
    return data / "mine"


def load(**options: Any) -> Any:
    given = {"folder": "mine", "table": "labels.csv", "label_column": "label", "group_columns": "faith"}
    return own_folder(**{key: value for key, value in {**given, "positive": "ok", **options}.items() if value})


def test_a_table_names_images_classes_and_groups(mine: Path) -> None:
    rows = load(separator=";")
    by_image = {row["image"]: row for row in rows.documents}
    assert {image: row["label"] for image, row in by_image.items()} == {
        row["path"]: row["label"] == "ok" for row in ROWS
    }
    assert [by_image[row["path"]]["faith"] for row in ROWS] == [["north"], ["south"], [], ["north", "south"]]
    assert rows.fair == {
        "axes": {"faith": {"field": "faith", "groups": ["north", "south"]}},
        "choices": ["bad", "ok"],
        "positive": "ok",
    }
    assert set(rows.origin["files"]) == {"labels.csv"}


def test_several_axes_other_names_and_other_kinds_of_table(mine: Path) -> None:
    frame = pd.DataFrame(ROWS).rename(columns={"path": "file"})
    frame.to_parquet(mine / "labels.parquet")
    (mine / "labels.jsonl").write_text(frame.to_json(orient="records", lines=True))
    for name in ("labels.parquet", "labels.jsonl"):
        rows = load(table=name, path_column="file", group_columns=["faith", "city"], choices={"ok": "yes", "bad": "no"})
        assert rows.fair is not None
        assert (rows.fair["choices"], rows.fair["positive"]) == (["yes", "no"], "yes")
        assert [axis["groups"] for axis in rows.fair["axes"].values()] == [
            ["north", "north; south", "south"],
            ["a", "b"],
        ]


def test_without_a_label_column_the_first_folder_is_the_class(mine: Path) -> None:
    rows = load(label_column=None, positive="two")
    assert rows.fair is not None
    assert rows.fair["choices"] == ["one", "two"]
    assert all(rows.fair["choices"][row["label"]] == row["image"].partition("/")[0] for row in rows.documents)


def test_classes_of_folders_are_those_of_torchvision(data: Path) -> None:
    names = [f"{label}/{group}/{number}.png" for label in ("b", "a", "B") for group in ("x", "y") for number in (2, 1)]
    for number, name in enumerate(names):
        (data / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(data / "tree" / name)
    (data / "tree" / "a" / "notes.txt").write_text("no image")
    rows = own_folder(folder="tree")
    with missing_operators_skipped():
        from torchvision.datasets import ImageFolder

    theirs = ImageFolder(str(data / "tree"))
    assert rows.fair is not None
    assert rows.fair["choices"] == theirs.classes
    assert rows.fair["positive"] is None
    expected = {str(Path(path).relative_to(data / "tree")): label for path, label in theirs.samples}
    assert {row["image"]: row["label"] for row in rows.documents} == expected
    assert all(row["group"] == [row["image"].split("/")[1]] for row in rows.documents)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folder": None}, "option 'folder' is missing: --metadata"),
        ({"group_columns": None}, "option 'group_columns' is missing"),
        ({"table": None}, "option group_columns needs a table"),
        ({"table": "other.csv"}, "other.csv: no such file in"),
        ({"table": "../labels.csv"}, "leads out of its folder"),
        ({"folder": "../data/mine"}, "expected a name"),
        ({"folder": "yours"}, "image set 'yours': no such folder"),
        ({"path_column": "file"}, "labels.csv: no column 'file'"),
        ({"label_column": "labels"}, "no column 'labels'; did you mean 'label'"),
        ({"group_columns": "fate"}, "no column 'fate'; did you mean 'faith'"),
        ({"positive": "good"}, "imagefolder_fair: option positive='good': expected the class"),
        ({"group_columns": 3}, "imagefolder_fair: option group_columns=3: expected a column"),
        ({"axis": "image"}, "imagefolder_fair: an axis cannot be called 'image'"),
        ({"separator": 4}, "option separator=4: expected a string"),
    ],
)
def test_wrong_options_are_named(mine: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError) as caught:
        load(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROWS[0], "path": "one/z.png"}, "labels.csv: 1 of 5 images are not in"),
        (ROWS[0], "labels.csv: names the image 'one/a.png' twice"),
        ({**ROWS[0], "path": "../mine/one/a.png"}, "leads out of its folder"),
        ({**ROWS[0], "path": ""}, "column 'path' is empty in data row 5"),
        ({**ROWS[0], "path": "one/e.png", "label": ""}, "column 'label' is empty in data row 5"),
    ],
)
def test_rows_that_fit_no_image_are_named(mine: Path, row: dict[str, Any], message: str) -> None:
    pd.DataFrame([*ROWS, row]).to_csv(mine / "labels.csv", index=False)
    with pytest.raises(GroupgapError) as caught:
        load()
    assert message in str(caught.value)


def test_folders_that_name_no_group_or_no_class_are_refused(mine: Path) -> None:
    with pytest.raises(GroupgapError, match=r"'one/a\.png' has no folder of its group: expected CLASS/GROUP/IMAGE"):
        own_folder(folder="mine")
    Image.new("RGB", (4, 4)).save(mine / "top.png")
    pd.DataFrame([*ROWS, {**ROWS[0], "path": "top.png"}]).to_csv(mine / "labels.csv", index=False)
    with pytest.raises(GroupgapError, match=r"the image 'top\.png' lies in no folder that could name its class"):
        load(label_column=None)
    (mine.parent / "empty").mkdir()
    with pytest.raises(GroupgapError, match="holds no images"):
        own_folder(folder="empty")


def test_through_lm_eval(mine: Path) -> None:
    folder = str(Path(imagefolder.__file__).parents[1])
    options = {"folder": "mine", "table": "labels.csv", "group_columns": "city", "label_column": "label", "part": "all"}
    manager = TaskManager(include_defaults=False, include_path=folder, metadata={**options, "positive": "bad"})
    task = manager.load(["imagefolder_fair"])["tasks"]["imagefolder_fair"]
    assert len(task.eval_docs) == 4
    assert task.doc_to_choice(task.eval_docs[0]) == ["bad", "ok"]
    assert [axis.groups for axis in task.code.axes] == [("a", "b")]
