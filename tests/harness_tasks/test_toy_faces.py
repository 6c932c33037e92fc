"""The drawn discs: bytes that are everywhere the same, ceilings that a perfect reader reaches, and where they lie."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.toy_faces import utils as toy
from groupgap.harness_tasks.toy_faces.draw import BENT, HUES, PIXELS, SIZE, Discs, draw, plan
from lm_eval.tasks import TaskManager
from PIL import Image

FOLDER = str(Path(toy.__file__).parents[1])


@pytest.fixture(scope="module")
def discs() -> Discs:
    return plan()


@pytest.fixture
def drawn(drawn_faces: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GROUPGAP_CACHE", str(drawn_faces))
    monkeypatch.delenv("GROUPGAP_DATA", raising=False)
    return drawn_faces


def test_a_perfect_reader_of_mouths_reaches_exactly_the_ceilings(discs: Discs) -> None:
    read = (discs.curvature > 0) == discs.smiles
    for number, hue in enumerate(HUES):
        mine = discs.hue == number
        assert read[mine].mean() == pytest.approx(hue.ceiling, abs=1 / mine.sum())
        assert mine.mean() == pytest.approx(hue.share, abs=1 / SIZE)
        assert discs.smiles[mine].mean() == pytest.approx(0.5, abs=1 / mine.sum())
    assert [hue.ceiling for hue in HUES] == [0.97, 0.93, 0.88, 0.83, 0.76]
    assert sum(hue.share for hue in HUES) == pytest.approx(1)


def test_no_threshold_on_the_curvature_does_better_than_the_ceiling(discs: Discs) -> None:
    for number, hue in enumerate(HUES):
        mine = discs.hue == number
        rates = [((discs.curvature[mine] > cut) == discs.smiles[mine]).mean() for cut in np.linspace(-2, 2, 81)]
        assert max(rates) <= hue.ceiling + 2 / mine.sum()
        assert hue.distance == pytest.approx(NormalDist().inv_cdf(hue.ceiling))


def test_the_pixels_show_the_hue_and_the_mouth_and_nothing_else_of_the_label(discs: Discs) -> None:
    """A least-squares reader of the pixels finds the curvature; from the part above the mouth it finds nothing."""
    some = 1500
    images = np.stack([_open(data) for data, _ in zip(draw(discs), range(some), strict=False)])
    dark = (images.sum(axis=-1) < 240).astype(float)
    for rows, least, most in ((slice(26, 48), 0.85, 1.0), (slice(0, 24), 0.0, 0.3)):
        features = np.column_stack([dark[:, rows].reshape(some, -1)[:, ::3], np.ones(some)])
        weights, *_ = np.linalg.lstsq(features[:1000], discs.curvature[:1000], rcond=1e-2)
        found = np.corrcoef(features[1000:] @ weights, discs.curvature[1000:some])[0, 1]
        assert least <= found <= most, (rows, found)
    centre = images[:, PIXELS // 2 - 1, PIXELS // 2].astype(float)
    for number, hue in enumerate(HUES):
        mean = centre[discs.hue[:some] == number].mean(axis=0) / 255
        assert mean / mean.sum() == pytest.approx(np.array(hue.colour) / sum(hue.colour), abs=0.02)


def _open(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode, image.size) == ("BMP", "RGB", (PIXELS, PIXELS))
        return np.asarray(image)


def test_the_same_bytes_everywhere_and_every_time(drawn: Path) -> None:
    rows = toy.faces()
    assert rows.origin["images_sha256"] == toy.IMAGES_SHA256
    assert rows.origin["source"] == "generated"
    assert rows.origin["copies"] == 0
    first = rows.documents[0]
    file = drawn / "images" / toy.IMAGE_SET / first["image"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == first["image_sha256"]
    assert first["image_sha256"] == hashlib.sha256(next(draw(plan()))).hexdigest()
    files = [path for path in drawn.rglob("*") if path.is_file()]
    assert len(files) == SIZE + 1
    assert all(path.is_relative_to(drawn / "images" / toy.IMAGE_SET) for path in files)


def test_they_are_drawn_once_and_a_file_that_is_lost_or_changed_is_noticed(drawn: Path, discs: Discs) -> None:
    root = drawn / "images" / toy.IMAGE_SET
    file = root / toy.image_name(7)
    whole, stamp = file.read_bytes(), file.stat().st_mtime_ns
    toy.ensure_drawn(discs)
    assert file.stat().st_mtime_ns == stamp
    file.write_bytes(whole[:-1] + b"\0")
    with pytest.raises(GroupgapError, match="holds other images than are drawn there: delete the folder"):
        toy.faces()
    (root / toy.DRAWN).unlink()  # as after a run that was killed
    file.write_bytes(whole[:100])
    toy.ensure_drawn(discs)
    assert file.read_bytes() == whole


def test_a_related_question_without_noise(drawn: Path, discs: Discs) -> None:
    rows = toy.faces(label="bend")
    assert rows.fair is not None
    assert (rows.fair["choices"], rows.fair["positive"]) == (["flat", "bent"], "bent")
    bent = {toy.image_name(place): int(abs(discs.curvature[place]) > BENT) for place in range(SIZE)}
    assert {row["image"]: row["label"] for row in rows.documents} == bent
    with pytest.raises(GroupgapError, match="option label='smile': expected one of mood, bend"):
        toy.faces(label="smile")


def test_the_task_says_what_it_is_and_splits_by_content(drawn: Path) -> None:
    manager = TaskManager(include_defaults=False, include_path=FOLDER)
    task = manager.load(["toy_faces_fair"])["tasks"]["toy_faces_fair"]
    sizes = task.config.metadata["fair"]["data"]["sizes"]
    assert sizes["all"] == SIZE
    assert 1100 < sizes["test"] < 1300
    assert task.doc_to_choice(task.eval_docs[0]) == ["frown", "smile"]
    assert "not people" in task.config.metadata["fair"]["source"]["citation"]


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, discs: Discs, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("GROUPGAP_CACHE", str(tmp_path / "file"))
    with pytest.raises(GroupgapError, match=r"cannot be written .*: set GROUPGAP_CACHE to a folder with room"):
        toy.ensure_drawn(discs)
