"""Cell codes: what is encoded comes back, for any number of axes and groups, against a plain loop."""

from __future__ import annotations

import pytest
from groupgap import GroupgapError
from groupgap.plugins.cell_code import Axis, CellCode
from hypothesis import given, settings
from hypothesis import strategies as st

AXES = (Axis("faith", "faith", ("a", "b", "c")), Axis("age", "age", tuple(f"g{index}" for index in range(70))))
CODE = CellCode(AXES, ("no", "yes", "maybe"))

answers = st.lists(
    st.tuples(
        st.sets(st.sampled_from(AXES[0].groups)),
        st.sets(st.sampled_from(AXES[1].groups), max_size=3),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None, max_examples=200)
@given(answers)
def test_decoded_counts_equal_a_plain_loop(rows: list[tuple[set[str], set[str], int, int]]) -> None:
    codes = [CODE.encode({"faith": sorted(a), "age": sorted(b)}, label, said) for a, b, label, said in rows]
    decoded = CODE.decode(codes)
    for position, axis in enumerate(AXES):
        counts = decoded[axis.name]
        assert counts.n == len(rows)
        for column, group in enumerate(axis.groups):
            for label in range(3):
                for said in range(3):
                    expected = sum(group in row[position] and row[2] == label and row[3] == said for row in rows)
                    cells = counts.patterns[:, column] & (counts.labels == label) & (counts.predictions == said)
                    assert counts.counts[cells].sum() == expected


@settings(deadline=None, max_examples=50)
@given(answers)
def test_decoded_clusters_hold_the_same_counts_and_each_their_rows(
    rows: list[tuple[set[str], set[str], int, int]],
) -> None:
    codes = [CODE.encode({"faith": sorted(a), "age": sorted(b)}, label, said) for a, b, label, said in rows]
    units = [f"unit {row % 7}" for row in range(len(rows))]
    for axis, found in CODE.decode_clusters(codes, units).items():
        assert found.a == CODE.decode(codes)[axis]
        amounts, kinds = found.units()
        assert kinds is not None
        sizes = sorted(size for size, often in zip(kinds.sum(axis=1), amounts, strict=True) for _ in range(often))
        assert sizes == sorted(units.count(unit) for unit in set(units))


def test_an_undeclared_group_is_refused() -> None:
    with pytest.raises(GroupgapError, match="group 'z' is not declared for axis 'faith'"):
        CODE.encode({"faith": ["z"], "age": []}, 0, 0)


def test_a_label_outside_the_choices_is_refused() -> None:
    with pytest.raises(GroupgapError, match="label 3 is outside the 3 choices"):
        CODE.encode({"faith": [], "age": []}, 3, 0)
