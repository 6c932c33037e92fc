"""``groupgap train``: every method of a recipe on the same rows, in the same order, from the same start."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import GroupgapError, MissingExtraError
from ..base_model import read_base
from ..resolve import Resolved, resolve
from ..roster_file import nearest
from ..tensors import file_hashes
from .recipe import Recipe, load_recipe
from .recipe_shelf import about, find_recipe, shelf

if TYPE_CHECKING:
    from .train import Job

NEEDS = ("torch", "transformers", "accelerate", "safetensors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("recipe", nargs="?", help="recipe file, or the name of one of groupgap's (docs/train.md)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="where the trainings go, one folder each")
    parser.add_argument("--list", action="store_true", help="list groupgap's recipes")
    parser.add_argument("--seed", type=int, action="append", help="train with this seed instead; repeatable")
    parser.add_argument("--method", action="append", metavar="NAME", help="train this method only; repeatable")
    parser.add_argument("--base", help="another base than the recipe's: a folder or a hub id")
    parser.add_argument("--max-steps", type=int, help="stop every training after so many updates, to try a recipe out")
    parser.add_argument("--max-rows", type=int, help="train on so many rows instead of the recipe's number")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where to train; cuda where there is one, else cpu")
    parser.add_argument(
        "--roster", action="store_true", help="write DIR/roster.yaml of the base and all trainings there"
    )


def run(args: argparse.Namespace) -> int:
    """Train what is not trained yet."""
    if args.list:
        for name, path in shelf().items():
            print(f"{name}: {about(path)}")
        return 0
    if not args.recipe or not args.output:
        raise GroupgapError("groupgap train needs a recipe and -o DIR (--list shows groupgap's recipes)")
    for package in NEEDS:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError("groupgap train", package, "train")
    recipe = _chosen(args)
    _check_device(args.device, recipe)
    from .train import finished, quiet, train

    quiet()

    base = resolve(recipe.base)
    read_base(base.path)  # refuses pickles, damaged files and code of the base's own before anything is loaded
    jobs = _jobs(recipe, base, args)
    for number, job in enumerate(jobs, 1):
        if finished(job):
            _say(f"{job.name}: is trained already ({number} of {len(jobs)})")
            continue
        _say(f"{job.name}: training ({number} of {len(jobs)})")
        done = train(job)
        taken = f"epoch {done.selected_epoch} of {len(done.losses)} taken"
        _say(f"{job.name}: {taken}, {done.seconds:.1f} s, in {job.folder}")
    if args.roster:
        from .trained_roster import trained_beside, write_roster

        names = trained_beside([job.name for job in jobs], jobs[0])
        _say(f"roster: {write_roster(recipe, args.output, names, base.path, jobs[0].prepared)}")
    return 0


def _jobs(recipe: Recipe, base: Resolved, args: argparse.Namespace) -> list[Job]:
    """Every training of the recipe, seed by seed: an interrupted comparison has whole seeds."""
    from .forms import prepare
    from .task_data import load_task_data
    from .train import Job, hash_of, rows_hash

    data = load_task_data(recipe)
    prepared = prepare(recipe, data, base.path)
    for note in prepared.notes:
        _say(note)
    _say(
        f"{len(prepared.train.ids):,} rows to train on, {len(prepared.validation.ids):,} to validate; "
        f"{len(recipe.methods)} methods, {len(recipe.seeds)} seeds"
    )
    first = Job(
        recipe=recipe,
        method=recipe.methods[0],
        seed=recipe.seeds[0],
        prepared=prepared,
        base=base.path,
        base_hashes={"commit": base.commit} if base.commit else file_hashes(base.path),
        data_hash=rows_hash(data, prepared),
        validation_hash=hash_of(data.validation.ids) if data.validation.ids else None,
        out=args.output,
        device=args.device,
        command=shlex.join(["groupgap", *sys.argv[1:]]),
        progress=_say,
    )
    return [replace(first, method=method, seed=seed) for seed in recipe.seeds for method in recipe.methods]


def _say(line: str) -> None:
    if os.environ.get("RANK", "0") == "0":  # of several processes that train together, the first speaks
        print(f"groupgap: {line}", flush=True)


def _chosen(args: argparse.Namespace) -> Recipe:
    """The recipe with what the command line says otherwise."""
    told = {"base": args.base and str(_base(args.base)), "max_rows": args.max_rows, "seeds": args.seed}
    recipe = load_recipe(find_recipe(args.recipe), {key: value for key, value in told.items() if value is not None})
    methods = tuple(method for method in recipe.methods if not args.method or _named(method.name, args.method))
    unknown = [name for name in args.method or () if not any(_named(method.name, [name]) for method in recipe.methods)]
    if unknown:
        names = [method.name for method in recipe.methods]
        raise GroupgapError(
            f"--method {unknown[0]!r:.80}: {args.recipe} has no such method: {nearest(unknown[0], names)}"
        )
    if args.max_steps is not None:
        if args.max_steps < 1:
            raise GroupgapError(f"--max-steps {args.max_steps}: expected 1 or more")
        methods = tuple(
            replace(method, settings=replace(method.settings, max_steps=args.max_steps)) for method in methods
        )
    return replace(recipe, methods=methods)


def _base(text: str) -> str | Path:
    """A folder is one from here, not from the recipe's folder."""
    path = Path(text).expanduser()
    return path.absolute() if path.is_dir() else text


def _named(method: str, names: Sequence[str]) -> bool:
    """A method by its name, or a whole sweep by the name before its ranks."""
    stem, _, rank = method.rpartition("-r")
    return method in names or (rank.isdecimal() and stem in names)


def _check_device(device: str | None, recipe: Recipe) -> None:
    import torch

    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise GroupgapError(
            "--device cuda: torch sees no GPU here (`groupgap doctor` says what is installed): leave --device out"
        )
    halves = [method.name for method in recipe.methods if method.settings.precision == "float16"]
    if halves and (device == "cpu" or not there):
        raise GroupgapError(
            f"{recipe.path}: methods.{halves[0]}: precision: float16 needs a GPU: use bfloat16 or float32"
        )
