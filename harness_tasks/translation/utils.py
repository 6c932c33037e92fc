"""Loader of the user's own sentences: a source without gender, a reference, an occupation and its stereotype."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import GroupgapError
from ...metrics.generations import PronounJudge
from ...metrics.pronouns import CLASSES
from ..columns import is_missing, need_columns, text_column
from ..rows import Rows, number_copies, text_id
from ..sources import parse

STEREOTYPES = ("male", "female")
EXAMPLE = (
    '--metadata \'{"file": "my.tsv", "source_language": "Turkish", "target_language": "English"}\' with columns '
    "source, reference, occupation, stereotype"
)


@dataclass(frozen=True)
class TranslationOptions:
    """What ``--metadata`` says about the user's sentences.

    Attributes:
        file: a .tsv, .csv, .jsonl or .parquet file.
        source_language: as the prompt says it: "Turkish: ... English:".
        target_language: as the prompt says it.
        source_column: the sentence that is translated.
        reference_column: a right translation.
        occupation_column: the person whose pronoun is asked for, in the target language.
        stereotype_column: the gender that the stereotype expects: male, female, or nothing.
        other_column: the second participant, in the target language.
        pair_column: sentences with one value are one unit; default: each line is its own.
        id_column: stable row ids; default: the hash of source and reference.
        pronouns: {"male": [...], "female": [...], "neutral": [...]} of the target language; default: English.
    """

    file: str
    source_language: str
    target_language: str
    source_column: str = "source"
    reference_column: str = "reference"
    occupation_column: str = "occupation"
    stereotype_column: str = "stereotype"
    other_column: str | None = None
    pair_column: str | None = None
    id_column: str | None = None
    pronouns: Mapping[str, Sequence[str]] | None = None

    @classmethod
    def read(cls, options: Mapping[str, object]) -> TranslationOptions:
        """Pick our options out of all that lm-eval passes.

        Raises:
            GroupgapError: a missing or a wrongly typed one.
        """
        given: dict[str, Any] = {field.name: options[field.name] for field in fields(cls) if field.name in options}
        for name in ("file", "source_language", "target_language"):
            if not given.get(name):
                raise GroupgapError(f"translation_fair: option {name!r} is missing: {EXAMPLE}")
        for name, value in given.items():
            if name != "pronouns" and value is not None and (not isinstance(value, str) or not value):
                raise GroupgapError(f"translation_fair: option {name}={value!r}: expected a string")
        if given["target_language"].lower() != "english" and given.get("pronouns") is None:
            raise GroupgapError(
                f"translation_fair: the pronouns of {given['target_language']!r} are not known: give them as option "
                '\'pronouns\': {"male": ["er"], "female": ["sie"]}'
            )
        return cls(**given)


def own_sentences(**options: object) -> Rows:
    """The rows of the user's file, with the judge that reads their language.

    Raises:
        GroupgapError: whatever is wrong with the options or the file, with the column and the row.
    """
    wanted = TranslationOptions.read(options)
    frame, file, digest = _open(wanted)
    told = {
        "name": "pronoun",
        **{name: name for name in ("label", "reference", "occupation", "other")},
        "marker": f"{wanted.target_language.lower()}:",
        "prompt": f"{wanted.source_language.lower()}:",
        "pronouns": wanted.pronouns,
    }
    documents = _documents(frame, wanted, file, PronounJudge.from_metadata(told))
    origin = {"source": "file", "dataset": file, "revision": None, "files": {file: digest}, "rows": len(documents)}
    return Rows(documents, origin, {"judge": told}, unit="pair")


def _open(wanted: TranslationOptions) -> tuple[pd.DataFrame, str, str]:
    path = Path(wanted.file).expanduser()
    if not path.is_file():
        raise GroupgapError(f"translation_fair: {wanted.file}: no such file (relative paths start at {Path.cwd()})")
    data = path.read_bytes()
    frame = parse(data, path.name)
    if frame.empty:
        raise GroupgapError(f"{path.name}: holds no rows")
    optional = [name for name in (wanted.other_column, wanted.pair_column, wanted.id_column) if name]
    columns = [wanted.source_column, wanted.reference_column, wanted.occupation_column, wanted.stereotype_column]
    need_columns(frame, [*columns, *optional], path.name)
    return frame, path.name, hashlib.sha256(data).hexdigest()


def _documents(frame: pd.DataFrame, wanted: TranslationOptions, file: str, judge: PronounJudge) -> list[dict[str, Any]]:
    sources = text_column(frame, wanted.source_column, file)
    references = text_column(frame, wanted.reference_column, file)
    sides = _stereotypes(frame, wanted.stereotype_column, file)
    both = zip(sources, references, strict=True)
    ids = text_column(frame, wanted.id_column, file) if wanted.id_column else [text_id("\n".join(one)) for one in both]
    occupations, others, pairs = (
        _words(frame, column) for column in (wanted.occupation_column, wanted.other_column, wanted.pair_column)
    )
    return [
        {
            "id": row_id,
            "text": sources[row],
            "prompt": f"{wanted.source_language}: {sources[row]} {wanted.target_language}:",
            "reference": references[row],
            "label": CLASSES.index(judge.verdict(references[row], name="pronoun").gender),
            "predisposition": sides[row],
            "occupation": occupations[row],
            "other": others[row],
            "pair": pairs[row] or row_id,
        }
        for row, row_id in enumerate(number_copies(ids))
    ]


def _stereotypes(frame: pd.DataFrame, column: str, file: str) -> list[list[str]]:
    found = []
    for row, cell in enumerate(frame[column].tolist(), start=1):
        word = "" if is_missing(cell) else str(cell).strip().lower()
        if word and word not in STEREOTYPES:
            raise GroupgapError(
                f"{file}: column {column!r}, data row {row}: {str(cell)[:40]!r}; expected male, female or nothing"
            )
        found.append([word] if word else [])
    if not any(found):
        raise GroupgapError(f"{file}: column {column!r} names no stereotype in any row; expected male or female")
    return found


def _words(frame: pd.DataFrame, column: str | None) -> list[str]:
    if column is None:
        return [""] * len(frame)
    return ["" if is_missing(cell) else str(cell) for cell in frame[column].tolist()]
