"""The image backend's speed: against a plain timm loop, and a base with its adapters against separate runs.

    python benchmarks/vision_speed.py loop [--images 300] [--pairs 12] [--workers 2]
    python benchmarks/vision_speed.py fleet [--images 400] [--adapters 4]

``loop``: images a second of the backend (safe opening, hashes, 8-bit batches) beside timm's dataset, transforms and
torch's DataLoader with as many workers; pairs take turns, the median ratio counts. ``fleet``: whole processes, start
included: one ``groupgap run`` of the base, one of the base and its adapters, and ``lm_eval --model timm`` for each.
Photographs are drawn here, of the size that telephones make; the model is a tiny ViT, so that decoding matters.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BIN = Path(sys.executable).parent
MODEL, SIZE = "test_vit", 96
METADATA = json.dumps(
    {"folder": "photos", "table": "labels.csv", "path_column": "file", "label_column": "label",
     "group_columns": "hue", "positive": "yes", "part": "all"}
)  # fmt: skip


def draw(folder: Path, count: int, width: int, height: int) -> list[tuple[str, str]]:
    """Draw photographs: smooth colours with a little grain; their names and hashes."""
    from PIL import Image

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines, made = ["file,label,hue"], []
    for place in range(count):
        coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).resize((width, height), Image.BICUBIC)
        pixels = np.asarray(coarse, np.int16) + rng.integers(-6, 7, (height, width, 1), np.int16)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{place:05d}.jpg", quality=90)
        digest = hashlib.sha256((folder / f"{place:05d}.jpg").read_bytes()).hexdigest()
        made.append((f"{place:05d}.jpg", digest))
        lines.append(f"{place:05d}.jpg,{('no', 'yes')[place % 2]},{('warm', 'cold')[place // 2 % 2]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return made


def make_models(folder: Path, adapters: int) -> None:
    """A base of random weights with two classes, and random LoRA adapters of it."""
    import timm
    import torch
    from peft import LoraConfig, get_peft_model
    from timm.models import save_for_hf

    torch.manual_seed(0)
    save_for_hf(timm.create_model(MODEL, num_classes=2, img_size=SIZE), folder / "base", safe_serialization=True)
    for number in range(adapters):
        torch.manual_seed(number)
        model = timm.create_model(f"local-dir:{folder / 'base'}", pretrained=True)
        config = LoraConfig(r=8, target_modules=["qkv"], init_lora_weights=False, modules_to_save=["head"])
        get_peft_model(model, config).save_pretrained(folder / f"lora{number}")


def plain_loop(model: str, folder: Path, workers: int, batch: int) -> float:
    """Seconds of a plain timm loop over a folder."""
    import timm
    import torch
    from timm.data import ImageDataset, create_transform, resolve_model_data_config
    from torch.utils.data import DataLoader

    network = timm.create_model(model, pretrained=True).eval()
    transform = create_transform(**resolve_model_data_config(network))
    started = time.perf_counter()
    with torch.inference_mode():
        for pixels, _ in DataLoader(ImageDataset(str(folder), transform=transform), batch, num_workers=workers):
            network(pixels)
    return time.perf_counter() - started


def our_loop(model: str, folder: Path, made: list[tuple[str, str]], workers: int, batch: int) -> float:
    """Seconds of the backend over the same files."""
    from groupgap.adapters.vision_images import ImageRef
    from groupgap.plugins.timm_model import GroupgapTimm

    backend = GroupgapTimm(model, device="cpu", num_workers=workers, batch_size=batch, proof="none")
    images = [ImageRef("", name, digest, folder) for name, digest in made]
    started = time.perf_counter()
    backend.logits(images)
    return time.perf_counter() - started


def loop(args: argparse.Namespace, folder: Path) -> None:
    """Pairs that take turns, and the median of their ratios."""
    made = draw(folder / "photos/all", args.images, 640, 480)
    (folder / "photos/all/labels.csv").unlink()
    make_models(folder, 0)
    model, ratios = f"local-dir:{folder / 'base'}", []
    plain_loop(model, folder / "photos", args.workers, args.batch)  # warm
    for pair in range(args.pairs):
        steps = [
            lambda: plain_loop(model, folder / "photos", args.workers, args.batch),
            lambda: our_loop(model, folder / "photos/all", made, args.workers, args.batch),
        ]
        seconds = {place: steps[place]() for place in ((0, 1) if pair % 2 else (1, 0))}
        ratios.append(seconds[0] / seconds[1])
        speeds = [args.images / seconds[place] for place in (0, 1)]
        print(f"pair {pair + 1}: plain {speeds[0]:.1f}, ours {speeds[1]:.1f} images a second", flush=True)
    low, high = min(ratios), max(ratios)
    print(f"ours / plain: median {statistics.median(ratios):.3f} of {len(ratios)} pairs ({low:.3f} to {high:.3f})")


def timed(command: list[str], data: Path) -> tuple[float, float]:
    """Seconds of a whole process, by the clock and of processor time."""
    started, before = time.monotonic(), os.times()
    environment = {**os.environ, "GROUPGAP_DATA": str(data), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit((done.stdout + done.stderr)[-2000:])
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - started, used


def fleet(args: argparse.Namespace, folder: Path) -> None:
    """One run, the fleet, and separate runs."""
    draw(folder / "photos", args.images, args.width, args.width * 3 // 4)
    make_models(folder, args.adapters)
    base = folder / "base"
    names = [f"lora{number}" for number in range(args.adapters)]
    found = {}
    for title, adapters in (("one", []), ("all", names)):
        lines = [
            f"tasks: [{{task: imagefolder_fair, options: {METADATA}}}]",
            f"defaults: {{engine: timm, base: {base}}}",
        ]
        lines += ["variants:", "  - {name: base}"]
        lines += [f"  - {{name: {name}, weights: {folder / name}}}" for name in adapters]
        (folder / f"{title}.yaml").write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-m", "groupgap.cli", "run", str(folder / f"{title}.yaml"), "--no-board"]
        found[title] = timed([*command, "-o", str(folder / title)], folder)
        wall, used = found[title]
        print(f"groupgap run, {1 + len(adapters)} variants: {wall:.1f} s, {used:.1f} s of processor time", flush=True)
    ratios = [found["all"][place] / found["one"][place] for place in (0, 1)]
    print(
        f"base and {args.adapters} adapters / one run: {ratios[0]:.2f} by the clock, {ratios[1]:.2f} of processor time"
    )
    total = np.zeros(2)
    for name in ("base", *names):
        adapter = "" if name == "base" else f",adapter={folder / name}"
        command = [sys.executable, "-m", "lm_eval", "--model", "timm", "--model_args", f"model={base}{adapter}"]
        command += ["--tasks", "imagefolder_fair", "--metadata", METADATA, "--log_samples"]
        total += timed([*command, "--output_path", str(folder / "separate")], folder)
    print(f"{1 + len(names)} separate lm_eval runs: {total[0]:.1f} s, {total[1]:.1f} s of processor time;"
          f" / groupgap run: {total[0] / found['all'][0]:.2f}, {total[1] / found['all'][1]:.2f}")  # fmt: skip


def main() -> None:
    """Measure one or the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("loop", "fleet"))
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--adapters", type=int, default=4)
    parser.add_argument("--width", type=int, default=2048)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        (loop if args.part == "loop" else fleet)(args, Path(name))


if __name__ == "__main__":
    main()
