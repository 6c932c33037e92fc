"""Loaders of HateXplain: posts of Twitter and Gab, three annotators each, with the communities they target.

Mathew et al., "HateXplain", AAAI 2021. Licence: MIT. Two forms of the data are read: with annotators (upstream's
``dataset.json``, the hub's parquet conversion, or csv files with a column ``annotators``), where groups overlap, and a
flat csv with one group a post.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import GroupgapError
from ..columns import need_columns, text_column
from ..rows import Rows, number_copies, text_id
from ..sources import CONVERTED, DATA_VARIABLE, Dataset, Table, load, local_files

DATASET = Dataset(
    name="hatexplain",
    hub="Hate-speech-CNERG/hatexplain",
    revision=CONVERTED,  # the hub keeps a loading script on its main branch, which is never run
    hub_files=(tuple(f"plain_text/{part}/0000.parquet" for part in ("train", "validation", "test")),),
    licence="MIT",
    url="https://github.com/hate-alert/HateXplain",
    folders=("HateXplain",),
)
FLAT_FILES = (("final_hateXplain.csv",),)
ANNOTATOR_FILES = (
    ("dataset.json",),
    ("Data/dataset.json",),
    tuple(f"plain_text/{part}/0000.parquet" for part in ("train", "validation", "test")),
    ("official_val_3annotators.csv", "official_test_3annotators.csv"),
)
FILE_CHOICES = {
    "auto": (*ANNOTATOR_FILES[:-1], *FLAT_FILES, ANNOTATOR_FILES[-1]),  # complete forms before the part with annotators
    "annotators": ANNOTATOR_FILES,
    "flat": FLAT_FILES,
}
AXES: dict[str, tuple[str, ...]] = {
    "religion": ("Buddhism", "Christian", "Hindu", "Islam", "Jewish"),
    "race": ("African", "Arab", "Asian", "Caucasian", "Hispanic", "Indian", "Indigenous"),
    "gender": ("Men", "Women"),
    "orientation": ("Asexual", "Bisexual", "Heterosexual", "Homosexual"),
}
FLAT_COLUMNS = {"religion": "Religion", "race": "Race", "gender": "Gender", "orientation": "Sexual_Orientation"}
NOT_GROUPS = frozenset({"None", "Nonreligious", "No_race", "No_gender", "No_orientation"})
LABELS = ("hatespeech", "normal", "offensive")  # the hub's class order: files with numbers use these positions
POSITIVES = {"hatespeech": ("hatespeech",), "toxic": ("hatespeech", "offensive")}
QUESTIONS = {
    "hatespeech": "Is this post hate speech?",
    "toxic": "Is this post hate speech or offensive?",
}
DECIDED_POSTS = 19_229  # posts of the official split (post_id_divisions.json): those with a majority label
CELL_LIMIT = 50_000


def religion(**options: object) -> Rows:
    """Posts that target a religion."""
    return _axis("religion", **options)


def race(**options: object) -> Rows:
    """Posts that target a race or ethnicity."""
    return _axis("race", **options)


def gender(**options: object) -> Rows:
    """Posts that target a gender."""
    return _axis("gender", **options)


def orientation(**options: object) -> Rows:
    """Posts that target a sexual orientation."""
    return _axis("orientation", **options)


def _axis(
    axis: str,
    positive: object = None,
    hatexplain_positive: object = None,
    hatexplain_files: object = "auto",
    target_votes: object = 2,
    dataset_revision: object = None,
    **_: object,
) -> Rows:
    """The posts with at least one group of an axis.

    Args:
        axis: a key of :data:`AXES`.
        positive: "hatespeech" (default), or "toxic": offensive posts are positive, too.
        hatexplain_positive: the same under a name that no other task uses; it wins.
        hatexplain_files: "annotators" (groups overlap), "flat" (one group a post), or "auto": the complete data that is
            here.
        target_votes: how many annotators must name a group (annotator files only).
        dataset_revision: a hub revision to read instead of the parquet conversion.
    """
    meaning = hatexplain_positive or positive or "hatespeech"
    if meaning not in POSITIVES:
        raise GroupgapError(f"option hatexplain_positive={meaning!r}: expected one of {', '.join(POSITIVES)}")
    if not isinstance(target_votes, int) or isinstance(target_votes, bool) or not 1 <= target_votes <= 3:
        raise GroupgapError(f"option target_votes={target_votes!r}: expected 1, 2 or 3 (of three annotators)")
    table = _table(hatexplain_files, dataset_revision)
    posts, counts = _flat(table, axis) if "comment" in table.frame.columns else _annotated(table, axis, target_votes)
    question = QUESTIONS[str(meaning)]
    documents = [
        {**post, "label": int(post["label"] in POSITIVES[str(meaning)]), "class": post["label"], "question": question}
        for post in posts
        if post[axis]
    ]
    counts.update(rows=len(documents), positives=sum(document["label"] for document in documents), positive=meaning)
    return Rows(documents=documents, origin={**table.origin, **counts})


def _table(files: object, dataset_revision: object) -> Table:
    if files not in FILE_CHOICES:
        raise GroupgapError(f"option hatexplain_files={files!r}: expected one of {', '.join(FILE_CHOICES)}")
    if files == "flat" and (dataset_revision or local_files(DATASET, FLAT_FILES) is None):
        raise GroupgapError(
            f"option hatexplain_files=flat: expected {FLAT_FILES[0][0]} in {DATASET.name}/ of ${DATA_VARIABLE} "
            "(the hub has no flat form); use hatexplain_files=annotators"
        )
    return load(DATASET, FILE_CHOICES[str(files)], dataset_revision)


# -- one group a post -------------------------------------------------------------------------------------------------


def _flat(table: Table, axis: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    frame, file = table.frame, table.files[0]
    need_columns(frame, ("comment", "label", *FLAT_COLUMNS.values()), file)
    texts = text_column(frame, "comment", file)
    labels = text_column(frame, "label", file)
    _known(labels, LABELS, "label", file)
    named = text_column(frame, FLAT_COLUMNS[axis], file)
    _known(named, (*AXES[axis], *NOT_GROUPS), "group", file)
    posts = [
        {"id": row_id, "text": text, "label": label, axis: [group] if group in AXES[axis] else []}
        for row_id, text, label, group in zip(number_copies(map(text_id, texts)), texts, labels, named, strict=True)
    ]
    return posts, {"form": "flat: one group a post", "posts": len(posts), "complete": len(posts) >= DECIDED_POSTS}


def _known(values: Iterable[str], allowed: Iterable[str], what: str, file: str) -> None:
    unknown = sorted(set(values) - set(allowed))
    if unknown:
        raise GroupgapError(f"{file}: unknown {what} {unknown[0]!r}; expected one of {', '.join(sorted(allowed))}")


# -- three annotators a post ------------------------------------------------------------------------------------------


def _annotated(table: Table, axis: str, target_votes: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    frame, file = table.frame, " + ".join(table.files)
    id_column = "post_id" if "post_id" in frame.columns else "id"
    need_columns(frame, (id_column, "annotators", "post_tokens"), file)
    posts, undecided = [], 0
    cells = zip(text_column(frame, id_column, file), frame["annotators"], frame["post_tokens"], strict=True)
    for post_id, annotators, tokens in cells:
        labels, targets = _votes(annotators, post_id, file)
        label, times = Counter(labels).most_common(1)[0]
        if 2 * times <= len(labels):
            undecided += 1
            continue
        text = " ".join(str(token) for token in _plain(tokens, post_id, file))
        posts.append({"id": post_id, "text": text, "label": label, axis: _groups(targets, axis, target_votes)})
    counts = {
        "form": "annotators: groups overlap",
        "posts": len(frame),
        "dropped_undecided": undecided,
        "target_votes": target_votes,
        "complete": len(posts) >= DECIDED_POSTS,
    }
    return posts, counts


def _groups(targets: Iterable[Iterable[str]], axis: str, target_votes: int) -> list[str]:
    """The groups of an axis that enough annotators name; an annotator counts once for a group."""
    votes = Counter(name for named in targets for name in set(named))
    return [group for group in AXES[axis] if votes[group] >= target_votes]


def _votes(annotators: object, post_id: str, file: str) -> tuple[list[str], list[list[str]]]:
    """Each annotator's label and list of targets, from any of the forms in which they are published."""
    loaded = _plain(annotators, post_id, file)
    try:
        if isinstance(loaded, Mapping):
            labels, targets = list(loaded["label"]), [list(named) for named in loaded["target"]]
        else:
            labels, targets = [one["label"] for one in loaded], [list(one["target"]) for one in loaded]
        names = [LABELS[int(label)] if not isinstance(label, str) else label.lower() for label in labels]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise GroupgapError(f"{file}: post {post_id}: annotators in an unknown form; fetch the file again") from error
    if not names or len(names) != len(targets):
        raise GroupgapError(f"{file}: post {post_id}: {len(names)} labels and {len(targets)} lists of targets")
    _known(names, LABELS, "label", file)
    return names, [[str(name) for name in named] for named in targets]


def _plain(cell: object, post_id: str, file: str) -> Any:  # a nested list or dict
    """A nested cell; where it is written out as text (csv), its literal, of bounded size. Nothing is evaluated."""
    if not isinstance(cell, str):
        return cell
    try:
        if len(cell) > CELL_LIMIT:
            raise ValueError(f"{len(cell)} characters")
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise GroupgapError(f"{file}: post {post_id}: a cell is no plain list ({type(error).__name__})") from error
