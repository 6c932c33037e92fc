"""The fleet's engine for image models: adapters switched in memory, each image decoded once for all variants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..adapters.vision_base import find_base
from ..adapters.vision_model import VisionModel, check_image_adapter, load_vision_model
from ..errors import GroupgapError
from .fleet_plan import Job, Member
from .head_model import device_of
from .pixel_store import LIMIT, PixelStore
from .timm_model import GroupgapTimm, source_of
from .torchvision_guard import import_torchvision
from .vision_proof import answer_probes, prove

# options of the backend; all others say what is loaded
BACKEND = ("batch_size", "num_workers", "amp", "image_folder")


class TimmEngine:
    """One image model in memory for a base and its adapters; full fine-tunes are loaded in their turn.

    Args:
        job: what it is to serve; ``cache_gib`` among its options limits the decoded images that are kept.
        scratch: a folder for them.

    Raises:
        GroupgapError: options that are not understood.
    """

    def __init__(self, job: Job, scratch: Path) -> None:
        import_torchvision()
        options = dict(job.options)
        self._store = PixelStore(scratch, _bytes(options.pop("cache_gib", None)))
        self._device = device_of(options.pop("device", None), "timm")
        self._backend = {key: options.pop(key) for key in BACKEND if key in options}
        self._source = source_of(str(job.base), options, self._device)
        self._base = find_base(self._source.model, pretrained=self._source.pretrained)
        self._model: VisionModel | None = None
        self._untouched: NDArray[np.float64] = np.empty(0)

    def ready(self, member: Member) -> tuple[GroupgapTimm, Mapping[str, Any]]:
        """Make a variant active, and prove it.

        Raises:
            GroupgapError: it cannot be loaded, or is not shown to be alive.
        """
        level = "fast" if member.proof == "fast" else "full"
        if member.served == "full":
            model = load_vision_model(replace(self._source, model=f"local-dir:{member.folder}", **_OWN_WEIGHTS))
            proof = prove(model, level, self._beside(member, model))
        else:
            model = self._adapted(member) if member.served == "adapter" else self._alone()
            proof = prove(model, level)
        labels = member.variant["labels"]
        backend = GroupgapTimm(
            model, labels=labels, proof=proof, store=self._store, device=self._device, **self._backend
        )
        return backend, proof

    def _adapted(self, member: Member) -> VisionModel:
        """The base with a member's adapter on it."""
        check = check_image_adapter(str(member.folder), self._base, other_base=True)
        model = self._alone(check.heads[-1].labels if check.heads else None)
        self._model = None  # PEFT changes it in place: it is the base again only when it is lifted
        model.lay(check)
        self._model = model
        return model

    def _alone(self, classes: int | None = None) -> VisionModel:
        """The base without an adapter, with a head of a size (None: its own), untouched by those before."""
        model = self._model
        if model is not None:
            model.lift()
            fits = classes == model.num_classes or (classes is None and not model.fresh)
            if fits and np.array_equal(answer_probes(model), self._untouched, equal_nan=True):
                return model
        head: dict[str, Any] = {} if classes is None else {"num_classes": classes, "new_head": True}
        self._model = model = load_vision_model(replace(self._source, **head))
        self._untouched = answer_probes(model)
        return model

    def _beside(self, member: Member, model: VisionModel) -> NDArray[np.float64] | None:
        """The base's answers to the probes, with a fine-tune's head where the base has none of that size."""
        if not member.variant["base"]:
            return None
        self._model = None  # two models at a time are enough
        base = load_vision_model(replace(self._source, num_classes=model.num_classes, new_head=True))
        own = model.network.state_dict()
        if not set(base.fresh) <= set(own):
            return None
        base.network.load_state_dict({name: own[name] for name in base.fresh}, strict=False)
        return answer_probes(base) if base.data.input_size == model.data.input_size else None


_OWN_WEIGHTS: Mapping[str, Any] = {"num_classes": None, "pretrained": True, "build": {}}


def _bytes(gib: object) -> int:
    if gib is None:
        return LIMIT
    if isinstance(gib, bool) or not isinstance(gib, int | float) or gib < 0:
        raise GroupgapError(f"engine_options: cache_gib={gib!r:.60}: expected a number of GiB, 0 for none")
    return int(gib * 2**30)
