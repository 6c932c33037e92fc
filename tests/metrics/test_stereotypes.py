"""Stereotype ratios over sentence pairs: exact numbers, planted truth, error rates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from groupgap.metrics.clusters import cluster_mean, cluster_share
from groupgap.metrics.generations import Generations, PronounJudge, judge_generations
from groupgap.metrics.stereotypes import compare_stereotypes, ratio_names, stereotype_report
from scipy import stats

GROUPS = ("male", "female")
PAIRS = 159
RUNS = 300


def lines(pairs: int = PAIRS) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Two lines a pair, one of each side."""
    return np.tile(np.eye(2, dtype=bool), (pairs, 1)), [f"pair {line // 2}" for line in range(2 * pairs)]


def translator(male: tuple[float, float], same: float, rng: np.random.Generator) -> list[str]:
    """Answers with P(male) on each side; the lines of a pair are alike more often than chance would have it."""
    drawn = rng.random((PAIRS, 2))
    shared = rng.random(PAIRS) < same
    drawn[shared, 1] = drawn[shared, 0]
    return np.where(drawn < np.array(male), "male", "female").ravel().tolist()


def within(count: int, promised: float) -> bool:
    """Whether a share seen in ``RUNS`` runs does not contradict what was promised (99.9% Clopper-Pearson)."""
    interval = stats.binomtest(count, RUNS).proportion_ci(0.999, "exact")
    return bool(interval.low <= promised <= interval.high)


def test_the_ratios_are_shares_of_each_side() -> None:
    said = ["male", "female", "female", "unknown", "neutral", "female", "male", "male"]
    members, clusters = lines(4)
    found = stereotype_report(said, members, GROUPS, clusters)
    assert tuple(found.ratios) == ratio_names(GROUPS)
    values = {name.removesuffix("_ratio"): one.value for name, one in found.ratios.items()}
    assert values == {
        "male_predispose_male": 0.5,
        "male_predispose_female": 0.25,
        "male_predispose_neutral": 0.25,
        "male_predispose_unknown": 0.0,
        "female_predispose_male": 0.25,
        "female_predispose_female": 0.5,
        "female_predispose_neutral": 0.0,
        "female_predispose_unknown": 0.25,
    }
    assert (found.pro.value, found.anti.value, found.neutral.value, found.unknown.value) == (0.5, 0.25, 0.125, 0.125)
    assert found.difference.value == 0.25
    assert {one.n for one in found.ratios.values()} == {4}
    assert found.pro.n == found.difference.n == 8


def test_lines_of_neither_side_have_ratios_only_of_their_own_group() -> None:
    said = ["male", "female", "neutral"]
    members = [[True, False], [False, True], [False, False]]
    found = stereotype_report(said, members, GROUPS, ["a", "a", "b"])
    assert (found.pro.value, found.pro.n, found.neutral.value) == (1.0, 2, 0.0)
    nobody = stereotype_report(said, [[False, False]] * 3, GROUPS, ["a", "a", "b"])
    assert nobody.difference.text == "undefined (no line of a predisposed occupation)"
    assert nobody.p_value is None
    assert nobody.ratios["male_predispose_male_ratio"].text == "undefined (no line of male)"


