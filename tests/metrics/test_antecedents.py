"""Whose pronoun it is: against 100 sentences labelled by hand, and WinoMT's own labels."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from groupgap.metrics.antecedents import antecedent_gender, first_answer, pronoun_form
from groupgap.metrics.pronouns import pronoun_gender

BY_HAND = Path(__file__).with_name("pronouns_by_hand.tsv")


def by_hand() -> list[dict[str, str]]:
    """The labelled sentences; the file's first lines say how they were made."""
    lines = [line for line in BY_HAND.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [{**row, "text": row["text"].replace("\\n", "\n")} for row in rows]


def test_sentences_labelled_by_hand_are_read_better_than_by_the_papers_judge() -> None:
    rows = by_hand()
    right = sum(antecedent_gender(row["text"], row["occupation"], row["other"]).gender == row["gender"] for row in rows)
    papers = sum(pronoun_gender(row["text"]).gender == row["gender"] for row in rows)
    assert (len(rows), right, papers) == (100, 94, 66)


def test_no_wrong_gender_where_structure_tells() -> None:
    """A gender is mistaken for the other one in no sentence; mistakes are between a gender and unknown."""
    for row in by_hand():
        found = antecedent_gender(row["text"], row["occupation"], row["other"]).gender
        assert {found, row["gender"]} != {"male", "female"}, row["text"]


def test_winomts_own_labels_are_found_or_called_unknown(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from groupgap.harness_tasks.winomt.utils import general

    monkeypatch.setenv("GROUPGAP_DATA", str(shared / "data"))
    genders = ("male", "female", "neutral")
    found = [
        (antecedent_gender(row["reference"], row["occupation"], row["other"]).gender, genders[row["label"]])
        for row in general().documents
    ]
    assert sum(gender == label for gender, label in found) == 3_879
    assert {gender for gender, label in found if gender != label} == {"unknown"}


@pytest.mark.parametrize(
    ("text", "gender", "kind"),
    [
        ("", "unknown", "empty"),
        ("The guard was late.", "unknown", "no pronoun"),
        ("She was late.", "unknown", "not the occupation's"),
        ("The nurse helped him.", "unknown", "not the occupation's"),
        ("The nurse helped herself.", "female", "female"),
        ("медсестра", "unknown", "another script"),
        ("The nurse saw him and she left.", "female", "female"),
        ("The nurse said she put them away.", "female", "female"),
    ],
)
def test_every_text_is_counted_as_what_it_is(text: str, gender: str, kind: str) -> None:
    found = antecedent_gender(text, "nurse")
    assert (found.gender, found.kind) == (gender, kind)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("her keys", "possessive"),
        ("her .", "object"),
        ("her", "object"),
        ("her to go", "object"),
        ("her quickly", "object"),
        ("hers", "possessive"),
        ("themself", "reflexive"),
        ("himself", "reflexive"),
        ("They", "subject"),
        ("them", "object"),
    ],
)
def test_the_form_of_a_pronoun(text: str, form: str) -> None:
    assert pronoun_form(text.split(), 0) == form


def test_what_comes_after_a_repeated_prompt_is_not_read() -> None:
    assert first_answer("English: He came. Turkish: x English: She left.") == "He came."
    assert first_answer("\n\nHe came.\nShe left.") == "He came."
    assert first_answer("") == ""
    assert first_answer("Turkish: x English: y") == ""
