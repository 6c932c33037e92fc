"""The record of one comparison."""

from __future__ import annotations

from dataclasses import dataclass

from ..metrics import Comparison


@dataclass(frozen=True)
class Compared:
    """A against B on one axis of one task: one question.

    Attributes:
        task: name of the task.
        axis: name of the axis.
        a: name of the variant or method A.
        b: name of the variant or method B; differences are A minus B.
        paired: whether documents were joined.
        joined: documents (occurrences of them) that both answered.
        only_a: documents that only A answered; they were not used.
        only_b: documents that only B answered.
        comparison: all differences; their q-values are over the whole output.
        notes: what a reader should know, in words.
        question: one of ``QUESTIONS``: other trainings, or these weights.
        seeds: training seeds that both have; empty where none is known.
        seeds_only_a: training seeds that only A has; they were not used.
        seeds_only_b: training seeds that only B has.
    """

    task: str
    axis: str
    a: str
    b: str
    paired: bool
    joined: int
    only_a: int
    only_b: int
    comparison: Comparison
    notes: tuple[str, ...] = ()
    question: str = "weights"
    seeds: tuple[int, ...] = ()
    seeds_only_a: tuple[int, ...] = ()
    seeds_only_b: tuple[int, ...] = ()

    @property
    def of_methods(self) -> bool:
        """Whether several seeds were compared, so that two questions are asked of the pair."""
        return len(self.seeds) > 1
