"""The board of this folder, made again: train, ask, judge, compare. Run by ``make example``; see ``README.md``.

What is done already is not done again, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

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


def together(out: Path, data: Path, commands: Sequence[list[str]], output: str | None = None) -> None:
    """Run ``groupgap COMMAND`` in the folder of everything, several side by side; stop where one fails.

    Args:
        out: where they run.
        data: the folder of the data sets.
        commands: their arguments.
        output: a file for what they print, instead of the terminal.
    """
    environment = {**os.environ, **ENVIRONMENT, "GROUPGAP_DATA": str(data)}
    running = []
    for command in commands:
        print("+ groupgap " + " ".join(command), flush=True)
        program = [sys.executable, "-P", "-m", "groupgap.cli", *command]
        sink = (out / output).open("wb") if output else None
        running.append(subprocess.Popen(program, cwd=out, env=environment, stdout=sink))
    statuses = [process.wait() for process in running]
    if any(statuses):
        sys.exit("failed: run it again, and it goes on from there")


def trainings(out: Path) -> list[dict[str, Any]]:
    """What the records of the trainings say, without ids and places."""
    keys = ("name", "method", "seed", "task", "batch_order", "first_loss", "losses", "selected_epoch", "steps")
    keys = (*keys, "trained_parameters", "total_parameters", "seconds", "seconds_per_step", "peak_memory_bytes")
    found = []
    for path in sorted(out.glob("*/trained/*/training.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found.append({key: record[key] for key in keys} | {"rows": len(record["row_ids"])})
    return found


def keep(out: Path, model: Path, keep_in: Path) -> None:
    """Copy the small results, with the model's name in the place of its folder, json without spaces.

    Of the comparisons the tests of single groups are left away.
    """

    def shortened(path: Path) -> str:
        return (
            path.read_text(encoding="utf-8")
            .replace(str(model), model.name)
            .replace(f"…/{model.name}", model.name)
            .replace(f"{out}/", "")
        )

    def write(name: str, document: Any) -> None:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        (keep_in / name).write_text(text + "\n", encoding="utf-8")

    for name in ("board.csv", "board.md"):
        (keep_in / name).write_text(shortened(out / "board" / name), encoding="utf-8")
    write("board.json", json.loads(shortened(out / "board" / "board.json")))
    for name in SETS:
        (keep_in / f"roster-{name}.yaml").write_text(shortened(out / name / "roster.yaml"), encoding="utf-8")
        compared = json.loads(shortened(out / f"compare-{name}.json"))
        for one in compared["comparisons"]:
            one["tests"] = [test for test in one["tests"] if test["group"] is None]
        write(f"compare-{name}.json", compared)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, no GPU"
    clocks = {name: clock(out / name) for name in SETS}
    made = {"machine": machine, "clock_seconds": clocks, "asked": asked(out), "trainings": trainings(out)}
    write("made.json", made)


def clock(folder: Path) -> float:
    """Seconds by the clock from the start of a set's first training to the end of its last answer, pauses included."""
    began = min(
        path.stat().st_mtime - json.loads(path.read_text(encoding="utf-8"))["seconds"]
        for path in folder.glob("trained/*/training.json")
    )
    return round(max(path.stat().st_mtime for path in folder.glob("runs/*/finished.json")) - began)


def write_roster(folder: Path) -> None:
    """The roster that the training wrote, the set in every trained variant's name: a board has one of each name."""
    roster = yaml.safe_load((folder / "trained" / "roster.yaml").read_text(encoding="utf-8"))
    for variant in roster["variants"]:
        if "weights" in variant:
            variant |= {"name": f"{folder.name}-{variant['name']}", "weights": f"./trained/{variant['name']}"}
    (folder / "roster.yaml").write_text(yaml.safe_dump(roster, sort_keys=False), encoding="utf-8")


def asked(out: Path) -> dict[str, dict[str, float]]:
    """Of each task: documents asked, those labelled with the positive choice, and lm-eval's seconds over all runs."""
    found: dict[str, dict[str, float]] = {}
    for path in sorted(out.glob("*/runs/*/samples_*.jsonl")):
        task, _, date = path.stem.removeprefix("samples_").rpartition("_")
        if task not in found:
            with path.open(encoding="utf-8") as file:
                labels = [int(json.loads(line)["doc"]["label"]) for line in file]
            found[task] = {"documents": len(labels), "positive": sum(labels), "seconds": 0.0}
        results = json.loads((path.parent / f"results_{date}.json").read_text(encoding="utf-8"))
        found[task]["seconds"] += float(results["total_evaluation_time_seconds"])
    return found


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
    train = [
        ["train", str(HERE / f"{name}.yaml"), "-o", f"{name}/trained", "--base", str(model), "--roster"]
        for name in SETS
    ]
    together(out, data, train)
    for name in SETS:
        write_roster(out / name)
        together(out, data, [["run", f"{name}/roster.yaml", "-o", name, "--no-board"]])
    together(out, data, [["board", *(f"{name}/runs" for name in SETS), "-o", "board"]])
    for name in SETS:
        compare = ["compare", f"{name}/runs", "--baseline", f"{name}-{BASELINE}", "--json"]
        together(out, data, [compare], f"compare-{name}.json")
    if args.keep:
        keep(out, model, args.keep)
    print(f"The page: {out / 'board' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
