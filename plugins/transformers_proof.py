"""Proof of life for a variant that transformers (with peft) computes: its answers are not the base's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import GroupgapError
from .choice_trie import Ask
from .proof import FLOORS, IDS, PROBES, Reference, answer_probes, largest_difference


def prove(model: Any, base: str | None, variant: str) -> Mapping[str, Any]:
    """Compare log-probabilities on probe prompts with those of the base in the same dtype.

    Args:
        model: lm-eval's ``HFLM``.
        base: the base's folder; None for the base itself, or where there is none.
        variant: the variant's name.

    Returns:
        The numbers, for ``variant.json``.

    Raises:
        GroupgapError: the variant answers as its base does.
    """
    if base is None:
        return {"level": "none", "passed": True, "reason": "nothing to compare with: it is a base"}
    asks = _probes(model)
    dtype, device = str(model.model.dtype).removeprefix("torch."), str(model.device)
    own = answer_probes(model.model, asks, device)
    theirs = Reference(Path(base), dtype, device).logprobs(asks, variant, "base", Path(base))
    difference = largest_difference(own, theirs)
    floor = FLOORS.get(dtype, FLOORS["bfloat16"])
    if not difference > floor:
        raise GroupgapError(
            f"variant {variant}: not proven live: it answers as the base does (largest difference of a log-probability"
            f" on {len(asks)} probes: {difference:.2g})"
        )
    return {
        "level": "transformers",
        "passed": True,
        "dtype": dtype,
        "probes": len(asks),
        "differs_from_base": difference,
    }


def _probes(model: Any) -> list[Ask]:
    prompts = [model.tok_encode(text)[: model.max_length - 1] for text in PROBES]
    prompts = [prompt for prompt in prompts if prompt]
    seen = sorted({token for prompt in prompts for token in prompt})
    ids = tuple(seen[:: -(-len(seen) // IDS)])
    return [Ask(tuple(prompt), ids, ()) for prompt in prompts]
