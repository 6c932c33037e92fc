"""lm-eval's model backend ``groupgap-classifier``: a sequence classifier answers ``multiple_choice`` tasks.

``lm_eval --model groupgap-classifier --model_args pretrained=BASE,adapter=PATH,labels=no:0;yes:1`` reads the text of
each document, not its prompt: a classification head was trained on texts. The log-softmax of the head's logits, all
labels in it, is the log-probability of the choice that a label stands for.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..adapters.resolve import resolve
from ..errors import GroupgapError, one_line_for_mistakes
from .classifier_texts import TextEncoder
from .classifier_weights import ClassifierFiles, TransformersClassifier, check_files
from .head_model import HeadModel, batch_size_of, device_of, largest, log_softmax, why_not
from .label_mapping import LabelMapping, map_choices, parse_labels
from .proof import PROBES, TOLERANCES

one_line_for_mistakes()  # this module is imported by lm_eval's command too
log = logging.getLogger(__name__)

ENGINES = ("hf", "vllm")
PROOFS = ("fast", "full", "none")


class Head(Protocol):
    """What computes the logits: :class:`TransformersClassifier` or ``VllmClassifier``."""

    names: tuple[str, ...]
    comparable: bool
    expected: int
    matched: int

    @property
    def dtype(self) -> str:
        """Of the weights."""
        ...

    def logits(self, texts: Sequence[Sequence[int]], *, base: bool = False, quiet: bool = True) -> NDArray[np.float64]:
        """The head's logits, (texts, labels)."""
        ...


