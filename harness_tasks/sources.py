"""Where a dataset's files come from: a folder of the user's (``GROUPGAP_DATA``), or the Hugging Face hub.

A file is read once: its bytes are hashed and parsed from the same read, and the hash goes into the results file. No
dataset's own code is ever run: loading scripts are not executed, only csv, json and parquet files are read.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import GroupgapError

DATA_VARIABLE = "GROUPGAP_DATA"
CONVERTED = "refs/convert/parquet"
CELL_LIMIT = 1 << 20


@dataclass(frozen=True)
class Dataset:
    """A published dataset and the places where it may lie.

    Attributes:
        name: our name for it, and the subfolder of ``GROUPGAP_DATA`` to make.
        hub: its id on the Hugging Face hub.
        revision: the hub revision to read: a commit hash, or a branch that is resolved to one at load.
        hub_files: file sets to look for at that revision; the first complete one is read.
        licence: the licence of the data.
        url: where to fetch it by hand.
        folders: other names of its subfolder.
    """

    name: str
    hub: str
    revision: str
    hub_files: tuple[tuple[str, ...], ...]
    licence: str
    url: str
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """The rows of one or several files of a dataset, as one table.

    Attributes:
        frame: all columns, as the files hold them (csv: strings).
        files: the names of the files, in the order read.
        origin: the entries of :attr:`Rows.origin` that the source knows.
    """

    frame: pd.DataFrame
    files: tuple[str, ...]
    origin: dict[str, Any]


def data_folder(dataset: Dataset) -> Path | None:
    """The dataset's folder under ``GROUPGAP_DATA``; None where the variable is unset or has no such subfolder.

    Raises:
        GroupgapError: ``GROUPGAP_DATA`` is set to something that is no folder.
    """
    value = os.environ.get(DATA_VARIABLE)
    if not value:
        return None
    root = Path(value).expanduser()
    if not root.is_dir():
        raise GroupgapError(f"{DATA_VARIABLE}={value}: no such folder; expected one with a subfolder per dataset")
    return next((root / name for name in (dataset.name, *dataset.folders) if (root / name).is_dir()), None)


def local_files(dataset: Dataset, file_sets: Iterable[Sequence[str]]) -> tuple[Path, ...] | None:
    """The first complete set of files in the dataset's folder, or None. A link that leaves the folder is an error."""
    folder = data_folder(dataset)
    if folder is None:
        return None
    for names in file_sets:
        paths = tuple(folder / name for name in names)
        if all(path.is_file() for path in paths):
            return tuple(_inside(folder, path) for path in paths)
    return None


def _inside(folder: Path, path: Path) -> Path:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise GroupgapError(f"{path}: leads out of the folder {folder}; put the file itself there")
    return path


def load(dataset: Dataset, file_sets: Sequence[Sequence[str]], dataset_revision: object = None) -> Table:
    """Read a dataset from ``GROUPGAP_DATA``, else from the hub.

    Args:
        dataset: which one.
        file_sets: names to look for in the local folder; the first set of which all files exist is read.
        dataset_revision: the hub revision to read instead of the dataset's own (then the local folder is not looked
            at).

    Raises:
        GroupgapError: neither is there; the message says what to fetch, from where, under which licence, and where to
            put it.
    """
    paths = None if dataset_revision else local_files(dataset, file_sets)
    if paths:
        return _read(paths, {"source": "file", "dataset": dataset.name, "revision": None})
    revision = revision_of(dataset, dataset_revision)
    return _read(*from_hub(dataset, revision, file_sets))


def revision_of(dataset: Dataset, given: object) -> str:
    """The hub revision to read: option ``dataset_revision``, or the dataset's own."""
    if given is None or given == "":
        return dataset.revision
    if not isinstance(given, str):
        raise GroupgapError(
            f"option dataset_revision={given!r}: expected a commit hash or a branch name of {dataset.hub}"
        )
    return given


def _read(paths: Sequence[Path], origin: Mapping[str, Any]) -> Table:
    frames, digests = [], {}
    for path in paths:
        data = path.read_bytes()
        digests[path.name if path.name not in digests else str(path)] = hashlib.sha256(data).hexdigest()
        frames.append(parse(data, path.name))
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    return Table(frame=frame, files=tuple(path.name for path in paths), origin={**origin, "files": digests})


