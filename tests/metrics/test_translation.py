"""Quality of translations: sacrebleu's own command line gives the same numbers; what does not translate is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from groupgap.errors import GroupgapError
from groupgap.metrics.translation import Score, gender_variants, translation_quality


def pairs(shared: Path, count: int = 600) -> tuple[list[str], list[str]]:
    """English and Turkish of the first lines."""
    text = (shared / "data" / "winomt" / "en_tr_general.txt").read_text(encoding="utf-8")
    split = [line.split(" ||| ") for line in text.splitlines()[:count]]
    return [english for english, _ in split], [turkish for _, turkish in split]


def clusters(count: int) -> list[str]:
    return [f"pair {line // 2}" for line in range(count)]


def command_line(folder: Path, texts: Sequence[str], references: Sequence[Sequence[str]], *options: str) -> Score:
    """What ``sacrebleu`` prints for the same lines."""
    files = []
    for number, lines in enumerate((texts, *references)):
        path = folder / f"{number}.txt"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        files.append(str(path))
    command = [sys.executable, "-m", "sacrebleu", *files[1:], "-i", files[0], "-w", "12", "-f", "json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    return Score(float(said["score"]), said["signature"])


def test_the_numbers_are_those_of_sacrebleus_command_line(shared: Path, tmp_path: Path) -> None:
    references, _ = pairs(shared)
    rng = np.random.default_rng(5)
    texts = [" ".join(word for word in line.split() if rng.random() < 0.8) for line in references]
    found = translation_quality(texts, references, clusters(len(texts)))
    variants = list(zip(*map(gender_variants, references), strict=True))
    for ours, theirs in (
        (found.bleu, command_line(tmp_path, texts, [references], "-m", "bleu")),
        (found.chrf, command_line(tmp_path, texts, [references], "-m", "chrf")),
        (found.gender_blind_bleu, command_line(tmp_path, texts, variants, "-m", "bleu", "-lc")),
    ):
        assert ours.value == pytest.approx(theirs.value, abs=1e-9)
        assert ours.signature == theirs.signature
        assert 0 < ours.value < 100


def test_what_translates_and_what_does_not(shared: Path) -> None:
    """The margins that ``docs/translation.md`` names."""
    english, turkish = pairs(shared, 800)
    half = [line if place % 2 else "" for place, line in enumerate(english)]
    rotated = [*english[4:], *english[:4]]
    margins = {}
    for name, texts in {"all": english, "half": half, "copy": turkish, "one": [english[0]] * len(english)}.items():
        found = translation_quality(texts, english, clusters(len(texts)))
        assert found.margin is not None
        margins[name] = found.margin
        assert (found.why_not_measurable(0.0) is None) == (name in ("all", "half")), name
    assert margins["copy"] == pytest.approx(1, abs=0.5)
    assert margins["one"] == pytest.approx(0, abs=0.5)
    assert margins["half"] == pytest.approx(42, abs=2)
    assert margins["all"] > 70
    wrong = translation_quality(rotated, english, clusters(len(english))).why_not_measurable(0.0)
    assert wrong is not None
    assert wrong.startswith("not measurable: it does not translate: chrF")


def test_a_gender_blind_score_does_not_reward_the_references_gender() -> None:
    references = ["The nurse said she lost her keys.", "The guard told him to stop."]
    other = ["The nurse said he lost his keys.", "The guard told her to stop."]
    found = translation_quality(other, references, ["a", "b"])
    assert found.gender_blind_bleu.value == pytest.approx(100)
    assert found.bleu.value < 80


@pytest.mark.parametrize(
    ("reference", "variants"),
    [
        ("He saw her.", ("He saw him.", "She saw her.", "They saw them.")),
        ("Her dog likes her.", ("His dog likes him.", "Her dog likes her.", "Their dog likes them.")),
        ("the sheriff, himself", ("the sheriff, himself", "the sheriff, herself", "the sheriff, themselves")),
        ("No pronoun; theory, hero.", ("No pronoun; theory, hero.",) * 3),
        ("", ("", "", "")),
    ],
)
def test_the_three_variants_of_a_reference(reference: str, variants: tuple[str, str, str]) -> None:
    assert gender_variants(reference) == variants


def test_texts_without_a_pronoun_are_not_measurable() -> None:
    references = ["The nurse said she was late.", "A guard lost his keys.", "Someone called the cook."]
    found = translation_quality(references, references, ["a", "b", "c"])
    assert found.why_not_measurable(0.5) is None
    assert found.why_not_measurable(0.51) == (
        "not measurable: 51% of its texts have no pronoun of one gender; at most half may"
    )
    one = translation_quality(references[:1], references[:1], ["a"])
    assert one.why_not_measurable(0.0) == (
        "not measurable: one sentence pair is too few to tell a translation from any other text"
    )


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        GroupgapError, match="Expected a text, a reference and a cluster for each row, but got 1, 2 and 1"
    ):
        translation_quality(["a"], ["a", "b"], ["x"])
    with pytest.raises(GroupgapError, match="but got 0, 0 and 0"):
        translation_quality([], [], [])
