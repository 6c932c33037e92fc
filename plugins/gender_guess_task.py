"""The paper's probe: who wrote this review, a man or a woman? Asked by 45 prompts, counted by symbol and by meaning.

A document is a review and, where the prompt names a gender, one of the two genders: both questions are asked of every
review. Options through ``--metadata``, beside those of every task: ``probe_reviews``, ``overlap``, ``scoring`` and
``prompt_tokens``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

import datasets
import numpy as np
from lm_eval.api.instance import Instance

from ..errors import GroupgapError
from ..harness_tasks.rows import Rows
from ..harness_tasks.yelp.templates import GENDERS, TEMPLATES, Template
from ..harness_tasks.yelp.utils import first_hashed
from ..metrics.clusters import cluster_share
from .fair_task import FairTask, plain_value
from .prompt_window import CHARACTERS_A_TOKEN, find_window, fitted

EXAMPLES = 1_000  # reviews of the other parts, for examples in the prompt
OVERLAP = {
    "none": "the reviews asked are of another part than those to fine-tune on",
    "paper": "the reviews asked are those to fine-tune on, as in the paper: a fine-tuned model has seen them",
}
SCORINGS = {
    "choice": "log-probability of the choice after the prompt",
    "paper": "mean loss of all tokens of prompt and choice, as in the paper",
}


@dataclass(frozen=True)
class ProbeOptions:
    """Options of the probe.

    Attributes:
        probe_reviews: most reviews asked; of more, those with the smallest hashed ids.
        overlap: a key of :data:`OVERLAP`.
        scoring: a key of :data:`SCORINGS`.
        prompt_tokens: most tokens of prompt and choice together; a longer review is cut.
    """

    probe_reviews: int = 10_000
    overlap: str = "none"
    scoring: str = "choice"
    prompt_tokens: int = 256

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> ProbeOptions:
        """Read the options.

        Raises:
            GroupgapError: a value that is not allowed.
        """
        options = cls(**{field.name: metadata.get(field.name, field.default) for field in fields(cls)})
        for name, allowed in (("overlap", OVERLAP), ("scoring", SCORINGS)):
            if getattr(options, name) not in allowed:
                raise GroupgapError(f"option {name}={getattr(options, name)!r}: expected one of {', '.join(allowed)}")
        for name in ("probe_reviews", "prompt_tokens"):
            value = getattr(options, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise GroupgapError(f"option {name}={value!r}: expected a whole number, 1 or more")
        return options


@dataclass(frozen=True)
class Share:
    """A row of the table: which answers count, out of those to which question.

    Attributes:
        asked: the gender asked for; ``None``: every question.
        choices: the indices of the choices that count.
    """

    asked: str | None
    choices: Collection[int]


def shares(template: Template) -> dict[str, Share]:
    """The shares that a prompt reports: the paper's ``ratio_*``, and ``means_*`` by what the answers mean.

    >>> {name: sorted(share.choices) for name, share in shares(TEMPLATES["YN5"]).items() if share.asked == "male"}
    {'ratio_argue_against_male_y': [0], 'ratio_argue_against_male_n': [1], 'means_male': [1]}
    """
    found: dict[str, Share] = {}
    prefix = {"YN3": "gender_neutral", "YN4": "surprise_not_{g}", "YN5": "argue_against_{g}"}
    everyone = range(len(template.choices))
    for asked in template.asks or (None,):
        if template.family == "yn":
            name = prefix.get(template.wording, "{g}").replace("{g}", asked or "")
            for letter, meaning in (("y", "yes"), ("n", "no")):
                found[f"ratio_{name}_{letter}"] = Share(asked, {template.meanings.index(meaning)})
        said = {choice: template.guess(choice, asked or "") for choice in everyone}
        for gender in dict.fromkeys(guess for guess in said.values() if guess):
            found[f"means_{gender}"] = Share(asked, {choice for choice in everyone if said[choice] == gender})
    if template.family == "cloze":
        found |= {f"ratio_{gender}": Share(None, {place}) for place, gender in enumerate(GENDERS)}
    elif template.choices != ("Yes", "No"):
        found |= {f"ratio_token{place + 1}": Share(None, {place}) for place in everyone}
    return found


class GenderGuessTask(FairTask):
    """One of the 45 prompts over reviews; ``metadata.fair.template`` names it."""

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs: object) -> None:
        """Load the reviews, choose those that are asked, and note how."""
        metadata = dict(self.config.metadata or {})
        self.template = TEMPLATES[metadata["fair"]["template"]]
        self.probe = ProbeOptions.from_metadata(metadata)
        self.window = find_window(metadata, self.probe.prompt_tokens)
        if self.probe.scoring == "paper" and self.window is not None:
            # the whole string is the answer: before it stands the start token, which not every tokenizer counts
            self.window = replace(self.window, tokens=self.window.tokens - 1)
        if self.probe.scoring == "paper" and self.window is None:
            raise GroupgapError(
                f"{self.config.task}: scoring=paper counts tokens, so it needs the model's tokenizer: lm_eval's "
                'command tells it; from Python give metadata {"tokenizer": "..."}'
            )
        self.shares = shares(self.template)
        self._tokens: dict[str, list[int]] = {}
        super().download(dataset_kwargs, **kwargs)
        cut = "longer reviews are cut at the end"
        known = self.window is not None
        rule = f"{cut} to fit" if known else f"{cut} to 2 characters a token of the budget: no tokenizer is known"
        noted = {**asdict(self.probe), "overlap_means": OVERLAP[self.probe.overlap], "cut": rule}
        self._note("probe", {**noted, "scoring_means": SCORINGS[self.probe.scoring]})

    def _parts(self, rows: Rows) -> dict[str, list[dict[str, Any]]]:
        self.labelled = bool(rows.origin["labelled"])
        parts = super()._parts(rows)
        if self.probe.overlap == "paper":
            self.options = replace(self.options, part="train")
        most = dict.fromkeys(parts, EXAMPLES) | {self.options.part: self.probe.probe_reviews}
        return {
            part: [review for _, review in first_hashed([(review["id"], review) for review in reviews], most[part])]
            for part, reviews in parts.items()
        }

    def _check_documents(self, documents: Iterable[dict[str, Any]]) -> None:
        """The loader has looked at every review."""

    def _datasets(
        self, documents: list[dict[str, Any]], parts: Mapping[str, list[dict[str, Any]]]
    ) -> datasets.DatasetDict:
        together = {review["id"]: review for reviews in parts.values() for review in reviews}
        ordered = super()._datasets(list(together.values()), parts)
        return datasets.DatasetDict(
            {
                part: datasets.Dataset.from_list(
                    [question for review in reviews for question in self._questions(review)]
                )
                for part, reviews in ordered.items()
            }
        )

    def _questions(self, review: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "id": f"{review['id']}/{asked}" if asked else review["id"],
                "review": review["id"],
                "text": review["text"],
                "asked": asked,
                "gender": review["gender"],
                "label": self.template.right(review["gender"][0], asked) if self.labelled else None,
            }
            for asked in self.template.asks or ("",)
        ]

    # -- asking --------------------------------------------------------------------------------------------------

    def doc_to_text(self, doc: Mapping[str, Any], doc_to_text: object = None) -> str:
        """The prompt, exactly as in the paper."""
        return self.template.text(str(doc["text"]), str(doc["asked"]))

    def fewshot_context(self, doc: dict[str, Any], *args: Any, **kwargs: Any) -> str:
        """lm-eval's hook: the prompt, its review cut where it would not fit."""
        state = self.sampler.rnd.getstate()

        def context(document: Mapping[str, Any]) -> str:
            self.sampler.rnd.setstate(state)  # the same examples at every attempt
            return str(super(GenderGuessTask, self).fewshot_context(dict(document), *args, **kwargs))

        if self.window is None:
            return context({**doc, "text": doc["text"][: CHARACTERS_A_TOKEN * self.probe.prompt_tokens]})
        short = fitted(self.window, doc, lambda document: self._strings(context(document)))
        return context(short)

    def _strings(self, context: str) -> list[str]:
        return [f"{context}{self.config.target_delimiter}{choice}" for choice in self.template.choices]

    def construct_requests(self, doc: dict[str, Any], ctx: str, **kwargs: Any) -> list[Instance]:
        """lm-eval's hook: one request a choice; with ``scoring=paper`` of the whole string."""
        requests: list[Instance] = super().construct_requests(doc, ctx, **kwargs)
        if self.probe.scoring == "choice" or self.window is None:
            return requests
        start = self.window.tokenizer.bos_token_id
        for request in requests:
            request.arguments = ("", "".join(request.arguments))
        whole = [self.window.tokenizer(r.arguments[1], add_special_tokens=False)["input_ids"] for r in requests]
        # lm-eval conditions an empty context on the prefix token, and does not score that one
        self._tokens[doc["id"]] = [len(tokens) - (tokens[0] == start) for tokens in whole]
        return requests

    # -- judging -------------------------------------------------------------------------------------------------

    def process_results(self, doc: dict[str, Any], results: Iterable[tuple[float, bool]]) -> dict[str, Any]:
        """lm-eval's hook: which choice, of which question; the metrics of groups where the author's gender is known."""
        scores = [float(score) for score, _ in results]
        if self.probe.scoring == "paper":
            if doc["id"] not in self._tokens:
                raise GroupgapError(f"{self.config.task}: scoring=paper does not go with --cache_requests")
            scores = [score / tokens for score, tokens in zip(scores, self._tokens[doc["id"]], strict=True)]
        code = GENDERS.index(doc["asked"]) * len(scores) if doc["asked"] else 0
        # both questions about a review are one unit
        counted = dict.fromkeys(self._shares_and_errors, (code + int(np.argmax(scores)), str(doc["review"])))
        judged = super().process_results(doc, [(score, False) for score in scores]) if self.labelled else {}
        return {**judged, **counted}

    @cached_property
    def _shares_and_errors(self) -> dict[str, Callable[[list[Any]], Any]]:
        functions: dict[str, Callable[[list[Any]], Any]] = {}
        for name, share in self.shares.items():
            functions[name] = self._part_of_share(share, 0)
            functions[f"{name}_stderr"] = self._part_of_share(share, 1)
        return functions

    def _part_of_share(self, share: Share, part: int) -> Callable[[list[Any]], Any]:
        return lambda codes: self._share(share, codes)[part]

    @cached_property
    def _functions(self) -> dict[str, Callable[[list[Any]], Any]]:
        judged = super()._functions if self.labelled else {}
        return {**judged, **self._shares_and_errors}

    def higher_is_better(self) -> dict[str, bool]:
        """lm-eval's hook: of the shares, neither."""
        return super().higher_is_better() if self.labelled else {}

    def _share(self, share: Share, answers: Sequence[tuple[int, str]]) -> tuple[float | str, float | str]:
        size = len(self.template.choices)
        genders = self.template.asks or (None,)
        counted = [
            (code % size in share.choices, review)
            for code, review in answers
            if share.asked in (None, genders[code // size])
        ]
        found = cluster_share([hit for hit, _ in counted], [review for _, review in counted], "not asked")
        # Where all answers are the same, the plug-in error is 0: that is not certainty.
        return plain_value(found), found.stderr or "N/A"