def parse(data: bytes, name: str) -> pd.DataFrame:
    """Parse a csv, tsv, jsonl, HateXplain-style json or parquet file; its kind is told by its name.

    csv cells stay strings, and an empty cell stays empty: a text that says "None" or "NA" is a text.

    Raises:
        GroupgapError: an unknown kind, or a file that cannot be parsed.
    """
    kind = Path(name).suffix.lower()
    try:
        if kind == ".parquet":
            return pd.read_parquet(io.BytesIO(data))
        if kind in (".csv", ".tsv"):
            return _parse_delimited(data.decode("utf-8-sig"), "," if kind == ".csv" else "\t")
        if kind in (".jsonl", ".ndjson"):
            return pd.DataFrame([_object(line) for line in data.decode("utf-8-sig").splitlines() if line.strip()])
        if kind == ".json":
            loaded = json.loads(data)
            return pd.DataFrame(list(loaded.values()) if isinstance(loaded, dict) else loaded)
    except (ValueError, TypeError, AttributeError, csv.Error, RecursionError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise GroupgapError(f"{name}: cannot be read as {kind[1:]} ({reason}); fetch it again or convert it") from error
    raise GroupgapError(f"{name}: unknown kind of file {kind!r}; expected .csv, .tsv, .jsonl, .json or .parquet")


def _object(line: str) -> dict[str, Any]:
    loaded = json.loads(line)
    if not isinstance(loaded, dict):
        raise ValueError(f"a line holds {type(loaded).__name__}, expected an object")
    return loaded


def _parse_delimited(text: str, delimiter: str) -> pd.DataFrame:
    previous = csv.field_size_limit(CELL_LIMIT)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = next(reader, None)
        if header is None:
            raise ValueError("the file is empty")
        if len(set(header)) != len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise ValueError(f"column {twice!r} occurs twice")
        rows = []
        for row in reader:
            if row and len(row) != len(header):
                raise ValueError(f"line {reader.line_num} has {len(row)} cells, the header has {len(header)}")
            if row:
                rows.append(row)
    finally:
        csv.field_size_limit(previous)
    return pd.DataFrame(rows, columns=header, dtype=object)


# -- the hub ----------------------------------------------------------------------------------------------------------


def from_hub(
    dataset: Dataset, revision: str, wanted: Sequence[Sequence[str]]
) -> tuple[tuple[Path, ...], dict[str, Any]]:
    """The first file set that the hub has at a revision, or, without a network, its cache on this machine has.

    Args:
        dataset: its ``hub_files`` are looked for.
        revision: a commit hash or a branch.
        wanted: the names to put into a local folder instead, for the message.

    Returns:
        The files in the hub's cache, and ``source``, ``dataset`` and ``revision`` (the commit) for :attr:`Rows.origin`.

    Raises:
        GroupgapError: neither has them; the message says how to get them.
    """
    from huggingface_hub import errors  # comes with lm-eval; imported here because it is slow

    unreachable: Exception | None = None
    for names in dataset.hub_files:
        try:
            paths, commit = _download(dataset.hub, names, revision)
            return paths, {"source": "hub", "dataset": dataset.hub, "revision": commit}
        except errors.GatedRepoError as error:
            raise GroupgapError(
                f"{dataset.hub} is gated: accept its terms at https://huggingface.co/datasets/{dataset.hub} "
                "and log in with `hf auth login`"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise GroupgapError(
                f"the hub shows no dataset {dataset.hub} (a login may be needed: `hf auth login`)"
            ) from error
        except errors.RevisionNotFoundError as error:
            raise GroupgapError(
                f"{dataset.hub} has no revision {revision!r}: give one it has, "
                f'e.g. --metadata \'{{"dataset_revision": "main"}}\''
            ) from error
        except errors.LocalEntryNotFoundError as error:
            unreachable = error
        except errors.EntryNotFoundError:
            continue
    if unreachable:
        raise GroupgapError(_how_to_get(dataset, wanted)) from unreachable
    expected = " or ".join(" + ".join(names) for names in dataset.hub_files)
    raise GroupgapError(f"{dataset.hub} at {revision} holds none of the files {expected}: pin another dataset_revision")


def _download(repo: str, names: Sequence[str], revision: str) -> tuple[tuple[Path, ...], str]:
    """Fetch files of one commit; the hub's client keeps them in a folder named after the commit."""
    from huggingface_hub import hf_hub_download

    paths: list[Path] = []
    for name in names:
        path = Path(hf_hub_download(repo, name, repo_type="dataset", revision=revision))
        revision = path.parents[len(Path(name).parts) - 1].name
        paths.append(path)
    return tuple(paths), revision


def _how_to_get(dataset: Dataset, wanted: Sequence[Sequence[str]]) -> str:
    names = " + ".join(wanted[0])
    return (
        f"the data of {dataset.name!r} is not on this machine, nor from the hub (no network, or not asked): "
        f"fetch {names} from {dataset.url} "
        f"(hub dataset {dataset.hub}; licence {dataset.licence}) "
        f"and put it into the folder {dataset.name}/ of ${DATA_VARIABLE}"
    )
