"""Loaders of Measuring Hate Speech (UC Berkeley D-Lab): 39,565 comments, five axes of targeted identities.

Kennedy et al., arXiv:2009.10277; Sachdeva et al., NLPerspectives 2022. Licence: CC BY 4.0. Labels, groups and
deduplication follow the protocol of arXiv:2405.17512 ("On Fairness of Low-Rank Adaptation of Large Models").
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from ...errors import GroupgapError
from ..columns import boolean_column, number_column, text_column
from ..rows import Rows, number_copies
from ..sources import Dataset, Table, load

DATASET = Dataset(
    name="dlab",
    hub="ucberkeley-dlab/measuring-hate-speech",
    # From the hub's list of commits: the one after the parquet file of January 2022.
    revision="6af514edf250926f59c8ec00af96cdbffd3602a6",
    hub_files=(("measuring-hate-speech.parquet",), ("default/train/0000.parquet",)),
    licence="CC-BY-4.0",
    url="https://huggingface.co/datasets/ucberkeley-dlab/measuring-hate-speech",
    folders=("measuring-hate-speech",),
)
LOCAL_FILES = (
    ("measuring-hate-speech.parquet",),
    ("measuring-hate-speech.csv",),
    ("default/train/0000.parquet",),
    ("sample_full_schema.csv",),
)
GROUPS: dict[str, tuple[str, ...]] = {
    "religion": ("atheist", "buddhist", "christian", "hindu", "jewish", "mormon", "muslim", "other"),
    "race": (
        "asian",
        "black",
        "latinx",
        "native_american",
        "middle_eastern",
        "pacific_islander",
        "white",
        "other",
    ),
    "gender": (
        "men",
        "non_binary",
        "transgender_men",
        "transgender_unspecified",
        "transgender_women",
        "women",
        "other",
    ),
    "sexuality": ("bisexual", "gay", "lesbian", "straight", "other"),
    "age": ("children", "teenagers", "young_adults", "middle_aged", "seniors", "other"),
}
THRESHOLD = 0.5
FULL_ANNOTATIONS = 135_556
FULL_COMMENTS, FULL_POSITIVES = 39_565, 10_354
# Comments and hateful comments of each axis in the full file, first annotator's groups (protocol of arXiv:2405.17512).
FULL_FIRST = {
    "race": (11_670, 2_954),
    "religion": (6_081, 1_303),
    "age": (957, 201),
    "gender": (13_976, 4_129),
    "sexuality": (7_297, 2_064),
}
FULL_MAJORITY = {"race": 10_325, "religion": 5_688, "gender": 12_828, "sexuality": 6_419, "age": 676}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Aggregation:
    """How the annotators of a comment decide whom it targets.

    Attributes:
        name: as given by the user.
        first: True: the first annotator in file order decides alone.
        least: the share of annotators that is needed; exactly this share is enough only where ``strict`` is False.
        strict: whether the share must be exceeded.
    """

    name: str
    first: bool = False
    least: Fraction = Fraction(0)
    strict: bool = True

    @classmethod
    def parse(cls, given: object) -> Aggregation:
        """Read the option ``aggregation``."""
        named = {
            "first_annotator": cls("first_annotator", first=True),
            "majority": cls("majority", least=Fraction(1, 2)),
            "any": cls("any"),
        }
        if isinstance(given, str) and given in named:
            return named[given]
        share = re.fullmatch(r"mean>=(\d*\.?\d+)", str(given).replace(" ", ""))
        if share and 0 < Fraction(share[1]) <= 1:
            return cls(f"mean>={share[1]}", least=Fraction(share[1]), strict=False)
        raise GroupgapError(
            f"option aggregation={given!r}: expected first_annotator, majority, any, or mean>=T with 0 < T <= 1"
        )

    def decide(self, votes: np.ndarray, annotators: np.ndarray) -> np.ndarray:
        """Which comments are members, from counts of votes and of annotators (whole numbers, compared exactly)."""
        share, need = votes * self.least.denominator, annotators * self.least.numerator
        return share > need if self.strict else share >= need


def religion(**options: object) -> Rows:
    """Comments that target a religion."""
    return _axis("religion", **options)


def race(**options: object) -> Rows:
    """Comments that target a race or ethnicity."""
    return _axis("race", **options)


def gender(**options: object) -> Rows:
    """Comments that target a gender."""
    return _axis("gender", **options)


def sexuality(**options: object) -> Rows:
    """Comments that target a sexual orientation."""
    return _axis("sexuality", **options)


def age(**options: object) -> Rows:
    """Comments that target an age group."""
    return _axis("age", **options)


def all_axes(aggregation: object = "first_annotator", dataset_revision: object = None, **_: object) -> Rows:
    """All comments, with the groups of all five axes."""
    table = load(DATASET, LOCAL_FILES, dataset_revision)
    return _rows(table, tuple(GROUPS), Aggregation.parse(aggregation), keep=None)


def _axis(axis: str, aggregation: object = "first_annotator", dataset_revision: object = None, **_: object) -> Rows:
    table = load(DATASET, LOCAL_FILES, dataset_revision)
    return _rows(table, (axis,), Aggregation.parse(aggregation), keep=axis)


def _rows(table: Table, axes: tuple[str, ...], aggregation: Aggregation, keep: str | None) -> Rows:
    frame, file = table.frame, " + ".join(table.files)
    texts = text_column(frame, "text", file)
    comment, first = _comments(texts)
    columns = {(axis, group): f"target_{axis}_{group}" for axis in axes for group in GROUPS[axis]}
    member = {key: _members(frame, column, file, comment, first, aggregation) for key, column in columns.items()}
    labels = number_column(frame, "hate_speech_score", file)[first] > THRESHOLD
    kept = np.arange(len(first))
    if keep is not None:
        kept = np.flatnonzero(_members(frame, f"target_{keep}", file, comment, first, aggregation))
    comment_ids = text_column(frame, "comment_id", file)
    ids = number_copies(comment_ids[row] for row in first)
    documents = [
        {
            "id": ids[place],
            "text": texts[first[place]],
            "label": int(labels[place]),
            **{axis: [group for group in GROUPS[axis] if member[axis, group][place]] for axis in axes},
        }
        for place in kept
    ]
    counts = {
        "rows": len(documents),
        "positives": sum(document["label"] for document in documents),
        "annotation_rows": len(frame),
        "comments": len(first),
        "aggregation": aggregation.name,
        "complete": len(frame) == FULL_ANNOTATIONS,
    }
    _check_sizes(counts, keep, aggregation, file)
    return Rows(documents=documents, origin={**table.origin, **counts})


def _comments(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The comment number of each annotation row, and the first row of each comment (``drop_duplicates`` on text)."""
    codes, _ = pd.factorize(np.array(texts, dtype=object))
    _, first = np.unique(codes, return_index=True)
    return codes, first


