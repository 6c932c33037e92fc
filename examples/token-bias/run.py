"""The report of this folder, made again: fine-tune on reviews, ask about others, measure token bias, compare.

Run by ``make example-token-bias``; see ``README.md``. What is done already is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("GROUPGAP_SHARED", "../shared"))
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}
REPORT = tuple(f"token_bias.{kind}" for kind in ("csv", "json", "md", "svg"))
JUDGED = ["--skip", "gender_guess_*", "--skip", "yelp_review_ppl"]  # these reviews have no right answer


def groupgap(out: Path, data: Path, command: list[str], output: str | None = None) -> None:
    """Run ``groupgap COMMAND`` in a folder, its standard output in a file where one is named."""
    print("+ groupgap " + " ".join(command), flush=True)
    program = [sys.executable, "-P", "-m", "groupgap.cli", *command]
    environment = {**os.environ, **ENVIRONMENT, "GROUPGAP_DATA": str(data)}
    done = subprocess.run(program, cwd=out, env=environment, check=False, stdout=subprocess.PIPE if output else None)
    if done.returncode:
        sys.exit(f"groupgap {command[0]} failed: run this again, and it goes on from there")
    if output:
        (out / output).write_bytes(done.stdout)


def perplexities(out: Path) -> dict[str, float]:
    """Of held-out reviews, by variant."""
    found = {}
    for path in sorted(out.glob("asked/runs/*/**/results_*.json")):
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
        if "yelp_review_ppl" in results:
            found[path.relative_to(out).parts[2]] = results["yelp_review_ppl"]["perplexity,none"]
    return found


def keep(out: Path, model: Path, keep_in: Path) -> None:
    """Copy the report, with the model's name in the place of its folder, and what was learnt."""

    def shortened(name: str) -> str:
        text = (out / name).read_text(encoding="utf-8")
        return text.replace(str(model), model.name).replace(f"…/{model.name}", model.name).replace(f"{out}/", "")

    for name in (*(f"report/{one}" for one in REPORT), "board/board.md"):
        (keep_in / Path(name).name).write_text(shortened(name), encoding="utf-8")
    compared = json.loads(shortened("compare.json"))
    for one in compared["comparisons"]:
        one["tests"] = [test for test in one["tests"] if test["metric"].endswith("_effect")]
    kept = {**compared, "comparisons": [one for one in compared["comparisons"] if one["tests"]]}
    (keep_in / "compare.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    losses = {}
    for path in sorted(out.glob("trained/*/training.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        losses[record["name"]] = {"losses": record["losses"], "rows": len(record["row_ids"]), "steps": record["steps"]}
    facts = {"trainings": losses, "perplexity": perplexities(out)}
    (keep_in / "made.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Everything, from the recipe to the files of this folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=SHARED / "models" / "stories260K", help="the base's folder")
    parser.add_argument("--data", type=Path, default=SHARED / "data", help="folder of the data sets (GROUPGAP_DATA)")
    parser.add_argument("--out", type=Path, default=Path("example-token-bias"), help="folder for weights and runs")
    parser.add_argument("--keep", type=Path, help="put the small results here too (as they are in this folder)")
    args = parser.parse_args()
    model, data, out = args.model.resolve(), args.data.resolve(), args.out.resolve()
    for folder in (model, data):
        if not folder.is_dir():
            sys.exit(f"{folder}: not there: name the folders by --model and --data, or set GROUPGAP_SHARED")
    out.mkdir(parents=True, exist_ok=True)
    compare = ["compare", "asked/runs", "--baseline", "full-13", *JUDGED, "--json"]
    board = ["board", "asked/runs", *JUDGED, "--with", "report/token_bias.json", "-o", "board"]
    train = ["train", str(HERE / "recipe.yaml"), "-o", "trained", "--base", str(model), "--roster"]
    groupgap(out, data, train)
    groupgap(out, data, ["run", "trained/roster.yaml", "-o", "asked", "--no-board"])
    groupgap(out, data, ["token-bias", "asked/runs", "-o", "report"])
    groupgap(out, data, compare, "compare.json")
    groupgap(out, data, board)
    if args.keep:
        keep(out, model, args.keep)
    print(f"The report: {out / 'report'}; the page: {out / 'board' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
