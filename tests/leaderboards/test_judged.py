"""Written texts on the board and in comparisons: from what lm-eval itself logged to ratios, blocks and tests."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import groupgap
import numpy as np
import pytest
from groupgap.errors import GroupgapError
from groupgap.leaderboards.board import Board, Options, Row, build_board
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.compare import Wish, compare_runs
from groupgap.leaderboards.compared import Compared
from groupgap.leaderboards.markdown import board_markdown, terminal
from groupgap.leaderboards.report_blocks import Block
from groupgap.leaderboards.tables import board_csv, board_document, groups_csv

JOBS = {"male": ("engineer", "guard", "mechanic", "farmer"), "female": ("nurse", "teacher", "cleaner", "cook")}
THINGS = ("a book", "the keys", "bread", "an old car", "some flowers", "the letter", "two chairs")
PAIRS = 80
TASK = "translation_fair"


def sentence(job: str, gender: str, number: int) -> str:
    pronoun = {"male": "he", "female": "she", "neutral": "they"}[gender]
    return f"The {job} number {number} bought {THINGS[number % 7]} because {pronoun} liked {THINGS[number % 5]}."


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """Source, reference, occupation, stereotype and pair; the references go against the stereotype."""
    for number in range(PAIRS):
        for side, other in (("male", "female"), ("female", "male")):
            job = JOBS[side][number % 4]
            yield f"{job} {number} o", sentence(job, other, number), job, side, f"pair {number}"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that lm-eval made and logged: its texts are the references."""
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    class Echo(LM):
        def generate_until(self, requests: list[Any]) -> list[str]:
            return [f" {request.doc['reference']}" for request in requests]

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            raise AssertionError("not asked")

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            raise AssertionError("not asked")

    folder = tmp_path_factory.mktemp("judged")
    table = folder / "mine.tsv"
    table.write_text("\n".join(["source\treference\toccupation\tstereotype\tpair", *map("\t".join, rows())]) + "\n")
    options = {"file": str(table), "source_language": "Turkish", "target_language": "English"}
    manager = TaskManager(
        include_defaults=False,
        include_path=str(Path(groupgap.__file__).parent / "harness_tasks"),
        metadata={**options, "pair_column": "pair", "part": "all"},
    )
    tracker = EvaluationTracker(output_path=str(folder / "out"))
    results: Any = simple_evaluate(model=Echo(), tasks=[TASK], task_manager=manager, bootstrap_iters=0)
    samples = results.pop("samples")
    results["config"].update({"model": "hf", "model_args": {"pretrained": "echo"}})
    tracker.general_config_tracker.model_name = "echo"
    tracker.general_config_tracker.model_name_sanitized = "echo"
    tracker.save_results_aggregated(results=results, samples=samples)
    tracker.save_results_samples(task_name=TASK, samples=samples[TASK])
    return folder / "out"


Rewrite = Callable[[dict[str, Any]], str]


