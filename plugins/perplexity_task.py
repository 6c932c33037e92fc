"""Perplexity of held-out texts, and the texts of another part to fine-tune on: one split, so that no text is in both.

A text is asked for as a ``loglikelihood`` after nothing, which lm-eval conditions on the start token. Its own
``loglikelihood_rolling`` (0.4.13) scores a second start token where the tokenizer adds one by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import datasets
from lm_eval.api.task import ConfigurableTask

from ..errors import GroupgapError, one_line_for_mistakes
from ..harness_tasks.rows import Rows
from ..harness_tasks.splits import split_parts
from ..harness_tasks.yelp.utils import first_hashed
from .fair_task import FairOptions
from .gender_guess_task import OVERLAP, ProbeOptions
from .prompt_window import find_window, fitted

SIZES = {"train_reviews": 50_000, "held_out_reviews": 10_000}  # arXiv 2405.17512; of fewer, all
one_line_for_mistakes()  # this module is imported by lm_eval's command too


class PerplexityTask(ConfigurableTask):
    """The reviews of one part, whole; those of the training part are there for ``groupgap train``.

    ``perplexity`` is ``exp`` of the mean loss of a token, and needs the model's tokenizer, which lm_eval's command
    tells; ``word_perplexity`` and ``byte_perplexity`` do not. Standard errors treat a review as one unit. A review
    that is longer than the model's window is cut at its end.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        cache_dir: str | None = None,
        download_mode: object = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(config={key: value for key, value in (config or {}).items() if key != "class"})

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs: object) -> None:
        """Load the reviews, split them, and keep as many of each part as the options say."""
        metadata = dict(self.config.metadata or {})
        self.options, self.window = FairOptions.from_metadata(metadata), find_window(metadata, None)
        probe = ProbeOptions.from_metadata(metadata)
        rows: Rows = self.config.custom_dataset(**{**metadata, **(dataset_kwargs or {})})
        parts = split_parts(rows, self.options.split, self.options.split_seed)
        parts["all"] = rows.documents
        train, held_out = (_size(name, metadata) for name in SIZES)
        most = dict.fromkeys(parts, held_out) | {"train": train}
        kept = {part: _first(reviews, most[part]) for part, reviews in parts.items()}
        sizes = {part: len(reviews) for part, reviews in kept.items()}
        if not sizes[self.options.part]:
            raise GroupgapError(
                f"{self.config.task}: part {self.options.part!r} holds no review; the parts hold {sizes}"
            )
        self.config.test_split = self.options.part
        self.dataset = datasets.DatasetDict({part: datasets.Dataset.from_list(of) for part, of in kept.items() if of})
        if not kept["train"]:
            self.config.training_split = None
        if not kept["validation"]:
            self.config.validation_split = None
        noted = {**rows.origin, "sizes": sizes, "split": self.options.split, "split_seed": self.options.split_seed}
        told = {"overlap": probe.overlap, "overlap_means": OVERLAP[probe.overlap]}
        fair = {**metadata.get("fair", {}), "data": {**noted, "part": self.options.part}, "probe": told}
        self.config.metadata = {**metadata, "fair": fair}

    def doc_to_target(self, doc: Mapping[str, Any], doc_to_target: object = None) -> str:
        """The text, as much of it as the model takes."""
        return str(fitted(self.window, doc, lambda document: [str(document["text"])])["text"])

    def process_results(
        self, doc: Mapping[str, Any], results: Iterable[tuple[float, bool]]
    ) -> dict[str, tuple[float, int]]:
        """lm-eval's hook: log-likelihood and length of a review, in each unit."""
        ((loglikelihood, _),) = results
        text = self.doc_to_target(doc)
        lengths = {"word": len(text.split()), "byte": len(text.encode())}
        if self.window:
            lengths["token"] = self.window.count(text, special=False)
        return {name: (float(loglikelihood), lengths[unit]) for name, unit in self._units.items()}

    @cached_property
    def _units(self) -> dict[str, str]:
        names = {"word_perplexity": "word", "byte_perplexity": "byte"}
        named = {"perplexity": "token", **names} if self.window else names
        return {f"{name}{ending}": unit for name, unit in named.items() for ending in ("", "_stderr")}

    def aggregation(self) -> dict[str, Callable[[Sequence[tuple[float, int]]], float]]:
        """lm-eval's hook: a perplexity and, right after it, its standard error."""
        return {name: _stderr if name.endswith("_stderr") else _perplexity for name in self._units}

    def higher_is_better(self) -> dict[str, bool]:
        """lm-eval's hook: less is better."""
        return {name: False for name in self._units if not name.endswith("_stderr")}


def _size(name: str, metadata: Mapping[str, Any]) -> int:
    value = metadata.get(name, SIZES[name])
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise GroupgapError(f"option {name}={value!r}: expected a whole number, 1 or more")
    return value


def _first(reviews: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    return [review for _, review in first_hashed([(review["id"], review) for review in reviews], most)]


def _perplexity(items: Sequence[tuple[float, int]]) -> float:
    return math.exp(-sum(score for score, _ in items) / sum(length for _, length in items))


def _stderr(items: Sequence[tuple[float, int]]) -> float:
    """By the delta method, for a ratio of two sums over reviews.

    >>> _stderr([(-2.0, 1), (-2.0, 1)])
    0.0
    """
    lengths = sum(length for _, length in items)
    loss = -sum(score for score, _ in items) / lengths
    return math.exp(loss) * math.sqrt(sum((-score - loss * length) ** 2 for score, length in items)) / lengths
