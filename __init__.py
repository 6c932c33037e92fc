"""groupgap: is this adapter less fair than the full fine-tune, and are we sure?

Subgroup-aware tasks for lm-evaluation-harness, the statistics of gaps, and fairness leaderboards. The library on plain
arrays is :mod:`groupgap.metrics`; the command is ``groupgap``.
"""

from .errors import GroupgapError

__version__ = "0.1.0"

__all__ = ["GroupgapError", "__version__"]