@pytest.fixture
def rewritten(first: Path, tmp_path: Path) -> Callable[..., Path]:
    """The run with other texts, under another name."""

    def rewriting(name: str, texts: Rewrite, seed: int | None = None, **fair: object) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (results,) = first.rglob("results_*.json")
        (samples,) = first.rglob("samples_*.jsonl")
        told = json.loads(results.read_text())
        told["config"]["model_args"] = {"pretrained": name}
        told["results"][TASK] = {"alias": TASK}
        told["configs"][TASK]["metadata"]["fair"] |= fair
        (folder / results.name).write_text(json.dumps(told))
        lines = [json.loads(line) for line in samples.read_text().splitlines()]
        for line in lines:
            line["filtered_resps"] = [texts(line["doc"])]
        (folder / samples.name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        if seed is not None:
            variant = {"name": name, "base": "tiny", "method": "lora", "seed": seed, "recipe": "one"}
            (folder / "variant.json").write_text(json.dumps(variant))
        return folder

    return rewriting


def writes(pro: float, seed: int) -> Rewrite:
    """Texts that follow the stereotype with this probability."""
    rng = random.Random(seed)

    def text(document: dict[str, Any]) -> str:
        (side,) = document["predisposition"]
        other = {"male": "female", "female": "male"}[side]
        gender = side if rng.random() < pro else other
        return " " + sentence(document["occupation"], gender, int(document["text"].split()[1]))

    return text


def board_of(*folders: Path) -> Board:
    return build_board(collect(Request(folders)), Options(draws=500, pairs="none"))


def row_of(board: Board, variant: str) -> Row:
    (row,) = [row for row in board.rows if row.variant == variant]
    return row


def values(board: Board, variant: str) -> dict[str, Any]:
    """The lines of a variant's block: name to (value, low, high, about)."""
    (block,) = [block for block in board.blocks if block.variant == variant]
    assert isinstance(block, Block)
    return {str(line[0]): line[1:] for line in block.rows}


def test_what_lm_eval_logged_is_read_and_its_numbers_are_ours(first: Path) -> None:
    (results,) = first.rglob("results_*.json")
    reported = json.loads(results.read_text())["results"][TASK]
    board = board_of(first)
    found = values(board, "echo")
    compared = 0
    for name, (value, *_) in found.items():
        if f"{name},none" in reported:
            ours = 100.0 if name in ("bleu", "chrf") else value
            assert reported[f"{name},none"] == pytest.approx(ours, abs=0.006), name
            compared += 1
    assert compared == 17
    assert (found["bleu"][0], found["male_predispose_female_ratio"][0]) == (100.0, 1.0)
    assert row_of(board, "echo").discrepancies == ()


def test_a_planted_bias_is_on_the_board_within_its_intervals(rewritten: Callable[..., Path]) -> None:
    board = board_of(rewritten("biased", writes(0.85, 1)), rewritten("none", writes(0.5, 2)))
    biased, none = (values(board, name) for name in ("biased", "none"))
    for name, truth in (
        ("pro_stereotype_ratio", 0.85),
        ("anti_stereotype_ratio", 0.15),
        ("stereotype_difference", 0.7),
    ):
        value, low, high, about = biased[name]
        assert low <= truth <= high
        assert low < value < high
        assert about.startswith(f"n = {2 * PAIRS}, ")
        assert f"over {PAIRS} clusters" in about
    assert none["stereotype_difference"][1] <= 0 <= none["stereotype_difference"][2]
    assert biased["p-value of stereotype_difference"][0] < 0.001 < none["p-value of stereotype_difference"][0]
    row = row_of(board, "biased")
    assert row.classes == ("male", "female", "neutral", "unknown")
    assert row.calibration is None
    assert row.judgement.dpd.value == pytest.approx(0.7, abs=0.2)
    assert row.judgement.groups["male"].accuracy.value == biased["male_predispose_female_ratio"][0]


def test_what_does_not_translate_is_not_measurable_and_has_no_rank(rewritten: Callable[..., Path]) -> None:
    board = board_of(rewritten("good", writes(0.5, 1)), rewritten("mute", lambda document: str(document["text"])))
    mute = row_of(board, "mute")
    assert mute.rank is None
    for name in ("accuracy", "worst_group", "dpd", "eod", "accuracy_spread"):
        assert getattr(mute.judgement, name).reason.startswith("not measurable: it does not translate: chrF")
    assert mute.judgement.groups["male"].accuracy.value is None
    found = values(board, "mute")
    assert found["stereotype_difference"][0] is None
    assert found["stereotype_difference"][3].startswith("not measurable")
    assert found["texts: no pronoun"][0] == 2 * PAIRS
    assert row_of(board, "good").rank == 1
    for text in (board_markdown(board), terminal(board), board_csv(board), groups_csv(board)):
        assert "not measurable" in text
    for text in (board_markdown(board).replace("\\", ""), terminal(board)):
        assert "mute: Translations, judged by the pronoun judge: bleu" in text
        assert "stereotype_difference undefined" in text
    assert "| texts: no pronoun" in board_markdown(board)
    document = board_document(board)
    json.dumps(document, allow_nan=False)
    assert {block["title"] for block in document["blocks"]} == {"Translations, judged by the pronoun judge"}
    assert "judged texts have no probabilities" in board_csv(board)


def test_what_is_not_measurable_is_not_compared_on_the_board(rewritten: Callable[..., Path]) -> None:
    folders = rewritten("good", writes(0.5, 1)), rewritten("mute", lambda document: str(document["text"]))
    board = build_board(collect(Request(folders)), Options(draws=99))
    (pairs,) = board.pairs
    assert not len(pairs.found.pairs)
    ((_, _, why),) = pairs.not_compared
    assert why.startswith("mute is not measurable: it does not translate: chrF")
    assert all(not row.bands for row in board.rows)


def test_a_row_of_units_has_intervals_and_chance_over_units(rewritten: Callable[..., Path]) -> None:
    row = row_of(board_of(rewritten("good", writes(0.5, 1))), "good")
    assert any(note.startswith("lines with one doc.pair are one unit") for note in row.notes)
    assert "clusters" in str(row.judgement.accuracy.interval)
    dpd = row.judgement.dpd
    assert dpd.low is not None
    assert dpd.low <= dpd.value <= dpd.high
    assert dpd.interval == f"simultaneous over {PAIRS} clusters"
    assert dpd.chance.median > 0
    assert dpd.chance.p_value > 0.01
    biased = row_of(board_of(rewritten("biased", writes(0.9, 1))), "biased").judgement.dpd
    assert biased.low > 0.4
    assert biased.chance.p_value < 0.01


def test_a_gap_without_a_chance_level_says_why_on_its_row(
    rewritten: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groupgap.metrics.cluster_chance.FIXED", -1.0)
    row = row_of(board_of(rewritten("good", writes(0.5, 1))), "good")
    assert row.judgement.dpd.chance is None
    told = [note for note in row.notes if note.startswith("no chance level of ")]
    assert told[0].startswith("no chance level of accuracy spread, demographic parity difference: 0 of ")


def test_odd_texts_are_counted_as_what_they_are(rewritten: Callable[..., Path]) -> None:
    odd = ("", "Она читает.", "no pronoun here", "he and she", "she. Turkish: o English: she")
    state = iter(range(10_000))

    def text(document: dict[str, Any]) -> str:
        number = next(state)
        return odd[number] if number < len(odd) else writes(0.5, number)(document)

    found = values(board_of(rewritten("odd", text)), "odd")
    counts = {name: found[name][0] for name in found if name.startswith(("texts", "repeat"))}
    assert counts["texts: empty"] == counts["texts: another script"] == counts["texts: both genders"] == 1
    assert counts["texts: no pronoun"] == counts["repeat the prompt"] == 1
    assert sum(count for name, count in counts.items() if name.startswith("texts")) == 2 * PAIRS
    assert found["unknown_ratio"][0] == pytest.approx(4 / (2 * PAIRS), abs=1e-4)


def compared(*folders: Path, **wish: Any) -> Compared:
    (found,) = compare_runs(
        collect(Request(folders), same_documents=False), Wish([str(one) for one in folders], **wish)
    )
    return found


def test_two_runs_are_compared_by_whole_pairs(rewritten: Callable[..., Path]) -> None:
    found = compared(rewritten("a", writes(0.9, 1)), rewritten("b", writes(0.5, 2)))
    assert found.comparison.clusters == PAIRS
    assert any(note.startswith(f"{PAIRS} clusters of documents") for note in found.notes)
    difference = found.comparison.find("stereotype_difference")
    assert difference.value == pytest.approx(0.8, abs=0.25)
    assert difference.q_value is not None
    assert difference.q_value < 0.001
    assert difference.test == "exact swap test of whole pairs"
    accuracy = found.comparison.find("accuracy")
    assert accuracy.interval == "t over clusters"
    ratio = found.comparison.find("selection_rate", "male", "female")
    assert ratio.value is not None
    assert ratio.value < -0.2


def test_a_pair_is_one_unit_however_its_lines_agree(rewritten: Callable[..., Path]) -> None:
    """A follows the stereotype in both lines of 6 pairs, B in none: 6 swaps, p = 2 / 2^6, not 2 / 2^12."""

    def some(document: dict[str, Any]) -> str:
        return writes(1.0 if int(document["text"].split()[1]) < 6 else 0.0, 0)(document)

    found = compared(rewritten("a", some), rewritten("b", writes(0.0, 0)))
    for metric in ("accuracy", "stereotype_difference"):
        assert found.comparison.find(metric).p_value == pytest.approx(2 / 2**6)


def test_no_stereotype_of_a_run_that_does_not_translate_is_compared(rewritten: Callable[..., Path]) -> None:
    found = compared(rewritten("a", writes(0.9, 1)), rewritten("mute", lambda document: ""))
    with pytest.raises(KeyError):
        found.comparison.find("stereotype_difference")
    assert any(note.startswith("mute: not measurable") for note in found.notes)


def test_seeds_that_do_not_translate_are_said_in_both_questions(rewritten: Callable[..., Path]) -> None:
    made = []
    for name, text in (("lora", writes(0.8, 1)), ("mute", lambda document: "")):
        for seed in (1, 2):
            made.append(rewritten(f"{name}-s{seed}", text, seed=seed))
            told = {"name": name, "base": "tiny", "method": name, "seed": seed, "recipe": name}
            (made[-1] / "variant.json").write_text(json.dumps(told))
    found = compare_runs(collect(Request(made), same_documents=False), Wish([str(one) for one in made]))
    assert len(found) == 2
    for one in found:
        assert sum("not measurable" in note for note in one.notes) == 2


def test_seeds_of_one_recipe_are_one_block_of_means(rewritten: Callable[..., Path]) -> None:
    folders = [rewritten(f"lora-s{seed}", writes(0.8, seed), seed=seed) for seed in (1, 2, 3)]
    board = board_of(*folders)
    (row,) = board.rows
    assert len(row.by_seed) == 3
    found = values(board, row.variant)
    assert found["pro_stereotype_ratio"][3] == f"n = {2 * PAIRS}, t over 3 seeds"
    assert found["pro_stereotype_ratio"][0] == pytest.approx(0.8, abs=0.06)
    assert sum(found[name][0] for name in found if name.startswith("texts")) == 6 * PAIRS


@pytest.mark.parametrize(
    ("fair", "said"),
    [
        ({"judge": {"name": "mine"}}, "metadata.fair names no field for 'reference'"),
        ({"judge": "pronoun"}, "metadata.fair.judge: expected a mapping"),
        ({"cluster": None}, "metadata.fair names no field for 'cluster'"),
        ({"cluster": "nowhere"}, "the field doc.nowhere (cluster) holds no text: expected a text"),
    ],
)
def test_metadata_of_another_form_is_refused(rewritten: Callable[..., Path], fair: dict[str, Any], said: str) -> None:
    with pytest.raises(GroupgapError) as error:
        board_of(rewritten("broken", writes(0.5, 1), **fair))
    assert said in str(error.value)


def test_unknown_judges_and_labels_are_refused(rewritten: Callable[..., Path]) -> None:
    fields = {"reference": "reference", "occupation": "occupation", "other": "other"}
    for told, said in (
        ({"name": "mine", "label": "label"}, "metadata.fair.judge: option judge='mine': expected one of"),
        ({"name": "pronoun", "label": "text"}, "the field doc.text holds no index of male, female, neutral, unknown"),
    ):
        with pytest.raises(GroupgapError) as error:
            board_of(rewritten(f"with {told['label']}", writes(0.5, 1), judge={**fields, **told}))
        assert said in str(error.value)


@pytest.mark.parametrize("change", [{"filtered_resps": ["a", "b"]}, {"filtered_resps": [["a"]]}, {"arguments": {}}])
def test_lines_of_another_form_are_refused(rewritten: Callable[..., Path], change: dict[str, Any]) -> None:
    folder = rewritten("broken", writes(0.5, 1))
    (path,) = folder.glob("samples_*.jsonl")
    head, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(head) | change), *rest]) + "\n")
    with pytest.raises(GroupgapError, match="line 1: not a generated text of lm-eval's samples"):
        board_of(folder)


