"""``groupgap compare`` of methods with training seeds: what is folded, both questions, what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groupgap.cli import main
from groupgap.errors import GroupgapError
from groupgap.leaderboards.board import Options
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.compare import ONE_SEED, Wish, compare_runs
from groupgap.leaderboards.compared import Compared
from groupgap.leaderboards.verdict import QUESTIONS, detectable, verdict
from groupgap.metrics import Difference, Estimate, compare, count_pair
from scipy import stats

QUICK = Options(min_group=5, draws=300)
SEEDS = (13, 42, 1337)


def method(
    folder: Path, factory: SimpleNamespace, name: str, seeds: Sequence[int | None] = SEEDS, skill: int = 0, **run: Any
) -> list[str]:
    """A run for each seed, with its variant.json; the folders."""
    folders = []
    for number, seed in enumerate(seeds):
        place = folder / f"{name}-{number}"
        factory.run(**{"n": 120, "skill": skill + number, **run}).write(place)
        described = {
            "name": f"{name}-s{seed}",
            "base": "org/base",
            "method": name,
            "weights": number,
        }
        (place / "variant.json").write_text(json.dumps({**described, **({} if seed is None else {"seed": seed})}))
        folders.append(str(place))
    return folders


def compared(folders: Sequence[str], baseline: str | None = None, **options: Any) -> tuple[Compared, ...]:
    collection = collect(Request(folders), same_documents=False)
    return compare_runs(collection, Wish(folders, baseline, QUICK, **options))


def predictions(factory: SimpleNamespace, skill: int) -> np.ndarray:
    return np.array([factory.run(n=120, skill=skill + number).predictions for number in range(3)])


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def test_two_methods_are_asked_two_questions(tmp_path: Path, factory: SimpleNamespace) -> None:
    folders = [*method(tmp_path, factory, "lora"), *method(tmp_path, factory, "full", skill=10)]
    trainings, weights = compared(folders)
    for one, question in ((trainings, "trainings"), (weights, "weights")):
        assert (one.a, one.b, one.question, one.seeds, one.joined) == ("lora", "full", question, SEEDS, 120)
        assert (one.seeds_only_a, one.seeds_only_b, one.notes) == ((), (), ())
    labels = np.array([document["label"] for document in factory.documents(120)])
    first, second = ((predictions(factory, skill) == labels).mean(axis=1) for skill in (0, 10))
    found = trainings.comparison.find("accuracy")
    assert found.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-9)
    assert found.by_seed == pytest.approx(first - second)
    assert weights.comparison.find("accuracy").value == pytest.approx(first.mean() - second.mean())
    assert (weights.comparison.clusters, weights.comparison.n) == (120, 120)


def test_all_p_values_are_one_family(tmp_path: Path, factory: SimpleNamespace) -> None:
    folders = [*method(tmp_path, factory, "lora"), *method(tmp_path, factory, "full", skill=10)]
    differences = [one for found in compared(folders) for one in found.comparison.differences]
    tested = [one for one in differences if one.p_value is not None]
    expected = stats.false_discovery_control([one.p_value for one in tested])
    assert [one.q_value for one in tested] == pytest.approx(expected.tolist(), abs=1e-12)
    assert {one.metric for one in differences if one.p_value is None} >= {"dpd", "worst_group"}


def test_one_run_of_each_is_compared_as_ever_and_says_one_seed(tmp_path: Path, factory: SimpleNamespace) -> None:
    folders = [*method(tmp_path, factory, "lora", (13,)), *method(tmp_path, factory, "full", (13,), skill=10)]
    (found,) = compared(folders)
    assert (found.a, found.b, found.seeds, found.notes) == ("lora-s13", "full-s13", (13,), (ONE_SEED,))
    runs = [factory.run(n=120, skill=skill) for skill in (0, 10)]
    member = np.array(
        [[group in document["faith"] for group in ("aur", "bron", "cel")] for document in runs[0].documents]
    )
    labels = np.array([document["label"] for document in runs[0].documents])
    said = tuple(np.array(run.predictions) for run in runs)
    plain = compare(count_pair(labels, said, member, ["aur", "bron", "cel"], ["no", "yes"]), 1, min_group=5, draws=300)
    assert found.comparison == plain


def test_two_seeds_of_one_recipe_alone_are_two_variants(tmp_path: Path, factory: SimpleNamespace) -> None:
    (found,) = compared(method(tmp_path, factory, "lora", (13, 42)))
    assert (found.a, found.b, found.seeds) == ("lora-s13", "lora-s42", ())
    with pytest.raises(GroupgapError, match=r"3 variants \(lora-s13, lora-s42, lora-s1337\): say which one"):
        compared(method(tmp_path, factory, "lora"))


def test_seeds_that_one_side_lacks_are_counted_and_said(tmp_path: Path, factory: SimpleNamespace) -> None:
    folders = [*method(tmp_path, factory, "lora"), *method(tmp_path, factory, "full", (13, 42, 7), skill=10)]
    trainings, weights = compared(folders)
    for one in (trainings, weights):
        assert (one.seeds, one.seeds_only_a, one.seeds_only_b) == ((13, 42), (1337,), (7,))
        assert one.notes == (
            "1 seed of lora (1337) that full does not have: not used",
            "1 seed of full (7) that lora does not have: not used",
        )
    assert len(trainings.comparison.find("dpd").by_seed) == 2
    (single,) = compared([*folders[:3], folders[3]])
    assert (single.a, single.b, single.seeds, single.seeds_only_a) == ("lora-s13", "full-s13", (13,), (42, 1337))
    assert single.notes == ("2 seeds of lora (42, 1337) that full-s13 does not have: not used", ONE_SEED)


def test_a_variant_without_a_seed_stands_beside_every_seed(tmp_path: Path, factory: SimpleNamespace) -> None:
    folders = [*method(tmp_path, factory, "lora"), *method(tmp_path, factory, "base", (None,), skill=10)]
    for order, sign in ((folders, 1), (folders[::-1], -1)):
        trainings, weights = compared(order)
        labels = np.array([document["label"] for document in factory.documents(120)])
        rates = (predictions(factory, 0) == labels).mean(axis=1)
        base = float((predictions(factory, 10)[0] == labels).mean())
        found = trainings.comparison.find("accuracy")
        assert found.value == pytest.approx(sign * (rates.mean() - base))
        assert found.p_value == pytest.approx(stats.ttest_1samp(rates, base).pvalue, rel=1e-9)
        assert "has no training seed" in weights.notes[0]


def test_a_baseline_may_be_a_method_one_of_its_runs_or_a_folder(tmp_path: Path, factory: SimpleNamespace) -> None:
    folders = [
        path
        for number, name in enumerate(("lora", "dora", "full"))
        for path in method(tmp_path, factory, name, (13, 42), 10 * number)
    ]
    for baseline in ("full", "full-s42", folders[-1]):
        found = compared(folders, baseline)
        assert [(one.a, one.b, one.question) for one in found] == [
            ("lora", "full", "trainings"),
            ("lora", "full", "weights"),
            ("dora", "full", "trainings"),
            ("dora", "full", "weights"),
        ]
    with pytest.raises(GroupgapError, match=r"3 variants \(lora, dora, full\): say which one"):
        compared(folders)
    with pytest.raises(GroupgapError, match="--baseline nobody: no such run; expected one of dora, full, lora"):
        compared(folders, "nobody")


def test_runs_may_come_in_any_order_of_documents(tmp_path: Path, factory: SimpleNamespace) -> None:
    folders = [*method(tmp_path, factory, "lora"), *method(tmp_path, factory, "full", skill=10)]
    straight = compared(folders)
    run = factory.run(n=120, skill=11)
    factory.run(documents=run.documents[::-1], predictions=run.predictions[::-1]).write(Path(folders[4]))
    turned = compared(folders)
    assert [one.comparison for one in turned] == [one.comparison for one in straight]


def test_documents_that_one_method_lacks_are_counted(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = factory.documents(120)
    few = {"documents": made[:100], "predictions": [document["label"] for document in made[:100]]}
    folders = [*method(tmp_path, factory, "lora"), *method(tmp_path, factory, "full", **few)]
    for one in compared(folders):
        assert (one.joined, one.only_a, one.only_b, one.comparison.n) == (100, 20, 0, 100)
        assert one.notes[0] == "20 documents of lora and 0 of full have no counterpart and were not used"


def test_what_does_not_depend_on_the_axis_is_tested_once(tmp_path: Path, factory: SimpleNamespace) -> None:
    axes = {**factory.FAIR["axes"], "language": {"field": "meta.lang", "groups": ["en", "de"]}}
    fair = {**factory.FAIR, "axes": axes}
    folders = [*method(tmp_path, factory, "lora", fair=fair), *method(tmp_path, factory, "full", skill=10, fair=fair)]
    found = compared(folders)
    assert [(one.axis, one.question) for one in found] == [
        ("faith", "trainings"),
        ("faith", "weights"),
        ("language", "trainings"),
        ("language", "weights"),
    ]
    overall = [one.metric for each in found for one in each.comparison.differences if one.group is None]
    assert (overall.count("accuracy"), overall.count("dpd")) == (2, 4)


# -- mistakes ----------------------------------------------------------------------------------------------------


def test_seeds_with_other_documents_or_prompts_are_refused(tmp_path: Path, factory: SimpleNamespace) -> None:
    other = method(tmp_path / "b", factory, "full", skill=10)
    made = factory.documents(120)
    changes: dict[str, dict[str, Any]] = {
        r"seeds 13 and 42 of lora answered other documents \(120 and 90, 90 in common\): ask every seed": {
            "documents": made[:90],
            "predictions": [0] * 90,
        },
        r"seeds 13 and 42 of lora are not one method: they were asked with other prompts": {"prompt": "{text}"},
        r"seeds 13 and 42 of lora are not one method: they had other choices": {
            "choices": ("false", "true"),
            "fair": {**factory.FAIR, "positive": "true"},
        },
    }
    for number, (message, change) in enumerate(changes.items()):
        folders = method(tmp_path / str(number), factory, "lora")
        factory.run(**{"n": 120, "skill": 1, **change}).write(Path(folders[1]))
        with pytest.raises(GroupgapError, match=message):
            compared([*folders, *other])


def test_the_same_seed_twice_is_refused(tmp_path: Path, factory: SimpleNamespace) -> None:
    folders = [*method(tmp_path, factory, "lora"), *method(tmp_path, factory, "full", skill=10)]
    described = {"name": "again", "base": "org/base", "method": "lora", "weights": "other", "seed": 13}
    (Path(folders[1]) / "variant.json").write_text(json.dumps(described))
    with pytest.raises(
        GroupgapError,
        match=r"seed 13 twice: by their variant\.json again and lora-s13 are one recipe with the same seed",
    ):
        compared(folders)
    (alone,) = compared(folders[:2])
    assert (alone.a, alone.b) == ("lora-s13", "again")


def test_methods_without_a_common_seed_are_refused(tmp_path: Path, factory: SimpleNamespace) -> None:
    folders = [*method(tmp_path, factory, "lora", (1, 2)), *method(tmp_path, factory, "full", (3, 4), skill=10)]
    with pytest.raises(
        GroupgapError, match=r"lora \(seeds 1, 2\) and full \(seeds 3, 4\) have no training seed in common"
    ):
        compared(folders)


def test_methods_asked_otherwise_are_refused_and_cannot_be_forced(tmp_path: Path, factory: SimpleNamespace) -> None:
    folders = [
        *method(tmp_path, factory, "lora"),
        *method(tmp_path, factory, "full", skill=10, prompt="{text}", shots=5),
    ]
    for forced in (False, True):
        with pytest.raises(GroupgapError, match=r"lora and full cannot be paired: .*--force-unpaired compares one run"):
            compared(folders, unpaired=forced)


# -- what is said ------------------------------------------------------------------------------------------------


def test_json_holds_both_questions_with_p_q_and_null(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [*method(tmp_path, factory, "lora"), *method(tmp_path, factory, "full", skill=10)]
    assert main(["compare", *folders, "--json", "--min-group", "5"]) == 0
    shown = capsys.readouterr()
    assert shown.err.splitlines() == ["mytask: lora against full"]
    document = json.loads(shown.out, parse_constant=refuse)
    assert [one["question"] for one in document["comparisons"]] == ["trainings", "weights"]
    for one, start in zip(document["comparisons"], ("over trainings", "for these trained weights"), strict=True):
        assert one["asks"] == QUESTIONS[one["question"]]
        assert one["seeds"] == [13, 42, 1337]
        tested = [test for test in one["tests"] if test["p"] is not None]
        assert tested
        assert all(test["q"] is not None and test["null"].startswith(start) for test in tested)
        assert all((test["p"] is None) == (test["q"] is None) for test in one["tests"])
        assert all(
            (test["minimal_detectable"] is None) == (test["minimal_detectable_reason"] is not None)
            for test in one["tests"]
        )
    trainings, weights = ({test["metric"]: test for test in one["tests"]} for one in document["comparisons"])
    assert len(trainings["dpd"]["by_seed"]) == 3
    assert trainings["dpd"]["p"] is None
    assert trainings["accuracy"]["verdict"].startswith("other trainings: ")
    assert weights["dpd"]["verdict"].startswith("these weights: ")
    tests = sum(test["p"] is not None for one in document["comparisons"] for test in one["tests"])
    assert document["family"]["tests"] == tests


def test_the_text_names_the_question_of_every_verdict(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [*method(tmp_path, factory, "lora"), *method(tmp_path, factory, "full", skill=10)]
    assert main(["compare", *folders, "--min-group", "5"]) == 0
    shown = capsys.readouterr().out
    for words in QUESTIONS.values():
        assert f"Question: {words}\n3 seeds: 13, 42, 1337\n120 documents answered by both" in shown
    assert "accuracy: other trainings: " in shown
    assert "accuracy: these weights: " in shown
    assert "would not be seen with 3 seeds" in shown
    assert "A - B by seed" in shown
    assert "  paired t over 3 seeds: over trainings with other seeds, the mean accuracy of " in shown
    assert "  exact swap test of whole samples: for these trained weights" in shown


def test_a_method_that_is_plainly_better_is_better_by_both_questions(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = factory.documents(300)
    folders: list[str] = []
    for name, accuracy in (("lora", 0.95), ("full", 0.6)):
        found = method(tmp_path, factory, name, (1, 2, 3, 4))
        for number, place in enumerate(found):
            said = factory.predict(made, number, accuracy)
            factory.run(documents=made, predictions=said).write(Path(place))
        folders += found
    for one, start in zip(compared(folders), ("other trainings", "these weights"), strict=True):
        said = verdict(one.comparison.find("accuracy"), question=one.question)
        assert said.startswith(f"{start}: A is better by 0.3")


@pytest.mark.parametrize(
    ("smallest", "reason", "expected"),
    [
        (0.2, None, (0.2, False)),
        (1.0, None, (None, True)),
        (14.1, None, (None, True)),
        (None, "no positives", (None, True)),
    ],
)
def test_a_detectable_difference_of_one_or_more_is_none_with_a_reason(
    smallest: float | None, reason: str | None, expected: tuple[float | None, bool]
) -> None:
    share = Estimate(0.8, 7)
    value = 0.1 if reason is None else None
    one = Difference("dpd", None, None, share, share, value, 7, reason, minimal_detectable=smallest)
    found, why = detectable(one)
    assert (found, why is not None) == expected
