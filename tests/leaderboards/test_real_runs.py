"""Runs that lm-eval itself made: what the factory imitates is what lm-eval writes, and lm-eval's numbers are ours."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import groupgap
import pytest
from groupgap.leaderboards.axes import Reading
from groupgap.leaderboards.board import Options, build_board
from groupgap.leaderboards.collection import Request, collect

FOREIGN = """
task: foreign
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{text}}}} Answer:"
doc_to_choice: ["bad", "good"]
doc_to_target: "{{{{['bad', 'good'][label]}}}}"
"""
FILTERED = """
filter_list:
  - {{name: none, filter: [{{function: take_first}}]}}
  - {{name: again, filter: [{{function: take_first}}]}}
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory, factory: SimpleNamespace) -> Path:
    """A task of ours and a foreign one with two filters, asked of lm-eval's dummy model, limited."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.models.dummy import DummyLM
    from lm_eval.tasks import TaskManager

    folder = tmp_path_factory.mktemp("lm_eval")
    data = folder / "data.json"
    data.write_text("\n".join(map(json.dumps, factory.documents(80))))
    (folder / "foreign.yaml").write_text((FOREIGN + FILTERED).format(file=data))
    tasks = Path(groupgap.__file__).parent / "harness_tasks"
    manager = TaskManager(include_defaults=False, include_path=[str(tasks), str(folder)])
    tracker = EvaluationTracker(output_path=str(folder / "out"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DummyLM, "tokenizer", None)  # it would ask the hub for gpt2's
        results: Any = simple_evaluate(
            model="dummy",
            tasks=["toy_religion_fair", "foreign"],
            task_manager=manager,
            limit=70,
            evaluation_tracker=tracker,
            bootstrap_iters=0,
        )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task in results["configs"]:
        tracker.save_results_samples(task_name=task, samples=samples[task])
    return folder / "out"


def test_a_run_of_lm_eval_goes_on_the_board_as_it_is(output: Path) -> None:
    reading = Reading.from_options(["foreign=doc.faith", "foreign=doc.meta.lang"], ["foreign=good"])
    collection = collect(Request([output], reading=reading))
    board = build_board(collection, Options(draws=50))
    assert list(board.tables) == [("foreign", "faith"), ("foreign", "meta.lang"), ("toy_religion_fair", "religion")]
    for row in board.rows:
        assert row.n == 70
        assert row.limited
        assert not row.discrepancies  # accuracy, worst group, dpd and eod are lm-eval's own numbers
    toy = board.rows[-1]
    assert toy.classes == ("no", "yes")
    assert toy.judgement.positive == "yes"
    (entry,) = [entry for entry in collection.entries if entry.task == "toy_religion_fair"]
    reported = entry.run.reported("toy_religion_fair")
    assert reported["acc,none"] == toy.judgement.accuracy.value
    assert "dpd,none" in reported


def test_the_factory_writes_what_lm_eval_writes(output: Path, tmp_path: Path, factory: SimpleNamespace) -> None:
    def shape(folder: Path, task: str) -> tuple[set[str], dict[str, Any]]:
        (results,) = folder.rglob("results_*.json")
        (samples,) = folder.rglob(f"samples_{task}_*.jsonl")
        return set(json.loads(results.read_text())), json.loads(samples.read_text().splitlines()[0])

    real_results, real_line = shape(output, "foreign")
    made_results, made_line = shape(factory.run().write(tmp_path / "made"), "mytask")
    assert made_results <= real_results
    assert set(made_line) <= set(real_line)
    for key, value in made_line.items():
        assert type(value) is type(real_line[key]), key
    assert set(made_line["arguments"]["gen_args_0"]) == set(real_line["arguments"]["gen_args_0"])
    assert [type(part) for part in made_line["filtered_resps"][0]] == [
        type(part) for part in real_line["filtered_resps"][0]
    ]
    assert len(made_line["doc_hash"]) == len(real_line["doc_hash"])


def test_a_document_has_the_hash_that_lm_eval_gives_it(output: Path) -> None:
    import hashlib

    (samples,) = output.rglob("samples_toy_religion_fair_*.jsonl")
    for text in samples.read_text(encoding="utf-8").splitlines()[:10]:
        line = json.loads(text)
        dumped = json.dumps(line["doc"], indent=2, ensure_ascii=False)
        assert line["doc_hash"] == hashlib.sha256(dumped.encode()).hexdigest()
