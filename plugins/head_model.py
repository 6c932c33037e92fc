"""What lm-eval backends with a classification head have in common: one answer a document, no prompt, no text."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from lm_eval.api.model import LM
from numpy.typing import NDArray

from ..errors import GroupgapError
from .proof import FLOORS

BATCH_SIZE = 32
DEAD = "it answers as the base does"


class HeadModel(LM):
    """A backend whose head answers ``multiple_choice`` documents; :attr:`name` stands before its messages."""

    name = "groupgap"
    reads = "the document's own field"

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    @property
    def _log(self) -> logging.Logger:
        return logging.getLogger(type(self).__module__)

    def _say(self, message: str, *values: object) -> None:
        """Warn, once a message and its values."""
        key = message % values
        if key not in self._said:
            self._said.add(key)
            self._log.warning("%s: %s", self.name, key)

    def _by_document(self, requests: Sequence[Any]) -> list[list[int]]:
        """The places of each document's requests.

        Raises:
            GroupgapError: documents that are asked with several prompts each.
        """
        places: dict[tuple[Any, ...], list[int]] = {}
        for place, request in enumerate(requests):
            key = (request.task_name, request.doc_id, id(request.doc) if request.doc_id is None else None)
            places.setdefault(key, []).append(place)
        for own in places.values():
            prompts = {requests[place].args[0] for place in own}
            if len(prompts) > 1:
                task = requests[own[0]].task_name
                raise GroupgapError(
                    f"{self.name}: task {task}: its documents are asked with several prompts each (a choice within the"
                    f" prompt, acc_mutual_info): the head reads {self.reads} alone and cannot tell them apart"
                )
        return list(places.values())

    @staticmethod
    def _answers(row: NDArray[np.float64], own: Sequence[int], indices: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """lm-eval's answers to one document's requests: (log-probability, whether no class is more probable)."""
        best = float(row.max())
        for place, index in zip(own, indices, strict=True):
            yield place, (float(row[index]), float(row[index]) >= best)

    # --- what a head is not asked ---------------------------------------------------------------------------------

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Refuse: a head gives no probability of a text.

        Raises:
            GroupgapError: always.
        """
        raise GroupgapError(f"{self.name}: a classifier gives no probability of a text (loglikelihood_rolling)")

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Refuse: a head writes no text.

        Raises:
            GroupgapError: always.
        """
        raise GroupgapError(f"{self.name}: a classifier writes no text (generate_until): give it multiple_choice tasks")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Refuse: no prompt is read.

        Raises:
            GroupgapError: always.
        """
        raise GroupgapError(f"{self.name}: no prompt is read: leave out --apply_chat_template")

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """Refuse, where lm-eval asks for a template; see :meth:`apply_chat_template`."""
        return self.apply_chat_template([]) if chat_template else None

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Refuse lm-eval's cache of answers.

        Raises:
            GroupgapError: always.
        """
        raise GroupgapError(
            f"{self.name}: lm-eval's use_cache knows a request by its prompt alone, which is not what is read here, and"
            " would answer for one adapter with another's answers: leave it out"
        )


def log_softmax(logits: NDArray[np.float64], name: str = "groupgap-classifier") -> NDArray[np.float64]:
    """Natural log-probabilities of each row.

    Args:
        logits: (documents, classes).
        name: the backend, for the message.

    Raises:
        GroupgapError: a logit that is no number.

    >>> log_softmax(np.array([[0.0, 0.0]])).round(4).tolist()
    [[-0.6931, -0.6931]]
    """
    if not np.isfinite(logits).all():
        raise GroupgapError(f"{name}: the head's logits are no numbers (NaN or infinite)")
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def why_not(numbers: Mapping[str, Any]) -> str:
    """Judge the numbers of a proof of life; empty where they pass."""
    if numbers.get("tensors_matched") != numbers.get("tensors_expected"):
        return "not all tensors of its file are in the model"
    floor = FLOORS.get(numbers["dtype"], FLOORS["bfloat16"])
    if numbers.get("differs_from_base", math.inf) <= max(2 * numbers.get("self_noise", 0.0), floor):
        return DEAD
    if numbers.get("agrees_with_reference", 0.0) > numbers.get("tolerance", 0.0):
        return "it does not answer as in transformers and peft"
    return ""


def largest(differences: NDArray[np.float64]) -> float:
    """The largest absolute one."""
    return float(np.abs(differences).max())


def batch_size_of(asked: int | str | None, name: str) -> int:
    """Documents computed together, from what lm-eval hands over.

    Raises:
        GroupgapError: no number of them.
    """
    text = str(asked)
    if asked is None or text.startswith("auto"):
        return BATCH_SIZE
    if not text.isdigit() or int(text) < 1:
        raise GroupgapError(f"{name}: batch_size={asked!r}: expected a whole number, 1 or more, or auto")
    return int(text)


def device_of(asked: str | None, name: str) -> str:
    """Where torch computes; lm-eval's command asks for ``cuda:0`` whether there is one or not."""
    import torch

    if torch.cuda.is_available():
        return asked or "cuda"
    if asked and asked.startswith("cuda"):
        logging.getLogger(__name__).info("%s: no GPU that torch can use: computing on the CPU", name)
    return "cpu" if not asked or asked.startswith("cuda") else asked
