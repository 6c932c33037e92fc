"""Requests to a ``vllm serve`` that the user started: one host, no redirects, bounded in time, size and number."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from ..errors import GroupgapError

KEY_VARIABLE = "VLLM_API_KEY"  # the one that vllm serve itself reads
BODY_BYTES = 64 << 20
PAUSES = (0.5, 1.0, 2.0)
MOST_AT_ONCE = 256

Given = TypeVar("Given")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class ServedModel:
    """A name that a server answers to.

    Attributes:
        name: what requests call it.
        parent: the base's name, for an adapter; None for a base.
        root: where the server says that its files are.
        max_length: its window in tokens; None where the server does not say (adapters have their base's).
    """

    name: str
    parent: str | None
    root: str | None
    max_length: int | None


class ServerClient:
    """Talks to one server.

    A request that could not be sent, or whose connection broke, is sent again a few times; a slow answer, a refusal or
    an answer that makes no sense is an error at once. The environment's proxies and ``.netrc`` are not used. A key is
    taken from ``VLLM_API_KEY``, so that it does not stand among the arguments that lm-eval writes down.

    Args:
        url: ``http://HOST:PORT`` or ``https://...``; a path is kept before ``/v1``.
        timeout: seconds within which a request must be answered in full.
        concurrency: requests at a time.

    Raises:
        GroupgapError: not such a URL, or numbers that make no sense.
    """

    def __init__(self, url: str, timeout: float = 120.0, concurrency: int = 16) -> None:
        self.url = _checked(url)
        if not 0 < float(timeout) <= 86_400:
            raise GroupgapError(f"groupgap-server: timeout={timeout}: expected seconds, more than 0, at most a day")
        if not 1 <= int(concurrency) <= MOST_AT_ONCE:
            raise GroupgapError(f"groupgap-server: concurrency={concurrency}: expected 1 to {MOST_AT_ONCE}")
        self._timeout, self._concurrency = float(timeout), int(concurrency)
        key = os.environ.get(KEY_VARIABLE)
        self._http = httpx.Client(
            timeout=self._timeout,
            follow_redirects=False,
            trust_env=False,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            limits=httpx.Limits(max_connections=self._concurrency),
        )

    def models(self) -> list[ServedModel]:
        """The names that the server lists.

        Raises:
            GroupgapError: no answer, or not such a list.
        """
        answer = self.get("/v1/models")
        entries = answer.get("data")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) and entry.get("id") for entry in entries):
            raise GroupgapError(f"{self.url}: /v1/models is not a list of models: is this a vllm serve?")
        return [
            ServedModel(
                str(entry["id"]),
                _text_or_none(entry.get("parent")),
                _text_or_none(entry.get("root")),
                length if isinstance(length := entry.get("max_model_len"), int) else None,
            )
            for entry in entries
        ]

    def get(self, path: str) -> dict[str, Any]:
        """Ask for a path; see :meth:`post`."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a JSON object.

        Returns:
            The JSON object of the answer.

        Raises:
            GroupgapError: no connection, no answer in time, a redirect, a refusal (with the server's reason), or an
                answer that is too large or no JSON object.
        """
        return self._ask("POST", path, body)

    def map(self, ask: Callable[[Given], Answer], given: Sequence[Given]) -> Iterator[Answer]:
        """Ask for many things, a bounded number at a time; answers in order, the first error ends it all."""
        pool = ThreadPoolExecutor(max_workers=self._concurrency)
        try:
            yield from pool.map(ask, given)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        for pause in PAUSES:
            try:
                return self._in_time(method, path, body)
            except httpx.TransportError:
                time.sleep(pause)
        try:
            return self._in_time(method, path, body)
        except httpx.TransportError as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise GroupgapError(
                f"{self.url}: cannot be reached ({reason}; tried {len(PAUSES) + 1} times): does the server run there?"
                " A vllm serve is ready when /health answers"
            ) from None

    def _in_time(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        try:
            return self._once(method, path, body)
        except httpx.TimeoutException:
            raise GroupgapError(
                f"{self.url}{path}: no answer within {self._timeout:g} s: the server hangs or has too much to do; look"
                " at its log, or raise timeout="
            ) from None

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        started = time.monotonic()
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        with self._http.stream(method, self.url + path, content=content, headers=headers) as answer:
            if answer.is_redirect:
                raise GroupgapError(
                    f"{self.url}{path}: redirects to {answer.headers.get('location', '')[:120]!r}, which is not"
                    " followed: give the server's own URL"
                )
            received = bytearray()
            for piece in answer.iter_bytes():
                received += piece
                if len(received) > BODY_BYTES:
                    raise GroupgapError(f"{self.url}{path}: answers with more than {BODY_BYTES >> 20} MiB")
                if time.monotonic() - started > self._timeout:
                    raise httpx.ReadTimeout("too slow")
        return self._object(path, answer.status_code, bytes(received))

    def _object(self, path: str, status: int, received: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(received)
        except (ValueError, RecursionError):
            answer = None
        if status != 200:
            shown = _reason(answer) or received[:200].decode("utf-8", "replace")
            raise GroupgapError(f"{self.url}{path}: status {status}: {' '.join(shown.split())[:300]}")
        if not isinstance(answer, dict):
            raise GroupgapError(f"{self.url}{path}: the answer is not a JSON object: is this a vllm serve?")
        return answer


def _checked(url: str) -> str:
    try:
        parts = urlsplit(str(url))
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.username or parts.password or parts.query or parts.fragment:
        shown = "..." if "@" in str(url) else repr(str(url)[:120])
        raise GroupgapError(
            f"groupgap-server: url={shown}: expected http://HOST:PORT or https://HOST:PORT (a key goes into the"
            f" environment's {KEY_VARIABLE}, not into the URL)"
        )
    return str(url).rstrip("/").removesuffix("/v1")


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _reason(answer: object) -> str:
    """The words of an error object: ``{"error": {"message": ...}}``, or ``message`` or ``detail`` by itself."""
    if not isinstance(answer, dict):
        return ""
    inner = answer.get("error", answer)
    words = inner.get("message") or inner.get("detail") if isinstance(inner, dict) else inner
    return str(words or "")
