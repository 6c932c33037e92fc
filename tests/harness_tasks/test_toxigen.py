"""ToxiGen: the bytes decoder against Python's own, the three rules on the real file, the hub's form, each mistake."""

from __future__ import annotations

import ast
import csv
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.toxigen.utils import DATASET, GROUPS, decode_text, toxigen
from hypothesis import given
from hypothesis import strategies as st

Write = Callable[[Path, list[dict[str, Any]]], Path]


def _rows(count: int = 30, **changes: str) -> list[dict[str, str]]:
    return [
        {
            "text": repr(f"statement {number}: it's “quoted”\n".encode()),
            "target_group": GROUPS[number % len(GROUPS)],
            "toxicity_ai": str(number % 5 + 1),
            "toxicity_human": ["2.5", "2.51", "1", "5"][number % 4],
            "label": ["hate", "neutral"][number % 2],
            "actual_method": "TopK",
            **changes,
        }
        for number in range(count)
    ]


@given(st.text())
def test_decoder_inverts_pythons_bytes_literals(text: str) -> None:
    encoded = text.encode("utf-8", "surrogatepass")
    if encoded == text.encode("utf-8", "replace"):
        assert decode_text(repr(encoded)) == text == ast.literal_eval(repr(encoded)).decode()


def test_decoder_leaves_other_cells_alone() -> None:
    for cell in ("plain", "b'unfinished", "b\"mixed'", "", "bee'"):
        assert decode_text(cell) == cell


@pytest.mark.parametrize("cell", [r"b'\q'", r"b'\xff'", "b'é'", r"b'\u0041'"])
def test_decoder_refuses_what_is_no_bytes_literal(cell: str) -> None:
    with pytest.raises(GroupgapError, match="no valid bytes literal"):
        decode_text(cell)


@pytest.mark.parametrize(("label", "positives"), [("human", 3765), ("intent", 4462), ("lm_eval", 3368)])
def test_published_counts_of_the_real_file(real: Path, label: str, positives: int) -> None:
    rows = toxigen(label=label)
    with (real / "toxigen_annotated" / "toxigen.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(rows.documents) == len(table) == 8960
    assert rows.origin["positives"] == sum(document["label"] for document in rows.documents) == positives
    assert [document["text"] for document in rows.documents] == [
        ast.literal_eval(row["text"]).decode() for row in table
    ]
    assert Counter(document["group"][0] for document in rows.documents) == Counter(row["target_group"] for row in table)
    assert len({document["id"] for document in rows.documents}) == 8960
    assert rows.origin["complete"]


def test_labels_follow_their_rules(data: Path, write_csv: Write) -> None:
    table = _rows()
    write_csv(data / "toxigen" / "annotated_train.csv", table)
    rules: dict[str, Callable[[dict[str, str]], bool]] = {
        "human": lambda row: float(row["toxicity_human"]) > 2.5,
        "intent": lambda row: row["label"] == "hate",
        "lm_eval": lambda row: float(row["toxicity_ai"]) + float(row["toxicity_human"]) > 5.5,
    }
    for name, rule in rules.items():
        assert [document["label"] for document in toxigen(label=name).documents] == [int(rule(row)) for row in table]


def test_hub_form_without_the_label_column(plant: Callable[..., None]) -> None:
    table = [{key: value for key, value in row.items() if key != "label"} for row in _rows()]
    frame = pd.DataFrame(table).astype({"toxicity_ai": float, "toxicity_human": float})
    frame["text"] = [ast.literal_eval(text).decode() for text in frame["text"]]
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    plant(DATASET.hub, DATASET.revision, {"annotated/train-00000-of-00001.parquet": buffer.getvalue()})
    rows = toxigen()
    assert rows.origin["source"] == "hub"
    assert rows.origin["revision"] == DATASET.revision
    assert [document["text"] for document in rows.documents] == list(frame["text"])
    with pytest.raises(GroupgapError, match="option label=intent needs the column 'label'"):
        toxigen(label="intent")


def test_revision_option_resolves_a_branch_to_a_commit(
    plant: Callable[..., None], data: Path, write_csv: Write, commit: str
) -> None:
    write_csv(data / "toxigen" / "annotated_train.csv", _rows(13))
    content = write_csv(data / "elsewhere.csv", _rows(26)).read_bytes()
    plant(DATASET.hub, "main", {"annotated_train.csv": content})
    rows = toxigen(dataset_revision="main")
    assert (rows.origin["revision"], len(rows.documents)) == (commit, 26)
    assert (toxigen().origin["revision"], len(toxigen().documents)) == (None, 13)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target_group": "martians"}, "unknown target_group 'martians'"),
        ({"toxicity_human": "high"}, "column 'toxicity_human' holds no number in data row 1"),
        ({"text": ""}, "column 'text' is empty in data row 1"),
    ],
)
def test_broken_files(data: Path, write_csv: Write, changes: dict[str, str], message: str) -> None:
    write_csv(data / "toxigen" / "annotated_train.csv", _rows(3, **changes))
    with pytest.raises(GroupgapError, match=message):
        toxigen()


def test_other_mistakes(data: Path, write_csv: Write) -> None:
    with pytest.raises(GroupgapError, match=r"label='robots': expected one of human, intent, lm_eval"):
        toxigen(label="robots")
    with pytest.raises(
        GroupgapError, match=r"fetch annotated_train\.csv from .*CDLA-Permissive-2\.0.*toxigen_annotated/"
    ):
        toxigen()
    generated: list[dict[str, Any]] = [{"prompt": "p", "generation": "g", "roberta_prediction": "0.1"}]
    write_csv(data / "toxigen" / "toxigen.csv", generated)
    with pytest.raises(GroupgapError, match="generated set"):
        toxigen()
    write_csv(data / "toxigen" / "annotated_train.csv", _rows(2, label="angry"))
    with pytest.raises(GroupgapError, match="holds 'angry'; expected hate or neutral"):
        toxigen(label="intent")
