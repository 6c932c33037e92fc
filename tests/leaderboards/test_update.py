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


FILES = ("board.json", "board.csv", "groups.csv", "board.md", "index.html")


def assert_same(one: Path, other: Path) -> None:
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def report(path: Path, *names: str, task: str | None = None) -> Path:
    told = [
        {"variant": name, "task": task, "title": f"About {name}", "columns": ["a"], "rows": [[1.5]]} for name in names
    ]
    path.write_text(json.dumps({"blocks": told}))
    return path


def blocks_of(folder: Path) -> set[tuple[str, str]]:
    return {(one["variant"], one["title"]) for one in read(folder)["blocks"]}


def reports_lost(folder: Path) -> list[str]:
    return [note for note in read(folder)["notes"] if "report" in note]


def test_a_report_follows_its_training_into_a_row_of_several(tmp_path: Path, factory: SimpleNamespace) -> None:
    runs = [write(tmp_path / "runs", factory, f"lora-s{seed}", seed, training=seed) for seed in (1, 2, 3)]
    told, out, whole = report(tmp_path / "report.json", "lora-s1", "lora-s2"), tmp_path / "out", tmp_path / "whole"
    assert board(runs[0], runs[1], "-o", out, "--with", report(tmp_path / "two.json", "lora"), *OPTIONS) == 0
    assert board("--update", out, runs[2]) == 0
    assert board(*runs, "-o", whole, "--with", tmp_path / "two.json", *OPTIONS) == 0
    assert_same(out, whole)
    shutil.rmtree(out)
    shutil.rmtree(whole)
    assert board(runs[0], "-o", out, "--with", report(tmp_path / "one.json", "lora-s1"), *OPTIONS) == 0
    assert board("--update", out, runs[1], "--with", report(tmp_path / "two.json", "lora-s2")) == 0
    assert board("--update", out, runs[2]) == 0
    assert board(*runs, "-o", whole, "--with", told, *OPTIONS) == 0
    assert blocks_of(out) == blocks_of(whole) == {("lora", f"lora-s{n}: About lora-s{n}") for n in (1, 2)}
    assert reports_lost(out) == reports_lost(whole) == []


def test_reports_of_a_row_that_falls_apart_stand_with_its_trainings(tmp_path: Path, factory: SimpleNamespace) -> None:
    runs = [write(tmp_path / "runs", factory, f"lora-s{seed}", seed, training=seed) for seed in (1, 2)]
    again = write(tmp_path / "again", factory, "lora-again", 7, training=2)
    told, out, whole = report(tmp_path / "report.json", "lora-s1", "lora"), tmp_path / "out", tmp_path / "whole"
    assert board(*runs, "-o", out, "--with", told, *OPTIONS) == 0
    assert blocks_of(out) == {("lora", "lora-s1: About lora-s1"), ("lora", "About lora")}
    assert board("--update", out, again) == 0
    assert board(*runs, again, "-o", whole, "--with", told, *OPTIONS) == 0
    assert blocks_of(out) == blocks_of(whole) == {("lora-s1", "About lora-s1")}
    (lost,) = reports_lost(out)
    assert [lost.replace("of the earlier board", "of --with")] == reports_lost(whole)


@pytest.mark.parametrize("also", [False, True])
def test_a_report_stays_with_its_run_when_names_change(also: bool, tmp_path: Path, factory: SimpleNamespace) -> None:
    old, new = write(tmp_path / "old", factory, "v1", 1), write(tmp_path / "new", factory, "best", 2)
    more = [new] if also else []
    out, whole = tmp_path / "out", tmp_path / "whole"
    told = report(tmp_path / "report.json", "best")
    assert board(old, "--name", f"{old}=best", "-o", out, "--with", told, *OPTIONS) == 0
    assert board("--update", out, *more, "--name", f"{old}=v1") == 0
    told.write_text(told.read_text().replace('"variant": "best"', '"variant": "v1"'))
    assert board(old, *more, "--name", f"{old}=v1", "-o", whole, "--with", told, *OPTIONS) == 0
    assert_same(out, whole)
    assert blocks_of(out) == {("v1", "About best")}


