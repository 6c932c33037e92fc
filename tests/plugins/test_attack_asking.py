"""What the attack reads of the fleet's answers, what it calls whom, and that its runs are marked."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.adapters.audit_design import AuditDesign
from groupgap.adapters.roster import TaskChoice
from groupgap.errors import GroupgapError
from groupgap.metrics import logit_confidence
from groupgap.plugins import attack_asking
from groupgap.plugins.attack_asking import ASKED, Asking, _as_audit, _ask, _statistics, check_names
from groupgap.plugins.fleet_plan import Job, Member, Plan
from groupgap.plugins.fleet_tasks import load_task
from groupgap.plugins.run_folder import Mark, RunFolder

DESIGN = AuditDesign("offline", ("r1",), ("r2",), (), 25)


def samples(values: dict[str, float]) -> str:
    replies = {row: [[str(value), "False"], ["0.0", "False"]] for row, value in values.items()}
    return "".join(
        json.dumps({"doc": {"id": row, "label": 0}, "filtered_resps": reply}) + "\n" for row, reply in replies.items()
    )


def test_only_the_answers_of_the_attacked_task_are_read(tmp_path: Path) -> None:
    """Another task of the same variant asks rows of the same ids, and a file that no finished task names lies about."""
    run = RunFolder(tmp_path, "full")
    run.begin({"toy": Mark("v", "toy"), "toy_other": Mark("v", "other")})
    for task, values in (("toy", {"r1": 1.0, "r2": 2.0}), ("toy_other", {"r1": -9.0, "r2": -8.0})):

        def save(folder: Path, task: str = task, values: dict[str, float] = values) -> None:
            (folder / f"results_{task}_2026.json").write_text("{}")
            (folder / f"samples_{task}_2026.jsonl").write_text(samples(values))

        run.write_task(task, Mark("v", task.partition("_")[2] or task), save)
    (run.path / "samples_toy_2099.jsonl").write_text(samples({"r1": 5.0, "r2": 5.0}))
    expected = [float(logit_confidence([value, 0.0], 0)) for value in (1.0, 2.0)]
    assert _statistics(run.path, "toy", DESIGN, "label").tolist() == expected


def test_a_row_that_was_not_answered_is_told(tmp_path: Path) -> None:
    (tmp_path / "finished.json").write_text(json.dumps({"toy": {"files": ["samples_toy_1.jsonl"]}}))
    (tmp_path / "samples_toy_1.jsonl").write_text(samples({"r1": 1.0}))
    with pytest.raises(GroupgapError, match="1 of 2 audited rows were not answered"):
        _statistics(tmp_path, "toy", DESIGN, "label")


def test_audit_runs_are_marked_for_boards() -> None:
    member = Member("full", "full", None, "fast", {"name": "full", "method": "full"}, {})
    (job,) = _as_audit(Plan((Job("hf", "base", {}, (member,)),), {})).jobs
    assert job.members[0].description == {"name": "full", "method": "full", "audit": True}


@pytest.mark.parametrize("name", ["lora shadow-00-2044", "lora mirrored", "lora shadow-00-2044 mirrored"])
def test_a_target_called_as_a_shadow_or_a_look_is_refused(name: str) -> None:
    check_names(["lora", "lora shadows", "full mirrored", "lora-shadow-00-2044"])
    with pytest.raises(GroupgapError, match=f"{name}: a shadow or a mirrored look of another target is called so"):
        check_names(["lora", name])


def asked_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, design: AuditDesign) -> Any:
    """What the fleet would be asked; and the folder that it would write into."""
    seen = SimpleNamespace(options=None, out=None)

    def plan(roster: Any, _: object) -> Plan:
        seen.options = dict(roster.tasks[0].options)
        return Plan((), {})

    class Fleet:
        def __init__(self, out: Path, *_: object) -> None:
            seen.out = out

        def run(self, _: Plan) -> SimpleNamespace:
            return SimpleNamespace(failed={})

    monkeypatch.setattr(attack_asking, "make_plan", plan)
    monkeypatch.setattr(attack_asking, "Fleet", Fleet)
    monkeypatch.setattr(attack_asking, "load_questions", lambda _: [SimpleNamespace(name="csv_fair")])
    choice = TaskChoice("csv_fair", options={"split_seed": 1})
    assert _ask(Asking(tmp_path, tmp_path, choice, "label", "", print), design, ()) == "csv_fair"
    return seen


def test_ids_with_line_separators_of_unicode_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ["a\u2028b", "c\x85d", "e\x0cf", "g"]
    lines = [f"{row},text {place},{('no', 'yes')[place % 2]},x" for place, row in enumerate(ids)]
    (tmp_path / "d.csv").write_text("key,text,label,g\n" + "\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    seen = asked_rows(tmp_path, monkeypatch, AuditDesign("offline", tuple(ids[:2]), (ids[2],), (), 0))
    assert seen.out == tmp_path / ASKED
    assert seen.options["part"] == "all"
    own = {"file": str(tmp_path / "d.csv"), "group_columns": "g", "positive": "yes", "id_column": "key"}
    task = load_task("csv_fair", {**own, **seen.options})
    assert {one["id"] for one in task.eval_docs} == set(ids[:3])


def test_the_rows_of_another_attack_in_the_folder_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be running: who comes second finds the lock taken after the rows were written."""
    first, again, second = (
        Path(asked_rows(tmp_path, monkeypatch, AuditDesign("offline", members, ("c",), (), 0)).options["only"])
        for members in (("a",), ("a",), ("b",))
    )
    assert first == again != second
    assert (first.read_text(), second.read_text()) == ("a\nc\n", "b\nc\n")
    assert sorted(path.name for path in (tmp_path / ASKED).iterdir()) == sorted([first.name, second.name])


def test_an_id_of_several_lines_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GroupgapError, match="1 audited rows have an id of several lines"):
        asked_rows(tmp_path, monkeypatch, AuditDesign("offline", ("a\nb",), ("c",), (), 0))
