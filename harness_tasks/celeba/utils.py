"""Loader of CelebA as torchvision lays it out: one attribute by another (Male).

Liu, Luo, Wang, Tang, "Deep Learning Face Attributes in the Wild", ICCV 2015. Non-commercial research only. Nothing is
downloaded; ``torchvision.datasets.CelebA(root, download=True)`` makes the folder ``celeba/`` of this form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import GroupgapError
from ..image_rows import ImageOptions, ImageSource, Labelled, find_set, image_rows
from ..images import image_root
from ..rows import Rows

NAMES = ("celeba", "CelebA")
ATTRIBUTES_FILE = "list_attr_celeba.txt"
PARTITION_FILE = "list_eval_partition.txt"
IMAGES = "img_align_celeba"
PORTIONS = {"train": "0", "valid": "1", "test": "2", "all": None}
FULL_ROWS = {"train": 162_770, "valid": 19_867, "test": 19_962, "all": 202_599}
HOW_TO_GET = (
    "torchvision.datasets.CelebA($GROUPGAP_DATA, download=True) puts it into the folder celeba/ there "
    "(https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html; non-commercial research only)"
)


def celeba(
    attribute: object = "Smiling", groups: object = ("Male",), portion: object = "test", **options: object
) -> Rows:
    """Has this face the attribute? By whether it has another.

    Args:
        attribute: one of the file's 40, the label.
        groups: the attributes that are axes, each with the groups ``NAME`` and ``not NAME``.
        portion: CelebA's own "train", "valid" or "test", or "all".
        options: ``folder``, a subfolder of ``GROUPGAP_DATA``; and those of
            :class:`~groupgap.harness_tasks.image_rows.ImageOptions`.

    Raises:
        GroupgapError: no such attribute or portion, the label's own attribute as an axis, a file of another form.
    """
    if portion not in PORTIONS:
        raise GroupgapError(f"option portion={portion!r}: expected one of {', '.join(PORTIONS)}")
    image_set = find_set(options.get("folder"), NAMES, HOW_TO_GET)
    root = image_root(image_set)
    digests: dict[str, str] = {}
    header, table = _attributes(_lines(root / ATTRIBUTES_FILE, digests))
    axes = [groups] if isinstance(groups, str) else list(groups) if isinstance(groups, list | tuple) else []
    wanted = _columns(header, attribute, axes)
    portions = _portions(_lines(root / PARTITION_FILE, digests))
    number = PORTIONS[str(portion)]
    chosen = {name: flags for name, flags in table.items() if number is None or portions.get(name) == number}
    labelled = (
        Labelled(
            f"{IMAGES}/{name}",
            int(flags[wanted[0]]),
            {axis: [axis if flags[place] else f"not {axis}"] for axis, place in zip(axes, wanted[1:], strict=True)},
        )
        for name, flags in chosen.items()
    )
    choices = [f"not {attribute}", str(attribute)]
    fair = {
        "axes": {axis: {"field": axis, "groups": [axis, f"not {axis}"]} for axis in axes},
        "choices": choices,
        "positive": choices[1],
    }
    complete = len(chosen) == FULL_ROWS[str(portion)]
    origin: dict[str, Any] = {"source": "file", "dataset": "celeba", "revision": None, "files": digests}
    origin |= {"portion": portion, "attribute": attribute, "complete": complete}
    return image_rows(ImageSource(image_set, str(root), origin, fair, ImageOptions.read(options)), labelled)


def _lines(path: Path, digests: dict[str, str]) -> list[str]:
    """The lines of a file that hold something; its hash goes into ``digests``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GroupgapError(f"{path}: cannot be read ({error.strerror}): {HOW_TO_GET}") from error
    digests[path.name] = hashlib.sha256(data).hexdigest()
    return [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]


def _attributes(lines: Sequence[str]) -> tuple[list[str], Mapping[str, list[bool]]]:
    """The names of the attributes, and each image's: a line with the count, one with the names, then one an image."""
    header = lines[1].split() if len(lines) > 1 and lines[0].strip().isdigit() else []
    if not header or len(lines) - 2 != int(lines[0]):
        raise GroupgapError(
            f"{ATTRIBUTES_FILE}: expected the number of images, the attributes' names, and a line for each image"
        )
    table: dict[str, list[bool]] = {}
    for number, line in enumerate(lines[2:], start=3):
        name, *cells = line.split()
        if len(cells) != len(header) or not set(cells) <= {"1", "-1"} or name in table:
            raise GroupgapError(
                f"{ATTRIBUTES_FILE}, line {number}: expected a new image and {len(header)} times 1 or -1"
            )
        table[name] = [cell == "1" for cell in cells]
    return header, table


def _portions(lines: Sequence[str]) -> Mapping[str, str]:
    """Each image's portion, by its number."""
    cells = [line.split() for line in lines]
    wrong = next((number for number, row in enumerate(cells, start=1) if len(row) != 2), None)
    if wrong is not None:
        raise GroupgapError(f"{PARTITION_FILE}, line {wrong}: expected an image and 0, 1 or 2")
    return {row[0]: row[1] for row in cells}


def _columns(header: Sequence[str], attribute: object, axes: Sequence[object]) -> list[int]:
    """The places of the label and of the axes."""
    if not axes or attribute in axes:
        raise GroupgapError(
            f"option groups={axes!r}: expected attributes other than {attribute!r}, the label's own is never an axis"
        )
    unknown = [name for name in (attribute, *axes) if name not in header]
    if unknown:
        raise GroupgapError(f"celeba_fair: no attribute {unknown[0]!r:.60}; there are {', '.join(header)}")
    return [list(header).index(str(name)) for name in (attribute, *axes)]
