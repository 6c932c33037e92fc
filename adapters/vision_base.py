"""Which image model a name means: a name of timm's registry, a folder, or a repository of the hub."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import GroupgapError, MissingExtraError
from .base_model import is_timm, read_model_config
from .resolve import Resolved, resolve

Kind = Literal["timm", "transformers"]
PREFIXES = ("local-dir:", "hf-hub:", "hf_hub:")


@dataclass(frozen=True)
class VisionBase:
    """An image model found.

    Attributes:
        name: as it was asked for.
        kind: whose class computes it.
        resolved: its folder with weights; None where random weights were asked for by a name of timm's registry.
    """

    name: str
    kind: Kind
    resolved: Resolved | None

    @property
    def folder(self) -> Path | None:
        """The folder with its weights and configuration."""
        return self.resolved.path if self.resolved else None


def find_base(model: str, revision: str | None = None, *, pretrained: bool = True) -> VisionBase:
    """Find an image model.

    Args:
        model: a name of timm's registry (``vit_base_patch16_224.augreg_in21k``), ``hf-hub:ORG/NAME[@REVISION]``,
            ``local-dir:FOLDER``, a folder, or ``ORG/NAME[@REVISION]``.
        revision: hub revision, where ``model`` names none.
        pretrained: False for random weights: a name of the registry then needs no files.

    Raises:
        GroupgapError: no such model, none with safetensors, or one that cannot be fetched.
    """
    prefix = next((prefix for prefix in PREFIXES if model.startswith(prefix)), "")
    place = model.removeprefix(prefix)
    if not prefix and "/" not in model and not Path(model).is_dir():
        if not pretrained:
            _registered(model)
            return VisionBase(model, "timm", None)
        place, prefix = _weights_of(model), "hf-hub:"
    resolved = resolve(Path(place) if prefix == "local-dir:" else place, revision)
    config = read_model_config(resolved.path)
    if not is_timm(config) and not config.get("model_type"):
        raise GroupgapError(
            f"{model}: its config.json names neither timm's architecture nor transformers' model_type: not an image"
            " model that can be built"
        )
    return VisionBase(model, "timm" if is_timm(config) else "transformers", resolved)


def _registered(name: str) -> None:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MissingExtraError("a model of timm's", error.name or "timm", "vision") from None
    if not timm.is_model(name):
        near = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=3)
        meant = f" (did you mean {' or '.join(near)}?)" if near else ""
        raise GroupgapError(
            f"{name!r:.120}: neither a folder nor a model of timm's{meant}:"
            " timm.list_models() has all names; ORG/NAME is a repository of the hub"
        )


def _weights_of(name: str) -> str:
    """The hub repository with the pretrained weights of a name of timm's registry."""
    _registered(name)
    from timm.models import get_pretrained_cfg

    try:
        found = get_pretrained_cfg(name)
    except RuntimeError as error:
        raise GroupgapError(f"{name}: {' '.join(str(error).split())[:200]}") from None
    if found is None or not found.hf_hub_id:
        raise GroupgapError(
            f"{name}: timm has no pretrained weights of that name on the hub: name others"
            " (timm.list_pretrained() has all), or say pretrained=false for random weights"
        )
    return str(found.hf_hub_id)