def _members(
    frame: pd.DataFrame, column: str, file: str, comment: np.ndarray, first: np.ndarray, aggregation: Aggregation
) -> np.ndarray:
    """Whether each comment is flagged in a ``target_*`` column, (comments,) bool."""
    flags = boolean_column(frame, column, file)
    if aggregation.first:
        return flags[first]
    annotators = np.bincount(comment, minlength=len(first))
    votes = np.bincount(comment[flags], minlength=len(first))
    return aggregation.decide(votes, annotators)


def _check_sizes(counts: dict[str, object], axis: str | None, aggregation: Aggregation, file: str) -> None:
    """A complete file must give the published sizes; a smaller one is a sample, and said to be."""
    if not counts["complete"]:
        log.warning("%s: a sample, %s of %s annotation rows", file, counts["annotation_rows"], FULL_ANNOTATIONS)
        return
    measured: dict[str, object] = {"comments": counts["comments"]}
    expected: dict[str, object] = {"comments": FULL_COMMENTS}
    if axis is None:
        measured["positives"], expected["positives"] = counts["positives"], FULL_POSITIVES
    elif aggregation.first:
        measured["rows"], measured["positives"] = counts["rows"], counts["positives"]
        expected["rows"], expected["positives"] = FULL_FIRST[axis]
    elif aggregation.name == "majority":
        measured["rows"], expected["rows"] = counts["rows"], FULL_MAJORITY[axis]
    if measured != expected:
        raise GroupgapError(
            f"{file}: has the full data's {FULL_ANNOTATIONS} annotation rows, but gives {measured} where {expected} is "
            f"published (axis {axis or 'all'}, aggregation {aggregation.name}); fetch it again from {DATASET.url}"
        )
