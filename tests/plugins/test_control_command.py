"""``groupgap control``: the committed twins are what it writes, and any multiple-choice task can be controlled."""

from __future__ import annotations

import json
from pathlib import Path

import groupgap
import numpy as np
import pytest
import yaml
from groupgap.cli import main
from groupgap.plugins.control_command import Wanted, controlled_file, find_task
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

TASKS = Path(groupgap.__file__).parent / "harness_tasks"
TWINS = sorted(TASKS.rglob("*_controlled.yaml"))
COUNTS = [2, 4, 3, 5]
EXAM = """\
task: exam
dataset_path: json
dataset_kwargs: {{data_files: {{train: {path}, test: {path}}}}}
output_type: multiple_choice
training_split: train
test_split: test
fewshot_split: train
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metadata: {{version: 2.0}}
"""


class Knowing(LM):
    """Knows the right answer by its text, a little, and likes the first symbol and the first place a lot."""

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        return [(self._score(request.args[0], request.args[1].strip()), False) for request in requests]

    def _score(self, prompt: str, symbol: str) -> float:
        lines = prompt.rsplit("Options:\n", 1)[1].split("\n")[:-1]
        options = {line.partition(") ")[0]: line.partition(") ")[2] for line in lines}
        first = list(options).index(symbol) == 0
        return 0.4 * options[symbol].startswith("right") + 3 * (symbol in "A1◐🟠") + 2 * first

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise AssertionError("not asked")

    def generate_until(self, requests: list[Instance]) -> list[str]:
        raise AssertionError("not asked")


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    """A task of one's own, whose documents have their own choices, two to five."""
    rows = []
    for number in range(16):
        count = COUNTS[number % 4]
        right = number % count
        choices = [f"{'right' if place == right else 'wrong'} {number} {place}" for place in range(count)]
        rows.append({"question": f"what is {number}?", "choices": choices, "answer": right, "topic": f"t{number % 2}"})
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "exam.yaml").write_text(EXAM.format(path=tmp_path / "rows.jsonl"))
    return tmp_path


def test_the_committed_twins_are_what_the_command_writes() -> None:
    assert len(TWINS) >= 13
    for path in TWINS:
        raw = path.stem.removesuffix("_controlled")
        source, config = find_task(raw)
        assert path.read_text(encoding="utf-8") == controlled_file(raw, source, config, Wanted(), path), path.name


def test_every_yes_no_task_of_ours_has_a_twin_that_keeps_its_groups() -> None:
    index = TaskManager(include_defaults=False, include_path=str(TASKS)).task_index
    folders = ("dlab", "hatexplain", "toxigen", "hatecheck", "toy")
    raws = {path.stem for folder in folders for path in (TASKS / folder).glob("*_fair.yaml")}
    assert {path.stem for path in TWINS} == {f"{raw}_controlled" for raw in raws}
    for raw in raws:
        one, other = (index[name].cfg for name in (raw, f"{raw}_controlled"))
        assert other is not None
        assert one is not None
        fair = other["metadata"]["fair"]
        assert fair["controlled"] == raw
        assert {key: fair[key] for key in one["metadata"]["fair"]} == one["metadata"]["fair"]
        assert "groupgap" not in other["tag"]  # a run of that tag is not doubled
        wordings = fair["design"]["wordings"].values()
        assert all({"ask", "turned"} == set(texts) for texts in wordings)


