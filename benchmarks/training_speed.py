"""What groupgap's Trainer costs beside a plain one: time of a step on the same rows, order, model and arguments.

    OMP_NUM_THREADS=1 python benchmarks/training_speed.py MODEL [--pairs 12] [--steps 40] [--method full|lora]

MODEL is a folder or hub id of a small causal language model. Pairs are interleaved, and who begins alternates; a pair's
ratio is ours over plain. Exit status 1 when the median ratio of the CPU's time is above 1.05. Wall time is printed too:
on a machine that does other work as well it says little.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from groupgap.adapters.resolve import resolve
from groupgap.adapters.training.forms import Part, Prepared, prepare
from groupgap.adapters.training.journal import Journal
from groupgap.adapters.training.methods import apply_method
from groupgap.adapters.training.order import order_of
from groupgap.adapters.training.recipe import Recipe, load_recipe
from groupgap.adapters.training.task_data import load_task_data
from groupgap.adapters.training.trainer import SeededTrainer, training_arguments

LIMIT = 1.05
METHODS = {"full": "full: {}", "lora": "lora: {r: 8, alpha: 16, targets: all-linear}"}
RECIPE = """base: {base}
form: prompt
task: toy_religion_fair
max_rows: {rows}
max_validation_rows: 8
learning_rate: 1e-4
batch_size: 16
methods:
  {method}
"""


def arguments(recipe: Recipe, prepared: Prepared, folder: Path, steps: int) -> Any:
    """The recipe's own arguments, without evaluation and checkpoints."""
    found = training_arguments(recipe, recipe.methods[0], folder, prepared, "cpu")
    found.max_steps, found.eval_strategy, found.save_strategy = steps, "no", "no"
    return found


def ours(recipe: Recipe, prepared: Prepared, folder: Path, steps: int) -> Any:
    """The Trainer of ``groupgap train``."""
    journal = Journal("ours", prepared.train.ids, lambda _: None)
    return SeededTrainer(model(recipe, prepared), arguments(recipe, prepared, folder, steps), prepared, journal)


def plain(recipe: Recipe, prepared: Prepared, folder: Path, steps: int) -> Any:
    """transformers' Trainer on a list of the same rows in the same order."""
    from transformers import PrinterCallback, Trainer

    args = arguments(recipe, prepared, folder, steps)
    args.train_sampling_strategy = "sequential"
    places = order_of(prepared.train.ids, args.seed, 0)
    trainer = Trainer(
        model=model(recipe, prepared),
        args=args,
        train_dataset=[prepared.train.rows[place] for place in places],
        data_collator=prepared.collate,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def model(recipe: Recipe, prepared: Prepared) -> Any:
    """The base, with the method applied."""
    return apply_method(prepared.load(), recipe, recipe.methods[0], prepared, recipe.base)


def timed(trainer: Any) -> tuple[float, float]:
    """CPU and wall seconds of one training."""
    began = time.process_time(), time.perf_counter()
    trainer.train()
    return time.process_time() - began[0], time.perf_counter() - began[1]


def measure(options: argparse.Namespace, folder: Path) -> tuple[list[float], list[float]]:
    """Ratios of the pairs, by CPU and by wall; the first pair warms up and does not count."""
    path = folder / "recipe.yaml"
    rows = 16 * options.steps
    path.write_text(RECIPE.format(base=Path(options.model).absolute(), rows=rows, method=METHODS[options.method]))
    recipe = load_recipe(path)
    prepared = prepare(recipe, load_task_data(recipe), resolve(recipe.base).path)
    assert isinstance(prepared.train, Part)
    ratios: tuple[list[float], list[float]] = ([], [])
    for pair in range(options.pairs + 1):
        makers = {"ours": ours, "plain": plain}
        names = sorted(makers, reverse=bool(pair % 2))
        seconds = {name: timed(makers[name](recipe, prepared, folder / "out", options.steps)) for name in names}
        shown = ", ".join(f"{name} {cpu / options.steps * 1e3:.1f} ms" for name, (cpu, _) in sorted(seconds.items()))
        print(f"pair {pair}: CPU time of a step: {shown}", flush=True)
        for kind in (0, 1):
            if pair:
                ratios[kind].append(seconds["ours"][kind] / seconds["plain"][kind])
    return ratios


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--method", choices=METHODS, default="full")
    options = parser.parse_args()
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        cpu, wall = measure(options, Path(folder))
    median = statistics.median(cpu)
    print(
        f"{options.method}: ours over plain, {len(cpu)} pairs of {options.steps} steps: median {median:.3f} of CPU "
        f"time ({min(cpu):.3f} to {max(cpu):.3f}), {statistics.median(wall):.3f} of wall time"
    )
    return int(median > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
