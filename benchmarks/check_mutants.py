"""Mutated adapters through ``groupgap check``: no crash, no hang, little memory, nothing run, nothing harmful accepted.

    python benchmarks/check_mutants.py --count 500 --seed 0

True adapters (LoRA, DoRA, IA3, a classifier) are made by PEFT on a tiny Llama, then each mutant is one of them with
one fault planted. The checks run in a process of their own, which never imports torch. Afterwards PEFT itself loads
whatever was not refused: a mutant is harmful where that raises, leaves a tensor out, or gives values that are not
finite.
Exit status 1 where a bar is missed: a harmful mutant let through, a check over 5 s, memory over 500 MB, anything run.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from adapter_mutants import make_mutants

SECONDS, MEGABYTES = 5.0, 500


def make_true(root: Path) -> tuple[Path, dict[str, Path]]:
    """A tiny Llama and true adapters of it, saved by PEFT with random values."""
    import torch
    from peft import IA3Config, LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    torch.manual_seed(0)
    sizes = {"vocab_size": 48, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    base = root / "base"
    LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2)).save_pretrained(base)
    targets = {"target_modules": ["q_proj", "down_proj"]}
    causal = targets | {"task_type": "CAUSAL_LM"}
    configs = {
        "lora": LoraConfig(r=4, **causal),
        "dora": LoraConfig(r=4, use_dora=True, **causal),
        "ia3": IA3Config(feedforward_modules=["down_proj"], **causal),
        "classifier": LoraConfig(r=4, task_type="SEQ_CLS", **targets),
    }
    made = {}
    for name, config in configs.items():
        kind = LlamaForSequenceClassification if name == "classifier" else LlamaForCausalLM
        model = get_peft_model(kind.from_pretrained(base), config)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(root / name)
        made[name] = root / name
    return base, made


def check_all(base: Path, folders: list[Path]) -> dict[str, Any]:
    """Check each folder in this process, which imports no torch; verdicts, seconds, and the peak of memory."""
    from groupgap.adapters.base_model import read_base
    from groupgap.adapters.check import CheckOptions, check_adapter

    model, verdicts, seconds = read_base(base), [], []
    for folder in folders:
        start = time.perf_counter()
        try:
            check = check_adapter(folder, model, CheckOptions(engine="hf", deep=True))
            verdicts.append([check.verdict, check.reason])
        except Exception as error:  # noqa: BLE001  (a crash is what is looked for)
            verdicts.append(["crashed", f"{type(error).__name__}: {error}"])
        seconds.append(time.perf_counter() - start)
    return {"verdicts": verdicts, "seconds": seconds, "megabytes": peak_megabytes(), "torch": "torch" in sys.modules}


def peak_megabytes() -> float:
    """This process's own peak; ``ru_maxrss`` would count its parent's from before the exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def harm(base: Path, folder: Path, classes: bool) -> str:
    """What goes wrong when PEFT loads an adapter that was not refused; empty where nothing does."""
    import torch
    from peft import PeftConfig, PeftModel
    from peft.utils import load_peft_weights, set_peft_model_state_dict
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    kind = AutoModelForSequenceClassification if classes else AutoModelForCausalLM
    try:
        config = PeftConfig.from_pretrained(str(folder))
        config.inference_mode = True
        tensors = load_peft_weights(str(folder), device="cpu")
        labels = tensors["base_model.model.score.weight"].shape[0] if classes else 0
        model = PeftModel(
            kind.from_pretrained(base, **({"num_labels": labels} if classes else {})), copy.deepcopy(config)
        )
        result = set_peft_model_state_dict(model, dict(tensors))
    except Exception as error:  # noqa: BLE001  (whatever PEFT raises)
        return f"raises {type(error).__name__}: {str(error)[:120]}"
    lost = [name for name in result.missing_keys if any(word in name for word in ("lora_", "ia3_", "modules_to_save"))]
    if lost or result.unexpected_keys:
        return f"missing {lost[:2]}, unexpected {list(result.unexpected_keys)[:2]}"
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values() if tensor.is_floating_point()):
        return "values that are not finite"
    return "" if any(bool(tensor.any()) for tensor in tensors.values()) else "changes nothing"


def measure(root: Path, count: int, seed: int) -> dict[str, Any]:
    """Make the mutants, check them, and let PEFT say which of the accepted ones are harmful."""
    warnings.simplefilter("ignore")
    base, true = make_true(root)
    mutants = make_mutants(root, true, count, seed)
    listing = root / "folders.json"
    listing.write_text(json.dumps([str(folder) for _, _, folder in mutants]))
    command = [sys.executable, str(Path(__file__).resolve()), "--check", str(base), str(listing)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    through, refused, crashed = [], Counter[str](), []
    for (fault, method, folder), (verdict, reason) in zip(mutants, found["verdicts"], strict=True):
        if verdict == "crashed":
            crashed.append(f"{folder.name} {fault}: {reason}")
        elif verdict == "refused":
            refused[fault] += 1
        elif what := harm(base, folder, method == "classifier"):
            through.append(f"{folder.name} {fault} ({method}): {what}")
    return {
        "mutants": count,
        "refused": sum(refused.values()),
        "harmful_let_through": through,
        "crashed": crashed,
        "slowest_seconds": max(found["seconds"]),
        "peak_megabytes": found["megabytes"],
        "torch_imported": found["torch"],
        "something_ran": (root / "MARKER").exists(),
        "refused_by_fault": dict(sorted(refused.items())),
    }


def missed(result: dict[str, Any]) -> list[str]:
    """The bars that a result misses."""
    bars = {
        "harmful mutants let through": not result["harmful_let_through"],
        "crashes": not result["crashed"],
        f"a check over {SECONDS:g} s": result["slowest_seconds"] <= SECONDS,
        f"memory over {MEGABYTES} MB": result["peak_megabytes"] <= MEGABYTES,
        "something was run": not result["something_ran"],
    }
    return [name for name, held in bars.items() if not held]


def main() -> int:
    """Run the benchmark, or (inside it) the checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", nargs=2, metavar=("BASE", "LIST"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.check:
        base, listing = map(Path, args.check)
        print(json.dumps(check_all(base, [Path(folder) for folder in json.loads(listing.read_text())])))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), args.count, args.seed)
    print(json.dumps(result, indent=2))
    for bar in missed(result):
        print(f"missed: {bar}", file=sys.stderr)
    return int(bool(missed(result)))


if __name__ == "__main__":
    sys.exit(main())
