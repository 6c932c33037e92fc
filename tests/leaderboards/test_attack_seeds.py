"""Attacks on several seeds of a recipe: means and paired tests over trainings, against scipy and scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from groupgap.adapters.attack_scores import AuditScores
from groupgap.leaderboards.attack_report import AttackOptions, AttackReport, build_report
from groupgap.leaderboards.attack_tables import attack_document, attack_markdown
from groupgap.leaderboards.attack_words import in_words
from groupgap.metrics import benjamini_hochberg
from scipy import stats
from sklearn.metrics import roc_auc_score

SEEDS = (13, 42, 666)
N = 400
FEW = AttackOptions(draws=999)


def audit(method: str, seed: int, leak: float, **training: Any) -> AuditScores:
    """Members are moved up by so much; two groups, and one of ten rows."""
    rng = np.random.default_rng([seed, int(10 * leak)])
    member = np.arange(N) % 2 == 0
    groups = [("few",) if row < 10 else ("a",) if row % 3 else ("b",) for row in range(N)]
    told = {"name": method, "recipe": f"recipe of {method}", "shadows": f"recipe of {method}", **training}
    return AuditScores(
        f"{method}-{seed}",
        tuple(map(str, range(N))),
        member,
        (rng.normal(size=N) + leak * member)[:, None],
        np.empty((0, N, 1)),
        np.empty((0, N), bool),
        {"religion": tuple(groups)},
        {"task": "toy", "method": method, "seed": seed, "training": told},
    )


@pytest.fixture(scope="module")
def audits() -> list[AuditScores]:
    return [audit("full", seed, 1.0) for seed in SEEDS] + [audit("lora", seed, 0.2) for seed in (*SEEDS, 7)]


@pytest.fixture(scope="module")
def report(audits: list[AuditScores]) -> AttackReport:
    return build_report(audits, FEW)


def aucs(audits: list[AuditScores], method: str, group: str | None, seeds: tuple[int, ...]) -> list[float]:
    found = {}
    for one in audits:
        if one.facts["method"] == method:
            asked = np.array([group is None or group in of_row for of_row in one.groups["religion"]])
            found[one.facts["seed"]] = roc_auc_score(one.member[asked], one.statistic[asked, 0])
    return [found[seed] for seed in seeds]


@pytest.mark.parametrize("group", [None, "a", "b"])
def test_means_and_intervals_are_over_trainings(
    report: AttackReport, audits: list[AuditScores], group: str | None
) -> None:
    key = None if group is None else ("religion", group)
    assert [(one.name, one.seeds) for one in report.trainings] == [("full", SEEDS), ("lora", (7, *SEEDS))]
    for one in report.trainings:
        values = aucs(audits, one.name, group, one.seeds)
        low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        found = one.auc[key]
        assert found.value == pytest.approx(np.mean(values))
        assert (found.low, found.high) == pytest.approx((low, min(1.0, high)))
        assert one.of_seed[key] == pytest.approx(values)


@pytest.mark.parametrize("group", [None, "a", "b"])
def test_two_recipes_are_compared_over_the_seeds_that_both_have(
    report: AttackReport, audits: list[AuditScores], group: str | None
) -> None:
    key = None if group is None else ("religion", group)
    (pair,) = (pair for pair in report.trainings_against if pair.key == key)
    sides = [aucs(audits, method, group, SEEDS) for method in ("full", "lora")]
    assert (pair.a, pair.b, pair.seeds) == ("full", "lora", SEEDS)
    assert pair.difference.p_value == pytest.approx(stats.ttest_rel(*sides).pvalue)
    assert pair.difference.estimate.value == pytest.approx(np.mean(sides[0]) - np.mean(sides[1]))


def test_a_group_too_small_is_undefined_over_trainings_too(report: AttackReport) -> None:
    for one in report.trainings:
        assert one.auc["religion", "few"].value is None
        assert "fewer than 30" in str(one.auc["religion", "few"].reason)
    assert all(pair.key != ("religion", "few") for pair in report.trainings_against)


def test_these_tests_are_of_the_same_family(report: AttackReport) -> None:
    p_values = [pair.difference.p_value for pair in report.trainings_against]
    p_values += [pair.difference.auc_p_value for pair in report.against]
    p_values += [p for pair in report.against for p in pair.difference.tpr_p_values.values()]
    for one in report.attacked:
        if one.overall is not None:
            powers = [one.overall.overall, *(group.own for axis in one.axes.values() for group in axis.groups.values())]
            found = [part for power in powers for part in (power.auc, *power.tpr_at.values())]
            p_values += [part.chance.p_value for part in found if part.chance is not None]
    known = [float(p) for p in p_values if p is not None]
    expected = [pair.q_value for pair in report.trainings_against]
    np.testing.assert_allclose(benjamini_hochberg(known)[: len(expected)], expected)


def test_the_report_says_it(report: AttackReport) -> None:
    text = attack_markdown(report)
    assert "## Over trainings" in text
    assert "over 3 trainings full gives training rows away more than lora (loss, all, q = " in text
    told = attack_document(report)
    assert [one["name"] for one in told["trainings"]] == ["full", "lora"]
    assert {one["group"] for one in told["trainings_differences"]} == {None, "a", "b"}


def test_one_seed_twice_one_seed_alone_or_other_shadows_are_not_folded() -> None:
    twice = [audit("full", 13, 1.0), audit("full", 13, 0.5)]
    assert build_report(twice[:1], FEW).trainings == ()
    assert build_report(twice, FEW).trainings == ()
    lent = [audit("full", 13, 1.0), audit("full", 42, 1.0, shadows="recipe of lora")]
    assert build_report(lent, FEW).trainings == ()
    unknown = [audit("full", seed, 1.0, recipe=None) for seed in SEEDS]
    assert "Over trainings" not in attack_markdown(build_report(unknown, FEW))


def test_seeds_that_were_asked_about_other_rows_are_not_folded() -> None:
    first, second = audit("full", 13, 1.0), audit("full", 42, 1.0)
    other = replace(second, member=~second.member)
    assert [one.name for one in build_report([first, second], FEW).trainings] == ["full"]
    assert build_report([first, other], FEW).trainings == ()


def test_groups_that_one_seed_lacks_are_left_out() -> None:
    first, second = audit("full", 13, 1.0), replace(audit("full", 42, 1.0), groups={})
    (folded,) = build_report([first, second], FEW).trainings
    assert set(folded.auc) == {None}


def test_a_recipe_without_groups_stands_beside_others() -> None:
    bare = [replace(audit("bare", seed, 1.0), groups={}) for seed in SEEDS]
    both = [audit(method, seed, leak) for method, leak in (("full", 3.0), ("lora", 0.2)) for seed in SEEDS]
    said = in_words(build_report([*both, *bare], FEW))
    assert any(line.startswith("over 3 trainings full gives") and "religion: " in line for line in said)


def test_recipes_of_one_name_are_told_apart() -> None:
    """Two bases have two recipe files, and both call a method full."""
    one = [audit("full", seed, 1.0) for seed in SEEDS]
    other = [replace(audit("full", seed, 0.2, recipe="another"), target=f"other-{seed}") for seed in SEEDS]
    names = [found.name for found in build_report([*one, *other], FEW).trainings]
    assert names == ["full (full-13, full-42, full-666)", "full (other-13, other-42, other-666)"]


def test_a_seed_that_stands_twice_is_told() -> None:
    report = build_report([audit("full", 13, 1.0), replace(audit("full", 13, 0.5), target="again")], FEW)
    assert report.trainings == ()
    assert any("full-13, again: seeds of one recipe, not judged over trainings" in note for note in report.notes)


def test_an_endless_name_is_cut() -> None:
    (found,) = build_report([audit("full", seed, 1.0, name="x" * 10_000) for seed in SEEDS], FEW).trainings
    assert len(found.name) == 200
