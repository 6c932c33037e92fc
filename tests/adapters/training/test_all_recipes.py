"""Every recipe of groupgap, trained for two steps: a tiny model of its class, tiny data in the sets' own schemas."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from groupgap.adapters.training.recipe import load_recipe
from groupgap.adapters.training.recipe_shelf import shelf
from groupgap.adapters.training.record import read_training
from groupgap.cli import main
from groupgap.harness_tasks.dlab.utils import GROUPS as DLAB
from groupgap.harness_tasks.hatexplain.utils import AXES as HATEXPLAIN
from groupgap.harness_tasks.toxigen.utils import GROUPS as TOXIGEN

WORDS = [
    "a",
    "an",
    "the",
    "of",
    "it",
    "this",
    "that",
    "post",
    "remark",
    "statement",
    "number",
    "review",
    "Turkish",
    "English",
    "yes",
    "no",
]
SIZE = 32


def write_dlab(folder: Path) -> None:
    """Comments that target every axis; scores on both sides of 0.5."""
    rng = random.Random(1)
    rows = []
    for number in range(60):
        row: dict[str, Any] = {"comment_id": number, "annotator_id": 1, "text": f"this remark is number {number}"}
        row["hate_speech_score"] = rng.choice([-1.5, 0.7, 2.0])
        for axis, groups in DLAB.items():
            row |= {f"target_{axis}": True, **{f"target_{axis}_{group}": rng.random() < 0.4 for group in groups}}
        rows.append(row)
    pd.DataFrame(rows).to_parquet(folder / "measuring-hate-speech.parquet")


def write_toxigen_annotated(folder: Path) -> None:
    rows = [
        {
            "text": repr(f"this statement is number {number}".encode()),
            "target_group": TOXIGEN[number % len(TOXIGEN)],
            "toxicity_ai": number % 5 + 1,
            "toxicity_human": [1, 5][number % 2],
            "label": "hate",
            "actual_method": "TopK",
        }
        for number in range(80)
    ]
    pd.DataFrame(rows).to_csv(folder / "annotated_train.csv", index=False)


def write_hatexplain(folder: Path) -> None:
    posts = {}
    for number in range(80):
        group, label = HATEXPLAIN["race"][number % 3], ["hatespeech", "normal"][number % 2]
        annotator = {"label": label, "annotator_id": 1, "target": [group]}
        posts[f"{number}_x"] = {
            "post_id": f"{number}_x",
            "annotators": [annotator] * 3,
            "rationales": [],
            "post_tokens": ["this", "post", "is", "number", str(number)],
        }
    (folder / "dataset.json").write_text(json.dumps(posts))


def write_winomt(folder: Path) -> None:
    """3,888 sentences: the anti half, the pro half, then blocks of twelve, as upstream orders them."""
    pronouns = {"male": "he", "female": "she", "neutral": "they"}
    expected = ["male", "female"]
    lines = []
    for place in range(3168):
        side = place % 2 if place >= 1584 else 1 - place % 2
        lines.append((expected[side], place % 1584))
    lines += [(list(pronouns)[place % 3], 1584 + place // 3) for place in range(720)]
    english = [f"The clerk paid baker {number} because {pronouns[gender]} was late." for gender, number in lines]
    turkish = [f"{number} o gec kaldi." for _, number in lines]
    annotated = [f"{gender}\t1\t{said}\tclerk" for (gender, _), said in zip(lines, english, strict=True)]
    (folder / "en.txt").write_text("\n".join(annotated))
    pairs = [f"{one} ||| {other}" for one, other in zip(english, turkish, strict=True)]
    for name, part in (("general", pairs), ("anti", pairs[:1584]), ("pro", pairs[1584:3168])):
        (folder / f"en_tr_{name}.txt").write_text("\n".join(part))


def write_yelp(folder: Path) -> None:
    reviews = [" ".join([f"this review is number {number}"] * 20) for number in range(60)]
    (folder / "reviews.txt").write_text("\n".join(reviews))


def write_utkface(folder: Path) -> None:
    from PIL import Image

    for number in range(60):
        name = f"{5 + number}_{number % 2}_{number % 5}_20170116{number:09d}.jpg"
        Image.new("RGB", (40, 40), (4 * number, 100, 30)).save(folder / name)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``GROUPGAP_DATA`` with every set that a recipe names."""
    root = tmp_path_factory.mktemp("data")
    writers = (write_dlab, write_toxigen_annotated, write_hatexplain, write_winomt, write_yelp, write_utkface)
    for writer in writers:
        folder = root / writer.__name__.removeprefix("write_")
        folder.mkdir()
        writer(folder)
    return root


