"""The task class inside lm-eval: a scripted model, whose every answer is known, is asked by ``simple_evaluate``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import groupgap
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.rows import Rows
from groupgap.harness_tasks.toy.generate import FAITHS, RUDE
from groupgap.plugins.fair_task import FairOptions, FairTask
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from lm_eval.utils import make_table
from sklearn.metrics import f1_score

TASKS = Path(groupgap.__file__).parent / "harness_tasks"


class ScriptedModel(LM):
    """Answers by a rule on the prompt; it keeps the prompts."""

    def __init__(self, says_yes: Callable[[str], bool]) -> None:
        super().__init__()
        self.says_yes = says_yes
        self.prompts: list[str] = []

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        self.prompts = [request.args[0] for request in requests]
        return [
            (-0.1 if (request.args[1].strip() == "yes") == self.says_yes(request.args[0]) else -2.0, False)
            for request in requests
        ]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise AssertionError("not asked")

    def generate_until(self, requests: list[Instance]) -> list[str]:
        raise AssertionError("not asked")

    @property
    def tokenizer_name(self) -> str:
        return "scripted"

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return "".join(f"<{turn['role']}>{turn['content']}" for turn in chat_history) + "<assistant>"


def _reads(prompt: str) -> bool:
    remark = prompt.rsplit("Remark: ", 1)[1]
    return any(word in remark for word in RUDE) and "fete" not in remark


def _evaluate(model: LM, metadata: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    manager = TaskManager(include_defaults=False, include_path=str(TASKS), metadata=metadata)
    result = simple_evaluate(model=model, tasks=["toy_religion_fair"], task_manager=manager, **options)
    assert result is not None
    return dict(result)


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return _evaluate(ScriptedModel(_reads))


def _rate(hits: list[bool]) -> float:
    return sum(hits) / len(hits)


def test_the_table_equals_a_plain_loop_over_overlapping_groups(result: dict[str, Any]) -> None:
    samples = result["samples"]["toy_religion_fair"]
    row = result["results"]["toy_religion_fair"]
    said = [(sample["doc"], sample["doc"]["label"], int(_reads(sample["arguments"][0][0]))) for sample in samples]
    accuracy, selected, tpr, fpr = {}, {}, {}, {}
    for faith in FAITHS:
        mine = [(label, yes) for doc, label, yes in said if faith.name in doc["religion"]]
        accuracy[faith.name] = _rate([label == yes for label, yes in mine])
        selected[faith.name] = _rate([yes == 1 for _, yes in mine])
        tpr[faith.name] = _rate([yes == 1 for label, yes in mine if label == 1])
        fpr[faith.name] = _rate([yes == 1 for label, yes in mine if label == 0])
        assert row[f"acc[{faith.name}],none"] == pytest.approx(accuracy[faith.name], abs=1e-12)
    spread = {
        name: max(rates.values()) - min(rates.values()) for name, rates in (("s", selected), ("t", tpr), ("f", fpr))
    }
    assert row["acc,none"] == pytest.approx(_rate([label == yes for _, label, yes in said]), abs=1e-12)
    assert row["worst_group_acc,none"] == pytest.approx(min(accuracy.values()), abs=1e-12)
    assert row["acc_spread,none"] == pytest.approx(max(accuracy.values()) - min(accuracy.values()), abs=1e-12)
    assert row["dpd,none"] == pytest.approx(spread["s"], abs=1e-12)
    assert row["eod,none"] == pytest.approx(max(spread["t"], spread["f"]), abs=1e-12)


def test_every_metric_has_a_standard_error(result: dict[str, Any]) -> None:
    row = result["results"]["toy_religion_fair"]
    for metric in ("acc", "worst_group_acc", "acc_spread", "dpd", "eod", "acc[elmic]"):
        assert isinstance(row[f"{metric}_stderr,none"], float), metric
        assert 0 < row[f"{metric}_stderr,none"] < 0.2


def test_the_results_file_says_what_was_asked_and_holds_every_rate(result: dict[str, Any]) -> None:
    fair = result["configs"]["toy_religion_fair"]["metadata"]["fair"]
    assert fair["data"]["part"] == "test"
    assert fair["data"]["sizes"]["test"] == result["n-samples"]["toy_religion_fair"]["effective"]
    assert set(fair["judged"]["religion"]["elmic"]) == {"n", "accuracy", "selection_rate", "tpr", "fpr"}


def test_a_small_limit_keeps_every_group() -> None:
    limited = _evaluate(ScriptedModel(_reads), limit=len(FAITHS))
    groups = {name for sample in limited["samples"]["toy_religion_fair"] for name in sample["doc"]["religion"]}
    assert groups == {faith.name for faith in FAITHS}


def test_undefined_is_words_in_the_table_and_never_a_number() -> None:
    limited = _evaluate(ScriptedModel(_reads), limit=20)
    row = limited["results"]["toy_religion_fair"]
    assert row["eod,none"].startswith("undefined (")
    assert row["eod_stderr,none"] == "N/A"
    assert "undefined (" in make_table(limited)


def test_examples_and_chat_templates_work() -> None:
    model = ScriptedModel(_reads)
    _evaluate(model, num_fewshot=2, limit=10)
    assert all(prompt.count("Remark: ") == 3 for prompt in model.prompts)
    _evaluate(model, apply_chat_template=True, limit=10)
    assert all(prompt.startswith("<user>Remark: ") and prompt.endswith("<assistant>") for prompt in model.prompts)


@pytest.mark.parametrize("part", ["all", "train"])
def test_a_document_is_never_its_own_example(part: str) -> None:
    model = ScriptedModel(_reads)
    _evaluate(model, {"part": part}, num_fewshot=3, limit=60)
    for prompt in model.prompts:
        remarks = [piece.split("\n")[0] for piece in prompt.split("Remark: ")[1:]]
        assert len(remarks) == 4


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"part": "tests"}, "option part='tests': expected one of test, validation, train, all"),
        ({"min_group": -1}, "option min_group=-1: expected a whole number, 1 or more"),
        ({"min_group": 0}, "option min_group=0: expected a whole number, 1 or more"),
        ({"split_seed": "x"}, "option split_seed='x': expected a whole number"),
        ({"split": "random"}, "option split='random': expected one of hash, paper"),
        ({"split": "paper", "part": "validation"}, "part 'validation' of split 'paper' holds no rows"),
    ],
)
def test_wrong_options_are_refused_in_words(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError) as caught:
        _evaluate(ScriptedModel(_reads), metadata)
    assert message in str(caught.value)


def _task(documents: list[dict[str, Any]], **fair: Any) -> FairTask:
    described = {"axes": {"team": {"field": "team", "groups": ["red", "blue, navy"]}}, "positive": "yes", **fair}
    return FairTask(
        config={
            "task": "own_fair",
            "class": FairTask,
            "custom_dataset": lambda **_: Rows(documents=documents, origin={"source": "file"}),
            "output_type": "multiple_choice",
            "training_split": "train",
            "test_split": "test",
            "fewshot_split": "train",
            "doc_to_text": "Remark: {{text}}",
            "doc_to_choice": ["no", "yes"],
            "doc_to_target": "label",
            "metadata": {"fair": described, "part": "all", "min_group": 1},
        }
    )


def _documents(teams: list[str], labels: list[int]) -> list[dict[str, Any]]:
    return [
        {"id": str(index), "text": f"remark {index}", "label": label, "team": [team]}
        for index, (team, label) in enumerate(zip(teams, labels, strict=True))
    ]


def test_a_group_without_positives_has_no_tpr() -> None:
    documents = _documents(["red"] * 4 + ["blue, navy"] * 4, [0, 1, 0, 1, 0, 0, 0, 0])
    result = simple_evaluate(model=ScriptedModel(lambda _: True), tasks=[_task(documents)])
    assert result is not None
    row = result["results"]["own_fair"]
    assert row["eod,none"].startswith("undefined (")
    assert row["dpd,none"] == 0.0
    assert row["acc[blue; navy],none"] == 0.0
    assert row["acc[blue; navy]_stderr,none"] == "N/A"  # four answers that are all wrong are no certainty
    judged = result["configs"]["own_fair"]["metadata"]["fair"]["judged"]["team"]
    assert judged["blue, navy"]["tpr"] == "undefined (no positives)"
    assert "acc[blue; navy]" in make_table(result)  # lm-eval cuts its keys at the comma


def test_a_positive_choice_that_is_no_choice_is_refused() -> None:
    with pytest.raises(GroupgapError, match="the positive choice 'rude' is not one of"):
        _task(_documents(["red", "red"], [0, 1]), positive="rude")


def test_several_classes_need_no_positive_choice_and_show_macro_f1() -> None:
    labels = [0, 1, 2, 0, 1, 2]
    task = _task(_documents(["red", "blue, navy"] * 3, labels), positive=None, choices=["yes", "no", "perhaps"])
    result = simple_evaluate(model=ScriptedModel(lambda _: True), tasks=[task])
    assert result is not None
    row = result["results"]["own_fair"]
    assert row["macro_f1,none"] == pytest.approx(f1_score(labels, [0] * 6, average="macro"))
    assert row["macro_f1_stderr,none"] > 0
    assert row["dpd,none"] == 0.0
    assert "macro_f1" in make_table(result)
    judged = result["configs"]["own_fair"]["metadata"]["fair"]["judged"]["team"]
    assert judged["red"]["tpr"] == "undefined (no single positive class)"
    assert "macro_f1" not in _task(_documents(["red", "red"], [0, 1])).aggregation()


def test_a_group_that_the_task_does_not_declare_is_refused() -> None:
    with pytest.raises(GroupgapError, match="id '1': group 'green' is not declared for axis 'team'"):
        _task(_documents(["red", "green"], [0, 1]))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            ["red", "blue", "red"],
            "own_fair: Expected argument 'groups of axis team' to hold each name once, but 'red' occurs twice",
        ),
        ([1, "1", "red"], "to hold each name once, but '1' occurs twice"),
        ([], "to name at least one, but got none"),
    ],
)
def test_groups_that_could_not_be_judged_are_refused_before_the_run(groups: list[Any], message: str) -> None:
    with pytest.raises(GroupgapError) as caught:
        _task(_documents(["red"], [0]), axes={"team": {"field": "team", "groups": groups}})
    assert message in str(caught.value)


def test_choices_axes_and_documents_that_could_not_be_judged_are_refused_before_the_run() -> None:
    documents = _documents(["red", "red"], [0, 1])
    with pytest.raises(GroupgapError, match="'choices' to hold each name once, but 'yes' occurs twice"):
        _task(documents, choices=["yes", "no", "yes"])
    with pytest.raises(GroupgapError, match=r"own_fair: metadata\.fair\.axes names no axis"):
        _task(documents, axes={})
    with pytest.raises(GroupgapError, match="id '0' has no field 'side': every document needs 'side', 'label'"):
        _task(documents, axes={"team": {"field": "side", "groups": ["red"]}})
    with pytest.raises(GroupgapError, match="id '1': label 7 is outside the 2 choices"):
        _task(_documents(["red", "red"], [0, 7]))


def test_a_wrong_option_is_refused_before_any_data_is_loaded() -> None:
    for wrong in ({"split": "random"}, {"part": "tests"}, {"min_group": 0}):
        with pytest.raises(GroupgapError, match=f"option {next(iter(wrong))}="):
            FairOptions.from_metadata(wrong)


def test_names_that_differ_by_a_comma_only_are_two_rows() -> None:
    """lm-eval cuts its keys at the comma: with "," made ";" one of the two vanished."""
    groups = ["a,b", "a;b", "a;b (2)", "a;b,c", "a,b,c"]
    documents = _documents(groups, [1, 0, 1, 0, 1])
    result = simple_evaluate(
        model=ScriptedModel(lambda _: True),
        tasks=[_task(documents, axes={"team": {"field": "team", "groups": groups}})],
    )
    assert result is not None
    row, table = result["results"]["own_fair"], make_table(result)
    names = ["a;b (3)", "a;b", "a;b (2)", "a;b;c", "a;b;c (2)"]
    for name, right in zip(names, [1, 0, 1, 0, 1], strict=True):
        assert row[f"acc[{name}],none"] == right
        assert f"acc[{name}]" in table


def test_axes_that_differ_by_a_comma_only_are_two_sets_of_rows() -> None:
    documents = _documents(["red", "blue"] * 2, [0, 1, 1, 1])
    axes = {name: {"field": "team", "groups": ["red", "blue"]} for name in ("x,y", "x;y")}
    result = simple_evaluate(model=ScriptedModel(lambda _: True), tasks=[_task(documents, axes=axes)])
    assert result is not None
    row = result["results"]["own_fair"]
    assert row["x;y_acc_spread,none"] == row["x;y (2)_acc_spread,none"] == 0.5


TWO_PROCESSES = """
import sys
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
manager = TaskManager(include_defaults=False, include_path=sys.argv[1])
arguments = f"pretrained={sys.argv[2]},dtype=float32"
options = {"device": "cpu", "limit": 101, "batch_size": 32}
result = simple_evaluate(
    model="hf", model_args=arguments, tasks=["toy_religion_fair"], task_manager=manager, **options
)
if result:
    row = result["results"]["toy_religion_fair"]
    print("ROW", {name: value for name, value in row.items() if "stderr" not in name})
"""


@pytest.mark.slow
def test_several_processes_give_the_same_numbers_as_one(toy_models: dict[str, Path], tmp_path: Path) -> None:
    script = tmp_path / "evaluate.py"
    script.write_text(TWO_PROCESSES)
    arguments = [str(script), str(TASKS), str(toy_models["base"])]
    accelerate = [str(Path(sys.executable).parent / "accelerate"), "launch", "--cpu", "--num_machines", "1"]
    accelerate += ["--mixed_precision", "no", "--dynamo_backend", "no", "--num_processes"]
    rows = []
    for command in ([sys.executable], [*accelerate, "2"]):
        run = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        lines = [line for line in run.stdout.splitlines() if line.startswith("ROW")]
        assert len(lines) == 1, run.stderr[-2000:]
        rows.append(lines[0])
    assert rows[0] == rows[1]


def test_a_mistake_is_one_line_and_status_2_in_whichever_command_it_happens() -> None:
    script = "import groupgap.plugins.fair_task, groupgap; raise groupgap.GroupgapError('no such thing: do this')"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.strip().splitlines()[-1] == "groupgap: error: no such thing: do this"
    assert "Traceback" not in run.stderr
