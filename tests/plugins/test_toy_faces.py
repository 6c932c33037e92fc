"""Drawn faces through lm-eval: a reader of pixels reaches the ceilings, and faults of the way there are seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.images import image_path, image_root
from groupgap.harness_tasks.rows import Rows
from groupgap.harness_tasks.toy_faces.draw import HUES
from groupgap.harness_tasks.toy_faces.utils import faces
from groupgap.metrics import wilson
from groupgap.plugins.fair_task import FairTask
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from PIL import Image

CEILINGS = {hue.name: hue.ceiling for hue in HUES}


@cache
def smiles(path: Path) -> bool:
    """Whether the ends of the mouth lie above its middle."""
    with Image.open(path) as image:
        pixels = np.asarray(image, dtype=float)
    dark = np.clip(0.55 - pixels.max(axis=-1) / 255, 0, None)[25:]
    rows = np.arange(len(dark))[:, None]
    columns = np.flatnonzero(dark.sum(axis=0) > 0.2)
    heights = (dark * rows).sum(axis=0)[columns] / dark.sum(axis=0)[columns]
    middle = np.abs(columns - columns.mean()) < (columns.max() - columns.min()) / 4
    return bool(heights[middle].mean() > heights[~middle].mean())


class MouthReader(LM):
    """Opens each document's image and reads its mouth."""

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        answers = []
        for request in requests:  # the prompt has nothing to say
            image = image_path(image_root(request.doc["image_set"]), request.doc["image"])
            said = smiles(image) == (request.args[1].strip() == "smile")
            answers.append((-0.1 if said else -2.0, said))
        return answers

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise AssertionError("not asked")

    def generate_until(self, requests: list[Instance]) -> list[str]:
        raise AssertionError("not asked")

    @property
    def tokenizer_name(self) -> str:
        return "reader"


@pytest.fixture
def drawn(drawn_faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPGAP_CACHE", str(drawn_faces))
    monkeypatch.delenv("GROUPGAP_DATA", raising=False)


def measured(
    change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], reader: LM
) -> dict[str, tuple[float, int]]:
    """Accuracy and n of each hue on all discs, after a change of the documents."""

    def loader(**options: object) -> Rows:
        rows = faces(**options)
        return replace(rows, documents=change([dict(document) for document in rows.documents]))

    fair = {"axes": {"hue": {"field": "hue", "groups": list(CEILINGS)}}, "positive": "smile"}
    config = {
        "task": "faces_fair",
        "class": FairTask,
        "custom_dataset": loader,
        "output_type": "multiple_choice",
        "training_split": "train",
        "test_split": "test",
        "fewshot_split": "train",
        "doc_to_text": "Image:",
        "doc_to_choice": ["frown", "smile"],
        "doc_to_target": "label",
        "metadata": {"fair": fair, "part": "all"},
    }
    result = simple_evaluate(model=reader, tasks=[FairTask(config=config)], bootstrap_iters=0, log_samples=False)
    assert result is not None
    judged = result["configs"]["faces_fair"]["metadata"]["fair"]["judged"]["hue"]
    return {hue: (judged[hue]["accuracy"], judged[hue]["n"]) for hue in CEILINGS}


def as_planted(found: dict[str, tuple[float, int]]) -> bool:
    """Whether each ceiling lies inside the interval of its hue's accuracy, and the hues are in their order."""
    inside = []
    for hue, (accuracy, n) in found.items():
        low, high = wilson(accuracy * n, n)
        inside.append(bool(low <= CEILINGS[hue] <= high))
    order = sorted(CEILINGS, key=lambda hue: -found[hue][0])
    return all(inside) and order == sorted(CEILINGS, key=lambda hue: -CEILINGS[hue])


def unchanged(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return documents


def shifted(fields: Sequence[str]) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """Fields moved on by one document, as by an index into another order."""

    def shift(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
        moved = [*documents[1:], documents[0]]
        return [
            {**own, **{field: other[field] for field in fields}} for own, other in zip(documents, moved, strict=True)
        ]

    return shift


def test_a_reader_of_the_mouths_measures_what_was_planted(drawn: None) -> None:
    found = measured(unchanged, MouthReader())
    assert as_planted(found), found
    assert sum(n for _, n in found.values()) == 6000


@pytest.mark.parametrize("fields", [["hue"], ["image", "image_sha256"]], ids=["groups", "images"])
def test_what_belongs_to_the_neighbour_is_seen(drawn: None, fields: list[str]) -> None:
    found = measured(shifted(fields), MouthReader())
    assert not as_planted(found), found


def test_an_image_of_other_bytes_is_refused_by_name(drawn: None, tmp_path: Path) -> None:
    import timm
    import torch
    from groupgap.plugins.timm_model import GroupgapTimm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    network = timm.create_model("test_vit", pretrained=False, num_classes=2, img_size=48)
    save_for_hf(network, tmp_path / "model", safe_serialization=True)
    model = GroupgapTimm(f"local-dir:{tmp_path / 'model'}", labels="frown:0;smile:1", num_workers=0, device="cpu")
    documents = [dict(document) for document in faces().documents[:3]]
    documents[1]["image_sha256"] = documents[0]["image_sha256"]

    def requests(chosen: list[dict[str, Any]]) -> list[Instance]:
        return [
            Instance("loglikelihood", document, ("Image:", f" {choice}"), place, metadata=("faces_fair", row, 1))
            for row, document in enumerate(chosen)
            for place, choice in enumerate(("frown", "smile"))
        ]

    assert len(model.loglikelihood(requests(documents[::2]))) == 4
    with pytest.raises(GroupgapError, match=r"SHA-256") as caught:
        model.loglikelihood(requests(documents))
    assert documents[1]["image"] in str(caught.value)
