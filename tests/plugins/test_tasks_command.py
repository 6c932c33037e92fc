"""``groupgap tasks``: every task is described, its data found or not, and nothing is fetched."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from groupgap.cli import main
from groupgap.plugins import tasks_command
from groupgap.plugins.discovery import tasks_path
from groupgap.plugins.tasks_command import Availability, TaskEntry, as_table, list_tasks


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No data folder and an empty hub cache; a connection fails the test."""
    from huggingface_hub import constants

    monkeypatch.delenv("GROUPGAP_DATA", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", constants.HF_HUB_OFFLINE)
    monkeypatch.setenv("HF_HUB_OFFLINE", os.environ.get("HF_HUB_OFFLINE", "0"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was tried"))


def entry(**changes: object) -> TaskEntry:
    values = {
        "task": "a_fair",
        "dataset": "a",
        "axes": {"religion": ["x", "y"]},
        "tags": ["groupgap"],
        "licence": "MIT",
        "hub": "org/a",
        "url": "https://example.org",
        "citation": "A 2024",
        "prompt": "a/1",
        "data": Availability(here=True, source="file", dataset="a", rows=1234),
    }
    return TaskEntry(**{**values, **changes})  # type: ignore[arg-type]


def test_every_task_file_is_listed_with_what_a_reader_needs() -> None:
    entries = {task.task: task for task in list_tasks()}
    assert set(entries) == {path.stem for path in tasks_path().rglob("*.yaml")}
    for task in entries.values():
        assert task.licence, task.task
        assert task.prompt, task.task
        assert task.axes or task.task in ("csv_fair", "imagefolder_fair"), task.task
        assert all(task.axes.values()), task.task
        if task.hub is not None:
            assert task.citation, task.task
            assert str(task.url).startswith("https://"), task.task


def test_generated_rows_are_here_and_published_ones_say_how_to_get_them() -> None:
    entries = {task.task: task for task in list_tasks()}
    toy = entries["toy_religion_fair"].data
    assert (toy.here, toy.source, toy.how) == (True, "generated", None)
    assert toy.rows is not None
    assert toy.rows > 1000
    missing = entries["toxigen_fair"].data
    assert (missing.here, missing.rows) == (False, None)
    assert missing.how is not None
    assert "GROUPGAP_DATA" in missing.how
    assert "https://" in missing.how


def test_rows_of_a_local_file_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "toxigen"
    folder.mkdir(parents=True)
    header = "text,target_group,actual_method,toxicity_human,toxicity_ai,label"
    lines = [f"row {number},women,top-k,{number}.0,1.0,hate" for number in range(1, 6)]
    (folder / "annotated_train.csv").write_text("\n".join([header, *lines]) + "\n")
    monkeypatch.setenv("GROUPGAP_DATA", str(tmp_path / "data"))
    data = next(task.data for task in list_tasks() if task.task == "toxigen_fair")
    assert (data.here, data.source, data.rows, data.complete) == (True, "file", 5, False)


def test_json_holds_every_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "--json"]) == 0
    entries = {task["task"]: task for task in json.loads(capsys.readouterr().out)}
    assert len(entries["toxigen_fair"]["axes"]["group"]) == 13
    assert entries["toxigen_fair"]["data"]["here"] is False


def test_the_table_has_a_line_per_task_and_axis(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["task", "axis", "groups", "rows", "licence", "data"]
    assert sum(line.startswith("dlab_fair ") for line in lines) == 5
    assert any(line.startswith("toy_religion_fair ") and line.endswith("generated") for line in lines)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "here"),
        ({"data": Availability(here=True, source="hub", rows=3)}, "here (hub cache)"),
        ({"data": Availability(here=True, source="file", rows=3, complete=False)}, "here, a part of it"),
        ({"data": Availability(here=True, source="generated", rows=3), "hub": None}, "generated"),
        ({"data": Availability(here=False, how="fetch it")}, "on the hub"),
        ({"data": Availability(here=False, how="fetch it"), "hub": None}, "by hand"),
        ({"data": Availability(here=False, how="name it"), "hub": None, "url": None}, "yours"),
    ],
)
def test_the_state_of_the_data_in_words(changes: dict[str, object], state: str) -> None:
    text = as_table([entry(**changes)])
    assert text.splitlines()[1].endswith(f"  {state}")
    assert ("Without a network" in text) is (state in ("on the hub", "by hand", "yours"))


def test_what_several_tasks_lack_is_said_once() -> None:
    data = Availability(here=False, how="fetch it")
    text = as_table([entry(data=data), entry(task="b_fair", data=data)])
    assert text.splitlines()[-1] == "  a_fair, b_fair: fetch it"


def test_many_groups_are_shortened_but_counted() -> None:
    line = as_table([entry(axes={"g": [f"group_{number}" for number in range(40)]})]).splitlines()[1]
    assert "40: group_0, group_1" in line
    assert "..." in line
    assert len(line) < 150


def test_without_lm_eval_it_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(tasks_command.sys.modules, "lm_eval.tasks", None)
    assert main(["tasks"]) == 2
    assert capsys.readouterr().err.startswith("groupgap: error: lm-eval cannot be imported")
