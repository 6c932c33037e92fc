"""HateCheck: the real suite against the csv module, the hub's form, each mistake."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.hatecheck import utils
from groupgap.harness_tasks.hatecheck.utils import DATASET, GROUPS, hatecheck

Write = Callable[[Path, list[dict[str, str]]], Path]


def _cases(**changes: str) -> list[dict[str, str]]:
    return [
        {
            "functionality": "ident_pos_nh",
            "case_id": str(number),
            "test_case": f"case {number}",
            "label_gold": ["hateful", "non-hateful"][number % 2],
            "target_ident": (*GROUPS, "")[number % 8],
            "templ_id": str(number // 7),
            **changes,
        }
        for number in range(16)
    ]


def test_real_suite(real: Path) -> None:
    with (real / "hatecheck" / "test_suite_cases.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    rows = hatecheck()
    assert len(rows.documents) == 3728
    for document, row in zip(rows.documents, table, strict=True):
        assert document == {
            "id": row["case_id"],
            "text": row["test_case"],
            "label": int(row["label_gold"] == "hateful"),
            "target": [row["target_ident"]] if row["target_ident"] else [],
            "functionality": row["functionality"],
            "templ_id": row["templ_id"],
        }
    assert rows.origin["complete"]
    assert (rows.origin["positives"], rows.origin["without_group"]) == (2563, 292)


def test_templates_are_matched_across_the_seven_identities(real: Path) -> None:
    identities: dict[str, set[str]] = {}
    for document in hatecheck().documents:
        if document["target"]:
            identities.setdefault(document["templ_id"], set()).update(document["target"])
    assert Counter(map(len, identities.values())) == {7: 442, 1: 111}


def test_csv_of_the_hub(plant: Callable[..., None], write_csv: Write, data: Path) -> None:
    content = write_csv(data / "elsewhere.csv", _cases()).read_bytes()
    plant(DATASET.hub, DATASET.revision, {"test.csv": content})
    rows = hatecheck()
    assert (rows.origin["source"], rows.origin["revision"]) == ("hub", DATASET.revision)
    assert [document["target"] for document in rows.documents] == [[name] if name else [] for name in (*GROUPS, "")] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_ident": "martians"}, "unknown target_ident 'martians'; expected one of Muslims"),
        ({"label_gold": "bad"}, "unknown label_gold 'bad'; expected one of hateful, non-hateful"),
        ({"test_case": ""}, "column 'test_case' is empty in data row 1"),
    ],
)
def test_broken_files(data: Path, write_csv: Write, changes: dict[str, str], message: str) -> None:
    write_csv(data / "hatecheck" / "test_suite_cases.csv", _cases(**changes))
    with pytest.raises(GroupgapError, match=message):
        hatecheck()


def test_complete_file_must_have_the_published_count(
    data: Path, write_csv: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(data / "hatecheck" / "test_suite_cases.csv", _cases())
    monkeypatch.setattr(utils, "FULL_CASES", 16)
    with pytest.raises(GroupgapError, match="8 hateful of 16 cases, published are 2563"):
        hatecheck()
    monkeypatch.setattr(utils, "FULL_HATEFUL", 8)
    assert hatecheck().origin["complete"]


def test_no_data(data: Path) -> None:
    with pytest.raises(GroupgapError, match=r"fetch test_suite_cases\.csv from .*hatecheck-data .*CC-BY-4\.0"):
        hatecheck(batch_size=1)
    folder: Any = data / "hatecheck"
    folder.mkdir()
    (folder / "test_suite_cases.csv").write_text("case_id,test_case\n1,x\n")
    with pytest.raises(GroupgapError, match="no column 'label_gold'"):
        hatecheck()
