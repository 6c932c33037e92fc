"""Loading image classifiers: the plain library's logits, and no weight that is random unasked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from groupgap.adapters.data_config import transformers_data_config
from groupgap.adapters.vision_base import find_base
from groupgap.adapters.vision_images import Pixels, normalise
from groupgap.adapters.vision_model import VisionSource, load_vision_model
from groupgap.errors import GroupgapError

from ..vision_zoo import TIMM, Zoo, save_lora
from .test_vision_adapters import old_names

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def pixels() -> Any:
    return torch.linspace(-1, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32).sin()


def logits(pixels: Any, **source: Any) -> Any:
    with torch.inference_mode():
        return load_vision_model(VisionSource(**source)).logits(pixels)


@pytest.mark.parametrize("name", ["vit", "swin", "beit"])
def test_a_timm_folder_answers_as_plain_timm(zoo_of_images: Zoo, pixels: Any, name: str) -> None:
    import timm

    with torch.inference_mode():
        plain = timm.create_model(f"local-dir:{zoo_of_images / name}", pretrained=True).eval()(pixels)
    for place in (zoo_of_images / name, f"local-dir:{zoo_of_images / name}"):
        assert torch.equal(logits(pixels, model=place), plain)
    architecture, sizes = TIMM[name]
    file = f"{zoo_of_images / name}/model.safetensors"
    assert torch.equal(logits(pixels, model=architecture, checkpoint=file, build=sizes), plain)
    assert torch.equal(logits(pixels, model=architecture, checkpoint=zoo_of_images / name), plain)


def test_a_transformers_folder_answers_as_plain_transformers(zoo_of_images: Zoo, pixels: Any) -> None:
    from transformers import ViTForImageClassification

    with torch.inference_mode():
        plain = ViTForImageClassification.from_pretrained(zoo_of_images / "hf").eval()(pixels).logits
    assert torch.equal(logits(pixels, model=zoo_of_images / "hf"), plain)
    found = load_vision_model(VisionSource(zoo_of_images / "hf"))
    assert (found.kind, found.class_names) == ("transformers", ("square", "round"))


@pytest.mark.parametrize("name", ["vit", "swin", "beit", "hf"])
def test_an_adapter_answers_as_plain_peft(zoo_of_images: Zoo, pixels: Any, name: str) -> None:
    from peft import PeftModel

    base = load_vision_model(VisionSource(zoo_of_images / name))
    with torch.inference_mode():
        before = base.logits(pixels)
        wrapped = PeftModel.from_pretrained(base.network, zoo_of_images / f"{name}-lora").eval()
        plain = wrapped(pixels)
    plain = plain.logits if name == "hf" else plain
    found = load_vision_model(VisionSource(zoo_of_images / name, adapter=zoo_of_images / f"{name}-lora"))
    with torch.inference_mode():
        assert torch.equal(found.logits(pixels), plain)
        assert not torch.allclose(plain, before, atol=1e-3)
        found.lift()
        assert torch.equal(found.logits(pixels), before)


def test_an_adapter_of_transformers_4_answers_as_that_of_today(zoo_of_images: Zoo, pixels: Any, tmp_path: Path) -> None:
    old = old_names(Path(zoo_of_images / "hf-lora"), tmp_path / "old")
    today = logits(pixels, model=zoo_of_images / "hf", adapter=zoo_of_images / "hf-lora")
    assert torch.equal(logits(pixels, model=zoo_of_images / "hf", adapter=str(old)), today)


def test_a_head_that_is_in_no_file_is_refused_unless_it_is_to_be_trained(zoo_of_images: Zoo) -> None:
    for model in (zoo_of_images / "vit", zoo_of_images / "hf"):
        with pytest.raises(GroupgapError, match="would be random"):
            load_vision_model(VisionSource(model, num_classes=7))
        found = load_vision_model(VisionSource(model, num_classes=7, new_head=True))
        assert (found.num_classes, found.random, found.class_names) == (7, "head", None)
        assert all(name.startswith(("head.", "classifier.")) for name in found.fresh)
    with pytest.raises(GroupgapError, match=r"neither the model nor the adapter has a head of 7"):
        load_vision_model(VisionSource(zoo_of_images / "vit", adapter=zoo_of_images / "vit-headless", num_classes=7))


def test_the_adapters_head_takes_the_place_of_the_bases(zoo_of_images: Zoo, pixels: Any) -> None:
    found = load_vision_model(VisionSource(zoo_of_images / "vit", adapter=zoo_of_images / "vit-lora3classes"))
    assert (found.num_classes, found.random_now) == (3, "")
    assert found.laid is not None
    assert found.laid.matched == found.laid.expected == 6
    with found.without_adapter(), torch.inference_mode():
        assert found.logits(pixels).shape == (2, 3)  # the base's body with the adapter's head
    with pytest.raises(GroupgapError, match=r"num_classes=2: the adapter's head has 3 classes"):
        load_vision_model(
            VisionSource(zoo_of_images / "vit", adapter=zoo_of_images / "vit-lora3classes", num_classes=2)
        )


def test_an_adapter_of_another_depth_or_width_is_refused(zoo_of_images: Zoo) -> None:
    with pytest.raises(GroupgapError, match="missing"):
        load_vision_model(VisionSource(zoo_of_images / "deep", adapter=zoo_of_images / "vit-lora"))
    with pytest.raises(GroupgapError, match=r"blocks\.2"):
        load_vision_model(VisionSource(zoo_of_images / "vit", adapter=zoo_of_images / "deep-lora"))
    with pytest.raises(GroupgapError, match="shape"):
        load_vision_model(VisionSource(zoo_of_images / "beit", adapter=zoo_of_images / "vit-lora"))


def test_random_weights_are_asked_for_and_named(pixels: Any) -> None:
    architecture, sizes = TIMM["vit"]
    source = {"model": architecture, "pretrained": False, "num_classes": 2, "build": sizes}
    found = load_vision_model(VisionSource(**source))
    assert (found.random, found.base.folder) == ("weights", None)
    assert torch.equal(logits(pixels, **source), logits(pixels, **source))
    assert not torch.equal(logits(pixels, **source), logits(pixels, **source, seed=1))


@pytest.mark.parametrize("name", ["checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay"])
def test_no_weights_come_in_past_the_checks(zoo_of_images: Zoo, name: str) -> None:
    """timm would open them itself, pickles too, and lay them over those that were checked."""
    with pytest.raises(GroupgapError, match=f"{name}= would bring weights past every check: say checkpoint="):
        load_vision_model(VisionSource(zoo_of_images / "vit", build={name: "x.pth"}))


def test_a_built_size_wins_over_the_pretrained_one(zoo_of_images: Zoo) -> None:
    for name in ("vit", "swin", "beit"):
        architecture, sizes = TIMM[name]
        built = load_vision_model(VisionSource(architecture, pretrained=False, build=sizes))
        saved = load_vision_model(VisionSource(zoo_of_images / name))
        assert built.data.input_size == saved.data.input_size == (3, 32, 32)


def test_the_data_configuration_is_the_image_processors(tmp_path: Path) -> None:
    """Bit for bit the pixels of transformers' own (PIL) image processors."""
    import numpy as np
    from PIL import Image
    from transformers import (
        AutoImageProcessor,
        BitImageProcessor,
        ConvNextImageProcessor,
        DeiTImageProcessor,
        ViTImageProcessor,
    )

    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 70, 3), np.uint8))
    makers = {
        "vit": ViTImageProcessor(size={"height": 48, "width": 40}),
        "deit": DeiTImageProcessor(size={"height": 64, "width": 64}, crop_size={"height": 48, "width": 48}),
        "bit": BitImageProcessor(size={"shortest_edge": 57}, crop_size={"height": 48, "width": 48}),
        "convnext": ConvNextImageProcessor(size={"shortest_edge": 56}),
    }
    for name, processor in makers.items():
        processor.save_pretrained(tmp_path / name)
        theirs = AutoImageProcessor.from_pretrained(tmp_path / name, backend="pil")(image, return_tensors="pt")
        config = transformers_data_config(tmp_path / name, 3)
        ours = normalise(Pixels(config)(image)[None], config)
        assert (ours - theirs["pixel_values"]).abs().max() < 1e-6, (name, config)
    path = tmp_path / "vit/preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_rescale": False}))
    with pytest.raises(GroupgapError, match="does more than resize"):
        transformers_data_config(tmp_path / "vit", 3)
    with pytest.raises(GroupgapError, match=r"has no preprocessor_config\.json"):
        transformers_data_config(tmp_path, 3)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("vit_tiny_patch16_2244", r"neither a folder nor a model of timm's \(did you mean vit_tiny_patch16_224"),
        ("hf-hub:nobody/nothing", "not in the hub's cache"),
        ("local-dir:/no/such/folder", "no such folder"),
        ("vit_tiny_patch16_224.nobody", "vit_tiny_patch16_224"),
    ],
)
def test_a_model_that_is_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch, model: str, message: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(GroupgapError, match=message):
        find_base(model)


