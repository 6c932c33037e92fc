"""Planning: which engine serves whom, who is refused and why, and what a change of anything makes old."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from groupgap.adapters.roster import load_roster
from groupgap.cli import main
from groupgap.plugins import fleet as fleet_module
from groupgap.plugins.fleet import Fleet
from groupgap.plugins.fleet_plan import OWN, Job, Member, Plan, make_plan
from groupgap.plugins.fleet_tasks import Question, load_questions
from groupgap.plugins.fleet_worker import answer_mark, check_unchanged, open_questions, work
from groupgap.plugins.run_folder import RunFolder
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

TASKS = "tasks: [toy_religion_fair]\n"


def _llama(folder: Path, hidden: int = 64) -> Path:
    config = LlamaConfig(
        vocab_size=64, hidden_size=hidden, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, another base, a full fine-tune, a LoRA, a DoRA and a LoRA of a wider base."""
    root = tmp_path_factory.mktemp("models")
    _llama(root / "base")
    _llama(root / "full")
    _llama(root / "other", hidden=128)
    for name, base, options in (
        ("lora", "base", {}),
        ("dora", "base", {"use_dora": True}),
        ("wide", "other", {}),
    ):
        model = LlamaForCausalLM.from_pretrained(root / base)
        config = LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM", **options)
        get_peft_model(model, config).save_pretrained(root / name)
    return root


def _plan(models: Path, variants: str) -> Plan:
    roster = models / "roster.yaml"
    roster.write_text(TASKS + "defaults: {base: base}\nvariants:\n" + variants)
    return make_plan(load_roster(roster))


def test_one_engine_a_base_and_reloads_come_last(models: Path) -> None:
    plan = _plan(
        models,
        "  - {name: full, method: full, weights: full}\n"
        "  - {name: base}\n"
        "  - {name: lora, method: lora, weights: lora}\n"
        "  - {name: other, base: other}\n",
    )
    assert not plan.refused
    assert [[(member.name, member.served) for member in job.members] for job in plan.jobs] == [
        [("base", "base"), ("lora", "adapter"), ("full", "full")],
        [("other", "base")],
    ]


def test_engine_options_part_engines(models: Path) -> None:
    plan = _plan(models, "  - {name: a}\n  - {name: b, engine_options: {dtype: float32}}\n")
    assert [job.options for job in plan.jobs] == [{}, {"dtype": "float32"}]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{name: x, method: dora, weights: dora}", "merge"),
        ("{name: x, method: lora, weights: wide}", "128"),
        ("{name: x, method: lora, weights: nowhere}", "no such folder"),
    ],
)
def test_what_cannot_be_served_is_refused_and_the_others_go_on(models: Path, entry: str, words: str) -> None:
    plan = _plan(models, f"  - {{name: base}}\n  - {entry}\n")
    assert [member.name for job in plan.jobs for member in job.members] == ["base"]
    assert words in plan.refused["x"]


def test_merge_makes_a_dora_a_merged_variant(models: Path) -> None:
    plan = _plan(models, "  - {name: x, method: dora, weights: dora, merge: true}\n")
    assert plan.jobs[0].members[0].served == "merged"


def test_a_changed_weight_file_option_or_task_makes_answers_old(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "models")
    entry = "  - {name: lora, method: lora, weights: lora}\n"
    (question,) = load_questions([{"name": "toy_religion_fair", "num_fewshot": None, "limit": None, "options": {}}])
    (limited,) = load_questions([{"name": "toy_religion_fair", "num_fewshot": None, "limit": 10, "options": {}}])
    (other_part,) = load_questions(
        [{"name": "toy_religion_fair", "num_fewshot": None, "limit": None, "options": {"part": "validation"}}]
    )
    before = _plan(tmp_path / "models", entry).jobs[0].members[0]
    marks = [answer_mark(before, question), answer_mark(before, limited), answer_mark(before, other_part)]
    assert answer_mark(_plan(tmp_path / "models", entry).jobs[0].members[0], question) == marks[0]
    optioned = "  - {name: lora, method: lora, weights: lora, engine_options: {dtype: float32}}\n"
    marks.append(answer_mark(_plan(tmp_path / "models", optioned).jobs[0].members[0], question))
    model = LlamaForCausalLM.from_pretrained(tmp_path / "models" / "base")
    config = LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(model, config).save_pretrained(tmp_path / "models" / "lora")
    marks.append(answer_mark(_plan(tmp_path / "models", entry).jobs[0].members[0], question))
    _llama(tmp_path / "models" / "base")
    marks.append(answer_mark(_plan(tmp_path / "models", entry).jobs[0].members[0], question))
    proven_less = "  - {name: lora, method: lora, weights: lora, proof: fast}\n"
    marks.append(answer_mark(_plan(tmp_path / "models", proven_less).jobs[0].members[0], question))
    (tmp_path / "models" / "base" / "chat_template.jinja").write_text("{{ messages }}")
    marks.append(answer_mark(_plan(tmp_path / "models", entry).jobs[0].members[0], question))
    assert len(set(marks)) == 8