def test_a_task_of_one_s_own_with_its_own_choices(exam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = exam / "exam_controlled.yaml"
    assert main(["control", "exam", "-o", str(output), "--include-path", str(exam)]) == 0
    assert "exam_controlled" in capsys.readouterr().out
    written = yaml.safe_load(output.read_text().replace("!function ", ""))
    assert written["metadata"]["fair"]["design"]["content"] == ["question"]
    manager = TaskManager(
        include_defaults=False, include_path=str(exam), metadata={"cells": "all", "symbol_sets": "letters,digits"}
    )
    result = simple_evaluate(model=Knowing(), tasks=["exam_controlled"], task_manager=manager, bootstrap_iters=0)
    assert result is not None
    assert result["results"]["exam_controlled"]["acc,none"] == 1.0
    samples = result["samples"]["exam_controlled"]
    free = [sample for sample in samples if sample["doc"]["content_free"]]
    assert [sample["doc"]["question"] for sample in free] == ["N/A", "[MASK]", ""]
    for sample in samples:
        meanings = sample["doc"]["meanings"]
        assert len(sample["doc"]["cells"]) == 2 * len(meanings) ** 2
        assert len(sample["arguments"]) == 2 * len(meanings) ** 3
        assert sample["arguments"][0][0].startswith(f"Question: {sample['doc']['question']}".strip() + "\nOptions:\n")
    one_cell = [np.argmax([float(r[0]) for r in s["filtered_resps"][: len(s["doc"]["meanings"])]]) for s in samples[3:]]
    assert np.mean([guess == s["doc"]["answer"] for guess, s in zip(one_cell, samples[3:], strict=True)]) < 0.8


def test_examples_of_a_task_with_its_own_choices_are_in_the_same_kind_of_symbols(exam: Path) -> None:
    main(["control", "exam", "-o", str(exam / "c.yaml"), "--include-path", str(exam)])
    manager = TaskManager(include_defaults=False, include_path=str(exam), metadata={"cells": "all"})
    task = manager.load(["exam_controlled"])["tasks"]["exam_controlled"]
    task.set_fewshot_seed(3)
    document = task.eval_docs[5]
    contexts = task.fewshot_context(document, 3)
    for cell, context in zip(document["cells"], contexts, strict=True):
        *examples, last = context.split("\n\n")
        assert len(examples) == 3
        own = {line.partition(")")[0] for line in last.split("\n") if ") " in line}
        assert own == set(cell["symbols"])
        for example in examples:
            lines = example.split("\n")
            shown = {line.partition(") ")[0]: line.partition(") ")[2] for line in lines if ") " in line}
            assert shown[lines[-1].removeprefix("Answer: ")].startswith("right")


def test_question_and_choices_can_be_given(exam: Path) -> None:
    text = (
        (exam / "exam.yaml")
        .read_text()
        .replace('"{{choices}}"', '["A", "B", "C", "D"]')
        .replace("task: exam", "task: mmlu_like")
    )
    (exam / "mmlu_like.yaml").write_text(text)
    output = exam / "m.yaml"
    command = ["control", "mmlu_like", "-o", str(output), "--include-path", str(exam)]
    assert main([*command, "--question", "{{question}}", "--choices", "{{choices}}"]) == 0
    written = yaml.safe_load(output.read_text().replace("!function ", ""))
    assert written["doc_to_choice"] == "{{choices}}"
    assert written["metadata"]["fair"]["design"]["wordings"] == {"direct": {"ask": "{{question}}"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"{{choices}}"', '["A", "B", "C", "D"]'), "exam: its choices are symbols already (A, B, C, D)"),
        (("output_type: multiple_choice", "output_type: generate_until"), "exam is a generate_until task"),
        (("task: exam", "task: exam\nclass: !function mine.Own"), "exam has a class of its own in Python"),
        (("task: exam", "task: other"), "no task 'exam' in lm-eval"),
        (("task: exam", "group: exam\ntask: [toy_religion_fair]"), "exam is a group or tag"),
    ],
)
def test_what_cannot_be_controlled_is_refused_in_one_line(
    exam: Path,
    change: tuple[str, str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # lm-eval's own 14,000 files are not looked through for a name that is in none of them
    monkeypatch.setattr(
        "lm_eval.tasks.TaskManager", lambda **given: TaskManager(**{**given, "include_defaults": False})
    )
    path = exam / "exam.yaml"
    path.write_text(path.read_text().replace(*change))
    assert main(["control", "exam", "-o", str(exam / "c.yaml"), "--include-path", str(exam)]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(exam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "toy_religion_fair", "-o", str(exam / "none" / "c.yaml")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_symbol_sets_are_checked_at_once(exam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", "toy_religion_fair", "-o", str(exam / "c.yaml"), "--symbol-sets", "runes"]) == 2
    assert "unknown set 'runes'" in capsys.readouterr().err


def test_a_file_that_says_something_else_is_not_replaced(exam: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = exam / "c.yaml"
    command = ["control", "exam", "-o", str(output), "--include-path", str(exam)]
    assert main(command) == 0
    assert main(command) == 0  # the same again
    edited = output.read_text() + "# by hand\n"
    output.write_text(edited)
    assert main(command) == 2
    assert "is there already and says something else" in capsys.readouterr().err
    assert output.read_text() == edited
