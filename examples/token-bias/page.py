"""Fills the tables of this folder's ``README.md`` from its json files: ``python examples/token-bias/page.py``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BLOCK = re.compile(r"(<!-- from (\w+) -->\n)(?:.*?\n)??(<!-- end -->)", re.DOTALL)
ODDS = "log-odds"


def fill(text: str) -> str:
    """The text with every table made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def _read(name: str) -> Any:
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def _interval(one: dict[str, Any] | None) -> str:
    if one is None or one["value"] is None:
        return "-"
    return f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"


def _between(one: dict[str, Any]) -> str:
    return f"{_interval(one)} ({' over '.join(one['groups'])})"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def trained() -> str:
    """Perplexity of held-out reviews, and the losses of the trainings."""
    made = _read("made.json")
    rows = []
    for name, perplexity in made["perplexity"].items():
        losses = made["trainings"].get(name, {}).get("losses", [])
        shown = ", ".join(f"{epoch['validation']:.3f}" for epoch in losses) or "-"
        rows.append([name, f"{perplexity:.1f}", shown])
    return _table(["variant", "perplexity of 500 held-out reviews", "validation loss by epoch"], rows)


def prompts() -> str:
    """Each prompt's rates."""
    rows = []
    for one in _read("token_bias.json")["prompts"]:
        for rate in one["rates"]:
            found = [_interval(rate[name]) for name in ("share", "contradiction", "consistency")]
            rows.append([rate["prompt"], one["variant"], rate["target"], *found])
    rows.sort(key=lambda row: row[0])
    return _table(["prompt", "variant", "answer", "its share", "contradiction", "agrees with YN2"], rows)


def families() -> str:
    """Token effect against meaning effect, by family of prompts."""
    rows = []
    for one in _read("token_bias.json")["prompts"]:
        for family in one["families"]:
            sizes = family["sizes"][ODDS]
            found = [_between(sizes[size]) for size in ("token", "meaning")]
            rows.append([family["name"], one["variant"], *found, sizes["verdict_of_meaning"]])
    rows.sort(key=lambda row: row[0])
    return _table(["prompts", "variant", "token effect (log-odds)", "meaning effect", "verdict"], rows)


def controlled() -> str:
    """The controlled task: effects, verdict, raw and debiased answers."""
    rows = []
    for one in _read("token_bias.json")["tasks"]:
        (axis,) = one["axes"]
        sizes = axis["sizes"][ODDS]
        shares = {way["name"]: way["selection"]["yes"]["value"] for way in axis["ways"]}
        debiased = shares.pop("debiased")
        shares.pop("calibrated", None)
        found = [_interval(sizes["token"]), _interval(sizes["group"]), str(sizes["verdict"])]
        spread = f"{min(shares.values()):.3f} to {max(shares.values()):.3f}"
        rows.append([one["variant"], *found, _interval(one["contradiction"]), spread, f"{debiased:.3f}"])
    header = ["variant", "token effect (log-odds)", "group effect", "verdict", "contradiction"]
    return _table([*header, "share yes, raw: lowest to highest way of asking", "debiased"], rows)


def compared() -> str:
    """Token effects of two variants, paired by document."""
    rows = []
    for comparison in _read("compare.json")["comparisons"]:
        for test in comparison["tests"]:
            if test["metric"] == "token_effect":
                value = f"{test['difference']:.3f} [{test['low']:.3f}, {test['high']:.3f}]"
                numbers = [f"{test[side]['value']:.3f}" for side in ("a", "b")]
                rows.append([comparison["a"], comparison["b"], *numbers, value, f"{test['q']:.2g}", test["verdict"]])
    return _table(["A", "B", "token effect of A", "of B", "A - B", "q", "verdict"], rows)


TABLES = {
    "trained": trained,
    "prompts": prompts,
    "families": families,
    "controlled": controlled,
    "compared": compared,
}

if __name__ == "__main__":
    path = HERE / "README.md"
    path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")
