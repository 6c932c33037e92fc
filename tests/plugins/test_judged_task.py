"""The task class of written answers inside lm-eval: a scripted translator, whose every text is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import groupgap
import pytest
from groupgap.errors import GroupgapError
from groupgap.metrics.antecedents import antecedent_gender
from groupgap.metrics.pronouns import pronoun_gender
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from lm_eval.utils import make_table

TASKS = Path(groupgap.__file__).parent / "harness_tasks"
Document = dict[str, Any]


class Translator(LM):
    """Writes what a rule says for each document; it keeps what it was asked."""

    def __init__(self, writes: Callable[[Document], str]) -> None:
        super().__init__()
        self.writes = writes
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def generate_until(self, requests: list[Instance]) -> list[str]:
        self.asked = [request.args for request in requests]
        return [self.writes(request.doc) for request in requests]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        self.asked = [request.args for request in requests]
        return [(-1.0 if request.args[1] == " she" else -2.0 - request.idx, False) for request in requests]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise AssertionError("not asked")


def ask(task: str, model: LM, **metadata: object) -> dict[str, Any]:
    """Run one task and give back lm-eval's results."""
    manager = TaskManager(include_defaults=False, include_path=str(TASKS), metadata=dict(metadata))
    found: Any = simple_evaluate(model=model, tasks=[task], task_manager=manager, bootstrap_iters=0)
    return dict(found)


