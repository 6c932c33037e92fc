"""The most memory that a training took: of the GPU where it ran on one, else of the process."""

from __future__ import annotations

from pathlib import Path


def start_memory() -> None:
    """Forget the peaks of what ran before in this process, where the system can."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: VmHWM starts anew
    except OSError:
        return


def peak_memory() -> tuple[int | None, str]:
    """Bytes since :func:`start_memory`, and whose: ``cuda`` or ``process``; None where the system does not tell."""
    import torch

    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated()), "cuda"
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024, "process"
    except (OSError, ValueError):
        return None, "process"
