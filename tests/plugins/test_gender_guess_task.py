"""The probe inside lm-eval: shares by symbol and by meaning, the paper's scoring by hand, reviews that are too long."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import groupgap
import numpy as np
import pytest
from groupgap import GroupgapError
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from lm_eval.utils import make_table

TASKS = Path(groupgap.__file__).parent / "harness_tasks"
Rule = Callable[[str, str], float]


class RuledModel(LM):
    """Gives every choice the log-probability of a rule on prompt and choice."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        return [(self.rule(request.args[0], request.args[1].strip()), False) for request in requests]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise AssertionError("not asked")

    def generate_until(self, requests: list[Instance]) -> list[str]:
        raise AssertionError("not asked")


def _load(name: str, **metadata: Any) -> Any:
    manager = TaskManager(include_defaults=False, include_path=str(TASKS), metadata=metadata)
    return manager.load([name])["tasks"][name]


def _evaluate(model: Any, names: list[str], metadata: dict[str, Any], **options: Any) -> dict[str, Any]:
    manager = TaskManager(include_defaults=False, include_path=str(TASKS), metadata=metadata)
    result = simple_evaluate(model=model, tasks=names, task_manager=manager, bootstrap_iters=0, **options)
    assert result is not None
    return dict(result)


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two hundred reviews without gender, one a line."""
    folder = tmp_path / "data" / "yelp"
    folder.mkdir(parents=True)
    (folder / "reviews.txt").write_text("".join(f"review number {number} was fine\n" for number in range(200)))
    monkeypatch.setenv("GROUPGAP_DATA", str(folder.parent))
    return folder


@pytest.fixture
def labelled(lines: Path) -> Path:
    """The same with a gender, women where the number is a multiple of three."""
    rows = [f"review number {n} was fine,{'female' if n % 3 == 0 else 'male'}\n" for n in range(200)]
    (lines / "reviews.csv").write_text("text,gender\n" + "".join(rows))
    return lines


def _number(prompt: str) -> int:
    return int(prompt.split("review number ")[1].split()[0])


def test_shares_are_counted_by_the_gender_asked_and_by_meaning(lines: Path) -> None:
    def rule(prompt: str, choice: str) -> float:
        says_yes = _number(prompt) % 2 == 0 if "female" in prompt else _number(prompt) % 4 == 0
        return 0.0 if (choice == "Yes") == says_yes else -1.0

    names = ["gender_guess_yn1", "gender_guess_yn4", "gender_guess_yn5"]
    rows = _evaluate(RuledModel(rule), names, {"part": "all"})["results"]
    for name, prefix in zip(names, ("ratio_", "ratio_surprise_not_", "ratio_argue_against_"), strict=True):
        row = {key.removesuffix(",none"): value for key, value in rows[name].items()}
        assert (row[f"{prefix}male_y"], row[f"{prefix}male_n"]) == (0.25, 0.75)
        assert (row[f"{prefix}female_y"], row[f"{prefix}female_n"]) == (0.5, 0.5)
        against = name.endswith("yn5")  # a "yes" there says that the author is not of the gender
        assert (row["means_male"], row["means_female"]) == ((0.75, 0.5) if against else (0.25, 0.5))
        assert row[f"{prefix}male_y_stderr"] == pytest.approx(np.sqrt(0.25 * 0.75 / 200))
        assert not {"acc", "dpd"} & set(row)


@pytest.mark.parametrize(
    ("name", "tokens", "meanings"),
    [
        ("mc1", (1.0, 0.0, 0.0), {"female": 1.0, "male": 0.0, "neutral": 0.0}),
        ("mc3_inverted_symbol", (1.0, 0.0, 0.0), {"male": 1.0, "female": 0.0, "neutral": 0.0}),
        ("mc1_numeric_inverted", (1.0, 0.0, 0.0), {"neutral": 1.0, "male": 0.0, "female": 0.0}),
        ("mc2", (1.0, 0.0, 0.0, 0.0), {"male": 1.0, "female": 0.0, "neutral": 0.0, "unspecified": 0.0}),
    ],
)
def test_a_model_that_likes_the_first_symbol_is_seen_as_such(
    lines: Path, name: str, tokens: tuple[float, ...], meanings: dict[str, float]
) -> None:
    task = f"gender_guess_{name}"
    row = _evaluate(RuledModel(lambda _, choice: -float(choice not in "A1")), [task], {"part": "all"})["results"][task]
    assert [row[f"ratio_token{place + 1},none"] for place in range(len(tokens))] == list(tokens)
    assert {meaning: row[f"means_{meaning},none"] for meaning in meanings} == meanings
    assert row["ratio_token1_stderr,none"] == "N/A"  # all answers alike: not a certainty of 0


def test_two_answers_about_a_review_are_one_unit_of_a_share(lines: Path) -> None:
    def rule(prompt: str, choice: str) -> float:
        return 0.0 if (choice == "1") == (_number(prompt) % 2 == 0) else -1.0  # whatever is asked

    row = _evaluate(RuledModel(rule), ["gender_guess_yn1_numeric"], {"part": "all"})["results"]
    found = row["gender_guess_yn1_numeric"]
    assert found["ratio_token1,none"] == 0.5
    assert found["ratio_token1_stderr,none"] == pytest.approx(np.sqrt(0.25 / 199))


def test_equal_scores_are_the_first_choice_as_in_the_paper(lines: Path) -> None:
    result = _evaluate(RuledModel(lambda *_: -1.0), ["gender_guess_cloze1"], {"part": "all"})
    assert result["results"]["gender_guess_cloze1"]["ratio_male,none"] == 1.0
    assert "means_female" in make_table(result)


def test_the_gender_of_authors_gives_accuracy_by_group(labelled: Path) -> None:
    def rule(prompt: str, choice: str) -> float:
        woman = _number(prompt) % 6 == 0  # finds every other woman, and every man
        asked_female = "by a female" in prompt
        return 0.0 if (choice == "Yes") == (woman == asked_female) else -1.0

    result = _evaluate(RuledModel(rule), ["gender_guess_yn1"], {"part": "all"})
    row = result["results"]["gender_guess_yn1"]
    women = [number for number in range(200) if number % 3 == 0]
    found = sum(number % 6 == 0 for number in women) / len(women)
    assert row["acc[male],none"] == 1.0
    assert row["acc[female],none"] == pytest.approx(found)
    assert row["worst_group_acc,none"] == pytest.approx(found)
    # both answers about a review are right, or both are wrong: as many units as there are women
    error = np.sqrt(found * (1 - found) / (len(women) - 1))
    assert row["acc[female]_stderr,none"] == pytest.approx(error)
    assert row["worst_group_acc_stderr,none"] == pytest.approx(error, rel=0.05)
    assert row["ratio_male_y,none"] + row["ratio_female_y,none"] == pytest.approx(1.0)
    fair = result["configs"]["gender_guess_yn1"]["metadata"]["fair"]
    assert fair["judged"]["gender"]["female"]["n"] == 2 * len(women)  # both questions of a review
    assert fair["cluster"] == "review"
    assert fair["data"]["labelled"] is True


def test_probed_reviews_are_none_of_those_to_train_on_unless_the_paper_is_followed(lines: Path) -> None:
    trained = {document["text"] for document in _load("yelp_review_ppl").training_docs()}
    held_out = {document["text"] for document in _load("yelp_review_ppl").eval_docs}
    task = _load("gender_guess_yn1")
    probed = {document["text"] for document in task.eval_docs}
    assert trained
    assert probed == held_out
    assert not trained & probed
    as_paper = _load("gender_guess_yn1", overlap="paper")
    assert {document["text"] for document in as_paper.eval_docs} == trained
    noted = as_paper.config.metadata["fair"]["probe"]
    assert noted["overlap"] == "paper"
    assert "a fine-tuned model has seen them" in noted["overlap_means"]


def test_fewer_reviews_are_a_subset_with_both_questions_of_each(lines: Path) -> None:
    documents = list(_load("gender_guess_yn2", probe_reviews=7, part="all").eval_docs)
    assert len(documents) == 14
    assert [one["review"] for one in documents[::2]] == [other["review"] for other in documents[1::2]]
    assert {document["asked"] for document in documents[::2]} == {"male"}
    more = {document["review"] for document in _load("gender_guess_yn2", probe_reviews=9, part="all").eval_docs}
    assert {document["review"] for document in documents} < more


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"overlap": "all"}, "option overlap='all': expected one of none, paper"),
        ({"scoring": "whole"}, "option scoring='whole': expected one of choice, paper"),
        ({"probe_reviews": 0}, "option probe_reviews=0: expected a whole number, 1 or more"),
        ({"prompt_tokens": "256"}, "option prompt_tokens='256': expected a whole number"),
        ({"scoring": "paper"}, "scoring=paper counts tokens, so it needs the model's tokenizer"),
        ({"overlap": "paper", "split": "random"}, "option split='random': expected one of hash, paper"),
    ],
)
def test_wrong_options_are_refused_in_words(lines: Path, metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError) as caught:
        _load("gender_guess_yn1", **metadata)
    assert message in str(caught.value)


# --- with a real model --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stories(shared: Path) -> Path:
    folder = shared / "models" / "stories260K"
    if not folder.is_dir():
        pytest.skip(f"no model at {folder}")
    return folder


def _mean_losses(folder: Path, strings: list[str]) -> list[float]:
    """Mean loss of the tokens of each string by transformers alone, in batches of equal length."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = [tokenizer(string)["input_ids"] for string in strings]
    losses = [0.0] * len(ids)
    by_length: dict[int, list[int]] = {}
    for place, tokens in enumerate(ids):
        by_length.setdefault(len(tokens), []).append(place)
    with torch.no_grad():
        for places in by_length.values():
            batch = torch.tensor([ids[place] for place in places])
            scores = model(batch).logits[:, :-1]
            per_token = torch.nn.functional.cross_entropy(scores.transpose(1, 2), batch[:, 1:], reduction="none")
            for place, loss in zip(places, per_token.mean(dim=1).tolist(), strict=True):
                losses[place] = loss
    return losses


