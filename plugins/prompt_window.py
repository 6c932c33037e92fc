"""Prompts that fit the model: what is cut is the text that is judged, never the question about it.

A backend that gets a prompt longer than its window cuts it from the left, and the question may be what goes. A task
that knows the model's tokenizer can do better. lm-eval hands a task the model's arguments as metadata (its RULER tasks
find the tokenizer so): ``tokenizer``, else ``pretrained``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import GroupgapError

log = logging.getLogger(__name__)
_NO_LIMIT = 1_000_000  # tokenizers without a limit say a larger number
CHARACTERS_A_TOKEN = 2  # of text, kept for a token of the budget where no tokenizer is known

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Window:
    """A tokenizer, and how many tokens a prompt and its answer may have together.

    Attributes:
        tokenizer: of transformers.
        tokens: most tokens, special ones included.
    """

    tokenizer: Any
    tokens: int

    def count(self, text: str, special: bool = True) -> int:
        """Number of tokens of a text."""
        return len(self.tokenizer(text, add_special_tokens=special, truncation=False, verbose=False)["input_ids"])

    def cut(self, text: str, excess: int) -> str:
        """The text without its last ``excess`` tokens, or about so many; always shorter than it was."""
        options = {"add_special_tokens": False, "truncation": False, "verbose": False}
        if self.tokenizer.is_fast:
            ends = [end for _, end in self.tokenizer(text, return_offsets_mapping=True, **options)["offset_mapping"]]
        else:
            tokens = self.tokenizer(text, **options)["input_ids"]
            ends = [round(len(text) * (place + 1) / len(tokens)) for place in range(len(tokens))]
        kept = ends[len(ends) - excess - 1] if len(ends) > excess else 0
        return text[: min(kept, len(text) - 1)].rstrip()


def find_window(metadata: Mapping[str, Any], budget: int | None) -> Window | None:
    """The window of the model that lm-eval's metadata names; ``None`` where no tokenizer is known.

    Args:
        metadata: a task's, with the model's arguments in it.
        budget: most tokens of prompt and answer; ``None``: as many as the model takes.
    """
    name = next((metadata[key] for key in ("tokenizer", "pretrained") if isinstance(metadata.get(key), str)), None)
    if not name:
        return None
    tokenizer, longest = _load(name, str(metadata.get("pretrained") or name), metadata.get("revision"))
    if tokenizer is None:
        return None
    told = [metadata.get(key) for key in ("max_length", "max_model_len")]
    # One token less than the model's window: vLLM keeps room for one that it generates.
    limits = [int(str(limit)) - 1 for limit in (*told, longest) if str(limit or "").isdecimal()]
    return Window(tokenizer, min([budget or _NO_LIMIT, *limits]))


@lru_cache(maxsize=4)
def _load(name: str, model: str, revision: str | None) -> tuple[Any, int | None]:
    """A tokenizer and the model's own limit; neither where they cannot be read."""
    from transformers import AutoConfig, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
    except (ValueError, OSError, KeyError, TypeError, ImportError) as error:
        log.warning("no tokenizer %s (%s): prompts are not fitted to the model", name, type(error).__name__)
        return None, None
    limits = [tokenizer.model_max_length]
    with suppress(ValueError, OSError, KeyError, TypeError, ImportError, AttributeError):
        limits.append(AutoConfig.from_pretrained(model, revision=revision).get_text_config().max_position_embeddings)
    known = [int(limit) for limit in limits if limit and limit < _NO_LIMIT]
    return tokenizer, min(known, default=None)


def fitted(window: Window | None, document: Document, render: Callable[[Document], Sequence[str]]) -> Document:
    """The document with its ``text`` cut at the end, so that every prompt with its answer fits the window.

    Args:
        window: ``None`` leaves the document as it is.
        document: has a ``text``.
        render: the whole strings, prompt and answer, that the model would read for a document.

    Raises:
        GroupgapError: a prompt is too long even without the text.
    """
    if window is None:
        return document
    while True:
        excess = max(window.count(string) for string in render(document)) - window.tokens
        if excess <= 0:
            return document
        if not document["text"]:
            raise GroupgapError(
                f"the question alone, without any text, has {excess} tokens more than the {window.tokens} that fit: "
                "raise prompt_tokens where the model takes more, or give fewer examples"
            )
        document = {**document, "text": window.cut(str(document["text"]), excess)}
