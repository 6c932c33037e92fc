"""The contract of the command: what a user's mistake looks like, and that a verb costs only what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version

import groupgap
import pytest
from groupgap import cli
from groupgap.cli import VERBS, main
from groupgap.errors import GroupgapError, MissingExtraError


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_names_every_verb(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {verb} " in text for verb in VERBS)


def test_the_version_is_that_of_the_package_and_of_its_metadata(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"groupgap {groupgap.__version__}\n"
    assert groupgap.__version__ == version("groupgap")


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"lm-eval"}))
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    assert f"usage: groupgap {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"lm-eval"}))
def test_an_unknown_option_is_refused_with_status_2(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--no-such-option"])
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_unknown_verb_is_one_line_that_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bord"]) == 2
    error = capsys.readouterr().err
    assert error == f"groupgap: error: unknown verb 'bord': expected one of {', '.join(VERBS)}\n"


def test_a_users_mistake_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: list[str]) -> int:
        raise GroupgapError("no such run folder: nowhere")

    monkeypatch.setattr(cli, "_run", run)
    assert main(["board"]) == 2
    assert capsys.readouterr().err == "groupgap: error: no such run folder: nowhere\n"


def test_a_bug_of_ours_is_not_dressed_up_as_a_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: list[str]) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "_run", run)
    with pytest.raises(ZeroDivisionError):
        main(["board"])


def test_a_missing_extra_names_its_install_command() -> None:
    error = MissingExtraError("a vision task", "timm", "vision")
    assert str(error) == "a vision task needs the package 'timm': pip install 'groupgap[vision]'"
    assert isinstance(error, GroupgapError)


def test_the_command_and_the_module_are_the_same_program() -> None:
    from pathlib import Path

    script = Path(sys.executable).parent / "groupgap"
    runs = [
        subprocess.run([*start, "bord"], capture_output=True, text=True, check=False)
        for start in ([str(script)], [sys.executable, "-m", "groupgap.cli"])
    ]
    assert [run.returncode for run in runs] == [2, 2]
    assert runs[0].stderr == runs[1].stderr
    assert runs[0].stderr.count("\n") == 1


def test_a_closed_pipe_ends_quietly() -> None:
    command = f"{sys.executable} -m groupgap.cli tasks --json | head -c 1"
    variables = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=variables)
    assert (done.stdout, done.stderr) == ("[", "")


HEAVY = ("torch", "pandas", "numpy", "lm_eval", "datasets", "transformers", "vllm", "fairlearn", "scipy")


def test_asking_for_help_loads_nothing_heavy() -> None:
    source = (
        "import sys\nfrom groupgap.cli import main\nmain(['--help'])\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_verbs_options_load_no_engine(verb: str) -> None:
    """The options of a verb are declared before anything heavy is imported."""
    source = (
        "import argparse, importlib, sys\nfrom groupgap.cli import VERBS\n"
        f"module = importlib.import_module('groupgap.' + VERBS[{verb!r}][0])\n"
        "module.add_arguments(argparse.ArgumentParser())\n"
        "print(*[name for name in ('torch', 'lm_eval', 'datasets', 'transformers', 'vllm') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
