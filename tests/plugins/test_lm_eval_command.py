"""``groupgap lm-eval``: every argument reaches lm-eval, and the tasks are there without the startup file."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from groupgap.cli import main
from groupgap.plugins.discovery import tasks_path

ARGUMENTS = [
    ["--tasks", "x", "--model", "hf", "--model_args", "pretrained=a,dtype=float32"],
    ["--help"],
    ["-h"],
    ["ls", "tasks"],
    ["run", "--tasks", "x", "--", "-y", "", "--json"],
    [],
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_every_argument_goes_to_lm_eval_as_it_stands(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    import lm_eval.__main__

    seen: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(lm_eval.__main__, "cli_evaluate", lambda: seen.append(list(sys.argv)))
    assert main(["lm-eval", *arguments]) == 0
    assert seen == [["lm_eval", *arguments]]


def test_the_exit_status_is_lm_evals(monkeypatch: pytest.MonkeyPatch) -> None:
    import lm_eval.__main__

    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(lm_eval.__main__, "cli_evaluate", lambda: sys.exit(3))
    with pytest.raises(SystemExit) as caught:
        main(["lm-eval", "ls"])
    assert caught.value.code == 3


def test_without_the_startup_file_the_tasks_are_there() -> None:
    """A fresh interpreter with the startup file switched off: lm-eval's own help, and a task manager with our tasks."""
    look = (
        "import sys, groupgap_startup, lm_eval.__main__ as m\n"
        "assert not groupgap_startup.active()\n"
        "from lm_eval.tasks import TaskManager\n"
        "m.cli_evaluate = lambda: print(*TaskManager(include_defaults=False).all_tasks)\n"
        "from groupgap.cli import main\n"
        "sys.exit(main(['lm-eval', 'ls', 'tasks']))\n"
    )
    variables = {**os.environ, "GROUPGAP_NO_STARTUP": "1"}
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False, env=variables)
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in tasks_path().rglob("*_fair.yaml")} <= set(done.stdout.split())


def test_an_lm_eval_that_cannot_be_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval.tasks.manager", None)
    assert main(["lm-eval", "--help"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("groupgap: error: lm-eval cannot be used")
    assert error.count("\n") == 1