def tokenizer() -> Any:
    """Bytes and a few words, with an end of text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "</s>"]
    inner = Tokenizer(models.BPE(vocab={word: place for place, word in enumerate(vocabulary)}, merges=[]))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    inner.add_tokens([AddedToken(f" {word}") for word in WORDS])
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", pad_token="</s>")


def save_language_model(name: str, folder: Path) -> None:
    import transformers

    words = tokenizer()
    config = getattr(transformers, f"{name}Config")(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        pad_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id,
    )
    getattr(transformers, f"{name}ForCausalLM")(config).save_pretrained(folder)
    words.save_pretrained(folder)


def save_image_model(name: str, folder: Path) -> None:
    """As the paper's checkpoints: ViT without any classifier, Swin-v2 with one of other classes; both resize alone."""
    import transformers

    sizes: dict[str, Any] = {"image_size": SIZE}
    if name == "ViT":
        sizes |= {"patch_size": 16, "hidden_size": 16, "intermediate_size": 24}
        sizes |= {"num_hidden_layers": 2, "num_attention_heads": 2}
    else:
        sizes |= {"patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4}
    config = getattr(transformers, f"{name}Config")(**sizes)
    kind = transformers.ViTModel if name == "ViT" else transformers.Swinv2ForImageClassification
    kind(config).save_pretrained(folder)
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": SIZE, "width": SIZE}}
    processor |= {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}
    processor |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Class of architecture -> folder of a tiny model of random weights."""
    import torch

    torch.manual_seed(0)
    found = {}
    for name in ("Llama", "Mistral", "ViT", "Swinv2"):
        found[name] = tmp_path_factory.mktemp("bases") / name
        (save_language_model if name in ("Llama", "Mistral") else save_image_model)(name, found[name])
    found["timm"] = tmp_path_factory.mktemp("bases") / "timm"
    save_timm_model(found["timm"])
    return found


def save_timm_model(folder: Path) -> None:
    timm = pytest.importorskip("timm")
    sizes = {"img_size": SIZE, "patch_size": 16, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 7}
    network = timm.create_model("vit_tiny_patch16_224", pretrained=False, **sizes)
    timm.models.save_for_hf(network, folder, safe_serialization=True)


def architecture(name: str) -> str:
    """What class the recipe's own base is of."""
    if "vit-base" in name:
        return "ViT"
    if "faces" in name:
        return "timm"
    return "Swinv2" if "swinv2" in name else "Mistral" if "mistral" in name else "Llama"


@pytest.mark.parametrize("name", sorted(shelf()))
def test_two_steps_of_every_recipe(
    name: str,
    data: Path,
    bases: Mapping[str, Path],
    drawn_faces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if architecture(name) in ("ViT", "Swinv2", "timm"):
        pytest.importorskip("torchvision")
    monkeypatch.setenv("GROUPGAP_DATA", str(data))
    monkeypatch.setenv("GROUPGAP_CACHE", str(drawn_faces))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    recipe, base = load_recipe(shelf()[name]), bases[architecture(name)]
    options = ["--base", str(base), "--max-steps", "2", "--max-rows", "8", "--seed", "13", "--roster"]
    options += ["--device", "cpu"]
    assert main(["train", name, "-o", str(tmp_path), *options]) == 0
    records = [read_training(tmp_path / f"{method.name}-13") for method in recipe.methods]
    for method, record in zip(recipe.methods, records, strict=True):
        assert (record.steps, record.task, record.form) == (2, recipe.task, recipe.form)
        assert len(record.row_ids) == 8
        assert (method.method == "full") == (record.trained_parameters == record.total_parameters)
    assert len({record.batch_order for record in records}) == 1
    assert (tmp_path / "roster.yaml").is_file()
