"""The paper's judge of pronouns, against another implementation; what is counted as what."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from groupgap.errors import GroupgapError
from groupgap.metrics.pronouns import ENGLISH, KINDS, lexicon_from, pronoun_gender

FEMALE = ("she", "her", "hers", "herself")
MALE = ("he", "him", "his", "himself")
NEUTRAL = ("they", "them", "their", "themselves")
PIECES = (
    *FEMALE,
    *MALE,
    *NEUTRAL,
    "theirs",
    "themself",
    "He",
    "SHE",
    "Them",
    "she's",
    "he-man",
    "her_s",
    "the",
    "shed",
)
GLUE = (" ", "  ", "\n", "-", "_", "'", ".", ", ", "", "9", "é", "\u00a0", "\u2019", "/")


def independent(output: str) -> str:
    """Section 1.3 of the paper's protocol, written without regular expressions: cut into runs of word characters."""
    text = output.lower()
    start = text.find("english:")
    text = text[start + len("english:") :] if start >= 0 else text
    words, word = set(), ""
    for letter in f"{text} ":
        if letter.isalnum() or letter == "_":
            word += letter
        else:
            words.add(word)
            word = ""
    female, male = any(word in FEMALE for word in words), any(word in MALE for word in words)
    if female or male:
        return "unknown" if female and male else "female" if female else "male"
    return "neutral" if any(word in NEUTRAL for word in words) else "unknown"


def references(shared: Path) -> list[str]:
    text = (shared / "data" / "winomt" / "en.txt").read_text(encoding="utf-8")
    return [line.split("\t")[2] for line in text.splitlines()]


def mutated(sentence: str, rng: random.Random) -> str:
    """The sentence with pieces put in, glued, taken out, in capitals, behind a prompt."""
    words = sentence.split()
    for _ in range(rng.randint(0, 3)):
        words.insert(rng.randint(0, len(words)), rng.choice(PIECES))
    if rng.random() < 0.3:
        words = [word for word in words if rng.random() < 0.6]
    text = "".join(word + (rng.choice(GLUE) if rng.random() < 0.3 else " ") for word in words)
    text = rng.choice((str, str, str.upper, str.title))(text)
    prompts = ("", "", "Turkish: o geldi English: ", "ENGLISH:", "English: he English: ", "Her English:")
    return rng.choice(prompts) + text


def test_all_references_are_judged_as_another_implementation_does(shared: Path) -> None:
    sentences = references(shared)
    found = [pronoun_gender(sentence).gender for sentence in sentences]
    assert found == [independent(sentence) for sentence in sentences]
    assert Counter(found) == {"male": 1826, "female": 1820, "neutral": 240, "unknown": 2}


def test_a_thousand_mutations_are_judged_as_another_implementation_does(shared: Path) -> None:
    rng = random.Random(17)
    sentences = references(shared)
    texts = [mutated(rng.choice(sentences), rng) for _ in range(1_000)]
    expected = [independent(text) for text in texts]
    assert [pronoun_gender(text).gender for text in texts] == expected
    assert min(Counter(expected).values()) >= 40  # the mutations reach every class


@pytest.mark.parametrize(
    ("text", "gender", "kind"),
    [
        ("", "unknown", "empty"),
        (" \n\t", "unknown", "empty"),
        ("The nurse was tired.", "unknown", "no pronoun"),
        ("12 34 !!", "unknown", "no pronoun"),
        ("Медсестра устала.", "unknown", "another script"),
        ("护士累了", "unknown", "another script"),
        ("She helped him.", "unknown", "both genders"),
        ("They helped her.", "female", "female"),
        ("They were tired.", "neutral", "neutral"),
        ("Hemşire yorgundu.", "unknown", "no pronoun"),
        ("Медсестра: she", "female", "female"),
        ("theirs", "unknown", "no pronoun"),
        ("shepherd, hero, others", "unknown", "no pronoun"),
        ("HE!", "male", "male"),
    ],
)
def test_every_text_is_counted_as_what_it_is(text: str, gender: str, kind: str) -> None:
    found = pronoun_gender(text)
    assert (found.gender, found.kind) == (gender, kind)
    assert kind in KINDS


def test_a_repeated_prompt_is_said_and_read_as_the_paper_reads_it() -> None:
    whole = pronoun_gender("Turkish: O geç kaldı. English: She is late. Turkish: O geldi. English: He came.")
    assert (whole.gender, whole.kind, whole.repeats) == ("unknown", "both genders", True)
    assert not pronoun_gender("Turkish: O geç kaldı. English: She is late.").repeats


def test_another_language_is_word_lists() -> None:
    french = lexicon_from({"male": ["Il", "lui"], "female": ["elle"]}, "french:", "finnish:")
    assert pronoun_gender("French: Elle est là.", french).gender == "female"
    assert pronoun_gender("Il dit qu'elle est là.", french).kind == "both genders"
    assert pronoun_gender("She is here.", french).gender == "unknown"
    russian = lexicon_from({"male": ["он"], "female": ["она"]}, "russian:", "turkish:", "CYRILLIC")
    assert pronoun_gender("Медсестра устала.", russian).kind == "no pronoun"
    assert pronoun_gender("The nurse.", russian).kind == "another script"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("he she", "option pronouns='he she': expected"),
        ({"male": ["he"]}, "option pronouns="),
        ({"male": ["he"], "female": []}, "option pronouns: female=[]: expected"),
        ({"male": ["he"], "female": "she"}, "option pronouns: female='she': expected"),
        ({"male": ["he"], "female": ["she", ""]}, "option pronouns: female="),
        ({"male": ["they"], "female": ["She", "They"]}, "'They' is both male and female"),
        ({"male": ["he"], "female": ["she"], "unknown": ["x"]}, "option pronouns="),
    ],
)
def test_word_lists_of_another_form_are_refused(words: object, said: str) -> None:
    with pytest.raises(GroupgapError, match="option pronouns") as error:
        lexicon_from(words, "a:", "b:")
    assert said in str(error.value)


def test_the_paper_leaves_out_two_forms_and_so_do_we() -> None:
    assert {"theirs", "themself"} & frozenset().union(*ENGLISH.words.values()) == set()
