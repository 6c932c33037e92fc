"""Loader of Winogender: sixty occupations in sentences whose pronoun is theirs, with how many women they have.

Rudinger, Naradowsky, Leonard, Van Durme, "Gender Bias in Coreference Resolution", NAACL 2018. Licence: MIT.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ...errors import GroupgapError
from ..columns import need_columns, number_column, text_column
from ..pronoun_place import cut_at_pronoun
from ..repositories import RepositoryFile, read_file
from ..rows import Rows
from ..sources import parse

_UPSTREAM = partial(
    RepositoryFile,
    folder="data",
    url="https://github.com/rudinger/winogender-schemas",
    commit="1c7f8b481ad8a234b41e9f76a424d6e856e13f7f",
    licence="MIT",
)
SENTENCES = _UPSTREAM("all_sentences.tsv", sha256="bd69da16bf228cb8df63fd0843aec2d8b5c36a7f21bf8c7b168bcc83932556c8")
STATISTICS = _UPSTREAM(
    "occupations-stats.tsv", sha256="3f7f37c16381a70571356982ea7fe613ac700ad04a6d3b19b9f2be18248df567"
)
# what an option calls a column, and the column
SHARES = {"bls": "bls_pct_female", "bergsma": "bergsma_pct_female"}
GENDERS = ("male", "female", "neutral")
OF_OCCUPATION = "0"


def winogender(share: object = "bls", **_: object) -> Rows:
    """Each sentence whose pronoun is the occupation's: 60 occupations, each beside a participant and beside someone.

    Args:
        share: which share of women: ``"bls"`` (US Bureau of Labor Statistics, 2015/16) or ``"bergsma"`` (in text,
            Bergsma & Lin 2006).

    Raises:
        GroupgapError: an unknown share, no data, or a file in another schema.
    """
    if share not in SHARES:
        raise GroupgapError(f"option share={share!r}: expected one of {', '.join(SHARES)}")
    sentences, first = read_file("winogender", SENTENCES, ("winogender-schemas",))
    statistics, second = read_file("winogender", STATISTICS, ("winogender-schemas",))
    women = _women(statistics, SHARES[str(share)])
    documents = list(_documents(sentences, women))
    published = (first, second) == (SENTENCES.sha256, STATISTICS.sha256)
    origin = {
        "source": "file",
        "dataset": "winogender",
        "revision": None,
        "files": {SENTENCES.name: first, STATISTICS.name: second},
        "rows": len(documents),
        "share": share,
        "complete": published,
    }
    return Rows(documents, origin, unit="occupation")


def _women(text: str, column: str) -> Mapping[str, float]:
    """Occupation -> share of women, from 0 to 1."""
    frame = parse(text.encode(), STATISTICS.name)
    names = text_column(frame, "occupation", STATISTICS.name)
    numbers = number_column(frame, column, STATISTICS.name)
    return dict(zip(names, (numbers / 100).tolist(), strict=True))


def _documents(text: str, women: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    frame = parse(text.encode(), SENTENCES.name)
    need_columns(frame, ("sentid", "sentence"), SENTENCES.name)
    for row, (name, sentence) in enumerate(zip(frame["sentid"], frame["sentence"], strict=True), start=1):
        parts = str(name).split(".")
        if len(parts) != 5 or parts[3] not in GENDERS or parts[0] not in women:
            raise GroupgapError(
                f"{SENTENCES.name}, data row {row}: expected a sentid like technician.customer.1.male.txt whose "
                f"occupation {STATISTICS.name} has, but got {name!r:.80}"
            )
        occupation, participant, referent, gender, _ = parts
        if referent != OF_OCCUPATION or gender != "male":
            continue
        prefix, choices = cut_at_pronoun(str(sentence), "male")
        mostly = int(women[occupation] >= 0.5)
        yield {
            "id": f"{occupation}.{participant}",
            "text": prefix,
            "label": mostly,
            "choices": choices,
            "predisposition": [GENDERS[mostly]],
            "occupation": occupation,
            "share_of_women": women[occupation],
        }
