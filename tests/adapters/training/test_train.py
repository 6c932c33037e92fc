"""Trainings: alike for all methods, the same twice, whole after an interruption, and served as they were trained."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from groupgap.adapters.roster import load_roster
from groupgap.adapters.training.journal import Journal
from groupgap.adapters.training.record import read_training
from groupgap.adapters.training.trainer import SeededTrainer
from groupgap.harness_tasks.splits import part_of

from .conftest import PROBE, SIZE, Toy, weights

LORA = "lora: {r: 4, alpha: 8, dropout: 0.1, targets: [q_proj, v_proj]}"
BOTH = f"full: {{learning_rate: 1e-3}}\n{LORA.replace('dropout: 0.1', 'dropout: 0')}"


def order(ids: tuple[str, ...], seed: int, epoch: int) -> list[str]:
    """The order of an epoch, written down again."""
    return sorted(ids, key=lambda row: hashlib.sha256(f"{seed}:{epoch}:{row}".encode()).digest())


def hashed(ids: list[str]) -> str:
    return f"sha256:{hashlib.sha256(''.join(f'{row}{chr(10)}' for row in ids).encode()).hexdigest()}"


def first_loss(base: Path, rows: list[str]) -> float:
    """The loss of the first update in plain torch: the mean over the answers' tokens of these rows."""
    import torch
    from groupgap.harness_tasks.toy.generate import generate
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    documents = {document["id"]: document for document in generate(SIZE)}
    losses = []
    for row in rows:
        document = documents[row]
        prompt = f"Remark: {document['text']}\nIs this remark rude? Answer yes or no.\nAnswer:"
        before = len(tokenizer(prompt)["input_ids"])
        tokens = torch.tensor(tokenizer(prompt + (" no", " yes")[document["label"]])["input_ids"])
        with torch.no_grad():
            logs = model(tokens[None]).logits[0].log_softmax(-1)
        losses += [-logs[place - 1, tokens[place]].item() for place in range(before, len(tokens))]
    return sum(losses) / len(losses)


def test_all_methods_of_a_seed_see_the_same_rows_in_the_same_order_from_the_same_start(toy: Toy) -> None:
    found = toy.train(f"{BOTH}\nhead: {{}}", "epochs: 2\nseeds: [13, 42]")
    assert set(found) == {f"{method}-{seed}" for method in ("full", "lora", "head") for seed in (13, 42)}
    full, lora, head = (found[f"{method}-13"] for method in ("full", "lora", "head"))
    assert full.batch_order == lora.batch_order == head.batch_order != found["full-42"].batch_order
    assert len(set(full.row_ids)) == 40
    assert {part_of(row) for row in full.row_ids} == {"train"}
    assert full.epoch_orders == tuple(hashed(order(full.row_ids, 13, epoch)) for epoch in (0, 1))
    expected = first_loss(toy.base, order(full.row_ids, 13, 0)[:8])
    assert {name: found[name].first_loss for name in ("full-13", "lora-13", "head-13")} == pytest.approx(
        dict.fromkeys(("full-13", "lora-13", "head-13"), expected), abs=1e-5
    )
    assert (full.steps, full.selected_epoch, len(full.losses)) == (10, full.selected_epoch, 2)
    assert full.trained_parameters == full.total_parameters > head.trained_parameters > lora.trained_parameters > 0
    assert full.seconds > 0
    assert full.peak_memory_bytes is None or full.peak_memory_bytes > 1 << 20


def test_a_training_repeated_gives_the_same_weights_to_the_byte(toy: Toy) -> None:
    toy.train(f"full: {{}}\n{LORA}")
    toy.train(f"full: {{}}\n{LORA}", out="again")
    for name in ("full-13", "lora-13"):
        assert weights(toy.folder / "out" / name) == weights(toy.folder / "again" / name)


