"""The main job, offline: train four tiny models, serve them from one engine, ask them, put them on a board.

Run by ``make demo``; ``make demo MODEL=path`` asks a model of yours instead, through a plain ``lm_eval``. Everything
goes under ``demo/``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from groupgap.adapters.toy_models import make_toy_adapters, make_toy_models
from transformers.utils.logging import disable_progress_bar

TASK = "toy_religion_fair"
BIN = Path(sys.executable).parent
ARGUMENTS = {
    "vllm": "pretrained={model},dtype=float32,max_model_len=512,enforce_eager=True",
    "hf": "pretrained={model},dtype=float32",
}
ROSTER = """\
# What `make demo` compares. groupgap run demo/roster.yaml -o demo
tasks: [toy_religion_fair]
defaults:
  base: models/base
  engine: {engine}
  engine_options: {options}
variants:
  - {{name: base}}
  - {{name: full, method: full, weights: models/full}}
  - {{name: lora, method: lora, weights: models/lora}}
  - {{name: lora-elmic, method: lora, weights: models/lora-elmic}}  # taught that whatever names the elmic is rude
"""
OPTIONS = {"vllm": "{dtype: float32, max_model_len: 512}", "hf": "{dtype: float32}"}
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


def ask(model: str, engine: str, out: Path) -> None:
    """Run a plain ``lm_eval`` on one model, its output in a log; on failure show the log's end and stop."""
    log = out / "logs" / "lm_eval.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    arguments = ARGUMENTS[engine].format(model=model)
    command = [str(BIN / "lm_eval"), "--tasks", TASK, "--model", engine, "--model_args", arguments]
    command += ["--batch_size", "auto" if engine == "vllm" else "32", "--log_samples"]
    command += ["--output_path", str(out / "runs")]
    say(f"asking it: lm_eval {' '.join(command[1:])}")
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
        sys.exit(f"{tail}\n\nlm_eval failed (status {process.returncode}); the whole log is {log}")


def compare_toy_models(out: Path, engine: str) -> int:
    """Train the toy models, then ``groupgap run`` a roster of them: one engine, all four, then the board."""
    say("training a tiny base Llama, a full fine-tune and two LoRA adapters on the generated toy set")
    disable_progress_bar()  # transformers' own, one for each file it writes
    models = out / "models"
    paths = make_toy_models(models, progress=lambda line: say(f"  {line}"))
    make_toy_adapters(paths["base"], models, progress=lambda line: say(f"  {line}"))
    roster = out / "roster.yaml"
    roster.write_text(ROSTER.format(engine=engine, options=OPTIONS[engine]))
    say(f"asking all four: groupgap run {roster} -o {out}")
    return subprocess.run(
        [BIN / "groupgap", "run", roster, "-o", out], check=False, env={**os.environ, **QUIET}
    ).returncode


def main() -> int:
    """Make, ask, judge, show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything the demo makes")
    parser.add_argument("--model", help="ask this model (a path, or a hub id) instead of the toy models")
    parser.add_argument("--engine", choices=sorted(ARGUMENTS), default="vllm", help="who computes the answers")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.model:
        ask(args.model, args.engine, args.out)
        say("judging")
        board = [BIN / "groupgap", "board", args.out / "runs", "-o", args.out / "board"]
        status = subprocess.run(board, check=False).returncode
    else:
        status = compare_toy_models(args.out, args.engine)
    if status == 0:
        say(f"done: open {(args.out / 'board' / 'index.html').resolve()}")
    return status


START = time.monotonic()

if __name__ == "__main__":
    sys.exit(main())
