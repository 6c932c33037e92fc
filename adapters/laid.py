"""An adapter laid on a model in memory by PEFT, and counted: are all tensors of its file in the model?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .layout import parse_key
from .tensors import ADAPTER_WEIGHTS, inside, read_checkpoint


@dataclass(frozen=True)
class Laid:
    """A model with an adapter on it.

    Attributes:
        model: PEFT's model, in evaluation mode.
        expected: number of tensors in the adapter's file.
        matched: how many of them are in the model, with the file's values.
        replaced: heads of the base that were random, and their weights.
    """

    model: Any
    expected: int
    matched: int
    replaced: tuple[tuple[Any, Mapping[str, Any]], ...] = ()


def lay(base: Any, folder: Path, device: str, *, own_head: bool = True) -> Laid:
    """Lay an adapter on a model.

    Args:
        base: the model; PEFT changes it in place.
        folder: the adapter's, checked before.
        device: where torch computes.
        own_head: whether the base's head came from a file. A random one is replaced by the adapter's, so that the model
            without the adapter is the base with the adapter's head, never with a random one.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils import ModulesToSaveWrapper
    from safetensors.torch import load_file

    model = PeftModel.from_pretrained(base, str(folder), torch_device=device).eval()
    stored = load_file(inside(folder, ADAPTER_WEIGHTS))
    matched = _equal_tensors(stored, get_peft_model_state_dict(model))
    replaced = []
    for module in model.modules():
        if isinstance(module, ModulesToSaveWrapper) and not own_head:
            head = module.original_module
            replaced.append((head, {name: tensor.clone() for name, tensor in head.state_dict().items()}))
            head.load_state_dict(module.modules_to_save["default"].state_dict())
    return Laid(model, len(stored), matched, tuple(replaced))


def lift(laid: Laid) -> Any:
    """Take an adapter off again, and give back the base; PEFT's own ``unload`` leaves the adapter's head in it.

    What an adapter changed in the base itself (biases, weights split by PiSSA) is not undone: compare answers.
    """
    from peft.utils import ModulesToSaveWrapper

    kept = {
        name.removeprefix("base_model.model."): module.original_module
        for name, module in laid.model.named_modules()
        if isinstance(module, ModulesToSaveWrapper)
    }
    base = laid.model.unload()
    for name, module in kept.items():
        base.set_submodule(name, module)
    for head, weights in laid.replaced:
        head.load_state_dict(weights)
    return base


def supplied(folder: Path) -> set[str]:
    """Names of the base's tensors in whose place an adapter brings its own."""
    keys = [parse_key(name) for name in read_checkpoint(folder, ADAPTER_WEIGHTS)]
    saved = [key for key in keys if key and key.part.startswith("saved.")]
    return {f"{key.module}.{key.part.removeprefix('saved.')}" for key in saved}


def has_body(folder: Path) -> bool:
    """Whether an adapter changes more than a head and other whole modules."""
    names = read_checkpoint(folder, ADAPTER_WEIGHTS)
    return any((key := parse_key(name)) is None or not key.part.startswith("saved.") for name in names)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No report of absent weights: callers look at them, and refuse or find them in an adapter."""
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def _equal_tensors(stored: Mapping[str, Any], loaded: Mapping[str, Any]) -> int:
    """How many tensors of a file are in the model with the file's values; names may have been converted on the way."""
    left = {name: tensor.cpu() for name, tensor in loaded.items()}
    matched = 0
    for name, tensor in stored.items():
        candidates = [name] if name in left else [other for other in left if other not in stored]
        for other in candidates:
            theirs = left[other]
            if theirs.shape == tensor.shape and bool((tensor.to(theirs.dtype) == theirs).all()):
                left.pop(other)
                matched += 1
                break
    return matched
