"""Boards of any size made of random numbers, and one browser for all tests of the page."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from groupgap.leaderboards.board import Board, Options, Row
from groupgap.leaderboards.pairs import Pairs, bands, one_family
from groupgap.metrics import Calibration, CalibrationReport, Chance, Estimate, GroupRates, Judgement, reliability_curve
from groupgap.metrics.all_pairs import PairTable
from scipy import stats

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
GROUPS = ("aurelian", "brontic", "celian", "dorvan", "elmic")
BASES = ("llama-3-8b", "mistral-7b", "qwen-2.5-7b")
METHODS = ("base", "full", "lora-r4", "lora-r16", "dora")
GAPS = ("accuracy_spread", "dpd", "eopp", "eod", "eod_mean")


def rate(rng: np.random.Generator, at: float, n: int, **more: Any) -> Estimate:
    """A share near ``at`` with an interval."""
    value = float(np.clip(rng.normal(at, 0.03), 0.02, 0.99))
    half = 1.96 * (value * (1 - value) / n) ** 0.5
    return Estimate(value, n, None, half / 2, max(0, value - half), min(1, value + half), "made", **more)


def gap(rng: np.random.Generator) -> Estimate:
    """A gap with an interval and a chance level."""
    value, p95 = float(rng.gamma(4, 0.03)), float(rng.uniform(0.1, 0.13))
    chance = Chance(p95 * 0.6, p95, float(rng.uniform(0.0001, 1)), 10_000)
    pair = tuple(str(name) for name in rng.permutation(GROUPS)[:2])
    low, high = max(0.0, value - 0.08), min(1.0, value + 0.08)
    return Estimate(value, 1000, None, 0.03, low, high, "made", pair, chance, rate="tpr")


def judgement(rng: np.random.Generator, skill: float) -> Judgement:
    """A judgement of random numbers."""
    groups = {}
    for name in GROUPS:
        rates = [rate(rng, skill, 200), *(rate(rng, at, 100) for at in (0.5, 0.7, 0.3)), rate(rng, 0.1, 200)]
        groups[name] = GroupRates(200, 100, 100, *rates)
    accuracies = {name: one.accuracy.value or 0.0 for name, one in groups.items()}
    worst = min(accuracies, key=lambda name: accuracies[name])
    found = groups[worst].accuracy
    worst_group = Estimate(found.value, 200, None, 0.03, found.low, found.high, "made", (worst,))
    gaps = {metric: gap(rng) for metric in GAPS}
    accuracy = rate(rng, skill, 1000)
    made = {"accuracy": accuracy, "macro_f1": accuracy, "worst_group": worst_group, **gaps}
    return Judgement(1000, **made, groups=groups, draws=999, positive="yes")  # fmt: skip


def report(rng: np.random.Generator) -> CalibrationReport:
    """A calibration of random confidences."""
    confidences = rng.uniform(0.5, 1, 300)
    curve = reliability_curve(confidences, rng.random(300) < confidences)
    chance = Chance(float(rng.uniform(0, 0.05)), float(rng.uniform(0.05, 0.1)), float(rng.random()), 999)
    measures = [rate(rng, 0.1, 300, chance=chance) for _ in range(6)]
    overall = Calibration(300, *measures, curve=curve)
    return CalibrationReport(overall, dict.fromkeys(GROUPS, overall))


def made_pairs(rng: np.random.Generator, rows: list[Row]) -> Pairs:
    """Comparisons of rows: the differences of their accuracies, with noise."""
    pairs = np.array(list(itertools.combinations(range(len(rows)), 2)), dtype=np.int64).reshape(-1, 2)
    measures = (
        ("accuracy", None),
        ("worst_group", None),
        ("dpd", None),
        ("eod", None),
        *(("accuracy", name) for name in GROUPS),
    )
    stderr = rng.uniform(0.012, 0.03, size=(len(measures), 1)) * rng.normal(1, 0.05, size=(len(measures), len(pairs)))
    shown = np.array([[measured(row, *measure) for row in rows] for measure in measures])
    value = shown[:, pairs[:, 0]] - shown[:, pairs[:, 1]]
    p_value = 2 * stats.norm.sf(np.abs(value / stderr))
    table = PairTable(pairs, measures, value, value - 1.96 * stderr, value + 1.97 * stderr, p_value, 2.8 * stderr)
    first = rows[0]
    names = tuple(row.variant for row in rows)
    return Pairs(first.task, first.axis, names, "all", table, np.full(p_value.shape, np.nan), (), 999)


def measured(row: Row, metric: str, group: str | None) -> float | None:
    judged = row.judgement
    return (getattr(judged, metric) if group is None else judged.groups[group].accuracy).value


def board_of_random_numbers(variants: int, tasks: int, compared: bool = True) -> Board:
    """A board with all that a row can have; not one number on it was measured."""
    rng = np.random.default_rng(0)
    tables, pairs = [], []
    for number in range(tasks):
        rows = [row_of(rng, f"task_{number:02d}_fair", index) for index in range(variants)]
        rows.sort(key=lambda row: -(row.judgement.worst_group.value or 0))
        tables.append([ranked(row, place) for place, row in enumerate(rows, start=1)])
        if compared:
            pairs.append(made_pairs(rng, tables[-1]))
    compared_tables = one_family(pairs)
    letters = {one.task: bands(one) for one in compared_tables}
    rows = [changed(row, bands=letters.get(row.task, {}).get(row.variant, {})) for table in tables for row in table]
    return Board(tuple(rows), Options(draws=999), ("task_00_fair: a note",), compared_tables)


def changed(row: Row, **changes: Any) -> Row:
    from dataclasses import replace

    return replace(row, **changes)


def ranked(row: Row, place: int) -> Row:
    return changed(row, rank=place)


def row_of(rng: np.random.Generator, task: str, index: int) -> Row:
    """One row; variants have the same name, base and provenance in every task."""
    own = np.random.default_rng(index)
    base, method = BASES[index % 3], METHODS[index // 3 % 5]
    name = f"{base} {method}" + (f" v{index // 15}" if index >= 15 else "")
    told = {
        "name": name,
        "command": f"groupgap run roster.yaml -o runs/{name.replace(' ', '-')}",
        "hashes": '{"adapter_model.safetensors": "sha256:' + own.bytes(32).hex() + '"}',
        "revision": own.bytes(20).hex(),
        "versions": '{"torch": "2.13.0", "vllm": "0.32.0"}',
    }
    return Row(
        task, "religion", name, judgement(rng, 0.65 + 0.25 * float(own.random())), base=base, method=method,
        proof="full", backend="groupgap-vllm", members=(name,), classes=("no", "yes"), calibration=report(rng),
        licence="apache-2.0",        trained_parameters=None if method == "base" else 4_194_304, provenance=(told,),
    )  # fmt: skip


@pytest.fixture(scope="session")
def made() -> Callable[..., Board]:
    """Makes a board of random numbers: variants, tasks, whether compared."""
    return board_of_random_numbers


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright; one for all tests."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install 'groupgap[test]'")
    with api.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()
