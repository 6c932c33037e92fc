"""Planted data in the schemas of the published sets, and a planted cache of the hub."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from groupgap.harness_tasks.dlab.utils import GROUPS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Row = dict[str, str]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ``GROUPGAP_DATA``, and a hub that cannot be reached and whose cache is empty."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("GROUPGAP_DATA", str(folder))
    monkeypatch.setenv("GROUPGAP_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def real(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real data as ``GROUPGAP_DATA``."""
    monkeypatch.setenv("GROUPGAP_DATA", str(shared / "data"))
    return shared / "data"


@pytest.fixture
def plant(tmp_path: Path, data: Path) -> Callable[[str, str, dict[str, bytes]], None]:
    """Put files of a dataset into the hub's cache, under a revision that resolves to :data:`COMMIT`."""

    def planting(repo: str, revision: str, files: dict[str, bytes]) -> None:
        root = tmp_path / "hub" / f"datasets--{repo.replace('/', '--')}"
        commit = revision if len(revision) == 40 else COMMIT
        if commit != revision:
            reference = root / "refs" / revision
            reference.parent.mkdir(parents=True, exist_ok=True)
            reference.write_text(commit)
        for name, content in files.items():
            path = root / "snapshots" / commit / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    return planting


@pytest.fixture
def commit() -> str:
    """The commit that every planted branch resolves to."""
    return COMMIT


@pytest.fixture
def dlab_rows() -> list[Row]:
    """Annotation rows in D-Lab's csv schema (131 columns), several annotators a comment, in shuffled order."""
    rng = random.Random(1)
    flags = [f"target_{axis}_{group}" for axis, groups in GROUPS.items() for group in groups]
    fixed = ["comment_id", "annotator_id", "hate_speech_score", "text", *flags, *(f"target_{axis}" for axis in GROUPS)]
    filler = [f"annotator_detail_{number}" for number in range(131 - len(fixed))]
    rows = []
    for comment in range(80):
        score = rng.choice(["0.5", "0.51", "-1.25", "2.0", "0.49"])
        for annotator in range(rng.randint(1, 6)):
            row = dict.fromkeys(filler, "0")
            row |= {"comment_id": str(1000 + comment), "annotator_id": str(annotator), "hate_speech_score": score}
            row |= {"text": f'remark, number {comment}\nof "many"'}
            for flag in flags:
                row[flag] = rng.choice(["true", "false", "false", "false", "false"])
            for axis, groups in GROUPS.items():
                named = any(row[f"target_{axis}_{group}"] == "true" for group in groups)
                row[f"target_{axis}"] = "true" if named else "false"
            rows.append(row)
    rng.shuffle(rows)
    return rows


@pytest.fixture
def write_csv() -> Callable[[Path, list[Row]], Path]:
    """Write rows as a csv file, making its folder."""

    def writing(path: Path, rows: list[Row]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return writing


@pytest.fixture
def dlab_parquet(dlab_rows: list[Row]) -> bytes:
    """The same rows typed as in the hub's parquet file."""
    frame = pd.DataFrame(dlab_rows)
    for column in frame.columns:
        if column.startswith("target_"):
            frame[column] = frame[column] == "true"
    frame["hate_speech_score"] = frame["hate_speech_score"].astype(float)
    frame["comment_id"] = frame["comment_id"].astype("int64")
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()
