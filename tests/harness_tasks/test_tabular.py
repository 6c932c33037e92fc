"""csv_fair: every way to name groups and classes, in every file format, and every mistake with its message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.rows import text_id
from groupgap.harness_tasks.tabular.utils import own_file

ROWS: list[dict[str, Any]] = [
    {"text": "first", "label": "ok", "faith": "north", "city": "a", "is_x": True, "is_y": False, "tags": ["p", "q"]},
    {"text": "second", "label": "bad", "faith": "south", "city": "b", "is_x": True, "is_y": True, "tags": []},
    {"text": "third", "label": "ok", "faith": "", "city": "a", "is_x": False, "is_y": False, "tags": ["q"]},
    {"text": "first", "label": "bad", "faith": "north", "city": "", "is_x": False, "is_y": True, "tags": ["q", "q"]},
]


def _write(folder: Path, kind: str, rows: list[dict[str, Any]]) -> str:
    path = folder / f"mine.{kind}"
    flat = [{key: json.dumps(cell) if isinstance(cell, list) else cell for key, cell in row.items()} for row in rows]
    if kind == "parquet":
        pd.DataFrame(rows).to_parquet(path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pd.DataFrame(flat).to_csv(path, index=False, sep={"csv": ",", "tsv": "\t"}[kind])
    return str(path)


def _load(folder: Path, kind: str = "csv", rows: list[dict[str, Any]] = ROWS, **options: Any) -> Any:
    return own_file(**{"file": _write(folder, kind, rows), "group_columns": "faith", "positive": "bad", **options})


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"group_columns": "faith"}, {"faith": [["north"], ["south"], [], ["north"]]}),
        ({"group_columns": "faith", "axis": "creed"}, {"creed": [["north"], ["south"], [], ["north"]]}),
        ({"group_columns": "tags"}, {"tags": [["p", "q"], [], ["q"], ["q"]]}),
        ({"group_columns": ["is_x", "is_y"]}, {"group": [["is_x"], ["is_x", "is_y"], [], ["is_y"]]}),
        ({"group_columns": {"x": "is_x"}, "axis": "flag"}, {"flag": [["x"], ["x"], [], []]}),
        (
            {"group_columns": ["faith", "city"]},
            {"faith": [["north"], ["south"], [], ["north"]], "city": [["a"], ["b"], ["a"], []]},
        ),
        (
            {"group_columns": ["faith", "city"], "axis": "who"},
            {"who": [["north", "a"], ["south", "b"], ["a"], ["north"]]},
        ),
    ],
)
def test_groups(tmp_path: Path, kind: str, options: dict[str, Any], expected: dict[str, list[list[str]]]) -> None:
    rows = _load(tmp_path, kind, **options)
    assert rows.fair is not None
    assert {axis: [document[axis] for document in rows.documents] for axis in expected} == expected
    assert {axis: spec["groups"] for axis, spec in rows.fair["axes"].items()} == {
        axis: sorted({name for names in cells for name in names}) for axis, cells in expected.items()
    }
    assert [document["label"] for document in rows.documents] == [1, 0, 1, 0]
    assert rows.fair["choices"] == ["bad", "ok"]
    assert rows.fair["positive"] == "bad"


def test_separator(tmp_path: Path) -> None:
    rows = [{**row, "faith": cell} for row, cell in zip(ROWS, ["a; b", "b", "", "b;;a;b"], strict=True)]
    documents = _load(tmp_path, rows=rows, separator=";").documents
    assert [document["faith"] for document in documents] == [["a", "b"], ["b"], [], ["b", "a"]]


def test_classes_may_be_many_numbers_or_renamed(tmp_path: Path) -> None:
    rows = [{**row, "label": label} for row, label in zip(ROWS, [2, 0, 1, 1], strict=True)]
    for kind in ("csv", "parquet"):
        plain = _load(tmp_path, kind, rows, positive=2)
        assert (plain.fair["choices"], plain.fair["positive"]) == (["0", "1", "2"], "2")
    assert _load(tmp_path, rows=rows, positive=None).fair["positive"] is None  # one-vs-rest: none is needed
    named = _load(tmp_path, rows=rows, positive=1, choices={"0": "low", "1": "mid", "2": "high", "3": "top"})
    assert (named.fair["choices"], named.fair["positive"]) == (["low", "mid", "high", "top"], "mid")
    assert [document["label"] for document in named.documents] == [2, 0, 1, 1]
    ordered = _load(tmp_path, rows=rows, positive="0", choices=[2, 1, 0])
    assert [document["label"] for document in ordered.documents] == [0, 2, 1, 1]


def test_ids_are_stable_and_copies_are_marked(tmp_path: Path) -> None:
    first = text_id("first")
    rows = _load(tmp_path)
    assert [row["id"] for row in rows.documents] == [first, text_id("second"), text_id("third"), f"{first}#copy2"]
    assert rows.origin["copies"] == 1
    assert [row["id"] for row in _load(tmp_path, id_column="city", rows=ROWS[:3]).documents] == ["a", "b", "a#copy2"]


def test_prompt(tmp_path: Path) -> None:
    assert _load(tmp_path).documents[1]["prompt"] == "Text: second\nWhich label fits this text: bad or ok?\nAnswer:"
    asked = _load(tmp_path, question="Is it bad?").documents[0]["prompt"]
    assert asked == "Text: first\nIs it bad?\nAnswer:"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file": None}, "option 'file' is missing: --metadata"),
        ({"group_columns": None}, "option 'group_columns' is missing"),
        ({"group_columns": 3}, r"group_columns=3: expected a column, a list, or \{name: column\}"),
        ({"group_columns": ["faith", 3]}, "expected a column, a list"),
        ({"file": "nowhere.csv"}, r"nowhere\.csv: no such file \(relative paths start at "),
        ({"text_column": "txt"}, r"mine\.csv: no column 'txt'; did you mean 'text'\? \(columns: text, label, faith"),
        ({"label_column": "labels"}, "no column 'labels'; did you mean 'label'"),
        ({"group_columns": "fate"}, "no column 'fate'; did you mean 'faith'"),
        ({"id_column": "row"}, "no column 'row'"),
        ({"text_column": 1}, "option text_column=1: expected a string"),
        ({"separator": ""}, "option separator='': expected a string"),
        ({"positive": None}, "option positive=None: expected the class whose rates are compared, one of bad, ok"),
        ({"positive": "worse"}, "option positive='worse'"),
        ({"choices": "bad"}, "option choices='bad': expected a list of classes"),
        ({"choices": ["bad", "good"]}, "holds 'ok', which is not among the choices bad, good"),
        ({"choices": {"bad": "x", "ok": "x"}}, "expected two or more different classes, got x, x"),
        ({"group_columns": ["is_x", "faith"]}, "column 'is_x' holds true/false and 'faith' holds names"),
        ({"group_columns": {"n": "faith"}}, "column 'faith' holds 'north' in data row 1; expected true or false"),
        ({"group_columns": "faith", "axis": "label"}, "an axis cannot be called 'label'"),
    ],
)
def test_mistakes_in_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError, match=message) as raised:
        _load(tmp_path, **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": ""}, "column 'label' is empty in data row 2"),
        ({"text": ""}, "column 'text' is empty in data row 2"),
        ({"faith": "[1, 2"}, "column 'faith', data row 2: a list that cannot be read"),
        ({"faith": "[[1]]"}, "column 'faith', data row 2: a list that cannot be read"),
    ],
)
def test_broken_cells(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(GroupgapError, match=message):
        _load(tmp_path, rows=[ROWS[0], {**ROWS[1], **changes}])


def test_missing_labels_of_a_parquet_file(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "label": 1.0}, {**ROWS[1], "label": float("nan")}]
    with pytest.raises(GroupgapError, match="column 'label' is empty in data row 2"):
        _load(tmp_path, "parquet", rows)


def test_useless_columns(tmp_path: Path) -> None:
    with pytest.raises(GroupgapError, match="expected two or more different classes, got ok"):
        _load(tmp_path, rows=ROWS[:1], positive="ok")
    with pytest.raises(GroupgapError, match="axis 'faith' has 0 groups"):
        _load(tmp_path, rows=[{**row, "faith": ""} for row in ROWS])
    scores = [{**ROWS[0], "label": number / 7} for number in range(60)]
    with pytest.raises(GroupgapError, match=r"holds 60 different values; expected at most 50 classes"):
        _load(tmp_path, rows=scores)


def test_empty_and_broken_files(tmp_path: Path) -> None:
    files = {
        "header.csv": ("text,label,faith\n", "holds no rows"),
        "empty.csv": ("", "the file is empty"),
        "ragged.csv": ("text,label,faith\na,b\n", "line 2 has 2 cells, the header has 3"),
        "twice.csv": ("text,text\na,b\n", "column 'text' occurs twice"),
        "quote.csv": ('text,label,faith\n"a,b,c\n', "cannot be read as csv"),
        "broken.jsonl": ('{"text": 1}\n{"text"\n', "cannot be read as jsonl"),
        "list.jsonl": ("[1]\n", "a line holds list, expected an object"),
        "broken.parquet": ("PAR1", "cannot be read as parquet"),
        "sheet.xlsx": ("x", "unknown kind of file '.xlsx'; expected .csv, .tsv"),
    }
    for name, (content, message) in files.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(GroupgapError, match=message) as raised:
            own_file(file=str(tmp_path / name), group_columns="faith", positive="b")
        assert "\n" not in str(raised.value)
    (tmp_path / "latin.csv").write_bytes("text,label,faith\né,b,c\n".encode("latin-1"))
    with pytest.raises(GroupgapError, match=r"latin\.csv: cannot be read as csv \('utf-8' codec"):
        own_file(file=str(tmp_path / "latin.csv"), group_columns="faith", positive="b")
