"""Training seeds in one row; calibration beside the gaps."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groupgap.leaderboards.board import Board, Options, build_board
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.markdown import board_markdown, terminal
from groupgap.leaderboards.page import board_page
from groupgap.leaderboards.tables import board_csv, board_document, groups_csv, to_json
from groupgap.metrics import GAPS, chance_over_seeds
from scipy import stats


def write_seeds(tmp_path: Path, factory: SimpleNamespace, names: list[str], **entries: Any) -> Path:
    for number, name in enumerate(names):
        seed = (13, 42, 1337)[number]
        folder = factory.run(n=120, skill=number).write(tmp_path / f"run-{number}")
        described = {
            "name": name,
            "base": "org/base",
            "method": "lora",
            "weights": f"w{number}",
            "seed": seed,
            **entries,
        }
        (folder / "variant.json").write_text(json.dumps(described))
    return tmp_path


def board_of(folder: Path) -> Board:
    return build_board(collect(Request([folder])), Options(min_group=5, draws=50))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["lora-s13", "lora-s42", "lora-s1337"], "lora"),
        (["llama-2", "llama-2", "llama-2"], "llama-2"),
        (["llama-2 seed=13", "llama-2 seed=42", "llama-2 seed=1337"], "llama-2"),
        (["bias13", "bias42", "bias1337"], "bias"),
        (["x", "y", "z"], "org/base lora"),
    ],
)
def test_seeds_of_one_recipe_are_one_row(
    tmp_path: Path, factory: SimpleNamespace, names: list[str], expected: str
) -> None:
    (row,) = board_of(write_seeds(tmp_path, factory, names)).rows
    assert (row.variant, row.seeds, row.method, row.base) == (expected, (13, 42, 1337), "lora", "org/base")


def test_rates_are_means_over_seeds_with_t_intervals(tmp_path: Path, factory: SimpleNamespace) -> None:
    (row,) = board_of(write_seeds(tmp_path, factory, ["a", "b", "c"])).rows
    runs = [factory.run(n=120, skill=number) for number in range(3)]
    labels = np.array([document["label"] for document in runs[0].documents])
    for group in ("aur", "bron", "cel"):
        inside = np.array([group in document["faith"] for document in runs[0].documents])
        rates = [float((np.array(run.predictions) == labels)[inside].mean()) for run in runs]
        low, high = stats.t.interval(0.95, 2, np.mean(rates), stats.sem(rates))
        found = row.judgement.groups[group].accuracy
        assert (found.value, found.low, found.high) == pytest.approx((np.mean(rates), low, high), abs=1e-12)
    means = {group: rates.accuracy.value for group, rates in row.judgement.groups.items()}
    assert row.judgement.worst_group.value == pytest.approx(min(means.values()), abs=1e-12)
    assert row.judgement.accuracy_spread.value == pytest.approx(max(means.values()) - min(means.values()), abs=1e-12)
    assert "over 3 seeds" in (row.judgement.dpd.interval or "")
    assert [one.seed for one in row.by_seed] == [13, 42, 1337]


def test_other_recipes_stay_rows_of_their_own(tmp_path: Path, factory: SimpleNamespace) -> None:
    write_seeds(tmp_path / "a", factory, ["a-s1", "a-s2"], rank=8)
    write_seeds(tmp_path / "b", factory, ["b-s1", "b-s2"], rank=2)
    assert sorted((row.variant, row.seeds) for row in board_of(tmp_path).rows) == [("a", (13, 42)), ("b", (13, 42))]


def test_one_seed_twice_is_not_folded(tmp_path: Path, factory: SimpleNamespace) -> None:
    write_seeds(tmp_path, factory, ["a", "b"])
    for name in ("a", "b"):
        folder = tmp_path / ("run-0" if name == "a" else "run-1")
        (folder / "variant.json").write_text(json.dumps({"name": name, "weights": name, "seed": 13}))
    board = board_of(tmp_path)
    assert [row.seeds for row in board.rows] == [(13,), (13,)]
    assert board.notes[0].endswith("but stay rows of their own: seed 13 stands twice")


def test_seeds_that_were_not_asked_alike_stay_rows_of_their_own(tmp_path: Path, factory: SimpleNamespace) -> None:
    write_seeds(tmp_path, factory, ["a-s1", "a-s2"])
    factory.run(n=120, skill=1, prompt="Other: {text}").write(tmp_path / "run-1")
    board = board_of(tmp_path)
    assert sorted((row.variant, row.seeds) for row in board.rows) == [("a-s1", (13,)), ("a-s2", (42,))]
    (note,) = [note for note in board.notes if "seeds of one recipe" in note]
    assert note.startswith("task mytask: by their variant.json a-s1, a-s2 are seeds of one recipe, but stay rows")
    assert "they were asked with other prompts (in 120 of 120 common documents)" in note


def test_seeds_along_other_axes_stay_rows_of_their_own(tmp_path: Path, factory: SimpleNamespace) -> None:
    write_seeds(tmp_path, factory, ["a-s1", "a-s2"])
    axes = {**factory.FAIR["axes"], "language": {"field": "meta.lang", "groups": ["en", "de"]}}
    factory.run(n=120, skill=1, fair={**factory.FAIR, "axes": axes}).write(tmp_path / "run-1")
    board = board_of(tmp_path)
    assert sorted((row.axis, row.variant) for row in board.rows) == [
        ("faith", "a-s1"),
        ("faith", "a-s2"),
        ("language", "a-s2"),
    ]
    assert "they were judged along other axes" in board.notes[0]


def test_adapters_of_another_shape_are_another_recipe(tmp_path: Path, factory: SimpleNamespace) -> None:
    shapes = [{"r": 8, "target_modules": ["q", "v"]}, {"r": 8, "target_modules": ["v", "q"]}, {"r": 64}]
    for number, recipe in enumerate(shapes):
        folder = factory.run(n=120, skill=number).write(tmp_path / str(number))
        described = {"name": f"lora-s{number}", "base": "b", "method": "lora", "seed": number, "recipe": recipe}
        (folder / "variant.json").write_text(json.dumps(described))
    assert sorted((row.variant, row.members) for row in board_of(tmp_path).rows) == [
        ("lora", ("lora-s0", "lora-s1")),  # the order of target_modules is peft's chance
        ("lora-s2", ("lora-s2",)),
    ]


def test_two_recipes_with_one_beginning_are_told_apart(tmp_path: Path, factory: SimpleNamespace) -> None:
    write_seeds(tmp_path / "a", factory, ["m1", "m2"], rank=8)
    write_seeds(tmp_path / "b", factory, ["m3", "m4"], rank=2)
    assert sorted(row.variant for row in board_of(tmp_path).rows) == ["m (m1, m2)", "m (m3, m4)"]


def test_the_members_of_a_row_are_listed_everywhere(tmp_path: Path, factory: SimpleNamespace) -> None:
    board = board_of(write_seeds(tmp_path, factory, ["lora-s1", "lora-s2", "lora-s3"]))
    listed = "mean of 3 trainings, intervals over trainings: lora-s1 (seed 13), lora-s2 (seed 42), lora-s3 (seed 1337)"
    assert listed in board_page(board)
    assert listed in terminal(board)
    assert listed in board_markdown(board)
    assert "| lora-s3 " in board_markdown(board)
    (line,) = csv.DictReader(io.StringIO(board_csv(board)))
    assert line["members"] == "lora-s1 / lora-s2 / lora-s3"
    assert board_document(board)["rows"][0]["members"] == ["lora-s1", "lora-s2", "lora-s3"]


def test_rows_over_trainings_are_labelled_as_such(tmp_path: Path, factory: SimpleNamespace) -> None:
    write_seeds(tmp_path / "a", factory, ["lora-s1", "lora-s2"])
    factory.run(n=120, skill=7).write(tmp_path / "b")
    board = board_of(tmp_path)
    for text in (terminal(board), board_markdown(board)):
        assert "| lora (2 seeds) " in text
        assert "| org/model-a (" not in text
    kinds = {line["variant"]: line for line in csv.DictReader(io.StringIO(board_csv(board)))}
    assert kinds["lora"]["accuracy_interval"] == "t over 2 seeds"
    assert kinds["lora"]["dpd_interval"] == "simultaneous t over 2 seeds"
    assert kinds["org/model-a"]["dpd_interval"] == "simultaneous"
    groups = list(csv.DictReader(io.StringIO(groups_csv(board))))
    assert {line["tpr_interval"] for line in groups if line["variant"] == "lora"} == {"t over 2 seeds"}


def test_every_surface_shows_the_seeds(tmp_path: Path, factory: SimpleNamespace) -> None:
    board = board_of(write_seeds(tmp_path, factory, ["a", "b", "c"]))
    document = json.loads(to_json(board_document(board)))
    assert [one["seed"] for one in document["rows"][0]["by_seed"]] == [13, 42, 1337]
    assert "3 seeds" in board_page(board)
    assert "| 1337 " in board_markdown(board)
    assert "13 42 1337" in board_csv(board)
    assert "several seeds" in board_csv(board)


def test_calibration_is_measured_from_the_choices_probabilities(tmp_path: Path, factory: SimpleNamespace) -> None:
    run = factory.run(n=120)
    run.write(tmp_path)
    (row,) = board_of(tmp_path).rows
    scores = np.array([[float(reply[0]) for reply in line["filtered_resps"]] for line in run.lines()])
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    right = scores.argmax(axis=1) == [document["label"] for document in run.documents]
    assert row.calibration is not None
    found = row.calibration.overall
    assert found.signed_gap.value == pytest.approx(shares.max(axis=1).mean() - right.mean(), abs=1e-12)
    document = board_document(Board((row,)))["rows"][0]["calibration"]
    assert document["ece"]["value"] == found.ece.value
    assert sum(document["curve"]["n"]) == 120
    assert [entry["group"] for entry in document["groups"]] == ["aur", "bron", "cel"]
    assert "perfectly calibrated" in board_page(Board((row,)))


def test_seeds_without_a_common_name_are_named_without_the_base_s_folder(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    board = board_of(write_seeds(tmp_path, factory, ["x", "y", "z"], base="/home/somebody/models/tiny"))
    assert {row.variant for row in board.rows} == {"tiny lora"}


def test_a_row_of_seeds_has_the_chance_level_of_its_own_gap(tmp_path: Path, factory: SimpleNamespace) -> None:
    """The second run has the documents in another order; averaged rates differ less by chance than each training's."""
    folder = write_seeds(tmp_path, factory, ["a", "b", "c"])
    runs = [factory.run(n=120, skill=number) for number in range(3)]
    turned = replace(runs[1], documents=runs[1].documents[::-1], predictions=runs[1].predictions[::-1])
    turned.write(tmp_path / "run-1")
    (row,) = board_of(folder).rows
    documents = runs[0].documents
    membership = np.array([[name in one["faith"] for name in ("aur", "bron", "cel")] for one in documents])
    labels, said = [one["label"] for one in documents], [run.predictions for run in runs]
    expected, _ = chance_over_seeds(
        labels, said, membership, row.judgement.groups, positive=1, min_group=5, draws=50, seed=row.judgement.seed
    )
    assert {metric: getattr(row.judgement, metric).chance for metric in expected} == expected
    assert len(expected) == 5
    for metric in ("accuracy_spread", "dpd"):
        each = [getattr(one.judgement, metric).chance.median for one in row.by_seed]
        assert expected[metric].median < min(each)
    assert "chance" in board_markdown(Board((row,)))