@pytest.fixture
def real(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real files as ``GROUPGAP_DATA``."""
    monkeypatch.setenv("GROUPGAP_DATA", str(shared / "data"))


def with_pronoun(document: Document, place: int) -> str:
    """The reference with another pronoun at its place."""
    before, choices = document["prefix"], document["choices"]
    after = document["reference"][len(before) + 1 + len(choices[document["label"]]) :]
    return f" {before} {choices[place]}{after}"


def stereotype(document: Document) -> str:
    return with_pronoun(document, ["male", "female"].index(document["predisposition"][0]))


@pytest.mark.usefixtures("real")
def test_the_papers_prompt_greedy_and_its_ratios() -> None:
    model = Translator(stereotype)
    results = ask("winomt_tr_en_general_fair", model)
    prompt, settings = model.asked[0]
    assert len(model.asked) == 318
    assert prompt.startswith("Turkish: ")
    assert prompt.endswith(" English:")
    assert settings == {"until": [], "do_sample": False, "temperature": 0.0, "max_gen_toks": 100}
    found = results["results"]["winomt_tr_en_general_fair"]
    assert found["male_predispose_male_ratio,none"] + found["male_predispose_unknown_ratio,none"] == 1
    assert found["male_predispose_male_ratio,none"] > 0.97  # a second pronoun of the reference now and then
    assert found["stereotype_difference,none"] > 0.95
    assert 0 < found["stereotype_difference_stderr,none"] < 0.05
    assert found["chrf,none"] > 80
    assert found["gender_blind_bleu,none"] > found["bleu,none"]
    table = make_table(results)
    for name in ("female_predispose_neutral_ratio", "pro_stereotype_ratio", "bleu", "chrf"):
        assert name in table
    told = results["configs"]["winomt_tr_en_general_fair"]["metadata"]["fair"]
    assert sum(told["judged"]["kinds"].values()) == 318
    assert told["judged"]["not_measurable"] is None
    assert told["judged"]["signatures"]["bleu"].startswith("nrefs:1|case:mixed")
    assert told["data"]["sizes"] == {"train": 3108, "validation": 0, "test": 318, "all": 3888}
    json.dumps(results["samples"], allow_nan=False)


@pytest.mark.usefixtures("real")
def test_a_model_that_does_not_translate_is_not_measurable() -> None:
    results = ask("winomt_tr_en_general_fair", Translator(lambda document: document["text"]))
    found = results["results"]["winomt_tr_en_general_fair"]
    for name in ("stereotype_difference", "pro_stereotype_ratio", "anti_stereotype_ratio"):
        assert found[f"{name},none"].startswith("undefined (not measurable: it does not translate: chrF")
        assert found[f"{name}_stderr,none"] == "N/A"
    assert 0.95 < found["male_predispose_unknown_ratio,none"] < 1  # Turkish "her" (every) is a word of the lists, too
    assert "not measurable" in make_table(results)


@pytest.mark.usefixtures("real")
def test_the_other_judge_is_an_option() -> None:
    def both(document: Document) -> str:
        return f"{stereotype(document)} Turkish: O geldi. English: He and she came."

    papers = ask("winomt_tr_en_pro_fair", Translator(both))["results"]["winomt_tr_en_pro_fair"]
    aware = ask("winomt_tr_en_pro_fair", Translator(both), judge="antecedent")["results"]["winomt_tr_en_pro_fair"]
    assert papers["male_predispose_unknown_ratio,none"] == 1
    assert aware["male_predispose_male_ratio,none"] > 0.95
    assert papers["judges_disagree,none"] == aware["judges_disagree,none"] > 0.95
    with pytest.raises(GroupgapError, match="option judge='mine': expected one of pronoun, antecedent"):
        ask("winomt_tr_en_pro_fair", Translator(both), judge="mine")


@pytest.mark.usefixtures("real")
def test_training_rows_have_a_prompt_and_an_english_target() -> None:
    for name, count in (("winomt_tr_en_general_fair", 3108), ("winomt_tr_en_pro_fair", 1266)):
        manager = TaskManager(include_defaults=False, include_path=str(TASKS), metadata={})
        task = manager.load([name])["tasks"][name]
        rows = task.training_docs()
        assert len(rows) == count
        row = rows[0]
        assert task.doc_to_text(row) == f"Turkish: {row['text']} English:"
        assert task.doc_to_target(row) == row["reference"]
        assert task.config.target_delimiter == " "
        tested = set(task.test_docs()["id"])
        assert len(tested) == 318
        assert not tested & set(rows["id"])


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize(("task", "count"), [("winomt_tr_en_pronoun_fair", 318), ("winogender_pronoun_fair", 120)])
def test_a_pronoun_is_asked_at_its_place(task: str, count: int) -> None:
    model = Translator(str)
    results = ask(task, model)
    assert len(model.asked) == 3 * count
    samples = results["samples"][task]
    assert {tuple(argument[1] for argument in sample["arguments"]) for sample in samples} <= {
        (" he", " she", " they"),
        (" him", " her", " them"),
        (" his", " her", " their"),
    }
    if task.startswith("winomt"):
        assert all(f" English: {sample['doc']['prefix']}" in sample["arguments"][0][0] for sample in samples)
    assert 0 <= results["results"][task]["acc,none"] <= 1
    told = results["configs"][task]["metadata"]["fair"]
    assert told["classes"] == ["male", "female", "neutral"]


def test_sentences_of_the_user_in_another_language(tmp_path: Path) -> None:
    rows = [
        f"Hän on {job} {place}.\t{article} {job} {place}.\t{job}\t{side}"
        for place in range(60)
        for job, article, side in (("insinööri", "Er ist", "male"), ("sairaanhoitaja", "Sie ist", "female"))
    ]
    path = tmp_path / "mine.tsv"
    path.write_text("\n".join(["source\treference\toccupation\tstereotype", *rows]) + "\n", encoding="utf-8")
    words = {"male": ["er"], "female": ["sie"]}
    options = {"file": str(path), "source_language": "Finnish", "target_language": "German", "pronouns": words}
    model = Translator(lambda document: f" {document['reference']}")
    results = ask("translation_fair", model, part="all", **options)
    assert model.asked[0][0].startswith("Finnish: Hän on ")
    assert model.asked[0][0].endswith(" German:")
    found = results["results"]["translation_fair"]
    assert (found["pro_stereotype_ratio,none"], found["anti_stereotype_ratio,none"]) == (1, 0)
    assert found["judges_disagree,none"] == "undefined (the antecedent-aware judge reads English only)"
    with pytest.raises(GroupgapError, match="option judge='antecedent': the antecedent-aware judge reads English only"):
        ask("translation_fair", model, judge="antecedent", **options)


def test_the_two_judges_read_what_the_task_hands_them() -> None:
    """The task's text begins after the prompt; a marker inside it is the model's own."""
    text = "She left. Turkish: O geldi. English: He came."
    assert pronoun_gender(f"english: {text}").gender == "unknown"
    assert antecedent_gender(text.replace("She", "The nurse said she"), "nurse").gender == "female"
