"""``groupgap board`` from the outside: output, exit status, one line for a mistake."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from groupgap.cli import main


def test_the_command_prints_the_table_and_where_the_page_is(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    factory.run(fair=None).write(tmp_path / "run")
    arguments = ["board", str(tmp_path / "run"), "-o", str(tmp_path / "out"), "--axis", "mytask=doc.faith"]
    arguments += [
        "--positive",
        "mytask=yes",
        "--name",
        "org/model-a=mine",
        "--min-group",
        "5",
        "--draws",
        "999",
        "--seed",
        "3",
    ]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "mytask, faith" in shown.out
    assert "mine" in shown.out
    assert f"The page: {(tmp_path / 'out' / 'index.html').resolve()}" in shown.out
    assert shown.err == ""
    document = json.loads((tmp_path / "out" / "board.json").read_text())
    assert document["options"] == {"min_group": 5, "draws": 999, "seed": 3, "confidence": 0.95}


def test_progress_shows_names_as_text(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.run().write(tmp_path / "run")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    named = ["--name", "org/model-a=\x1b]0;title\x07x", "--draws", "999"]
    assert main(["board", str(tmp_path / "run"), "-o", str(tmp_path / "out"), *named]) == 0
    shown = capsys.readouterr().err.replace("\r\x1b[K", "")
    assert shown == "mytask, faith: \\u001b]0;title\\u0007x"


@pytest.mark.parametrize("draws", ["-1", "0", "5", "998"])
def test_too_few_draws_for_what_is_promised_are_refused(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str], draws: str
) -> None:
    factory.run().write(tmp_path / "run")
    assert main(["board", str(tmp_path / "run"), "-o", str(tmp_path / "out"), "--draws", draws]) == 2
    assert capsys.readouterr().err == (
        f"groupgap: error: --draws {draws}: expected 999 or more (default 10000): "
        "fewer say too little of 95% intervals and of chance\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("flag", "most"), [("--draws", 10**6), ("--seed", 2**63 - 1), ("--min-group", 2**63 - 1)])
def test_no_board_is_written_that_cannot_be_read_again(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str], flag: str, most: int
) -> None:
    factory.run().write(tmp_path / "run")
    out = tmp_path / "out"
    assert main(["board", str(tmp_path / "run"), "-o", str(out), flag, str(most + 1)]) == 2
    said = capsys.readouterr().err
    assert said == f"groupgap: error: {flag} {most + 1}: expected {most} or less: the board could not be read again\n"
    assert not out.exists()


@pytest.mark.parametrize("flag", ["--seed", "--min-group"])
def test_a_board_of_the_largest_numbers_is_updated(tmp_path: Path, factory: SimpleNamespace, flag: str) -> None:
    factory.run().write(tmp_path / "run")
    out = str(tmp_path / "out")
    assert main(["board", str(tmp_path / "run"), "-o", out, "--draws", "999", flag, str(2**63 - 1)]) == 0
    assert main(["board", "--update", out]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["absent", "-o", "out"],
        ["run", "-o", "run"],
        ["run", "-o", "out", "--axis", "nonsense"],
        ["run", "-o", "out", "--name", "nobody=x"],
        ["run", "-o", "out", "--name", "x"],
        ["run", "-o", "out", "--name", "run=a", "--name", "run=b"],
        ["run", "-o", "out", "--min-group", "-3"],
    ],
)
def test_a_mistake_is_one_line_exit_2_and_nothing_written(
    tmp_path: Path,
    factory: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    factory.run().write(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert main(["board", *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("groupgap: error: ")
    assert shown.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
