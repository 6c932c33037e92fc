"""The paper's image recipe (arXiv 2405.17512, section 4) at full size: random weights, two images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from groupgap.adapters.vision_model import VisionSource, load_vision_model

torch = pytest.importorskip("torch")
pytest.importorskip("timm", exc_type=ImportError)
pytestmark = pytest.mark.slow

# google/vit-base-patch16-224-in21k and microsoft/swinv2-large-patch4-window12-192-22k, as their config.json have them
VIT_BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
SWIN_LARGE = {
    "image_size": 192, "patch_size": 4, "embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48],
    "window_size": 12,
}  # fmt: skip
CASES = {
    # architecture -> (sizes, names of query and value in transformers 5, classes, parameters, trained ones)
    "vit": (VIT_BASE, ["q_proj", "v_proj"], 2, 85_800_194, 589_824 + 2 * 769),
    "swinv2": (SWIN_LARGE, ["query", "value"], 9, None, None),
}


@pytest.mark.parametrize("name", CASES)
def test_the_papers_lora_is_trained_saved_and_comes_back(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from groupgap.plugins import vision_proof
    from peft import LoraConfig, get_peft_model

    monkeypatch.setattr(vision_proof, "PROBES", 1)
    sizes, targets, classes, parameters, trained = CASES[name]
    base = save_base(tmp_path / "base", name, sizes)
    model = load_vision_model(VisionSource(str(base), num_classes=classes, new_head=True))
    assert model.random == "head"
    assert parameters in (None, sum(parameter.numel() for parameter in model.network.parameters()))
    pixels = torch.linspace(-1, 1, 2 * 3 * sizes.get("image_size", 224) ** 2).reshape(2, *model.data.input_size).sin()
    config = LoraConfig(r=16, lora_alpha=16, lora_dropout=0.0, target_modules=targets, modules_to_save=["classifier"])
    tuned = get_peft_model(model.network, config)
    assert trained in (None, sum(part.numel() for part in tuned.parameters() if part.requires_grad))
    learn(tuned, pixels)
    with torch.inference_mode():
        expected = tuned.eval()(pixels).logits
    tuned.save_pretrained(tmp_path / "lora")
    del tuned, model
    found = load_vision_model(VisionSource(str(base), adapter=str(tmp_path / "lora")))
    with torch.inference_mode():
        assert torch.equal(found.logits(pixels), expected)
    assert expected.shape == (2, classes)
    proof = vision_proof.prove(found, "fast")
    layers = sum(sizes.get("depths", [sizes.get("num_hidden_layers")]))
    assert proof["layers"] == 2 * layers
    assert proof["differs_from_base"] > 0


def save_base(folder: Path, name: str, sizes: dict[str, Any]) -> Path:
    """The bare model, as the hub has it: no classification head."""
    from transformers import AutoConfig, AutoModel, ViTImageProcessor

    config = AutoConfig.for_model(name, **sizes)
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    edge = config.image_size
    ViTImageProcessor(size={"height": edge, "width": edge}).save_pretrained(folder)
    return folder


def learn(model: Any, pixels: Any) -> None:
    """One step of the paper's optimiser on two images."""
    optimiser = torch.optim.AdamW(
        [part for part in model.parameters() if part.requires_grad], lr=3e-2, weight_decay=1e-3
    )
    loss = torch.nn.functional.cross_entropy(model(pixels).logits, torch.tensor([0, 1]))
    loss.backward()
    optimiser.step()
