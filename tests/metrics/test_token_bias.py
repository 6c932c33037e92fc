"""Token bias: planted worlds (of benchmarks/token_bias_coverage.py) get their effects and verdicts."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from groupgap.errors import GroupgapError
from groupgap.metrics.token_bias import MEASURABLE, NOT_MEASURABLE, TokenBias, token_bias
from groupgap.metrics.token_compare import compare_token_effects


def load() -> ModuleType:
    """The benchmark as a module; it is a script beside the package, not part of it."""
    path = Path(__file__).resolve().parents[2] / "benchmarks/token_bias_coverage.py"
    spec = importlib.util.spec_from_file_location("token_bias_coverage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["token_bias_coverage"] = module
    spec.loader.exec_module(module)
    return module


coverage = load()
World = coverage.World
RUNS = 150


def split(world: object, seed: int = 0) -> TokenBias:
    drawn = world.draw(np.random.default_rng(seed))  # type: ignore[attr-defined]
    groups = tuple(f"g{index}" for index in range(world.groups))  # type: ignore[attr-defined]
    classes = tuple(f"c{index}" for index in range(world.choices))  # type: ignore[attr-defined]
    return token_bias(drawn, classes, world.membership(), groups)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "world",
    [
        World(n=120, symbol=1.0, position=-0.4, group=0.5, meaning=0.8),
        World(n=90, choices=3, groups=2, symbol=0.5, meaning=-1.0, heavy=True),
        World(n=120, blocks=2),
    ],
    ids=["two choices", "three choices, heavy tails", "nothing, all cells"],
)
def test_planted_effects_are_within_their_intervals(world: object) -> None:
    hits = coverage.measure(world, RUNS, np.random.default_rng(1))
    failed = {name: hits[name] / RUNS for name in ("symbol", "position", *coverage.EFFECTS)}
    assert all(coverage.covers(hits[name], RUNS) for name in failed), failed


def test_a_model_with_token_effects_only_is_not_measurable() -> None:
    hits = coverage.measure(World(n=200, groups=2, symbol=1.0), RUNS, np.random.default_rng(2))
    assert hits[NOT_MEASURABLE] / RUNS > 0.9
    assert coverage.holds(hits[MEASURABLE], RUNS)


@pytest.mark.parametrize("world", [World(n=200, group=1.5, meaning=1.0), World(n=200), World(n=60, meaning=2.0)])
def test_a_model_without_token_effects_is_never_called_so(world: object) -> None:
    hits = coverage.measure(world, RUNS, np.random.default_rng(3))
    assert coverage.holds(hits[NOT_MEASURABLE], RUNS)


def test_a_group_effect_that_stands_out_is_measurable() -> None:
    hits = coverage.measure(World(n=200, groups=2, group=2.0), RUNS, np.random.default_rng(4))
    assert hits[MEASURABLE] / RUNS > 0.9


def test_the_benchmark_notices_a_wrong_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: standard errors a third too small."""
    fit_cells = coverage.fit_cells

    def overconfident(*args: object) -> object:
        fit = fit_cells(*args)
        return replace(fit, means=replace(fit.means, covariance=fit.means.covariance * 0.4))

    monkeypatch.setattr(coverage, "fit_cells", overconfident)
    hits = coverage.measure(World(n=120, symbol=1.0), RUNS, np.random.default_rng(5))
    assert not coverage.covers(hits["symbol"], RUNS)


def test_everything_is_named() -> None:
    found = split(World(n=300, groups=3, symbol=2.0, position=1.0, group=1.5))
    odds, points = found.sizes["log-odds"], found.sizes["probability"]
    assert odds.token.groups == ("A", "B")
    assert odds.group.groups == ("c0", "c1", "g0", "g2")
    assert points.token.groups == ("A", "B")
    assert 0 < points.token.value < 1 < odds.token.value
    levels = {(one.level.kind, one.level.name): one.sizes["log-odds"].value for one in found.effects}
    assert list(levels) == [
        *(("meaning", name) for name in ("c0", "c1")),
        *(("symbol", name) for name in ("A", "B")),
        *(("position", name) for name in ("1", "2")),
    ]
    assert levels["symbol", "A"] == pytest.approx(odds.token.value)  # of two, one over the other
    assert levels["position", "2"] == pytest.approx(-levels["position", "1"])
    assert {name: one.n for name, one in found.groups.items()} == {"g0": 100, "g1": 100, "g2": 100}
    assert all(one.token["log-odds"].groups == ("A", "B") for one in found.groups.values())


def test_symbol_and_place_that_go_together_are_one_effect() -> None:
    world = World(n=200, symbol=1.0, position=0.5)
    drawn = world.draw(np.random.default_rng(6))
    together = drawn.of((drawn.places - 2 == drawn.symbols).all(axis=(1, 2)))  # A is first in all of these
    found = token_bias(together, ("no", "yes")).sizes["log-odds"]
    assert found.token.groups == ("A, place 1", "B, place 2")
    assert found.token.low <= 1.5 <= found.token.high


