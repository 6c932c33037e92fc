"""What a user gets wrong, what the machine has too little of: one line each, and nothing half-done taken for done."""

from __future__ import annotations

import fcntl
import json
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from groupgap.adapters.training.journal import Journal
from groupgap.adapters.training.record import read_training
from groupgap.adapters.training.trainer import SeededTrainer
from groupgap.errors import GroupgapError
from safetensors.torch import load_file, save_file

from .conftest import Toy, weights


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("groupgap: error: ")]
    assert len(lines) == 1
    return lines[0]


MISTAKES = {
    "task": ("task: toy_religion_fair", "task: no_such_task", "no task 'no_such_task' in lm-eval"),
    "empty": (
        "task: toy_religion_fair",
        "task: toy_religion_fair\ntask_options: {split: paper}",
        "its validation part (split: paper) holds no rows, and the best epoch is chosen by it",
    ),
    "too long": ("batch_size: 8", "batch_size: 8\nmax_length: 4096", "max_length: 4096 is longer than"),
    "too short": ("batch_size: 8", "batch_size: 8\nmax_length: 12", "does not fit into 12 even without its text"),
    "base": ("base: ", "base: /nowhere", "no such folder"),
    "option": ("form: prompt", "form: prompt\nform_options: {flip: 1}", "form_options: prompt has no option 'flip'"),
    "trainer": ("batch_size: 8", "batch_size: 8\ntrainer: {fdsp: x}", "unknown argument 'fdsp': did you mean 'fsdp'?"),
    "ours": ("batch_size: 8", "batch_size: 8\ntrainer: {seed: 3}", "trainer.seed: a recipe says this by its own keys"),
    "peft": ("full: {}", "lora: {options: {lora_alpa: 3}}", "unknown option 'lora_alpa': did you mean 'lora_alpha'?"),
    "module": (
        "full: {}",
        "lora: {targets: [q_proj], options: {megatron_config: {a: 1}, megatron_core: antigravity}}",
        "unknown option 'megatron_config'",
    ),
    "targets": ("full: {}", "lora: {targets: [q_prj]}", "PEFT does not take it on this base: Target modules"),
    "rank": ("full: {}", "ia3: {r: 3}", "methods.ia3.r: ia3 has none"),
    "half": ("full: {}", "full: {precision: float16}", "precision: float16 needs a GPU"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_that_says_what_to_do(toy: Toy, capsys: pytest.CaptureFixture[str], name: str) -> None:
    old, new, said = MISTAKES[name]
    recipe = toy.recipe("full: {}")
    text = recipe.read_text()
    assert old in text
    recipe.write_text(text.replace(old, new, 1))
    assert toy.run(recipe) == 2
    assert said in complaint(capsys)
    assert not list((toy.folder / "out").glob("*/training.json"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--device", "cuda"), "--device cuda: torch sees no GPU here"),
        (("--method", "fll"), "--method 'fll': "),
        (("--max-steps", "0"), "--max-steps 0: expected 1 or more"),
    ],
)
def test_so_is_one_of_the_command_line(
    toy: Toy, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert toy.run(toy.recipe("full: {}"), "out", *arguments) == 2
    assert said in complaint(capsys)


def test_a_base_of_another_kind_is_refused(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    other = toy.folder / "other"
    other.mkdir()
    for path in toy.base.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    config = json.loads((other / "config.json").read_text())
    for architecture, labels, form, said in (
        ("LlamaForSequenceClassification", 2, "prompt", "needs a causal language model (...ForCausalLM)"),
        ("LlamaForSequenceClassification", 3, "classifier", "has a head of 3 labels, and task toy_religion_fair has 2"),
    ):
        names = {str(place): str(place) for place in range(labels)}
        told = {**config, "architectures": [architecture], "id2label": names}
        (other / "config.json").write_text(json.dumps(told))
        assert toy.run(toy.recipe("full: {}", form=form, base=other)) == 2
        assert said in complaint(capsys)


def test_a_base_of_pickles_or_with_code_of_its_own_is_refused(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    for name, said in (("pickled", "pytorch_model.bin"), ("coded", "auto_map names classes of its own")):
        base = toy.folder / name
        base.mkdir()
        for path in toy.base.iterdir():
            (base / path.name).write_bytes(path.read_bytes())
        if name == "pickled":
            (base / "model.safetensors").rename(base / "pytorch_model.bin")
        else:
            config = json.loads((base / "config.json").read_text()) | {"auto_map": {"AutoModel": "code.Model"}}
            (base / "config.json").write_text(json.dumps(config))
        assert toy.run(toy.recipe("full: {}", base=base)) == 2
        assert said in complaint(capsys)


def test_rows_of_zeros_are_refused_for_dora(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import load_file, save_file

    base = toy.folder / "zeros"
    base.mkdir()
    for path in toy.base.iterdir():
        (base / path.name).write_bytes(path.read_bytes())
    tensors = load_file(base / "model.safetensors")
    tensors["model.layers.1.self_attn.v_proj.weight"][3] = 0
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    assert toy.run(toy.recipe("dora: {targets: [q_proj, v_proj]}", base=base)) == 2
    assert "v_proj of" in complaint(capsys)


def test_a_diverged_training_says_so(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert toy.run(toy.recipe("full: {learning_rate: 1e18, max_grad_norm: 0}", "epochs: 2")) == 2
    assert "full-13: the loss is no number any more: lower its learning_rate" in complaint(capsys)


def test_too_little_memory_says_what_to_lower(
    toy: Toy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("transformers.Trainer.training_step", full)
    assert toy.run(toy.recipe("full: {}")) == 2
    said = complaint(capsys)
    assert "out of memory: lower batch_size (8) and raise gradient_accumulation (1) as much" in said


@pytest.mark.parametrize("method", ["full: {}", "lora: {r: 4, targets: [q_proj]}"], ids=["full", "lora"])
def test_a_disk_that_fills_up_leaves_the_last_good_checkpoint(
    toy: Toy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    name = f"{method.partition(':')[0]}-13"
    recipe = toy.recipe(method, "epochs: 3")
    assert toy.run(recipe, "whole") == 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    written = SeededTrainer._save_checkpoint

    def fill(self: Any, model: Any, trial: Any) -> None:
        if self.state.global_step > 5:  # no file may grow beyond this: every write above it fails, as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))
        try:
            written(self, model, trial)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(SeededTrainer, "_save_checkpoint", fill)
            assert toy.run(recipe) == 2
    finally:
        signal.signal(signal.SIGXFSZ, before)
    said = complaint(capsys)
    assert "the checkpoint could not be written" in said
    assert "free some space and run the same command again" in said
    work = toy.folder / "out" / ".training" / name
    assert [path.name for path in work.glob("checkpoint-*")] == ["checkpoint-5"]
    assert toy.run(recipe) == 0
    assert weights(toy.folder / "out" / name) == weights(toy.folder / "whole" / name)


def test_a_folder_that_is_no_training_is_never_replaced(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    own = toy.folder / "out" / "full-13" / "thesis.txt"
    own.parent.mkdir(parents=True)
    own.write_text("years of work")
    recipe = toy.recipe("full: {}", "max_steps: 1")
    assert toy.run(recipe) == 2
    assert "full-13: is there and holds no training.json, so it is not replaced" in complaint(capsys)
    assert own.read_text() == "years of work"


def test_two_processes_never_train_the_same(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    lock = toy.folder / "out" / ".training" / "full-13.lock"
    lock.parent.mkdir(parents=True)
    recipe = toy.recipe("full: {}", "max_steps: 1")
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert toy.run(recipe) == 2
        assert "full-13: another groupgap train is at work on it" in complaint(capsys)
    assert toy.run(recipe) == 0


@pytest.mark.parametrize("form", ["prompt", "classifier"])
def test_a_base_without_some_of_its_weights_is_refused(toy: Toy, capsys: pytest.CaptureFixture[str], form: str) -> None:
    """transformers draws them at random and warns; our training is quiet, and must not be."""
    base = toy.folder / "base"
    shutil.copytree(toy.base, base)
    tensors = load_file(base / "model.safetensors")
    tensors.pop("model.layers.0.self_attn.q_proj.weight")
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    assert toy.run(toy.recipe("lora: {r: 2}", "max_steps: 1", form, base)) == 2
    assert "1 weights of Llama" in (said := complaint(capsys))
    assert "are in no file, e.g. model.layers.0.self_attn.q_proj.weight" in said


def test_the_journal_of_another_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-3").mkdir()
    (tmp_path / "checkpoint-3" / "journal.json").write_text('{"rows": []}')
    with pytest.raises(GroupgapError, match="another version of groupgap wrote it"):
        Journal("full-13", [], print).restore(tmp_path / "checkpoint-3")


def test_a_record_of_a_stranger_is_read_with_care(toy: Toy) -> None:
    toy.train("full: {}", "max_steps: 1")
    path = toy.folder / "out" / "full-13" / "training.json"
    told = json.loads(path.read_text())
    for change, said in (
        ({"schema": "groupgap.training/2"}, "expected the schema"),
        ({"row_ids": ["a", 3]}, "expected 'row_ids'"),
        ({"row_ids": "abc"}, "expected 'row_ids'"),
        ({"seed": True}, "expected 'seed'"),
        ({"first_loss": None}, "expected 'first_loss'"),
        ({"losses": [1]}, "expected 'losses'"),
        ({"method": 3}, "expected 'method'"),
        ({"weights": None}, "expected 'weights'"),
    ):
        path.write_text(json.dumps({**told, **change}))
        with pytest.raises(GroupgapError, match=said):
            read_training(path.parent)
    path.write_text(json.dumps({**told, "first_loss": float("nan")}))
    with pytest.raises(GroupgapError, match="NaN is not JSON"):
        read_training(path.parent)
    path.unlink()
    path.symlink_to(Path("/etc/hostname"))
    with pytest.raises(GroupgapError, match="leads out of its folder"):
        read_training(path.parent)