def test_a_pickle_is_never_opened(zoo_of_images: Zoo, tmp_path: Path) -> None:
    with pytest.raises(GroupgapError, match="a pickle can run code"):
        load_vision_model(VisionSource("vit_tiny_patch16_224", checkpoint=str(tmp_path / "best.pth.tar")))
    folder = shutil.copytree(zoo_of_images / "vit", tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(GroupgapError, match="only as a pickle"):
        load_vision_model(VisionSource(str(folder)))


def test_a_published_name_loads_from_the_hubs_cache(
    zoo_of_images: Zoo, pixels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    for hub_id in ("timm--vit_tiny_patch16_224.augreg_in21k_ft_in1k", "org--mine"):
        snapshot = tmp_path / f"models--{hub_id}/snapshots/{commit}"
        shutil.copytree(zoo_of_images / "vit", snapshot)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs/main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    plain = logits(pixels, model=zoo_of_images / "vit")
    for model in ("vit_tiny_patch16_224", "hf-hub:org/mine", f"hf-hub:org/mine@{commit}", "org/mine"):
        found = load_vision_model(VisionSource(model))
        assert found.base.resolved is not None
        assert found.base.resolved.commit == commit
        with torch.inference_mode():
            assert torch.equal(found.logits(pixels), plain)


def test_nan_weights_are_refused(zoo_of_images: Zoo, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(zoo_of_images / "vit-lora", tmp_path / "nan")
    tensors = load_file(folder / "adapter_model.safetensors")
    next(iter(tensors.values()))[0] = float("nan")
    save_file(tensors, folder / "adapter_model.safetensors")
    with pytest.raises(GroupgapError, match="NaN"):
        load_vision_model(VisionSource(zoo_of_images / "vit", adapter=str(folder)))


def test_an_adapter_is_saved_and_comes_back(zoo_of_images: Zoo, pixels: Any, tmp_path: Path) -> None:
    """What a training does: load with a new head, train, save; what an evaluation does: load again."""
    save_lora(tmp_path / "lora", Path(zoo_of_images / "vit5"), ["qkv"], "head", classes=4)
    found = load_vision_model(VisionSource(zoo_of_images / "vit5", adapter=str(tmp_path / "lora")))
    assert (found.num_classes, found.logits(pixels).shape) == (4, (2, 4))
