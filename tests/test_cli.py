"""The contract of the command: what a user's mistake looks like, and that a verb costs only what it needs."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

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


HELP_OUTPUTS = [["--help"], ["--version"], ["board", "--help"], ["tasks"]]


def groupgap_into(place: int, arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """The command with a file descriptor as its output."""
    command = [sys.executable, "-m", "groupgap.cli", *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "", **variables}
    return subprocess.run(command, stdout=place, stderr=subprocess.PIPE, text=True, check=False, env=environment)


@pytest.mark.parametrize("arguments", HELP_OUTPUTS)
def test_a_reader_who_is_gone_is_no_mistake(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = groupgap_into(write, arguments)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_output_is_no_mistake_and_a_closed_error_output_hides_none() -> None:
    command = f"{sys.executable} -m groupgap.cli"
    source = "import sys; from groupgap import cli; cli._run = lambda _: print(sys.stdout.isatty()); cli.main(['show'])"
    for line in (f"{command} --help >&-", f'{sys.executable} -c "{source}" >&-', f"{command} --help 2>&- >/dev/null"):
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = subprocess.run(["bash", "-c", f"{command} bord 2>&-"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", HELP_OUTPUTS)
def test_a_full_disk_is_one_line_and_status_2(arguments: list[str], unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = groupgap_into(full.fileno(), arguments, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    assert done.stderr == (
        "groupgap: error: the output: No space left on device, so it is not whole: make room and run this again\n"
    )


def test_a_full_disk_under_a_file_is_one_line_too() -> None:
    source = (
        "import errno, os, sys\nfrom groupgap import cli\n"
        "def run(_):\n    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'weights.bin')\n"
        "cli._run = run\nsys.exit(cli.main(['train']))\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("groupgap: error: weights.bin: No space left on device, ")
    assert done.stderr.count("\n") == 1


ENDS = {
    "raise GroupgapError('no such run')": (2, "groupgap: error: no such run\n"),
    "raise KeyboardInterrupt": (130, "groupgap: interrupted\n"),
    "raise SystemExit(3)": (3, ""),
    "return 1": (1, ""),
}


@pytest.mark.parametrize("output", ["a closed pipe", "/dev/full"])
@pytest.mark.parametrize("end", ENDS)
def test_an_output_that_is_lost_hides_no_mistake(end: str, output: str) -> None:
    """The verb's own status and words come first, whatever became of what it printed."""
    source = (
        "import sys\nfrom groupgap import cli\nfrom groupgap.errors import GroupgapError\n"
        f"def run(_):\n    print('half')\n    {end}\ncli._run = run\nsys.exit(cli.main(['check']))\n"
    )
    if output == "/dev/full" and not Path(output).exists():
        pytest.skip("this system has no /dev/full")
    read, place = os.pipe()
    os.close(read)
    if output == "/dev/full":
        os.close(place)
        place = os.open(output, os.O_WRONLY)
    command = [sys.executable, "-c", source]
    variables = {**os.environ, "PYTHONUNBUFFERED": ""}  # what is printed waits until the verb has ended
    done = subprocess.run(command, stdout=place, stderr=subprocess.PIPE, text=True, check=False, env=variables)
    os.close(place)
    assert (done.returncode, done.stderr) == ENDS[end]


def test_a_broken_pipe_that_is_not_the_output_is_a_mistake_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: list[str]) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(cli, "_run", run)
    with pytest.raises(BrokenPipeError):
        main(["board"])


def test_a_full_disk_under_a_file_leaves_the_callers_output_alone(capfd: pytest.CaptureFixture[str]) -> None:
    def run(_: list[str]) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "weights.bin")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "_run", run)
        assert main(["train"]) == 2
        patch.setattr(sys, "stdout", io.StringIO())
        assert main(["train"]) == 2
    os.write(1, b"still here")
    assert capfd.readouterr().out == "still here"


def test_an_error_of_the_system_that_is_none_of_the_users_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: list[str]) -> int:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(cli, "_run", run)
    with pytest.raises(OSError, match="Bad file descriptor"):
        main(["board"])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_name_that_the_outputs_encoding_lacks_is_written_out(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    shown = io.BytesIO()

    def run(_: list[str]) -> int:
        print("the group \u732b")
        raise GroupgapError("no such run: \u732b")

    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, io.TextIOWrapper(shown, encoding=encoding, write_through=True))
    monkeypatch.setattr(cli, "_run", run)
    assert main(["board"]) == 2
    assert shown.getvalue() == b"the group \\u732b\ngroupgap: error: no such run: \\u732b\n"


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
