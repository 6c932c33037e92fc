"""Images out of parquet files, as Hugging Face datasets hold them: unpacked once, each into a file named by content."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import GroupgapError
from .images import SUFFIXES, made_root

BATCH = 256


def unpack(path: Path, image_set: str, columns: Sequence[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """Write the images of a parquet file, those that are not there yet, into an image set.

    The images are not decoded; a file is written beside its place and moved there, so that none is ever seen half.

    Args:
        path: the parquet file.
        image_set: below :func:`~groupgap.harness_tasks.images.made_root`.
        columns: further columns to read; those that the file lacks are left out.

    Yields:
        For each row its other columns (and ``image_name``, the name that the file gives the image, or None), and the
        image's path in the set.

    Raises:
        GroupgapError: not such a file, or a row without an image.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = made_root(image_set)
    try:
        with pq.ParquetFile(path) as file:
            image = _image_column(file.schema_arrow, path)
            wanted = [image, *(name for name in columns if name in file.schema_arrow.names)]
            for batch in file.iter_batches(BATCH, columns=wanted):
                for row in batch.to_pylist():
                    data, name = _image(row.pop(image), path)
                    yield {**row, "image_name": name}, _write(root, data, name)
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise GroupgapError(f"{path.name}: cannot be unpacked ({reason:.160}); fetch it again") from error


def class_names(path: Path, column: str) -> tuple[str, ...] | None:
    """The names of a ``ClassLabel`` column, which parquet files of Hugging Face keep in their metadata; else None."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import ClassLabel, Features

    try:
        feature = Features.from_arrow_schema(pq.read_schema(path)).get(column)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise GroupgapError(f"{path.name}: not a parquet file that can be read; fetch it again") from error
    return tuple(feature.names) if isinstance(feature, ClassLabel) else None


def _image_column(schema: Any, path: Path) -> str:
    """The first column of images: ``{bytes, path}``, or bytes alone."""
    import pyarrow as pa

    for item in schema:
        names = {child.name for child in item.type} if pa.types.is_struct(item.type) else set()
        if "bytes" in names or pa.types.is_binary(item.type) or pa.types.is_large_binary(item.type):
            return str(item.name)
    raise GroupgapError(f"{path.name}: has no column of images (columns: {', '.join(schema.names)[:200]})")


def _image(cell: Any, path: Path) -> tuple[bytes, str | None]:
    data, name = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if not data:
        raise GroupgapError(f"{path.name}: a row holds no image: fetch it again")
    return data, name


def _write(root: Path, data: bytes, name: str | None) -> str:
    digest = hashlib.sha256(data).hexdigest()
    suffix = PurePosixPath(name or "").suffix.lower()
    image = f"{digest[:2]}/{digest}{suffix if suffix in SUFFIXES else '.jpg'}"
    write_once(root, image, data)
    return image


def write_once(root: Path, image: str, data: bytes) -> None:
    """Write a file below a folder, unless it is there with this size; it appears whole or not at all.

    Raises:
        GroupgapError: the folder cannot be written.
    """
    place = root / image
    try:
        if place.is_file() and place.stat().st_size == len(data):
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".", delete=False) as file:
            file.write(data)
        Path(file.name).replace(place)
    except OSError as error:
        raise GroupgapError(
            f"{place}: cannot be written ({error.strerror}): set GROUPGAP_CACHE to a folder with room"
        ) from error
