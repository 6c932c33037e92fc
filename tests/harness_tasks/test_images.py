"""Where images lie: names on every machine, folders on one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from groupgap.errors import GroupgapError
from groupgap.harness_tasks.images import image_fields, image_path, image_root, leave_out, made_root


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``GROUPGAP_DATA`` with a set ``faces``, and an empty cache."""
    (tmp_path / "data/faces/a").mkdir(parents=True)
    (tmp_path / "data/faces/a/1.png").write_bytes(b"one")
    (tmp_path / "data/secret.png").write_bytes(b"two")
    monkeypatch.setenv("GROUPGAP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GROUPGAP_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_document_names_its_image_without_a_word_about_the_machine(data: Path) -> None:
    fields = image_fields("faces", "a/1.png")
    digest = hashlib.sha256(b"one").hexdigest()
    assert fields == {"image_set": "faces", "image": "a/1.png", "image_sha256": digest}
    assert str(data) not in str(fields)


def test_a_changed_file_has_another_hash_in_the_same_process(data: Path) -> None:
    before = image_fields("faces", "a/1.png")
    (data / "data/faces/a/1.png").write_bytes(b"changed")
    assert image_fields("faces", "a/1.png")["image_sha256"] != before["image_sha256"]


def test_a_set_lies_in_the_users_folder_or_where_a_loader_made_it(data: Path) -> None:
    assert image_root("faces") == data / "data/faces"
    with pytest.raises(GroupgapError, match=r"image set 'drawn': no such folder .*set GROUPGAP_DATA"):
        image_root("drawn")
    made_root("drawn").mkdir(parents=True)
    assert image_root("drawn") == data / "cache/images/drawn"


@pytest.mark.parametrize("name", ["", "..", "/etc", "a/../b", "a//b", ".hidden", "a\\b", "a\0b"])
def test_a_strange_name_of_a_set_is_refused(data: Path, name: str) -> None:
    with pytest.raises(GroupgapError, match="expected a name of letters"):
        image_root(name)


@pytest.mark.parametrize(
    "image", ["../secret.png", "/etc/passwd", "a/../../secret.png", "", "a\\..\\1.png", "link.png"]
)
def test_a_path_out_of_the_folder_is_refused(data: Path, image: str) -> None:
    root = data / "data/faces"
    (root / "link.png").symlink_to(data / "data/secret.png")
    with pytest.raises(GroupgapError, match="leads out of its folder"):
        image_path(root, image)


def test_an_absent_file_is_named(data: Path) -> None:
    with pytest.raises(GroupgapError, match=r"'a/2.png' of 'faces': cannot be read \(No such file"):
        image_fields("faces", "a/2.png")


def test_images_are_left_out_when_the_user_says_so() -> None:
    documents = [{"image": "a.png"}, {"image": "b.png"}]
    assert leave_out(documents, None) == documents
    assert leave_out(documents, ["a.png"]) == [{"image": "b.png"}]
    with pytest.raises(GroupgapError, match=r"no document has the image 'c.png'"):
        leave_out(documents, ["c.png"])
    with pytest.raises(GroupgapError, match="expected a list of images"):
        leave_out(documents, "a.png")
