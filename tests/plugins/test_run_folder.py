"""Run folders: what is finished stays, what is not is gone at the next start, and no name leaves the folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from groupgap import GroupgapError
from groupgap.plugins.run_folder import Mark, RunFolder, fingerprint, folder_name
from hypothesis import given
from hypothesis import strategies as st

MARK = Mark("v", "t")


def begun(root: Path) -> RunFolder:
    """A folder as a worker of the same variant begins it."""
    folder = RunFolder(root, "lora")
    folder.begin({"asked now": MARK})
    return folder


def _save(date: str, answer: str = "a", task: str = "t") -> object:
    def save(folder: Path) -> None:
        (folder / "model").mkdir()
        (folder / "model" / f"results_{date}.json").write_text(json.dumps({"answer": answer}))
        (folder / "model" / f"samples_{task}_{date}.jsonl").write_text("{}\n")

    return save


def _names(folder: RunFolder) -> set[str]:
    return {path.name for path in folder.path.iterdir()}


def test_a_finished_task_stands_there_with_its_fingerprint(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    folder.write_task("t", MARK, _save("1"))  # type: ignore[arg-type]
    assert _names(folder) == {"results_1.json", "samples_t_1.jsonl", "finished.json"}
    assert begun(tmp_path).finished() == {"t": MARK}


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


@pytest.mark.parametrize("moment", ["while writing", "while moving", "before the list"])
def test_a_kill_loses_the_task_that_was_being_written_and_no_other(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(tmp_path)
    folder.write_task("first", MARK, _save("1", task="first"))  # type: ignore[arg-type]

    def killed_save(path: Path) -> None:
        _save("2")(path)  # type: ignore[operator]
        if moment == "while writing":
            raise Killed

    if moment == "while moving":
        real, moved = Path.replace, []

        def replace(source: Path, target: Path) -> Path:
            moved.append(source)
            if len(moved) == 2:
                raise Killed
            return real(source, target)

        monkeypatch.setattr(Path, "replace", replace)
    if moment == "before the list":

        def no_list(*_: object) -> None:
            raise Killed

        monkeypatch.setattr("groupgap.plugins.run_folder.write_json", no_list)
    with pytest.raises(Killed):
        folder.write_task("second", MARK, killed_save)
    monkeypatch.undo()
    again = begun(tmp_path)
    assert again.finished() == {"first": MARK}
    assert _names(again) == {"results_1.json", "samples_first_1.jsonl", "finished.json"}


def test_a_task_that_is_run_again_replaces_its_old_answers(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    folder.write_task("t", Mark("v", "old"), _save("1"))  # type: ignore[arg-type]
    folder.write_task("t", Mark("v", "new"), _save("2"))  # type: ignore[arg-type]
    assert folder.finished() == {"t": Mark("v", "new")}
    assert _names(folder) == {"results_2.json", "samples_t_2.jsonl", "finished.json"}


def test_a_file_that_somebody_removed_makes_the_task_unfinished(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    folder.write_task("t", MARK, _save("1"))  # type: ignore[arg-type]
    (folder.path / "samples_t_1.jsonl").unlink()
    assert folder.finished() == {}


def test_reading_changes_nothing(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    (folder.path / "samples_x_1.jsonl").write_text("{}")
    (folder.path / ".task-1").mkdir()
    assert RunFolder(tmp_path, "lora").finished() == {}
    assert RunFolder(tmp_path, "never begun").finished() == {}
    assert _names(folder) == {"samples_x_1.jsonl", ".task-1", "finished.json"}


@pytest.mark.parametrize("marks", [{"t": Mark("v", "other prompt")}, {"u": Mark("other weights", "u")}])
def test_old_answers_go_before_another_variant_is_described(marks: dict[str, Mark], tmp_path: Path) -> None:
    folder = begun(tmp_path)
    folder.write_task("t", MARK, _save("1"))  # type: ignore[arg-type]
    folder.begin(marks)
    assert folder.finished() == {}
    assert _names(folder) == {"finished.json"}


def test_answers_to_a_task_that_is_not_asked_now_stay(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    folder.write_task("t", MARK, _save("1"))  # type: ignore[arg-type]
    folder.begin({"u": Mark("v", "u")})
    assert folder.finished() == {"t": MARK}


@pytest.mark.parametrize("kind", ["no samples", "nothing", "empty"])
def test_a_task_that_was_not_written_whole_is_not_finished(kind: str, tmp_path: Path) -> None:
    def save(path: Path) -> None:
        if kind != "nothing":
            (path / "results_1.json").write_text("{}")
        if kind == "empty":
            (path / "samples_t_1.jsonl").write_text("")

    folder = begun(tmp_path)
    with pytest.raises(GroupgapError, match="is the disk full"):
        folder.write_task("t", MARK, save)
    assert folder.finished() == {}


@pytest.mark.parametrize("text", ["[]", "3", '{"t": {}}', '{"t": 3}', '{"t": {"files": []}}', "{"])
def test_a_damaged_list_names_nothing(text: str, tmp_path: Path) -> None:
    folder = begun(tmp_path)
    (folder.path / "finished.json").write_text(text)
    assert folder.finished() == {}


def test_a_name_that_looks_like_anothers_folder_gets_its_own() -> None:
    assert folder_name(folder_name("my lora")) != folder_name("my lora")


@given(st.text(max_size=200))
def test_no_variant_name_leaves_its_folder(name: str) -> None:
    part = folder_name(name)
    assert Path(part).name == part
    assert not part.startswith(".")
    assert len(part) < 100


@given(st.text(max_size=20), st.text(max_size=20))
def test_different_variants_have_different_folders(left: str, right: str) -> None:
    assert (folder_name(left) == folder_name(right)) == (left == right)


def test_a_fingerprint_changes_with_every_part_and_not_with_their_order() -> None:
    mark = fingerprint(task="t", weights="abc", options={"a": 1, "b": 2})
    assert mark == fingerprint(options={"b": 2, "a": 1}, weights="abc", task="t")
    assert mark != fingerprint(task="t", weights="abd", options={"a": 1, "b": 2})
