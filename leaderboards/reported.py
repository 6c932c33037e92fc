"""lm-eval's own numbers beside the recomputed ones: where they differ, something was read otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..metrics import Estimate, Judgement
from .collection import Entry
from .runs import Run

# lm-eval's names of the same numbers; a task of several axes puts the axis in front of those that need one.
REPORTED = {
    "acc": "accuracy",
    "worst_group_acc": "worst_group",
    "macro_f1": "macro_f1",
    "acc_spread": "accuracy_spread",
    "dpd": "dpd",
    "eod": "eod",
}
WITHOUT_AXIS = ("acc", "macro_f1")


@dataclass(frozen=True)
class Discrepancy:
    """A number of lm-eval's that differs from the one recomputed from the answers.

    Attributes:
        metric: lm-eval's name.
        reported: its number, or its words for none.
        recomputed: ours.
        remark: why they may differ, where that is known.
    """

    metric: str
    reported: float | str
    recomputed: Estimate
    remark: str = ""


def discrepancies(run: Run, task: str, prefix: str, judgement: Judgement) -> Iterable[Discrepancy]:
    """Where lm-eval's own numbers of a run differ from those of the judgement; ``prefix``: of the axis."""
    reported = run.reported(task)
    own = run.min_group(task)
    remark = ""
    if own is not None and own != judgement.min_group:
        remark = f"lm-eval judged with groups of {own} or more, the board with {judgement.min_group} or more"
    for name, metric in REPORTED.items():
        if name != "acc" and not run.fair(task):
            continue
        shown_name = name if name in WITHOUT_AXIS else prefix + name
        theirs = reported.get(f"{shown_name},none")
        ours: Estimate = getattr(judgement, metric)
        if theirs is not None and not _agree(theirs, ours):
            shown = theirs if isinstance(theirs, str) else float(theirs) if _finite(theirs) else str(theirs)
            yield Discrepancy(shown_name, shown, ours, "" if name in WITHOUT_AXIS else remark)


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _agree(reported: Any, recomputed: Estimate) -> bool:
    if isinstance(reported, str):
        return recomputed.value is None and reported.startswith("undefined")
    return _finite(reported) and recomputed.value is not None and abs(reported - recomputed.value) <= 1e-9


def accuracy_notes(entries: Sequence[Entry]) -> list[str]:
    """Where lm-eval's own accuracy differs, in words: for commands that show no judgement of each run."""
    notes = []
    for entry in entries:
        answers = entry.answers[0]
        ours = Estimate(float((answers.labels == answers.predictions).mean()), answers.n)
        theirs = entry.run.reported(entry.task).get("acc,none")
        if theirs is not None and not _agree(theirs, ours):
            notes.append(
                f"task {entry.task}: lm-eval's own acc of {entry.run.name} is {theirs}, recomputed {ours.value:.6f}: "
                "were the samples edited, or the labels read otherwise?"
            )
    return notes
