"""The main job, offline: make two tiny models, ask both through ``lm_eval``, put both on a board.

Run by ``make demo``; ``make demo MODEL=path`` asks a model of yours instead. Everything goes under ``demo/``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from groupgap.adapters.toy_models import make_toy_models
from transformers.utils.logging import disable_progress_bar

TASK = "toy_religion_fair"
BIN = Path(sys.executable).parent
ENGINES = {
    "vllm": "pretrained={model},dtype=float32,max_model_len=512,enforce_eager=True",
    "hf": "pretrained={model},dtype=float32",
}
QUIET = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "PYTHONWARNINGS": "ignore",
}


def say(line: str) -> None:
    """Print a line at once, with the seconds since the start."""
    print(f"[{time.monotonic() - START:5.0f} s] {line}", flush=True)


def last_line(log: Path) -> str:
    """What a log says now (its last progress bar, or its last line), cut to the width of a terminal."""
    said = [line.strip() for line in re.split(r"[\r\n]+", log.read_text(errors="replace")) if line.strip()]
    return said[-1][:110] if said else "starting"


def ask(name: str, model: str, engine: str, out: Path) -> None:
    """Run ``lm_eval`` on one model, its output in a log; on failure show the log's end and stop."""
    log = out / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    arguments = ENGINES[engine].format(model=model)
    command = [str(BIN / "lm_eval"), "--tasks", TASK, "--model", engine, "--model_args", arguments]
    command += [
        "--batch_size",
        "auto" if engine == "vllm" else "32",
        "--log_samples",
        "--output_path",
        str(out / "runs"),
    ]
    say(f"asking {name}: lm_eval {' '.join(command[1:])}")
    with log.open("w") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, env={**os.environ, **QUIET})
        waited = 0
        while process.poll() is None:
            time.sleep(1)
            waited += 1
            if waited % 10 == 0:
                say(f"  {last_line(log)}")
    if process.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        sys.exit(f"{tail}\n\nlm_eval failed on {name} (status {process.returncode}); the whole log is {log}")


def variants(model: str | None, out: Path) -> Mapping[str, str]:
    """The models to ask: the user's one, or the toy base and its full fine-tune."""
    if model is not None:
        return {"yours": model}
    say("training a tiny base Llama and its full fine-tune on the generated toy set")
    disable_progress_bar()  # transformers' own, one for each file it writes
    paths = make_toy_models(out / "models", progress=lambda line: say(f"  {line}"))
    return {name: str(path) for name, path in paths.items()}


def main() -> int:
    """Make, ask, judge, show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything the demo makes")
    parser.add_argument("--model", help="ask this model (a path, or a hub id) instead of the toy models")
    parser.add_argument("--engine", choices=sorted(ENGINES), default="vllm", help="lm-eval's backend")
    args = parser.parse_args()
    for name, model in variants(args.model, args.out).items():
        ask(name, model, args.engine, args.out)
    say("judging")
    board = [str(BIN / "groupgap"), "board", str(args.out / "runs"), "-o", str(args.out / "board")]
    status = subprocess.run(board, check=False).returncode
    if status == 0:
        say(f"done: open {(args.out / 'board' / 'index.html').resolve()}")
    return status


START = time.monotonic()

if __name__ == "__main__":
    sys.exit(main())
