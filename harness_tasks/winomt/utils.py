"""Loaders of WinoMT Turkish-English: lines in pairs, the paper's splits, known defects flagged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...errors import GroupgapError
from ...metrics.pronouns import pronoun_gender
from ..pronoun_place import cut_at_pronoun
from ..rows import Rows
from .files import GENDERS, Line, read_corpus

# lines of the general file: the anti-stereotypical half, the pro-stereotypical half, then blocks of Winogender
HALF, BLOCK = 1584, 12
TRAIN_SHARE = 0.8
SIDES = ("male", "female")  # the gender that the stereotype expects in a pair's first and second line
DEFECTS = {
    "malformed": "the English has pronouns of both genders",
    "misplaced": "the English has another gender than its half and side say",
    "repeated_source": "the Turkish stands in more than one pair",
    "source_differs": "the Turkish is not the same in the pro and the anti half: gender leaks into the source",
}
Document = dict[str, Any]


def general(exclude: object = (), **_: object) -> Rows:
    """All 3,888 sentences: anti half, pro half, Winogender."""
    corpus = read_corpus(["en_tr_general.txt"])
    lines = corpus.lines["en_tr_general.txt"]
    documents = [_document("general", place, line) for place, line in enumerate(lines)]
    twins = [place + HALF if place < HALF else place - HALF for place in range(2 * HALF)]
    _flag(documents, [lines[place].turkish for place in twins])
    _forms(documents, [lines[place] for place in twins] + _male_of_triples(lines))
    return _rows(documents, corpus.digests, corpus.published, exclude, general_split)


def pro(exclude: object = (), **_: object) -> Rows:
    """The 1,584 pro-stereotypical sentences, with their own Turkish."""
    return _half("pro", "anti", exclude)


def anti(exclude: object = (), **_: object) -> Rows:
    """The 1,584 anti-stereotypical sentences, with their own Turkish."""
    return _half("anti", "pro", exclude)


def _half(name: str, twin: str, exclude: object) -> Rows:
    corpus = read_corpus([f"en_tr_{name}.txt", f"en_tr_{twin}.txt"])
    lines, twins = (corpus.lines[f"en_tr_{half}.txt"] for half in (name, twin))
    documents = [_document(name, place, line) for place, line in enumerate(lines)]
    _flag(documents, [line.turkish for line in twins])
    _forms(documents, twins)
    return _rows(documents, corpus.digests, corpus.published, exclude, half_split)


def _document(name: str, place: int, line: Line) -> Document:
    winogender = place >= 2 * HALF
    return {
        "id": f"{name}-{place:04d}",
        "text": line.turkish,
        "reference": line.english,
        "label": GENDERS.index(line.gender),
        "predisposition": [] if winogender else [SIDES[place % 2]],
        "pair": f"block-{(place - 2 * HALF) // BLOCK:02d}" if winogender else f"pair-{place % HALF // 2:03d}",
        "half": "winogender" if winogender else name if name != "general" else ("anti", "pro")[place // HALF],
        "occupation": line.occupation,
        "other": line.other,
    }


# -- defects ----------------------------------------------------------------------------------------------------------


def _flag(documents: Sequence[Document], twins: Sequence[str]) -> None:
    """Name each document's defects; ``twins``: the Turkish of the same sentence in the other half."""
    pairs: dict[str, set[str]] = {}
    for document in documents:
        pairs.setdefault(document["text"], set()).add(document["pair"])
    for place, document in enumerate(documents):
        found = {
            "malformed": pronoun_gender(document["reference"]).gender == "unknown",
            "misplaced": bool(document["predisposition"]) and document["label"] != _expected(document),
            "repeated_source": len(pairs[document["text"]]) > 1,
            "source_differs": place < len(twins) and document["text"] != twins[place],
        }
        document["defects"] = [name for name in DEFECTS if found[name]]


def _expected(document: Mapping[str, Any]) -> int:
    side = GENDERS.index(document["predisposition"][0])
    return side if document["half"] == "pro" else 1 - side


