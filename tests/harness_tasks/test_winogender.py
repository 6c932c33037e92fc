"""Winogender as a probe of occupations, on the real files."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from groupgap.errors import GroupgapError
from groupgap.harness_tasks.winogender.utils import winogender


@pytest.mark.usefixtures("real")
def test_sixty_occupations_twice_each() -> None:
    documents = winogender().documents
    assert len(documents) == 120
    assert set(Counter(row["occupation"] for row in documents).values()) == {2}
    assert Counter(row["predisposition"][0] for row in documents) == {"male": 58, "female": 62}
    assert Counter(row["choices"][0] for row in documents) == {"he": 94, "his": 22, "him": 4}
    first = documents[0]
    assert (first["id"], first["text"]) == ("technician.customer", "The technician told the customer that")
    assert first["share_of_women"] == pytest.approx(0.4034)
    assert all((row["share_of_women"] >= 0.5) == (row["label"] == 1) for row in documents)


@pytest.mark.usefixtures("real")
def test_the_share_is_an_option() -> None:
    assert winogender(share="bergsma").documents[0]["share_of_women"] == pytest.approx(0.0942)
    with pytest.raises(GroupgapError, match=r"option share='census': expected one of bls, bergsma"):
        winogender(share="census")


def test_absent_files_are_asked_for(data: Path) -> None:
    with pytest.raises(GroupgapError, match=r"data/all_sentences.tsv from .*winogender-schemas at commit 1c7f8b4"):
        winogender()


def test_a_sentence_of_an_unknown_occupation_is_refused(shared: Path, data: Path) -> None:
    folder = data / "winogender"
    folder.mkdir()
    for name in ("all_sentences.tsv", "occupations-stats.tsv"):
        shutil.copyfile(shared / "data" / "winogender" / name, folder / name)
    path = folder / "all_sentences.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("technician.", "wizard.", 1), encoding="utf-8")
    with pytest.raises(GroupgapError, match=r"all_sentences.tsv, data row 1: expected a sentid like technician"):
        winogender()
