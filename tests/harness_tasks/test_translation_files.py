"""The user's own sentences: read, split by pairs, judged in their language, refused where something is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from groupgap.errors import GroupgapError
from groupgap.harness_tasks.splits import split_parts
from groupgap.harness_tasks.translation.utils import own_sentences

HEADER = "source\treference\toccupation\tstereotype\tother\tpair"
ROWS = (
    "Hän on sairaanhoitaja.\tShe is a nurse.\tnurse\tfemale\t\ta",
    "Hän on insinööri.\tHe is an engineer.\tengineer\tMale\t\ta",
    "Lääkäri tapasi potilaan.\tThe doctor met the patient.\tdoctor\t\tpatient\tb",
)


def write(folder: Path, *rows: str, header: str = HEADER) -> dict[str, Any]:
    path = folder / "mine.tsv"
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return {"file": str(path), "source_language": "Finnish", "target_language": "English"}


def test_rows_become_documents(tmp_path: Path) -> None:
    rows = own_sentences(**write(tmp_path, *ROWS), other_column="other", pair_column="pair", max_gen_toks=5)
    first, second, third = rows.documents
    assert first["prompt"] == "Finnish: Hän on sairaanhoitaja. English:"
    assert [row["predisposition"] for row in rows.documents] == [["female"], ["male"], []]
    assert [row["label"] for row in rows.documents] == [1, 0, 3]
    assert (first["pair"], second["pair"], third["pair"], third["other"]) == ("a", "a", "b", "patient")
    assert rows.fair is not None
    assert (rows.fair["judge"]["marker"], rows.fair["judge"]["prompt"]) == ("english:", "finnish:")
    assert rows.origin["rows"] == 3
    parts = split_parts(rows)
    assert sum(map(len, parts.values())) == 3
    assert any({row["pair"] for row in part} >= {"a"} and len(part) >= 2 for part in parts.values())


def test_another_target_language_needs_its_pronouns(tmp_path: Path) -> None:
    options = {**write(tmp_path, *ROWS), "target_language": "German"}
    with pytest.raises(GroupgapError, match=r"the pronouns of 'German' are not known: give them as option 'pronouns'"):
        own_sentences(**options)
    rows = own_sentences(**options, pronouns={"male": ["he"], "female": ["she"]})
    assert [row["label"] for row in rows.documents] == [1, 0, 3]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"file": None}, "translation_fair: option 'file' is missing: --metadata"),
        ({"source_language": ""}, "translation_fair: option 'source_language' is missing"),
        ({"occupation_column": 3}, "translation_fair: option occupation_column=3: expected a string"),
        ({"file": "nowhere.tsv"}, "translation_fair: nowhere.tsv: no such file"),
        ({"source_column": "sorce"}, "mine.tsv: no column 'sorce'; did you mean 'source'?"),
        ({"pronouns": "he"}, "option pronouns='he': expected"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, change: dict[str, object], said: str) -> None:
    with pytest.raises(GroupgapError) as error:
        own_sentences(**{**write(tmp_path, *ROWS), **change})
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("\tShe is a nurse.\tnurse\tfemale\t\ta", "mine.tsv: column 'source' is empty in data row 1"),
        ("Hän.\t\tnurse\tfemale\t\ta", "mine.tsv: column 'reference' is empty in data row 1"),
        ("Hän.\tShe.\tnurse\twoman\t\ta", "mine.tsv: column 'stereotype', data row 1: 'woman'; expected male, female"),
        ("Hän.\tShe.\tnurse\t\t\ta", "mine.tsv: column 'stereotype' names no stereotype in any row"),
        ("Hän.\tShe.\tnurse", "mine.tsv: cannot be read as tsv (line 2 has 3 cells, the header has 6)"),
    ],
)
def test_broken_rows_are_refused_with_their_place(tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(GroupgapError) as error:
        own_sentences(**write(tmp_path, row))
    assert str(error.value).startswith(said)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GroupgapError, match=r"mine.tsv: holds no rows"):
        own_sentences(**write(tmp_path))