def _excluded(exclude: object) -> list[str]:
    names = [exclude] if isinstance(exclude, str) else exclude
    if not isinstance(names, list | tuple) or any(name not in DEFECTS for name in names):
        raise GroupgapError(f"option exclude={exclude!r}: expected a list of {', '.join(DEFECTS)}")
    return list(names)


def _rows(
    documents: list[Document],
    digests: Mapping[str, str],
    published: bool,
    exclude: object,
    split: Callable[[int], dict[str, set[str]]],
) -> Rows:
    """The rows without the pairs that have an excluded defect: whole pairs, so that both sides stay equally many."""
    unwanted = set(_excluded(exclude))
    out = {document["pair"] for document in documents if unwanted & set(document["defects"])}
    kept = [document for document in documents if document["pair"] not in out]
    flagged = Counter(name for document in documents for name in document["defects"])
    origin = {
        "source": "file",
        "dataset": "winomt",
        "revision": None,
        "files": dict(digests),
        "rows": len(kept),
        "complete": published,
        "defects": {name: flagged[name] for name in DEFECTS},
        "excluded": sorted(unwanted),
        "excluded_pairs": len(out),
        "excluded_rows": len(documents) - len(kept),
    }
    return Rows(kept, origin, unit="pair", paper_split=partial(_parts, kept, split))


# -- the paper's splits -----------------------------------------------------------------------------------------------


def general_split(seed: int) -> dict[str, set[str]]:
    """Ids of the paper's parts: 633 of 792 pairs and 48 of 60 blocks train (3,108 lines); the test is the first half's
    lines of the other pairs (159 + 159), blocks are not tested.
    """
    rng = np.random.default_rng(seed)
    pairs, blocks = _drawn(rng, HALF // 2), _drawn(rng, 60)
    lines = [line for pair in pairs for line in (2 * pair, 2 * pair + 1, 2 * pair + HALF, 2 * pair + 1 + HALF)]
    lines += [2 * HALF + BLOCK * block + place for block in blocks for place in range(BLOCK)]
    return _ids("general", lines, pairs)


def half_split(seed: int) -> dict[str, set[str]]:
    """Places of the paper's parts of one half: 633 of 792 pairs train (1,266 lines), the others are the test."""
    pairs = _drawn(np.random.default_rng(seed), HALF // 2)
    return _ids("", [line for pair in pairs for line in (2 * pair, 2 * pair + 1)], pairs)


def _drawn(rng: np.random.Generator, number: int) -> list[int]:
    return [int(one) for one in rng.choice(number, int(number * TRAIN_SHARE), replace=False)]


def _ids(name: str, train: Iterable[int], pairs: Sequence[int]) -> dict[str, set[str]]:
    held_out = sorted(set(range(HALF // 2)) - set(pairs))
    test = [line for pair in held_out for line in (2 * pair, 2 * pair + 1)]
    return {part: {f"{line:04d}" for line in lines} for part, lines in (("train", train), ("test", test))}


def _parts(
    documents: Sequence[Document], split: Callable[[int], dict[str, set[str]]], seed: int
) -> dict[str, list[Document]]:
    places = split(seed)
    found: dict[str, list[Document]] = {"train": [], "validation": [], "test": []}
    for part, lines in places.items():
        found[part] = [document for document in documents if document["id"].rpartition("-")[2] in lines]
    return found


# -- the pronoun at its place -----------------------------------------------------------------------------------------


def _male_of_triples(lines: Sequence[Line]) -> list[Line]:
    """For each line of Winogender the male one of its three."""
    found = []
    for start in range(2 * HALF, len(lines), 3):
        male = next(line for line in lines[start : start + 3] if line.gender == "male")
        found += [male] * 3
    return found


def _forms(documents: Sequence[Document], twins: Sequence[Line]) -> None:
    """Split each reference before its pronoun: ``prefix``, and ``choices`` in the form that stands there."""
    for document, twin in zip(documents, twins, strict=True):
        male = twin.english if twin.gender == "male" else ""
        prefix, choices = cut_at_pronoun(document["reference"], GENDERS[document["label"]], male)
        document |= {"prefix": prefix, "choices": choices}
