"""Reading answers: labels, predictions, groups, and every way in which a samples file can be bad."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groupgap.errors import GroupgapError
from groupgap.leaderboards.answers import Answers, read_answers
from groupgap.leaderboards.axes import Axis, Reading, groups_at, membership, survey_fields
from groupgap.leaderboards.runs import find_runs


def read(written: Any, folder: Path, axes: tuple[str, ...] = (), positive: tuple[str, ...] = ()) -> tuple[Answers, ...]:
    written.write(folder)
    (run,), _ = find_runs([folder])
    return read_answers(run, written.task, Reading.from_options(axes, positive))


def edit(written: Any, folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    """Write the run with its sample lines changed."""
    written.write(folder)
    lines = written.lines()
    change(lines)
    file = written.samples_file(folder)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def reread(folder: Path) -> tuple[Answers, ...]:
    (run,), _ = find_runs([folder])
    return read_answers(run, "mytask")


def test_a_task_of_ours_describes_itself(tmp_path: Path, factory: SimpleNamespace) -> None:
    written = factory.run()
    (answers,) = read(written, tmp_path)
    assert (answers.axis, answers.groups, answers.classes, answers.positive) == (
        "faith",
        ("aur", "bron", "cel"),
        ("no", "yes"),
        1,
    )
    assert answers.labels.tolist() == [document["label"] for document in written.documents]
    assert answers.predictions.tolist() == list(written.predictions)
    for row, document in enumerate(written.documents):
        assert {name for name, member in zip(answers.groups, answers.membership[row], strict=True) if member} == set(
            document["faith"]
        )
    assert np.allclose(answers.probabilities.sum(axis=1), 1)
    assert (answers.probabilities.argmax(axis=1) == answers.predictions).all()
    assert answers.documents == tuple(line["doc_hash"] for line in written.lines())
    assert not answers.limited


def test_the_probabilities_are_the_softmax_of_the_log_probabilities(tmp_path: Path, factory: SimpleNamespace) -> None:
    written = factory.run(n=5)
    (answers,) = read(written, tmp_path)
    for row, line in enumerate(written.lines()):
        scores = np.array([float(reply[0]) for reply in line["filtered_resps"]])
        assert answers.probabilities[row] == pytest.approx(np.exp(scores) / np.exp(scores).sum(), abs=1e-15)


def test_a_foreign_task_is_given_an_axis_and_a_positive_choice(tmp_path: Path, factory: SimpleNamespace) -> None:
    written = factory.run(fair=None)
    by_faith, by_language = read(written, tmp_path, ("mytask=doc.faith", "mytask=doc.meta.lang"), ("mytask=no",))
    assert (by_faith.axis, by_faith.positive) == ("faith", 0)
    assert by_faith.membership.sum(axis=1).max() > 1
    assert (by_language.axis, by_language.groups) == ("meta.lang", ("de", "en"))
    assert (by_language.membership.sum(axis=1) == 1).all()


def test_an_axis_of_the_command_line_joins_those_of_the_task(tmp_path: Path, factory: SimpleNamespace) -> None:
    assert [
        answers.axis for answers in read(factory.run(), tmp_path, ("mytask=doc.meta.lang", "mytask=doc.faith"))
    ] == ["faith", "meta.lang"]


def test_without_a_positive_choice_rates_are_one_vs_rest_and_it_says_so(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    (answers,) = read(factory.run(fair=None), tmp_path, ("mytask=doc.faith",))
    assert answers.positive is None
    assert "--positive mytask=CHOICE" in answers.notes[0]


def test_rows_come_in_the_order_of_doc_id_and_other_filters_are_passed_over(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    written = factory.run()

    def change(lines: list[dict[str, Any]]) -> None:
        lines.reverse()
        lines += [{**line, "filter": "strict-match"} for line in lines]

    edit(written, tmp_path, change)
    assert reread(tmp_path)[0].predictions.tolist() == list(written.predictions)


def test_a_tie_goes_to_the_first_choice_as_in_lm_eval(tmp_path: Path, factory: SimpleNamespace) -> None:
    def change(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            line["filtered_resps"] = [["-1.0", "False"], ["-1.0", "False"]]

    edit(factory.run(), tmp_path, change)
    assert not reread(tmp_path)[0].predictions.any()


def test_the_halves_that_acc_mutual_info_adds_are_dropped(tmp_path: Path, factory: SimpleNamespace) -> None:
    written = factory.run()

    def change(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            for place in range(2):
                line["arguments"][f"gen_args_{place + 2}"] = {**line["arguments"][f"gen_args_{place}"], "arg_0": ""}
            line["filtered_resps"] += [["-0.1", "False"], ["-0.1", "False"]]

    edit(written, tmp_path, change)
    (answers,) = reread(tmp_path)
    assert answers.classes == ("no", "yes")
    assert answers.predictions.tolist() == list(written.predictions)


def test_a_document_that_occurs_twice_is_counted_twice(tmp_path: Path, factory: SimpleNamespace) -> None:
    made = factory.documents(10)
    (answers,) = read(factory.WrittenRun([*made, *made], [0] * 20, fair=factory.FAIR), tmp_path)
    assert answers.occurrences.tolist() == [0] * 10 + [1] * 10
    assert len(set(answers.keys)) == 20


def test_a_limited_run_is_known_as_such(tmp_path: Path, factory: SimpleNamespace) -> None:
    assert read(factory.run(original=600), tmp_path)[0].limited


def test_choices_that_differ_between_documents_are_positions(tmp_path: Path, factory: SimpleNamespace) -> None:
    def change(lines: list[dict[str, Any]]) -> None:
        for index, line in enumerate(lines):
            for place in range(2):
                line["arguments"][f"gen_args_{place}"]["arg_1"] = f" answer {index} {place}"

    edit(factory.run(), tmp_path, lambda lines: change(lines))
    (tmp_path / f"results_{factory.DATE}.json").write_text(
        json.dumps(factory.run(fair={**factory.FAIR, "positive": None}).results())
    )
    (answers,) = reread(tmp_path)
    assert answers.classes == ("choice 1", "choice 2")
    assert "the choices differ between documents" in answers.notes[0]


def test_one_tidy_table(tmp_path: Path, factory: SimpleNamespace) -> None:
    (answers,) = read(factory.run(), tmp_path)
    frame = answers.to_frame()
    assert len(frame) == 60
    assert frame["correct"].mean() == pytest.approx((answers.labels == answers.predictions).mean())
    assert frame["group:bron"].sum() == answers.membership[:, 1].sum()
    assert set(frame["label"]) == {"no", "yes"}
    assert frame["p:yes"].between(0, 1).all()


FUNCTION = "def target(doc):\n    return str(doc['label'] + 1)  # {{not a template}}\n"


def starred(factory: SimpleNamespace, folder: Path, as_text: bool, **line: Any) -> Path:
    """A task of three numbered choices whose doc_to_target is a Python function; acc as lm-eval computes it."""
    made = [{**document, "label": index % 3} for index, document in enumerate(factory.documents(60))]
    written = factory.run(
        documents=made,
        predictions=[(index * 7 + index // 3) % 3 for index in range(60)],
        choices=("1", "2", "3"),
        fair={**factory.FAIR, "positive": "3"},
        config={"doc_to_target": FUNCTION},
    )

    def change(lines: list[dict[str, Any]]) -> None:
        for one, document in zip(lines, made, strict=True):
            one["target"] = str(document["label"] + as_text)
            one.update(line)

    edit(written, folder, change)
    return folder


@pytest.mark.parametrize("as_text", [True, False])
def test_digits_of_a_function_are_read_by_lm_evals_own_acc(
    tmp_path: Path, factory: SimpleNamespace, as_text: bool
) -> None:
    (answers,) = reread(starred(factory, tmp_path, as_text))
    assert answers.labels.tolist() == [index % 3 for index in range(60)]


def test_digits_of_a_function_without_acc_are_refused(tmp_path: Path, factory: SimpleNamespace) -> None:
    starred(factory, tmp_path, as_text=True, acc=None)
    with pytest.raises(GroupgapError, match=r"40 rows are digits that are both a choice's text and the index of"):
        reread(tmp_path)


@pytest.mark.parametrize(
    ("document", "path", "expected"),
    [
        ({"a": "x"}, "a", ("x",)),
        ({"a": ["x", "y", "x"]}, "a", ("x", "y")),
        ({"a": []}, "a", ()),
        ({"a": {"b": {"c": 3}}}, "a.b.c", ("3",)),
        ({"a": {"b": 1}}, "a.c", None),
        ({"a": None}, "a", None),
        ({"a": ""}, "a", None),
        ({"a": [""]}, "a", None),
        ({"a": float("nan")}, "a", None),
        ({"a": ["x", float("nan")]}, "a", None),
        ({"a": float("inf")}, "a", None),
        ({"a": 1.5}, "a", ("1.5",)),
        ({"a": "x"}, "a.b", None),
        ({}, "a", None),
    ],
)
def test_groups_of_a_document(document: dict[str, Any], path: str, expected: tuple[str, ...] | None) -> None:
    assert groups_at(document, path) == expected


@pytest.mark.parametrize("value", [{"b": 1}, [["x"]], [{"b": 1}], [None]])
def test_an_axis_field_of_another_form_is_refused(value: object) -> None:
    with pytest.raises(GroupgapError, match=r"axis doc.a: expected a group's name or a list of names"):
        groups_at({"a": value}, "a")


# -- bad input ---------------------------------------------------------------------------------------------------


def test_a_task_without_axis_shows_the_fields(tmp_path: Path, factory: SimpleNamespace) -> None:
    with pytest.raises(
        GroupgapError, match=r"--axis mytask=doc.FIELD.*doc.faith \(3 values\), doc.meta.lang \(2 values\)"
    ) as caught:
        read(factory.run(fair=None), tmp_path)
    assert "doc.id" not in str(caught.value)
    assert "text 1" not in str(caught.value)


def test_the_survey_counts_values_and_shows_none() -> None:
    assert survey_fields([{"secret": name} for name in ("aaa", "bbb", "aaa", "bbb")]) == "doc.secret (2 values)"


def test_an_axis_field_that_is_missing_in_some_rows_is_counted(tmp_path: Path, factory: SimpleNamespace) -> None:
    def change(lines: list[dict[str, Any]]) -> None:
        del lines[3]["doc"]["faith"]
        lines[5]["doc"]["faith"] = None

    edit(factory.run(), tmp_path, change)
    with pytest.raises(GroupgapError, match=r"doc.faith is missing or null .* in 2 of 60 rows"):
        reread(tmp_path)


def test_a_group_that_the_task_does_not_declare(tmp_path: Path, factory: SimpleNamespace) -> None:
    edit(factory.run(), tmp_path, lambda lines: lines[0]["doc"].update(faith=["other"]))
    with pytest.raises(GroupgapError, match="axis faith: groups other are not among those the task declares"):
        reread(tmp_path)


def test_a_field_with_a_value_for_each_row_is_no_axis() -> None:
    columns = [(str(row),) for row in range(600)]
    with pytest.raises(GroupgapError, match=r"600 values in 600 rows, more than 500: not an axis"):
        membership("here", Axis("id", "id"), columns, lambda: "")


def test_labels_outside_the_choices_are_counted(tmp_path: Path, factory: SimpleNamespace) -> None:
    def change(lines: list[dict[str, Any]]) -> None:
        lines[7]["target"] = "7"
        lines[9]["target"] = "never"

    file = edit(factory.run(), tmp_path, change)
    with pytest.raises(
        GroupgapError, match=r"line 8: labels outside the choices in 2 of 60 rows: '7', 'never'; .* 'no', 'yes'"
    ) as caught:
        reread(tmp_path)
    assert str(file) in str(caught.value)


def test_a_positive_choice_that_is_none(tmp_path: Path, factory: SimpleNamespace) -> None:
    with pytest.raises(GroupgapError, match="the positive choice 'maybe' is not one of 'no', 'yes'"):
        read(factory.run(), tmp_path, (), ("mytask=maybe",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"doc_id": 0, "doc": {', "line 61: truncated JSON"),
        ("{]\n", "line 61: broken JSON"),
        ("7\n", "line 61: expected a JSON object, but got int"),
        ("{}\n", "line 61: not a line of lm-eval's samples"),
        ("[" * 100_000 + "\n", "line 61: broken JSON"),
        ("\udcff\n", "line 61: broken JSON"),
        ("9" * 5000 + "\n", "line 61: "),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(
    tmp_path: Path, factory: SimpleNamespace, text: str, message: str
) -> None:
    written = factory.run()
    file = written.samples_file(written.write(tmp_path))
    with file.open("ab") as end:
        end.write(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(GroupgapError, match=message) as caught:
        reread(tmp_path)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_line_that_is_too_long(tmp_path: Path, factory: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    factory.run().write(tmp_path)
    monkeypatch.setattr("groupgap.leaderboards.untrusted.MAX_LINE_BYTES", 50)
    with pytest.raises(GroupgapError, match="line 1: longer than 50 bytes"):
        reread(tmp_path)


def test_an_empty_run(tmp_path: Path, factory: SimpleNamespace) -> None:
    edit(factory.run(), tmp_path, lambda lines: lines.clear())
    with pytest.raises(GroupgapError, match="an empty run"):
        reread(tmp_path)


def test_a_file_with_two_runs_in_it(tmp_path: Path, factory: SimpleNamespace) -> None:
    edit(factory.run(), tmp_path, lambda lines: lines.extend(list(lines)))
    with pytest.raises(GroupgapError, match="line 61: doc_id 0 stands on line 1 already"):
        reread(tmp_path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (10**400, "a reply is not a log-probability"),
        ("nan", "a log-probability is nan"),
        ("many", "a reply is not a log-probability"),
    ],
)
def test_a_reply_that_is_no_number(tmp_path: Path, factory: SimpleNamespace, value: object, message: str) -> None:
    edit(factory.run(), tmp_path, lambda lines: lines[2].update(filtered_resps=[[value, "False"], ["-1", "False"]]))
    with pytest.raises(GroupgapError, match=f"line 3: {message}"):
        reread(tmp_path)


def test_every_choice_impossible(tmp_path: Path, factory: SimpleNamespace) -> None:
    edit(factory.run(), tmp_path, lambda lines: lines[2].update(filtered_resps=[["-inf", "False"], ["-inf", "False"]]))
    with pytest.raises(GroupgapError, match=r"in 1 rows every choice has log-probability -inf"):
        reread(tmp_path)


def test_a_task_of_generated_text(tmp_path: Path, factory: SimpleNamespace) -> None:
    def change(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            line["arguments"] = {"gen_args_0": {"arg_0": "prompt", "arg_1": {"until": ["."]}}}
            line["filtered_resps"] = ["some text"]

    edit(factory.run(), tmp_path, change)
    with pytest.raises(GroupgapError, match=r"the board reads multiple_choice tasks.*--skip"):
        reread(tmp_path)


def test_choices_in_the_prompt(tmp_path: Path, factory: SimpleNamespace) -> None:
    def change(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            line["arguments"] = {
                f"gen_args_{place}": {"arg_0": f"with {place}", "arg_1": " same"} for place in range(2)
            }

    edit(factory.run(), tmp_path, change)
    with pytest.raises(GroupgapError, match="the choices stand in the prompt"):
        reread(tmp_path)


@pytest.mark.parametrize("option", ["mytask", "=doc.x", "mytask=x", "mytask=doc.", "mytask=doc.a..b"])
def test_an_axis_option_of_another_form(option: str) -> None:
    with pytest.raises(GroupgapError, match=r"expected TASK=doc.FIELD"):
        Reading.from_options([option])


def test_a_positive_option_of_another_form_or_given_twice() -> None:
    with pytest.raises(GroupgapError, match="expected TASK=CHOICE"):
        Reading.from_options([], ["mytask"])
    with pytest.raises(GroupgapError, match="two choices, 'a' and 'b'"):
        Reading.from_options([], ["mytask=a", "mytask=b"])


@pytest.mark.parametrize("filters", [("none",), ("none", "flexible")])
def test_a_file_that_lost_lines_is_refused(tmp_path: Path, factory: SimpleNamespace, filters: tuple[str, ...]) -> None:
    """lm-eval writes a line for each document and filter, so that lines of one filter are counted."""
    written = factory.run(config={"filter_list": [{"name": name} for name in filters]})

    def change(lines: list[dict[str, Any]]) -> None:
        lines[:] = [{**line, "filter": name} for line in lines for name in filters][: len(lines) * len(filters) // 2]

    edit(written, tmp_path, change)
    with pytest.raises(GroupgapError, match=r"30 answers, but its results file is of 60: lines are lost"):
        reread(tmp_path)


def test_more_lines_than_a_metric_has_values_are_fine(tmp_path: Path, factory: SimpleNamespace) -> None:
    """lm-eval counts the values of its longest metric, which may leave documents out."""
    (answers,) = read(factory.run(reported={"sample_len": 40}), tmp_path)
    assert answers.n == 60


def test_without_lm_evals_count_fewer_answers_than_documents_are_a_part_of_the_task(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    """Older versions count all documents where ``--samples`` chose some."""
    written = factory.run(reported={"sample_len": None})
    (answers,) = read(written, tmp_path / "whole")
    assert not answers.limited
    edit(written, tmp_path / "part", lambda lines: lines.__delitem__(slice(30, None)))
    (answers,) = reread(tmp_path / "part")
    assert (answers.n, answers.limited) == (30, True)
