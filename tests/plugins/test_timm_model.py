"""The image backend: a plain loop's answers to the image, and no answer for what cannot be read or judged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groupgap.errors import GroupgapError
from lm_eval.api.instance import Instance

from ..vision_zoo import CHOICES, TIMM, Zoo

torch = pytest.importorskip("torch")
pytest.importorskip("timm", exc_type=ImportError)


@pytest.fixture(autouse=True)
def _data(zoo_of_images: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUPGAP_DATA", str(zoo_of_images.root / "data"))


def backend(model: str, **options: Any) -> Any:
    from groupgap.plugins.timm_model import GroupgapTimm

    return GroupgapTimm(model, **{"device": "cpu", "num_workers": 0, "batch_size": 4, **options})


def requests(documents: list[dict[str, Any]], choices: tuple[str, ...] = CHOICES) -> list[Instance]:
    """What lm-eval asks of a model for a multiple-choice task."""
    return [
        Instance("loglikelihood", document, ("Image:", f" {choice}"), place, metadata=("pictures", number, 1))
        for number, document in enumerate(documents)
        for place, choice in enumerate(choices)
    ]


def answers(model: Any, documents: list[dict[str, Any]]) -> np.ndarray:
    """Log-probabilities, (documents, choices)."""
    found = model.loglikelihood(requests(documents), disable_tqdm=True)
    return np.array([logprob for logprob, _ in found]).reshape(len(documents), -1)


def plain(zoo: Zoo, name: str = "vit", **changes: Any) -> np.ndarray:
    """An independent loop: timm's model, timm's transforms, PIL; log-probabilities, (documents, classes)."""
    import timm
    from PIL import Image
    from timm.data import create_transform, resolve_model_data_config

    model = timm.create_model(f"local-dir:{zoo / name}", pretrained=True).eval()
    transform = create_transform(**(resolve_model_data_config(model) | changes), is_training=False)
    rows = []
    with torch.inference_mode():
        for document in zoo.documents:
            image = Image.open(zoo.images / document["image"]).convert("RGB")
            rows.append(model(transform(image)[None])[0].double().log_softmax(-1).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("name", ["vit", "swin", "beit"])
def test_the_answers_are_those_of_a_plain_loop_to_the_image(zoo_of_images: Zoo, name: str) -> None:
    expected = plain(zoo_of_images, name)
    found = answers(backend(f"local-dir:{zoo_of_images / name}"), zoo_of_images.documents)
    assert np.array_equal(found.argmax(1), expected.argmax(1))
    assert np.abs(found - expected).max() < 1e-5
    assert len(set(found.argmax(1))) == 2 or name != "vit"


def test_one_forward_pass_answers_all_choices_and_repeated_images(zoo_of_images: Zoo) -> None:
    model = backend(zoo_of_images / "vit")
    seen: list[int] = []
    model.model.network.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    twice = [*zoo_of_images.documents, *zoo_of_images.documents]
    found = answers(model, twice)
    assert sum(seen) == len(zoo_of_images.documents)
    assert np.array_equal(found[:22], found[22:])
    assert np.allclose(np.exp(found).sum(1), 1)


def test_the_evaluators_own_crop_would_be_noticed(zoo_of_images: Zoo) -> None:
    """A planted fault: another crop than the model's own moves the answers, and an override is obeyed."""
    own = answers(backend(zoo_of_images / "vit"), zoo_of_images.documents)
    moved = answers(backend(zoo_of_images / "vit", crop_pct=1.0), zoo_of_images.documents)
    assert np.abs(moved - own).max() > 1e-3
    assert np.abs(moved - plain(zoo_of_images, crop_pct=1.0)).max() < 1e-5


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_worker_processes_decode_the_same_pixels(zoo_of_images: Zoo, context: str) -> None:
    from groupgap.adapters.vision_images import ImageRef
    from groupgap.plugins.image_reader import Reading, read_images

    config = backend(zoo_of_images / "vit").model.data
    images = [ImageRef("pictures", row["image"], row["image_sha256"]) for row in zoo_of_images.documents]
    alone, together = (
        list(read_images(images, config, Reading(8, workers, context=context if workers else None)))
        for workers in (0, 1)
    )
    assert (
        [rows for rows, _ in alone]
        == [rows for rows, _ in together]
        == [[*range(8)], [*range(8, 16)], [*range(16, 22)]]
    )
    assert all(torch.equal(one, other) for (_, one), (_, other) in zip(alone, together, strict=True))


def test_unreadable_images_are_all_named_and_nobody_answers_for_them(zoo_of_images: Zoo, tmp_path: Path) -> None:
    folder = shutil.copytree(zoo_of_images.images, tmp_path / "pictures")
    names = [document["image"] for document in zoo_of_images.documents]
    (folder / names[3]).write_bytes(b"")
    (folder / names[9]).write_bytes((folder / names[8]).read_bytes())  # a neighbour's image in its place
    (folder / names[21]).unlink()
    outside = [*zoo_of_images.documents, {**zoo_of_images.documents[0], "image": "../secret.png"}]
    with pytest.raises(GroupgapError) as caught:
        answers(backend(zoo_of_images / "vit", image_folder=str(folder)), outside)
    message = str(caught.value)
    assert message.startswith("4 of 23 images cannot be read")
    for name, reason in ((names[3], "empty"), (names[9], "another SHA-256"), (names[21], "No such file")):
        assert f"{name} (" in message
        assert reason in message
    assert "../secret.png (image '../secret.png': leads out" in message
    assert "exclude_images" in message