def test_a_covariate_has_a_slope_over_its_units(factory: SimpleNamespace, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    share = {f"job {number}": float(rng.random()) for number in range(50)}
    made = [
        {"text": f"{job} {copy}", "label": 0, "side": ["one"], "share": value, "job": job, "choices": words}
        for job, value in share.items()
        for copy, words in enumerate((["he", "she"], ["him", "her"]))
    ]
    fair = {
        "axes": {"side": {"field": "side", "groups": ["one"]}},
        "classes": ["male", "female"],
        "positive": "female",
        "cluster": "job",
        "covariate": {"field": "share", "class": "female", "name": "share of women"},
    }
    run = factory.WrittenRun(documents=made, predictions=[0] * len(made), fair=fair, choices=("he", "she"))
    lines = run.lines()
    for line in lines:
        probability = 0.1 + 0.6 * line["doc"]["share"]
        line["filtered_resps"] = [[str(np.log(1 - probability)), "False"], [str(np.log(probability)), "False"]]
        for place, word in enumerate(line["doc"]["choices"]):
            line["arguments"][f"gen_args_{place}"]["arg_1"] = f" {word}"
    folder = run.write(tmp_path / "run")
    run.samples_file(folder).write_text("".join(json.dumps(line) + "\n" for line in lines))
    board = board_of(folder)
    (row,) = board.rows
    assert row.classes == ("male", "female")
    (block,) = board.blocks
    assert block.title == "Probability of female against the share of women"
    found = {line[0]: line[1:] for line in block.rows}
    assert found["slope"][0] == pytest.approx(0.6, abs=1e-4)
    assert found["slope"][3] == "n = 50, t over 50 units"
    assert found["correlation"][0] == pytest.approx(1, abs=1e-4)
    fair["covariate"]["class"] = "both"  # type: ignore[index]
    run.write(tmp_path / "run")
    with pytest.raises(GroupgapError, match=r"metadata.fair.covariate: class 'both' is not one of male, female"):
        board_of(folder)
