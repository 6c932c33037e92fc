"""One variant's folder in lm-eval's own output format, written so that a kill at any moment loses one task at most.

``results_<date>.json`` and ``samples_<task>_<date>.jsonl`` are lm-eval's files, one pair a task; ``variant.json`` says
who answered; ``finished.json`` says which tasks are done, and with what fingerprint. The files of a task are built in a
hidden folder and moved into place before its name enters ``finished.json``; what is not named there goes at the next
start.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FINISHED = "finished.json"
VARIANT = "variant.json"
_LM_EVAL_FILE = re.compile(r"(results|samples)_.*\.jsonl?")


def folder_name(variant: str) -> str:
    """A name that any file system takes, different for different variants.

    >>> folder_name("lora-seed13")
    'lora-seed13'
    >>> folder_name("../etc/passwd")
    '_etc_passwd-7fef78f5'
    """
    safe = re.sub(r"[^A-Za-z0-9._=+@-]", "_", variant).lstrip(".") or "_"
    if safe == variant and len(safe) <= 80:
        return safe
    return f"{safe[:64]}-{hashlib.sha256(variant.encode()).hexdigest()[:8]}"


def fingerprint(**what: Any) -> str:
    """A hash of everything that an answer depends on; any change of it makes the answer old."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()


class RunFolder:
    """The folder of one variant.

    Args:
        root: the folder of all variants.
        variant: the variant's name.
    """

    def __init__(self, root: Path, variant: str) -> None:
        self.path = root / folder_name(variant)
        self.path.mkdir(parents=True, exist_ok=True)
        self._remove_unfinished()

    def finished(self) -> dict[str, str]:
        """Task -> fingerprint of the answers that stand here."""
        return {task: entry["fingerprint"] for task, entry in self._entries().items()}

    def _entries(self) -> dict[str, Any]:
        try:
            entries = json.loads((self.path / FINISHED).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        files_there = {path.name for path in self.path.iterdir()}
        return {task: entry for task, entry in entries.items() if files_there.issuperset(entry["files"])}

    def _remove_unfinished(self) -> None:
        kept = {name for entry in self._entries().values() for name in entry["files"]}
        for path in self.path.iterdir():
            if path.name.startswith(".task-"):
                shutil.rmtree(path)
            elif _LM_EVAL_FILE.fullmatch(path.name) and path.name not in kept:
                path.unlink()

    def write_variant(self, description: Mapping[str, Any]) -> None:
        """Say who answers; lm-eval's files are read together with this."""
        write_json(self.path / VARIANT, description)

    def write_task(self, task: str, mark: str, save: Callable[[Path], None]) -> None:
        """Let ``save`` write lm-eval's files of one task into an empty folder (at any depth), and take them in.

        Args:
            task: its name.
            mark: the fingerprint of these answers.
            save: writes ``results_*.json`` and ``samples_*.jsonl``.
        """
        build = self.path / f".task-{hashlib.sha256(task.encode()).hexdigest()[:16]}"
        shutil.rmtree(build, ignore_errors=True)
        build.mkdir()
        save(build)
        files = sorted(path for path in build.rglob("*") if _LM_EVAL_FILE.fullmatch(path.name))
        entries = self._entries()
        old = entries.pop(task, {"files": []})["files"]
        for path in files:
            path.replace(self.path / path.name)
        entries[task] = {"fingerprint": mark, "files": [path.name for path in files]}
        write_json(self.path / FINISHED, entries)
        for name in set(old) - set(entries[task]["files"]):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(build)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write strict JSON whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
