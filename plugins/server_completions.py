"""What ``/v1/completions`` of a ``vllm serve`` is asked, and what is made of its answers."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import GroupgapError
from .choice_trie import Ask, NextToken
from .server_client import ServerClient

MAX_IDS = 128  # vLLM's limit of logprob_token_ids
PROMPTS = 16  # of one request
IMPOSSIBLE = -9999.0  # what the server sends for minus infinity
TOLERANCE = 1e-3  # rounding that a sum of probabilities may show
# sampling that changes nothing, said aloud: a model's generation_config.json is the server's default otherwise
NEUTRAL: Mapping[str, float] = {
    "temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}  # fmt: skip


class Completions:
    """The completions of a server.

    Args:
        client: the connection.
    """

    def __init__(self, client: ServerClient) -> None:
        self._client = client

    def next_tokens(
        self, name: str, asks: Sequence[Ask], *, fresh: bool = False, quiet: bool = True
    ) -> list[NextToken]:
        """Ask for log-probabilities of next tokens.

        Args:
            name: the model, as the server calls it.
            asks: prompts and token ids, at most :data:`MAX_IDS` each.
            fresh: have the prompts computed anew instead of from the server's cache of prefixes.
            quiet: show no progress.

        Raises:
            GroupgapError: see :meth:`ServerClient.post`; or answers that are no log-probabilities.
        """
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        together: dict[tuple[int, ...], list[int]] = {}
        for place, ask in enumerate(asks):
            together.setdefault(ask.ids, []).append(place)
        batches = [own[start : start + PROMPTS] for own in together.values() for start in range(0, len(own), PROMPTS)]
        salt = {"cache_salt": secrets.token_hex(16)} if fresh else {}

        def ask_batch(places: Sequence[int]) -> list[NextToken]:
            return self._ask([asks[place] for place in places], {"model": name, **salt})

        found: dict[int, NextToken] = {}
        with tqdm(total=len(asks), desc="Asking the server", disable=quiet) as bar:
            for places, answers in zip(batches, self._client.map(ask_batch, batches), strict=True):
                found |= dict(zip(places, answers, strict=True))
                bar.update(len(places))
        return [found[place] for place in range(len(asks))]

    def text(self, body: Mapping[str, Any]) -> str:
        """The text that completes one prompt.

        Raises:
            GroupgapError: see :meth:`ServerClient.post`; or an answer without text.
        """
        text = self._choices(body, 1)[0].get("text")
        if not isinstance(text, str):
            raise GroupgapError(f"{self._client.url}: an answer without text")
        return text

    def _ask(self, asks: Sequence[Ask], extra: Mapping[str, Any]) -> list[NextToken]:
        body = {
            **NEUTRAL,
            **extra,
            "prompt": [list(ask.prompt) for ask in asks],
            "max_tokens": 1,
            "logprobs": 1,
            "logprob_token_ids": list(asks[0].ids),
            "return_tokens_as_token_ids": True,
        }
        return [self._next_token(choice, asks[0].ids) for choice in self._choices(body, len(asks))]

    def _choices(self, body: Mapping[str, Any], count: int) -> list[Mapping[str, Any]]:
        answer = self._client.post("/v1/completions", body)
        choices = answer.get("choices")
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise GroupgapError(f"{self._client.url}: an answer without choices: is this a vllm serve?")
        if answer.get("model") != body["model"]:
            raise GroupgapError(
                f"{self._client.url}: asked for model {body['model']!r:.80}, and {answer.get('model')!r:.80} answered"
            )
        places = [choice.get("index") for choice in choices]
        if len(choices) != count or set(places) != set(range(count)):
            raise GroupgapError(f"{self._client.url}: {len(choices)} answers to {count} prompts")
        return [choices[places.index(place)] for place in range(count)]

    def _next_token(self, choice: Mapping[str, Any], ids: Sequence[int]) -> NextToken:
        try:
            logprobs = choice["logprobs"]
            top = {str(token): float(value) for token, value in logprobs["top_logprobs"][0].items()}
            sampled = float(logprobs["token_logprobs"][0])
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise GroupgapError(f"{self._client.url}: an answer without log-probabilities") from None
        missing = [token for token in ids if f"token_id:{token}" not in top]
        if missing:
            raise GroupgapError(
                f"{self._client.url}: leaves out {len(missing)} of {len(ids)} token ids that were asked for"
                " (logprob_token_ids): vLLM 0.32 and later answer them; use such a server, or --model groupgap-vllm"
            )
        if not all(map(math.isfinite, [*top.values(), sampled])) or _sum(top.values()) > 1 + TOLERANCE:
            raise GroupgapError(
                f"{self._client.url}: answers with numbers that are no log-probabilities (NaN, or probabilities that"
                " add to more than 1): start the server with --logprobs-mode raw_logprobs, its default"
            )
        found = {token: _unclamped(top[f"token_id:{token}"]) for token in ids}
        return NextToken(found, max(_unclamped(sampled), *found.values()))


def _sum(logprobs: Any) -> float:
    return math.fsum(math.exp(min(value, 1.0)) for value in logprobs)


def _unclamped(logprob: float) -> float:
    """The log-probability that the server may have cut off at -9999, for JSON has no infinity."""
    return -math.inf if logprob <= IMPOSSIBLE else logprob
