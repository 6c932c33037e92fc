"""Safetensors headers that a stranger wrote: read as the library reads them, or refused in one line."""

from __future__ import annotations

import json
import os
import shutil
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groupgap.adapters import tensors as module
from groupgap.adapters.tensors import inside, read_checkpoint, read_header, scan
from groupgap.errors import GroupgapError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file


def raw(path: Path, header: Any, data: bytes = b"", *, length: int | None = None) -> Path:
    """Write a file with whatever header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    values = {
        "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.zeros(0, np.int64),
        "c": np.float16(1)[None],
    }
    save_file(values, path, metadata={"format": "pt"})
    return path


def test_a_header_says_what_the_library_says(file: Path) -> None:
    found = read_header(file)
    with safe_open(file, "np") as theirs:
        assert set(found) == set(theirs.keys())
        for name, tensor in found.items():
            values = theirs.get_tensor(name)
            assert tensor.shape == values.shape
            assert b"".join(module.pieces(tensor)) == values.tobytes()


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "data", "reason"),
    [
        ({"x": GOOD}, b"\0" * 7, "cut off"),
        ({"x": GOOD}, b"\0" * 9, "belong to no tensor"),
        ({"x": GOOD | {"shape": [3]}}, b"\0" * 8, "does not fill"),
        ({"x": GOOD | {"dtype": "F31"}}, b"\0" * 8, "unknown dtype"),
        ({"x": GOOD | {"dtype": ["F32"]}}, b"\0" * 8, "unknown dtype"),
        ({"x": GOOD | {"shape": [-2]}}, b"\0" * 8, "natural numbers"),
        ({"x": GOOD | {"shape": [True, 2]}}, b"\0" * 8, "natural numbers"),
        ({"x": GOOD | {"shape": [2.0]}}, b"\0" * 8, "natural numbers"),
        ({"x": GOOD | {"shape": [1] * 9}}, b"\0" * 8, "natural numbers"),
        ({"x": GOOD | {"data_offsets": [8, 0]}}, b"\0" * 8, "start and an end"),
        ({"x": GOOD | {"data_offsets": [0, 2**63]}}, b"\0" * 8, "start and an end"),
        ({"x": GOOD | {"more": 1}}, b"\0" * 8, "expected dtype, shape"),
        ({"x": [1, 2]}, b"\0" * 8, "expected dtype, shape"),
        ({"x": GOOD, "y": GOOD}, b"\0" * 8, "overlaps"),
        ({"x": GOOD, "y": GOOD | {"data_offsets": [9, 17]}}, b"\0" * 17, "leaves a hole"),
        ({"x\n\x1b[31m": GOOD}, b"\0" * 8, "cannot be printed"),
        ([1], b"", "not a JSON object"),
        (b"{", b"", "not readable as JSON"),
        (b'{"x": 1, "x": 2}', b"", "stands there twice"),
        (b"\xff\xfe", b"", "not readable as JSON"),
        (b"[" * 100_000, b"", "nested deeper"),
        (b'{"x":' + b"[" * 40 + b"]" * 40 + b"}", b"", "nested deeper"),
        (b"[" + b"[]," * 1_000_000 + b"[]]", b"", "more than 1,500,000 values"),
    ],
)
def test_headers_that_are_refused(tmp_path: Path, header: Any, data: bytes, reason: str) -> None:
    with pytest.raises(GroupgapError, match=reason):
        read_header(raw(tmp_path / "x.safetensors", header, data))


@pytest.mark.parametrize("length", [2**64 - 1, 2**40, 9 * 2**20, 100])
def test_a_header_length_beyond_the_file_is_not_believed(tmp_path: Path, length: int) -> None:
    with pytest.raises(GroupgapError, match="declares a header of"):
        read_header(raw(tmp_path / "x.safetensors", {}, length=length))


@pytest.mark.parametrize("size", [0, 7])
def test_a_file_too_short_for_its_length(tmp_path: Path, size: int) -> None:
    (tmp_path / "x").write_bytes(b"\0" * size)
    with pytest.raises(GroupgapError, match="damaged or cut off"):
        read_header(tmp_path / "x")


def or_one_line(path: Path) -> dict[str, module.TensorInfo]:
    """The header, or nothing where it is refused: by our error, in one line."""
    reason = ""
    try:
        return read_header(path)
    except GroupgapError as error:
        reason = str(error)
    assert reason.startswith(str(path))
    assert "\n" not in reason
    return {}


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bytes_raise_nothing_but_our_error(tmp_path: Path, data: st.DataObject) -> None:
    values = {"a.weight": np.arange(6, dtype=np.float32), "b.weight": np.ones(3, np.float16)}
    path = tmp_path / "fuzz.safetensors"
    save_file(values, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content))
    found = or_one_line(path)
    for tensor in found.values():
        scan(tensor)
        assert 8 <= tensor.start <= tensor.end <= path.stat().st_size


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
entries = st.fixed_dictionaries({}, optional={"dtype": json_values, "shape": json_values, "data_offsets": json_values})


@given(st.dictionaries(st.text(max_size=5), entries | json_values, max_size=4) | json_values, st.binary(max_size=16))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_as_a_header_raises_nothing_but_our_error(tmp_path: Path, header: Any, data: bytes) -> None:
    or_one_line(raw(tmp_path / "x.safetensors", header, data))


def test_links_out_of_the_folder_are_refused_and_the_hubs_own_are_not(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "model.safetensors").symlink_to(file)
    with pytest.raises(GroupgapError, match="leads out of its folder"):
        read_checkpoint(folder)
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "0", tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    shutil.copy(file, blobs / "hash")
    (snapshot / "model.safetensors").symlink_to("../../blobs/hash")
    assert set(read_checkpoint(snapshot)) == {"a.weight", "b", "c"}
    (snapshot / "config.json").symlink_to("config.json")
    with pytest.raises(GroupgapError, match="cannot be opened"):
        inside(snapshot, "config.json")


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "a/b", "..", "", "a\\b", "a\0b"])
def test_names_with_a_path_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(GroupgapError, match="has a path in it"):
        inside(tmp_path, name)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(GroupgapError, match="not a regular file"):
        read_checkpoint(tmp_path)


def shards(folder: Path, table: dict[str, Any]) -> Path:
    """Two shards and an index."""
    save_file({"a": np.ones(2, np.float32)}, folder / "one.safetensors")
    save_file({"b": np.ones(3, np.float32)}, folder / "two.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    return folder


def test_shards_are_read_by_their_index(tmp_path: Path) -> None:
    found = read_checkpoint(shards(tmp_path, {"a": "one.safetensors", "b": "two.safetensors"}))
    assert {name: tensor.file.name for name, tensor in found.items()} == {
        "a": "one.safetensors",
        "b": "two.safetensors",
    }


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"a": "one.safetensors", "c": "two.safetensors"}, "where the index does not put it"),
        ({"a": "one.safetensors", "x": "one.safetensors"}, "in no shard, e.g. x"),
        ({"a": "../one.safetensors"}, "has a path in it"),
        ({"a": "one.bin"}, "not a safetensors file"),
        ({"a": "absent.safetensors"}, "cannot be opened"),
        ({"a": 1}, "no weight_map"),
    ],
)
def test_an_index_that_lies(tmp_path: Path, table: dict[str, Any], reason: str) -> None:
    with pytest.raises(GroupgapError, match=reason):
        read_checkpoint(shards(tmp_path, table))


DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}


@pytest.mark.parametrize("dtype", [*DTYPES, "BF16"])
@pytest.mark.parametrize(
    ("values", "finite", "zero", "one"),
    [
        ([0.0, -0.0], True, True, False),
        ([1.0, 1.0], True, False, True),
        ([1e-7, 0.0], True, False, False),
        ([65504.0, -1.0], True, False, False),
        ([1.0, np.nan], False, False, False),
        ([-np.inf, 0.0], False, False, False),
    ],
)
def test_scans_agree_with_numpy(
    tmp_path: Path, dtype: str, values: list[float], finite: bool, zero: bool, one: bool
) -> None:
    path = tmp_path / "x.safetensors"
    if dtype == "BF16":  # the upper half of a float32
        data = (np.array(values, np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    else:
        data = np.array(values, DTYPES[dtype]).tobytes()
    raw(path, {"x": {"dtype": dtype, "shape": [2], "data_offsets": [0, len(data)]}}, data)
    found = scan(read_header(path)["x"])
    assert (found.finite, found.zero, found.one) == (finite, zero, one)


def test_a_scan_finds_the_last_value_and_keeps_little_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 1 << 16)
    values = np.zeros(1 << 21, np.float32)
    values[-1] = np.nan
    save_file({"x": values}, tmp_path / "model.safetensors")
    del values
    tracemalloc.start()
    found = scan(read_checkpoint(tmp_path)["x"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not found.finite
    assert peak < 1 << 20