def test_a_changed_prompt_or_document_makes_answers_old(monkeypatch: pytest.MonkeyPatch) -> None:
    from groupgap.harness_tasks.toy import utils

    choice = {"name": "toy_religion_fair", "num_fewshot": None, "limit": None, "options": {}}
    (before,) = load_questions([choice])
    documents = utils.generate()
    documents[0] = {**documents[0], "text": "the aurelian choir was lovely"}
    monkeypatch.setattr(utils, "generate", lambda: documents)
    (after,) = load_questions([choice])
    assert before.mark != after.mark


@pytest.mark.parametrize("option", ["peft: lora", "pretrained: other", "check_files: false"])
def test_engine_options_cannot_put_another_model_in_the_variants_place(models: Path, option: str) -> None:
    plan = _plan(models, f"  - {{name: x, engine_options: {{{option}}}}}\n")
    assert "is not an option" in plan.refused["x"]


def test_files_that_change_after_the_check_are_noticed(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models, tmp_path / "models")
    (member,) = _plan(tmp_path / "models", "  - {name: lora, method: lora, weights: lora}\n").jobs[0].members
    check_unchanged(member)
    shutil.copy(models / "dora" / "adapter_model.safetensors", tmp_path / "models" / "lora")
    with pytest.raises(fleet_module.GroupgapError, match="its files changed after they were checked"):
        check_unchanged(member)


def test_plan_changes_nothing_in_a_folder_that_is_being_written(models: Path, tmp_path: Path) -> None:
    roster = models / "look.yaml"
    roster.write_text(TASKS + "variants: [{name: base, base: base}]\n")
    building = tmp_path / "runs" / "base" / ".task-1"
    building.mkdir(parents=True)
    assert main(["plan", str(roster), "-o", str(tmp_path)]) == 0
    assert building.is_dir()


