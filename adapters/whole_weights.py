"""A model with every weight from its files: transformers draws what is missing at random, with a warning alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import GroupgapError


def load_whole(kind: Any, folder: Path, new: tuple[str, ...] = (), dtype: Any = "float32", **options: Any) -> Any:
    """Load a model of transformers'.

    Args:
        kind: one of transformers' ``AutoModelFor...`` classes.
        folder: its own.
        new: modules at the model's top that may be drawn anew: a new head's.
        dtype: of its weights, as transformers takes it.
        options: more arguments of ``from_pretrained``.

    Raises:
        GroupgapError: weights that are in no file of the folder, and of no new head.
    """
    model, info = kind.from_pretrained(
        str(folder), dtype=dtype, use_safetensors=True, output_loading_info=True, **options
    )
    absent = sorted(name for name in info["missing_keys"] if name.partition(".")[0] not in new)
    if absent:
        raise GroupgapError(
            f"{folder}: {len(absent)} weights of {type(model).__name__} are in no file, e.g. {absent[0]:.120}: they "
            "would be random, and no adapter keeps them: give a model of this kind whose checkpoint is whole"
        )
    return model
