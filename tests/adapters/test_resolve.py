"""Folders and hub ids, offline from a planted cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from groupgap.adapters.base_model import read_base
from groupgap.adapters.check import check_adapter
from groupgap.adapters.resolve import FETCHED, LEFT, card_licence, resolve
from groupgap.errors import GroupgapError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = "---\nlicense: apache-2.0\nbase_model: some-org/base\n---\n# An adapter\n"
Plant = Callable[..., Path]


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Lay a repository into a hub cache as huggingface_hub does: blobs, a snapshot of links, refs."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def lay(source: Path, name: str = "some-org/adapter", refs: tuple[str, ...] = ("main", "v1")) -> Path:
        repository = cache / f"models--{name.replace('/', '--')}"
        snapshot = repository / "snapshots" / COMMIT
        for folder in (repository / "blobs", repository / "refs", snapshot):
            folder.mkdir(parents=True)
        for file in source.iterdir():
            shutil.copy(file, repository / "blobs" / f"blob-of-{file.name}")
            (snapshot / file.name).symlink_to(f"../../blobs/blob-of-{file.name}")
        for ref in refs:
            (repository / "refs" / ref).write_text(COMMIT)
        return snapshot

    return lay


@pytest.fixture
def published(zoo: dict[str, Path], tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    shutil.copytree(zoo["plain"], folder)
    (folder / "README.md").write_text(CARD)
    return folder


@pytest.mark.parametrize("at", ["", "@main", "@v1", f"@{COMMIT}"])
def test_a_hub_id_is_found_in_the_cache_and_its_commit_recorded(
    plant: Plant, published: Path, base: Path, at: str
) -> None:
    snapshot = plant(published)
    found = resolve(f"some-org/adapter{at}")
    assert (found.path, found.hub_id, found.commit) == (snapshot, "some-org/adapter", COMMIT)
    assert found.licence == "apache-2.0"
    check = check_adapter(found.path, base)
    assert (check.verdict, check.licence) == ("served", "apache-2.0")
    assert resolve("some-org/adapter", at.removeprefix("@") or None) == found
    assert resolve(str(snapshot)) == found


def test_what_is_not_in_the_cache_says_so_in_one_line(plant: Plant, published: Path) -> None:
    plant(published)
    for missing in ("some-org/other", "some-org/adapter@v2"):
        with pytest.raises(GroupgapError, match="not in the hub's cache, and the hub cannot be reached") as caught:
            resolve(missing)
        assert "\n" not in str(caught.value)


def test_folders(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(published).path == published
    assert resolve("published", root=tmp_path).path == published
    monkeypatch.chdir(tmp_path)
    found = resolve("published")
    assert (found.path, found.hub_id, found.commit, found.licence) == (published, None, None, "apache-2.0")


@pytest.mark.parametrize(
    ("location", "revision", "reason"),
    [
        ("published", "main", "a revision .main. belongs to a hub id"),
        ("hollow", None, "holds neither adapter_config.json"),
        ("./absent", None, "no such folder"),
        ("../../etc", None, "no such folder"),
        ("just-a-name", None, "no such folder"),
        ("a/b/c", None, "no such folder"),
        ("org/name@v1", "v2", "names another: keep one"),
    ],
)
def test_places_that_are_none(
    published: Path, tmp_path: Path, location: str, revision: str | None, reason: str
) -> None:
    (tmp_path / "hollow").mkdir()
    with pytest.raises(GroupgapError, match=reason):
        resolve(location, revision, root=tmp_path)


def test_neither_pickles_nor_code_are_fetched() -> None:
    from huggingface_hub.utils import filter_repo_objects

    wanted = ["adapter_config.json", "adapter_model.safetensors", "tokenizer.model", "README.md", "vocab.txt"]
    unwanted = [
        "adapter_model.bin",
        "modeling.py",
        "training_args.bin",
        "optimizer.pt",
        "checkpoint-1/adapter_config.json",
    ]
    fetched = filter_repo_objects([*wanted, *unwanted], allow_patterns=list(FETCHED), ignore_patterns=list(LEFT))
    assert list(fetched) == wanted


@pytest.mark.parametrize("failure", ["GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError"])
def test_what_the_hub_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch, failure: str) -> None:
    import huggingface_hub
    from huggingface_hub import errors

    def refuse(*_: object, **__: object) -> str:
        kind = getattr(errors, failure)
        raise kind.__new__(kind, "no")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    said = {
        "GatedRepoError": "grants access",
        "RepositoryNotFoundError": "no such repo",
        "RevisionNotFoundError": "no such rev",
    }
    with pytest.raises(GroupgapError, match=said[failure]):
        resolve("some-org/adapter")


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (CARD, "apache-2.0"),
        ("---\nlicense: other\nlicense_name: llama2\n---\n", "llama2"),
        ("# no metadata\n", None),
        ("---\nlicense: [a]\n---\n", None),
        ("---\nlicense: !!python/object/apply:os.system [ls]\n---\n", None),
        ("---\na: &a [x, x]\nb: &b [*a, *a]\nlicense: mit\n---\n", None),
        ("---\nlicense: \x1b[31m\n---\n", None),
        ("---\n" + "[" * 5_000 + "\n---\n", None),
    ],
)
def test_the_licence_on_a_card(tmp_path: Path, card: str, licence: str | None) -> None:
    (tmp_path / "README.md").write_text(card)
    assert card_licence(tmp_path) == licence


def test_a_card_that_leads_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "secret").write_text(CARD)
    (tmp_path / "adapter" / "README.md").symlink_to(tmp_path / "secret")
    assert card_licence(tmp_path / "adapter") is None


def test_from_a_plain_shell_with_a_planted_cache(plant: Plant, published: Path, base: Path) -> None:
    """The environment variables alone decide, as for every user of huggingface_hub."""
    config = json.loads((published / "adapter_config.json").read_text())
    (published / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "some-org/base"}))
    plant(published)
    cache = plant(base, "some-org/base").parents[2]
    model = read_base(cache / "models--some-org--base" / "snapshots" / COMMIT)
    assert (model.hub_id, model.commit) == ("some-org/base", COMMIT)
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "groupgap.cli", "check", "some-org/adapter@v1", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)["checks"][0]
    assert (row["commit"], row["compared"], row["base_named"]) == (COMMIT, True, "some-org/base")
