"""The report of this folder, made again: targets trained, sixteen shadows for each, all asked, the attack judged.

Run by ``make example-membership``; see ``README.md``. What is done already is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("GROUPGAP_SHARED", "../shared"))
ENVIRONMENT = {
    "OMP_NUM_THREADS": "2",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}
KEPT = ("attack.json", "attack.csv", "attack.md", "roc.svg")
AUDIT = 500


def groupgap(out: Path, data: Path, command: list[str]) -> float:
    """Run ``groupgap COMMAND`` in a folder; returns its seconds."""
    print("+ groupgap " + " ".join(command), flush=True)
    began = time.monotonic()
    program = [sys.executable, "-P", "-m", "groupgap.cli", *command]
    environment = {**os.environ, **ENVIRONMENT, "GROUPGAP_DATA": str(data)}
    done = subprocess.run(program, cwd=out, env=environment, check=False)
    if done.returncode:
        sys.exit(f"groupgap {command[0]} failed: run this again, and it goes on from there")
    return time.monotonic() - began


def keep(out: Path, model: Path, keep_in: Path) -> None:
    """Copy the report, with the model's name alone, and what it took."""
    for name in KEPT:
        text = (out / "attack" / "report" / name).read_text(encoding="utf-8")
        (keep_in / name).write_text(text.replace(f"…/{model.name}", model.name), encoding="utf-8")
    targets = {}
    for path in sorted(out.glob("trained/*/training.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        targets[record["name"]] = {
            "losses": record["losses"],
            "rows": len(record["row_ids"]),
            "steps": record["steps"],
            "trained_parameters": record["trained_parameters"],
        }
    facts = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU",
        "seconds": json.loads((out / "took.json").read_text()),
        "targets": targets,
    }
    (keep_in / "made.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Everything, from the recipe to the files of this folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=SHARED / "models" / "stories260K", help="the base's folder")
    parser.add_argument("--data", type=Path, default=SHARED / "data", help="folder of the data sets (GROUPGAP_DATA)")
    parser.add_argument("--out", type=Path, default=Path("example-membership"), help="folder for weights and runs")
    parser.add_argument("--keep", type=Path, help="put the small results here too (as they are in this folder)")
    args = parser.parse_args()
    model, data, out = args.model.resolve(), args.data.resolve(), args.out.resolve()
    for folder in (model, data):
        if not folder.is_dir():
            sys.exit(f"{folder}: not there: name the folders by --model and --data, or set GROUPGAP_SHARED")
    out.mkdir(parents=True, exist_ok=True)
    path = out / "took.json"
    took = json.loads(path.read_text()) if path.is_file() else {}
    train = ["train", str(HERE / "recipe.yaml"), "-o", "trained", "--base", str(model), "--roster"]
    attack = ["attack", "trained/roster.yaml", "-o", "attack", "--shadows", "16", "--audit", str(AUDIT)]
    for step, command in (("train", train), ("attack", attack)):
        took[step] = round(took.get(step, 0.0) + groupgap(out, data, command), 1)
        path.write_text(json.dumps(took))
    if args.keep:
        keep(out, model, args.keep)
    print(f"The report: {out / 'attack' / 'report'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
