"""``groupgap compare``: joining, refusing, testing, and what is said."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.cli import main
from groupgap.errors import GroupgapError
from groupgap.leaderboards.axes import Reading
from groupgap.leaderboards.board import Options
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.compare import Wish, compare_runs
from groupgap.leaderboards.compared import Compared
from groupgap.leaderboards.verdict import verdict
from groupgap.metrics import Difference, Estimate, judge
from scipy import stats

QUICK = Options(min_group=5, draws=300)


def pair(tmp_path: Path, a: Any, b: Any, **wish: Any) -> tuple[Compared, ...]:
    folders = [str(run.write(tmp_path / name)) for name, run in (("a", a), ("b", b))]
    names = dict(zip(folders, ("A", "B"), strict=True))
    return compare_runs(collect(Request(folders, names), same_documents=False), Wish(folders, options=QUICK, **wish))


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def test_rates_and_their_tests_equal_a_plain_count(tmp_path: Path, factory: SimpleNamespace) -> None:
    a, b = factory.run(n=200, skill=1), factory.run(n=200, skill=2)
    (found,) = pair(tmp_path, a, b)
    assert (found.paired, found.joined, found.only_a, found.only_b) == (True, 200, 0, 0)
    labels = [document["label"] for document in a.documents]
    for group in (None, "aur", "bron", "cel"):
        inside = [row for row, document in enumerate(a.documents) if group is None or group in document["faith"]]
        right_a = [a.predictions[row] == labels[row] for row in inside]
        right_b = [b.predictions[row] == labels[row] for row in inside]
        only_a = sum(one and not other for one, other in zip(right_a, right_b, strict=True))
        only_b = sum(other and not one for one, other in zip(right_a, right_b, strict=True))
        difference = found.comparison.find("accuracy", group)
        assert difference.value == pytest.approx((sum(right_a) - sum(right_b)) / len(inside), abs=1e-12)
        assert (difference.only_a, difference.only_b) == (only_a, only_b)
        assert difference.p_value == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue, rel=1e-9)


def test_q_values_are_over_the_whole_output(tmp_path: Path, factory: SimpleNamespace) -> None:
    axes = {**factory.FAIR["axes"], "language": {"field": "meta.lang", "groups": ["en", "de"]}}
    fair = {**factory.FAIR, "axes": axes}
    found = pair(tmp_path, factory.run(n=200, skill=1, fair=fair), factory.run(n=200, skill=2, fair=fair))
    assert [one.axis for one in found] == ["faith", "language"]
    differences = [one for compared in found for one in compared.comparison.differences]
    tested = [one for one in differences if one.p_value is not None]
    expected = stats.false_discovery_control([one.p_value for one in tested])
    assert [one.q_value for one in tested] == pytest.approx(expected.tolist(), abs=1e-12)
    overall = [one.metric for one in differences if one.group is None]
    assert overall.count("accuracy") == 1  # it does not depend on the axis: tested once
    assert overall.count("dpd") == 2


def test_rows_are_joined_by_document_in_any_order(tmp_path: Path, factory: SimpleNamespace) -> None:
    a, b = factory.run(n=80, skill=1), factory.run(n=80, skill=2)
    (straight,) = pair(tmp_path / "straight", a, b)
    turned = factory.run(n=80, documents=b.documents[::-1], predictions=b.predictions[::-1])
    (shuffled,) = pair(tmp_path / "shuffled", a, turned)
    assert shuffled.comparison == straight.comparison


def test_documents_that_occur_twice_are_joined_by_occurrence(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = factory.documents(40)
    a = factory.run(documents=[*made, *made], predictions=[0] * 80)
    b = factory.run(documents=[*made, *made[:30]], predictions=[0] * 70)
    (found,) = pair(tmp_path, a, b)
    assert (found.joined, found.only_a, found.only_b) == (70, 10, 0)
    assert found.comparison.n == 70


def test_what_could_not_be_joined_is_counted_and_said(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = factory.documents(80)
    a = factory.run(documents=made[:60], predictions=factory.predict(made[:60], 1), original=80)
    b = factory.run(documents=made[20:], predictions=factory.predict(made[20:], 2))
    (found,) = pair(tmp_path, a, b)
    assert (found.joined, found.only_a, found.only_b) == (40, 20, 20)
    assert found.notes == ("20 documents of A and 20 of B have no counterpart and were not used",)


def test_other_prompts_documents_and_choices_are_refused_with_the_reason(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    a = factory.run()
    others = {
        r"they were asked with other prompts \(in 60 of 60 common documents, 0-shot and 5-shot\)": factory.run(
            prompt="{text}", shots=5
        ),
        r"they answered other documents \(60 and 50, none in common\)": factory.run(
            documents=[{**document, "text": "other"} for document in factory.documents(50)], predictions=[0] * 50
        ),
        r"they had other choices \(no / yes and false / true\)": factory.run(
            choices=("false", "true"), fair={**factory.FAIR, "positive": "true"}
        ),
    }
    for number, (reason, b) in enumerate(others.items()):
        with pytest.raises(
            GroupgapError, match=f"A and B cannot be paired: {reason}. --force-unpaired .* it loses the pairing"
        ):
            pair(tmp_path / str(number), a, b)
        (found,) = pair(tmp_path / f"forced-{number}", a, b, unpaired=True)
        assert not found.paired
        assert "smaller differences go unseen" in found.notes[0]
        accuracy, dpd = found.comparison.find("accuracy"), found.comparison.find("dpd")
        assert accuracy.test == "Fisher's exact test"
        assert accuracy.p_value is not None
        assert dpd.value is not None
        assert dpd.p_value is None
        assert dpd.low is not None
        assert dpd.high is not None
        assert dpd.low <= dpd.value <= dpd.high


def test_another_delimiter_between_prompt_and_choice_is_another_prompt(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    a, b = factory.run(), factory.run(config={"target_delimiter": "\n"})
    folders = [str(run.write(tmp_path / name)) for name, run in (("a", a), ("b", b))]
    text = b.samples_file(tmp_path / "b").read_text().replace('"arg_1": " ', '"arg_1": "\\n')
    b.samples_file(tmp_path / "b").write_text(text)
    collection = collect(Request(folders, dict(zip(folders, "AB", strict=True))), same_documents=False)
    with pytest.raises(GroupgapError, match=r"asked with other prompts \(in 60 of 60 common documents\)"):
        compare_runs(collection, Wish(folders, options=QUICK))


@pytest.mark.parametrize("unpaired", [False, True])
def test_opposite_positive_choices_are_refused_and_cannot_be_forced(
    tmp_path: Path, factory: SimpleNamespace, unpaired: bool
) -> None:
    other = factory.run(skill=2, fair={**factory.FAIR, "positive": "no"})
    with pytest.raises(GroupgapError, match=r"the positive choice is 'yes' for A and 'no' for B: .*--positive mytask"):
        pair(tmp_path, factory.run(), other, unpaired=unpaired)


def test_unpaired_sides_have_95_percent_intervals_and_their_distance_a_wider_one(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    a, b = factory.run(n=200), factory.run(n=200, skill=2, prompt="{text}")
    (found,) = pair(tmp_path, a, b, unpaired=True)
    for name, run in (("a", a), ("b", b)):
        (entry,) = collect(Request([run.write(tmp_path / name)])).entries
        answers = entry.answers[0]
        judged = judge(answers.counts(), answers.positive, min_group=5, draws=300)
        for metric in ("accuracy", "worst_group", "dpd", "eod"):
            assert getattr(found.comparison.find(metric), name) == getattr(judged, metric)
    dpd: Any = found.comparison.find("dpd")
    assert dpd.low < dpd.a.low - dpd.b.high < dpd.a.high - dpd.b.low < dpd.high


def test_a_limited_run_of_a_foreign_task_may_lack_a_group(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = [{**document, "faith": ["cel" if row > 40 else "aur"]} for row, document in enumerate(factory.documents(60))]
    few = made[:40]
    full = factory.run(documents=made, predictions=factory.predict(made, 1), fair=None)
    limited = factory.run(documents=few, predictions=factory.predict(few, 2), fair=None, original=60)
    reading = Reading.from_options(["mytask=doc.faith"], ["mytask=yes"])
    for number, (a, b) in enumerate(((full, limited), (limited, full))):
        folders = [str(run.write(tmp_path / str(number) / name)) for name, run in (("a", a), ("b", b))]
        names = dict(zip(folders, "AB", strict=True))
        collection = collect(Request(folders, names, reading), same_documents=False)
        (found,) = compare_runs(collection, Wish(folders, options=QUICK))
        assert found.joined == 40
        assert found.comparison.find("accuracy", "aur").n == 40
        assert found.comparison.find("accuracy", "cel").reason is not None


def test_other_declared_groups_are_two_versions_of_a_task(tmp_path: Path, factory: SimpleNamespace) -> None:
    axes = {"faith": {"field": "faith", "groups": ["aur", "bron", "cel", "dor"]}}
    other = factory.run(skill=2, fair={**factory.FAIR, "axes": axes})
    with pytest.raises(GroupgapError, match="A and B have other groups: two task versions"):
        pair(tmp_path, factory.run(), other)


def test_another_floor_of_the_other_run_is_noted(tmp_path: Path, factory: SimpleNamespace) -> None:
    a, b = factory.run(metadata={"min_group": 5}), factory.run(skill=2, metadata={"min_group": 9})
    folders = [str(run.write(tmp_path / name)) for name, run in (("a", a), ("b", b))]
    collection = collect(Request(folders, dict(zip(folders, "AB", strict=True))), same_documents=False)
    (found,) = compare_runs(collection, Wish(folders, options=Options(draws=300)))
    assert found.comparison.min_group == 5
    assert found.notes[-1].endswith("5 for A; 9 for B; --min-group sets one for all; here 5")


def test_other_labels_of_the_same_documents_cannot_be_forced(tmp_path: Path, factory: SimpleNamespace) -> None:
    a, b = factory.run(), factory.run()
    a.write(tmp_path / "a")
    b.write(tmp_path / "b")
    lines = b.lines()
    lines[4]["target"] = str(1 - int(lines[4]["target"]))
    b.samples_file(tmp_path / "b").write_text("".join(json.dumps(line) + "\n" for line in lines))
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    collection = collect(Request(folders, dict(zip(folders, "AB", strict=True))), same_documents=False)
    with pytest.raises(GroupgapError, match="1 of 60 common documents have other labels in A and B"):
        compare_runs(collection, Wish(folders, options=QUICK, unpaired=True))


def test_equal_systems_cannot_be_told_apart(tmp_path: Path, factory: SimpleNamespace) -> None:
    (found,) = pair(tmp_path, factory.run(n=200), factory.run(n=200))
    for one in found.comparison.differences:
        assert one.value in (0.0, None)
        assert one.p_value in (1.0, None)
        assert verdict(one).startswith(("cannot tell apart", "undefined"))


def test_a_plain_difference_is_seen(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = factory.documents(400)
    a = factory.run(documents=made, predictions=factory.predict(made, 1, 0.95))
    b = factory.run(documents=made, predictions=factory.predict(made, 2, 0.6))
    (found,) = pair(tmp_path, a, b)
    assert verdict(found.comparison.find("accuracy")).startswith("A is better by 0.3")
    assert verdict(found.comparison.find("worst_group")).startswith("A is better by 0.")


def test_a_group_without_positives_is_undefined_in_words(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = [{**document, "label": 0} for document in factory.documents(60)]
    a, b = (factory.run(documents=made, predictions=factory.predict(made, skill)) for skill in (1, 2))
    (found,) = pair(tmp_path, a, b)
    assert verdict(found.comparison.find("tpr", "aur")) == "undefined (no positives, n = 0)"


SAME = Estimate(0.8, 212)


@pytest.mark.parametrize(
    ("values", "metric", "expected"),
    [
        (
            {"p_value": 0.5, "q_value": 0.9},
            "accuracy",
            "cannot tell apart: a difference under 0.060 would not be seen with n = 212",
        ),
        ({"p_value": 0.01, "q_value": 0.04}, "accuracy", "A is better by 0.100"),
        ({"p_value": 0.01, "q_value": 0.04}, "dpd", "B is better (the smaller gap) by 0.100"),
        ({"p_value": 0.01, "q_value": 0.04}, "selection_rate", "A is higher by 0.100"),
        (
            {"p_value": 0.03, "q_value": 0.2},
            "accuracy",
            "cannot tell apart among all tests here (p = 0.03 alone, q = 0.2): "
            "a difference under 0.060 would not be seen with n = 212",
        ),
        ({"low": 0.05, "high": 0.2}, "dpd", "B is better (the smaller gap) (by its interval alone)"),
    ],
)
def test_verdicts(values: dict[str, float], metric: str, expected: str) -> None:
    assert verdict(Difference(metric, None, None, SAME, SAME, 0.1, 212, minimal_detectable=0.06, **values)) == expected  # type: ignore[arg-type]


def test_a_difference_that_cannot_be_seen_at_all() -> None:
    one = Difference("dpd", None, None, SAME, SAME, 0.1, 7, p_value=1.0, q_value=1.0, minimal_detectable=1.2)
    assert verdict(one) == "cannot tell apart: a difference of any size would not be seen with n = 7"


# -- the command -------------------------------------------------------------------------------------------------


def three(tmp_path: Path, factory: SimpleNamespace) -> list[str]:
    for number, name in enumerate("abc"):
        factory.run(skill=number, model_args={"pretrained": name}).write(tmp_path / name)
    return [str(tmp_path / name) for name in "abc"]


def test_json_is_strict_and_every_test_has_p_and_q(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = three(tmp_path, factory)
    assert main(["compare", *folders, "--baseline", "c", "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err.splitlines() == ["mytask: a against c", "mytask: b against c"]
    document = json.loads(shown.out, parse_constant=refuse)
    assert [(one["a"], one["b"]) for one in document["comparisons"]] == [("a", "c"), ("b", "c")]
    tests = [test for one in document["comparisons"] for test in one["tests"]]
    assert all({"p", "q", "null", "test", "difference", "low", "high", "verdict"} <= set(test) for test in tests)
    assert all((test["p"] is None) == (test["q"] is None) for test in tests)
    assert all(test["null"] for test in tests if test["p"] is not None)
    assert document["family"]["tests"] == sum(test["p"] is not None for test in tests)


def test_the_text_holds_verdicts_and_null_hypotheses(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *three(tmp_path, factory)[:2], "--min-group", "5"]) == 0
    shown = capsys.readouterr().out
    assert "A = a\nB = b\n60 documents answered by both" in shown
    assert "Null hypotheses:\n  exact McNemar test: " in shown
    assert "would not be seen with n = 60" in shown
    assert "Drawn with seed 0 and 10,000 draws." in shown


def test_two_calls_give_the_same_bytes(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = three(tmp_path, factory)[:2]
    shown = []
    for _ in range(2):
        main(["compare", *folders, "--json", "--seed", "5"])
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


def test_lm_evals_own_accuracy_is_checked(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = three(tmp_path, factory)[:2]
    factory.run(skill=1, model_args={"pretrained": "b"}, reported={"acc,none": 0.123}).write(tmp_path / "b")
    assert main(["compare", *folders, "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note.startswith("task mytask: lm-eval's own acc of b is 0.123, recomputed 0.")
    assert main(["compare", *folders]) == 0
    assert "note: task mytask: lm-eval's own acc of b is 0.123" in capsys.readouterr().out


def test_whatever_a_run_is_called_reaches_the_terminal_as_text(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = three(tmp_path, factory)[:2]
    name = "\x1b[2Jé\ud800"
    for flags in ([], ["--json"]):
        assert main(["compare", *folders, "--name", f"{folders[0]}={name}", *flags]) == 0
        shown = capsys.readouterr()
        assert "\x1b" not in shown.out + shown.err
        assert shown.err == "mytask: \\u001b[2Jé\\ud800 against b\n"
        shown.out.encode("utf-8" if not flags else "ascii")
    assert json.loads(shown.out)["comparisons"][0]["a"] == name


def test_mistakes_are_one_line(tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    folders = three(tmp_path, factory)
    factory.run(task="other", model_args={"pretrained": "d"}).write(tmp_path / "d")
    mistakes = {
        "say which one the others are compared with, by --baseline RUN": folders,
        "one variant only, a: expected two runs": folders[:1],
        "--baseline nobody: no such run; expected one of a, b, c": [*folders, "--baseline", "nobody"],
        "a and d have no task in common: mytask against other": [folders[0], str(tmp_path / "d")],
        "--draws 100: expected 9999 or more": [*folders[:2], "--draws", "100"],
    }
    for message, arguments in mistakes.items():
        assert main(["compare", *arguments]) == 2
        shown = capsys.readouterr()
        assert message in shown.err
        assert shown.err.count("\n") == 1
        assert shown.out == ""


def test_a_baseline_that_is_a_folder_of_its_own(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = three(tmp_path, factory)
    assert main(["compare", folders[0], "--baseline", folders[2], "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (one["a"], one["b"]) == ("a", "c")
