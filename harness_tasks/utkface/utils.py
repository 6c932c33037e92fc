"""Loader of UTKFace: gender or age by race, as arXiv 2405.17512 asks it.

Zhang, Song, Qi, "Age Progression/Regression by Conditional Adversarial Autoencoder", CVPR 2017. Non-commercial research
only; the images belong to their owners. Nothing is downloaded: the user fetches the aligned and cropped faces by hand.
"""

from __future__ import annotations

import logging
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import GroupgapError
from ..image_parquet import unpack
from ..image_rows import ImageOptions, ImageSource, Labelled, find_set, image_rows
from ..images import SUFFIXES, image_root
from ..rows import Rows

log = logging.getLogger(__name__)
NAMES = ("utkface", "UTKFace")
UNPACKED = "utkface-unpacked"
HOW_TO_GET = (
    "fetch UTKFace's aligned and cropped faces from https://susanqq.github.io/UTKFace (non-commercial research only) "
    "and put them, or a parquet file of them, into the folder utkface/ of $GROUPGAP_DATA"
)
GENDERS = ("male", "female")
RACES = ("White", "Black", "Asian", "Indian", "Others")
AGE_ENDS = (10, 20, 30, 40, 50, 60, 70, 80)  # each age belongs to the class that it is the end of, or to the last
AGES = ("1-10", "11-20", "21-30", "31-40", "41-50", "51-60", "61-70", "71-80", "over 80")
FULL_FILES = 23_708
FULL_ROWS = 23_705
FULL_RACES = {"White": 10_078, "Black": 4_526, "Asian": 3_434, "Indian": 3_975, "Others": 1_692}
SHOWN = 10

# [age]_[gender]_[race]_[date and time]; what follows the date is as it may be: five names have odd stamps, good labels
_NAME = re.compile(r"(?P<age>\d{1,3})_(?P<gender>[01])_(?P<race>[0-4])_\d{8}")


@dataclass(frozen=True)
class Face:
    """One face as its file name says it."""

    image: str
    age: int
    gender: str
    race: str


def gender(**options: object) -> Rows:
    """Is this face male or female (as annotated)? By race."""
    return _rows(options, "gender")


def age(**options: object) -> Rows:
    """Which of nine age classes? By race; the classes are closed on the right, so 10 is in the first."""
    return _rows(options, "age")


def age_class(years: int) -> int:
    """The class of an age in years, 1 or more: ``pandas.cut(ages, [0, 10, 20, ..., 80, 200])``.

    >>> AGES[age_class(10)], AGES[age_class(11)], AGES[age_class(116)]
    ('1-10', '11-20', 'over 80')
    """
    return bisect_left(AGE_ENDS, years)


def parse_name(name: str) -> tuple[int, str, str] | None:
    """Age, gender and race in a file name; ``None`` where one of them is missing or not among those there are.

    Three of the 23,708 names lack the race: read naively, their date stands in its place.

    >>> parse_name("24_0_1_20170116220224657 .jpg.chip.jpg")
    (24, 'male', 'Black')
    >>> parse_name("61_1_20170109142408075.jpg.chip.jpg") is None
    True
    """
    found = _NAME.match(name)
    if not found or not int(found["age"]):
        return None
    return int(found["age"]), GENDERS[int(found["gender"])], RACES[int(found["race"])]


def _rows(options: dict[str, Any], label: str) -> Rows:
    image_set = find_set(options.get("folder"), NAMES, HOW_TO_GET)
    root = image_root(image_set)
    files = sorted(root.glob("*.parquet"))
    found = [pair for file in files for pair in _unpacked(file)] if files else list(_named(root))
    if not found:
        raise GroupgapError(f"{root}: holds neither images nor parquet files: {HOW_TO_GET}")
    faces = [face for _, face in found if face is not None]
    dropped = [name for name, face in found if face is None]
    if dropped:
        log.warning("%s: %s names without age, gender or race, dropped", root.name, len(dropped))
    origin: dict[str, Any] = {"source": "file", "dataset": "utkface", "revision": None, "dropped": len(dropped)}
    origin |= {"dropped_names": sorted(dropped)[:SHOWN], "complete": _complete(len(found), faces)}
    source = ImageSource(
        image_set=UNPACKED if files else image_set, where=str(root), origin=origin, options=ImageOptions.read(options)
    )
    return image_rows(source, (_labelled(face, label) for face in faces))


def _labelled(face: Face, label: str) -> Labelled:
    value = GENDERS.index(face.gender) if label == "gender" else age_class(face.age)
    return Labelled(face.image, value, {"race": [face.race]})


def _named(root: Path) -> Iterator[tuple[str, Face | None]]:
    """The images of a folder, or of a folder UTKFace/ in it, by their names."""
    inner = next((root / name for name in (".", *NAMES) if _images(root / name)), root)
    for path in _images(inner):
        yield path.name, _face(path.relative_to(root).as_posix(), path.name)


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def _face(image: str, name: str) -> Face | None:
    found = parse_name(name)
    return Face(image, *found) if found else None


def _unpacked(file: Path) -> Iterator[tuple[str, Face | None]]:
    """The images of a parquet file, whose column ``__key__`` (of a webdataset) or whose images' own paths hold the
    names; or whose columns age, gender and race hold the numbers of the names.
    """
    for row, image in unpack(file, UNPACKED, ("__key__", "age", "gender", "race")):
        name = PurePosixPath(str(row.get("__key__") or row["image_name"] or "")).name
        if not parse_name(name) and all(isinstance(row.get(key), int) for key in ("age", "gender", "race")):
            name = f"{row['age']}_{row['gender']}_{row['race']}_00000000"
        yield name, _face(image, name)


def _complete(files: int, faces: list[Face]) -> bool:
    """Whether these are all of UTKFace's faces.

    Raises:
        GroupgapError: as many files as UTKFace has, but other groups than published.
    """
    if files != FULL_FILES:
        log.warning("utkface: %s files, UTKFace has %s: another copy, or a part", files, FULL_FILES)
        return False
    groups = dict(Counter(face.race for face in faces))
    if groups != FULL_RACES:
        raise GroupgapError(
            f"utkface: has UTKFace's {FULL_FILES} files, but gives {groups} where {FULL_RACES} ({FULL_ROWS} in all) is "
            f"published: {HOW_TO_GET}"
        )
    return True
