"""One model to be judged: which base, which method, which weights, served how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# "base" is the base itself, "full" a checkpoint of all weights; the others are PEFT's methods as rosters spell them
WHOLE_METHODS = ("base", "full")
ADAPTER_METHODS = (
    "lora", "dora", "rslora", "adalora", "ia3", "vera", "loha", "lokr", "oft", "boft", "hra", "miss", "ln_tuning",
    "fourierft", "vblora", "randlora", "road", "shira", "c3a", "waveft", "delora", "gralora", "trainable_tokens",
    "prefix_tuning", "prompt_tuning", "p_tuning", "multitask_prompt_tuning", "adaption_prompt", "head",
)  # fmt: skip
METHODS = (*WHOLE_METHODS, *ADAPTER_METHODS)
ENGINES = ("vllm", "hf", "classifier", "timm", "server")
PROOFS = ("full", "fast")


@dataclass(frozen=True)
class Variant:
    """A model to be judged.

    Attributes:
        name: unique in its roster; names its run folder and its board row.
        base: folder or hub id (``org/name[@revision]``) of the base; None for a full checkpoint that stands alone.
        method: one of :data:`METHODS`.
        weights: folder or hub id of the adapter or full checkpoint; None for the base itself.
        revision: hub revision of the weights, where ``weights`` does not name it.
        seed: training seed; None where unknown.
        engine: one of :data:`ENGINES`.
        engine_options: handed to the engine as they are (``dtype``, ``max_model_len``, ...).
        merge: merge the adapter into the base and serve the result as a full variant.
        labels: a task's choice -> the classifier's label (a name or a number); None to match by name.
        server: URL of a running ``vllm serve``; None for an engine of ours.
        served_as: the model's name on that server; None where it is ``name``.
        proof: ``"full"``, or ``"fast"`` without the reference by transformers and peft.
        other_base: accept a base whose hub name is not the one that the adapter names.
    """

    name: str
    base: str | None
    method: str = "base"
    weights: str | None = None
    revision: str | None = None
    seed: int | None = None
    engine: str = "vllm"
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    merge: bool = False
    labels: Mapping[str, str | int] | None = None
    server: str | None = None
    served_as: str | None = None
    proof: str = "full"
    other_base: bool = False

    @property
    def is_adapter(self) -> bool:
        """Whether its weights are an adapter's, to be laid on the base."""
        return self.method not in WHOLE_METHODS
