"""Full fine-tune against LoRA on images: drawn discs whose ceilings are known, and real faces where they are here.

``python examples/faces/make.py toy`` needs nothing but this package with its extras ``vision`` and ``train``;
``python examples/faces/make.py adults`` needs a sample of FairFace in ``$GROUPGAP_DATA/fairface_adults`` (README.md).
Each trains by the recipes beside this file, asks by ``groupgap run``, writes the board's tables into ``toy/`` or
``adults/``, and those of README.md from them. Trainings and runs stay in ``work/`` (or ``$FACES_WORK``); what is there
already is not done again. No image leaves the machine.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from groupgap.cli import main

HERE = Path(__file__).resolve().parent
TABLES = ("board.csv", "groups.csv", "board.json", "board.md")
VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 4, "num_heads": 4}
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "vit": ("vit_tiny_patch16_224", VIT, {"crop_pct": 1.0}),
    "resnet": ("test_resnet", {}, {"crop_pct": 1.0, "input_size": (3, 64, 64), "interpolation": "bicubic"}),
}
BASE_OF = {"toy": "vit", "adults": "resnet"}
BLOCK = re.compile(r"(<!-- made: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def make(which: str, work: Path) -> None:
    """Train the base and, from it, every method and seed; ask them all; keep the board's tables."""
    random = work / "random" / BASE_OF[which]
    make_random(BASE_OF[which], random)
    base, trained, runs = (work / f"{which}{part}" for part in ("-base", "", "-runs"))
    groupgap("train", HERE / f"{which}-base.yaml", "--base", random, "-o", base, "--device", "cpu")
    recipe = HERE / f"{which}.yaml"
    groupgap("train", recipe, "--base", base / "full-13", "-o", trained, "--device", "cpu", "--roster")
    groupgap("run", trained / "roster.yaml", "-o", runs)
    keep_tables(runs / "board", HERE / which, work)
    page = HERE / "README.md"
    page.write_text(fill(page.read_text(encoding="utf-8")), encoding="utf-8")


def make_random(name: str, folder: Path) -> None:
    """Write a tiny timm model with random weights, from a fixed seed."""
    if (folder / "config.json").is_file():
        return
    import timm
    import torch
    from timm.models import save_for_hf

    architecture, build, data = MODELS[name]
    torch.manual_seed(0)
    model = timm.create_model(architecture, pretrained=False, num_classes=2, **build)
    folder.mkdir(parents=True, exist_ok=True)
    save_for_hf(model, folder, model_config={"pretrained_cfg": data}, safe_serialization=True)


def groupgap(*arguments: str | Path) -> None:
    """Run a verb of the command, or stop."""
    status = main([str(argument) for argument in arguments])
    if status:
        sys.exit(status)


def keep_tables(board: Path, folder: Path, work: Path) -> None:
    """Copy a board's tables, without this machine's folders."""
    folder.mkdir(exist_ok=True)
    for name in TABLES:
        text = (board / name).read_text(encoding="utf-8")
        for prefix in (f"{work}/", f"{HERE}/"):
            text = text.replace(prefix, "")
        (folder / name).write_text(text, encoding="utf-8")


def fill(page: str) -> str:
    """README.md with its tables made anew from the boards' json."""
    return BLOCK.sub(lambda found: f"{found[1]}{table(found[2])}{found[4]}", page)


def table(which: str) -> str:
    """One board: a line for each method, the means of its seeds; empty where there is none."""
    file = HERE / which / "board.json"
    if not file.is_file():
        return ""
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    names = [group["group"] for group in rows[0]["groups"]]
    header = ["method", "seeds", "accuracy", "worst group", "spread", *names]
    lines = [header, ["---"] * len(header), *(_line(row) for row in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _line(row: dict[str, Any]) -> list[str]:
    metrics = row["metrics"]
    worst = metrics["worst_group"]
    groups = [_number(group["accuracy"], interval=False) for group in row["groups"]]
    shown = [
        _number(metrics["accuracy"]),
        f"{' and '.join(worst['groups'])} {_number(worst)}",
        _number(metrics["accuracy_spread"]),
    ]
    return [row["variant"], str(len(row["seeds"])), *shown, *groups]


def _number(estimate: dict[str, Any], interval: bool = True) -> str:
    limits = f" [{estimate['low']:.3f}, {estimate['high']:.3f}]" if interval else ""
    return f"{estimate['value']:.3f}{limits}"


if __name__ == "__main__":
    if len(sys.argv) < 2 or not set(sys.argv[1:]) <= set(BASE_OF):
        sys.exit(f"usage: python {sys.argv[0]} toy|adults ...")
    for chosen in sys.argv[1:]:
        make(chosen, Path(os.environ.get("FACES_WORK", HERE / "work")).absolute())
