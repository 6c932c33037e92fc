"""Image classifiers of timm and transformers, with a checkpoint or an adapter: every weight from a file, or said to be
random.

Three silent errors are kept out here. timm's fused ``qkv`` with separate biases (Swin-v2, BEiT, EVA-02) passes a LoRA
by; ``qkv_bias_separate`` makes it call the module. A head that neither the base nor the adapter holds would be random;
it is refused. Adapters of transformers 4 name modules that transformers 5 renamed; they are converted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import GroupgapError, MissingExtraError
from .base_model import read_base, read_model_config
from .check import AdapterCheck, CheckOptions, check_adapter
from .check_full import check_full
from .convert import convert_to_transformers_5
from .data_config import DataConfig, timm_data_config, transformers_data_config
from .laid import Laid, has_body, lay, lift, quiet_transformers, supplied
from .resolve import resolve
from .tensors import MODEL_WEIGHTS, inside, read_header
from .vision_base import Kind, VisionBase, find_base

LOADING = (ValueError, RuntimeError, KeyError, TypeError, AttributeError, OSError, ImportError, AssertionError)
# arguments of timm.create_model by which it would open a pickle, or weights that nobody looked at
WEIGHTS_BY_OTHER_NAMES = frozenset({"checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict"})


@dataclass(frozen=True)
class VisionSource:
    """What to load.

    Attributes:
        model: see :func:`~groupgap.adapters.vision_base.find_base`.
        checkpoint: a ``.safetensors`` file with all weights of a timm model, or a folder with one; in place of the
            model's own weights.
        adapter: folder or hub id of an adapter, laid on the model.
        num_classes: size of the head; by default that of the adapter's head, the checkpoint's, or the model's own.
        pretrained: False for random weights.
        new_head: make a new, random head of ``num_classes``, to be trained.
        revision: hub revision of ``model``.
        data: values of the data configuration to replace (``crop_pct``, ``input_size``, ...).
        build: further arguments of ``timm.create_model`` (``img_size``, ``drop_rate``, ...).
        seed: of random weights.
        device: where torch computes.
        other_base: take a base of another name than the adapter's configuration has.
    """

    model: str
    checkpoint: str | None = None
    adapter: str | None = None
    num_classes: int | None = None
    pretrained: bool = True
    new_head: bool = False
    revision: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "cpu"
    other_base: bool = False


@dataclass
class VisionModel:
    """A loaded image classifier.

    Attributes:
        network: the model, or PEFT's around it while an adapter lies on it; in evaluation mode.
        kind: ``timm`` or ``transformers``.
        base: where it was found.
        data: how it wants its images.
        num_classes: size of its head.
        class_names: in the order of the head's rows; None where nothing names them.
        random: what of it is random: ``weights`` (all), ``head``, or empty.
        fresh: names of the head's weights that are in no file of the base.
        device: where torch computes.
        check: what the check of the adapter's files found; None without one.
        laid: the adapter on it; None without one.
    """

    network: Any
    kind: Kind
    base: VisionBase
    data: DataConfig
    num_classes: int
    class_names: tuple[str, ...] | None
    random: str = ""
    fresh: tuple[str, ...] = ()
    device: str = "cpu"
    check: AdapterCheck | None = None
    laid: Laid | None = None

    def logits(self, pixels: Any) -> Any:
        """Class scores, (images, classes), of normalised pixels (images, channels, height, width)."""
        answer = self.network(pixels)
        return answer.logits if self.kind == "transformers" else answer

    @property
    def adapted(self) -> bool:
        """Whether an adapter lies on it."""
        return self.laid is not None

    @property
    def random_now(self) -> str:
        """What of the answers is random: ``weights``, ``head``, or empty; an adapter may bring the head."""
        return "" if self.random == "head" and self.adapted else self.random

    @property
    def changes_body(self) -> bool:
        """Whether its adapter changes more than the head."""
        return self.check is not None and has_body(self.check.path)

    @contextmanager
    def without_adapter(self) -> Iterator[None]:
        """The base answers, with the adapter's head where that carries one: what differs then is the body's doing."""
        if not self.adapted:
            yield
            return
        with self.network.disable_adapter():
            yield

    def lay(self, check: AdapterCheck) -> None:
        """Lay an adapter on it, in place.

        Args:
            check: of its files, which fit; of transformers 4 or 5.

        Raises:
            GroupgapError: PEFT cannot load it.
        """
        folder = check.path
        with tempfile.TemporaryDirectory() as scratch:
            if check.converts_from and self.base.folder:
                model_type = str(read_model_config(self.base.folder).get("model_type"))
                folder = convert_to_transformers_5(folder, Path(scratch, "converted"), model_type)
            try:
                self.laid = lay(self.network, folder, self.device, own_head=False)
            except LOADING as error:
                raise GroupgapError(f"{check.path}: PEFT cannot load it: {_reason(error)}") from error
        self.network, self.check = self.laid.model, check

    def lift(self) -> None:
        """Take the adapter off again: the base's own modules stand where they stood."""
        if self.laid is not None:
            self.network, self.check, self.laid = lift(self.laid), None, None


