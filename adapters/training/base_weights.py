"""The base of a training, every weight from its files: transformers draws what is missing at random, with a warning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import GroupgapError


def load_whole(kind: Any, base: Path, new: tuple[str, ...] = (), **options: Any) -> Any:
    """Load a model of transformers' in float32.

    Args:
        kind: one of transformers' ``AutoModelFor...`` classes.
        base: its folder.
        new: modules at the model's top that may be drawn anew: a new head's.
        options: more arguments of ``from_pretrained``.

    Raises:
        GroupgapError: weights that are in no file of the base, and of no new head.
    """
    import torch

    model, info = kind.from_pretrained(
        str(base), dtype=torch.float32, use_safetensors=True, output_loading_info=True, **options
    )
    absent = sorted(name for name in info["missing_keys"] if name.partition(".")[0] not in new)
    if absent:
        raise GroupgapError(
            f"{base}: {len(absent)} weights of {type(model).__name__} are in no file, e.g. {absent[0]:.120}: they "
            "would be random, and no adapter keeps them: give a base of this kind of model whose checkpoint is whole"
        )
    return model
