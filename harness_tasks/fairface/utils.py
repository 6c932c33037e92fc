"""Loader of FairFace: gender, age or race, by the two of race and gender that are not asked.

Karkkainen, Joo, "FairFace: Face Attribute Dataset for Balanced Race, Gender, and Age for Bias Measurement and
Mitigation", WACV 2021. CC BY 4.0. The labels are annotators' perceptions.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import GroupgapError
from ..columns import need_columns, text_column
from ..image_parquet import class_names, unpack
from ..image_rows import ImageOptions, ImageSource, Labelled, find_set, image_rows
from ..images import image_root
from ..rows import Rows
from ..sources import Dataset, from_hub, parse, revision_of

log = logging.getLogger(__name__)
DATASET = Dataset(
    name="fairface",
    hub="HuggingFaceM4/FairFace",
    revision="54d573cdb8b5af490ba8da9da2799628f6e5c496",
    hub_files=(("0.25/validation-00000-of-00001-951dbd63c8724ee1.parquet",),),
    licence="CC-BY-4.0",
    url="https://github.com/joojs/fairface",
    folders=("FairFace",),
)
HUB_TRAIN = (
    "0.25/train-00000-of-00002-d405faba4f4b9b85.parquet",
    "0.25/train-00001-of-00002-dd3cb68164727418.parquet",
)
HUB_FILES = {
    "validation": DATASET.hub_files[0],
    "train": HUB_TRAIN,
    "both": (*HUB_TRAIN, *DATASET.hub_files[0]),
}
UNPACKED = "fairface-unpacked"
CSV_FILES = {
    "validation": ("fairface_label_val.csv",),
    "train": ("fairface_label_train.csv",),
    "both": ("fairface_label_train.csv", "fairface_label_val.csv"),
}
OWN_CSV = "labels.csv"
FULL_ROWS = {"validation": 10_954, "train": 86_744, "both": 97_698}
GENDERS = ("Male", "Female")
AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
RACES = ("East Asian", "Indian", "Black", "White", "Middle Eastern", "Latino_Hispanic", "Southeast Asian")
ATTRIBUTES: dict[str, tuple[str, ...]] = {"gender": GENDERS, "age": AGES, "race": RACES}
AXES = ("race", "gender")

# Spreadsheets read "3-9" and "10-19" as days: 9-Mar, 3-Sep (where the day comes first), Mar-09, Oct-19, 19-Oct.
_DAY = re.compile(r"0?(\d{1,2})-([a-z]{3})|([a-z]{3})-0?(\d{1,2})")
_DAMAGED = {("9", "mar"): "3-9", ("3", "sep"): "3-9", ("19", "oct"): "10-19"}


@dataclass(frozen=True)
class Face:
    """One labelled face: its image's path, and the position of each attribute in :data:`ATTRIBUTES`."""

    image: str
    values: Mapping[str, int]


@dataclass(frozen=True)
class Faces:
    """Faces of one place.

    Attributes:
        image_set: where the images are.
        where: the files that name them, for messages.
        faces: all of them.
        origin: entries of :attr:`Rows.origin`.
    """

    image_set: str
    where: str
    faces: tuple[Face, ...]
    origin: Mapping[str, Any]


def gender(**options: object) -> Rows:
    """Is this face male or female (as annotated)? By race."""
    return _rows("gender", options)


def age(**options: object) -> Rows:
    """Which of nine age classes? By race and gender."""
    return _rows("age", options)


def race(**options: object) -> Rows:
    """Which of seven races? By gender."""
    return _rows("race", options)


def _rows(label: str, options: Mapping[str, Any]) -> Rows:
    """The faces with one attribute as label and the others among :data:`AXES` as axes.

    Args:
        label: a key of :data:`ATTRIBUTES`.
        options: ``portion``: "validation" (default), "train" or "both"; ``folder``: a subfolder of ``GROUPGAP_DATA``;
            ``dataset_revision``: a hub revision to read; and those of :class:`~..image_rows.ImageOptions`.
    """
    portion = options.get("portion", "validation")
    if portion not in FULL_ROWS:
        raise GroupgapError(f"option portion={portion!r}: expected one of {', '.join(FULL_ROWS)}")
    faces = _faces(str(portion), options)
    complete = len(faces.faces) == FULL_ROWS[str(portion)]
    if not complete:
        log.warning("%s: %s faces of %s", faces.where, len(faces.faces), FULL_ROWS[str(portion)])
    origin = {**faces.origin, "portion": portion, "complete": complete}
    source = ImageSource(faces.image_set, faces.where, origin, options=ImageOptions.read(options))
    return image_rows(source, (_labelled(face, label) for face in faces.faces))


def _labelled(face: Face, label: str) -> Labelled:
    groups = {axis: [ATTRIBUTES[axis][face.values[axis]]] for axis in AXES if axis != label}
    return Labelled(face.image, face.values[label], groups)


