"""All pairs at once against one pair at a time."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from groupgap.errors import GroupgapError
from groupgap.metrics import compare, compare_weights, count_pair, stack_seeds
from groupgap.metrics.all_pairs import EXTREMES, Samples, compare_all

GROUPS = ("a", "b", "c")
N = 600


def asked(rng: np.random.Generator, positive: int | None = 1, classes: int = 2, n: int = N) -> Samples:
    membership = np.eye(3, dtype=bool)[rng.integers(3, size=n)]
    membership[: n // 10] |= rng.random((n // 10, 3)) < 0.3
    membership[-5:] = False
    return Samples(rng.integers(classes, size=n), membership, GROUPS, tuple("xyz"[:classes]), positive, 30)


def answers(samples: Samples, rng: np.random.Generator, accuracy: float, seeds: int = 1) -> np.ndarray:
    shape = (seeds, len(samples.labels))
    other = (samples.labels + rng.integers(1, len(samples.classes), size=shape)) % len(samples.classes)
    return np.where(rng.random(shape) < accuracy, samples.labels, other)


@pytest.mark.parametrize(("positive", "classes"), [(1, 2), (None, 2), (None, 3)])
def test_every_pair_is_as_if_it_were_compared_alone(positive: int | None, classes: int) -> None:
    rng = np.random.default_rng(3)
    samples = asked(rng, positive, classes)
    systems = [answers(samples, rng, accuracy) for accuracy in (0.9, 0.7, 0.72)]
    pairs = list(itertools.combinations(range(3), 2))
    found = compare_all(samples, systems, pairs, draws=4_000)
    assert found.measures == (
        ("accuracy", None), *((metric, None) for metric in EXTREMES), *(("accuracy", group) for group in GROUPS)
    )  # fmt: skip
    for pair, (one, other) in enumerate(pairs):
        joint = count_pair(
            samples.labels, (systems[one][0], systems[other][0]), samples.membership, GROUPS, samples.classes
        )
        alone = compare(joint, positive, draws=4_000)
        for number, (metric, group) in enumerate(found.measures):
            expected = alone.find(metric, group)
            drawn = metric in EXTREMES
            for name in ("value", "low", "high", "p_value"):
                ours, theirs = getattr(found, name)[number, pair], getattr(expected, name)
                close = 1e-12 if not drawn or name == "value" else 0.08 if name == "p_value" else 0.02
                assert ours == pytest.approx(theirs, abs=close), (metric, name)
            assert found.detectable[number, pair] == pytest.approx(
                expected.minimal_detectable, rel=0.1 if drawn else 1e-12
            )
    assert not found.reasons


@pytest.mark.parametrize("seeds_of_b", [3, 1])
def test_systems_of_several_seeds_are_compared_as_trained_weights(seeds_of_b: int) -> None:
    rng = np.random.default_rng(5)
    samples = asked(rng)
    a, b = answers(samples, rng, 0.85, 3), answers(samples, rng, 0.75, seeds_of_b)
    found = compare_all(samples, [a, b], [(0, 1), (1, 0)], draws=4_000)
    stacked = stack_seeds(
        samples.labels, (a, np.repeat(b, 3 // seeds_of_b, axis=0)), samples.membership, GROUPS, samples.classes
    )
    alone = compare_weights(stacked, 3, 1, draws=4_000)
    for number, (metric, group) in enumerate(found.measures):
        expected = alone.find(metric, group)
        assert found.value[number, 0] == pytest.approx(expected.value, abs=1e-12)
        for name in ("low", "high", "p_value"):
            close = 1e-12 if metric not in EXTREMES else 0.08 if name == "p_value" else 0.02
            assert getattr(found, name)[number, 0] == pytest.approx(getattr(expected, name), abs=close)
        assert found.value[number, 1] == -found.value[number, 0]


@pytest.mark.parametrize("seeds", [1, 3])
def test_clusters_are_drawn_and_swapped_whole(seeds: int) -> None:
    rng = np.random.default_rng(6)
    pairs_of_samples = rng.permutation(np.repeat(np.arange(N // 2), 2))
    samples = replace(asked(rng), clusters=pairs_of_samples)
    a, b = answers(samples, rng, 0.85, seeds), answers(samples, rng, 0.75, seeds)
    found = compare_all(samples, [a, b], [(0, 1)], draws=4_000)
    names = (samples.membership, GROUPS, samples.classes, pairs_of_samples)
    if seeds == 1:
        alone = compare(count_pair(samples.labels, (a[0], b[0]), *names), 1, draws=4_000)
    else:
        alone = compare_weights(stack_seeds(samples.labels, (a, b), *names), seeds, 1, draws=4_000)
    for number, (metric, group) in enumerate(found.measures):
        expected = alone.find(metric, group)
        assert found.value[number, 0] == pytest.approx(expected.value, abs=1e-12)
        for name in ("low", "high", "p_value"):
            close = 1e-12 if metric not in EXTREMES else 0.08 if name == "p_value" else 0.02
            assert getattr(found, name)[number, 0] == pytest.approx(getattr(expected, name), abs=close), (metric, name)


def test_what_is_undefined_has_a_reason_and_no_number() -> None:
    rng = np.random.default_rng(1)
    samples = asked(rng)
    empty = np.zeros(N, dtype=bool)
    alone = Samples(samples.labels, np.stack([samples.membership[:, 0], empty], axis=1), ("a", "none"), ("x", "y"), 1)
    found = compare_all(alone, [answers(alone, rng, 0.8), answers(alone, rng, 0.8)], [(0, 1)], draws=99)
    at = {measure: number for number, measure in enumerate(found.measures)}
    assert found.reasons[at["dpd", None], 0] == "fewer than 2 groups with members"
    assert found.reasons[at["accuracy", "none"], 0] == "no members"
    for number, _ in found.reasons:
        assert np.isnan([found.value[number, 0], found.p_value[number, 0], found.low[number, 0]]).all()
    assert not np.isnan(found.value[at["worst_group", None], 0])


def test_blocks_of_draws_do_not_matter_and_equal_seeds_give_equal_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    samples = asked(rng)
    systems = [answers(samples, rng, accuracy) for accuracy in (0.9, 0.8)]
    first = compare_all(samples, systems, [(0, 1)], draws=500, seed=4)
    monkeypatch.setattr("groupgap.metrics.all_pairs._CHUNK_BYTES", 8 * N * 7)
    second = compare_all(samples, systems, [(0, 1)], draws=500, seed=4)
    assert np.array_equal(first.p_value, second.p_value)
    assert np.array_equal(first.low, second.low)


@pytest.mark.parametrize("seeds", [1, 2])
def test_what_is_held_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch, seeds: int) -> None:
    """Two maxima at a time and five columns at a time against all at once, with pairs in no order."""
    rng = np.random.default_rng(2)
    samples = asked(rng, None, 3)
    systems = [answers(samples, rng, 0.6 + 0.02 * number, seeds) for number in range(7)]
    pairs = [(5, 2), (0, 6), (3, 4), (6, 5), (1, 0), (0, 1), (2, 3)]
    whole = compare_all(samples, systems, pairs, draws=300)
    monkeypatch.setattr("groupgap.metrics.all_pairs._HELD_BYTES", 1)
    monkeypatch.setattr("groupgap.metrics.all_pairs._CHUNK_BYTES", 5 * N)
    parts = compare_all(samples, systems, pairs, draws=300)
    for name in ("value", "low", "high", "p_value", "detectable"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name


def test_a_draw_may_hold_far_more_samples_than_there_are() -> None:
    """A cluster of nearly all samples is drawn several times in one draw in four."""
    rng = np.random.default_rng(3)
    samples = replace(asked(rng, n=60_000), clusters=np.array([0] * 59_800 + list(range(1, 201))))
    samples.membership[:, 0] = True
    a, b = (answers(samples, rng, accuracy) for accuracy in (0.9, 0.7))
    found = compare_all(samples, [a, b], [(0, 1)], draws=4_000)
    joint = count_pair(
        samples.labels, (a[0], b[0]), samples.membership, GROUPS, samples.classes, np.asarray(samples.clusters)
    )
    expected = compare(joint, 1, draws=4_000).find("worst_group")
    for name in ("value", "low", "high"):
        assert getattr(found, name)[1, 0] == pytest.approx(getattr(expected, name), abs=0.02), name


def test_no_pair_and_no_sample() -> None:
    rng = np.random.default_rng(2)
    samples = asked(rng)
    assert compare_all(samples, [answers(samples, rng, 0.9)], [], draws=9).value.shape == (7, 0)
    nothing = asked(rng, n=0)
    found = compare_all(nothing, [answers(nothing, rng, 0.9)] * 2, [(0, 1)], draws=9)
    assert np.isnan(found.value).all()
    assert found.reasons[0, 0] == "no samples"


def test_predictions_of_other_samples_are_refused() -> None:
    samples = asked(np.random.default_rng(0))
    with pytest.raises(GroupgapError, match=r"predictions of shape \(seeds, 600\), but got \(1, 5\)"):
        compare_all(samples, [np.zeros((1, 5), dtype=np.int64)], [])
