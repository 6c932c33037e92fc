"""Fills the tables of this folder's ``README.md`` from its json files: ``python examples/membership/page.py``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BLOCK = re.compile(r"(<!-- from (\w+) -->\n)(?:.*?\n)??(<!-- end -->)", re.DOTALL)
EVERYBODY = "all"


def fill(text: str) -> str:
    """The text with every table made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def _read(name: str) -> Any:
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def _interval(one: dict[str, Any]) -> str:
    if one["value"] is None:
        return f"undefined: {one['reason']}"
    if one.get("low") is None:
        return f"{one['value']:.3f}"
    return f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def trained() -> str:
    """The losses of the targets, epoch by epoch."""
    rows = []
    for name, one in _read("made.json")["targets"].items():
        losses = [", ".join(f"{epoch[part]:.3f}" for epoch in one["losses"]) for part in ("train", "validation")]
        rows.append([name, f"{one['trained_parameters']:,}", f"{one['rows']:,}", *losses])
    return _table(["target", "trained parameters", "rows", "training loss by epoch", "validation loss"], rows)


def overall() -> str:
    """Each attack on each target, all examples."""
    rows = []
    for one in _read("attack.json")["attacks"]:
        (found,) = (result for result in one["results"] if result["group"] is None)
        rates = [_interval(rate) for rate in found["tpr_at"].values()]
        counts = f"{found['members']:,} / {found['nonmembers']:,}"
        rows.append([one["target"], one["attack"], counts, _interval(found["auc"]), _p(found["q"]), *rates])
    header = ["target", "attack", "members / others", "AUC", "q", "TPR at 1% FPR", "TPR at 0.1% FPR"]
    return _table(header, rows)


def groups() -> str:
    """LiRA by group: the AUC of each target, and their difference on the same rows."""
    report = _read("attack.json")
    by_target = {
        one["target"]: {result["group"] or EVERYBODY: result for result in one["results"]}
        for one in report["attacks"]
        if one["attack"] == "lira"
    }
    differences = {one["group"] or EVERYBODY: one for one in report["differences"] if one["attack"] == "lira"}
    (a, b) = by_target
    rows = []
    for name, first in by_target[a].items():
        pair = differences.get(name)
        told = ["-", "-"] if pair is None else [_interval(pair["auc"]), _p(pair["auc"]["q"])]
        counts = f"{first['members']:,} / {first['nonmembers']:,}"
        rows.append([name, counts, _interval(first["auc"]), _interval(by_target[b][name]["auc"]), *told])
    return _table(["group", "members / others", f"AUC, {a}", f"AUC, {b}", f"{a} - {b}", "q"], rows)


TABLES = {"trained": trained, "overall": overall, "groups": groups}

if __name__ == "__main__":
    path = HERE / "README.md"
    path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")