def test_an_unknown_task_is_one_line(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roster = models / "unknown.yaml"
    roster.write_text("tasks: [no_such_task]\nvariants: [{name: base, base: base}]\n")
    assert main(["plan", str(roster)]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("groupgap: error: no task, group or tag 'no_such_task'")


def test_plan_prints_strict_json(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roster = models / "plan.yaml"
    roster.write_text(
        TASKS + "variants: [{name: base, base: base}, {name: x, base: base, method: lora, weights: wide}]\n"
    )
    assert main(["plan", str(roster), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["tasks"] == {"toy_religion_fair": 1978}
    assert list(told["refused"]) == ["x"]


# -- the fleet without an engine ----------------------------------------


def _member(name: str, served: str = "adapter") -> Member:
    return Member(name, served, f"/nowhere/{name}", "full", {"name": name, "served": served}, {"base": "b"})


def _fleet(tmp_path: Path, names: tuple[str, ...] = ("t",)) -> Fleet:
    return Fleet(tmp_path, tuple(Question(name, mark=name) for name in names), "command", lambda _: None)


def _scripted(monkeypatch: pytest.MonkeyPatch, *scripts: list[dict[str, Any]]) -> list[list[str]]:
    """Let workers say what is written here; returns what each was asked to serve."""
    served: list[list[str]] = []
    left = list(scripts)

    def events(entries: dict[str, Any], *_: object) -> list[dict[str, Any]]:
        served.append([f"{member['name']}:{member['served']}" for member in entries["job"]["members"]])
        return left.pop(0)

    monkeypatch.setattr(fleet_module, "_events", events)
    return served


def test_a_worker_that_dies_fails_what_it_left_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _scripted(monkeypatch, [{"event": "ready"}, {"event": "answered", "variant": "a", "task": "t"}])
    job = Job("vllm", "/nowhere", {}, (_member("a"), _member("b")))
    summary = _fleet(tmp_path, ("t", "u")).run(Plan((job,), {"c": "no"}))
    assert summary.answered == [("a", "t")]
    assert set(summary.failed) == {"a", "b", "c"}
    assert "died" in summary.failed["a"]


def test_a_full_fine_tune_that_a_shared_engine_cannot_serve_gets_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = _scripted(
        monkeypatch,
        [{"event": "failed", "variant": "f", "reason": "not proven live", "alone": True}],
        [{"event": "answered", "variant": "f", "task": "t"}],
    )
    summary = _fleet(tmp_path).run(Plan((Job("vllm", "/nowhere", {}, (_member("f", "full"),)),)))
    assert served == [["f:full"], [f"f:{OWN}"]]
    assert summary.answered == [("f", "t")]
    assert not summary.failed


def test_an_engine_that_does_not_start_gives_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _scripted(monkeypatch, [{"event": "engine failed", "reason": "no memory"}])
    summary = _fleet(tmp_path).run(Plan((Job("vllm", "/nowhere", {}, (_member("a"),)),)))
    assert summary.failed == {"a": "no memory"}


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = _fleet(tmp_path)

    def second(*_: object) -> list[dict[str, Any]]:
        with pytest.raises(fleet_module.GroupgapError, match="another groupgap run is writing there"):
            fleet.run(Plan(()))
        return []

    monkeypatch.setattr(fleet_module, "_events", second)
    fleet.run(Plan((Job("vllm", "/nowhere", {}, (_member("a"),)),)))


class _Engine:
    """Serves everybody but the one called dead."""

    def ready(self, member: Member) -> tuple[object, dict[str, Any]]:
        if member.name == "dead":
            raise fleet_module.GroupgapError("variant dead: not proven live")
        return member, {"passed": True}


def test_the_worker_goes_on_after_a_failure_and_writes_who_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(model: Any, question: Question, source: str, into: Path) -> None:
        if model.name == "full disk":
            raise OSError(28, "No space left on device")
        (into / "results_1.json").write_text("{}")
        (into / f"samples_{question.name}_1.jsonl").write_text("{}\n")

    monkeypatch.setattr("groupgap.plugins.fleet_worker.open_engine", lambda *_: _Engine())
    monkeypatch.setattr("groupgap.plugins.fleet_worker.ask", ask)
    said: list[tuple[str, Any]] = []
    members = (_member("dead"), _member("full disk"), _member("well"))
    question = Question("t", mark="m")
    work(
        Job("vllm", "b", {}, members),
        (question,),
        tmp_path,
        "command",
        lambda event, **what: said.append((event, what)),
    )
    failures = {what["variant"]: what["reason"] for event, what in said if event == "failed"}
    assert failures["dead"] == "variant dead: not proven live"
    assert "No space left on device" in failures["full disk"]
    told = json.loads((RunFolder(tmp_path, "well").path / "variant.json").read_text())
    assert told["proof"] == {"passed": True}
    assert not open_questions(members[2], (question,), tmp_path)
    assert open_questions(members[2], (replace(question, mark="new"),), tmp_path)


class _Proof:
    """A proof's numbers, as far as the worker reads them."""

    tolerance = 1e-4

    def __init__(self, error: float | None) -> None:
        self.agrees_with_reference = error


@pytest.mark.parametrize(("error", "alone"), [(0.2, True), (1e-6, False), (None, False)])
def test_only_a_disagreeing_fine_tune_gets_an_engine_of_its_own(
    error: float | None, alone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refuses:
        def ready(self, member: Member) -> tuple[object, dict[str, Any]]:
            refusal = fleet_module.GroupgapError("not proven live")
            refusal.proof = _Proof(error)  # type: ignore[attr-defined]
            raise refusal

    monkeypatch.setattr("groupgap.plugins.fleet_worker.open_engine", lambda *_: Refuses())
    said: list[dict[str, Any]] = []
    job = Job("vllm", "b", {}, (_member("f", "full"),))
    work(job, (Question("t", mark="m"),), tmp_path, "c", lambda event, **what: said.append({"event": event, **what}))
    assert [event["alone"] for event in said if event["event"] == "failed"] == [alone]


def test_an_error_of_a_library_fails_its_variant_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaks:
        def ready(self, member: Member) -> tuple[object, dict[str, Any]]:
            raise ValueError("no tokenizer here")

    monkeypatch.setattr("groupgap.plugins.fleet_worker.open_engine", lambda *_: Breaks())
    said: list[Any] = []
    work(
        Job("hf", "b", {}, (_member("a"), _member("b"))),
        (Question("t", mark="m"),),
        tmp_path,
        "c",
        lambda event, **what: said.append((event, what.get("variant"), what.get("reason"))),
    )
    failed = [one[1:] for one in said if one[0] == "failed"]
    assert failed == [("a", "ValueError: no tokenizer here"), ("b", "ValueError: no tokenizer here")]
