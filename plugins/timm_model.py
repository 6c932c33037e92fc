"""lm-eval's model backend ``timm``: an image classifier answers ``multiple_choice`` tasks whose documents name images.

``lm_eval --model timm --model_args model=vit_base_patch16_224,checkpoint=FILE,adapter=FOLDER`` opens each document's
image (:mod:`groupgap.harness_tasks.images` says where), transforms it as the model itself wants it, and computes it
once: the log-softmax of the head's logits, all classes in it, is the log-probability of each choice's class. Image
classifiers of transformers are served by the same backend.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..adapters.data_config import DataConfig
from ..adapters.vision_images import ImageRef, normalise
from ..adapters.vision_model import VisionModel, VisionSource, load_vision_model
from ..errors import GroupgapError, one_line_for_mistakes
from ..harness_tasks.images import image_root
from .head_model import HeadModel, batch_size_of, device_of, log_softmax
from .image_reader import Reading, read_images
from .label_mapping import LabelMapping, map_choices, parse_labels
from .pixel_store import PixelStore
from .torchvision_guard import import_torchvision
from .vision_proof import PROOFS, prove

one_line_for_mistakes()  # this module is imported by lm_eval's command too
log = logging.getLogger(__name__)
DATA_OPTIONS = tuple(item.name for item in fields(DataConfig))
AMP = ("bfloat16", "float16")


class GroupgapTimm(HeadModel):
    """An image classifier, alone or with an adapter.

    Args:
        model: a name of timm's, ``hf-hub:ORG/NAME[@REVISION]``, ``local-dir:FOLDER``, a folder, or ``ORG/NAME``; or
            a :class:`~groupgap.adapters.vision_model.VisionModel` that is loaded already.
        checkpoint: a ``.safetensors`` file or a folder, in place of the model's own weights.
        adapter: folder or hub id of an adapter; ``peft=`` is the same.
        num_classes: size of the head, where it is not the model's own.
        pretrained: False for random weights.
        revision: hub revision of ``model``.
        labels: the head's class (number or name) of each choice, ``choice:class;choice:class``; by default by name
            where the head's classes have names, else choice 1 is class 1 and so on.
        image_folder: the folder of all images, in place of what the documents' image sets mean.
        batch_size: images computed together.
        num_workers: processes that decode; one a core by default, 8 at most.
        device: where torch computes; by default a GPU where there is one.
        amp: ``bfloat16`` or ``float16`` (or true) computes in mixed precision; off by default.
        proof: ``fast``, ``full`` or ``none``: what must be shown before an adapter answers; or what was shown already.
        init_seed: of random weights.
        other_base: take a base of another hub name than the adapter's configuration has.
        store: decoded images of other variants (the fleet's).
        options: values of the data configuration (``crop_pct``, ``input_size``, ``interpolation``, ``mean``, ``std``,
            ``crop_mode``, ``exif``, ``mirror``); all others go to ``timm.create_model``.

    Raises:
        GroupgapError: files that do not fit, weights that are in no file, or a failed proof.
    """

    name = "timm"
    reads = "the image"

    def __init__(
        self,
        model: str | VisionModel,
        checkpoint: str | None = None,
        adapter: str | None = None,
        *,
        peft: str | None = None,
        num_classes: int | None = None,
        pretrained: bool = True,
        revision: str | None = None,
        labels: Mapping[str, str | int] | str | None = None,
        image_folder: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        num_workers: int | None = None,
        device: str | None = None,
        amp: bool | str = False,
        proof: str | Mapping[str, Any] = "full",
        init_seed: int = 0,
        other_base: bool = False,
        store: PixelStore | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        if isinstance(proof, str) and proof not in PROOFS:
            raise GroupgapError(f"timm: proof={proof!r:.60}: expected one of {', '.join(PROOFS)}")
        import_torchvision()
        self._labels, self._folder, self._store = parse_labels(labels), _folder(image_folder), store
        self._device = device_of(device, self.name)
        self._amp = _amp(amp)
        pin = self._device.startswith("cuda")
        self._reading = Reading(batch_size_of(batch_size, self.name), num_workers, pin)
        if isinstance(model, str):
            told = {"num_classes": num_classes, "pretrained": pretrained, "init_seed": init_seed, **options}
            source = source_of(model, told, self._device)
            adapter = adapter or peft
            model = load_vision_model(
                replace(source, checkpoint=checkpoint, adapter=adapter, revision=revision, other_base=other_base)
            )
        self.model = model
        self._mappings: dict[tuple[str, ...], LabelMapping] = {}
        self.proof = prove(self.model, proof) if isinstance(proof, str) else proof
        log.info("timm: data configuration %s; proof %s", self.model.data.as_dict(), self.proof)
        if self.model.random_now:
            self._say("random %s, as asked: the answers mean nothing", self.model.random_now)

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Score the choices of documents: one forward pass an image.

        Args:
            requests: lm-eval's requests, each with its document and a (prompt, choice) pair; the prompt is not read.
            disable_tqdm: show no progress.

        Returns:
            For each request, the log-probability of the choice's class over all classes of the head, and whether no
            class is more probable.

        Raises:
            GroupgapError: a document without an image, images that cannot be read, choices without a class, or logits
                that are no numbers.
        """
        places = self._by_document(requests)
        mappings = [self._mapping(tuple(requests[place].args[1] for place in own)) for own in places]
        images = [self._image(requests[own[0]].doc) for own in places]
        rows = {image: row for row, image in enumerate(dict.fromkeys(images))}
        self._refuse_absent_sets(list(rows))
        logprobs = log_softmax(self.logits(list(rows), quiet=disable_tqdm), self.name)
        answers: dict[int, tuple[float, bool]] = {}
        for image, own, mapping in zip(images, places, mappings, strict=True):
            answers.update(self._answers(logprobs[rows[image]], own, mapping.indices))
        return [answers[place] for place in range(len(requests))]

    def logits(self, images: Sequence[ImageRef], *, quiet: bool = True) -> NDArray[np.float64]:
        """Compute the head's logits, (images, classes).

        Raises:
            UnreadableImagesError: images that cannot be read, all of them by name.
        """
        import torch
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        found: list[NDArray[np.float64]] = []
        config = self.model.data
        bar = tqdm(total=len(images), desc="Classifying images", disable=quiet)
        with torch.inference_mode(), self._precision():
            for rows, pixels in read_images(images, config, self._reading, self._store):
                batch = normalise(pixels.to(self._device, non_blocking=True), config)
                found.append(self.model.logits(batch).double().cpu().numpy())
                bar.update(len(rows))
        bar.close()
        return np.concatenate(found)

    def _precision(self) -> Any:
        import torch

        if not self._amp:
            return nullcontext()
        return torch.autocast(self._device.partition(":")[0], dtype=getattr(torch, self._amp))

    def _image(self, document: Mapping[str, Any]) -> ImageRef:
        image, image_set, digest = (document.get(key) for key in ("image", "image_set", "image_sha256"))
        if not isinstance(image, str) or not (self._folder or isinstance(image_set, str)):
            raise GroupgapError(
                "timm: a document names no image: it needs the fields image (a path within its image set), image_set"
                " (or image_folder= for all) and image_sha256; this one has"
                f" {', '.join(map(str, document))[:300]}"
            )
        named = "" if self._folder else str(image_set)
        return ImageRef(named, image, digest if isinstance(digest, str) and digest else None, self._folder)

    def _refuse_absent_sets(self, images: Sequence[ImageRef]) -> None:
        for image_set in dict.fromkeys(image.image_set for image in images if not image.root):
            image_root(image_set)
        unhashed = sum(image.sha256 is None for image in images)
        if unhashed:
            self._say("%s documents have no image_sha256: nothing shows that their images are unchanged", unhashed)

    def _mapping(self, choices: tuple[str, ...]) -> LabelMapping:
        if choices not in self._mappings:
            model = self.model
            if self._labels is None and model.class_names is None:
                self._mappings[choices] = _in_order(choices, model.num_classes)
            else:
                names = model.class_names or tuple(map(str, range(model.num_classes)))
                self._mappings[choices] = map_choices(choices, names, self._labels)
            if unused := self._mappings[choices].unused:
                shown = ", ".join(unused[:8])
                self._say("%s classes of the head are no choice, and keep their share: %s", len(unused), shown)
        return self._mappings[choices]

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval writes into the results beside the arguments."""
        model = self.model
        names = model.class_names or range(model.num_classes)
        mapped = {
            choice.strip(): str(names[index])
            for choices, mapping in self._mappings.items()
            for choice, index in zip(choices, mapping.indices, strict=True)
        }
        vision = {
            "kind": model.kind,
            "data_config": model.data.as_dict(),
            "num_classes": model.num_classes,
            "random": model.random_now,
            "amp": self._amp,
            "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
        }
        return {"groupgap_labels": mapped, "groupgap_vision": vision, "groupgap_proof": dict(self.proof)}


def source_of(model: str, options: Mapping[str, Any], device: str) -> VisionSource:
    """What to load, from a backend's options.

    Args:
        model: see :class:`GroupgapTimm`.
        options: ``num_classes``, ``pretrained``, ``init_seed``, values of the data configuration; all others go to
            ``timm.create_model``.
        device: where torch computes.
    """
    own = ("num_classes", "pretrained", "init_seed")
    return VisionSource(
        model=model,
        num_classes=options.get("num_classes"),
        pretrained=options.get("pretrained", True) is True,
        seed=options.get("init_seed", 0),
        data={key: value for key, value in options.items() if key in DATA_OPTIONS},
        build={key: value for key, value in options.items() if key not in (*DATA_OPTIONS, *own)},
        device=device,
    )


def _in_order(choices: Sequence[str], num_classes: int) -> LabelMapping:
    """Choice 1 is class 1 and so on, where the classes have no names."""
    if len(choices) != num_classes:
        shown = ", ".join(choice.strip() for choice in choices[:6])
        raise GroupgapError(
            f"timm: the model has {num_classes} classes without names, the task {len(choices)} choices ({shown}): give"
            " a checkpoint or an adapter with a head of that size, or say which class is which: labels=choice:number;"
        )
    return LabelMapping(tuple(range(num_classes)), ())


def _folder(asked: str | None) -> Path | None:
    if asked is None:
        return None
    folder = Path(asked).expanduser()
    if not folder.is_dir():
        raise GroupgapError(f"timm: image_folder={asked}: no such folder")
    return folder


def _amp(asked: bool | str) -> str | None:
    if asked in (False, None, "false", "off"):
        return None
    found = "bfloat16" if asked in (True, "true") else str(asked)
    if found not in AMP:
        raise GroupgapError(f"timm: amp={asked!r:.60}: expected one of {', '.join(AMP)}, true or false")
    return found
