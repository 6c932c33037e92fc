"""Proof of life for an image classifier: its adapter is on the path of the computation, and changes the answers.

On drawn probe images a variant's log-probabilities must differ from the base's. Every layer of the adapter must be
called during a forward pass: timm's fused ``qkv`` can pass a LoRA by, and no gradient is needed to see that. All
tensors of its file must be in the model with the file's values. ``full`` also merges a copy, which must answer as the
adapter does.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..adapters.vision_images import normalise
from ..adapters.vision_model import LOADING, VisionModel
from ..errors import GroupgapError
from .head_model import DEAD, largest, log_softmax, why_not
from .proof import TOLERANCES

PROOFS = ("full", "fast", "none")
PROBES = 4
SEED = 20240517


def prove(model: VisionModel, level: str = "full", base: NDArray[np.float64] | None = None) -> Mapping[str, Any]:
    """Show that it is this variant which answers.

    Args:
        model: with its adapter laid on, or alone.
        level: ``full``, ``fast`` (no merged copy) or ``none``.
        base: the base's answers to the probes (:func:`answer_probes`), for a full fine-tune, which has none inside.

    Returns:
        The numbers, for ``variant.json`` and the results file; differences are largest absolute ones of a
        log-probability.

    Raises:
        GroupgapError: it is not shown.
    """
    if level == "none":
        return {"level": "none", "passed": True, "reason": "not asked for"}
    own = answer_probes(model)
    dtype = str(next(model.network.parameters()).dtype).removeprefix("torch.")
    numbers: dict[str, Any] = {"level": level, "passed": True, "dtype": dtype, "probes": PROBES}
    if model.adapted:
        numbers |= _adapter(model, own, level)
    elif base is not None and base.shape == own.shape:
        numbers["differs_from_base"] = largest(own - base)
    else:
        numbers |= {"level": "none", "reason": "nothing to compare with: it is a base, or has a head of another size"}
    reason = _why_not(numbers)
    if reason:
        shown = ", ".join(f"{name} {value}" for name, value in numbers.items() if name not in ("passed", "level"))
        what = model.check.path if model.check else model.base.name
        raise GroupgapError(f"{what}: not proven live: {reason} ({shown})")
    return numbers


def _adapter(model: VisionModel, own: NDArray[np.float64], level: str) -> dict[str, Any]:
    layers, silent = _silent_layers(model)
    head = "adapter" if model.check and model.check.heads else "base"
    numbers: dict[str, Any] = {"layers": layers, "layers_passed_by": silent, "head": head}
    if model.laid is not None:
        numbers |= {"tensors_matched": model.laid.matched, "tensors_expected": model.laid.expected}
    if model.changes_body:
        with model.without_adapter():
            before, again = answer_probes(model), answer_probes(model)
        if before.shape == own.shape:
            numbers |= {"differs_from_base": largest(own - before), "self_noise": largest(again - before)}
    if level == "full":
        merged = _merged(model)
        numbers["agrees_with_merged"] = largest(own - merged) if isinstance(merged, np.ndarray) else None
        numbers["tolerance"] = TOLERANCES["float32"]
        if isinstance(merged, str):
            numbers["not_merged"] = merged
    return numbers


def _why_not(numbers: Mapping[str, Any]) -> str:
    if silent := numbers.get("layers_passed_by"):
        return f"{len(silent)} of its {numbers['layers']} layers are never called, e.g. {silent[0]:.120}"
    reason = why_not(numbers)
    if reason == DEAD and numbers.get("head") == "adapter":
        return f"{reason} under its own head: its layers change nothing, its head alone was trained"
    if reason:
        return reason
    if (numbers.get("agrees_with_merged") or 0.0) > numbers.get("tolerance", 0.0):
        return "merged into the base it answers otherwise"
    return ""


def answer_probes(model: VisionModel) -> NDArray[np.float64]:
    """Log-probabilities of the probe images, (probes, classes)."""
    import torch

    with torch.inference_mode():
        logits = model.logits(_probes(model)).double().cpu().numpy()
    return log_softmax(logits, "timm")


def _probes(model: VisionModel) -> Any:
    """Seeded patches of colour in the model's own size, normalised as it wants them."""
    import torch

    channels, height, width = model.data.input_size
    numbers = np.random.default_rng(SEED).integers(0, 256, (PROBES, channels, 8, 8), np.uint8)
    coarse = torch.from_numpy(numbers)
    pixels = torch.nn.functional.interpolate(coarse.float(), size=(height, width), mode="nearest").to(torch.uint8)
    return normalise(pixels.to(model.device), model.data)


def _silent_layers(model: VisionModel) -> tuple[int, list[str]]:
    """Number of the adapter's layers, and those that a forward pass never calls."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = {name: module for name, module in model.network.named_modules() if isinstance(module, BaseTunerLayer)}
    called: set[str] = set()
    hooks = [module.register_forward_hook(lambda *_, name=name: called.add(name)) for name, module in layers.items()]
    try:
        answer_probes(model)
    finally:
        for hook in hooks:
            hook.remove()
    return len(layers), [name.removeprefix("base_model.model.") for name in layers if name not in called]


def _merged(model: VisionModel) -> NDArray[np.float64] | str:
    """Answers of a copy with the adapter merged into its weights, or why there is none."""
    try:
        twin = copy.copy(model)
        twin.network = copy.deepcopy(model.network).merge_and_unload(safe_merge=True).eval()
    except LOADING as error:
        return f"PEFT does not merge it: {' '.join(str(error).split())[:160]}"
    return answer_probes(twin)
