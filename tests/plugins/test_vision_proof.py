"""Proof of life of image adapters: planted dead ones are refused, by what is dead about them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groupgap.errors import GroupgapError

from ..vision_zoo import Zoo

torch = pytest.importorskip("torch")
pytest.importorskip("timm", exc_type=ImportError)


def load(zoo: Zoo, base: str, adapter: str | Path | None = None) -> Any:
    from groupgap.adapters.vision_model import VisionSource, load_vision_model

    return load_vision_model(VisionSource(zoo / base, adapter=str(adapter) if adapter else None))


@pytest.mark.parametrize("name", ["vit", "swin", "beit", "hf"])
def test_a_live_adapter_is_proven_and_equals_its_merged_copy(zoo_of_images: Zoo, name: str) -> None:
    from groupgap.plugins.vision_proof import answer_probes, prove

    model = load(zoo_of_images, name, zoo_of_images / f"{name}-lora")
    before = answer_probes(model)
    numbers = prove(model)
    assert numbers["passed"]
    assert numbers["level"] == "full"
    assert numbers["layers_passed_by"] == []
    assert numbers["layers"] >= 2
    assert numbers["tensors_matched"] == numbers["tensors_expected"]
    assert numbers["differs_from_base"] > 1e-3
    assert numbers["self_noise"] == 0
    assert numbers["agrees_with_merged"] <= numbers["tolerance"] == 1e-4
    assert np.array_equal(answer_probes(model), before)  # proving changes nothing
    assert json.dumps(numbers)


@pytest.mark.parametrize("name", ["swin", "beit"])
def test_the_fused_qkv_trap_is_seen_where_it_is_not_cured(zoo_of_images: Zoo, name: str) -> None:
    """timm's own setting: the LoRA is passed by without a word, and merging changes the model."""
    from groupgap.plugins.vision_proof import prove

    model = load(zoo_of_images, name, zoo_of_images / f"{name}-lora")
    for module in model.network.modules():
        if hasattr(module, "qkv_bias_separate"):
            module.qkv_bias_separate = False
    with pytest.raises(GroupgapError, match=r"not proven live: 2 of its 2 layers are never called, e\.g\. .*attn\.qkv"):
        prove(model, "fast")


def test_a_dead_adapter_is_refused(zoo_of_images: Zoo, tmp_path: Path) -> None:
    from groupgap.plugins.vision_proof import prove

    def zero_b(name: str, tensor: Any) -> Any:
        return tensor * 0 if "lora_B" in name else tensor

    dead = edited(Path(zoo_of_images / "vit-lora"), tmp_path / "dead", zero_b)
    with pytest.raises(GroupgapError, match="its layers change nothing, its head alone was trained"):
        prove(load(zoo_of_images, "vit", dead))


def test_an_adapter_that_is_ignored_is_refused(zoo_of_images: Zoo) -> None:
    """A planted fault of the evaluator: the base answers for the adapter."""
    from groupgap.plugins.vision_proof import prove

    model = load(zoo_of_images, "vit", zoo_of_images / "vit-headless")
    base = load(zoo_of_images, "vit")
    model.logits = base.logits
    with pytest.raises(GroupgapError, match="2 of its 2 layers are never called"):
        prove(model)


def test_a_tensor_that_is_not_in_the_model_is_counted(zoo_of_images: Zoo) -> None:
    from groupgap.plugins.vision_proof import prove

    model = load(zoo_of_images, "vit", zoo_of_images / "vit-lora")
    model.laid = type(model.laid)(model.laid.model, model.laid.expected, model.laid.matched - 1)
    with pytest.raises(GroupgapError, match="not all tensors of its file are in the model"):
        prove(model)


def test_an_adapter_with_its_own_head_is_compared_with_the_base_under_that_head(zoo_of_images: Zoo) -> None:
    from groupgap.plugins.vision_proof import prove

    numbers = prove(load(zoo_of_images, "vit", zoo_of_images / "vit-lora3classes"))
    assert numbers["differs_from_base"] > 1e-3


def test_a_base_has_nothing_to_be_compared_with(zoo_of_images: Zoo) -> None:
    from groupgap.plugins.vision_proof import answer_probes, prove

    base = load(zoo_of_images, "vit")
    assert prove(base)["level"] == "none"
    full = load(zoo_of_images, "vit-full")
    assert prove(full, "full", answer_probes(base))["differs_from_base"] > 1e-3
    with pytest.raises(GroupgapError, match="it answers as the base does"):
        prove(load(zoo_of_images, "vit"), "full", answer_probes(base))


def edited(folder: Path, target: Path, change: Callable[[str, Any], Any]) -> Path:
    """A copy of an adapter with changed tensors."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, target)
    tensors = load_file(target / "adapter_model.safetensors")
    changed = {name: change(name, tensor).contiguous() for name, tensor in tensors.items()}
    save_file(changed, target / "adapter_model.safetensors")
    return target
