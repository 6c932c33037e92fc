"""Trainings of some seconds: a tiny Llama on the toy set, through the command itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from groupgap.adapters.training.record import Training, read_training
from groupgap.cli import main

HEAD = """base: {base}
form: {form}
task: toy_religion_fair
max_rows: 40
max_validation_rows: 16
learning_rate: 3e-3
batch_size: 8
{shared}
methods:
{methods}
"""


@dataclass(frozen=True)
class Toy:
    """Trains in a folder of its own.

    Attributes:
        base: a tiny Llama.
        folder: for recipes and trainings.
    """

    base: Path
    folder: Path

    def recipe(self, methods: str, shared: str = "", form: str = "prompt", base: Path | None = None) -> Path:
        path = self.folder / "recipe.yaml"
        lines = "\n".join(f"  {line}" for line in methods.strip().splitlines())
        path.write_text(HEAD.format(base=base or self.base, form=form, shared=shared, methods=lines))
        return path

    def run(self, recipe: Path, out: str = "out", *arguments: str) -> int:
        """The command's exit status."""
        return main(["train", str(recipe), "-o", str(self.folder / out), "--device", "cpu", *arguments])

    def train(self, methods: str, shared: str = "", form: str = "prompt", out: str = "out") -> dict[str, Training]:
        """Train; the records by name."""
        assert self.run(self.recipe(methods, shared, form), out) == 0
        return {path.parent.name: read_training(path.parent) for path in (self.folder / out).glob("*/training.json")}


SIZE = 600


@pytest.fixture
def toy(toy_models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A toy set of few documents, so that a training takes a second."""
    pytest.importorskip("transformers")
    from groupgap.harness_tasks.toy.generate import generate

    monkeypatch.setattr("groupgap.harness_tasks.toy.utils.generate", lambda: generate(SIZE))
    return Toy(toy_models["base"], tmp_path)


def weights(folder: Path) -> str:
    """A hash of all tensors' files."""
    files = sorted(folder.glob("*.safetensors"))
    assert files
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """By checkpoint folder's parent: what the Trainer's own model answers to a probe when it is saved last."""
    import torch
    from groupgap.adapters.training.trainer import SeededTrainer

    answers: dict[str, Any] = {}
    saved = SeededTrainer._save

    def save(self: Any, output_dir: str | None = None, state_dict: Any = None) -> None:
        saved(self, output_dir, state_dict)
        was = self.model.training
        self.model.eval()
        with torch.no_grad():
            answers[Path(str(output_dir)).parent.name] = self.model(input_ids=PROBE, use_cache=False).logits.clone()
        self.model.train(was)

    monkeypatch.setattr(SeededTrainer, "_save", save)
    return answers


def _probe() -> Any:
    torch = pytest.importorskip("torch")
    return torch.arange(10, 40).reshape(2, 15)


PROBE = _probe()