def test_small_groups_have_no_part_in_the_group_effect() -> None:
    world = World(n=100, groups=2)
    member = np.concatenate([world.membership(), np.arange(100)[:, None] < 8], axis=1)
    found = token_bias(world.draw(np.random.default_rng(7)), ("no", "yes"), member, ("a", "b", "few"))
    assert found.small == ("few",)
    assert "few" not in found.sizes["log-odds"].group.groups
    assert found.groups["few"].n == 8
    alone = token_bias(world.draw(np.random.default_rng(7)), ("no", "yes"), member[:, [0, 2]], ("a", "few"))
    assert alone.sizes["log-odds"].group.reason == "1 group large enough: a difference needs two"
    assert alone.sizes["log-odds"].verdict is None
    assert alone.sizes["log-odds"].verdict_of_meaning is not None


def test_choices_of_probability_0_are_left_out_and_counted() -> None:
    drawn = World(n=50).draw(np.random.default_rng(8))
    drawn.log_probabilities[3, 0, 1] = -np.inf
    found = token_bias(drawn, ("no", "yes"))
    assert (found.n, found.left_out) == (49, 1)
    drawn.log_probabilities[:, 0, 1] = -np.inf
    with pytest.raises(GroupgapError, match="no document has log-odds"):
        token_bias(drawn, ("no", "yes"))


def test_names_that_do_not_fit_are_refused() -> None:
    drawn = World(n=50).draw(np.random.default_rng(9))
    with pytest.raises(GroupgapError, match="Expected 2 classes"):
        token_bias(drawn, ("a", "b", "c"))
    with pytest.raises(GroupgapError, match="membership"):
        token_bias(drawn, ("a", "b"), np.ones((50, 2), dtype=bool), ("one",))


def test_the_order_of_groups_and_documents_does_not_matter() -> None:
    world = World(n=120, groups=3, group=1.0, symbol=0.5)
    drawn, names = world.draw(np.random.default_rng(10)), ("a", "b", "c")
    one = token_bias(drawn, ("no", "yes"), world.membership(), names).sizes["log-odds"]
    order = np.random.default_rng(11).permutation(120)
    other = token_bias(drawn.of(order), ("no", "yes"), world.membership()[order][:, ::-1], names[::-1])
    assert other.sizes["log-odds"].group.value == pytest.approx(one.group.value)
    assert other.sizes["log-odds"].token.high == pytest.approx(one.token.high)
    assert other.sizes["log-odds"].verdict == one.verdict


def test_a_model_does_not_differ_from_itself() -> None:
    drawn = World(n=80, symbol=1.0).draw(np.random.default_rng(12))
    first, *others = compare_token_effects(drawn, drawn)
    assert (first.value, first.p_value) == (0.0, 1.0)
    assert first.low <= 0 <= first.high
    assert [one.value for one in others] == [0.0, 0.0]
    assert [one.metric for one in others] == ["symbol_effect", "position_effect"]
    assert [one.class_name for one in others] == ["A over B", "place 1 over place 2"]


def test_a_token_effect_that_went_away_is_found() -> None:
    world = World(n=400, symbol=1.0, varies=0.1)
    a, b = (replace(world, symbol=size).draw(np.random.default_rng(13)) for size in (1.0, 0.1))
    first, symbol, position = compare_token_effects(a, b)
    assert first.low <= 0.9 <= first.high
    assert first.p_value < 0.001
    assert symbol.p_value < 0.001
    assert symbol.value == pytest.approx(0.9)  # the same documents, cells and noise: the difference is exact
    assert position.value == pytest.approx(0.0)


def test_equal_effects_of_other_kinds_are_no_difference_of_size() -> None:
    world = World(n=200)
    a = replace(world, symbol=1.0).draw(np.random.default_rng(14))
    b = replace(world, position=1.0).draw(np.random.default_rng(14))
    first, symbol, position = compare_token_effects(a, b)
    assert first.p_value > 0.05
    assert symbol.p_value < 0.001
    assert position.p_value < 0.001


def test_seeds_of_one_document_are_drawn_together() -> None:
    world = World(n=100, symbol=1.0)
    a, b = world.draw(np.random.default_rng(15)), replace(world, symbol=0.8).draw(np.random.default_rng(15))
    noisy = coverage.replace_noise(b, 0.5, np.random.default_rng(16))
    twice = np.tile(np.arange(100), 2)
    once = compare_token_effects(a, noisy)
    both = compare_token_effects(a.of(twice), noisy.of(twice), twice)
    for one, other in zip(once, both, strict=True):
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high))


def test_models_asked_in_other_cells_cannot_be_compared() -> None:
    a, b = (World(n=50).draw(np.random.default_rng(seed)) for seed in (17, 18))
    with pytest.raises(GroupgapError, match="the same cells"):
        compare_token_effects(a, b)
