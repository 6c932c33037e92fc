"""What the startup file costs an interpreter: ``python benchmarks/startup_cost.py [--starts N]``.

Two bare environments differ in the three startup files alone. Their interpreters are started in turn, and the medians
of their wall times are compared; beside it stands the time that Python itself reports for the import (``-X
importtime``). The bar is 2 ms.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

FILES = ("groupgap.pth", "groupgap.start", "groupgap_startup.py")
BAR_MS = 2.0


def installed_files() -> list[Path]:
    """Return the installed startup files."""
    spec = importlib.util.find_spec("groupgap_startup")
    if spec is None or spec.origin is None:
        sys.exit("groupgap is not installed in this environment: make install")
    return [Path(spec.origin).parent / name for name in FILES]


def bare_environment(folder: Path) -> tuple[Path, Path]:
    """Make an environment without any package; return its interpreter and its site-packages."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return python, Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())


def start_time(python: Path) -> float:
    """Start an interpreter that does nothing; return milliseconds."""
    begin = time.perf_counter()
    subprocess.run([str(python), "-c", "pass"], check=True)
    return (time.perf_counter() - begin) * 1000


def import_time(python: Path) -> float:
    """Return what Python reports for the import of the startup module, in milliseconds."""
    answer = subprocess.run([str(python), "-X", "importtime", "-c", "pass"], capture_output=True, text=True, check=True)
    line = next(line for line in answer.stderr.splitlines() if line.endswith(" groupgap_startup"))
    return int(line.split("|")[1]) / 1000


def measure(starts: int) -> dict[str, float | int]:
    """Measure both environments; all times in milliseconds."""
    os.environ.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory() as folder:
        without, _ = bare_environment(Path(folder) / "without")
        with_files, site_packages = bare_environment(Path(folder) / "with")
        for file in installed_files():
            shutil.copy(file, site_packages)
        compileall.compile_dir(site_packages, quiet=1)  # as pip does
        for python in (without, with_files):  # the first start compiles and fills the disk cache
            start_time(python)
        pairs = [(start_time(without), start_time(with_files)) for _ in range(starts)]
        reported = [import_time(with_files) for _ in range(max(5, starts // 10))]
    plain, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "starts": starts,
        "without_ms": round(plain, 3),
        "with_ms": round(ours, 3),
        "difference_ms": round(ours - plain, 3),
        "importtime_median_ms": round(statistics.median(reported), 3),
    }


def main() -> int:
    """Print the measurement as JSON; the exit status is 1 above the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=200, help="interpreters started of each kind (default 200)")
    result = measure(parser.parse_args().starts)
    print(json.dumps(result, indent=2))
    return int(result["difference_ms"] >= BAR_MS)


if __name__ == "__main__":
    sys.exit(main())
