"""Full checkpoints: whole or not, and whether a running engine can take their weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from groupgap.adapters.check_full import FullCheck, check_full
from safetensors.numpy import load_file, save_file

Make = Callable[..., Path]


@pytest.fixture
def tuned(make_llama: Make, tmp_path: Path) -> Path:
    return make_llama(tmp_path / "tuned", seed=7)


def edit(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> Path:
    """Edit a checkpoint's tensors in place."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    return folder


def refused(check: FullCheck) -> str:
    """The reason of a refusal."""
    assert (check.verdict, check.reload) == ("refused", False)
    return check.reason


def test_a_fine_tune_of_the_base_can_be_reloaded(tuned: Path, base: Path) -> None:
    check = check_full(tuned, base, deep=True)
    assert (check.verdict, check.reload, check.own_engine, check.findings) == ("served", True, "", ())
    assert (check.architecture, check.tensors, check.dtypes) == ("LlamaForCausalLM", 21, {"F32": 21})


@pytest.mark.parametrize("name", ["model.norm.weight", "model.layers.1.mlp.up_proj.weight", "lm_head.weight"])
def test_a_missing_tensor_is_named(tuned: Path, base: Path, name: str) -> None:
    assert name.removeprefix("model.") in refused(check_full(edit(tuned, lambda t: t.pop(name)), base))


def test_a_layer_that_lacks_a_tensor_is_seen_without_a_base(make_llama: Make, tmp_path: Path) -> None:
    folder = make_llama(tmp_path / "three", layers=3)
    assert check_full(folder).verdict == "served"
    reason = refused(check_full(edit(folder, lambda t: t.pop("model.layers.1.mlp.up_proj.weight"))))
    assert reason == "model.layers.1 lacks 1 tensors that all other layers have, e.g. mlp.up_proj.weight"
    without = edit(folder, lambda t: [t.pop(name) for name in list(t) if "layers.2." in name or "layers.1." in name])
    assert "says 3 layers, its weights have 1" in refused(check_full(without))


def test_a_shape_apart(tuned: Path, base: Path) -> None:
    folder = edit(tuned, lambda t: t.update({"model.norm.weight": np.ones(17, np.float32)}))
    assert "norm.weight (17,), base (16,)" in refused(check_full(folder, base))


def test_a_tensor_too_many(tuned: Path, base: Path) -> None:
    folder = edit(tuned, lambda t: t.update({"model.layers.2.norm.weight": np.ones(16, np.float32)}))
    assert "not in the base" in refused(check_full(folder, base))


def test_values_that_are_not_finite(tuned: Path, base: Path) -> None:
    folder = edit(tuned, lambda t: t["lm_head.weight"].__setitem__((3, 3), np.nan))
    assert check_full(folder, base).verdict == "served"
    assert "hold NaN or infinity, e.g. lm_head.weight" in refused(check_full(folder, base, deep=True))


def test_another_size_needs_an_engine_of_its_own(base: Path, make_llama: Make, tmp_path: Path) -> None:
    check = check_full(make_llama(tmp_path / "wide", hidden=32), base)
    assert (check.verdict, check.reload) == ("served", False)
    assert check.own_engine == "another size than the base: hidden_size 32 (base 16), head_dim 8 (base 4)"


def test_tied_embeddings_need_no_head(make_llama: Make, tmp_path: Path) -> None:
    tied, tuned = make_llama(tmp_path / "tied", tied=True), make_llama(tmp_path / "tuned", tied=True, seed=3)
    assert "lm_head.weight" not in load_file(tuned / "model.safetensors")
    assert check_full(tuned, tied).reload


def test_a_classifier_needs_an_engine_of_its_own(base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    AutoModelForSequenceClassification.from_pretrained(base, num_labels=3).save_pretrained(tmp_path / "classifier")
    check = check_full(tmp_path / "classifier", base)
    assert (check.verdict, check.labels) == ("served", 3)
    assert check.own_engine == "it is a LlamaForSequenceClassification, the base a LlamaForCausalLM"
    folder = edit(tmp_path / "classifier", lambda t: t.pop("model.norm.weight"))
    assert "1 of 21 tensors are missing" in refused(check_full(folder, base))


def test_half_precision_is_a_remark(tuned: Path, base: Path) -> None:
    folder = edit(tuned, lambda t: t.update({name: value.astype(np.float16) for name, value in t.items()}))
    check = check_full(folder, base)
    assert check.reload
    assert "stored as F16 (base F32)" in check.findings[0].text


def test_code_and_pickles_are_refused(tuned: Path, base: Path) -> None:
    config = json.loads((tuned / "config.json").read_text())
    (tuned / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    assert "trust_remote_code is never used" in refused(check_full(tuned, base))
    (tuned / "config.json").write_text(json.dumps(config))
    (tuned / "model.safetensors").rename(tuned / "pytorch_model.bin")
    assert "only as a pickle" in refused(check_full(tuned, base))
    shutil.rmtree(tuned)
    assert "cannot be opened" in refused(check_full(tuned, base))


def test_a_real_checkpoint(shared: Path) -> None:
    folder = shared / "models" / "stories260K"
    check = check_full(folder, folder, deep=True)
    assert check.reload, check.reason
    assert check.tokenizer == "same"


def test_stages_that_grow_are_not_layers_that_lack_something(tmp_path: Path) -> None:
    """Swin's last stage has no downsampling; a lost tensor in a stack of equal layers is still seen elsewhere."""
    from transformers import Swinv2Config, Swinv2ForImageClassification

    sizes = {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2]}
    Swinv2ForImageClassification(Swinv2Config(window_size=2, **sizes)).save_pretrained(tmp_path)
    assert check_full(tmp_path).verdict == "served"
