"""A stand-in for ``vllm serve``: its answers are a function of name and prompt, and a test can change every one."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = 320


def logprobs(name: str, prompt: list[int]) -> np.ndarray:
    """What the fake model thinks of the next token: a function of its name and the prompt alone."""
    seed = [sum(map(ord, name)), *prompt]
    logits = np.random.default_rng(seed).normal(size=VOCABULARY)
    return np.asarray(logits - np.log(np.exp(logits).sum()))


class Fake:
    """A server whose every answer can be changed by a test."""

    def __init__(self, tokenizer: Path) -> None:
        from transformers import AutoTokenizer

        self.folder = str(tokenizer)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer)
        self.seen: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.active = self.most = 0
        self.pause = 0.0
        self.alias: dict[str, str] = {}  # a name -> the model that really answers
        self.change: Callable[[str, dict[str, Any]], Any] = lambda path, answer: answer
        self.status: dict[str, int] = {}
        self.drop = 0  # connections to break before answering
        self.lock = threading.Lock()

    def models(self) -> dict[str, Any]:
        base = {"id": "base", "root": self.folder, "parent": None, "max_model_len": 64}
        return {"data": [base, {"id": "lora", "root": "/adapter", "parent": "base", "max_model_len": None}]}

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/v1/models":
            return self.models()
        if path == "/tokenize":
            return {"tokens": self.tokenizer(body["prompt"])["input_ids"]}
        prompts = body["prompt"] if isinstance(body["prompt"][0], list) else [body["prompt"]]
        choices = [self.choice(place, prompt, body) for place, prompt in enumerate(prompts)]
        return {"model": body["model"], "choices": choices[::-1]}  # in any order

    def choice(self, place: int, prompt: list[int], body: dict[str, Any]) -> dict[str, Any]:
        if "logprob_token_ids" not in body:
            return {"index": place, "text": f" said {len(prompt)} STOP and more"}
        row = logprobs(self.alias.get(body["model"], body["model"]), prompt)
        best = int(row.argmax())
        top = {f"token_id:{token}": float(row[token]) for token in [best, *body["logprob_token_ids"]]}
        found = {"tokens": [f"token_id:{best}"], "token_logprobs": [float(row[best])], "top_logprobs": [top]}
        return {"index": place, "text": "x", "logprobs": found}


def handler(fake: Fake) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.respond({})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.respond(body)

        def respond(self, body: dict[str, Any]) -> None:
            with fake.lock:
                fake.seen.append({"path": self.path, **body})
                fake.headers.append(dict(self.headers))
                fake.active += 1
                fake.most = max(fake.most, fake.active)
                drop, fake.drop = fake.drop > 0, fake.drop - 1
            try:
                if drop:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                time.sleep(fake.pause if self.path == "/v1/completions" else 0)
                changed = fake.change(self.path, fake.answer(self.path, body))
                content = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
                status = fake.status.get(self.path, 200)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass
            finally:
                with fake.lock:
                    fake.active -= 1

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


class QuietServer(ThreadingHTTPServer):
    """Says nothing when a client hangs up."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass
