"""Where the images of a dataset lie: documents name an image set and a file in it, and each machine has its own folder.

A document holds ``image_set`` (a name), ``image`` (a path within the set, with ``/``) and ``image_sha256`` (of the
file's bytes). It never holds bytes or a machine's own paths, so that runs of two machines pair, and an image that
changed in between is noticed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import GroupgapError
from .sources import DATA_VARIABLE

CACHE_VARIABLE = "GROUPGAP_CACHE"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_PART = re.compile(r"[\w][\w .+@=-]*")


def image_root(image_set: str) -> Path:
    """The folder of an image set on this machine.

    Args:
        image_set: a name, or several with ``/`` between: a subfolder of ``GROUPGAP_DATA``, or one that a loader wrote
            into :func:`made_root` (drawn images, images out of a parquet file).

    Raises:
        GroupgapError: no such folder, or not such a name.
    """
    _refuse_strange(image_set)
    data = os.environ.get(DATA_VARIABLE)
    places = [*([Path(data).expanduser() / image_set] if data else []), made_root(image_set)]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        looked = " and ".join(map(str, places))
        raise GroupgapError(f"image set {image_set!r}: no such folder (looked for {looked}): set {DATA_VARIABLE} to the"
                            " folder that holds it")  # fmt: skip
    return found


def made_root(image_set: str) -> Path:
    """Where a loader writes an image set that it draws or unpacks: ``GROUPGAP_CACHE``, by default
    ``~/.cache/groupgap``, then ``images/`` and the set's name. The folder need not exist yet.

    Raises:
        GroupgapError: not a name.
    """
    _refuse_strange(image_set)
    cache = os.environ.get(CACHE_VARIABLE)
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "groupgap"
    return (Path(cache).expanduser() if cache else user) / "images" / image_set


def _refuse_strange(image_set: str) -> None:
    if not isinstance(image_set, str) or not all(_PART.fullmatch(part) for part in image_set.split("/")):
        raise GroupgapError(
            f"image set {image_set!r:.120}: expected a name of letters, digits and . _ -, or several with / between"
        )


def image_path(root: Path, image: str) -> Path:
    """A document's image in the folder of its set; the file need not exist.

    Raises:
        GroupgapError: a path that is absolute, leads out of the folder (``..``, a link), or is none.
    """
    relative = PurePosixPath(image) if isinstance(image, str) else PurePosixPath()
    strange = not relative.parts or relative.is_absolute() or ".." in relative.parts or set(str(image)) & set("\\\0")
    if strange or not (root / relative).resolve().is_relative_to(root.resolve()):
        raise GroupgapError(
            f"image {image!r:.160}: leads out of its folder {root}: a path within it, with / between, is expected"
        )
    return root / relative


def image_fields(image_set: str, image: str) -> dict[str, str]:
    """The three fields by which a document names its image; the file is read once, for its hash.

    Raises:
        GroupgapError: no such file, or a path out of the set's folder.
    """
    path = image_path(image_root(image_set), image)
    try:
        known = path.stat()
        digest = _digest(path, known.st_mtime_ns, known.st_size, known.st_ino)
    except OSError as error:
        raise GroupgapError(
            f"image {image!r:.160} of {image_set!r}: cannot be read ({error.strerror}): {path}"
        ) from None
    return {"image_set": image_set, "image": image, "image_sha256": digest}


@lru_cache(maxsize=1 << 20)
def _digest(path: Path, _changed: int, _size: int, _inode: int) -> str:
    """The hash of a file, once for all variants of a roster that ask the same task; a changed file is read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def leave_out(documents: Iterable[Mapping[str, Any]], images: object) -> list[Mapping[str, Any]]:
    """Documents without those whose image the user excludes: the option ``exclude_images``, which stands in the
    results.

    An image that cannot be read is never skipped unasked; this is how it is taken out for all variants alike.

    Args:
        documents: each with an ``image``.
        images: a list of such paths; None or empty for none.

    Raises:
        GroupgapError: not a list of paths, or a path that no document has.
    """
    kept = list(documents)
    if not images:
        return kept
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise GroupgapError(
            f"option exclude_images={images!r:.160}: expected a list of images, as the documents name them"
        )
    missing = sorted(set(images) - {document["image"] for document in kept})
    if missing:
        raise GroupgapError(f"option exclude_images: no document has the image {missing[0]!r:.160}")
    return [document for document in kept if document["image"] not in images]
