"""Choices scored as a trie against lm-eval's own way, on one warm engine:

``python benchmarks/choice_scoring.py [--base FOLDER] [--documents 940] [--repeat 5]``.

Both ways are given the same lm-eval requests (a context and a choice each) and the same vLLM engine; timed is
``loglikelihood`` from the requests to the scores, tokenisation included, the engine warm, prefix caches emptied, the
median of ``--repeat`` turns taken alternately. lm-eval's way is its own code, called on our object's parent class. For
the adapter the engine gets ``lora_target_modules`` without lm_head, without which lm-eval's way ends the CPU engine;
its scores are also compared with transformers and peft on ``--reference`` documents. Each engine is a process of its
own. A trie with more inner nodes than choices (" yes", " no" of two tokens each) goes lm-eval's way where that is
right, so the ratio there is about 1. The bars: twice the documents a second for choices of one token, equal
predictions, log-probabilities within 1e-4.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

BAR_SPEED, BAR_DIFFERENCE = 2.0, 1e-4
CHOICES = {"single": (" he", " she"), "several": (" yes", " no"), "three": (" he", " she", " they")}
PEOPLE = ("nurse", "engineer", "teacher", "king", "farmer", "doctor", "girl", "old man")
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj"]
Scores = list[tuple[float, bool]]


def request(context: str, choice: str) -> Any:
    """An lm-eval request."""
    from lm_eval.api.instance import Instance

    return Instance(request_type="loglikelihood", doc={}, arguments=(context, choice), idx=0)


def requests(documents: int, choices: Sequence[str]) -> list[Any]:
    """Requests of documents of some 40 to 90 tokens, each its own."""
    texts = (
        f"Story {number}. One day the {PEOPLE[number % 8]} met the {PEOPLE[number // 8 % 8]} near the river. "
        + "They talked for a long time about the weather. " * (number % 3)
        + f"The {PEOPLE[number % 8]} was happy because"
        for number in range(documents)
    )
    return [request(text, choice) for text in texts for choice in choices]


def make_adapter(base: Path, folder: Path, targets: Sequence[str]) -> Path:
    """Save a LoRA adapter with random tensors."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(7)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=list(targets), task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "lora_B" in name:
                tensor.normal_(std=0.05)
    model.save_pretrained(folder)
    return folder


def timed(score: Callable[[], Scores], model: Any) -> tuple[float, Scores]:
    """Seconds of one turn on an empty cache of prefixes."""
    model.model.reset_prefix_cache()
    begin = time.perf_counter()
    scores = score()
    return time.perf_counter() - begin, scores


def predictions(scores: Scores, choices: int) -> list[int]:
    """The most probable choice of each document."""
    values = [logprob for logprob, _ in scores]
    return [max(range(choices), key=lambda choice, at=at: values[at + choice]) for at in range(0, len(values), choices)]


