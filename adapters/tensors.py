"""Safetensors files that a stranger wrote: headers checked before any tensor is read, tensors read piece by piece.

A file is an 8-byte little-endian header length, a JSON header ``{name: {dtype, shape, data_offsets}}``, and the bytes
of the tensors without holes (https://huggingface.co/docs/safetensors, "Format"). Nothing here maps a file or builds a
model; memory stays below the header's size times some constant, plus one piece of :data:`PIECE` bytes.
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GroupgapError
from .safe_json import MEBIBYTE, parse_json, read_json_object

ADAPTER_WEIGHTS = "adapter_model.safetensors"
MODEL_WEIGHTS = "model.safetensors"
SAFETENSORS = ".safetensors"
HASHED = (SAFETENSORS, ".json", ".model", ".txt", ".jinja")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
HEADER_BYTES = 8 * MEBIBYTE
INDEX_BYTES = 16 * MEBIBYTE
MAX_FILES = 1_024
MAX_DIMENSIONS = 8
PIECE = 16 * MEBIBYTE
# bits of one element, by the names that the format knows; F4 and F6 types are packed
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
# floats whose exponent is all ones are inf or NaN: (unsigned view, exponent mask, mask without the sign)
FLOATS: dict[str, tuple[str, int, int]] = {
    "F16": ("<u2", 0x7C00, 0x7FFF),
    "BF16": ("<u2", 0x7F80, 0x7FFF),
    "F32": ("<u4", 0x7F800000, 0x7FFFFFFF),
    "F64": ("<u8", 0x7FF0000000000000, 0x7FFFFFFFFFFFFFFF),
    "F8_E5M2": ("u1", 0x7C, 0x7F),
    "F8_E4M3": ("u1", 0x7F, 0x7F),  # no infinity; NaN is the one pattern of all ones
}


@dataclass(frozen=True)
class TensorInfo:
    """One tensor as its header declares it.

    Attributes:
        name: its name.
        dtype: the format's name of the element type, e.g. ``"BF16"``.
        shape: its dimensions; ``()`` for a scalar.
        start: first byte in the file.
        end: byte after the last one.
        file: the file that holds it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int
    file: Path

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Content:
    """What a scan of a tensor's values found.

    Attributes:
        finite: no NaN, no infinity (True for integers).
        zero: every value is zero (False for an empty tensor).
        one: every value is 1.0.
    """

    finite: bool
    zero: bool
    one: bool


