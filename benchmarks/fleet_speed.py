"""One ``groupgap run`` against ten stock ``lm_eval`` processes: a base, eight LoRA adapters and a full fine-tune.

    python benchmarks/fleet_speed.py MODEL_FOLDER [--adapters 8] [--documents 940]

Whole processes, start-up included, one after the other, the same documents and choices. The adapters and the fine-tune
are made here from the base (random small changes); stock vLLM answers for an adapter with ``lora_target_modules`` (its
way around the wrapped lm_head). Prints the seconds of each and the ratio.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent
METADATA = (
    '{"file": "FILE", "group_columns": "team", "choices": ["he", "she"], "positive": "she", "part": "all",'
    ' "question": "Who was it?"}'
)
ENGINE = "dtype=float32,max_model_len=256,enforce_eager=True"
PEOPLE = ("the nurse", "the pilot", "the cook", "the clerk", "the guard", "the singer")
DEEDS = ("went home early", "found a small key", "told a long story", "made warm soup", "lost the big map")


def write_documents(path: Path, count: int) -> None:
    """A two-choice task whose choices are single tokens in most tokenizers."""
    rng = random.Random(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "team"])
        for number in range(count):
            first, second = (f"{rng.choice(PEOPLE)} {rng.choice(DEEDS)}" for _ in range(2))
            text = f"On day {number} {first}, and then {second}."
            writer.writerow([text, rng.choice(["he", "she"]), rng.choice(["red", "blue"])])


def make_variants(base: Path, folder: Path, adapters: int) -> tuple[list[Path], Path]:
    """Random LoRA adapters and a slightly changed copy of the base."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = []
    for number in range(adapters):
        torch.manual_seed(number)
        config = LoraConfig(r=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
        get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder / f"lora{number}")
        made.append(folder / f"lora{number}")
    torch.manual_seed(99)
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * parameter.std() * torch.randn_like(parameter))
    model.save_pretrained(folder / "full")
    AutoTokenizer.from_pretrained(base).save_pretrained(folder / "full")
    return made, folder / "full"


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds of a whole process, by the clock and of processor time; its end is shown where it fails."""
    started, before = time.monotonic(), os.times()
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit((done.stdout + done.stderr)[-2000:])
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - started, used


def stock(model_args: str, metadata: str, out: Path) -> tuple[float, float]:
    """One stock ``lm_eval`` with vLLM."""
    command = [str(BIN / "lm_eval"), "--model", "vllm", "--tasks", "csv_fair", "--metadata", metadata, "--log_samples"]
    return timed(
        [*command, "--batch_size", "auto", "--model_args", f"{model_args},{ENGINE}", "--output_path", str(out)]
    )


def roster(base: Path, adapters: list[Path], full: Path, metadata: str) -> str:
    """The same variants for the fleet."""
    lines = [f"tasks: [{{task: csv_fair, options: {metadata}}}]", f"defaults: {{base: '{base}'}}", "variants:"]
    lines += ["  - {name: base}", f"  - {{name: full, method: full, weights: '{full}'}}"]
    lines += [f"  - {{name: {path.name}, method: lora, weights: '{path}'}}" for path in adapters]
    lines[1] = f"defaults: {{base: '{base}', engine_options: {{dtype: float32, max_model_len: 256}}}}"
    return "\n".join(lines) + "\n"


def main() -> None:
    """Time both ways and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path, help="folder of a small base model")
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--documents", type=int, default=940)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_documents(folder / "documents.csv", args.documents)
        metadata = METADATA.replace("FILE", str(folder / "documents.csv"))
        adapters, full = make_variants(args.base.resolve(), folder, args.adapters)
        (folder / "roster.yaml").write_text(roster(args.base.resolve(), adapters, full, metadata))
        fleet = timed([str(BIN / "groupgap"), "run", str(folder / "roster.yaml"), "-o", str(folder / "fleet")])
        said = "groupgap run, {} variants, proofs and board included: {:.0f} s, {:.0f} s of processor time"
        print(said.format(args.adapters + 2, *fleet), flush=True)
        lora = "enable_lora=True,lora_target_modules=['q_proj','k_proj','v_proj','o_proj']"
        models = [f"pretrained={args.base.resolve()}", f"pretrained={full}"]
        models += [f"pretrained={args.base.resolve()},lora_local_path={path},{lora}" for path in adapters]
        total = (0.0, 0.0)
        for count, arguments in enumerate(models, start=1):
            wall, used = stock(arguments, metadata, folder / "stock")
            total = (total[0] + wall, total[1] + used)
            print(f"stock lm_eval, {count} processes: {total[0]:.0f} s, {total[1]:.0f} s of processor time", flush=True)
        print(f"ratio: {total[0] / fleet[0]:.1f} by the clock, {total[1] / fleet[1]:.1f} of processor time")


if __name__ == "__main__":
    main()