def test_the_p_value_is_that_of_all_swaps_of_pairs() -> None:
    """Against the enumeration of all swaps."""
    rng = np.random.default_rng(3)
    members, clusters = lines(9)
    said = rng.choice(["male", "female", "unknown"], 18).tolist()
    found = stereotype_report(said, members, GROUPS, clusters)
    observed, count = abs(found.difference.value or 0.0), 0
    for bits in range(2**9):
        swapped = [said[line ^ 1] if bits >> (line // 2) & 1 else said[line] for line in range(18)]
        value = stereotype_report(swapped, members, GROUPS, clusters).difference.value
        count += value is not None and abs(value) >= observed - 1e-12
    assert found.p_value == pytest.approx(count / 2**9)


@pytest.mark.parametrize("same", [0.0, 0.7])
def test_a_planted_bias_lies_in_its_intervals(same: float) -> None:
    rng, (members, clusters) = np.random.default_rng(11), lines()
    truth = {"pro": 0.75, "anti": 0.25, "difference": 0.5}
    held = dict.fromkeys([*truth, "female_predispose_male_ratio"], 0)
    for _ in range(RUNS):
        found = stereotype_report(translator((0.8, 0.3), same, rng), members, GROUPS, clusters)
        for name, value in truth.items():
            one = getattr(found, name)
            held[name] += one.low <= value <= one.high
        one = found.ratios["female_predispose_male_ratio"]
        held["female_predispose_male_ratio"] += bool(one.low <= 0.3 <= one.high)
        assert found.p_value is not None
        assert found.p_value < 0.001
    assert all(within(count, 0.95) for count in held.values()), held


@pytest.mark.parametrize(("male", "same"), [((0.5, 0.5), 0.0), ((0.9, 0.9), 0.0), ((0.7, 0.7), 0.8)])
def test_no_bias_is_called_so_at_the_promised_rate(male: tuple[float, float], same: float) -> None:
    """A translator that says "he" to all has no stereotype, however often it does."""
    rng, (members, clusters) = np.random.default_rng(12), lines()
    rejected = outside = 0
    for _ in range(RUNS):
        found = stereotype_report(translator(male, same, rng), members, GROUPS, clusters)
        assert found.p_value is not None
        rejected += found.p_value < 0.05
        outside += not found.difference.low <= 0 <= found.difference.high
    limit = stats.binom.isf(0.0005, RUNS, 0.05)
    assert rejected <= limit
    assert outside <= limit


def test_two_systems_are_compared_by_swapping_whole_pairs() -> None:
    rng, (members, clusters) = np.random.default_rng(13), lines()
    same, other = 0, 0
    for _ in range(100):
        a, b, c = (translator(male, 0.5, rng) for male in ((0.7, 0.4), (0.7, 0.4), (0.9, 0.1)))
        same += (compare_stereotypes((a, b), members, GROUPS, clusters)[2].p_value or 0) < 0.05
        other += (compare_stereotypes((a, c), members, GROUPS, clusters)[2].p_value or 0) < 0.05
    assert same <= stats.binom.isf(0.0005, 100, 0.05)
    assert other >= 95


def test_a_difference_of_two_differences_reaches_beyond_one() -> None:
    members, clusters = lines(40)
    always, never = ["male", "female"] * 40, ["female", "male"] * 40
    found = compare_stereotypes((always, never), members, GROUPS, clusters)
    assert [one.value for one in found] == [1.0, -1.0, 2.0]
    assert found[2].low is not None
    assert found[2].high == 2.0
    assert found[2].low <= 2.0
    assert found[2].test == "exact swap test of whole pairs"
    nobody = compare_stereotypes((always, never), np.zeros_like(members), GROUPS, clusters)
    assert [one.reason for one in nobody] == ["no line of a predisposed occupation"] * 3


def test_copies_of_a_line_in_one_cluster_are_no_more_lines() -> None:
    """A cluster of ten equal rows is as sure as one row."""
    hits, names = [True] * 30 + [False] * 20, [str(row) for row in range(50)]
    once = cluster_share(hits, names, "")
    often = cluster_share(np.repeat(hits, 10), np.repeat(names, 10), "")
    assert (often.value, often.n, once.interval) == (once.value, 500, "Wilson")
    assert often.low == pytest.approx(once.low, abs=0.01)
    assert often.high == pytest.approx(once.high, abs=0.01)
    sure = cluster_share([True] * 40, np.repeat(["a", "b"], 20), "")
    assert sure.low == pytest.approx(float(stats.binomtest(2, 2).proportion_ci(0.95, "wilson").low))


def test_a_mean_of_one_cluster_is_known_to_nobody() -> None:
    found, p_value = cluster_mean([1, 1, 1], ["a"] * 3, "")
    assert (found.value, found.low, found.high, p_value) == (1.0, -1.0, 1.0, 1.0)


def test_every_kind_of_text_is_counted_and_none_is_lost() -> None:
    right = ["The nurse said she was late.", "The guard lost his keys."] * 6
    said = [
        "The nurse said she was late.",
        "",
        "The nurse said she was late. Turkish: O geldi. English: He came.",
        "Охранник потерял ключи.",
        "The nurse was late.",
        "The guard lost his keys and she found them.",
        *right[6:],
    ]
    members, clusters = lines(6)
    rows = Generations(said, right, ["nurse", "guard"] * 6, [""] * 12, clusters)
    found = judge_generations(rows, members[:, ::-1], GROUPS, PronounJudge())
    assert found.kinds == {
        "male": 3,
        "female": 4,
        "neutral": 0,
        "both genders": 2,
        "not the occupation's": 0,
        "no pronoun": 1,
        "another script": 1,
        "empty": 1,
    }
    assert sum(found.kinds.values()) == len(said)
    assert found.repeats == 1
    assert found.disagreement.value == pytest.approx(1 / 12)  # the repeated prompt
    aware = judge_generations(rows, members[:, ::-1], GROUPS, PronounJudge("antecedent"))
    assert aware.kinds["female"] == 5
    assert aware.disagreement.value == found.disagreement.value


def test_more_lines_of_one_side_leave_no_stereotype_ratio() -> None:
    """Who says "he" to everybody would seem to follow the stereotype where most occupations are typed male."""
    said = ["male"] * 100
    members = [[True, False]] * 70 + [[False, True]] * 30
    units = [str(line) for line in range(100)]
    found = stereotype_report(said, members, ["male", "female"], units)
    reason = "70 lines of male-typed and 30 of female-typed occupations: as many of each are needed"
    assert [one.reason for one in (found.pro, found.anti, found.difference)] == [reason] * 3
    assert found.p_value is None
    assert found.ratios["male_predispose_male_ratio"].value == 1.0
    for one in compare_stereotypes((said, ["female"] * 100), members, ["male", "female"], units):
        assert (one.value, one.p_value, one.reason) == (None, None, reason)
