"""The numbers on the board against fairlearn and against a plain loop; ranking; what lm-eval said."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, demographic_parity_difference, equalized_odds_difference
from groupgap.errors import GroupgapError
from groupgap.leaderboards.board import NOT_PROVEN, Board, Options, build_board
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.markdown import board_markdown, terminal
from groupgap.leaderboards.page import board_page
from groupgap.leaderboards.tables import board_csv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

QUICK = Options(min_group=1, draws=50)
GROUPS = ("aur", "bron", "cel")


def board_of(folder: Path, options: Options = QUICK) -> Board:
    return build_board(collect(Request([folder])), options)


def rows(cells: list[tuple[tuple[str, ...], int, int]]) -> tuple[list[dict[str, Any]], list[int]]:
    documents = [
        {"id": str(index), "text": f"t{index}", "label": label, "faith": list(groups)}
        for index, (groups, label, _) in enumerate(cells)
    ]
    return documents, [prediction for _, _, prediction in cells]


singles = st.tuples(st.sampled_from(GROUPS).map(lambda group: (group,)), st.integers(0, 1), st.integers(0, 1))
overlapping = st.tuples(st.lists(st.sampled_from(GROUPS), unique=True).map(tuple), st.integers(0, 1), st.integers(0, 1))
FILLED = [((group,), label, label) for group in GROUPS for label in (0, 1)]
relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@relaxed
@given(cells=st.lists(singles, min_size=5, max_size=60))
def test_gaps_equal_fairlearns_on_disjoint_groups(
    tmp_path_factory: pytest.TempPathFactory, factory: SimpleNamespace, cells: list[Any]
) -> None:
    documents, predictions = rows(FILLED + cells)
    folder = factory.WrittenRun(documents, predictions, fair=factory.FAIR).write(tmp_path_factory.mktemp("run"))
    (row,) = board_of(folder).rows
    labels = [document["label"] for document in documents]
    groups = [document["faith"][0] for document in documents]
    judged = row.judgement
    assert judged.dpd.value == pytest.approx(
        demographic_parity_difference(labels, predictions, sensitive_features=groups), abs=1e-12
    )
    assert judged.eod.value == pytest.approx(
        equalized_odds_difference(labels, predictions, sensitive_features=groups), abs=1e-12
    )
    by_group = MetricFrame(
        metrics=accuracy_score, y_true=labels, y_pred=predictions, sensitive_features=groups
    ).by_group
    assert judged.worst_group.value == pytest.approx(by_group.min(), abs=1e-12)
    assert by_group[list(judged.worst_group.groups)].to_numpy() == pytest.approx(by_group.min(), abs=1e-12)
    assert judged.accuracy_spread.value == pytest.approx(by_group.max() - by_group.min(), abs=1e-12)


def loop(cells: list[Any], within: Any, success: Any) -> dict[str, float]:
    """The rate of every group that has a denominator, one answer at a time."""
    found = {}
    for group in GROUPS:
        inside = [cell for cell in cells if group in cell[0] and within(cell)]
        if inside:
            found[group] = sum(map(success, inside)) / len(inside)
    return found


def gap(rates: dict[str, float]) -> float | None:
    return max(rates.values()) - min(rates.values()) if len(rates) > 1 else None


@relaxed
@given(cells=st.lists(overlapping, min_size=1, max_size=60))
def test_gaps_equal_a_plain_loop_on_overlapping_groups(
    tmp_path_factory: pytest.TempPathFactory, factory: SimpleNamespace, cells: list[Any]
) -> None:
    documents, predictions = rows(cells)
    folder = factory.WrittenRun(documents, predictions, fair=factory.FAIR).write(tmp_path_factory.mktemp("run"))
    (row,) = board_of(folder).rows
    accuracy = loop(cells, lambda cell: True, lambda cell: cell[1] == cell[2])
    selection = loop(cells, lambda cell: True, lambda cell: cell[2] == 1)
    tpr = loop(cells, lambda cell: cell[1] == 1, lambda cell: cell[2] == 1)
    fpr = loop(cells, lambda cell: cell[1] == 0, lambda cell: cell[2] == 1)
    judged = row.judgement
    sides = [gap(tpr), gap(fpr)]
    eod = None if None in sides else max(side for side in sides if side is not None)
    expected = [min(accuracy.values(), default=None), gap(accuracy), gap(selection), gap(tpr), eod]
    found = [judged.worst_group, judged.accuracy_spread, judged.dpd, judged.eopp, judged.eod]
    for estimate, value in zip(found, expected, strict=True):
        assert estimate.value == (None if value is None else pytest.approx(value, abs=1e-12))
        assert (estimate.reason is None) == (value is not None)
    for group in GROUPS:
        assert row.judgement.groups[group].n == sum(group in names for names, *_ in cells)


def test_one_person_in_two_groups_counts_in_both(tmp_path: Path, factory: SimpleNamespace) -> None:
    documents, predictions = rows([(("aur", "bron"), 1, 0), (("aur",), 1, 1), (("bron",), 0, 0)])
    (row,) = board_of(factory.WrittenRun(documents, predictions, fair=factory.FAIR).write(tmp_path)).rows
    assert [row.judgement.groups[group].n for group in GROUPS] == [2, 2, 0]
    assert [row.judgement.groups[group].accuracy.value for group in GROUPS] == [0.5, 0.5, None]
    assert row.n == 3


def test_small_groups_are_left_out_and_named(tmp_path: Path, factory: SimpleNamespace) -> None:
    cells = (
        [(("aur",), label, label) for label in (0, 1)] * 20
        + [(("bron",), label, 0) for label in (0, 1)] * 20
        + [(("cel",), 0, 1)]
    )
    documents, predictions = rows(cells)
    factory.WrittenRun(documents, predictions, fair=factory.FAIR, metadata={"min_group": 10}).write(tmp_path)
    (row,) = board_of(tmp_path, Options(draws=50)).rows
    assert row.judgement.min_group == 10
    assert list(row.left_out) == ["cel"]
    assert row.judgement.worst_group.groups == ("bron",)
    (row,) = board_of(tmp_path, Options(min_group=1, draws=50)).rows  # the command line wins
    assert row.judgement.worst_group.groups == ("cel",)
    (row,) = board_of(tmp_path, Options(min_group=30, draws=50)).rows
    assert row.judgement.eod.value is None


def test_rows_are_ranked_by_worst_group_and_ties_share_a_rank(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = factory.documents(60)
    wrong = factory.predict(made, accuracy=0.2)
    right = [document["label"] for document in made]
    for name, predictions in (("b", wrong), ("a", right), ("c", right)):
        factory.WrittenRun(made, predictions, fair=factory.FAIR, model_args={"pretrained": name}).write(tmp_path / name)
    assert [(row.rank, row.variant) for row in board_of(tmp_path).rows] == [(1, "a"), (1, "c"), (3, "b")]


def test_means_of_equal_trainings_in_another_order_share_a_rank(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = [
        {"id": f"{group}{at}", "text": f"{group} {at}", "label": 1, "faith": [group]}
        for group in ("aur", "bron")
        for at in range(100)
    ]
    for method, rights in (("full", (28, 34, 35)), ("lora", (35, 34, 28)), ("base", (27, 27, 27))):
        for seed, right in enumerate(rights):
            run = factory.WrittenRun(made, [1] * right + [0] * (100 - right) + [1] * 100, fair=factory.FAIR)
            told = {"name": f"{method}-{seed}", "base": "org/base", "method": method, "seed": seed}
            (run.write(tmp_path / told["name"]) / "variant.json").write_text(json.dumps(told))
    found = {row.method: row for row in board_of(tmp_path).rows}
    values = [found[method].judgement.worst_group.value for method in ("full", "lora")]
    assert values[0] != values[1] == pytest.approx(values[0], abs=1e-12)
    assert [(row.rank, row.method) for row in found.values()] == [(1, "full"), (1, "lora"), (3, "base")]


def test_a_row_says_how_its_answers_were_proven(tmp_path: Path, factory: SimpleNamespace) -> None:
    for name, proof in (
        ("a", {"level": "full", "passed": True}),
        ("b", {"level": "full", "passed": False}),
        ("c", None),
    ):
        folder = factory.run(model_args={"pretrained": name}).write(tmp_path / name)
        if proof:
            (folder / "variant.json").write_text(json.dumps({"name": name, "proof": proof}))
    assert {row.variant: row.proof for row in board_of(tmp_path).rows} == {
        "a": "full",
        "b": NOT_PROVEN,
        "c": NOT_PROVEN,
    }


def test_an_undefined_worst_group_has_no_rank(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path)
    (row,) = board_of(tmp_path, Options(min_group=1000, draws=50)).rows
    assert row.rank is None
    assert row.judgement.worst_group.value is None


def test_where_lm_evals_numbers_differ_it_says_so(tmp_path: Path, factory: SimpleNamespace) -> None:
    good = factory.run(metadata={"min_group": 1}).write(tmp_path)
    (row,) = board_of(good).rows
    assert not row.discrepancies
    values = row.judgement
    told = {
        "acc,none": 0.123,
        "worst_group_acc,none": values.worst_group.value,
        "dpd,none": "undefined (no members)",
        "eod,none": float("nan"),
    }
    factory.run(reported=told, metadata={"min_group": 1}).write(tmp_path)
    (row,) = board_of(tmp_path).rows
    assert [(found.metric, str(found.reported)) for found in row.discrepancies] == [
        ("acc", "0.123"),
        ("dpd", "undefined (no members)"),
        ("eod", "nan"),
    ]


def test_a_number_beyond_floats_is_a_difference_like_any_other(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run(reported={"acc,none": 10**400}).write(tmp_path)
    (row,) = board_of(tmp_path).rows
    assert row.discrepancies[0].reported == str(10**400)


def test_another_min_group_than_lm_evals_is_given_as_the_reason(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run(reported={"dpd,none": 0.9}, metadata={"min_group": 5}).write(tmp_path)
    (row,) = board_of(tmp_path).rows
    assert row.discrepancies[0].remark == "lm-eval judged with groups of 5 or more, the board with 1 or more"


def test_runs_judged_with_different_floors_are_noted(tmp_path: Path, factory: SimpleNamespace) -> None:
    for name, floor in (("a", 5), ("b", 10), ("c", 5)):
        factory.run(metadata={"min_group": floor}, model_args={"pretrained": name}).write(tmp_path / name)
    board = board_of(tmp_path, Options(draws=50))
    assert sorted((row.variant, row.judgement.min_group) for row in board.rows) == [("a", 5), ("b", 10), ("c", 5)]
    note = board.notes[0]
    assert note.startswith("task mytask: the runs were made with different smallest groups")
    assert note.endswith("5 for a, c; 10 for b; --min-group sets one for all")
    (ungrouped,) = board_of(tmp_path, Options(min_group=5, draws=50)).notes
    assert ungrouped == "task mytask: 17 of 60 documents are in no group of faith: they enter accuracy and F1 only"


def test_a_task_of_several_axes_gets_a_table_for_each(tmp_path: Path, factory: SimpleNamespace) -> None:
    axes = {**factory.FAIR["axes"], "language": {"field": "meta.lang", "groups": ["en", "de"]}}
    factory.run(fair={**factory.FAIR, "axes": axes}, reported={"language_dpd,none": 0.987}).write(tmp_path)
    board = board_of(tmp_path)
    assert list(board.tables) == [("mytask", "faith"), ("mytask", "language")]
    assert [[found.metric for found in row.discrepancies] for row in board.rows] == [[], ["language_dpd"]]


def test_three_choices_are_judged_one_vs_rest(tmp_path: Path, factory: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    documents, _ = rows([((GROUPS[index % 3],), int(rng.integers(3)), 0) for index in range(90)])
    predictions = [int(value) for value in rng.integers(3, size=90)]
    run = factory.WrittenRun(
        documents, predictions, choices=("no", "perhaps", "yes"), fair={**factory.FAIR, "positive": None}
    )
    board = board_of(run.write(tmp_path))
    (row,) = board.rows
    gaps = {}
    for value, name in enumerate(run.choices):
        rates = [
            np.mean([p == value for p, d in zip(predictions, documents, strict=True) if group in d["faith"]])
            for group in GROUPS
        ]
        gaps[name] = max(abs(a - b) for a, b in itertools.combinations(rates, 2))
    assert row.judgement.dpd.value == pytest.approx(max(gaps.values()), abs=1e-12)
    widest = max(gaps, key=lambda name: gaps[name])
    assert row.judgement.dpd.class_name == widest
    assert f"] ({widest})" in terminal(board)
    assert f"] ({widest})" in board_markdown(board)
    assert f"<em>{widest}</em>" in board_page(board)
    (line,) = csv.DictReader(io.StringIO(board_csv(board)))
    assert (line["dpd_class"], line["dpd_rate"]) == (widest, "")
    eod = row.judgement.eod
    assert (line["eod_class"], line["eod_rate"]) == (eod.class_name, eod.rate)
    assert f"] ({eod.class_name}, {str(eod.rate).upper()})" in terminal(board)
    assert f"<em>{eod.class_name}, {str(eod.rate).upper()}</em>" in board_page(board)


def test_macro_f1_stands_in_the_tables_of_tasks_of_several_classes_only(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    rng = np.random.default_rng(0)
    documents, _ = rows([((GROUPS[index % 3],), int(rng.integers(3)), 0) for index in range(90)])
    predictions = [int(value) for value in rng.integers(3, size=90)]
    own = {"fair": {**factory.FAIR, "positive": None}, "reported": {"macro_f1,none": 0.5}}
    run = factory.WrittenRun(documents, predictions, choices=("no", "perhaps", "yes"), **own)
    board = board_of(run.write(tmp_path / "three"))
    expected = f1_score([document["label"] for document in documents], predictions, average="macro")
    shown = f"{expected:.3f} ["
    assert board.rows[0].judgement.macro_f1.value == pytest.approx(expected)
    assert [found.metric for found in board.rows[0].discrepancies] == ["macro_f1"]
    for text in (terminal(board), board_markdown(board)):
        lines = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
        place = next(place for place, line in enumerate(lines) if line[1:2] == ["rank"])
        assert lines[place + 2][lines[place].index("macro F1")].startswith(shown)
    (flat,) = csv.DictReader(io.StringIO(board_csv(board)))
    assert float(flat["macro_f1"]) == pytest.approx(expected)
    assert "macro_f1_groups" not in flat
    two = board_of(factory.run().write(tmp_path / "two"))
    assert "macro F1" not in terminal(two)
    assert "macro F1" not in board_markdown(two)


@pytest.mark.parametrize(
    ("options", "flag"), [({"min_group": -1}, "--min-group"), ({"draws": 0}, "--draws"), ({"seed": -1}, "--seed")]
)
def test_options_out_of_range(options: dict[str, int], flag: str) -> None:
    with pytest.raises(GroupgapError, match=f"{flag} .*: expected a whole number"):
        Options(**options)
