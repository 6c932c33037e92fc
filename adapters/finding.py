"""What a check found: each finding in words, with its weight and the way out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["served", "merged", "refused"]
VERDICTS: tuple[Verdict, ...] = ("served", "merged", "refused")


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        code: its stable name, e.g. ``"rank"``.
        level: the best verdict it leaves: ``"served"`` (a remark), ``"merged"`` or ``"refused"``.
        text: what is so, with the numbers and names.
        way_out: what to do about it; empty for a remark that asks for nothing.
    """

    code: str
    level: Verdict
    text: str
    way_out: str = ""


def verdict(findings: Iterable[Finding]) -> tuple[Verdict, str, str]:
    """The worst level, and the reasons and ways out at that level (empty for ``"served"``)."""
    found = list(findings)
    worst = max((VERDICTS.index(finding.level) for finding in found), default=0)
    if worst == 0:
        return "served", "", ""
    decisive = [finding for finding in found if VERDICTS.index(finding.level) == worst]
    ways = dict.fromkeys(finding.way_out for finding in decisive if finding.way_out)
    return VERDICTS[worst], "; ".join(finding.text for finding in decisive), "; ".join(ways)