def _faces(portion: str, options: Mapping[str, Any]) -> Faces:
    folder, asked = options.get("folder"), options.get("dataset_revision")
    how = f"put FairFace's csv and its images into the folder fairface/ of $GROUPGAP_DATA ({DATASET.url})"
    if not asked:
        try:
            image_set = find_set(folder, (DATASET.name, *DATASET.folders), how)
        except GroupgapError:
            if folder is not None:
                raise
        else:
            return _local(image_set, portion)
    dataset = replace(DATASET, hub_files=(HUB_FILES[portion],))
    files, origin = from_hub(dataset, revision_of(DATASET, asked), [CSV_FILES[portion]])
    return _parquet(files, origin)


# -- a folder ---------------------------------------------------------------------------------------------------------


def _local(image_set: str, portion: str) -> Faces:
    root = image_root(image_set)
    sets = (CSV_FILES[portion], (OWN_CSV,))
    names = next((names for names in sets if all((root / name).is_file() for name in names)), None)
    if names is None:
        files = tuple(sorted(root.glob("*.parquet")))
        if files:
            return _parquet(files, {"source": "file", "dataset": DATASET.name, "revision": None})
        raise GroupgapError(f"{root}: expected {' or '.join(' + '.join(names) for names in sets)}, or parquet files")
    digests, faces, mended = {}, [], 0
    for name in names:
        data = (root / name).read_bytes()
        digests[name] = hashlib.sha256(data).hexdigest()
        of_file, damaged = _read_csv(data, name)
        faces += of_file
        mended += damaged
    if mended:
        log.warning("%s: %s ages that a spreadsheet made days were mended", " + ".join(names), mended)
    prefix = _prefix(root, faces)
    placed = tuple(replace(face, image=f"{prefix}{face.image}") for face in faces)
    origin = {"source": "file", "dataset": DATASET.name, "revision": None, "files": digests, "mended_ages": mended}
    return Faces(image_set, f"{root.name}/{' + '.join(names)}", placed, origin)


def _prefix(root: Path, faces: Iterable[Face]) -> str:
    """The subfolder in which the images of the published archive lie; empty where they lie as the csv says."""
    first = next(iter(faces), None)
    places = ("", "fairface-img-margin025-trainval/", "fairface-img-margin125-trainval/")
    return next((place for place in places if first and (root / place / first.image).is_file()), "")


def _read_csv(data: bytes, name: str) -> tuple[list[Face], int]:
    """The faces of a csv file of the published form, and how many of its ages were mended."""
    frame = parse(data, name)
    need_columns(frame, ("file", *ATTRIBUTES), name)
    cells = {column: text_column(frame, column, name) for column in ("file", *ATTRIBUTES)}
    ages = [mend_age(cell) for cell in cells["age"]]
    mended = sum(age != cell for age, cell in zip(ages, cells["age"], strict=True))
    columns = {**cells, "age": ages}
    places = {column: _places(columns[column], column, name) for column in ATTRIBUTES}
    faces = [
        Face(image, {column: places[column][row] for column in ATTRIBUTES}) for row, image in enumerate(cells["file"])
    ]
    return faces, mended


def _places(cells: Iterable[str], column: str, name: str) -> list[int]:
    allowed = {value: place for place, value in enumerate(ATTRIBUTES[column])}
    found = []
    for row, cell in enumerate(cells, start=1):
        if cell not in allowed:
            raise GroupgapError(
                f"{name}: column {column!r} holds {cell!r:.60} in data row {row}; expected one of {', '.join(allowed)}"
            )
        found.append(allowed[cell])
    return found


def mend_age(cell: str) -> str:
    """An age class as it was before a spreadsheet took it for a day; any other cell as it is.

    >>> mend_age("9-Mar"), mend_age("03-Sep"), mend_age("Oct-19"), mend_age("20-29")
    ('3-9', '3-9', '10-19', '20-29')
    """
    found = _DAY.fullmatch(cell.strip().lower())
    if not found:
        return cell
    return _DAMAGED.get((found[1] or found[4], found[2] or found[3]), cell)


# -- parquet ----------------------------------------------------------------------------------------------------------


def _parquet(files: tuple[Path, ...], origin: Mapping[str, Any]) -> Faces:
    faces = tuple(face for file in files for face in _unpacked(file))
    names = {file.name: _hash(file) for file in files}
    return Faces(UNPACKED, " + ".join(names), faces, {**origin, "files": names, "mended_ages": 0})


def _hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _unpacked(file: Path) -> Iterator[Face]:
    """The faces of a parquet file, whose attributes are names, or numbers whose names the file's metadata has."""
    named = {column: class_names(file, column) or ATTRIBUTES[column] for column in ATTRIBUTES}
    for row, image in unpack(file, UNPACKED, tuple(ATTRIBUTES)):
        values = {}
        for column, names in named.items():
            cell = row.get(column)
            name = names[cell] if isinstance(cell, int) and 0 <= cell < len(names) else str(cell)
            if name not in ATTRIBUTES[column]:
                expected = ", ".join(ATTRIBUTES[column])
                raise GroupgapError(f"{file.name}: column {column!r} holds {cell!r:.60}; expected one of {expected}")
            values[column] = ATTRIBUTES[column].index(name)
        yield Face(image, values)