def compare(mine: Scores, theirs: Scores, choices: int) -> dict[str, Any]:
    """Differences of two lists of scores."""
    return {
        "largest_difference": max(abs(one[0] - other[0]) for one, other in zip(mine, theirs, strict=True)),
        "equal_predictions": predictions(mine, choices) == predictions(theirs, choices),
        "equal_greedy": [flag for _, flag in mine] == [flag for _, flag in theirs],
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """One engine: both ways, every set of choices."""
    from groupgap.plugins.vllm_model import GroupgapVLLM
    from lm_eval.models.vllm_causallms import VLLM

    adapter = {"adapter": arguments.adapter, "lora_target_modules": TARGETS} if arguments.adapter else {}
    model = GroupgapVLLM(
        pretrained=arguments.base, dtype="float32", enforce_eager=True, max_model_len=512, proof="none", **adapter
    )
    report: dict[str, Any] = {}
    for name, choices in CHOICES.items():
        asked = requests(arguments.documents, choices)
        ways: dict[str, Callable[[], Scores]] = {
            "trie": lambda asked=asked: model.loglikelihood(asked, disable_tqdm=True),
            "stock": lambda asked=asked: VLLM._loglikelihood_tokens(
                model, _stock_tokens(model, asked), disable_tqdm=True
            ),
        }
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        scores: dict[str, Scores] = {way: score() for way, score in ways.items()}  # warms up
        for _ in range(arguments.repeat):
            for way, score in ways.items():
                taken, scores[way] = timed(score, model)
                seconds[way].append(taken)
        speed = {way: arguments.documents / statistics.median(taken) for way, taken in seconds.items()}
        report[name] = {
            "choices": list(choices),
            "tokens": [len(tokens) for _, _, tokens in model._encode([one.args for one in asked[: len(choices)]])],
            "documents_a_second": speed,
            "ratio": speed["trie"] / speed["stock"],
            "against_stock": compare(scores["trie"], scores["stock"], len(choices)),
        }
        if arguments.reference:
            few = asked[: arguments.reference * len(choices)]
            theirs = transformers_scores(arguments, few)
            report[name]["against_transformers"] = compare(scores["trie"][: len(few)], theirs, len(choices))
    return report


def _stock_tokens(model: Any, asked: Sequence[Any]) -> list[Any]:
    """lm-eval's own encoding (TemplateLM.loglikelihood), a pair at a time."""
    return [(one.args, *model._encode_pair(*one.args)) for one in asked]


def transformers_scores(arguments: argparse.Namespace, asked: Sequence[Any]) -> Scores:
    """lm-eval's transformers backend, with peft where there is an adapter."""
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=arguments.base, peft=arguments.adapter, device="cpu", dtype="float32", batch_size=16)
    return model.loglikelihood(list(asked), disable_tqdm=True)


def run_engine(base: str, adapter: str | None, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure in a process of its own, and read its report."""
    command = [sys.executable, __file__, "--engine", "--base", base, "--documents", str(arguments.documents)]
    command += ["--repeat", str(arguments.repeat), "--reference", str(arguments.reference)]
    command += ["--adapter", adapter] if adapter else []
    variables = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode:
        sys.exit(done.stderr[-3_000:])
    report: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return report


def show(engine: str, report: dict[str, Any]) -> list[str]:
    """Print one engine's table; what misses a bar."""
    missed = []
    for name, row in report.items():
        speed = row["documents_a_second"]
        print(
            f"{engine:8} {row['choices']!s:26} tokens {row['tokens']!s:10} trie {speed['trie']:6.0f} docs/s,"
            f" stock {speed['stock']:6.0f}, ratio {row['ratio']:.2f}"
        )
        for other in ("stock", "transformers"):
            found = row.get(f"against_{other}")
            if found is None:
                continue
            print(
                f"{'':9}against {other}: largest difference {found['largest_difference']:.1e}, predictions"
                f" {'equal' if found['equal_predictions'] else 'DIFFER'}, greedy flags"
                f" {'equal' if found['equal_greedy'] else 'DIFFER'}"
            )
            if found["largest_difference"] > BAR_DIFFERENCE or not found["equal_predictions"]:
                missed.append(f"{engine}, {name}: scores against {other}")
        if max(row["tokens"]) == 1 and row["ratio"] < BAR_SPEED:
            missed.append(f"{engine}, {name}: {row['ratio']:.2f} times stock, bar {BAR_SPEED}")
    return missed


def main() -> int:
    """Measure the base and an adapter; status 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="folder of a base; by default the toy base is trained")
    parser.add_argument("--documents", type=int, default=940)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--reference", type=int, default=60, help="documents scored by transformers and peft too")
    parser.add_argument("--adapter", help=argparse.SUPPRESS)
    parser.add_argument("--engine", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        print(json.dumps(measure(arguments)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        base = arguments.base
        if base is None:
            from groupgap.adapters.toy_models import make_toy_models

            base = str(make_toy_models(Path(folder) / "toy")["base"])
        adapter = make_adapter(Path(base), Path(folder) / "adapter", ("q_proj", "v_proj", "o_proj"))
        missed = show("base", run_engine(base, None, arguments))
        missed += show("adapter", run_engine(base, str(adapter), arguments))
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
