"""The form image_classifier: timm's own pixels, flips that follow from seed, epoch and id, weights that reload."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap import GroupgapError
from groupgap.adapters.training.forms import Documents, Prepared, TaskData, prepare
from groupgap.adapters.training.image_form import Pictures, Turns
from groupgap.adapters.training.methods import apply_method
from groupgap.adapters.training.order import SeededOrder
from groupgap.adapters.training.recipe import Recipe, load_recipe
from groupgap.adapters.vision_model import VisionSource, load_vision_model
from groupgap.harness_tasks.images import image_fields
from groupgap.harness_tasks.toy_faces.draw import draw, plan

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
CLASSES = ["frown", "smile"]
LORA = {"r": 4, "alpha": 8, "learning_rate": 1e-2}


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Thirty drawn discs in an image set."""
    discs = plan(30)
    (tmp_path / "data" / "mini").mkdir(parents=True)
    monkeypatch.setenv("GROUPGAP_DATA", str(tmp_path / "data"))
    found = []
    for place, content in enumerate(draw(discs)):
        (tmp_path / "data" / "mini" / f"{place}.bmp").write_bytes(content)
        label = int(discs.smiles[place])
        found.append({"id": f"disc-{place}", **image_fields("mini", f"{place}.bmp"), "label": label})
    return found


def task_data(documents: list[Mapping[str, Any]], classes: list[str] = CLASSES) -> TaskData:
    """A multiple_choice task of these documents, the last ten of them for validation."""
    task = SimpleNamespace(
        config=SimpleNamespace(output_type="multiple_choice"),
        doc_to_choice=lambda _: classes,
        doc_to_target=lambda document: document["label"],
    )
    parts = [Documents(tuple(row["id"] for row in part), tuple(part)) for part in (documents[:-10], documents[-10:])]
    return TaskData(task, "faces", *parts)


def make_base(folder: Path, name: str = "vit_tiny_patch16_224", **build: Any) -> Path:
    """A tiny timm model with random weights and an odd crop."""
    torch.manual_seed(0)
    if name.startswith("vit"):
        build = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, **build}
    model = timm.create_model(name, pretrained=False, num_classes=2, **build)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)  # timm starts the last one of a block at 0, which hides the block
    config = {"crop_pct": 0.8, "input_size": (3, 32, 32), "label_names": ["flat", "bent"]}
    timm.models.save_for_hf(model, folder, model_config={"pretrained_cfg": config}, safe_serialization=True)
    return folder


def recipe(tmp_path: Path, base: Path, methods: Mapping[str, Any] | None = None, **keys: Any) -> Recipe:
    told = {"base": str(base), "form": "image_classifier", "task": "faces", "seeds": [13], "epochs": 1}
    methods = methods or {"full": {"learning_rate": 1e-2}}
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps({**told, **keys, "methods": methods}))
    return load_recipe(path)


def prepared_for(tmp_path: Path, base: Path, documents: list[dict[str, Any]], **keys: Any) -> Prepared:
    return prepare(recipe(tmp_path, base, **keys), task_data(documents), base)


def test_pixels_are_those_of_timm_s_own_transforms(tmp_path: Path, documents: list[dict[str, Any]]) -> None:
    from PIL import Image
    from timm.data import create_transform

    base = make_base(tmp_path / "base")
    prepared = prepared_for(tmp_path, base, documents)
    config = json.loads((base / "config.json").read_text())["pretrained_cfg"]
    names = ("input_size", "interpolation", "mean", "std", "crop_pct", "crop_mode")
    transform = create_transform(**{name: config[name] for name in names})
    assert config["crop_pct"] == 0.8
    for part, some in ((prepared.validation, documents[-10:]), (prepared.train, documents[:-10])):
        batch = prepared.collate([part.rows[place] for place in range(len(some))])
        for place, document in enumerate(some):
            with Image.open(tmp_path / "data" / "mini" / document["image"]) as image:
                expected = transform(image.convert("RGB"))
            turned = part is prepared.train and Turns().turned(document["id"])
            assert torch.allclose(batch["pixel_values"][place], expected.flip(-1) if turned else expected, atol=1e-6)
        assert batch["labels"].tolist() == [document["label"] for document in some]
    assert prepared.document_ids == tuple(document["id"] for document in documents[:-10])
    assert (prepared.engine, prepared.classes) == ("timm", ("frown", "smile"))


