"""Documents of image tasks: ids by content, counts, and each way in which labels and files do not fit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.image_rows import ImageOptions, ImageSource, Labelled, find_set, image_rows
from groupgap.harness_tasks.splits import split_rows

FILES = {"a/1.png": b"one", "a/2.png": b"two", "b/3.png": b"one"}


@pytest.fixture
def folder(data: Path) -> Path:
    for name, content in FILES.items():
        path = data / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return data / "mine"


def load(images: Any, **options: Any) -> Any:
    source = ImageSource("mine", "labels.csv", {"source": "file"}, options=ImageOptions.read(options))
    return image_rows(source, [Labelled(image, 1, {"hue": ["red"]}) for image in images])


def test_documents_name_set_path_and_hash_and_no_place_on_this_machine(folder: Path) -> None:
    rows = load(["b/3.png", "a/2.png", "a/1.png"])
    digest = hashlib.sha256(b"one").hexdigest()
    assert rows.documents[0] == {
        "id": digest[:16],
        "image_set": "mine",
        "image": "a/1.png",
        "image_sha256": digest,
        "label": 1,
        "hue": ["red"],
    }
    assert [document["image"] for document in rows.documents] == sorted(FILES)
    assert str(folder.parent) not in repr(rows)


def test_equal_images_are_copies_and_share_a_part(folder: Path) -> None:
    rows = load(FILES)
    first, _, last = rows.documents
    assert last["id"] == f"{first['id']}#copy2"
    assert rows.origin["copies"] == 1
    parts = split_rows(rows.documents)
    assert any({first["id"], last["id"]} <= {row["id"] for row in part} for part in parts.values())


def test_one_hash_stands_for_all_images_and_their_names(folder: Path) -> None:
    before = load(FILES).origin["images_sha256"]
    assert load(reversed(FILES)).origin["images_sha256"] == before
    (folder / "a/2.png").write_bytes(b"two!")
    assert load(FILES).origin["images_sha256"] != before


def test_labels_without_a_file_are_an_error_or_counted(folder: Path) -> None:
    wanted = [*FILES, "a/9.png", "c/8.png"]
    with pytest.raises(GroupgapError, match=r"labels.csv: 2 of 5 images are not in .*\(first: 'a/9.png', 'c/8.png'\)"):
        load(wanted)
    rows = load(wanted, missing="drop")
    assert (rows.origin["rows"], rows.origin["missing_files"]) == (3, 2)
    with pytest.raises(GroupgapError, match="names no image that is there"):
        load(["a/9.png"], missing="drop")
    with pytest.raises(GroupgapError, match="option missing='skip': expected one of error, drop"):
        load(FILES, missing="skip")


def test_an_image_named_twice_is_an_error(folder: Path) -> None:
    with pytest.raises(GroupgapError, match=r"names the image .a/1\.png. twice"):
        load(["a/1.png", "a/2.png", "a/1.png"])


@pytest.mark.parametrize("image", ["../outside.png", "/etc/passwd", "a/../../outside.png", "link.png", "a\\..\\b.png"])
def test_a_path_that_leaves_the_folder_is_an_error_even_where_files_may_be_missing(folder: Path, image: str) -> None:
    (folder.parent / "outside.png").write_bytes(b"secret")
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    with pytest.raises(GroupgapError, match="leads out of its folder"):
        load([*FILES, image], missing="drop")


def test_images_are_left_out_by_name_for_everybody(folder: Path) -> None:
    rows = load(FILES, exclude_images=["a/2.png"])
    assert [document["image"] for document in rows.documents] == ["a/1.png", "b/3.png"]
    assert rows.origin["excluded"] == 1
    with pytest.raises(GroupgapError, match=r"exclude_images: no document has the image .x\.png."):
        load(FILES, exclude_images=["x.png"])


def test_the_set_is_the_folder_that_is_named_or_a_usual_one(folder: Path) -> None:
    assert find_set(None, ("other", "mine"), "how") == "mine"
    assert find_set("mine", ("other",), "how") == "mine"
    with pytest.raises(GroupgapError, match="the images are not on this machine: fetch them"):
        find_set(None, ("other",), "fetch them")
    with pytest.raises(GroupgapError, match="image set 'elsewhere': no such folder"):
        find_set("elsewhere", ("mine",), "how")
    for wrong in (3, "../mine", "/tmp"):
        with pytest.raises(GroupgapError, match="expected"):
            find_set(wrong, (), "how")
