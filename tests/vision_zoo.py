"""Tiny image classifiers of timm and transformers, their adapters, and a folder of drawn images, for several tests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CHOICES = ("round", "square")
TIMM = {
    "vit": ("vit_tiny_patch16_224", {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3}),
    "deep": ("vit_tiny_patch16_224", {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 3}),
    "swin": (
        "swinv2_tiny_window8_256",
        {"img_size": 32, "depths": (1, 1), "embed_dim": 16, "num_heads": (2, 2), "window_size": 4},
    ),
    "beit": (
        "beit_base_patch16_224",
        {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "init_values": 0.1},
    ),
}
HEADS = {"vit": "head", "deep": "head", "swin": "head.fc", "beit": "head"}


@dataclass(frozen=True)
class Zoo:
    """Where the models and images of the tests lie.

    Attributes:
        root: ``<architecture>`` and ``<architecture>-lora[...]`` folders.
        images: ``data/pictures``: image files; ``data`` is what GROUPGAP_DATA is to be.
        documents: one a file, as an image task makes them.
    """

    root: Path
    images: Path
    documents: list[dict[str, Any]]

    def __truediv__(self, name: str) -> str:
        """A folder of the zoo, as a text."""
        return str(self.root / name)


def make_zoo(root: Path) -> Zoo:
    """Make all of it."""
    import torch

    torch.manual_seed(0)
    for name in TIMM:
        save_timm(root / name, name)
        save_lora(root / f"{name}-lora", root / name, ["qkv"], HEADS[name])
    save_timm(root / "vit5", "vit", classes=5)
    save_lora(root / "vit-lora2", root / "vit", ["qkv", "fc1"], "head", seed=2)
    save_lora(root / "vit-lora3classes", root / "vit", ["qkv"], "head", classes=3)
    save_lora(root / "vit-headless", root / "vit", ["qkv"], None)
    save_timm(root / "vit-full", "vit", seed=9)
    save_transformers(root / "hf")
    save_lora(root / "hf-lora", root / "hf", ["q_proj", "v_proj"], "classifier")
    folder = root / "data/pictures"
    return Zoo(root, folder, draw(folder))


def save_timm(folder: Path, name: str, *, classes: int = 2, seed: int = 0) -> Path:
    """A timm model of random weights, as timm itself saves it."""
    import timm
    import torch
    from timm.models import save_for_hf

    torch.manual_seed(seed)
    architecture, sizes = TIMM[name]
    model = timm.create_model(architecture, num_classes=classes, **sizes)
    for key, parameter in model.named_parameters():
        if "norm" in key:  # Swin-v2 is made with post-norms of 0, which would hide every adapter
            torch.nn.init.normal_(parameter, 1.0, 0.1)
    save_for_hf(model, folder, safe_serialization=True)
    return folder


def save_transformers(folder: Path) -> Path:
    """A ViT of transformers with its image processor and named classes."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    named = {"id2label": {0: "square", 1: "round"}, "label2id": {"square": 0, "round": 1}}
    ViTForImageClassification(ViTConfig(image_size=32, patch_size=16, **named, **sizes)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def save_lora(
    folder: Path, base: Path, targets: list[str], head: str | None, *, classes: int = 2, seed: int = 1
) -> Path:
    """An adapter whose every trained weight is random."""
    import torch
    from groupgap.adapters.vision_model import VisionSource, load_vision_model
    from peft import LoraConfig, get_peft_model

    model = load_vision_model(VisionSource(str(base), num_classes=classes, new_head=True)).network
    wrapped = get_peft_model(model, LoraConfig(r=4, target_modules=targets, modules_to_save=[head] if head else None))
    torch.manual_seed(seed)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data += 0.2 * torch.randn_like(parameter)
    wrapped.save_pretrained(folder)
    return folder


def draw(folder: Path, count: int = 22) -> list[dict[str, Any]]:
    """Discs and squares in colours, of several sizes and kinds of file; the documents that name them."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(7)
    documents = []
    for place in range(count):
        size = (int(rng.integers(30, 60)), int(rng.integers(30, 60)))
        image = Image.fromarray(rng.integers(0, 120, (size[1], size[0], 3), np.uint8).astype(np.uint8))
        box = (5, 5, size[0] - 6, size[1] - 6)
        label = place % 2
        (ImageDraw.Draw(image).rectangle if label else ImageDraw.Draw(image).ellipse)(
            box, fill=tuple(map(int, rng.integers(60, 255, 3)))
        )
        name = f"{CHOICES[label]}/{place:03d}.{'jpg' if place % 3 else 'png'}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / name, **({"quality": 95} if place % 3 else {}))
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        document = {"id": digest[:16], "image_set": "pictures", "image": name, "image_sha256": digest, "label": label}
        documents.append({**document, "hue": ["warm" if place % 4 < 2 else "cold"]})
    return documents
