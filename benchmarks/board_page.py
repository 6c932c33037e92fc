"""How large a judged board's page is, part by part; what ``--update`` and ``--figures`` cost.

    python benchmarks/board_page.py 60x1 60x12 1000x1
    python benchmarks/board_page.py 100x10 --draws 999 --also update gone figures

``60x12``: 60 runs of 12 tasks, made as in ``board_speed.py``. All rows of a table of up to 64 are compared with each
other. A part's bytes are those that it takes on the page, compressed by itself. Every command is a process of its own;
its seconds, processor time and peak memory are printed. ``update``: one run is added to the board, all others are at
hand; ``gone``: the same, with the others' folders away.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

from board_speed import write_runs

COLUMNS = ("value", "lower end", "upper end", "p and q", "detectable")
UNHARMED = bytes.maketrans(b",.:", b"<>&")


def groupgap(name: str, *arguments: object) -> None:
    """Run a command of groupgap, and print what it took."""
    start = time.perf_counter()
    command = [sys.executable, "-P", "-m", "groupgap.cli", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: groupgap {' '.join(map(str, arguments))}")
    processor, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    seconds = time.perf_counter() - start
    print(f"  {name}: {seconds:.0f} s, {processor:.0f} s of processor time, peak memory {memory:,.0f} MB", flush=True)


def packed_size(part: bytes) -> int:
    """Bytes of a part on the page: deflated as the page's data is, in base 85."""
    stream = zlib.compressobj(9, zlib.DEFLATED, wbits=-15, memLevel=4, strategy=zlib.Z_FILTERED)
    return len(stream.compress(part) + stream.flush()) * 5 // 4


def parts_of(page: str) -> Mapping[str, int]:
    """Bytes of the parts of a page."""
    found = re.search(r'<script type="text/plain" id="data">(\d+) (.*?)</script>', page, re.DOTALL)
    assert found is not None, "the page has no data"
    raw = zlib.decompress(base64.b85decode(found[2].encode().translate(UNHARMED))[: int(found[1])], -15)
    start = 4 + int.from_bytes(raw[:4], "little")
    document, planes = json.loads(raw[4:start]), raw[start:]
    told = {key: document[key] for key in ("pairs", "rows")}
    rest = {key: value for key, value in document.items() if key not in told}
    parts = {f"data: {key}": json.dumps(value, separators=(",", ":")).encode() for key, value in told.items()}
    parts["data: rest"] = json.dumps(rest, separators=(",", ":")).encode()
    size = len(planes) // len(COLUMNS)
    parts |= {f"comparisons: {name}": planes[at * size :][:size] for at, name in enumerate(COLUMNS)}
    own = sum(len(text) for text in re.findall(r"<style>.*?</style>|<script>.*?</script>", page, re.DOTALL))
    packed = {name: packed_size(part) for name, part in parts.items()}
    return {"style and script": own, "tables": len(page.encode()) - own - len(found[2])} | packed


def report(size: str, options: argparse.Namespace, folder: Path) -> None:
    """Build the board of a size, and print what was measured."""
    runs, tasks = map(int, size.split("x"))
    write_runs(folder / "runs", runs + 1, options.answers, tasks)
    added = (folder / "runs" / f"model-{runs}").rename(folder / "added")
    judging = ("--draws", options.draws)
    print(f"{runs} runs x {tasks} tasks x {options.answers} answers, {options.draws} draws")
    groupgap("board", "board", folder / "runs", "-o", folder / "board", *judging)
    page = (folder / "board" / "index.html").read_text(encoding="utf-8")
    print(f"  index.html: {len(page.encode()):,} bytes")
    for name, count in parts_of(page).items():
        print(f"    {name}: {count:,}")
    if "figures" in options.also:
        groupgap("board with --figures", "board", folder / "runs", "-o", folder / "drawn", "--figures", *judging)
    if "gone" in options.also:
        (folder / "runs").rename(folder / "away")
        groupgap("update, runs gone", "board", "--update", folder / "board", added)
        (folder / "away").rename(folder / "runs")
    if "update" in options.also:
        groupgap("update, runs at hand", "board", "--update", folder / "board", added)


def main() -> int:
    """Measure each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="+", metavar="RUNSxTASKS")
    parser.add_argument("--answers", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--also", nargs="+", choices=("update", "gone", "figures"), default=())
    options = parser.parse_args()
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as temporary:
            report(size, options, Path(temporary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