def load_vision_model(source: VisionSource) -> VisionModel:
    """Load an image classifier.

    Raises:
        GroupgapError: files that are absent, damaged or do not fit; weights that are in no file and were not asked to
            be random.
    """
    if hidden := sorted(WEIGHTS_BY_OTHER_NAMES & set(source.build)):
        raise GroupgapError(f"{source.model}: {hidden[0]}= would bring weights past every check: say checkpoint=")
    if source.checkpoint and (Path(source.checkpoint) / "config.json").is_file():
        _refuse_full(Path(source.checkpoint))
        base = find_base(f"local-dir:{source.checkpoint}")
        source = VisionSource(**{**vars(source), "model": base.name, "checkpoint": None, "pretrained": True})
    else:
        base = find_base(source.model, source.revision, pretrained=source.pretrained and not source.checkpoint)
    if base.folder and source.pretrained and not source.checkpoint:
        _refuse_full(base.folder)
    check = check_image_adapter(source.adapter, base, other_base=source.other_base) if source.adapter else None
    try:
        model = (_timm if base.kind == "timm" else _transformers)(source, base, check)
    except ModuleNotFoundError as error:
        raise MissingExtraError("an image model", error.name or "timm", "vision") from None
    except LOADING as error:
        raise GroupgapError(f"{source.model}: cannot be loaded as an image classifier: {_reason(error)}") from error
    for module in model.network.modules():
        if hasattr(module, "qkv_bias_separate"):
            module.qkv_bias_separate = True
    model.network.to(source.device).eval()
    model.data = model.data.with_overrides(source.data)
    if check:
        model.lay(check)
    return model


def check_image_adapter(adapter: str | Path, base: VisionBase, *, other_base: bool = False) -> AdapterCheck:
    """Find and check an adapter of an image model.

    Raises:
        GroupgapError: it is damaged or does not fit.
    """
    files = read_base(base.folder) if base.folder else None
    check = check_adapter(resolve(adapter).path, files, CheckOptions(engine="hf", deep=True, other_base=other_base))
    if check.verdict != "served":
        raise GroupgapError(f"{adapter}: {check.reason}{f': {check.way_out}' if check.way_out else ''}")
    return check


def _refuse_full(folder: Path) -> None:
    whole = check_full(folder)
    if whole.verdict == "refused":
        raise GroupgapError(f"{folder}: {whole.reason}{f': {whole.way_out}' if whole.way_out else ''}")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _classes(source: VisionSource, check: AdapterCheck | None) -> int | None:
    """The size of the head that is to be built; None for the model's own."""
    carried = check.heads[-1].labels if check and check.heads else None
    if carried and source.num_classes and carried != source.num_classes:
        raise GroupgapError(
            f"num_classes={source.num_classes}: the adapter's head has {carried} classes: leave num_classes out"
        )
    return source.num_classes or carried


def _refuse_random_head(source: VisionSource, check: AdapterCheck | None) -> None:
    if not source.new_head and not (check and check.heads):
        whose = "neither the model nor the adapter has" if check else "the model has not"
        raise GroupgapError(
            f"{source.model}: {whose} a head of {source.num_classes or 'its'} classes: it would be random, and so would"
            " every answer; give a checkpoint with such a head, an adapter that carries one (modules_to_save), or leave"
            " num_classes out"
        )


