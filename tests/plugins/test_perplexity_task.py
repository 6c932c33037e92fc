"""Perplexity of held-out reviews: by hand with transformers, never of a review to train on."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import groupgap
import pytest
from groupgap import GroupgapError
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

TASKS = Path(groupgap.__file__).parent / "harness_tasks"


def _task(**metadata: Any) -> Any:
    manager = TaskManager(include_defaults=False, include_path=str(TASKS), metadata=metadata)
    return manager.load(["yelp_review_ppl"])["tasks"]["yelp_review_ppl"]


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data" / "yelp"
    folder.mkdir(parents=True)
    (folder / "reviews.txt").write_text("".join(f"the soup number {number} was good\n" for number in range(300)))
    monkeypatch.setenv("GROUPGAP_DATA", str(folder.parent))
    return folder


def test_it_is_the_exponent_of_the_mean_loss_by_hand(shared: Path, lines: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = shared / "models" / "stories260K"
    if not folder.is_dir():
        pytest.skip(f"no model at {folder}")
    (lines / "reviews.txt").write_text("".join(f"soup {n} was good\n" for n in range(60)) + "long " * 900 + "\n")
    manager = TaskManager(
        include_defaults=False, include_path=str(TASKS), metadata={"pretrained": str(folder), "part": "all"}
    )
    arguments = {"model_args": f"pretrained={folder},dtype=float32", "device": "cpu", "batch_size": 16}
    result = simple_evaluate(
        model="hf", tasks=["yelp_review_ppl"], task_manager=manager, bootstrap_iters=0, **arguments
    )
    assert result is not None
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    loss = tokens = words = 0.0
    for sample in result["samples"]["yelp_review_ppl"]:
        text = sample["arguments"][0][1]
        assert sample["doc"]["text"].startswith(text)
        ids = tokenizer(text, return_tensors="pt")["input_ids"]  # begins with the start token, once
        assert ids.shape[1] <= 511
        with torch.no_grad():
            scores = model(ids).logits[0, :-1]
        loss += float(torch.nn.functional.cross_entropy(scores, ids[0, 1:], reduction="sum"))
        tokens += ids.shape[1] - 1
        words += len(text.split())
    row = result["results"]["yelp_review_ppl"]
    assert row["perplexity,none"] == pytest.approx(math.exp(loss / tokens), rel=1e-4)
    assert row["word_perplexity,none"] == pytest.approx(math.exp(loss / words), rel=1e-3)
    assert row["perplexity_stderr,none"] > 0


def test_no_review_is_both_held_out_and_to_train_on(lines: Path) -> None:
    task = _task()
    parts = [task.training_docs(), task.validation_docs(), task.eval_docs]
    texts = [{document["text"] for document in part} for part in parts]
    assert all(texts)
    assert sum(map(len, texts)) == len(set.union(*texts)) == 300
    assert set(task.training_docs()[0]) >= {"id", "text"}


def test_sizes_are_options_and_noted_and_smaller_data_gives_what_it_has(lines: Path) -> None:
    data = _task().config.metadata["fair"]["data"]
    assert data["sizes"]["train"] + data["sizes"]["validation"] + data["sizes"]["test"] == 300
    task = _task(train_reviews=20, held_out_reviews=5)
    assert (len(task.training_docs()), len(task.eval_docs)) == (20, 5)
    assert task.config.metadata["fair"]["probe"]["overlap"] == "none"
    assert _task(overlap="paper").config.metadata["fair"]["probe"]["overlap"] == "paper"


def test_one_review_leaves_an_empty_part(lines: Path) -> None:
    (lines / "reviews.txt").write_text("one review\n")
    (part,) = {"train", "test", "validation"} & {name for name in ("train", "test", "validation") if _has(name)}
    assert len(_task(part=part).eval_docs) == 1
    other = next(name for name in ("train", "test", "validation") if name != part)
    with pytest.raises(GroupgapError, match=f"part '{other}' holds no review; the parts hold"):
        _task(part=other)


def _has(part: str) -> bool:
    try:
        return len(_task(part=part).eval_docs) > 0
    except GroupgapError:
        return False


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"train_reviews": 0}, "option train_reviews=0: expected a whole number, 1 or more"),
        ({"held_out_reviews": "many"}, "option held_out_reviews='many': expected a whole number"),
        ({"overlap": "some"}, "option overlap='some': expected one of none, paper"),
    ],
)
def test_wrong_options_are_refused_in_words(lines: Path, metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError) as caught:
        _task(**metadata)
    assert message in str(caught.value)
