"""Runs that are judged together against each by itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from groupgap.errors import GroupgapError
from groupgap.leaderboards.axes import Reading
from groupgap.leaderboards.board import METRICS, Options, build_board
from groupgap.leaderboards.collection import Collection, Request, collect
from groupgap.leaderboards.judging import LEAST_DRAWS, enough_draws, judge_task
from groupgap.metrics import calibration, judge
from threadpoolctl import threadpool_info

OPTIONS = Options(draws=1_000, seed=5)


def runs(folder: Path, factory: SimpleNamespace, number: int = 12) -> Collection:
    """Runs of one task on two axes; the last one was made with a smaller smallest group."""
    for index in range(number):
        made = factory.documents(200)
        factory.run(
            n=200,
            predictions=factory.predict(made, index, 0.6 + 0.02 * index),
            model_args={"pretrained": f"m{index:02d}"},
            metadata={"min_group": 5} if index == number - 1 else {},
        ).write(folder / f"m{index:02d}")
    return collect(Request([folder], reading=Reading({"mytask": ("meta.lang",)})))


def test_every_run_is_judged_as_by_itself(tmp_path: Path, factory: SimpleNamespace) -> None:
    collection = runs(tmp_path, factory)
    lines: list[str] = []
    found = judge_task(collection.entries, OPTIONS, lines.append)
    assert len(found) == 24
    assert [line.count(", m0") + line.count(", m1") for line in lines] == [10, 10, 0, 0]  # names after the first
    for entry in collection.entries:
        for answers in entry.answers:
            one = found[entry.run.name, answers.axis]
            floor = 5 if entry.run.name == "m11" else 30
            alone = judge(answers.counts(), answers.positive, min_group=floor, draws=1_000, seed=5)
            assert one.judgement.groups == alone.groups
            assert one.judgement.left_out == alone.left_out
            for metric in METRICS:
                ours, theirs = getattr(one.judgement, metric), getattr(alone, metric)
                assert (ours.value, ours.n, ours.groups) == (theirs.value, theirs.n, theirs.groups)
                assert ours.stderr == pytest.approx(theirs.stderr, rel=0.2), metric
                if ours.chance is not None:
                    assert ours.chance.p_value == pytest.approx(theirs.chance.p_value, abs=0.09), metric
            probabilities = answers.probabilities, answers.labels, answers.membership, answers.groups
            assert one.calibration == calibration(
                *probabilities, classes=answers.classes, positive=answers.positive, min_group=floor, draws=1_000, seed=5
            )


def test_a_run_s_numbers_do_not_depend_on_those_beside_it(tmp_path: Path, factory: SimpleNamespace) -> None:
    entries = runs(tmp_path, factory).entries
    all_of_them = judge_task(entries, OPTIONS, None)
    most = judge_task(entries[2:], OPTIONS, None)
    assert all(most[key] == all_of_them[key] for key in most)


def test_small_products_are_not_shared_out_to_threads(tmp_path: Path, factory: SimpleNamespace) -> None:
    used: list[int] = []

    def look(line: str) -> None:
        used.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")

    build_board(runs(tmp_path, factory, 2), Options(draws=20), look)
    assert set(used) == {1}


def test_the_command_s_draws_reach_beyond_both_ends_of_a_95_percent_interval() -> None:
    assert enough_draws(LEAST_DRAWS) == LEAST_DRAWS
    assert (LEAST_DRAWS + 1) * 0.025 == 25
    with pytest.raises(GroupgapError, match=r"--draws 998: expected 999 or more \(default 10000\)"):
        enough_draws(LEAST_DRAWS - 1)
    assert Options(draws=5).draws == 5  # the library is free to