def test_classes_answer_by_name_by_order_or_as_told(zoo_of_images: Zoo) -> None:
    documents = zoo_of_images.documents
    named = backend(zoo_of_images / "hf")  # its classes: square, round
    in_order = answers(backend(zoo_of_images / "vit"), documents)
    told = answers(backend(zoo_of_images / "vit", labels="round:1;square:0"), documents)
    assert np.array_equal(in_order[:, ::-1], told)
    by_name = answers(named, documents)
    assert named.get_model_info()["groupgap_labels"] == {"round": "round", "square": "square"}
    first = named.model.class_names.index("round")
    logits = named.logits([named._image(document) for document in documents])
    expected = torch.from_numpy(logits).log_softmax(-1).numpy()
    assert np.allclose(by_name[:, 0], expected[:, first])


def test_a_head_of_another_size_than_the_task_is_refused(zoo_of_images: Zoo) -> None:
    with pytest.raises(
        GroupgapError, match=r"the model has 5 classes without names, the task 2 choices \(round, square"
    ):
        answers(backend(zoo_of_images / "vit5"), zoo_of_images.documents)
    kept = answers(backend(zoo_of_images / "vit5", labels="round:4;square:0"), zoo_of_images.documents)
    assert (np.exp(kept).sum(1) < 1).all()
    with pytest.raises(GroupgapError, match=r"no label is named 'disc'"):
        backend(zoo_of_images / "hf").loglikelihood(requests(zoo_of_images.documents, ("disc", "square")))


def test_logits_that_are_no_numbers_are_refused(zoo_of_images: Zoo) -> None:
    model = backend(zoo_of_images / "vit")
    with torch.no_grad():
        model.model.network.head.bias[0] = float("nan")
    with pytest.raises(GroupgapError, match="no numbers"):
        answers(model, zoo_of_images.documents)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": None}, "a document names no image"),
        ({"image_set": None}, "a document names no image"),
        ({"image_set": "elsewhere"}, "image set 'elsewhere': no such folder"),
    ],
)
def test_a_document_without_its_image_is_refused(zoo_of_images: Zoo, change: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError, match=message):
        answers(backend(zoo_of_images / "vit"), [{**zoo_of_images.documents[0], **change}])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proof": "half"}, "expected one of full, fast, none"),
        ({"amp": "int8"}, "expected one of bfloat16"),
        ({"image_folder": "/no/such"}, "no such folder"),
        ({"crop_pct": 7}, "crop_pct=7.0"),
        ({"crop_prc": 0.9}, "crop_prc"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_wrong_options_are_refused(zoo_of_images: Zoo, options: dict[str, Any], message: str) -> None:
    with pytest.raises(GroupgapError, match=message):
        backend(zoo_of_images / "vit", **options)


def test_the_results_say_how_the_images_were_read_and_what_was_random(zoo_of_images: Zoo) -> None:
    architecture, sizes = TIMM["vit"]
    model = backend(architecture, pretrained=False, num_classes=2, input_size=32, **sizes)
    told = model.get_model_info()["groupgap_vision"]
    assert (told["random"], told["num_classes"], told["kind"]) == ("weights", 2, "timm")
    assert told["data_config"]["input_size"] == [3, 32, 32]
    assert told["data_config"]["crop_pct"] == 0.9
    assert json.dumps(told)


def test_an_amp_run_is_close_and_recorded(zoo_of_images: Zoo) -> None:
    model = backend(zoo_of_images / "vit", amp="bfloat16")
    found = answers(model, zoo_of_images.documents)
    assert 0 < np.abs(found - plain(zoo_of_images)).max() < 0.1
    assert model.get_model_info()["groupgap_vision"]["amp"] == "bfloat16"


@pytest.mark.slow
def test_a_bare_lm_eval_asks_drawn_faces(zoo_of_images: Zoo, tmp_path: Path) -> None:
    """``lm_eval --model timm`` from a shell, with worker processes, up to the files that the board reads."""
    arguments = f"model={zoo_of_images / 'vit'},adapter={zoo_of_images / 'vit-lora'},num_workers=1"
    command = [
        sys.executable,
        "-m",
        "lm_eval",
        "--model",
        "timm",
        "--model_args",
        arguments,
        "--tasks",
        "toy_faces_fair",
    ]
    command += ["--limit", "70", "--log_samples", "--output_path", str(tmp_path), "--device", "cpu"]
    environment = {**os.environ, "GROUPGAP_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    (results,) = tmp_path.rglob("results_*.json")
    told = json.loads(results.read_text())["config"]
    assert told["groupgap_labels"] == {"frown": "0", "smile": "1"}
    assert told["groupgap_proof"]["tensors_matched"] == told["groupgap_proof"]["tensors_expected"] == 6
    assert str(tmp_path) not in (next(tmp_path.rglob("samples_*.jsonl"))).read_text()
