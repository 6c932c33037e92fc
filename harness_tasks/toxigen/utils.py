"""Loader of ToxiGen's human-annotated training portion (8,960 machine-written statements about 13 groups).

Hartvigsen et al., "ToxiGen", ACL 2022. Licence of the data: CDLA-Permissive-2.0.
"""

from __future__ import annotations

import re

import pandas as pd

from ...errors import GroupgapError
from ..columns import need_columns, number_column, text_column
from ..rows import Rows, number_copies, text_id
from ..sources import Dataset, Table, load

DATASET = Dataset(
    name="toxigen_annotated",
    hub="toxigen/toxigen-data",
    # From the hub's list of files at this commit, which shows both.
    revision="ea082a8973a287097b17973343576e0c8da8eb3b",
    hub_files=(("annotated_train.csv",), ("annotated/train-00000-of-00001.parquet",)),
    licence="CDLA-Permissive-2.0",
    url="https://huggingface.co/datasets/toxigen/toxigen-data",
    folders=("toxigen", "toxigen-data"),
)
LOCAL_FILES = (
    ("annotated_train.csv",),
    ("annotated/train-00000-of-00001.parquet",),
    ("train-00000-of-00001.parquet",),
    ("toxigen.csv",),
)
GROUPS = (
    "asian",
    "black",
    "chinese",
    "jewish",
    "latino",
    "lgbtq",
    "mental_dis",
    "mexican",
    "middle_east",
    "muslim",
    "native_american",
    "physical_dis",
    "women",
)
FULL_ROWS = 8960
LABELS = {"human": "toxicity_human", "intent": "label", "lm_eval": "toxicity_ai"}

_LITERAL = re.compile(r"""b(['"])(.*)\1""", re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_SIMPLE = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"\\": b"\\", b"'": b"'", b'"': b'"'}


def toxigen(label: object = "human", dataset_revision: object = None, **_: object) -> Rows:
    """ToxiGen's statements, each about one group.

    Args:
        label: what makes a statement toxic: ``"human"``: ``toxicity_human > 2.5``; ``"intent"``: it was generated from
            hateful prompts (column ``label``); ``"lm_eval"``: the rule of lm-eval's own task, ``toxicity_ai +
            toxicity_human > 5.5``.
        dataset_revision: a hub revision to read instead of the pinned one.

    Raises:
        GroupgapError: an unknown rule, no data, or a file in another schema.
    """
    if label not in LABELS:
        raise GroupgapError(f"option label={label!r}: expected one of {', '.join(LABELS)}")
    table = load(DATASET, LOCAL_FILES, dataset_revision)
    _check(table, str(label))
    frame = table.frame
    texts = [decode_text(text) for text in text_column(frame, "text", table.files[0])]
    ids = number_copies(map(text_id, texts))
    labels = _labels(frame, str(label), table.files[0])
    documents = [
        {"id": row_id, "text": text, "label": toxic, "group": [group], "method": method}
        for row_id, text, toxic, group, method in zip(
            ids, texts, labels, map(str, frame["target_group"]), map(str, frame["actual_method"]), strict=True
        )
    ]
    counts = {"rows": len(documents), "positives": sum(labels), "label": label, "complete": len(documents) == FULL_ROWS}
    return Rows(documents=documents, origin={**table.origin, **counts})


def _check(table: Table, label: str) -> None:
    file = table.files[0]
    if "generation" in table.frame.columns and "toxicity_human" not in table.frame.columns:
        raise GroupgapError(
            f"{file}: this is ToxiGen's generated set (no human labels); "
            f"expected the annotated one, annotated_train.csv of {DATASET.url}"
        )
    if label == "intent" and "label" not in table.frame.columns:
        raise GroupgapError(
            f"{file}: option label=intent needs the column 'label' (generation intent), which this copy lacks; "
            "use label=human"
        )
    need_columns(table.frame, ("text", "target_group", "actual_method", "toxicity_human", LABELS[label]), file)
    unknown = sorted(set(map(str, table.frame["target_group"])) - set(GROUPS))
    if unknown:
        raise GroupgapError(
            f"{file}: unknown target_group {unknown[0]!r}; "
            f"expected the annotated training portion with {', '.join(GROUPS)}"
        )


def _labels(frame: pd.DataFrame, label: str, file: str) -> list[int]:
    if label == "intent":
        strange = set(frame["label"]) - {"hate", "neutral"}
        if strange:
            raise GroupgapError(
                f"{file}: column 'label' holds {sorted(map(str, strange))[0]!r}; expected hate or neutral"
            )
        return [int(value == "hate") for value in frame["label"]]
    human = number_column(frame, "toxicity_human", file)
    toxic = human > 2.5 if label == "human" else human + number_column(frame, "toxicity_ai", file) > 5.5
    return [int(value) for value in toxic]


def decode_text(cell: str) -> str:
    r"""The text of a cell that holds the printed form of Python bytes (``b'...'``); any other cell is the text itself.

    Nothing is evaluated: only the escapes that Python prints for bytes are undone.

    >>> decode_text("b'caf\\xc3\\xa9 isn\\'t'")
    "café isn't"
    >>> decode_text("plain")
    'plain'

    Raises:
        GroupgapError: another escape, or bytes that are not UTF-8.
    """
    literal = _LITERAL.fullmatch(cell)
    if not literal:
        return cell
    try:
        return _ESCAPE.sub(_unescape, literal[2].encode("ascii")).decode("utf-8")
    except (UnicodeError, KeyError) as error:
        raise GroupgapError(
            f"toxigen: a text cell is no valid bytes literal ({type(error).__name__}); fetch the file again"
        ) from error


def _unescape(match: re.Match[bytes]) -> bytes:
    hexadecimal, simple = match[1], match[2]
    return bytes([int(hexadecimal, 16)]) if hexadecimal else _SIMPLE[simple]
