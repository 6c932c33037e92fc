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
    if hasattr(model.model, "disable_adapter"):  # the very same object, its adapter switched off
        with model.model.disable_adapter():
            theirs = answer_probes(model.model, asks, device)
    else:
        theirs = Reference(Path(base), dtype, device).logprobs(asks, variant, "base", Path(base))
    found = unlike(own, theirs, dtype, variant)
    return {"level": "transformers", "passed": True, "dtype": dtype, "probes": len(asks), **found}


def unlike(own: list[list[float]], base: list[list[float]], dtype: str, variant: str) -> Mapping[str, Any]:
    """Show that a variant's answers to the probes are not the base's.

    Args:
        own: its log-probabilities, (probes, tokens).
        base: the base's.
        dtype: what both were computed in; it says how large rounding is.
        variant: its name.

    Raises:
        GroupgapError: they are the base's, up to rounding.
    """
    difference = largest_difference(own, base)
    if not difference > FLOORS.get(dtype, FLOORS["bfloat16"]):
        raise GroupgapError(
            f"variant {variant}: not proven live: it answers as the base does (largest difference of a log-probability"
            f" on {len(own)} probes: {difference:.2g})"
        )
    return {"differs_from_base": difference}


def _probes(model: Any) -> list[Ask]:
    prompts = [model.tok_encode(text)[: model.max_length - 1] for text in PROBES]
    prompts = [prompt for prompt in prompts if prompt]
    seen = sorted({token for prompt in prompts for token in prompt})
    ids = tuple(seen[:: -(-len(seen) // IDS)])
    return [Ask(tuple(prompt), ids, ()) for prompt in prompts]
