"""Texts for a training: the base's tokenizer, its window, and rows of tokens padded to a batch."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import GroupgapError
from ..tensors import inside
from .recipe import Recipe

IGNORED = -100
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    "tokenizer.model", "vocab.json", "merges.txt", "vocab.txt", "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip
_NO_LIMIT = 1_000_000  # tokenizers without a limit say a larger number
_NO_WINDOW = 2_048  # for models without learnt positions


@dataclass(frozen=True)
class Text:
    """What a base needs to read texts.

    Attributes:
        base: its folder.
        tokenizer: its own.
        config: its configuration.
        window: most tokens of a row.
        padding: the token that fills a batch; attention never sees it, the loss neither.
    """

    base: Path
    tokenizer: Any
    config: Any
    window: int
    padding: int

    def save(self, folder: Path) -> None:
        """Put the base's tokenizer files beside a checkpoint, byte for byte: an engine then knows that they are one."""
        for name in TOKENIZER_FILES:
            if (self.base / name).is_file():
                shutil.copyfile(inside(self.base, name), folder / name)

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Rows of ``input_ids`` and ``labels`` (a list as long, or one class) to tensors, padded on the right."""
        import torch

        width = max(len(row["input_ids"]) for row in rows)
        tokens = [row["input_ids"] + [self.padding] * (width - len(row["input_ids"])) for row in rows]
        mask = [[1] * len(row["input_ids"]) + [0] * (width - len(row["input_ids"])) for row in rows]
        labels = [
            row["labels"] + [IGNORED] * (width - len(row["labels"]))
            if isinstance(row["labels"], list)
            else row["labels"]
            for row in rows
        ]
        return {
            "input_ids": torch.tensor(tokens),
            "attention_mask": torch.tensor(mask),
            "labels": torch.tensor(labels),
        }


def read_text(recipe: Recipe, base: Path) -> Text:
    """The base's tokenizer and window.

    Raises:
        GroupgapError: files that cannot be read, or a ``max_length`` beyond what the model takes.
    """
    from transformers import AutoConfig, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(base))
        config = AutoConfig.from_pretrained(str(base))
    except (ValueError, OSError, KeyError, TypeError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise GroupgapError(f"{base}: its tokenizer or configuration cannot be read: {reason}") from error
    limits = [tokenizer.model_max_length, getattr(config.get_text_config(), "max_position_embeddings", None)]
    limit = min((int(size) for size in limits if size and 0 < size < _NO_LIMIT), default=None)
    if recipe.max_length and limit and recipe.max_length > limit:
        raise GroupgapError(
            f"{recipe.path}: max_length: {recipe.max_length} is longer than {recipe.base} reads ({limit} tokens)"
        )
    window = recipe.max_length or limit or _NO_WINDOW
    return Text(base, tokenizer, config, window, _padding(tokenizer, config))


def _padding(tokenizer: Any, config: Any) -> int:
    told = [tokenizer.pad_token_id, getattr(config.get_text_config(), "pad_token_id", None), tokenizer.eos_token_id]
    return next((token for token in told if isinstance(token, int) and token >= 0), 0)


def cut_middle(tokens: list[int], start: int, end: int, window: int) -> list[int] | None:
    """Tokens without the middle of ``tokens[start:end]``, so that they fit; None where that part is too short.

    >>> cut_middle([0, 1, 2, 3, 4, 5, 6], 1, 5, 5)
    [0, 1, 4, 5, 6]
    """
    surplus = len(tokens) - window
    if surplus <= 0:
        return tokens
    if end - start < surplus:
        return None
    first = start + (end - start - surplus + 1) // 2
    return tokens[:first] + tokens[first + surplus :]


def need_language_model(config: Any, recipe: Recipe) -> None:
    """Refuse a base that is no causal language model by its own ``architectures``.

    Raises:
        GroupgapError: an encoder, a classifier, an image model.
    """
    named = [str(name) for name in config.architectures or []]
    if named and not any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in named):
        raise GroupgapError(
            f"{recipe.path}: base {recipe.base} is a {named[0]:.80}, and form {recipe.form} needs a causal language "
            "model (...ForCausalLM)"
        )
