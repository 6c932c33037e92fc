"""``groupgap board --update``: what is there is judged again together, what is gone stays as it was written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.cli import main

SAME = ("rank", "bands", "sources")


def write(folder: Path, factory: SimpleNamespace, name: str, skill: int, **changes: Any) -> Path:
    seed = changes.pop("training", None)
    run = factory.run(n=90, skill=skill, **changes).write(folder / name)
    told = {"name": name, "base": "org/base", "method": name.partition("-")[0], "weights": name}
    told |= {} if seed is None else {"seed": seed}
    (run / "variant.json").write_text(json.dumps(told))
    return run


def board(*arguments: object) -> int:
    return main(["board", *map(str, arguments)])


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "board.json").read_text(encoding="utf-8"))


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["variant"]: row for row in read(folder)["rows"]}


@pytest.fixture
def runs(tmp_path: Path, factory: SimpleNamespace) -> Path:
    for number, name in enumerate(("base", "full", "lora")):
        write(tmp_path / "runs", factory, name, number + 1)
    return tmp_path / "runs"


OPTIONS = ("--draws", 999, "--min-group", 5, "--seed", 3)


def test_an_updated_board_is_the_board_of_all_runs(runs: Path, tmp_path: Path) -> None:
    assert board(runs / "base", runs / "full", "-o", tmp_path / "out", *OPTIONS) == 0
    assert board("--update", tmp_path / "out", runs / "lora") == 0
    assert board(runs, "-o", tmp_path / "whole", *OPTIONS) == 0
    for name in ("board.json", "board.csv", "groups.csv", "board.md", "index.html"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_two_boards_merge_into_the_board_of_all_their_runs(runs: Path, tmp_path: Path) -> None:
    assert board(runs / "base", runs / "full", "-o", tmp_path / "one", *OPTIONS) == 0
    assert board(runs / "lora", "-o", tmp_path / "other", *OPTIONS) == 0
    assert board("--update", tmp_path / "one", tmp_path / "other") == 0
    assert board(runs, "-o", tmp_path / "whole", *OPTIONS) == 0
    assert (tmp_path / "one" / "board.json").read_bytes() == (tmp_path / "whole" / "board.json").read_bytes()


def test_a_row_whose_run_is_gone_stays_as_it_was_and_is_not_compared(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert board(runs / "base", runs / "full", "-o", out, *OPTIONS) == 0
    before = rows_of(out)
    shutil.rmtree(runs / "full")
    assert board("--update", out, runs / "lora") == 0
    after = rows_of(out)
    assert set(after) == {"base", "full", "lora"}
    for key, value in before["full"].items():
        assert key in SAME or after["full"][key] == value, key
    worst = {name: row["metrics"]["worst_group"]["value"] for name, row in after.items()}
    assert {name: row["rank"] for name, row in after.items()} == {
        name: 1 + sum(other > value for other in worst.values()) for name, value in worst.items()
    }
    assert all(row["bands"] == {} for row in after.values())
    (pairs,) = read(out)["pairs"]
    gone = pairs["rows"].index("full")
    assert [(gone in pair) for pair in pairs["pairs"]] == [False]
    assert all(gone in (a, b) and "not at hand" in why for a, b, why in pairs["not_compared"])
    assert len(pairs["not_compared"]) == 2
    assert [note for note in read(out)["notes"] if "the runs of full are gone" in note]
    assert "the runs of full are gone" in (out / "index.html").read_text()
    assert "full" in (out / "board.md").read_text()
    assert board("--update", out) == 0  # again: nothing changes
    assert rows_of(out) == after


def test_a_mean_of_trainings_stays_whole_when_one_of_them_is_gone(tmp_path: Path, factory: SimpleNamespace) -> None:
    for number, seed in enumerate((13, 42, 1337)):
        write(tmp_path / "runs", factory, f"lora-{seed}", number + 1, training=seed)
    out = tmp_path / "out"
    assert board(tmp_path / "runs", "-o", out, *OPTIONS) == 0
    (before,) = read(out)["rows"]
    assert len(before["by_seed"]) == 3
    shutil.rmtree(tmp_path / "runs" / "lora-42")
    write(tmp_path / "more", factory, "base", 7)
    assert board("--update", out, tmp_path / "more") == 0
    after = rows_of(out)
    assert set(after) == {before["variant"], "base"}
    for key, value in before.items():
        assert key in SAME or after[before["variant"]][key] == value, key


def test_a_run_that_moved_takes_the_place_of_its_row(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert board(runs, "-o", out, *OPTIONS) == 0
    shutil.move(runs / "full", tmp_path / "elsewhere")
    assert board("--update", out, tmp_path / "elsewhere") == 0
    assert read(out)["pairs"][0]["not_compared"] == []
    assert rows_of(out)["full"]["sources"][0].startswith("../elsewhere/")


def test_names_and_axes_of_the_command_line_are_remembered(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run(fair=None).write(tmp_path / "a")
    factory.run(fair=None, skill=5, model_args={"pretrained": "b"}).write(tmp_path / "b")
    options = ("--axis", "mytask=doc.faith", "--positive", "mytask=yes", "--name", f"{tmp_path / 'a'}=mine")
    assert board(tmp_path / "a", "-o", tmp_path / "out", *options, *OPTIONS) == 0
    assert board("--update", tmp_path / "out", tmp_path / "b") == 0
    assert set(rows_of(tmp_path / "out")) == {"mine", "b"}
    assert read(tmp_path / "out")["options"] == {"min_group": 5, "draws": 999, "seed": 3, "confidence": 0.95}


@pytest.mark.parametrize("mistake", ["absent", "other documents", "all gone", "both", "neither", "broken"])
def test_a_mistake_is_one_line_and_the_board_stays(
    mistake: str, runs: Path, tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert board(runs / "base", runs / "full", "-o", out, *OPTIONS) == 0
    arguments: list[object] = ["--update", out, runs / "lora"]
    if mistake == "absent":
        arguments[1] = tmp_path / "nowhere"
    if mistake == "other documents":
        shutil.rmtree(runs / "full")
        shutil.rmtree(runs / "base")
        arguments[2] = write(tmp_path, factory, "other", 4, seed=9)
    if mistake == "all gone":
        shutil.rmtree(runs)
        arguments.pop()
    if mistake == "broken":
        document = read(out)
        document["rows"][0]["sources"].append("\0/../../x")
        (out / "board.json").write_text(json.dumps(document))
    if mistake in ("both", "neither"):
        with pytest.raises(SystemExit, match="2"):
            board(runs, *(["--update", out, "-o", out] if mistake == "both" else []))
        return
    before = (out / "board.json").read_bytes()
    capsys.readouterr()
    assert board(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("groupgap: error: ")
    assert shown.err.count("\n") == 1
    assert (out / "board.json").read_bytes() == before


def test_tables_of_reports_stay_on_the_board(runs: Path, tmp_path: Path) -> None:
    block = {
        "variant": "full",
        "task": None,
        "title": "An attack",
        "columns": ["a", "b"],
        "rows": [[1, "x"], [None, 0.5]],
    }
    (tmp_path / "report.json").write_text(json.dumps({"blocks": [block]}))
    out = tmp_path / "out"
    assert board(runs / "base", runs / "full", "-o", out, "--with", tmp_path / "report.json", *OPTIONS) == 0
    shutil.rmtree(runs / "full")
    assert board("--update", out, runs / "lora") == 0
    assert [one["title"] for one in read(out)["blocks"]] == ["An attack"]
    assert board("--update", out, "--with", tmp_path / "report.json") == 0
    assert [one["title"] for one in read(out)["blocks"]] == ["An attack"]


def test_sources_that_lead_nowhere_are_gone(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert board(runs / "base", runs / "full", "-o", out, *OPTIONS) == 0
    document = read(out)
    for row, source in zip(document["rows"], ("\0", "../../etc/passwd"), strict=True):
        row["sources"] = [source]
    (out / "board.json").write_text(json.dumps(document))
    assert board("--update", out, runs / "lora") == 0
    assert len(read(out)["pairs"][0]["not_compared"]) == 3


@pytest.mark.parametrize(
    ("place", "value", "key"),
    [
        (("trained_parameters",), 10**4000, "trained_parameters"),
        (("n",), -5, "n"),
        (("shots",), 10**4000, "shots"),
        (("left_out",), [{"group": "zz", "rate": "nope", "n": 3, "reason": "r"}], "left_out.0.rate"),
    ],
)
def test_a_number_or_word_that_no_board_has_is_refused_by_its_key(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: tuple[str], value: object, key: str
) -> None:
    out = tmp_path / "out"
    assert board(runs / "base", "-o", out, *OPTIONS) == 0
    document = read(out)
    document["rows"][0] |= {place[0]: value, "sources": ["../gone.json"]}
    (out / "board.json").write_text(json.dumps(document))
    assert board("--update", out, runs / "lora") == 2
    assert f"broken (rows.0.{key}: " in capsys.readouterr().err


def test_a_board_cannot_ask_for_more_draws_than_memory_holds(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert board(runs / "base", "-o", out, *OPTIONS) == 0
    document = read(out)
    document["options"]["draws"] = 10**9
    (out / "board.json").write_text(json.dumps(document))
    assert board("--update", out, runs / "lora") == 2
    assert "broken (options.draws: Input should be less than or equal to 1000000)" in capsys.readouterr().err


def test_a_board_from_elsewhere_opens_no_path_of_the_disk(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    assert board(runs / "base", "-o", mine, *OPTIONS) == 0
    assert board(runs / "full", "-o", theirs, *OPTIONS) == 0
    document = read(theirs)
    document["rows"][0]["sources"] = [str((theirs / document["rows"][0]["sources"][0]).resolve())]
    (theirs / "board.json").write_text(json.dumps(document))
    assert board("--update", mine, theirs) == 2
    assert "is no path from the board's folder): name the run's folder itself" in capsys.readouterr().err
    assert set(rows_of(mine)) == {"base"}


def test_a_board_from_elsewhere_does_not_rename_a_run(runs: Path, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    assert board(runs / "base", "--name", f"{runs / 'base'}=my base", "-o", mine, *OPTIONS) == 0
    assert board(runs / "base", runs / "full", "-o", theirs, *OPTIONS) == 0
    document = read(theirs)
    for row in document["rows"]:
        row["members"] = [f"their {row['variant']}"]
    (theirs / "board.json").write_text(json.dumps(document))
    assert board("--update", mine, theirs) == 0
    assert set(rows_of(mine)) == {"my base", "full"}
    said = [note.rpartition("/")[2] for note in read(mine)["notes"] if " calls " in note]
    assert sorted(said) == [
        "theirs calls full their full: it keeps its own name",
        "theirs calls my base their base: it keeps its own name",
    ]