def test_seeds_of_documents_in_units_have_the_chance_level_of_units(tmp_path: Path, factory: SimpleNamespace) -> None:
    documents = [{**one, "pair": f"p{index // 2}"} for index, one in enumerate(factory.documents(120, 0))]
    said = [factory.predict(documents, number, 0.8) for number in range(2)]
    for number, answers in enumerate(said):
        place = factory.WrittenRun(documents, answers, fair={**factory.FAIR, "cluster": "pair"}).write(
            tmp_path / f"run-{number}"
        )
        (place / "variant.json").write_text(json.dumps({"name": f"a-s{number}", "method": "lora", "seed": number}))
    (row,) = board_of(tmp_path).rows
    expected, reasons = chance_over_seeds(
        [one["label"] for one in documents],
        said,
        np.array([[name in one["faith"] for name in row.judgement.groups] for one in documents]),
        row.judgement.groups,
        positive=1,
        clusters=[one["pair"] for one in documents],
        min_group=5,
        draws=50,
    )
    for metric in GAPS:
        found = getattr(row.judgement, metric)
        assert (found.chance, found.no_chance) == (expected.get(metric), reasons.get(metric))
    assert row.judgement.dpd.chance is not None


def test_no_two_rows_have_one_name_whatever_a_variant_is_called(tmp_path: Path, factory: SimpleNamespace) -> None:
    write_seeds(tmp_path / "a", factory, ["m1", "m2"], rank=8)
    write_seeds(tmp_path / "b", factory, ["m3", "m4"], rank=2)
    stranger = factory.run(n=120, skill=9).write(tmp_path / "c")
    (stranger / "variant.json").write_text(json.dumps({"name": "m (m1, m2)"}))
    board = board_of(tmp_path)
    rows = {row.variant: row for row in board.rows}
    assert sorted(rows) == ["m (m1, m2)", "m (m1, m2) [2]", "m (m3, m4)"]
    assert rows["m (m1, m2)"].members == ("m (m1, m2)",)
    (pairs,) = board.pairs
    accuracies = [rows[name].judgement.accuracy.value for name in pairs.variants]
    for (a, b), difference in zip(pairs.found.pairs, pairs.found.value[0], strict=True):
        assert difference == pytest.approx(accuracies[a] - accuracies[b])
