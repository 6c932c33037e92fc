"""Rows against each other: as ``groupgap compare`` finds them, refused where they do not fit, banded by the tests."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groupgap.cli import main
from groupgap.errors import GroupgapError
from groupgap.leaderboards.board import Board, Options, build_board
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.compare import Wish, compare_runs
from groupgap.leaderboards.pairs import ASKED_OTHERWISE, NO_COMMON_SEED
from groupgap.leaderboards.write import write_board
from groupgap.metrics import benjamini_hochberg

N = 400


def write(factory: SimpleNamespace, folder: Path, name: str, accuracy: float, **changes: Any) -> None:
    """A run with a ``variant.json``; ``variant``: more of its entries."""
    made = factory.documents(N, 0)
    described = {"name": name, "base": "m", "method": "lora", **changes.pop("variant", {})}
    skill = changes.pop("skill", sum(map(ord, name)))
    run = factory.WrittenRun(made, factory.predict(made, skill, accuracy), fair=factory.FAIR, **changes)
    place = run.write(folder / name)
    (place / "variant.json").write_text(json.dumps(described))


def board_of(folder: Path, **options: Any) -> Board:
    return build_board(collect(Request([folder])), Options(**{"draws": 999, **options}))


@pytest.fixture
def runs(tmp_path: Path, factory: SimpleNamespace) -> Path:
    for name, accuracy in (("good", 0.95), ("fair", 0.8), ("same", 0.79), ("poor", 0.55)):
        write(factory, tmp_path / "runs", name, accuracy)
    return tmp_path / "runs"


def test_every_pair_is_what_compare_finds(runs: Path) -> None:
    board = board_of(runs, draws=9_999)
    (pairs,) = board.pairs
    assert pairs.variants == tuple(row.variant for row in board.rows)
    assert pairs.found.pairs.tolist() == [list(pair) for pair in itertools.combinations(range(4), 2)]
    for number, (a, b) in enumerate(pairs.found.pairs.tolist()):
        names = [pairs.variants[a], pairs.variants[b]]
        wish = Wish(names, options=Options(draws=9_999))
        (alone,) = compare_runs(collect(Request([runs / name for name in names]), same_documents=False), wish)
        for at, (metric, group) in enumerate(pairs.found.measures):
            expected = alone.comparison.find(metric, group)
            drawn = metric in ("worst_group", "dpd", "eod")
            assert pairs.found.value[at, number] == pytest.approx(expected.value, abs=1e-12)
            assert pairs.found.p_value[at, number] == pytest.approx(expected.p_value, abs=0.06 if drawn else 1e-12)
            assert pairs.found.low[at, number] == pytest.approx(expected.low, abs=0.02 if drawn else 1e-12)


def test_q_values_are_over_the_whole_board_and_bands_follow_from_them(
    tmp_path: Path, runs: Path, factory: SimpleNamespace
) -> None:
    for name in ("good", "fair"):
        write(factory, tmp_path / "more", name, 0.7, task="second")
    board = build_board(collect(Request([runs, tmp_path / "more"])), Options(draws=999))
    document = json.loads(write_board(board, tmp_path / "out")["board.json"].read_text())
    tables = document["pairs"]
    tested = [
        (table, measure, pair)
        for table in tables
        for measure in table["measures"]
        for pair, p in enumerate(measure["p"])
        if p is not None
    ]
    expected = benjamini_hochberg([measure["p"][pair] for _, measure, pair in tested])
    assert {table["family"] for table in tables} == {len(tested)}
    for (_, measure, pair), q in zip(tested, expected, strict=True):
        assert measure["q"][pair] == pytest.approx(q, rel=1e-4)
    for table in tables:
        rows = {row["variant"]: row for row in document["rows"] if row["task"] == table["task"]}
        for metric in ("accuracy", "worst_group", "dpd", "eod"):
            (measure,) = (one for one in table["measures"] if one["metric"] == metric and one["group"] is None)
            for (a, b), q in zip(table["pairs"], measure["q"], strict=True):
                shared = set(rows[table["rows"][a]]["bands"][metric]) & set(rows[table["rows"][b]]["bands"][metric])
                assert (not shared) == (q < 0.05), (metric, a, b)
    letters = {row["variant"]: row["bands"]["accuracy"] for row in document["rows"] if row["task"] == "mytask"}
    assert letters["fair"] == letters["same"] != letters["poor"]
    assert not set(letters["good"]) & set(letters["poor"])


def test_what_no_axis_changes_is_one_test(tmp_path: Path, factory: SimpleNamespace) -> None:
    """Else one true difference, told on every axis, would make room for false ones."""
    axes = {name: {"field": "faith", "groups": ["aur", "bron", "cel"]} for name in ("first", "second", "third")}
    for number, (name, accuracy) in enumerate((("good", 0.95), ("poor", 0.6))):
        made = factory.documents(N, 0)
        run = factory.WrittenRun(made, factory.predict(made, number, accuracy), fair={"axes": axes})
        (run.write(tmp_path / name) / "variant.json").write_text(json.dumps({"name": name, "base": "m"}))
    tables = board_of(tmp_path).pairs
    accuracy = [one.found.measures.index(("accuracy", None)) for one in tables]
    rest = np.concatenate([np.delete(one.found.p_value, at, axis=0) for one, at in zip(tables, accuracy, strict=True)])
    once = np.concatenate([tables[0].found.p_value[accuracy[0]], rest[~np.isnan(rest)]])
    assert [one.family for one in tables] == [len(once)] * 3
    for one, at in zip(tables, accuracy, strict=True):
        assert one.q_value[at, 0] == benjamini_hochberg(once)[0]
        assert np.array_equal(np.isnan(one.q_value), np.isnan(one.found.p_value))


def test_rows_that_were_asked_otherwise_are_not_compared_and_have_no_bands(
    runs: Path, factory: SimpleNamespace
) -> None:
    write(factory, runs, "other", 0.8, prompt="Really? {text}")
    (pairs,) = board_of(runs).pairs
    other = pairs.variants.index("other")
    assert {(a, b) for a, b, why in pairs.not_compared if why == ASKED_OTHERWISE} == {
        tuple(sorted((other, row))) for row in range(5) if row != other
    }
    assert len(pairs.found.pairs) == 6
    assert all(row.bands == {} for row in board_of(runs).rows)


def test_seeds_are_compared_as_trained_weights_on_the_seeds_that_both_have(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    for method, seeds, accuracy in (("lora", (1, 2, 3), 0.85), ("full", (2, 3, 4), 0.7), ("late", (9,), 0.8)):
        for seed in seeds:
            name, variant = f"{method}-s{seed}", {"method": method, "seed": seed}
            write(factory, tmp_path / "runs", name, accuracy, variant=variant, skill=seed)
    write(factory, tmp_path / "runs", "base", 0.6, variant={"method": "base"})
    collection = collect(Request([tmp_path / "runs"]))
    (pairs,) = build_board(collection, Options(draws=9_999)).pairs
    late = pairs.variants.index("late-s9")
    refused = {(a, b): why for a, b, why in pairs.not_compared}
    assert set(refused.values()) == {NO_COMMON_SEED}
    assert len(refused) == 2
    assert all(late in pair for pair in refused)
    paths = [tmp_path / "runs" / name for name in ("lora-s1", "lora-s2", "lora-s3", "full-s2", "full-s3", "full-s4")]
    alone = {
        one.question: one.comparison
        for one in compare_runs(
            collect(Request(paths), same_documents=False), Wish([str(path) for path in paths], options=Options())
        )
    }["weights"]
    a, b = pairs.variants.index("lora"), pairs.variants.index("full")
    number = pairs.found.pairs.tolist().index(sorted((a, b)))
    sign = 1 if a < b else -1
    for at, (metric, group) in enumerate(pairs.found.measures):
        expected = alone.find(metric, group)
        drawn = metric in ("worst_group", "dpd", "eod")
        assert pairs.found.value[at, number] * sign == pytest.approx(expected.value, abs=1e-12)
        assert pairs.found.p_value[at, number] == pytest.approx(expected.p_value, abs=0.06 if drawn else 1e-12)


@pytest.mark.parametrize(("mode", "compared"), [("all", 10), ("baseline", 3), ("none", 0)])
def test_which_pairs_are_compared(runs: Path, factory: SimpleNamespace, mode: str, compared: int) -> None:
    write(factory, runs, "poor", 0.55, variant={"base": "another"})
    write(factory, runs, "base", 0.6, variant={"method": "base"})
    board = board_of(runs, pairs=mode)
    (pairs,) = board.pairs
    assert len(pairs.found.pairs) == compared
    assert all(bool(row.bands) == (mode == "all") for row in board.rows)
    if mode == "baseline":
        base = pairs.variants.index("base")
        assert all(base in pair for pair in pairs.found.pairs.tolist())


def test_without_a_base_model_the_first_row_is_what_others_are_compared_with(runs: Path) -> None:
    (pairs,) = board_of(runs, pairs="baseline").pairs
    assert pairs.found.pairs.tolist() == [[0, 1], [0, 2], [0, 3]]


def test_a_wish_that_is_none_is_refused() -> None:
    with pytest.raises(GroupgapError, match="--pairs some: expected one of all, baseline, none"):
        Options(pairs="some")


def test_an_undefined_gap_is_null_with_its_reason(tmp_path: Path, factory: SimpleNamespace) -> None:
    fair = {**factory.FAIR, "axes": {"faith": {"field": "faith", "groups": ["aur", "bron", "cel", "nobody"]}}}
    for name in ("one", "two"):
        made = factory.documents(20, 0)
        run = factory.WrittenRun(made, factory.predict(made, len(name) + ord(name[0]), 0.7), fair=fair)
        place = run.write(tmp_path / "runs" / name)
        (place / "variant.json").write_text(json.dumps({"name": name}))
    written = write_board(board_of(tmp_path / "runs"), tmp_path / "out")
    (table,) = json.loads(written["board.json"].read_text())["pairs"]
    measures = {(one["metric"], one["group"]): one for one in table["measures"]}
    assert measures["dpd", None]["difference"] == measures["dpd", None]["q"] == [None]
    assert measures["dpd", None]["reasons"]["0"].startswith("fewer than 2 groups")
    assert measures["accuracy", "nobody"]["reasons"] == {"0": "no members"}
    assert measures["accuracy", None]["reasons"] == {}


def test_provenance_licence_and_trained_parameters_come_from_the_run(tmp_path: Path, factory: SimpleNamespace) -> None:
    told = {
        "licence": "apache-2.0",
        "trained_parameters": 4096,
        "command": "groupgap run",
        "hashes": {"a": "b" * 9_000},
    }
    write(factory, tmp_path / "runs", "one", 0.8, variant=told)
    factory.run(n=N).write(tmp_path / "runs" / "plain")
    rows = {row.variant: row for row in board_of(tmp_path / "runs").rows}
    row = rows["one"]
    assert (row.licence, row.trained_parameters) == ("apache-2.0", 4096)
    (provenance,) = row.provenance
    assert provenance["command"] == "groupgap run"
    assert len(provenance["hashes"]) < 2_100
    (other,) = (row for name, row in rows.items() if name != "one")
    assert (other.licence, other.trained_parameters) == (None, None)
    assert dict(other.provenance[0])["backend"] == "hf"


def report(path: Path, blocks: Any) -> str:
    path.write_text(json.dumps({"blocks": blocks} if blocks is not None else {}))
    return str(path)


BLOCK = {"variant": "good", "task": None, "title": "Attack", "columns": ["group", "auc"], "rows": [["all", 0.5]]}


def test_reports_are_shown_with_their_variant(runs: Path, tmp_path: Path) -> None:
    stranger = {**BLOCK, "variant": "nobody"}
    out = tmp_path / "out"
    command = ["board", str(runs), "-o", str(out), "--draws", "999", "--pairs", "none"]
    assert main([*command, "--with", report(tmp_path / "r.json", [BLOCK, stranger])]) == 0
    document = json.loads((out / "board.json").read_text())
    assert document["blocks"][0] == {**BLOCK, "notes": []}
    assert any("nobody" in note for note in document["notes"])


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (None, 'no "blocks" in it'),
        ([{**BLOCK, "rows": [["all"]]}], "block 0: 2 columns, but a row of 1 cells"),
        ([BLOCK, {**BLOCK, "colour": 1}], "block 1, colour: Extra inputs"),
        ([{**BLOCK, "rows": [["all", [1]]]}], "block 0, rows"),
        (["text"], "block 0"),
    ],
)
def test_a_broken_report_is_refused_with_its_place(
    runs: Path, tmp_path: Path, blocks: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["board", str(runs), "-o", str(tmp_path / "out")]
    assert main([*command, "--with", report(tmp_path / "r.json", blocks)]) == 2
    assert message in capsys.readouterr().err


def test_two_builds_compare_alike(runs: Path) -> None:
    first, second = board_of(runs).pairs[0], board_of(runs).pairs[0]
    assert np.array_equal(first.q_value, second.q_value, equal_nan=True)
