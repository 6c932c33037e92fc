"""One integer per answer: who is spoken of, the label, the prediction.

lm-eval carries one value per document and metric, through filters and across processes. All our metrics depend only on
how often each cell (membership pattern, label, prediction) occurs, so that value is the cell's code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import GroupgapError
from ..metrics import Counts, JointCounts, count_clusters

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Axis:
    """A sensitive attribute of a task: the document field that lists a document's groups, and all groups there are."""

    name: str
    field: str
    groups: tuple[str, ...]


@dataclass(frozen=True)
class CellCode:
    """The code of cells over several axes: the bits of all groups, then label, then prediction, each a digit."""

    axes: tuple[Axis, ...]
    classes: tuple[str, ...]

    def encode(self, groups: Mapping[str, Sequence[str]], label: int, prediction: int) -> int:
        """The code of one answer.

        Args:
            groups: axis name -> the names of the groups that the document belongs to.
            label: index of the right class.
            prediction: index of the predicted class.

        Raises:
            GroupgapError: for a group that its axis does not declare, or a label outside the classes.
        """
        if not 0 <= label < len(self.classes):
            raise GroupgapError(f"label {label} is outside the {len(self.classes)} choices {list(self.classes)}")
        bits = 0
        offset = 0
        for axis in self.axes:
            for name in groups[axis.name]:
                if name not in axis.groups:
                    raise GroupgapError(
                        f"group {name!r} is not declared for axis {axis.name!r}: expected one of {list(axis.groups)}"
                    )
                bits |= 1 << (offset + axis.groups.index(name))
            offset += len(axis.groups)
        return (bits * len(self.classes) + label) * len(self.classes) + prediction

    def decode(self, codes: Sequence[int]) -> dict[str, Counts]:
        """The counts of every axis over all answers, by axis name."""
        tally = Counter(codes)
        patterns, labels, predictions = self._cells(list(tally))
        amounts = np.array(list(tally.values()))
        return {
            axis.name: Counts(patterns[axis.name], labels, predictions, amounts, axis.groups, self.classes)
            for axis in self.axes
        }

    def decode_clusters(self, codes: Sequence[int], clusters: Sequence[str]) -> dict[str, JointCounts]:
        """As :meth:`decode`, with the cluster of each answer: :func:`groupgap.metrics.count_clusters`."""
        place = {code: cell for cell, code in enumerate(dict.fromkeys(codes))}
        patterns, labels, predictions = self._cells(list(place))
        cell = np.array([place[code] for code in codes])
        answers = labels[cell], predictions[cell]
        return {
            axis.name: count_clusters(answers, patterns[axis.name][cell], clusters, axis.groups, self.classes)
            for axis in self.axes
        }

    def _cells(self, codes: Sequence[int]) -> tuple[dict[str, BoolArray], IntArray, IntArray]:
        """(K, G) patterns of each axis, (K,) labels and (K,) predictions of codes."""
        rest, predictions = zip(*(divmod(code, len(self.classes)) for code in codes), strict=True)
        bits, labels = zip(*(divmod(code, len(self.classes)) for code in rest), strict=True)
        patterns = {}
        offset = 0
        for axis in self.axes:
            columns = range(offset, offset + len(axis.groups))
            patterns[axis.name] = np.array([[bool(one >> column & 1) for column in columns] for one in bits])
            offset += len(axis.groups)
        return patterns, np.array(labels), np.array(predictions)
