"""The form ``image_classifier``: a classifier of timm or transformers learns a task's classes from its images.

An image is opened, resized and cropped as the base itself wants it, flipped left to right in half of the cases, and
normalised: the transforms of arXiv 2405.17512 for a base that resizes without a crop. Whether an image is flipped
follows from the training's seed, the epoch and the row's id alone, so that all methods of a seed see the same pixels,
and a resumed training sees those of one that was never stopped.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any

from ...errors import GroupgapError
from ..base_model import HEADS
from ..data_config import PROCESSOR_FILE, DataConfig
from ..vision_images import ImageRef, Pixels, UnreadableImageError, normalise, open_image
from ..vision_model import VisionModel, VisionSource, load_vision_model
from .classifier_form import accuracy, class_of, classes_of
from .forms import Documents, Part, Prepared, TaskData, refuse_options
from .recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor

KEPT_BYTES = 1 << 30  # of decoded images, kept between epochs


def prepare(recipe: Recipe, data: TaskData, base: Path) -> Prepared:
    """Images and classes of the task.

    Options: ``flip``: flip training images left to right in half of the cases (true).

    Raises:
        GroupgapError: a task without classes or images, or a base that is no image model.
    """
    refuse_options(recipe, ("flip",))
    flip = recipe.form_options.get("flip", True)
    if not isinstance(flip, bool):
        raise GroupgapError(f"{recipe.path}: form_options.flip: expected true or false, not {flip!r:.40}")
    classes = classes_of(recipe, data)
    source = VisionSource(f"local-dir:{base}", num_classes=len(classes), new_head=True)
    plain = load_vision_model(VisionSource(source.model, num_classes=len(classes), pretrained=False))
    turns = Turns(flip)
    head = _head_of(plain)
    train, validation = (_part(recipe, data, part, len(classes)) for part in (data.train, data.validation))
    return Prepared(
        load=lambda: _learner(source, head, recipe.base),
        train=Part(train.ids, Pictures(train, plain.data, turns)),
        validation=Part(validation.ids, Pictures(validation, plain.data, None)),
        collate=Collate(plain.data),
        save_beside=_save_beside(plain, base, classes),
        task_type=None,
        head=tuple(name.rpartition(".")[2] for name in head),
        new_head=True,
        document_ids=data.train.ids,
        engine="timm",
        classes=classes,
        notes=(f"images: {json.dumps(plain.data.as_dict())}{', flipped in half of the cases' if flip else ''}",),
        metrics=accuracy,
        begin_epoch=turns.begin,
    )


# -- rows -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Labels:
    """The images of a part and their classes: names only, nothing is opened.

    Attributes:
        ids: of the rows.
        images: what to open.
        classes: index of each one's class.
    """

    ids: tuple[str, ...]
    images: tuple[ImageRef, ...]
    classes: tuple[int, ...]


def _part(recipe: Recipe, data: TaskData, part: Documents, count: int) -> Labels:
    images, classes = [], []
    for row_id, document in zip(part.ids, part.documents, strict=True):
        where = f"{recipe.path}: task {recipe.task}: row {row_id!r:.80}"
        images.append(_reference(document, where))
        classes.append(class_of(data.task, document, count, where))
    return Labels(part.ids, tuple(images), tuple(classes))


def _reference(document: Mapping[str, Any], where: str) -> ImageRef:
    found = [document.get(name) for name in ("image_set", "image", "image_sha256")]
    if not isinstance(found[1], str) or not isinstance(found[0], str):
        raise GroupgapError(f"{where} names no image (fields image_set and image): form image_classifier needs one")
    return ImageRef(found[0], found[1], found[2] if isinstance(found[2], str) else None)


@dataclass
class Turns:
    """Which images are flipped in the epoch that runs.

    Attributes:
        flip: whether any are.
        seed: of the training.
        epoch: from 0.
    """

    flip: bool = True
    seed: int = 0
    epoch: int = 0

    def begin(self, seed: int, epoch: int) -> None:
        """Another epoch begins."""
        self.seed, self.epoch = seed, epoch

    def turned(self, row_id: str) -> bool:
        """Whether this row is flipped: a bit of the hash of seed, epoch and id.

        >>> turns = Turns()
        >>> [turns.turned(row_id) for row_id in "abcd"]
        [True, True, True, False]
        >>> turns.begin(13, 1)
        >>> [turns.turned(row_id) for row_id in "abcd"]
        [False, False, True, False]
        """
        digest = hashlib.sha256(f"flip:{self.seed}:{self.epoch}:{row_id}".encode()).digest()
        return self.flip and bool(digest[0] & 1)


@dataclass
class Pictures(Sequence[tuple[Any, int]]):
    """Rows of one part: (uint8 pixels, class), opened when asked for; what fits into :data:`KEPT_BYTES` is kept.

    Attributes:
        labels: what to open.
        config: how the base wants its images.
        turns: which are flipped; None for none.
    """

    labels: Labels
    config: DataConfig
    turns: Turns | None
    _kept: dict[int, Any] = field(default_factory=dict, repr=False)
    _bytes: int = 0

    def __len__(self) -> int:
        """Rows."""
        return len(self.labels.ids)

    def __getitem__(self, place: Any) -> Any:
        """The pixels (channels, height, width) and the class of a row.

        Raises:
            GroupgapError: an image that cannot be read; it is never replaced by another.
        """
        pixels = self._kept.get(place)
        if pixels is None:
            pixels = self._open(self.labels.images[place])
            if self._bytes < KEPT_BYTES:
                self._kept[place] = pixels
                self._bytes += pixels.numel()
        turned = self.turns is not None and self.turns.turned(self.labels.ids[place])
        return (pixels.flip(-1) if turned else pixels), self.labels.classes[place]

    def _open(self, image: ImageRef) -> Tensor:
        try:
            return Pixels(self.config)(open_image(image.path(), self.config, image.sha256))
        except UnreadableImageError as error:
            raise GroupgapError(
                f"image {image.name!r:.160}: {error}: mend it, or leave it out for all methods alike "
                "(task_options: {exclude_images: [...]})"
            ) from None


@dataclass(frozen=True)
class Collate:
    """Rows to a batch: ``pixel_values`` (rows, channels, height, width), normalised, and ``labels`` (rows,)."""

    config: DataConfig

    def __call__(self, rows: list[tuple[Tensor, int]]) -> dict[str, Tensor]:
        """Stack and normalise."""
        import torch

        pixels = torch.stack([pixels for pixels, _ in rows])
        return {
            "pixel_values": normalise(pixels, self.config),
            "labels": torch.tensor([label for _, label in rows]),
        }


# -- models -----------------------------------------------------------------------------------------------------------


def _head_of(model: VisionModel) -> tuple[str, ...]:
    """The names of the head's modules."""
    if model.kind == "transformers":
        return tuple(name for name, _ in model.network.named_children() if name in HEADS)
    named = model.network.pretrained_cfg.get("classifier") or ()
    return (named,) if isinstance(named, str) else tuple(named)