class GroupgapClassifier(HeadModel):
    """A base with a head, alone or with an adapter.

    Args:
        pretrained: folder or hub id of a sequence classifier, or of the base of an adapter that carries a head.
        adapter: folder or hub id (``org/name@revision``) of an adapter; ``peft=`` is the same.
        labels: the head's label (number or name) of each choice, a mapping or ``choice:label;choice:label``; by default
            choices are matched with the names of ``id2label``, exactly but for upper and lower case.
        text_field: the documents' field to read.
        engine: ``hf`` (transformers and peft) or ``vllm`` (its pooling runner).
        tokenizer: folder or hub id; the base's by default.
        revision: hub revision of ``pretrained``.
        batch_size: texts computed together (``hf``).
        max_length: most tokens of a text; longer ones are cut at the end, and that is said. The model's by default.
        dtype: torch's name of a dtype; ``auto`` is the checkpoint's.
        device: where torch computes (``hf``); by default a GPU where there is one, else the CPU.
        proof: what must be shown first: ``fast`` (it is not the base that answers), ``full`` (``vllm``: it answers as
            transformers and peft do) or ``none``. By default ``fast``, and ``full`` for ``vllm``.
        other_base: take a base of another hub name than the adapter's configuration has.
        options: further arguments of ``vllm.LLM``.

    Raises:
        GroupgapError: files that do not fit, weights that are in no file, or a failed proof.
    """

    name = "groupgap-classifier"
    reads = "the text"

    def __init__(
        self,
        pretrained: str | Path,
        adapter: str | Path | None = None,
        *,
        peft: str | Path | None = None,
        labels: Mapping[str, str | int] | str | None = None,
        text_field: str = "text",
        engine: str = "hf",
        tokenizer: str | Path | None = None,
        revision: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        max_length: int | None = None,
        dtype: str = "auto",
        device: str | None = None,
        proof: str | None = None,
        other_base: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        _refuse(engine, proof, options)
        self._labels, self._text_field = parse_labels(labels), text_field
        found = adapter or peft
        base = resolve(pretrained, revision).path
        self._files = check_files(
            base, resolve(found).path if found else None, "vllm" if engine == "vllm" else "hf", other_base=other_base
        )
        self._texts = TextEncoder(base, tokenizer, max_length or options.pop("max_model_len", None))
        self._device = device_of(device, self.name)
        self.engine, self._dtype, self._batch_size = engine, dtype, batch_size_of(batch_size, self.name)
        self._head = self._open(options)
        self._mappings: dict[tuple[str, ...], LabelMapping] = {}
        self._proof: Mapping[str, float | str] | None = None
        level = proof or ("full" if engine == "vllm" else "fast")
        if level != "none":
            log.info("groupgap: classifier proven: %s", prove(self, level=level))

    def _open(self, options: Mapping[str, Any]) -> Head:
        if self.engine == "vllm":
            from .classifier_vllm import VllmClassifier

            return VllmClassifier(self._files, self._dtype, self._texts.window, options)
        return TransformersClassifier(self._files, self._dtype, str(self._device), self._batch_size)

    def reference(self) -> TransformersClassifier:
        """The same classifier in transformers and peft, in the engine's dtype, on the CPU."""
        return TransformersClassifier(self._files, self._head.dtype, "cpu", self._batch_size)

    @property
    def head(self) -> Head:
        """What computes the logits."""
        return self._head

    @property
    def files(self) -> ClassifierFiles:
        """The checked files."""
        return self._files

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the head's labels, in the order of its rows."""
        return self._head.names

    @property
    def is_adapted(self) -> bool:
        """Whether an adapter lies on the base."""
        return self._files.adapter is not None

    # --- answers --------------------------------------------------------------------------------------------------

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Score the choices of documents.

        Args:
            requests: lm-eval's requests, each with its document and a (prompt, choice) pair; the prompt is not read.
            disable_tqdm: show no progress.

        Returns:
            For each request, the log-probability of the choice's label over all labels of the head, and whether no
            label is more probable.

        Raises:
            GroupgapError: a document without text, a choice without a label, or logits that are no numbers.
        """
        places = self._by_document(requests)
        texts = [self._text(requests[own[0]].doc) for own in places]
        distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        self._say("the prompt is not read (few-shot examples, instructions): the head reads %r alone", self._text_field)
        logprobs = self._logprobs(list(distinct), quiet=disable_tqdm)
        answers: dict[int, tuple[float, bool]] = {}
        for text, own in zip(texts, places, strict=True):
            row = logprobs[distinct[text]]
            mapping = self._mapping(tuple(requests[place].args[1] for place in own))
            answers.update(self._answers(row, own, mapping.indices))
        return [answers[place] for place in range(len(requests))]

    def _text(self, document: Mapping[str, Any]) -> str:
        text = document.get(self._text_field)
        if not isinstance(text, str):
            raise GroupgapError(
                f"groupgap-classifier: text_field={self._text_field}: the documents have no such text; their fields:"
                f" {', '.join(map(str, document))[:300]}"
            )
        return text

    def _mapping(self, choices: tuple[str, ...]) -> LabelMapping:
        if choices not in self._mappings:
            mapping = self._mappings[choices] = map_choices(choices, self.labels, self._labels)
            shown = {choice: self.labels[index] for choice, index in zip(choices, mapping.indices, strict=True)}
            log.info("groupgap-classifier: labels of the choices: %s", shown)
            if self._labels is None and self._files.labels is not None:
                self._say(
                    "the labels' names (%s) are those of the base's config.json, the head is the adapter's own: if it"
                    " was trained with others, tell them with labels=",
                    ", ".join(self.labels),
                )
            if mapping.unused:
                self._say(
                    "the head has labels that no choice maps to, they keep their share of the probability: %s",
                    ", ".join(mapping.unused),
                )
        return self._mappings[choices]

    def _logprobs(self, texts: Sequence[str], *, quiet: bool) -> NDArray[np.float64]:
        return log_softmax(self._head.logits(self.encode(texts), quiet=quiet))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of texts, special ones included, cut to the window.

        Raises:
            GroupgapError: a text without a token.
        """
        return self._texts.encode(texts, self._say)

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval writes into the results beside the arguments: which label answered for which choice."""
        mapped = {
            choice.strip(): self.labels[index]
            for choices, mapping in self._mappings.items()
            for choice, index in zip(choices, mapping.indices, strict=True)
        }
        return {"groupgap_labels": mapped, "groupgap_proof": dict(self._proof or {})}


def prove(model: GroupgapClassifier, level: str | None = None) -> Mapping[str, float | str]:
    """Show that it is this classifier which answers: on probe texts its log-probabilities differ from the base's by
    more than the base's from themselves, its tensors are those of its file, and (``full``) an engine answers as
    transformers and peft do.

    Args:
        model: the classifier.
        level: ``fast`` or ``full``; None for what was shown when it was made, or ``fast``.

    Returns:
        The numbers; differences are largest absolute ones of a log-probability.

    Raises:
        GroupgapError: it is not shown.
    """
    if level is None and model._proof is not None:
        return model._proof
    texts, head = model.encode(PROBES), model.head
    before = head.logits(texts, base=True)
    own = log_softmax(head.logits(texts))
    numbers: dict[str, float | str] = {
        "level": level or "fast", "engine": model.engine, "dtype": head.dtype, "probes": len(texts),
        "head": "adapter" if model.files.labels is not None else "base",
    }  # fmt: skip
    if model.is_adapted and head.comparable and before.shape == own.shape:
        numbers["differs_from_base"] = largest(own - log_softmax(before))
        numbers["self_noise"] = largest(head.logits(texts, base=True) - before)
    if head.expected:
        numbers |= {"tensors_matched": head.matched, "tensors_expected": head.expected}
    if level == "full":
        numbers["agrees_with_reference"] = largest(own - log_softmax(model.reference().logits(texts)))
        numbers["tolerance"] = TOLERANCES.get(head.dtype, TOLERANCES["bfloat16"])
    reason = why_not(numbers)
    if reason:
        shown = ", ".join(f"{name} {value}" for name, value in numbers.items())
        raise GroupgapError(f"{model.files.adapter or model.files.base}: not proven live: {reason} ({shown})")
    model._proof = numbers
    return numbers


def _refuse(engine: str, proof: str | None, options: Mapping[str, Any]) -> None:
    for name, value, allowed in (("engine", engine, ENGINES), ("proof", proof or "fast", PROOFS)):
        if value not in allowed:
            raise GroupgapError(f"groupgap-classifier: {name}={value!r}: expected one of {', '.join(allowed)}")
    unknown = sorted(options.keys() - {"max_model_len"})
    if engine != "vllm" and unknown:
        raise GroupgapError(
            f"groupgap-classifier: unknown argument {unknown[0]!r:.80} (engine={engine} takes pretrained, adapter,"
            " labels, text_field, tokenizer, revision, batch_size, max_length, dtype, device, proof, other_base)"
        )
