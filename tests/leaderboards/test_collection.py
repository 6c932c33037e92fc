"""What runs must have in common to stand in one table."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from groupgap.errors import GroupgapError
from groupgap.leaderboards.axes import Reading
from groupgap.leaderboards.collection import Collection, Request, collect


def gather(folder: Path, **request: object) -> Collection:
    return collect(Request([folder], **request))  # type: ignore[arg-type]


def test_a_rerun_with_equal_answers_shows_the_latest_and_says_so(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path)
    factory.run(date=factory.LATER).write(tmp_path)
    collection = gather(tmp_path)
    assert [entry.run.date for entry in collection.entries] == [factory.LATER]
    assert "run more than once with equal answers" in collection.notes[0]


def test_one_name_and_different_answers(tmp_path: Path, factory: SimpleNamespace) -> None:
    first, second = factory.run(skill=1), factory.run(skill=2, date=factory.LATER, shots=5, prompt="5 shots {text}")
    first.write(tmp_path)
    second.write(tmp_path)
    differ = sum(a != b for a, b in zip(first.predictions, second.predictions, strict=True))
    with pytest.raises(
        GroupgapError, match=f"'org/model-a' .* differently, in {differ} of 60 documents; .* 0-shot and 5-shot .*--name"
    ):
        gather(tmp_path)
    file = str(tmp_path / f"results_{factory.LATER}.json")
    assert [entry.run.name for entry in gather(tmp_path, names={file: "five"}).entries] == ["five", "org/model-a"]


def test_one_name_and_different_documents(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run(n=60).write(tmp_path)
    factory.run(n=40, date=factory.LATER, original=60).write(tmp_path)
    with pytest.raises(
        GroupgapError, match=r"'org/model-a' answered different documents .* 60 and 40 \(limited\), \d+ of them shared"
    ):
        gather(tmp_path)


def test_different_documents_under_one_task_name(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run(n=60).write(tmp_path / "a")
    factory.run(n=50, seed=9, model_args={"pretrained": "b"}).write(tmp_path / "b")
    with pytest.raises(
        GroupgapError, match=r"under the task name mytask: b answered 50, org/model-a 60, \d+ are the same"
    ):
        gather(tmp_path)


def test_other_prompts_are_said(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path / "a")
    factory.run(model_args={"pretrained": "b"}, prompt="Other: {text}").write(tmp_path / "b")
    assert gather(tmp_path).notes == (
        "task mytask: the runs were asked with different prompts or choices "
        "(few-shot, chat template, wording): b; org/model-a",
    )


def test_another_positive_choice_is_refused(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path / "a")
    other = {"model_args": {"pretrained": "b"}}
    for number, positive in enumerate(("no", None)):
        factory.run(fair={**factory.FAIR, "positive": positive}, **other).write(tmp_path / "b")
        with pytest.raises(
            GroupgapError,
            match=f"task mytask: the positive choice is {positive!r} for b and 'yes' for org/model-a: .*--positive",
        ):
            gather(tmp_path)
        named = gather(tmp_path, reading=Reading.from_options([], ["mytask=no"]))
        assert [entry.answers[0].positive_class for entry in named.entries] == ["no", "no"], number


def test_a_positive_choice_in_other_words_is_let_through(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path / "a")
    words = {"choices": ("false", "true"), "fair": {**factory.FAIR, "positive": "true"}}
    factory.run(model_args={"pretrained": "b"}, **words).write(tmp_path / "b")
    assert [entry.answers[0].positive_class for entry in gather(tmp_path).entries] == ["true", "yes"]


def test_another_delimiter_is_another_prompt(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path / "a")
    other_delimiter(tmp_path / "b", factory)
    assert gather(tmp_path).notes == (
        "task mytask: the runs were asked with different prompts or choices "
        "(few-shot, chat template, wording): b; org/model-a",
    )


def other_delimiter(folder: Path, factory: SimpleNamespace) -> None:
    """A run whose choices stand on a line of their own; lm-eval's hash of the prompt is that of the factory's run."""
    run = factory.run(model_args={"pretrained": "b"}, config={"target_delimiter": "\n"})
    run.write(folder)
    text = run.samples_file(folder).read_text().replace('"arg_1": " ', '"arg_1": "\\n')
    run.samples_file(folder).write_text(text)


def test_options_for_a_task_that_nobody_answered(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path)
    with pytest.raises(GroupgapError, match=r"--axis yours=.*: no run answers the task 'yours'; the tasks are mytask"):
        gather(tmp_path, reading=Reading.from_options(["yours=doc.x"]))
    with pytest.raises(GroupgapError, match="--skip yours: no run answers such a task; the tasks are mytask"):
        gather(tmp_path, skip=["yours"])
    with pytest.raises(GroupgapError, match="--skip leaves no task"):
        gather(tmp_path, skip=["my*"])


def test_a_task_can_be_left_out(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path / "a")
    factory.run(task="plain", fair=None).write(tmp_path / "b")
    with pytest.raises(GroupgapError, match=r"task plain .* has no axis"):
        gather(tmp_path)
    assert [entry.task for entry in gather(tmp_path, skip=["pl*"]).entries] == ["mytask"]
