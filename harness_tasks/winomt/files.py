"""The files of WinoMT English-Turkish, read line by line: nothing is dropped, what is odd is flagged.

Stanovsky, Smith, Zettlemoyer, "Evaluating Gender Bias in Machine Translation", ACL 2019 (the English, MIT); Ding et
al., arXiv 2405.17512 (the Turkish, MIT; made by Google Translate).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ...errors import GroupgapError
from ..repositories import RepositoryFile, read_file

SEPARATOR = " ||| "
_UPSTREAM = partial(
    RepositoryFile,
    folder="data/aggregates",
    url="https://github.com/gabrielStanovsky/mt_gender",
    commit="586292861cf2efdda2dec03c69c3408995a8b293",
    licence="MIT",
)
_PAPER = partial(
    RepositoryFile,
    folder="data/mt_gender",
    url="https://github.com/kenziyuliu/lora-fairness",
    commit="6b123d4492838fda5b4f19aa83b2a1838b2e315f",
    licence="MIT",
)
FILES = {
    file.name: file
    for file in (
        _UPSTREAM("en.txt", sha256="11797c54a74876c4ae63d029e88ec35ded8ee335251c51ff861f8790a7e258af"),
        _PAPER("en_tr_general.txt", sha256="a15d094a7073fdea4085095040508945e09778f25386ea048a37e9c5e727c76f"),
        _PAPER("en_tr_pro.txt", sha256="ec6c7fb7d60006f377413d90f1bbc4768c10ccb1fa10d2dac0eb2b9ea62d1402"),
        _PAPER("en_tr_anti.txt", sha256="e34b052df38f980e9feac85b4ff25cb2b24bce6bfc62f9e66c1886a2d1efe72e"),
    )
}
LINES = {"en.txt": 3888, "en_tr_general.txt": 3888, "en_tr_pro.txt": 1584, "en_tr_anti.txt": 1584}
GENDERS = ("male", "female", "neutral")


@dataclass(frozen=True)
class Line:
    """One sentence: English, Turkish, the gender of the person asked about, who they are, and who else is there."""

    english: str
    turkish: str
    gender: str
    occupation: str
    other: str


@dataclass(frozen=True)
class Corpus:
    """The lines of translated files, and what is known of the files."""

    lines: Mapping[str, tuple[Line, ...]]
    digests: Mapping[str, str]

    @property
    def published(self) -> bool:
        """Whether all files are the published ones, byte by byte."""
        return all(digest == FILES[name].sha256 for name, digest in self.digests.items())


def read_corpus(names: Sequence[str]) -> Corpus:
    """Read translated files (``"en_tr_general.txt"``, ...) and what WinoMT says about their sentences.

    The two repositories have other orders of the same sentences, so they are joined by the English text.

    Raises:
        GroupgapError: a file is not there (the message says where to get it), has another number of lines, or a line
            that is no translation or whose English WinoMT does not have.
    """
    texts = {name: _read(name) for name in ("en.txt", *names)}
    known = _annotations(texts["en.txt"][1])
    participants = _participant_pattern([occupation for _, occupation in known.values()])
    lines = {}
    for name in names:
        found = []
        for number, line in enumerate(texts[name][1], start=1):
            english, turkish = _halves(name, number, line)
            if english not in known:
                raise GroupgapError(
                    f"{name}, line {number}: WinoMT's en.txt has no such English sentence: fetch both again"
                )
            gender, occupation = known[english]
            found.append(Line(english, turkish, gender, occupation, _other(participants, english, occupation)))
        lines[name] = tuple(found)
    return Corpus(lines, {name: digest for name, (digest, _) in texts.items()})


def _read(name: str) -> tuple[str, list[str]]:
    """The SHA-256 of a file and its lines."""
    text, digest = read_file("winomt", FILES[name], folders=("mt_gender",))
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if len(lines) != LINES[name]:
        raise GroupgapError(
            f"{name}: {len(lines):,} lines, expected {LINES[name]:,}: the split is by line, so fetch it whole"
        )
    return digest, lines


def _annotations(lines: Sequence[str]) -> dict[str, tuple[str, str]]:
    """English sentence -> gender and occupation of the person asked about."""
    known: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(lines, start=1):
        cells = line.split("\t")
        if len(cells) != 4 or cells[0] not in GENDERS:
            raise GroupgapError(
                f"en.txt, line {number}: expected gender, index, sentence and occupation, separated by tabs"
            )
        known[cells[2]] = (cells[0], cells[3])
    return known


def _halves(name: str, number: int, line: str) -> tuple[str, str]:
    parts = [part.strip() for part in line.split(SEPARATOR.rstrip())]
    if len(parts) != 2 or not all(parts):
        raise GroupgapError(f"{name}, line {number}: no translation; expected 'English{SEPARATOR}Turkish'")
    return parts[0], parts[1]


def _participant_pattern(occupations: Sequence[str]) -> re.Pattern[str]:
    names = sorted({name.lower() for name in occupations}, key=lambda name: (-len(name), name))
    return re.compile(rf"\b({'|'.join(map(re.escape, names))})s?\b", re.IGNORECASE)


def _other(participants: re.Pattern[str], english: str, occupation: str) -> str:
    """The first other participant that a sentence names."""
    there = [name.lower() for name in participants.findall(english)]
    return next((name for name in there if name != occupation.lower()), "")