def _timm(source: VisionSource, base: VisionBase, check: AdapterCheck | None) -> VisionModel:
    import timm
    import torch
    from timm.models import load_checkpoint

    weights = _weights(Path(source.checkpoint)) if source.checkpoint else None
    from_files = source.pretrained and weights is None
    name = f"local-dir:{base.folder}" if base.folder else base.name
    classes = _classes(source, check)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(source.seed)
        if weights is not None and classes is None:
            classes = _rows_of_head(weights, timm.create_model(name, **source.build))
        sized = {} if classes is None else {"num_classes": classes}
        network = timm.create_model(name, pretrained=from_files, **sized, **source.build)
    if weights is not None:
        load_checkpoint(network, str(weights))
    random = "" if weights is not None or from_files else "weights"
    own = network.pretrained_cfg.get("num_classes")
    if from_files and classes is not None and classes != own:
        _refuse_random_head(source, check)
        random = "head"
    classifier = network.pretrained_cfg.get("classifier") or ()
    heads = tuple(f"{name}." for name in ([classifier] if isinstance(classifier, str) else classifier))
    if not network.num_classes:
        _refuse_random_head(source, check)
    names = network.pretrained_cfg.get("label_names")
    known = isinstance(names, list | tuple) and len(names) == network.num_classes and not random
    return VisionModel(
        network=network,
        kind="timm",
        base=base,
        data=timm_data_config(network),
        num_classes=network.num_classes,
        class_names=tuple(map(str, names)) if known else None,
        random=random,
        fresh=tuple(name for name in network.state_dict() if random == "head" and name.startswith(heads)),
        device=source.device,
    )


def _weights(checkpoint: Path) -> Path:
    """The safetensors file of a checkpoint."""
    if checkpoint.is_dir():
        return inside(checkpoint, MODEL_WEIGHTS)
    if checkpoint.suffix != ".safetensors":
        raise GroupgapError(f"{checkpoint}: only .safetensors is read: a pickle can run code")
    return inside(checkpoint.parent, checkpoint.name)


def _rows_of_head(weights: Path, network: Any) -> int:
    """The number of classes of a timm checkpoint."""
    classifier = network.pretrained_cfg.get("classifier")
    first = classifier if isinstance(classifier, str) else (classifier or ("head",))[0]
    tensors = {name.removeprefix("module."): tensor for name, tensor in read_header(weights).items()}
    head = tensors.get(f"{first}.weight")
    if head is None:
        raise GroupgapError(f"{weights}: has no head ({first}.weight): say num_classes=, or give a whole checkpoint")
    return head.shape[0]


def _transformers(source: VisionSource, base: VisionBase, check: AdapterCheck | None) -> VisionModel:
    import torch
    from transformers import AutoConfig, AutoModelForImageClassification

    if source.build or source.checkpoint:
        what = f"{next(iter(source.build))}=" if source.build else "checkpoint="
        raise GroupgapError(f"{source.model}: {what} is for timm's models; this one is transformers': give its folder")
    folder, classes = str(base.folder), _classes(source, check)
    config = AutoConfig.from_pretrained(folder)
    sized: dict[str, Any] = {}
    if classes not in (None, config.num_labels):
        sized = {"num_labels": classes, "ignore_mismatched_sizes": True}
    random, fresh = "", tuple[str, ...]()
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(source.seed)
        if source.pretrained:
            network, info = AutoModelForImageClassification.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **sized
            )
            fresh = _fresh(source, info, check)
            random = "head" if fresh else ""
        else:
            config.num_labels = classes or config.num_labels
            network, random = AutoModelForImageClassification.from_config(config), "weights"
    named = {} if sized or random else network.config.id2label
    names = tuple(str(named[row]) for row in range(len(named)))
    known = len(names) == network.config.num_labels and not any(name.lower().startswith("label_") for name in names)
    return VisionModel(
        network=network,
        kind="transformers",
        base=base,
        data=transformers_data_config(Path(folder), network.config.num_channels),
        num_classes=network.config.num_labels,
        class_names=names if known else None,
        random=random,
        fresh=fresh,
        device=source.device,
    )


def _fresh(source: VisionSource, info: Mapping[str, Any], check: AdapterCheck | None) -> tuple[str, ...]:
    """The head's weights that are in no file of the base; other absent weights are refused."""
    fresh = set(info["missing_keys"]) | {entry[0] for entry in info["mismatched_keys"]}
    absent = sorted(fresh - (supplied(check.path) if check else set()))
    heads = ("classifier.", "score.", "head.", "cls_classifier.", "distillation_classifier.")
    if absent and not (source.new_head and all(name.startswith(heads) for name in absent)):
        raise GroupgapError(
            f"{source.model}: {len(absent)} of its weights are in no file, e.g. {absent[0]:.120}: they would be random,"
            " and so would every answer; give a checkpoint saved as an image classifier, or an adapter that was saved"
            ' with modules_to_save=["classifier"]'
        )
    return tuple(sorted(fresh))
