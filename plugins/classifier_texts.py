"""Texts as a sequence classifier reads them: its tokens, special ones included, cut to its window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import GroupgapError

_NO_LIMIT = 1_000_000  # tokenizers without a limit say a larger number
# learnt positions that begin after the padding's
_OFFSET_POSITIONS = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "esm")


class TextEncoder:
    """The tokenizer of a classifier.

    Args:
        base: the base's folder.
        tokenizer: another folder or hub id for the tokenizer.
        max_length: most tokens of a text; None for what tokenizer and model take.

    Raises:
        GroupgapError: files that cannot be read, or a ``max_length`` beyond the model's.
    """

    def __init__(self, base: Path, tokenizer: str | Path | None, max_length: int | None) -> None:
        from transformers import AutoConfig, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(str(tokenizer or base))
            config = AutoConfig.from_pretrained(str(base)).get_text_config()
        except (ValueError, OSError, KeyError, TypeError, ImportError) as error:
            reason = " ".join(str(error).split())[:300]
            raise GroupgapError(
                f"{tokenizer or base}: its tokenizer or configuration cannot be read: {reason}"
            ) from error
        self._tokenizer.truncation_side = "right"
        limit = _limit(self._tokenizer, config)
        if max_length is not None and not 1 <= int(max_length) <= (limit or int(max_length)):
            raise GroupgapError(f"groupgap-classifier: max_length={max_length}: expected 1 to {limit or 'any number'}")
        self.window = int(max_length) if max_length is not None else limit

    def encode(self, texts: Sequence[str], say: Callable[[str], None]) -> list[list[int]]:
        """The tokens of texts.

        Args:
            texts: the texts.
            say: told how many texts were cut, if any.

        Raises:
            GroupgapError: a text without a token.
        """
        if not texts:
            return []
        found: list[list[int]] = self._tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
        long = [place for place, tokens in enumerate(found) if self.window and len(tokens) > self.window]
        if long:
            say(f"{len(long)} of {len(texts)} texts are longer than {self.window} tokens and were cut at the end")
            wholes = [texts[place] for place in long]
            cut = self._tokenizer(wholes, truncation=True, max_length=self.window)["input_ids"]
            for place, tokens in zip(long, cut, strict=True):
                found[place] = tokens
        empty = sum(not tokens for tokens in found)
        if empty:
            raise GroupgapError(
                f"groupgap-classifier: {empty} of {len(texts)} texts have no tokens (the first is number"
                f" {[bool(tokens) for tokens in found].index(False)}): there is nothing to classify"
            )
        return found


def _limit(tokenizer: Any, config: Any) -> int | None:
    """Most tokens that the tokenizer and the model's positions take; None without a limit."""
    positions = getattr(config, "max_position_embeddings", None)
    offset = (config.pad_token_id or 0) + 1 if config.model_type in _OFFSET_POSITIONS else 0
    limits = [
        tokenizer.model_max_length if tokenizer.model_max_length < _NO_LIMIT else None,
        positions - offset if positions and positions > 0 else None,
    ]
    return min((int(limit) for limit in limits if limit), default=None)