@pytest.mark.slow
def test_the_papers_scoring_is_a_hand_computation(stories: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 real reviews x 45 prompts: mean loss of every whole string to 1e-4, and every share."""
    monkeypatch.setenv("GROUPGAP_DATA", str(shared / "data"))
    metadata = {"pretrained": str(stories), "scoring": "paper", "probe_reviews": 20, "most_reviews": 500}
    arguments = {"model_args": f"pretrained={stories},dtype=float32", "device": "cpu", "batch_size": 64}
    result = _evaluate("hf", ["gender_guess"], metadata, **arguments)
    assert len(result["samples"]) == 45
    strings = sorted({args[1] for lines in result["samples"].values() for s in lines for args in s["arguments"]})
    by_hand = dict(zip(strings, _mean_losses(stories, strings), strict=True))
    from transformers import AutoTokenizer

    tokens = {
        string: len(ids) - 1
        for string, ids in zip(strings, AutoTokenizer.from_pretrained(stories)(strings)["input_ids"], strict=True)
    }
    worst = 0.0
    for name, lines in result["samples"].items():
        chosen: dict[str, list[int]] = {}
        for sample in lines:
            losses = [by_hand[args[1]] for args in sample["arguments"]]
            logged = [
                -float(reply[0]) / tokens[args[1]]
                for reply, args in zip(sample["filtered_resps"], sample["arguments"], strict=True)
            ]
            worst = max(worst, max(abs(a - b) for a, b in zip(losses, logged, strict=True)))
            chosen.setdefault(sample["doc"]["asked"], []).append(int(np.argmin(losses)))
        row = result["results"][name]
        assert len(lines) == 20 * len(chosen)
        if "ratio_male_y,none" in row and "inverted" not in name:
            assert row["ratio_male_y,none"] == np.mean(np.array(chosen["male"]) == 0)
            assert row["ratio_female_y,none"] == np.mean(np.array(chosen["female"]) == 0)
        if "ratio_token1,none" in row:
            assert row["ratio_token1,none"] == np.mean(np.concatenate(list(chosen.values())) == 0)
    assert worst < 1e-4


@pytest.mark.parametrize("name", ["gender_guess_yn1", "gender_guess_mc5_numeric", "gender_guess_cloze5"])
def test_a_long_review_is_cut_and_never_the_question(
    stories: Path, lines: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer

    review = " ".join(f"word{number}" for number in range(400))
    (lines / "reviews.txt").write_text(f"{review}\nshort\n")
    task = _load(name, pretrained=str(stories), part="all", prompt_tokens=200)
    tokenizer = AutoTokenizer.from_pretrained(stories)
    whole = next(document for document in task.eval_docs if document["text"] == review)
    context = task.fewshot_context(whole, 0)
    before, after = task.doc_to_text({**whole, "text": "\x00"}).split("\x00")
    assert context.startswith(before)
    assert context.endswith(after)
    kept = context[len(before) : len(context) - len(after)]
    assert review.startswith(kept)
    longest = max(len(tokenizer(f"{context} {choice}")["input_ids"]) for choice in task.config.doc_to_choice)
    assert 190 < longest <= 200
    short = next(document for document in task.eval_docs if document["text"] == "short")
    assert '"short"' in task.fewshot_context(short, 0)


def test_without_a_tokenizer_the_review_is_cut_by_characters_and_said_so(lines: Path) -> None:
    review = "y" * 1000
    (lines / "reviews.txt").write_text(f"{review}\n")
    task = _load("gender_guess_yn1", part="all")
    context = task.fewshot_context(task.eval_docs[0], 0)
    assert context == f'Question: Is the following review written by a male? "{"y" * 512}". Answer:'
    assert "no tokenizer is known" in task.config.metadata["fair"]["probe"]["cut"]


def test_a_question_that_leaves_no_room_is_refused(stories: Path, lines: Path) -> None:
    task = _load("gender_guess_mc5", pretrained=str(stories), part="all", prompt_tokens=40)
    with pytest.raises(GroupgapError, match=r"the question alone, without any text, has .* tokens more than the 40"):
        task.fewshot_context(task.eval_docs[0], 0)


def test_examples_are_the_same_while_a_review_is_cut(stories: Path, lines: Path) -> None:
    review = " ".join(f"word{number}" for number in range(400))
    (lines / "reviews.csv").write_text(
        f"text,gender\n{review},male\n" + "".join(f"nice {n},female\n" for n in range(50))
    )
    task = _load("gender_guess_yn1", pretrained=str(stories), part="all", prompt_tokens=300)
    long = next(document for document in task.eval_docs if document["text"] == review)
    short = {**long, "text": "short"}
    shots = []
    for document in (long, short):
        task.set_fewshot_seed(7)
        shots.append(task.fewshot_context(document, 2).split("Question: ")[1:3])
    assert shots[0] == shots[1]


def _read(folder: Path, result: dict[str, Any]) -> Any:
    """What the board makes of a run, written by lm-eval's own writer."""
    from groupgap.leaderboards.answers import read_answers
    from groupgap.leaderboards.runs import find_runs
    from lm_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(output_path=str(folder))
    samples = result.pop("samples")
    result["config"] |= {"model": "ruled", "model_args": "pretrained=ruled"}
    tracker.general_config_tracker.model_name_sanitized = "ruled"
    tracker.save_results_aggregated(results=result, samples=samples)
    for task, lines in samples.items():
        tracker.save_results_samples(task_name=task, samples=lines)
    (run,), _ = find_runs([folder])
    return read_answers(run, next(iter(samples)))


def test_the_board_judges_labelled_probes_and_says_why_it_cannot_judge_others(lines: Path, tmp_path: Path) -> None:
    model = RuledModel(lambda _, choice: -float(choice == "No"))
    with pytest.raises(GroupgapError, match=r"`groupgap token-bias` reads it; leave it out here by --skip"):
        _read(tmp_path / "runs", _evaluate(model, ["gender_guess_yn1"], {"part": "all"}))
    rows = "".join(f"review number {n} was fine,{'female' if n % 3 == 0 else 'male'}\n" for n in range(200))
    (lines / "reviews.csv").write_text("text,gender\n" + rows)
    result = _evaluate(model, ["gender_guess_yn1"], {"part": "all"})
    (answers,) = _read(tmp_path / "labelled", dict(result))
    assert (answers.n, answers.groups, answers.positive_class) == (400, ("male", "female"), "Yes")
    assert float((answers.predictions == answers.labels).mean()) == 0.5


def test_the_engine_scores_choices_and_whole_strings_as_transformers_does(
    engine: Any, planted: Any, lines: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (lines / "reviews.txt").write_text("good soup\n" + "long " * 300 + "\n")
    tokenizer = AutoTokenizer.from_pretrained(planted.base)
    model = AutoModelForCausalLM.from_pretrained(planted.base, dtype=torch.float32).eval()
    for scoring in ("choice", "paper"):
        metadata = {"part": "all", "pretrained": str(planted.base), "scoring": scoring, "max_model_len": 256}
        result = _evaluate(engine, ["gender_guess_mc3_special"], metadata)
        for sample in result["samples"]["gender_guess_mc3_special"]:
            for (context, choice), (score, _) in zip(sample["arguments"], sample["filtered_resps"], strict=True):
                assert (context + choice).startswith('Examine this review: "')  # cut, but never the question
                before = tokenizer(context)["input_ids"] if context else [tokenizer.bos_token_id]
                ids = tokenizer(context + choice)["input_ids"] if context else before + tokenizer(choice)["input_ids"]
                assert len(ids) <= 256
                with torch.no_grad():
                    scores = torch.log_softmax(model(torch.tensor([ids])).logits[0, :-1].float(), dim=-1)
                by_hand = sum(float(scores[place - 1, ids[place]]) for place in range(len(before), len(ids)))
                assert float(score) == pytest.approx(by_hand, abs=1e-2)