def test_flips_follow_from_seed_epoch_and_id_alone() -> None:
    ids = [f"row-{number}" for number in range(4000)]
    seen = {}
    for seed, epoch in ((13, 0), (13, 1), (42, 0)):
        turns = Turns()
        turns.begin(seed, epoch)
        seen[seed, epoch] = [turns.turned(row_id) for row_id in ids]
        assert 0.47 < sum(seen[seed, epoch]) / len(ids) < 0.53
        assert seen[seed, epoch][::-1] == [turns.turned(row_id) for row_id in reversed(ids)]
    for one, other in (((13, 0), (13, 1)), ((13, 0), (42, 0))):
        same = sum(a == b for a, b in zip(seen[one], seen[other], strict=True)) / len(ids)
        assert 0.47 < same < 0.53
    assert not any(Turns(flip=False).turned(row_id) for row_id in ids)


def test_the_order_of_a_training_tells_the_rows_which_epoch_runs(
    tmp_path: Path, documents: list[dict[str, Any]]
) -> None:
    prepared = prepared_for(tmp_path, make_base(tmp_path / "base"), documents)
    order = SeededOrder(prepared.train.ids, 666, prepared.begin_epoch)
    kept = [pixels.clone() for pixels, _ in (prepared.train.rows[place] for place in range(20))]
    order.set_epoch(3)  # as after a resumption, which skips rows without opening them
    turns = [Turns(seed=666, epoch=epoch) for epoch in (0, 3)]
    for place, row_id in enumerate(prepared.train.ids):
        now = prepared.train.rows[place][0]
        flipped = turns[0].turned(row_id) != turns[1].turned(row_id)
        assert torch.equal(now, kept[place].flip(-1) if flipped else kept[place])
    without = prepared_for(tmp_path, tmp_path / "base", documents, form_options={"flip": False})
    plain = Pictures(prepared.train.rows.labels, prepared.train.rows.config, None)
    assert all(torch.equal(without.train.rows[place][0], plain[place][0]) for place in range(20))


def test_every_method_of_a_seed_starts_from_the_same_new_head(tmp_path: Path, documents: list[dict[str, Any]]) -> None:
    """The base has a head of two classes too, but other classes."""
    base = make_base(tmp_path / "base")
    prepared = prepared_for(tmp_path, base, documents)
    own = load_vision_model(VisionSource(f"local-dir:{base}")).network.head.weight
    heads = []
    for seed in (13, 13, 42):
        torch.manual_seed(seed)
        heads.append(prepared.load().head.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert not torch.equal(heads[0], own)


def learn(tmp_path: Path, base: Path, documents: list[dict[str, Any]], method: str, **own: Any) -> tuple[Any, Prepared]:
    """Three steps of a method by hand, in training mode."""
    methods = {method: {"learning_rate": 1e-2, **own}}
    read = recipe(tmp_path, base, methods)
    prepared = prepare(read, task_data(documents), base)
    torch.manual_seed(13)
    model = apply_method(prepared.load(), read, read.methods[0], prepared, str(base))
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    for _ in range(3):
        model.train()
        loss = model(**prepared.collate([prepared.train.rows[place] for place in range(20)]))["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval(), prepared


@pytest.mark.parametrize(
    ("name", "targets"), [("vit_tiny_patch16_224", ["qkv", "fc1"]), ("test_resnet", r".*layer\d.*\.conv\d")]
)
def test_an_adapter_that_is_loaded_again_answers_as_it_was_trained(
    tmp_path: Path, documents: list[dict[str, Any]], name: str, targets: Any
) -> None:
    """With batch normalisation too, whose statistics no adapter's file holds."""
    base = make_base(tmp_path / "base", name)
    model, prepared = learn(tmp_path, base, documents, "lora", r=4, alpha=8, targets=targets)
    model.save_pretrained(tmp_path / "adapter")
    stored = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert stored["base_model_name_or_path"] == str(base)
    batch = prepared.collate([prepared.validation.rows[place] for place in range(10)])
    again = load_vision_model(VisionSource(f"local-dir:{base}", adapter=str(tmp_path / "adapter")))
    with torch.no_grad():
        answered = model(pixel_values=batch["pixel_values"])["logits"]
        assert torch.allclose(again.logits(batch["pixel_values"]), answered, atol=1e-6)
        with again.without_adapter():
            assert not torch.allclose(again.logits(batch["pixel_values"]), answered, atol=1e-3)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "test_resnet"])