def inside(folder: Path, name: str) -> Path:
    """The regular file ``name`` of a folder, which no symlink may lead out of.

    A snapshot of the hub's cache is such a folder too: its links may lead to the ``blobs`` beside it.

    Raises:
        GroupgapError: a name with a path in it, a link out of the folder, or not a regular file.
    """
    if name != PurePosixPath(name).name or name in ("", ".", "..") or "\\" in name or "\0" in name:
        raise GroupgapError(f"{folder}: the file name {name!r:.80} has a path in it: names within the folder only")
    path, root = folder / name, folder.resolve()
    allowed = [root, root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [root]
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "a loop of links"
        raise GroupgapError(f"{path}: cannot be opened ({reason})") from None
    if target.parent not in allowed:
        raise GroupgapError(f"{path}: a link that leads out of its folder: put the file itself there")
    if not stat.S_ISREG(mode):
        raise GroupgapError(f"{path}: not a regular file")
    return path


def read_header(path: Path) -> dict[str, TensorInfo]:
    """Read and check the header of one safetensors file; no tensor is read.

    Returns:
        The tensors by name, in the order of their bytes.

    Raises:
        GroupgapError: whatever in the file is not as the format says.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(HEADER_BYTES, size - 8):
                raise GroupgapError(
                    f"{path}: declares a header of {length:,} bytes in a file of {size:,} bytes"
                    f" (limit {HEADER_BYTES:,}): damaged or cut off; fetch it again"
                )
            header = parse_json(file.read(length), f"{path}: header")
    except OSError as error:
        raise GroupgapError(f"{path}: cannot be read ({error.strerror})") from None
    if not isinstance(header, dict):
        raise GroupgapError(f"{path}: header is not a JSON object")
    header.pop("__metadata__", None)
    tensors = [_tensor(path, name, entry, 8 + length) for name, entry in header.items()]
    return {tensor.name: tensor for tensor in _without_holes(path, tensors, 8 + length, size)}


def _tensor(path: Path, name: str, entry: Any, data: int) -> TensorInfo:
    where = f"{path}: tensor {name!r:.80}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise GroupgapError(f"{where}: expected dtype, shape and data_offsets in the header")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise GroupgapError(f"{where}: unknown dtype {dtype!r:.40}")
    if not _naturals(shape) or len(shape) > MAX_DIMENSIONS:
        raise GroupgapError(f"{where}: shape {shape!r:.60} is not a list of at most {MAX_DIMENSIONS} natural numbers")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise GroupgapError(f"{where}: data_offsets {offsets!r:.60} are not a start and an end")
    if math.prod(shape) * BITS[dtype] != 8 * (offsets[1] - offsets[0]):
        raise GroupgapError(
            f"{where}: {dtype} of shape {shape} does not fill the {offsets[1] - offsets[0]:,} bytes declared"
        )
    if not name.isprintable():
        raise GroupgapError(f"{where}: characters in the name that cannot be printed")
    return TensorInfo(name, dtype, tuple(shape), data + offsets[0], data + offsets[1], path)


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 60 for item in value)


def _without_holes(path: Path, tensors: list[TensorInfo], data: int, size: int) -> list[TensorInfo]:
    ordered = sorted(tensors, key=lambda tensor: (tensor.start, tensor.end))
    reached = data
    for tensor in ordered:
        if tensor.end > size:
            raise GroupgapError(
                f"{path}: tensor {tensor.name!r:.80} ends at byte {tensor.end:,} of a file of {size:,}:"
                " cut off; fetch it again"
            )
        if tensor.start != reached:
            raise GroupgapError(f"{path}: tensor {tensor.name!r:.80} overlaps another one or leaves a hole before it")
        reached = tensor.end
    if reached != size:
        raise GroupgapError(f"{path}: {size - reached:,} bytes at the end belong to no tensor")
    return ordered


def read_checkpoint(folder: Path, weights: str = MODEL_WEIGHTS) -> dict[str, TensorInfo]:
    """The tensors of a folder: of one file, or of the shards that its index names.

    Args:
        folder: an adapter's or a checkpoint's folder.
        weights: the file: :data:`ADAPTER_WEIGHTS` or :data:`MODEL_WEIGHTS`.

    Raises:
        GroupgapError: no safetensors file (a pickle is named, never opened), or one that :func:`read_header` refuses.
    """
    if (folder / weights).is_symlink() or (folder / weights).exists():
        return read_header(inside(folder, weights))
    index = f"{weights}.index.json"
    if (folder / index).is_symlink() or (folder / index).exists():
        return _read_shards(folder, index)
    pickles = sorted(path.name for path in _listing(folder) if path.suffix in PICKLES)
    if pickles:
        raise GroupgapError(
            f"{folder}: holds weights only as a pickle ({pickles[0]:.80}), which can run code and is never opened:"
            f" ask its author for {weights}, or convert it yourself on a machine that you can lose"
        )
    raise GroupgapError(f"{folder}: holds no {weights}")


def _listing(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise GroupgapError(f"{folder}: cannot be read ({error.strerror})") from None


def _read_shards(folder: Path, index: str) -> dict[str, TensorInfo]:
    path = inside(folder, index)
    table = read_json_object(path, INDEX_BYTES).get("weight_map")
    if not isinstance(table, dict) or not all(isinstance(shard, str) for shard in table.values()):
        raise GroupgapError(f"{path}: has no weight_map of tensor names to file names")
    shards = sorted(set(table.values()))
    if len(shards) > MAX_FILES:
        raise GroupgapError(f"{path}: names {len(shards):,} files (limit {MAX_FILES:,})")
    found: dict[str, TensorInfo] = {}
    for shard in shards:
        if not shard.endswith(".safetensors"):
            raise GroupgapError(f"{path}: names {shard!r:.80}, which is not a safetensors file")
        for name, tensor in read_header(inside(folder, shard)).items():
            if table.get(name) != shard:
                raise GroupgapError(f"{path}: tensor {name!r:.80} lies in {shard}, where the index does not put it")
            found[name] = tensor
    missing = sorted(table.keys() - found.keys())
    if missing:
        raise GroupgapError(f"{folder}: {len(missing)} tensors of the index are in no shard, e.g. {missing[0]:.80}")
    return found


def pieces(tensor: TensorInfo) -> Iterator[bytes]:
    """The bytes of one tensor, at most :data:`PIECE` at a time."""
    with tensor.file.open("rb") as file:
        file.seek(tensor.start)
        left = tensor.end - tensor.start
        while left:
            piece = file.read(min(PIECE, left))
            if not piece:
                raise GroupgapError(f"{tensor.file}: cut off while it was read")
            left -= len(piece)
            yield piece


def scan(tensor: TensorInfo) -> Content:
    """Look at every value of a tensor with bounded memory: is one NaN or infinite, are all zero, are all one?"""
    kind = FLOATS.get(tensor.dtype)
    if tensor.size == 0 or BITS[tensor.dtype] % 8:
        return Content(finite=True, zero=False, one=False)
    finite, zero, one = True, True, tensor.dtype in ONES
    for piece in pieces(tensor):
        if kind is None:
            zero = zero and not any(piece)
            continue
        values: NDArray[Any] = np.frombuffer(piece, kind[0])
        finite = finite and not bool(((values & kind[1]) == kind[1]).any())
        zero = zero and not bool((values & kind[2]).any())
        one = one and bool((values == ONES[tensor.dtype]).all())
    return Content(finite, zero, one)


ONES: Mapping[str, int] = {"F16": 0x3C00, "BF16": 0x3F80, "F32": 0x3F800000, "F64": 0x3FF0000000000000}


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weight_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the safetensors files directly in a folder, by name."""
    names = sorted(path.name for path in _listing(folder) if path.suffix == SAFETENSORS)
    return {name: sha256(inside(folder, name)) for name in names}


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the files directly in a folder that answers depend on (weights, configuration, tokenizer), by name."""
    names = sorted(path.name for path in _listing(folder) if path.suffix in HASHED)
    return {name: sha256(inside(folder, name)) for name in names}
