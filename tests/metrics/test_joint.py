"""Joint counts of a pair: plain loops, chunks, clusters, mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from groupgap import GroupgapError
from groupgap.metrics import count, count_pair


def data(seed: int = 0, n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 3, n), rng.integers(0, 3, n), rng.integers(0, 3, n), rng.random((n, 2)) < 0.5


def test_joint_counts_are_those_of_a_plain_loop_and_hold_both_systems() -> None:
    labels, a, b, membership = data()
    joint = count_pair(labels, (a, b), membership, ["x", "y"])
    expected = Counter(zip(map(tuple, membership.tolist()), labels.tolist(), a.tolist(), b.tolist(), strict=True))
    rows = zip(joint.patterns, joint.labels, joint.predictions_a, joint.predictions_b, joint.counts, strict=True)
    assert {(tuple(m.tolist()), int(y), int(p), int(q)): int(c) for m, y, p, q, c in rows} == expected
    assert joint.a == count(labels, a, membership, ["x", "y"])
    assert joint.b == count(labels, b, membership, ["x", "y"])


def test_chunks_add_up() -> None:
    labels, a, b, membership = data()
    parts = [count_pair(labels[s], (a[s], b[s]), membership[s], ["x", "y"]) for s in (slice(0, 90), slice(90, None))]
    whole, both = count_pair(labels, (a, b), membership, ["x", "y"]), parts[0] + parts[1]
    for name in ("patterns", "labels", "predictions_a", "predictions_b", "counts"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(both, name))


def test_clusters_hold_every_sample_once() -> None:
    labels, a, b, membership = data()
    joint = count_pair(labels, (a, b), membership, ["x", "y"], clusters=np.arange(200) // 4)
    assert joint.clusters is not None
    assert joint.clusters.counts.sum() == 50
    assert (joint.clusters.counts @ joint.clusters.kinds == joint.counts).all()
    assert (joint.clusters.kinds.sum(axis=1) == 4).all()


@pytest.mark.parametrize("size", [1, 3, 60, 200])
def test_kinds_of_clusters_are_those_of_a_plain_loop(size: int) -> None:
    """Small clusters of many cells and large ones of few are counted in two ways."""
    labels, a, b, membership = data()
    names = np.random.default_rng(9).permutation(np.arange(200) // size)
    names[:3] = names[0]  # clusters of other sizes
    joint = count_pair(labels, (a, b), membership, ["x", "y"], clusters=names)
    assert joint.clusters is not None
    cells = zip(joint.patterns.tolist(), joint.labels, joint.predictions_a, joint.predictions_b, strict=True)
    place = {(tuple(m), int(y), int(p), int(q)): index for index, (m, y, p, q) in enumerate(cells)}
    held: dict[int, Counter[int]] = {}
    for row, name in enumerate(names.tolist()):
        cell = place[tuple(membership[row].tolist()), int(labels[row]), int(a[row]), int(b[row])]
        held.setdefault(name, Counter())[cell] += 1
    expected = Counter(tuple(one[cell] for cell in range(len(place))) for one in held.values())
    rows = zip(joint.clusters.kinds.tolist(), joint.clusters.counts.tolist(), strict=True)
    assert {tuple(kind): amount for kind, amount in rows} == expected


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "length of B": (lambda: count_pair([1, 0], ([1, 0], [1]), ["a", "b"]), "'predictions of B' and 'labels'"),
    "clusters": (lambda: count_pair([1], ([1], [1]), ["a"], clusters=[1, 2]), "'clusters' to have 1 values"),
    "missing cluster": (lambda: count_pair([1], ([1], [1]), ["a"], clusters=[None]), "'clusters' to have no missing"),
    "adding": (lambda: count_pair([1], ([1], [1]), ["a"]) + count_pair([1], ([1], [1]), ["b"]), "whose groups differ"),
    "adding clusters": (
        lambda: count_pair([1], ([1], [1]), ["a"], clusters=[1]) + count_pair([1], ([1], [1]), ["a"]),
        "Cannot add joint counts with clusters",
    ),
}


@pytest.mark.parametrize(("call", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_said(call: Callable[[], object], message: str) -> None:
    with pytest.raises(GroupgapError, match=message):
        call()
