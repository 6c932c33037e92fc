"""Where a variant's files are: a local folder, or a repository of the hub, fetched without pickles or code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..errors import GroupgapError
from .tensors import inside

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
FETCHED = ("*.json", "*.safetensors", "tokenizer.model", "*.txt", "*.jinja", "README.md", "LICENSE*")
LEFT = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.py", "*.h5", "*.msgpack", "*.onnx", "*/*")
CONFIGS = ("adapter_config.json", "config.json")
_CARD_BYTES = 1 << 20
_FRONT_MATTER_BYTES = 1 << 16


@dataclass(frozen=True)
class Resolved:
    """A place that a roster or a command line names, found.

    Attributes:
        path: the folder.
        hub_id: ``org/name``; None for a local folder.
        commit: the hub's commit hash; None for a local folder.
        licence: from the card's metadata; None where it names none.
    """

    path: Path
    hub_id: str | None = None
    commit: str | None = None
    licence: str | None = None


def resolve(
    location: str | Path, revision: str | None = None, *, root: Path | None = None, fetch: bool = True
) -> Resolved:
    """Find a folder with weights.

    Args:
        location: a folder, or a hub id ``org/name`` or ``org/name@revision``. A folder that exists wins.
        revision: branch, tag or commit on the hub; not together with ``@revision``.
        root: the folder that a relative path starts from; the working folder where None.
        fetch: use the network; else only what the hub's cache holds.

    Returns:
        The folder; for a hub id, the snapshot in the hub's cache and its commit hash.

    Raises:
        GroupgapError: neither a folder nor a hub id; a folder without a configuration; a repository that is absent,
            gated, or not in the cache while offline.
    """
    text = str(location)
    folder = Path(root or Path(), Path(text).expanduser())
    if folder.is_dir():
        if revision:
            raise GroupgapError(f"{text}: is a folder, and a revision ({revision}) belongs to a hub id: leave it out")
        return _local(folder)
    name, _, at = text.partition("@")
    if not HUB_ID.fullmatch(name) or isinstance(location, Path):
        raise GroupgapError(f"{text}: no such folder (looked for {folder}), and not a hub id ORG/NAME[@REVISION]")
    if at and revision and at != revision:
        raise GroupgapError(f"{text}: names a revision, and revision: {revision} names another: keep one")
    return _from_hub(name, at or revision, folder, fetch)


def _local(folder: Path) -> Resolved:
    if not any((folder / name).is_file() for name in CONFIGS):
        raise GroupgapError(f"{folder}: holds neither {CONFIGS[0]} (an adapter) nor {CONFIGS[1]} (a model)")
    path = folder.absolute()
    hub_id, commit = cached_snapshot(path)
    return Resolved(path, hub_id, commit, card_licence(path))


def cached_snapshot(path: Path) -> tuple[str | None, str | None]:
    """The hub id and commit of a folder that is a snapshot in a hub cache."""
    repository = path.parent.parent.name
    if path.parent.name != "snapshots" or not repository.startswith("models--") or not _COMMIT.fullmatch(path.name):
        return None, None
    return repository.removeprefix("models--").replace("--", "/"), path.name


def _from_hub(name: str, revision: str | None, folder: Path, fetch: bool) -> Resolved:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    at = f"{name}@{revision}" if revision else name
    try:
        found = snapshot_download(
            name,
            revision=revision,
            allow_patterns=list(FETCHED),
            ignore_patterns=list(LEFT),
            local_files_only=not fetch,
        )
    except GatedRepoError:
        raise GroupgapError(
            f"{at}: its owner grants access on request: accept its terms on the hub, then hf auth login"
        ) from None
    except RevisionNotFoundError:
        raise GroupgapError(f"{at}: the repository has no such revision") from None
    except RepositoryNotFoundError:
        raise GroupgapError(f"{at}: no such repository on the hub (or a private one), and no folder {folder}") from None
    except LocalEntryNotFoundError:
        raise GroupgapError(
            f"{at}: not in the hub's cache, and the hub cannot be reached (HF_HUB_OFFLINE, or no network):"
            " fetch it where there is one, or give a folder"
        ) from None
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        raise GroupgapError(f"{at}: could not be fetched ({' '.join(str(error).split())[:160]})") from None
    path = Path(found)
    if not any((path / config).exists() for config in CONFIGS):
        raise GroupgapError(f"{at}: holds neither {CONFIGS[0]} (an adapter) nor {CONFIGS[1]} (a model)")
    return Resolved(path, name, path.name if _COMMIT.fullmatch(path.name) else None, card_licence(path))


def card_licence(folder: Path) -> str | None:
    """The licence that a folder's card (``README.md``) names in its metadata; None where it names none."""
    try:
        card = inside(folder, "README.md")
        if card.stat().st_size > _CARD_BYTES:
            return None
        text = card.read_text(encoding="utf-8", errors="replace")
    except (OSError, GroupgapError):
        return None
    found = re.match(r"---\r?\n(.*?)\r?\n---", text, flags=re.DOTALL)
    if not found or len(found[1]) > _FRONT_MATTER_BYTES or re.search(r"(^|[\s\[{,:])[&*]\w", found[1]):
        return None  # no anchors: they can unfold without end
    try:
        metadata = yaml.safe_load(found[1])
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    licence = metadata.get("license") if isinstance(metadata, dict) else None
    if licence == "other" and isinstance(metadata.get("license_name"), str):
        licence = metadata["license_name"]
    return licence[:80] if isinstance(licence, str) and licence.isprintable() else None