def _learner(source: VisionSource, head: Sequence[str], base: str) -> Any:
    """The base with a new head, whose ``forward`` takes a batch of :class:`Collate` and gives the loss.

    A head of the same size that the base has is drawn anew: its classes are others'.
    """
    model = load_vision_model(source)
    for name in head:
        for module in model.network.get_submodule(name).modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
    if model.kind == "timm":
        _give_loss(model.network, base)
    _hold_statistics(model.network)
    return model.network


def _give_loss(network: Any, base: str) -> None:
    """Let a timm model take a batch and give its loss, as transformers' models do; its tensors keep their names."""
    import torch

    plain = network.forward

    def forward(_: Any, pixel_values: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = plain(pixel_values)
        loss = {} if labels is None else {"loss": torch.nn.functional.cross_entropy(logits, labels)}
        return {**loss, "logits": logits}

    network.forward = MethodType(forward, network)
    network.name_or_path = base  # else PEFT forgets the base's name


def _hold_statistics(network: Any) -> None:
    """Let batch normalisation that does not learn keep the base's statistics.

    An adapter's file does not hold them: moved in training, they would be lost, and the adapter that is loaded again
    would answer otherwise.
    """
    import torch

    norms = [module for module in network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]

    def train(this: Any, mode: bool = True) -> Any:
        type(this).train(this, mode)
        for norm in norms:
            if not any(weight.requires_grad for weight in norm.parameters()):
                norm.eval()
        return this

    if norms:
        network.train = MethodType(train, network)


def _save_beside(plain: VisionModel, base: Path, classes: Sequence[str]) -> Callable[[Path], None]:
    """What a full checkpoint needs beside its weights: timm's configuration, or transformers' image processor."""
    if plain.kind == "timm":
        config = _timm_config(plain.network, classes)
        return lambda folder: _write(folder / "config.json", config)

    def save(folder: Path) -> None:
        shutil.copyfile(base / PROCESSOR_FILE, folder / PROCESSOR_FILE)
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        names = {str(place): name for place, name in enumerate(classes)}
        told |= {"id2label": names, "label2id": {name: place for place, name in enumerate(classes)}}
        _write(folder / "config.json", json.dumps(told, indent=2))

    return save


def _timm_config(network: Any, classes: Sequence[str]) -> str:
    from timm.models._hub import save_config_for_hf

    names = {"num_classes": len(classes), "label_names": list(classes)}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "config.json")
        save_config_for_hf(network, str(path), model_config=names)
        return path.read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
