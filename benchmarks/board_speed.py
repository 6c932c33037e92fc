"""Seconds and peak memory of a board of 100 runs x 10 tasks x 1,000 answers, made of run folders in lm-eval's format.

    python benchmarks/board_speed.py --runs 100 --tasks 10 --answers 1000

The runs are written first, outside the time. Each stage is timed: reading and checking, judging, comparing, writing.
Comparing all rows of a table takes the square of their number (``--pairs all``); the rest is linear, and so is
``--pairs baseline``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

GROUPS = ("aurelian", "brontic", "celian", "dorvan", "elmic")
FAIR = {"axes": {"religion": {"field": "religion", "groups": list(GROUPS)}}, "positive": "yes"}


def write_runs(folder: Path, runs: int, answers: int, tasks: int = 1) -> None:
    """Write run folders whose answers differ from run to run, over the same documents (a tenth in two groups)."""
    names = ["toy"] if tasks == 1 else [f"toy_{number}" for number in range(tasks)]
    rng = np.random.default_rng(0)
    documents = [
        {
            "id": f"toy-{index}",
            "text": "a remark of some twenty words " * 4 + str(index),
            "label": int(rng.integers(2)),
            "religion": [str(name) for name in rng.permutation(GROUPS)[: 2 if rng.random() < 0.1 else 1]],
        }
        for index in range(answers)
    ]
    hashes = [hashlib.sha256(json.dumps(document, indent=2).encode()).hexdigest() for document in documents]
    for number in range(runs):
        place = folder / f"model-{number}"
        place.mkdir(parents=True)
        date = "2026-01-02T03-04-05.678901"
        config = {"doc_to_target": "label", "target_delimiter": " ", "metadata": {"fair": FAIR}}
        results = {
            "results": {name: {} for name in names},
            "configs": dict.fromkeys(names, config),
            "config": {"model": "hf", "model_args": {"pretrained": f"model-{number}"}},
            "n-samples": {name: {"original": answers, "effective": answers} for name in names},
        }
        (place / f"results_{date}.json").write_text(json.dumps(results))
        for name in names:
            with (place / f"samples_{name}_{date}.jsonl").open("w") as file:
                for index, (document, digest) in enumerate(zip(documents, hashes, strict=True)):
                    file.write(json.dumps(sample_line(index, document, digest, rng.normal(-1, 0.5, size=2))) + "\n")


def sample_line(index: int, document: dict[str, Any], digest: str, scores: np.ndarray) -> dict[str, Any]:
    """A line as lm-eval 0.4.13 writes it."""
    prompt = f"Remark: {document['text']}\nIs this remark rude? Answer yes or no.\nAnswer:"
    replies = [[str(float(score)), "False"] for score in scores]
    return {
        "doc_id": index,
        "doc": document,
        "target": str(document["label"]),
        "arguments": {
            f"gen_args_{place}": {"arg_0": prompt, "arg_1": f" {word}"} for place, word in enumerate(("no", "yes"))
        },
        "resps": [[reply] for reply in replies],
        "filtered_resps": replies,
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": digest,
        "prompt_hash": hashlib.sha256(prompt.encode()).hexdigest(),
        "target_hash": hashlib.sha256(str(document["label"]).encode()).hexdigest(),
        "acc": 0.0,
    }


def peak() -> float:
    """Peak resident memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Write the runs, build the board, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--pairs", choices=("all", "baseline", "none"), help="default: as groupgap board decides")
    args = parser.parse_args()
    from groupgap.leaderboards.board import Options, build_board
    from groupgap.leaderboards.collection import Request, collect
    from groupgap.leaderboards.write import write_board

    with tempfile.TemporaryDirectory() as temporary:
        write_runs(Path(temporary) / "runs", args.runs, args.answers, args.tasks)
        before, clock = peak(), [(time.perf_counter(), time.process_time())]
        stage = lambda: clock.append((time.perf_counter(), time.process_time()))  # noqa: E731
        collection = collect(Request([Path(temporary) / "runs"]))
        stage()
        comparing: list[tuple[float, float]] = []
        options = Options(draws=args.draws, pairs=args.pairs)
        board = build_board(
            collection,
            options,
            lambda line: (
                comparing.append((time.perf_counter(), time.process_time())) if ": comparing" in line else None
            ),
        )
        clock.append(comparing[0] if comparing else (time.perf_counter(), time.process_time()))
        stage()
        written = write_board(board, Path(temporary) / "board")
        stage()
        sizes = ", ".join(f"{name} {path.stat().st_size / 1024:,.0f} KB" for name, path in written.items())
    compared = sum(len(one.found.pairs) for one in board.pairs)
    print(f"{args.runs} runs x {args.tasks} tasks x {args.answers} answers, {compared:,} pairs")
    report(clock)
    print(f"  peak memory {peak():.0f} MB, {peak() - before:.0f} MB of it for the board ({sizes})")
    return 0


def report(clock: list[tuple[float, float]]) -> None:
    """Print the seconds of each stage, from (wall, processor) times at its beginning and end."""
    stages = [*zip(("read and check", "judge", "compare", "write"), pairwise(clock), strict=True)]
    for name, (start, end) in [*stages, ("in all", (clock[0], clock[-1]))]:
        print(f"  {name}: {end[0] - start[0]:.1f} s, {end[1] - start[1]:.1f} s of processor time")


if __name__ == "__main__":
    sys.exit(main())
