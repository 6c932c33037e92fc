"""Documents of image tasks: labelled files of an image set, hashed, counted, with ids that do not depend on names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ..errors import GroupgapError
from .images import image_fields, image_path, image_root, leave_out
from .rows import COPY_MARK, Rows, number_copies
from .sources import DATA_VARIABLE

ID_DIGITS = 16
MISSING = ("error", "drop")
SHOWN = 3


@dataclass(frozen=True)
class Labelled:
    """One image with its class and its groups.

    Attributes:
        image: its path within the image set, with ``/``.
        label: index into the task's choices.
        groups: the groups on each axis (none, one or several).
    """

    image: str
    label: int
    groups: Mapping[str, list[str]]


@dataclass(frozen=True)
class ImageOptions:
    """The options that every image task takes through ``--metadata``.

    Attributes:
        missing: what to do about labels without a file: ``"error"``, or ``"drop"`` them and count them.
        exclude_images: images to leave out, by their path in the set, for all variants alike.
    """

    missing: object = "error"
    exclude_images: object = None

    def __post_init__(self) -> None:
        """Refuse another word."""
        if self.missing not in MISSING:
            raise GroupgapError(f"option missing={self.missing!r}: expected one of {', '.join(MISSING)}")

    @classmethod
    def read(cls, options: Mapping[str, object]) -> ImageOptions:
        """Pick them out of all that lm-eval passes."""
        return cls(options.get("missing", "error"), options.get("exclude_images"))


@dataclass(frozen=True)
class ImageSource:
    """What a loader knows of its images.

    Attributes:
        image_set: their name, for :func:`~groupgap.harness_tasks.images.image_root`.
        where: the file or folder that names the images, for messages.
        origin: entries of :attr:`Rows.origin`.
        fair: as :attr:`Rows.fair`.
        options: how to take missing and excluded images.
    """

    image_set: str
    where: str
    origin: Mapping[str, Any]
    fair: Mapping[str, Any] | None = None
    options: ImageOptions = field(default_factory=ImageOptions)


def find_set(folder: object, names: Sequence[str], how_to_get: str) -> str:
    """The name of the image set to read.

    Args:
        folder: option ``folder``: a subfolder of ``GROUPGAP_DATA``; None for the usual ones.
        names: the usual ones.
        how_to_get: what to fetch, from where, under which licence, for the message.

    Raises:
        GroupgapError: none of them is there.
    """
    if folder is not None:
        if not isinstance(folder, str):
            raise GroupgapError(f"option folder={folder!r}: expected the name of a subfolder of ${DATA_VARIABLE}")
        image_root(folder)
        return folder
    for name in names:
        with suppress(GroupgapError):
            image_root(name)
            return name
    raise GroupgapError(f"the images are not on this machine: {how_to_get}")


def image_rows(source: ImageSource, labelled: Iterable[Labelled]) -> Rows:
    """The documents of an image task, in order of the images' paths.

    An id is made of the file's content: the same image has it in a folder and in a parquet file, under any name, and
    equal images (``id#copy2``) never stand in two parts of a split.

    Args:
        source: the image set.
        labelled: each path once.

    Returns:
        Rows whose origin counts ``rows``, ``copies`` and ``missing_files``, and holds ``images_sha256``, one hash over
        all images.

    Raises:
        GroupgapError: a path twice, one that leaves the set's folder, a label without a file, nothing left.
    """
    found = sorted(labelled, key=lambda one: one.image)
    _refuse_repeated(found, source.where)
    found, missing = _present(found, source)
    named = [({"image": one.image}, one) for one in found]
    if source.options.exclude_images:
        kept = {document["image"] for document in leave_out([row for row, _ in named], source.options.exclude_images)}
        found = [one for one in found if one.image in kept]
    if not found:
        raise GroupgapError(f"{source.where}: names no image that is there: nothing to ask")
    fields = [image_fields(source.image_set, one.image) for one in found]
    ids = number_copies(row["image_sha256"][:ID_DIGITS] for row in fields)
    documents = [
        {"id": row_id, **row, "label": one.label, **one.groups}
        for row_id, row, one in zip(ids, fields, found, strict=True)
    ]
    counts = {
        "rows": len(documents),
        "copies": sum(COPY_MARK in row_id for row_id in ids),
        "missing_files": missing,
        "excluded": len(named) - len(found),
        "images_sha256": _digest(fields),
    }
    return Rows(documents, {**source.origin, **counts}, source.fair)


def _digest(fields: Sequence[Mapping[str, str]]) -> str:
    lines = "".join(f"{row['image']} {row['image_sha256']}\n" for row in fields)
    return hashlib.sha256(lines.encode()).hexdigest()


def _refuse_repeated(found: Sequence[Labelled], where: str) -> None:
    for one, next_one in pairwise(found):
        if one.image == next_one.image:
            raise GroupgapError(f"{where}: names the image {one.image!r:.160} twice: expected one label for each image")


def _present(found: Sequence[Labelled], source: ImageSource) -> tuple[list[Labelled], int]:
    root = image_root(source.image_set)
    there = [one for one in found if image_path(root, one.image).is_file()]
    missing = len(found) - len(there)
    if missing and source.options.missing == "error":
        kept = {one.image for one in there}
        names = [one.image for one in found if one.image not in kept][:SHOWN]
        raise GroupgapError(
            f"{source.where}: {missing:,} of {len(found):,} images are not in {root} (first: "
            f"{', '.join(f'{name!r:.120}' for name in names)}): put them there, or drop and count them with "
            '--metadata \'{"missing": "drop"}\''
        )
    return there, missing