def test_one_name_in_two_variant_files_is_told_apart_by_the_command_line(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = write(tmp_path / "old", factory, "lora", 1), write(tmp_path / "new", factory, "lora", 2)
    (new / "variant.json").write_text((new / "variant.json").read_text().replace('"weights": "lora"', '"weights": "w"'))
    out, whole, told = tmp_path / "out", tmp_path / "whole", report(tmp_path / "report.json", "lora")
    assert board(old, "-o", out, "--with", told, *OPTIONS) == 0
    assert board("--update", out, new) == 2
    assert "by --name RUN=NAME" in capsys.readouterr().err
    assert board("--update", out, new, "--name", f"{old}=lora-old") == 0
    told.write_text(told.read_text().replace('"variant": "lora"', '"variant": "lora-old"'))
    assert board(old, new, "--name", f"{old}=lora-old", "-o", whole, "--with", told, *OPTIONS) == 0
    assert_same(out, whole)
    assert set(rows_of(out)) == {"lora", "lora-old"}
    assert board("--update", out) == 0
    assert_same(out, whole)


def test_a_row_that_another_run_replaced_drops_its_reports(tmp_path: Path, factory: SimpleNamespace) -> None:
    out = tmp_path / "out"
    for name, skill in (("one", 1), ("other", 2), ("two", 3)):
        factory.run(n=90, skill=skill, model_args={"pretrained": f"/u/{name}/{'b' if name == 'other' else 'm'}"}).write(
            tmp_path / name / "run"
        )
    told = report(tmp_path / "report.json", "m", "b")
    assert board(tmp_path / "one", tmp_path / "other", "-o", out, "--with", told, *OPTIONS) == 0
    shutil.move(tmp_path / "one", tmp_path / "moved")
    assert board("--update", out, tmp_path / "moved") == 0
    assert blocks_of(out) == {("m", "About m"), ("b", "About b")}
    assert reports_lost(out) == []
    shutil.rmtree(tmp_path / "moved")
    assert board("--update", out, tmp_path / "two") == 0
    assert set(rows_of(out)) == {"m", "b"}
    assert blocks_of(out) == {("b", "About b")}
    (lost,) = reports_lost(out)
    assert lost.startswith("the runs of m are gone and others have its name: reports of the earlier board about it are")


def namesake(folder: Path, factory: SimpleNamespace, task: str, skill: int) -> Path:
    """A run of a model that is called ``model`` by itself, whichever it is."""
    run = factory.run(n=90, skill=skill, task=task, model_args={"pretrained": f"/home/u/{folder.name}/model"})
    return Path(run.write(folder))


@pytest.mark.parametrize("task", ["a", "b"])
@pytest.mark.parametrize("added", ["run", "board"])
def test_two_models_of_one_name_are_told_apart_as_on_a_board_of_both(
    added: str, task: str, tmp_path: Path, factory: SimpleNamespace
) -> None:
    one, two = namesake(tmp_path / "one", factory, "a", 1), namesake(tmp_path / "two", factory, task, 2)
    out, whole = tmp_path / "out", tmp_path / "whole"
    told, other = report(tmp_path / "1.json", "model"), report(tmp_path / "2.json", "model")
    assert board(one, "-o", out, "--with", told, *OPTIONS) == 0
    assert board(two, "-o", tmp_path / "other", *OPTIONS, "--with", other) == 0
    assert board("--update", out, tmp_path / "other" if added == "board" else two) == 0
    told.write_text(told.read_text().replace('"variant": "model"', '"variant": "model (pretrained=\u2026/one/model)"'))
    other.write_text(
        other.read_text().replace('"variant": "model"', '"variant": "model (pretrained=\u2026/two/model)"')
    )
    both = ("--with", told, *(("--with", other) if added == "board" else ()))
    assert board(one, two, "-o", whole, *both, *OPTIONS) == 0
    assert_same(out, whole)
    assert set(rows_of(out)) == {"model (pretrained=\u2026/one/model)", "model (pretrained=\u2026/two/model)"}


@pytest.mark.parametrize("given", ["on the other", "on this", "on both"])
def test_a_name_that_a_board_gave_stands_for_one_model(
    given: str, tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    runs = {"this": tmp_path / "one", "other": tmp_path / "two"}
    for number, (side, run) in enumerate(runs.items()):
        named = given in (f"on the {side}", f"on {side}", "on both")
        args = {"pretrained": f"org/{side}" if named else "best"}
        factory.run(n=90, skill=number + 1, task=side, model_args=args).write(run)
        naming = ("--name", f"{run}=best") if named else ()
        assert board(run, *naming, "-o", mine if side == "this" else theirs, *OPTIONS) == 0
    before = (mine / "board.json").read_bytes()
    capsys.readouterr()
    assert board("--update", mine, theirs) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("groupgap: error: best would be the name of two models (")
    assert shown.endswith("give one of them another by --name RUN=NAME\n")
    assert (mine / "board.json").read_bytes() == before
    assert board("--update", mine, theirs, "--name", f"{runs['other']}=second") == 0
    assert set(rows_of(mine)) == {"best", "second"}


def test_a_row_whose_run_is_gone_shares_its_name_with_no_other_model(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        namesake(tmp_path / name, factory, task, skill)
        for skill, (name, task) in enumerate((("one", "a"), ("two", "b"), ("three", "a")))
    ]
    for name, run in (("mine", runs[0]), ("theirs", runs[1])):
        assert board(run, "-o", tmp_path / name, *OPTIONS) == 0
        document = read(tmp_path / name)  # as on a board where "model" alone was no path of two parts
        document["rows"][0]["identity"] = f"backend=hf, pretrained=\u2026/{run.name}/model"
        (tmp_path / name / "board.json").write_text(json.dumps(document))
    before = (tmp_path / "mine" / "board.json").read_bytes()
    shutil.rmtree(runs[0])
    capsys.readouterr()
    assert board("--update", tmp_path / "mine", tmp_path / "theirs") == 2
    shown = capsys.readouterr().err
    assert "model would be the name of two models (" in shown
    assert shown.endswith("a row whose runs are gone): give the run another by --name RUN=NAME\n")
    shutil.move(runs[1], tmp_path / "kept")
    assert board("--update", tmp_path / "mine", tmp_path / "theirs", runs[2]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("groupgap: error: model is the name of two models on two boards (backend=hf, pretrained=")
    assert shown.count("\n") == 1
    assert (tmp_path / "mine" / "board.json").read_bytes() == before
    shutil.move(tmp_path / "kept", runs[1])
    assert board("--update", tmp_path / "mine", tmp_path / "theirs", "--name", f"{runs[1]}=second") == 0
    assert set(rows_of(tmp_path / "mine")) == {"model", "second"}


def test_a_longer_name_on_an_added_board_renames_no_run(tmp_path: Path, factory: SimpleNamespace) -> None:
    run, out, whole = write(tmp_path / "runs", factory, "lora", 1), tmp_path / "out", tmp_path / "whole"
    assert board(run, "-o", out, *OPTIONS) == 0
    assert board(run, "--name", f"{run}=lora (best)", "-o", tmp_path / "other", *OPTIONS) == 0
    assert board("--update", out, tmp_path / "other") == 0
    assert board(run, "-o", whole, *OPTIONS) == 0
    assert read(out)["rows"] == read(whole)["rows"]
    (note,) = (note for note in read(out)["notes"] if " calls " in note)
    assert note.endswith("/other calls lora lora (best): it keeps its own name")


def test_what_a_board_makes_itself_is_made_anew(tmp_path: Path, factory: SimpleNamespace) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    made = [{**one, "share": number / 90} for number, one in enumerate(factory.documents(90))]
    fair = {**factory.FAIR, "covariate": {"field": "share", "class": "yes", "name": "share"}}
    runs = []
    for seed in (1, 2, 3):
        changes = {"documents": made, "predictions": factory.predict(made, seed), "fair": fair}
        runs.append(write(tmp_path / "runs", factory, f"lora-s{seed}", seed, training=seed, **changes))
    title = "Probability of yes against the share"
    told = report(tmp_path / "report.json", "lora-s1", task="mytask")
    assert board(runs[0], "-o", out, "--with", told, *OPTIONS) == 0
    assert blocks_of(out) == {("lora-s1", title), ("lora-s1", "About lora-s1")}
    assert board("--update", out, runs[1]) == 0
    assert board(runs[0], runs[1], "-o", whole, "--with", told, *OPTIONS) == 0
    assert_same(out, whole)
    assert blocks_of(out) == {("lora", title), ("lora", "lora-s1: About lora-s1")}
    shutil.copytree(runs[1], tmp_path / "copy")
    shutil.rmtree(runs[1])
    assert board("--update", out, runs[2]) == 0  # one is gone: the mean stays, with all that is told of it
    assert blocks_of(out) == {("lora", title), ("lora", "lora-s1: About lora-s1"), ("lora-s3", title)}
    assert board("--update", out, tmp_path / "copy") == 0
    assert board(runs[0], tmp_path / "copy", runs[2], "-o", whole, "--with", told, *OPTIONS) == 0
    assert_same(out, whole)


@pytest.mark.parametrize("added", ["run", "board"])
def test_a_training_that_comes_back_brings_its_row_back(added: str, tmp_path: Path, factory: SimpleNamespace) -> None:
    runs = [write(tmp_path / "runs", factory, f"lora-s{seed}", seed, training=seed) for seed in (1, 2)]
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert board(*runs, "-o", out, *OPTIONS) == 0
    shutil.move(runs[1], tmp_path / "copy")
    assert board(tmp_path / "copy", "-o", tmp_path / "other", *OPTIONS) == 0
    assert board("--update", out, tmp_path / ("copy" if added == "run" else "other")) == 0
    assert board(runs[0], tmp_path / "copy", "-o", whole, *OPTIONS) == 0
    assert_same(out, whole)


def test_a_report_about_one_task_stays_with_a_row_whose_run_is_gone(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = report(tmp_path / "report.json", "full", "base", task="mytask")
    assert board(runs / "base", runs / "full", "-o", out, "--with", told, *OPTIONS) == 0
    shutil.rmtree(runs / "full")
    assert board("--update", out, runs / "lora") == 0
    assert blocks_of(out) == {("full", "About full"), ("base", "About base")}


def test_a_report_stays_with_a_renamed_run_beside_a_gone_row_of_its_old_name(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    for name, skill in (("mine", 1), ("theirs", 2)):
        write(tmp_path / name, factory, "lora", skill)
        told = report(tmp_path / f"{name}.json", "lora")
        told.write_text(told.read_text().replace("About", name))
        assert board(tmp_path / name, "-o", tmp_path / f"{name}-board", "--with", told, *OPTIONS) == 0
    shutil.rmtree(tmp_path / "theirs")
    named = ("--name", f"{tmp_path / 'mine'}=first")
    assert board("--update", tmp_path / "mine-board", tmp_path / "theirs-board", *named) == 0
    assert blocks_of(tmp_path / "mine-board") == {("first", "mine lora"), ("lora", "theirs lora")}
