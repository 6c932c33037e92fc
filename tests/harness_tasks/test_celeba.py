"""CelebA in torchvision's layout, read by torchvision too, and what is refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.celeba import utils as celeba_module
from groupgap.harness_tasks.celeba.utils import celeba
from groupgap.plugins.torchvision_guard import missing_operators_skipped
from lm_eval.tasks import TaskManager
from PIL import Image

HEADER = ["Bald", "Male", "Smiling", "Young"]


@pytest.fixture
def folder(data: Path) -> Path:
    """Forty drawn squares with attributes, partitions and the three other files that torchvision reads."""
    rng = random.Random(5)
    root = data / "celeba"
    (root / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06d}.jpg" for number in range(1, 41)]
    for number, name in enumerate(names):
        Image.new("RGB", (4, 4), (6 * number, 0, 0)).save(root / "img_align_celeba" / name)
    rows = [f"{name} {'  '.join(rng.choice(['1', '-1']) for _ in HEADER)}" for name in names]
    (root / "list_attr_celeba.txt").write_text("\n".join([str(len(names)), " ".join(HEADER), *rows]) + "\n")
    parts = "".join(f"{name} {number % 3}\n" for number, name in enumerate(names))
    (root / "list_eval_partition.txt").write_text(parts)
    (root / "identity_CelebA.txt").write_text("".join(f"{name} 1\n" for name in names))
    boxes = "".join(f"{name} 0 0 4 4\n" for name in names)
    (root / "list_bbox_celeba.txt").write_text(f"{len(names)}\nimage_id x_1 y_1 width height\n{boxes}")
    marks = "".join(f"{name} 1 1\n" for name in names)
    (root / "list_landmarks_align_celeba.txt").write_text(f"{len(names)}\nlefteye_x lefteye_y\n{marks}")
    return root


@pytest.mark.parametrize("portion", ["train", "valid", "test", "all"])
def test_labels_and_groups_are_torchvision_s(folder: Path, portion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with missing_operators_skipped():
        from torchvision.datasets import CelebA

    monkeypatch.setattr(CelebA, "_check_integrity", lambda _: True)  # the hashes of the published files
    theirs = CelebA(str(folder.parent), split=portion, target_type="attr")
    rows = celeba(attribute="Young", groups=["Male", "Bald"], portion=portion)
    found = {
        row["image"].partition("/")[2]: (row["label"], row["Male"] == ["Male"], row["Bald"] == ["Bald"])
        for row in rows.documents
    }
    places = [theirs.attr_names.index(name) for name in ("Young", "Male", "Bald")]
    expected = {
        name: tuple(int(flags[place]) for place in places)
        for name, flags in zip(theirs.filename, theirs.attr, strict=True)
    }
    assert found == expected
    assert rows.origin["complete"] is False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attribute": "Male"}, "option groups=['Male']: expected attributes other than 'Male', the label's own"),
        ({"groups": []}, "option groups=[]: expected attributes other than 'Smiling'"),
        ({"attribute": "Happy"}, "no attribute 'Happy'; there are Bald, Male, Smiling, Young"),
        ({"groups": ["Race"]}, "no attribute 'Race'"),
        ({"portion": "validation"}, "option portion='validation': expected one of train, valid, test, all"),
    ],
)
def test_wrong_options_are_named(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError) as caught:
        celeba(**options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[1:], "expected the number of images"),
        (lambda lines: lines[:-1], "expected the number of images"),
        (
            lambda lines: [*lines[:3], lines[3].replace("-1", "0"), *lines[4:]],
            "line 4: expected a new image and 4 times",
        ),
        (lambda lines: [*lines[:3], lines[2], *lines[4:]], "line 4: expected a new image"),
    ],
)
def test_a_file_of_another_form_is_refused(folder: Path, change: Any, message: str) -> None:
    file = folder / "list_attr_celeba.txt"
    lines = file.read_text().splitlines()
    lines[3] = lines[3].partition(" ")[0] + " -1 -1 1 1"
    file.write_text("\n".join(change(lines)))
    with pytest.raises(GroupgapError, match=message):
        celeba()


def test_a_partition_of_another_form_is_refused(folder: Path) -> None:
    file = folder / "list_eval_partition.txt"
    first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([first, rest[0].split()[0], *rest[1:]]))
    with pytest.raises(GroupgapError, match=r"list_eval_partition\.txt, line 2: expected an image and 0, 1 or 2"):
        celeba()


def test_what_is_absent_is_said_and_never_downloaded(data: Path) -> None:
    with pytest.raises(GroupgapError, match=r"not on this machine: torchvision\.datasets\.CelebA.*non-commercial"):
        celeba()
    (data / "celeba").mkdir()
    with pytest.raises(GroupgapError, match=r"list_attr_celeba\.txt: cannot be read"):
        celeba()


def test_the_task_takes_options_through_lm_eval(folder: Path) -> None:
    path = str(Path(celeba_module.__file__).parents[1])
    options = {"attribute": "Young", "portion": "all", "part": "all"}
    manager = TaskManager(include_defaults=False, include_path=path, metadata=options)
    task = manager.load(["celeba_fair"])["tasks"]["celeba_fair"]
    assert task.doc_to_choice(task.eval_docs[0]) == ["not Young", "Young"]
    assert [axis.groups for axis in task.code.axes] == [("Male", "not Male")]
    assert len(task.eval_docs) == 40