@pytest.mark.parametrize(
    ("method", "step"),
    [("full: {}", 5), (LORA, 2), (LORA, 7)],
    ids=["at the end of the first epoch", "in it", "in the second"],
)
def test_interrupted_and_resumed_is_as_never_interrupted(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, method: str, step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = toy.recipe(method, "epochs: 3")
    assert toy.run(recipe, "whole") == 0
    with monkeypatch.context() as patch:
        ended = Journal.on_step_end

        def interrupt(self: Any, args: Any, state: Any, control: Any, **named: Any) -> None:
            if state.global_step == step:
                os.kill(os.getpid(), signal.SIGINT)
            ended(self, args, state, control, **named)

        patch.setattr(Journal, "on_step_end", interrupt)
        assert toy.run(recipe) == 130
    name = f"{method.partition(':')[0]}-13"
    assert not (toy.folder / "out" / name).exists()
    half = toy.folder / "out" / ".training" / name / "checkpoint-9"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")  # as if the power had gone while the next one was written
    assert toy.run(recipe) == 0
    assert f"{name}: goes on from step {step}" in capsys.readouterr().out
    whole, resumed = (read_training(toy.folder / out / name) for out in ("whole", "out"))
    assert weights(toy.folder / "whole" / name) == weights(toy.folder / "out" / name)
    same = ("batch_order", "epoch_orders", "first_loss", "losses", "selected_epoch", "steps", "fingerprint", "row_ids")
    assert {key: getattr(resumed, key) for key in same} == {key: getattr(whole, key) for key in same}
    assert not list((toy.folder / "out" / ".training").iterdir())


def test_what_is_trained_is_not_trained_again_until_its_recipe_changes(
    toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.train(BOTH)
    before = weights(toy.folder / "out" / "full-13")
    capsys.readouterr()
    toy.train(BOTH)
    assert capsys.readouterr().out.count("is trained already") == 2
    toy.train(BOTH.replace("full: {learning_rate: 1e-3}", "full: {learning_rate: 2e-3}"))
    said = capsys.readouterr().out
    assert ("full-13: training" in said, "lora-13: is trained already" in said) == (True, True)
    assert weights(toy.folder / "out" / "full-13") != before


def test_weights_that_somebody_changed_are_no_finished_training(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    first = toy.train("full: {}", "max_steps: 1")["full-13"]
    path = toy.folder / "out" / "full-13" / "model.safetensors"
    before = path.read_bytes()
    assert first.weights == {"model.safetensors": hashlib.sha256(before).hexdigest()}
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    capsys.readouterr()
    assert toy.train("full: {}", "max_steps: 1")["full-13"].weights == first.weights
    assert "the weights themselves changed: trained anew" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_a_roster_names_what_was_trained_there_before(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = toy.recipe("full: {}", "max_steps: 1")
    assert toy.run(recipe, "out", "--seed", "13") == 0
    shutil.copytree(toy.folder / "out" / "full-13", toy.folder / "out" / "other-13")
    record = toy.folder / "out" / "other-13" / "training.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "task": "toxigen_fair"}))
    shutil.copytree(toy.folder / "out" / "full-13", toy.folder / "out" / "odd-13")
    (toy.folder / "out" / "odd-13" / "training.json").write_text("{}")
    assert toy.run(recipe, "out", "--seed", "42", "--roster") == 0
    assert "odd-13: left out of the roster: " in capsys.readouterr().out
    roster = load_roster(toy.folder / "out" / "roster.yaml")
    assert [(variant.name, variant.seed) for variant in roster.variants] == [
        ("base", None),
        ("full-42", 42),
        ("full-13", 13),
    ]


def test_the_epoch_with_the_best_validation_loss_is_taken(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.train("full: {}", "schedule: constant", out="one")
    evaluate = SeededTrainer.evaluate
    worse = iter([0.5, 0.75, 0.6])

    def planted(self: Any, *arguments: Any, **named: Any) -> dict[str, float]:
        loss = next(worse)
        monkeypatch.setattr(
            "transformers.trainer_callback.CallbackHandler.on_evaluate",
            lambda handler, args, state, control, metrics: handler.call_event(
                "on_evaluate", args, state, control, metrics={**metrics, "eval_loss": loss}
            ),
        )
        return {**evaluate(self, *arguments, **named), "eval_loss": loss}

    with monkeypatch.context() as patch:
        patch.setattr(SeededTrainer, "evaluate", planted)
        found = toy.train("full: {}\n", "schedule: constant\nepochs: 3", out="three")["full-13"]
    assert [epoch["validation"] for epoch in found.losses] == [0.5, 0.75, 0.6]
    assert found.selected_epoch == 1
    assert weights(toy.folder / "three" / "full-13") == weights(toy.folder / "one" / "full-13")


def test_select_last_takes_the_last(toy: Toy) -> None:
    assert toy.train("full: {}", "epochs: 2\nselect: last")["full-13"].selected_epoch == 2


EVERY = """full: {learning_rate: 1e-3}
head: {}
lora: {r: 4, targets: all-linear}
dora: {r: 4, targets: [q_proj, v_proj]}
rslora: {r: 4, targets: [q_proj, v_proj]}
ia3: {}
vera: {r: 16, targets: [q_proj, v_proj]}
prefix_tuning: {options: {num_virtual_tokens: 4}}"""


def test_every_method_reloads_with_the_answers_that_the_trainer_had(toy: Toy, seen: dict[str, Any]) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    assert toy.run(toy.recipe(EVERY), "out", "--roster") == 0
    base = AutoModelForCausalLM.from_pretrained(toy.base)
    for name, expected in seen.items():
        folder = toy.folder / "out" / name
        if (folder / "adapter_config.json").is_file():
            model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(toy.base), folder)
        else:
            model = AutoModelForCausalLM.from_pretrained(folder)
            assert (folder / "tokenizer.json").read_bytes() == (toy.base / "tokenizer.json").read_bytes()
            assert model.config.use_cache is base.config.use_cache is True
        with torch.no_grad():
            found = model.eval()(input_ids=PROBE).logits
        assert torch.equal(found, expected), name
        assert not torch.equal(found, base(input_ids=PROBE).logits), name
    variants = {variant.name: variant for variant in load_roster(toy.folder / "out" / "roster.yaml").variants}
    assert list(variants) == ["base", *(f"{line.partition(':')[0]}-13" for line in EVERY.splitlines())]
    merged = {name for name, variant in variants.items() if variant.merge}
    assert merged == {"dora-13", "ia3-13", "vera-13"}
    assert {name for name, variant in variants.items() if variant.engine == "hf"} == {"prefix_tuning-13"}
    assert {variant.seed for name, variant in variants.items() if name != "base"} == {13}


@pytest.mark.parametrize("tied", [True, False])
def test_an_output_layer_alone_leaves_everything_else_as_it_was(toy: Toy, tied: bool) -> None:
    import torch
    from groupgap.adapters.check_full import check_full
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForCausalLM

    base = toy.folder / "base"
    config = AutoConfig.from_pretrained(toy.base, tie_word_embeddings=tied)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(base)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (base / name).write_bytes((toy.base / name).read_bytes())
    assert toy.run(toy.recipe("head: {}", base=base)) == 0
    before, after = (load_file(folder / "model.safetensors") for folder in (base, toy.folder / "out" / "head-13"))
    changed = {name for name in after if name not in before or not torch.equal(before[name], after[name])}
    assert changed == {"lm_head.weight"}
    check = check_full(toy.folder / "out" / "head-13", base, deep=True)
    assert (check.verdict, check.reload) == (
        "served",
        not tied,
    )  # vLLM would drop a head of its own where the base ties


def test_the_record_says_what_was_learnt_and_how(toy: Toy) -> None:
    lora = toy.train(LORA)["lora-13"]
    told = json.loads((toy.folder / "out" / "lora-13" / "training.json").read_text())
    assert (told["schema"], told["part"]) == ("groupgap.training/1", "train")
    assert (lora.recipe["r"], lora.recipe["dropout"], lora.recipe["max_rows"]) == (4, 0.1, 40)
    assert set(lora.base_hashes) >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert {"torch", "transformers", "peft", "lm_eval"} <= set(lora.versions)
    assert "rude" not in (toy.folder / "out" / "lora-13" / "training.json").read_text()
