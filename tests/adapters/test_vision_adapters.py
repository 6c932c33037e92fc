"""Vision adapters: names of transformers 4, heads, timm's fused qkv."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from groupgap.adapters.base_model import read_base, to_transformers_5
from groupgap.adapters.check import CheckOptions, check_adapter
from groupgap.adapters.convert import convert_to_transformers_5
from groupgap.errors import GroupgapError
from safetensors.numpy import load_file, save_file

DEEP = CheckOptions(deep=True)


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny ViT and a LoRA of it, as transformers 5 names its modules."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import ViTConfig, ViTForImageClassification

    root = tmp_path_factory.mktemp("vit")
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = ViTForImageClassification(ViTConfig(image_size=32, patch_size=16, num_labels=3, **sizes))
    model.save_pretrained(root / "base")
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    wrapped = get_peft_model(model, config)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1 * torch.randn_like(parameter)
    wrapped.save_pretrained(root / "lora")
    return {"base": root / "base", "lora": root / "lora"}


def old_names(folder: Path, target: Path) -> Path:
    """The adapter as transformers 4 would have saved it."""
    target.mkdir()
    words = {"q": "query", "v": "value"}

    def old(name: str) -> str:
        def spell(found: re.Match[str]) -> str:
            return f"encoder.layer.{found[1]}.attention.attention.{words[found[2]]}"

        return re.sub(r"layers\.(\d+)\.attention\.(.)_proj", spell, name)

    tensors = {old(name): value for name, value in load_file(folder / "adapter_model.safetensors").items()}
    save_file(tensors, target / "adapter_model.safetensors")
    config = json.loads((folder / "adapter_config.json").read_text())
    (target / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["query", "value"]}))
    return target


def test_the_new_names_are_those_of_the_running_model(vit: dict[str, Path]) -> None:
    from transformers import ViTForImageClassification

    model = ViTForImageClassification.from_pretrained(vit["base"])
    names = {name for name, module in model.named_modules() if hasattr(module, "weight")}
    assert set(read_base(vit["base"]).modules) == names


@pytest.mark.parametrize("family", ["beit", "dinov2", "vit_msn"])
def test_other_families_are_renamed_as_transformers_does(family: str, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForImageClassification

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = AutoConfig.for_model(family, image_size=32, patch_size=16, **sizes)
    model = AutoModelForImageClassification.from_config(config)
    model.save_pretrained(tmp_path)
    stored = {name.rpartition(".")[0] for name in load_file(tmp_path / "model.safetensors") if name.endswith(".weight")}
    running = {
        name for name, module in model.named_modules() if hasattr(module, "weight") and module.weight is not None
    }
    renamed = {to_transformers_5(name, family) for name in stored}
    assert {f"vit.{name}" if name.startswith("layers.") else name for name in renamed} == running


def test_an_adapter_of_today(vit: dict[str, Path]) -> None:
    check = check_adapter(vit["lora"], vit["base"], DEEP)
    assert (check.verdict, check.matched, check.converts_from) == ("served", 10, None), check.reason
    assert check.heads[0].labels == 3


def test_an_adapter_of_transformers_4_is_served_after_conversion(vit: dict[str, Path], tmp_path: Path) -> None:
    check = check_adapter(old_names(vit["lora"], tmp_path / "old"), vit["base"], DEEP)
    assert (check.verdict, check.matched, check.expected) == ("served", 10, 10), check.reason
    assert check.converts_from == "transformers-4"
    assert check.targets == {"query": 2, "value": 2}


def test_a_converted_adapter_answers_as_the_original(vit: dict[str, Path], tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import ViTForImageClassification

    def logits(adapter: Path) -> torch.Tensor:
        model = PeftModel.from_pretrained(ViTForImageClassification.from_pretrained(vit["base"]), adapter)
        return model(pixel_values=torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)).logits

    old = old_names(vit["lora"], tmp_path / "old")
    with pytest.raises(ValueError, match="No modules were targeted"):
        logits(old)
    new = convert_to_transformers_5(old, tmp_path / "new", "vit")
    assert check_adapter(new, vit["base"], DEEP).converts_from is None
    assert torch.equal(logits(new), logits(vit["lora"]))
    with pytest.raises(GroupgapError, match="were not renamed"):
        convert_to_transformers_5(old, tmp_path / "other", "llama")
    with pytest.raises(GroupgapError, match="cannot be written"):
        convert_to_transformers_5(old, tmp_path / "new", "vit")


def test_an_image_adapter_without_a_head_uses_the_bases_or_is_refused(vit: dict[str, Path], tmp_path: Path) -> None:
    folder, headless = tmp_path / "adapter", tmp_path / "headless"
    for path in (folder, headless):
        path.mkdir()
    tensors = load_file(vit["lora"] / "adapter_model.safetensors")
    save_file(
        {name: value for name, value in tensors.items() if "classifier" not in name},
        folder / "adapter_model.safetensors",
    )
    config = json.loads((vit["lora"] / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"modules_to_save": None}))
    check = check_adapter(folder, vit["base"])
    assert check.verdict == "served"
    assert "head" in {finding.code for finding in check.findings}
    whole = load_file(vit["base"] / "model.safetensors")
    save_file(
        {name: value for name, value in whole.items() if "classifier" not in name}, headless / "model.safetensors"
    )
    (headless / "config.json").write_text((vit["base"] / "config.json").read_text())
    assert "without its head" in check_adapter(folder, headless).reason


def save_timm(model: Any, architecture: str, folder: Path) -> Path:
    """A timm checkpoint as timm itself stores it: weights and a config.json."""
    folder.mkdir()
    save_file({name: value.numpy() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": architecture, "num_classes": 3}))
    return folder


def test_timms_fused_qkv_is_named_where_it_bypasses_a_lora(tmp_path: Path) -> None:
    import groupgap.plugins.torchvision_guard  # noqa: F401  (must come before timm)

    timm = pytest.importorskip("timm", exc_type=ImportError)
    from peft import LoraConfig, get_peft_model

    tiny = {
        "swinv2_tiny_window8_256": {
            "depths": (1,),
            "embed_dim": 8,
            "num_heads": (2,),
            "img_size": 32,
            "window_size": 4,
        },
        "vit_tiny_patch16_224": {"depth": 1, "embed_dim": 16, "num_heads": 2, "img_size": 32},
    }
    trapped = {}
    for name, sizes in tiny.items():
        model = timm.create_model(name, num_classes=3, **sizes)
        base = save_timm(model, name, tmp_path / name)
        wrapped = get_peft_model(model, LoraConfig(r=2, target_modules=["qkv"], modules_to_save=["head"]))
        wrapped.save_pretrained(tmp_path / f"{name}-lora")
        check = check_adapter(tmp_path / f"{name}-lora", base)
        assert check.verdict == "served", check.reason
        trapped[name] = [finding.way_out for finding in check.findings if finding.code == "fused-qkv"]
        codes = {finding.code for finding in check_adapter(tmp_path / f"{name}-lora", base, DEEP).findings}
        assert "dead-but-head" in codes
    assert trapped["vit_tiny_patch16_224"] == []
    assert "qkv_bias_separate = True" in trapped["swinv2_tiny_window8_256"][0]