def test_a_full_checkpoint_is_a_folder_of_timm_s(tmp_path: Path, documents: list[dict[str, Any]], name: str) -> None:
    from safetensors.torch import save_file

    base = make_base(tmp_path / "base", name)
    model, prepared = learn(tmp_path, base, documents, "full")
    (tmp_path / "full").mkdir()
    save_file(model.state_dict(), tmp_path / "full" / "model.safetensors")
    prepared.save_beside(tmp_path / "full")
    again = load_vision_model(VisionSource(f"local-dir:{tmp_path / 'full'}"))
    assert again.class_names == ("frown", "smile")
    assert again.data == load_vision_model(VisionSource(f"local-dir:{base}")).data
    batch = prepared.collate([prepared.validation.rows[place] for place in range(10)])
    with torch.no_grad():
        answered = model(**batch)
        assert torch.allclose(again.logits(batch["pixel_values"]), answered["logits"], atol=1e-6)
        loss = torch.nn.functional.cross_entropy(answered["logits"], batch["labels"])
    assert answered["loss"] == pytest.approx(float(loss))


def test_a_model_of_transformers_learns_too(tmp_path: Path, documents: list[dict[str, Any]]) -> None:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    torch.manual_seed(0)
    config = ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32,
                       patch_size=8)  # fmt: skip
    ViTForImageClassification(config).save_pretrained(tmp_path / "base")
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "base")
    model, prepared = learn(tmp_path, tmp_path / "base", documents, "full")
    model.save_pretrained(tmp_path / "full")
    prepared.save_beside(tmp_path / "full")
    again = load_vision_model(VisionSource(str(tmp_path / "full")))
    assert again.class_names == ("frown", "smile")
    adapter, _ = learn(tmp_path, tmp_path / "base", documents, "lora", r=4, targets=["q_proj", "v_proj"])
    adapter.save_pretrained(tmp_path / "adapter")
    again = load_vision_model(VisionSource(str(tmp_path / "base"), adapter=str(tmp_path / "adapter")))
    batch = prepared.collate([prepared.validation.rows[place] for place in range(10)])
    with torch.no_grad():
        answered = adapter(pixel_values=batch["pixel_values"]).logits
        assert torch.allclose(again.logits(batch["pixel_values"]), answered, atol=1e-6)


def test_mistakes_are_named(tmp_path: Path, documents: list[dict[str, Any]]) -> None:
    base = make_base(tmp_path / "base")
    with pytest.raises(GroupgapError, match="image_classifier has no option 'flips': did you mean 'flip'"):
        prepared_for(tmp_path, base, documents, form_options={"flips": True})
    with pytest.raises(GroupgapError, match=r"form_options\.flip: expected true or false, not 'often'"):
        prepared_for(tmp_path, base, documents, form_options={"flip": "often"})
    text = [{**documents[0], "image": None}, *documents[1:]]
    with pytest.raises(GroupgapError, match="row 'disc-0' names no image"):
        prepared_for(tmp_path, base, text)
    with pytest.raises(GroupgapError, match="row 'disc-0' has the class 7, and the head 2 labels"):
        prepared_for(tmp_path, base, [{**documents[0], "label": 7}, *documents[1:]])
    with pytest.raises(GroupgapError, match="has the class 3, and the head 3 labels"):
        prepare(recipe(tmp_path, base), task_data([{**d, "label": 3} for d in documents], ["a", "b", "c"]), base)
    prepared = prepared_for(tmp_path, base, documents)
    place = prepared.train.ids.index("disc-3")
    (tmp_path / "data" / "mini" / "3.bmp").write_bytes(b"BM")
    with pytest.raises(GroupgapError, match=r"image 'mini/3\.bmp': .* mend it, or leave it out for all methods alike"):
        prepared.train.rows[place]
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "config.json").write_text('{"hidden_size": 8}')
    with pytest.raises(GroupgapError):
        prepared_for(tmp_path, tmp_path / "words", documents)
