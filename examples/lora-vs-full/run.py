"""The board of this folder, made again: train, ask, judge, compare. Run by ``make example``; see ``README.md``.

What is done already is not done again, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SETS = ("toxigen", "hatexplain")
BASELINE = "full"
SHARED = Path(os.environ.get("GROUPGAP_SHARED", "../shared"))
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # the sets are trained side by side
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}
KEPT = ("board.csv", "board.json", "board.md")


class Steps:
    """Runs commands, and keeps what they took.

    Args:
        out: the folder of everything; commands run there.
        data: the folder of the data sets.
        took: seconds and processor seconds by step, from earlier runs.
    """

    def __init__(self, out: Path, data: Path, took: dict[str, dict[str, Any]]) -> None:
        self._out, self.took = out, took
        self._environment = {**os.environ, **ENVIRONMENT, "GROUPGAP_DATA": str(data)}

    def start(self, command: list[str], output: str | None = None) -> subprocess.Popen[bytes]:
        """Start ``groupgap COMMAND``, its standard output in a file where one is named."""
        print("+ groupgap " + " ".join(command), flush=True)
        sink = (self._out / output).open("wb") if output else None
        program = [sys.executable, "-P", "-m", "groupgap.cli", *command]
        return subprocess.Popen(program, cwd=self._out, env=self._environment, stdout=sink)

    def all(self, step: str, commands: list[list[str]], output: str | None = None) -> None:
        """Run commands side by side; their time is added to what the step took before."""
        began, used = time.monotonic(), _processor_seconds()
        running = [self.start(command, output) for command in commands]
        failed = [process.args for process in running if process.wait()]
        before = self.took.get(step, {"seconds": 0.0, "processor_seconds": 0.0})
        self.took[step] = {
            "commands": ["groupgap " + " ".join(command) for command in commands],
            "seconds": round(before["seconds"] + time.monotonic() - began, 1),
            "processor_seconds": round(before["processor_seconds"] + _processor_seconds() - used, 1),
        }
        (self._out / "took.json").write_text(json.dumps(self.took, indent=1))
        if failed:
            sys.exit(f"{step} failed: run it again, and it goes on from there")


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def trainings(out: Path) -> list[dict[str, Any]]:
    """What the records of the trainings say, without ids and places."""
    keys = ("name", "method", "seed", "task", "batch_order", "first_loss", "losses", "selected_epoch", "steps")
    keys = (*keys, "trained_parameters", "total_parameters", "seconds", "seconds_per_step", "peak_memory_bytes")
    found = []
    for path in sorted(out.glob("*/trained/*/training.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found.append({key: record[key] for key in keys} | {"rows": len(record["row_ids"])})
    return found


def keep(out: Path, model: Path, keep_in: Path, took: dict[str, Any]) -> None:
    """Copy the small results, with the model's name in the place of its folder."""

    def shortened(text: str) -> str:
        return text.replace(str(model), model.name).replace(f"{out}/", "")

    for name in KEPT:
        (keep_in / name).write_text(shortened((out / "board" / name).read_text(encoding="utf-8")), encoding="utf-8")
    for name in SETS:
        roster = (out / name / "trained" / "roster.yaml").read_text(encoding="utf-8")
        (keep_in / f"roster-{name}.yaml").write_text(shortened(roster), encoding="utf-8")
        compared = (out / f"compare-{name}.json").read_text(encoding="utf-8")
        (keep_in / f"compare-{name}.json").write_text(shortened(compared), encoding="utf-8")
    facts = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU",
        "steps": json.loads(shortened(json.dumps(took))),
        "trainings": trainings(out),
    }
    (keep_in / "made.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _variants(roster: Path) -> list[str]:
    """Names of the variants, seeds left away, in the roster's order."""
    names = re.findall(r"^- name: (\S+)$", roster.read_text(encoding="utf-8"), re.MULTILINE)
    return list(dict.fromkeys(re.sub(r"-\d+$", "", name) for name in names))


def main() -> int:
    """Everything, from the recipes to the files of this folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=SHARED / "models" / "stories260K", help="the base's folder")
    parser.add_argument("--data", type=Path, default=SHARED / "data", help="folder of the data sets (GROUPGAP_DATA)")
    parser.add_argument("--out", type=Path, default=Path("example"), help="folder for weights, runs and the board")
    parser.add_argument("--keep", type=Path, help="put the small results here too (as they are in this folder)")
    args = parser.parse_args()
    model, data, out = args.model.resolve(), args.data.resolve(), args.out.resolve()
    for folder in (model, data):
        if not folder.is_dir():
            sys.exit(f"{folder}: not there: name the folders by --model and --data, or set GROUPGAP_SHARED")
    out.mkdir(parents=True, exist_ok=True)
    took = json.loads((out / "took.json").read_text()) if (out / "took.json").is_file() else {}
    steps = Steps(out, data, took)
    train = [
        ["train", str(HERE / f"{name}.yaml"), "-o", f"{name}/trained", "--base", str(model), "--roster"]
        for name in SETS
    ]
    steps.all("train", train)
    for name in SETS:
        steps.all(f"ask {name}", [["run", f"{name}/trained/roster.yaml", "-o", name, "--no-board"]])
    steps.all("board", [["board", *(f"{name}/runs" for name in SETS), "-o", "board"]])
    for name in SETS:
        compare = ["compare", f"{name}/runs", "--baseline", BASELINE, "--json"]
        steps.all(f"compare {name}", [compare], f"compare-{name}.json")
    if args.keep:
        keep(out, model, args.keep, steps.took)
    print(f"The page: {out / 'board' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
