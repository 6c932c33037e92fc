"""The toy set: its planted truth against a simulation that knows nothing of the formula, and its stability."""

from __future__ import annotations

import hashlib
import json

import pytest
from groupgap.harness_tasks.toy.generate import FAITHS, KIND, RUDE, SIZE, generate, patterns, planted_truth


def _called_rude(text: str) -> bool:
    words = text.replace(",", "").split()
    assert sum(word in KIND + RUDE for word in words) == 1
    return any(word in RUDE for word in words)


def test_the_set_is_the_same_everywhere() -> None:
    text = json.dumps(generate(), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "f01f6ff786283f48"


def test_every_remark_names_the_faiths_it_belongs_to() -> None:
    names = {faith.name for faith in FAITHS}
    for document in generate():
        assert set(str(document["text"]).split()) & names == set(document["religion"])  # type: ignore[call-overload]


def test_sizes_and_overlap() -> None:
    documents = generate()
    assert len(documents) == sum(count for _, count in patterns()) == SIZE
    assert sum(len(document["religion"]) == 2 for document in documents) == SIZE // 10  # type: ignore[arg-type]


@pytest.mark.parametrize("faith", [faith.name for faith in FAITHS])
def test_planted_truth_is_what_a_reader_of_the_text_would_score(faith: str) -> None:
    """A judge that reads the words, not the flips: on fresh sets its rates are as planted, to 4 standard errors."""
    rows = [
        (_called_rude(str(document["text"])), bool(document["label"]))
        for seed in range(20)
        for document in generate(seed=seed)
        if faith in document["religion"]  # type: ignore[operator]
    ]
    truth = planted_truth()[faith]
    positives = [said for said, label in rows if label]
    negatives = [said for said, label in rows if not label]
    for measured, planted, n in (
        (sum(said == label for said, label in rows) / len(rows), truth.accuracy, len(rows)),
        (sum(said for said, _ in rows) / len(rows), truth.selection_rate, len(rows)),
        (sum(positives) / len(positives), truth.tpr, len(positives)),
        (sum(negatives) / len(negatives), truth.fpr, len(negatives)),
    ):
        assert abs(measured - planted) < 4 * (planted * (1 - planted) / n) ** 0.5
