"""Coverage and error rates, briefly: the worlds of ``benchmarks/coverage.py``, few runs, its rule for a failure."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    """A benchmark as a module; it is a script beside the package, not part of it."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


designs = load("designs")
coverage = load("coverage")


@pytest.mark.parametrize(
    ("groups", "n", "base", "gap", "overlap", "kind"),
    [
        (2, 100, 0.5, 0.0, 0.0, "one"),
        (5, 100, 0.5, 0.0, 0.0, "one"),
        (5, 100, 0.5, 0.15, 0.0, "half"),
        (8, 120, 0.3, 0.3, 0.25, "line"),
        (13, 1000, 0.05, 0.05, 0.5, "one"),
    ],
)
def test_intervals_cover(groups: int, n: int, base: float, gap: float, overlap: float, kind: str) -> None:
    world = designs.world(groups, base, gap, overlap, kind)
    found = coverage.coverage_case(world, n, 200, np.random.default_rng(1))
    for metric, (hits, defined) in found.items():
        assert coverage.covers(hits, defined), (metric, hits, defined)


def test_the_worst_of_many_tied_groups_near_1_is_covered() -> None:
    world = designs.world(13, 0.5, 0.0, 0.0, "one", 0.99, 0.01)
    hits, defined = coverage.coverage_case(world, 70, 200, np.random.default_rng(1))["worst_group"]
    assert coverage.covers(hits, defined)


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("equal gaps at other groups", 500),
        ("no gaps, .95 against .6", 100),
        ("one extreme pair against four", 500),
        ("eight tied worst against one", 100),
        ("thirteen tied worst against one near", 500),
    ],
)
def test_tests_of_gaps_and_worst_groups_hold_their_level(name: str, n: int) -> None:
    a, b, tests = designs.NULLS[name]
    pair = designs.Pair(np.array(a), np.array(b), 0.5)
    found = coverage.rejections(pair, n, 150, np.random.default_rng(2))
    for test in tests:
        assert coverage.holds(found[test], 150), (test, found[test])


def test_what_the_swap_test_would_do_to_gaps_is_seen() -> None:
    a, b, _ = designs.NULLS["equal gaps at other groups"]
    found = coverage.rejections(designs.Pair(np.array(a), np.array(b), 0.5), 500, 150, np.random.default_rng(3))
    assert not coverage.holds(found["swap"], 150)


def test_a_gap_is_found_when_it_is_there() -> None:
    pair = designs.Pair(np.array([0.8] * 4 + [0.65]), np.array([0.8] * 5), 0.5)
    found = coverage.rejections(pair, 1000, 60, np.random.default_rng(4))
    assert min(found["gap"], found["worst"]) >= 54


def test_the_chance_p_value_holds_its_level() -> None:
    lines, failed = coverage.chance_table(True, 150, np.random.default_rng(5))
    assert failed == 0
    assert len(lines) == 4


@pytest.mark.parametrize(("share", "gap", "low", "high"), [(0.98, 0.0, 0.0, 0.2), (0.5, 0.2, 0.9, 1.0)])
def test_samples_of_no_group_say_nothing_of_chance(share: float, gap: float, low: float, high: float) -> None:
    """Permuted in, they reject over 70% of true nulls (theirs at .98), or hide a gap of .2 (theirs at .5)."""
    level = 0.6 if gap == 0 else 0.98
    groups = designs.world(5, 0.5, 0.0, 0.0, tpr=level, fpr=1 - level)
    groups = designs.World(
        groups.patterns, groups.weights, groups.base, groups.tpr - gap * np.eye(5)[4], groups.fpr + gap * np.eye(5)[4]
    )
    found = coverage.chance_rejections(
        designs.with_ungrouped(groups, 19.0, share, 1 - share), 20 * 5 * 100, 60, np.random.default_rng(7)
    )
    for metric in ("accuracy_spread", "eopp", "eod", "eod_mean"):
        assert low <= found[metric] / 60 <= high, (metric, found[metric])


def test_the_family_holds_its_false_discovery_rate() -> None:
    assert coverage.false_discoveries(60, np.random.default_rng(6))[1] == 0


def test_the_rule_can_fail() -> None:
    assert not coverage.covers(850, 1000)
    assert coverage.covers(925, 1000)
    assert not coverage.holds(110, 1000)
    assert coverage.holds(70, 1000)
