"""Where data comes from: the folder, the hub's cache, the hub's refusals; hashes; nothing outside the folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.sources import Dataset, load, parse
from huggingface_hub import errors

SET = Dataset(
    name="things",
    hub="someone/things",
    revision="refs/convert/parquet",
    hub_files=(("a.csv", "deep/b.csv"), ("c.csv",)),
    licence="CC0",
    url="https://example.org/things",
    folders=("other-name",),
)
LOCAL = (("a.csv", "b.csv"), ("c.csv",))


def _put(folder: Path, name: str, content: str = "x,y\n1,2\n") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.mark.parametrize("folder", ["things", "other-name"])
def test_first_complete_set_of_the_folder(data: Path, folder: str) -> None:
    _put(data, f"{folder}/c.csv", "x,y\n5,6\n")
    _put(data, f"{folder}/a.csv")
    assert load(SET, LOCAL).files == ("c.csv",)
    path = _put(data, f"{folder}/b.csv", "x,y\n3,4\n")
    table = load(SET, LOCAL)
    assert table.files == ("a.csv", "b.csv")
    assert table.frame.to_numpy().tolist() == [["1", "2"], ["3", "4"]]
    assert table.origin["files"]["b.csv"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (table.origin["source"], table.origin["revision"]) == ("file", None)


def test_a_link_may_not_leave_the_folder(data: Path, tmp_path: Path) -> None:
    outside = _put(tmp_path, "outside.csv")
    (data / "things").mkdir()
    (data / "things" / "c.csv").symlink_to(outside)
    with pytest.raises(GroupgapError, match="leads out of the folder"):
        load(SET, LOCAL)


def test_the_folder_itself_may_be_a_link(data: Path, tmp_path: Path) -> None:
    _put(tmp_path, "disk/c.csv")
    (data / "things").symlink_to(tmp_path / "disk")
    assert load(SET, LOCAL).files == ("c.csv",)


def test_folder_that_is_none(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPGAP_DATA", str(data / "nowhere"))
    with pytest.raises(GroupgapError, match="nowhere: no such folder; expected one with a subfolder per dataset"):
        load(SET, LOCAL)


def test_cache_of_the_hub(plant: Callable[..., None], commit: str) -> None:
    plant(SET.hub, SET.revision, {"a.csv": b"x\n1\n", "deep/b.csv": b"x\n2\n"})
    table = load(SET, LOCAL)
    assert table.frame["x"].tolist() == ["1", "2"]
    assert table.origin["revision"] == commit
    assert table.origin["dataset"] == "someone/things"


def test_pinned_commit_and_second_set(plant: Callable[..., None]) -> None:
    plant(SET.hub, "f" * 40, {"c.csv": b"x\n1\n"})
    table = load(SET, LOCAL, "f" * 40)
    assert (table.files, table.origin["revision"]) == (("c.csv",), "f" * 40)


def test_all_files_come_from_the_commit_of_the_first(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repo: str, name: str, repo_type: str, revision: str) -> str:
        asked.append((repo, name, repo_type, revision))
        return str(_put(data, f"hub/snapshots/{'a' * 40}/{name}"))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert load(SET, LOCAL).origin["revision"] == "a" * 40
    assert asked == [
        ("someone/things", "a.csv", "dataset", "refs/convert/parquet"),
        ("someone/things", "deep/b.csv", "dataset", "a" * 40),
    ]


def _refusal(kind: type[Exception]) -> Exception:
    if not issubclass(kind, errors.HfHubHTTPError):
        return kind("refused")
    request = SimpleNamespace(method="GET", url="https://example.org")
    response: Any = SimpleNamespace(status_code=403, headers={}, request=request)
    return kind("refused", response=response)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (errors.GatedRepoError, "someone/things is gated: accept its terms at .* log in with `hf auth login`"),
        (errors.RepositoryNotFoundError, "the hub shows no dataset someone/things"),
        (errors.RevisionNotFoundError, "has no revision 'refs/convert/parquet': give one it has"),
        (errors.RemoteEntryNotFoundError, r"holds none of the files a\.csv \+ deep/b\.csv or c\.csv"),
        (
            errors.LocalEntryNotFoundError,
            r"'things' is not on this machine, nor from the hub \(no network, or not asked\): "
            r"fetch a\.csv \+ b\.csv from https://example\.org/things"
            r" \(hub dataset someone/things; licence CC0\) and put it into the folder things/ of \$GROUPGAP_DATA",
        ),
    ],
)
def test_refusals_are_said_in_one_line(
    data: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception], message: str
) -> None:
    def download(*_: object, **__: object) -> str:
        raise _refusal(kind)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(GroupgapError, match=message) as raised:
        load(SET, LOCAL)
    assert "\n" not in str(raised.value)


def test_revision_must_be_a_name(data: Path) -> None:
    with pytest.raises(GroupgapError, match="dataset_revision=7: expected a commit hash or a branch name"):
        load(SET, LOCAL, 7)


def test_a_cell_that_says_none_is_a_text() -> None:
    frame = parse("﻿text,n\nNone,NA\nnan,\n".encode(), "a.csv")
    assert frame.to_dict("list") == {"text": ["None", "nan"], "n": ["NA", ""]}
