"""Whatever stands in a run's files, the answer is a board or one line: never a traceback, never a hang."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.errors import GroupgapError
from groupgap.leaderboards.board import Options, build_board
from groupgap.leaderboards.collection import Request, collect
from groupgap.leaderboards.write import write_board

VALUES: list[Any] = [
    *(None, True, False, 0, -1, 10**400, 1.5, float("nan"), float("inf"), "", "x", "\x00\x1b[2J\n", "../../etc/passwd"),
    *([], [None], [[]], {}, {"a": {"b": []}}, "-inf", "nan", ["-1.0"], "\ud800", "é" * 1000),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutate(document: Any, rng: random.Random) -> None:
    """Replace or remove one entry somewhere."""
    path = rng.choice(list(places(document)))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    if rng.random() < 0.2:
        del inner[path[-1]]
    else:
        inner[path[-1]] = rng.choice(VALUES)


def dump(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("seed", range(4))
def test_mutated_runs_give_a_board_or_one_line(tmp_path: Path, factory: SimpleNamespace, seed: int) -> None:
    rng = random.Random(seed)
    run = factory.run(n=12, reported={"dpd,none": 0.5})
    variant = {"name": "v", "base": "b", "method": "lora", "seed": 3, "weights": "w"}
    outcomes = set()
    messages: list[str] = []
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        results, lines, described = copy.deepcopy((run.results(), run.lines(), variant))
        mutate(rng.choice([results, lines, lines, described]), rng)
        (folder / f"results_{run.date}.json").write_bytes(dump(results))
        run.samples_file(folder).write_bytes(b"".join(dump(line) + b"\n" for line in lines))
        if rng.random() < 0.5:
            (folder / "variant.json").write_bytes(dump(described))
        try:
            board = build_board(collect(Request([folder])), Options(draws=20))
            write_board(board, tmp_path / f"board-{number}")
            outcomes.add("board")
        except GroupgapError as error:
            outcomes.add("refused")
            messages.append(str(error))
    assert outcomes == {"board", "refused"}, messages
    assert max(map(len, messages)) < 2_000
    assert not (tmp_path.parent / "etc").exists()
