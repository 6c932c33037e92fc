"""One variant's folder in lm-eval's own output format, written so that a kill at any moment loses one task at most.

``results_<date>.json`` and ``samples_<task>_<date>.jsonl`` are lm-eval's files, one pair a task; ``variant.json`` says
who answered; ``finished.json`` says which tasks are done, with what fingerprints. The files of a task are built in a
hidden folder and moved into place before its name enters ``finished.json``; what is not named there goes at the next
start. Reading has no side effects: only :meth:`RunFolder.begin` and the writers change anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import GroupgapError

FINISHED = "finished.json"
VARIANT = "variant.json"
_LM_EVAL_FILE = re.compile(r"(results|samples)_.*\.jsonl?")
_LOOKS_HASHED = re.compile(r".*-[0-9a-f]{8}")


def folder_name(variant: str) -> str:
    """A name that any file system takes, different for different variants.

    >>> folder_name("lora-seed13")
    'lora-seed13'
    >>> folder_name("../etc/passwd")
    '_etc_passwd-7fef78f5'
    """
    safe = re.sub(r"[^A-Za-z0-9._=+@-]", "_", variant).lstrip(".") or "_"
    if safe == variant and len(safe) <= 80 and not _LOOKS_HASHED.fullmatch(safe):
        return safe
    return f"{safe[:64]}-{hashlib.sha256(variant.encode()).hexdigest()[:8]}"


def fingerprint(**what: Any) -> str:
    """A hash of everything that an answer depends on; any change of it makes the answer old."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Mark:
    """What an answer depends on.

    Attributes:
        variant: fingerprint of who answers.
        task: fingerprint of what is asked.
    """

    variant: str
    task: str


@dataclass(frozen=True)
class _Entry:
    mark: Mark
    files: tuple[str, ...]


class RunFolder:
    """The folder of one variant.

    Args:
        root: the folder of all variants.
        variant: the variant's name.
    """

    def __init__(self, root: Path, variant: str) -> None:
        self.path = root / folder_name(variant)

    def finished(self) -> dict[str, Mark]:
        """Task -> the mark of the answers that stand here."""
        return {task: entry.mark for task, entry in self._entries().items()}

    def _entries(self) -> dict[str, _Entry]:
        """What ``finished.json`` names and is there; a file that is damaged names nothing."""
        try:
            told = json.loads((self.path / FINISHED).read_text())
            entries = {
                str(task): _Entry(Mark(str(entry["variant"]), str(entry["task"])), tuple(map(str, entry["files"])))
                for task, entry in told.items()
            }
            there = {path.name for path in self.path.iterdir()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}
        return {task: entry for task, entry in entries.items() if entry.files and there.issuperset(entry.files)}

    def begin(self, marks: Mapping[str, Mark]) -> None:
        """Make the folder, and remove what an interrupted run left and what answers of another variant left.

        Args:
            marks: the tasks that are asked now; an entry of the same task with another mark, or of any task with
                another variant's mark, is old and goes before ``variant.json`` changes.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        variants = {mark.variant for mark in marks.values()}
        entries = {
            task: entry
            for task, entry in self._entries().items()
            if entry.mark.variant in variants and marks.get(task, entry.mark) == entry.mark
        }
        self._write(entries)
        kept = {name for entry in entries.values() for name in entry.files}
        for path in self.path.iterdir():
            if path.name.startswith(".task-"):
                shutil.rmtree(path)
            elif _LM_EVAL_FILE.fullmatch(path.name) and path.name not in kept:
                path.unlink()

    def write_variant(self, description: Mapping[str, Any]) -> None:
        """Say who answers; lm-eval's files are read together with this."""
        write_json(self.path / VARIANT, description)

    def write_task(self, task: str, mark: Mark, save: Callable[[Path], None]) -> None:
        """Let ``save`` write lm-eval's files of one task into an empty folder (at any depth), and take them in.

        Args:
            task: its name.
            mark: the mark of these answers.
            save: writes one ``results_*.json`` and its ``samples_*.jsonl``, whole, or raises.

        Raises:
            GroupgapError: a file is missing or empty.
        """
        build = self.path / f".task-{hashlib.sha256(task.encode()).hexdigest()[:16]}"
        shutil.rmtree(build, ignore_errors=True)
        build.mkdir()
        save(build)
        files = sorted(path for path in build.rglob("*") if _LM_EVAL_FILE.fullmatch(path.name))
        kinds = {path.name.partition("_")[0] for path in files}
        if kinds != {"results", "samples"} or not all(path.stat().st_size for path in files):
            raise GroupgapError(f"{build}: lm-eval wrote no whole results and samples of {task} (is the disk full?)")
        for path in files:
            _to_disk(path)
            path.replace(self.path / path.name)
        entries = self._entries()
        old = set(entries[task].files) if task in entries else set()
        entries[task] = _Entry(mark, tuple(path.name for path in files))
        self._write(entries)
        for name in old - set(entries[task].files):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(build)

    def _write(self, entries: Mapping[str, _Entry]) -> None:
        told = {
            task: {"variant": entry.mark.variant, "task": entry.mark.task, "files": list(entry.files)}
            for task, entry in entries.items()
        }
        write_json(self.path / FINISHED, told)


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write strict JSON whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
