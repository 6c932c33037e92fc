"""``scores.parquet``: written and read back alike; a user's own file; what is wrong with one, in words."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from groupgap.adapters.attack_scores import AuditScores, check_same_audit, read_scores, write_scores
from groupgap.errors import GroupgapError


def audit(target: str = "full", n: int = 6, shadows: int = 4, augmentations: int = 1, **changed: Any) -> AuditScores:
    rng = np.random.default_rng(0)
    told: dict[str, Any] = {
        "target": target,
        "examples": tuple(f"r{row}" for row in range(n)),
        "member": np.arange(n) % 2 == 0,
        "statistic": rng.normal(size=(n, augmentations)),
        "shadows": rng.normal(size=(shadows, n, augmentations)),
        "inside": rng.random((shadows, n)) < 0.5,
        "groups": {"religion": tuple(("a", "b")[: row % 3] for row in range(n)), "age": (("old",),) * n},
        "facts": {"seed": 13, "method": "full"},
    }
    return AuditScores(**{**told, **changed})


@pytest.mark.parametrize("augmentations", [1, 3])
@pytest.mark.parametrize("shadows", [0, 4])
def test_written_and_read_back_alike(tmp_path: Path, augmentations: int, shadows: int) -> None:
    before = [audit("full", shadows=shadows, augmentations=augmentations), audit("a=b", 3, shadows, augmentations)]
    write_scores(tmp_path / "s.parquet", before)
    for one, other in zip(before, read_scores(tmp_path / "s.parquet"), strict=True):
        assert (one.target, one.examples, one.facts) == (other.target, other.examples, other.facts)
        np.testing.assert_array_equal(one.statistic, other.statistic)
        np.testing.assert_array_equal(one.member, other.member)
        assert other.shadows.shape[0] == shadows
        if shadows:
            np.testing.assert_array_equal(one.shadows, other.shadows)
            np.testing.assert_array_equal(one.inside, other.inside)
        assert one.groups == other.groups
    matrix, names = read_scores(tmp_path / "s.parquet")[0].membership("religion")
    assert names == ("a", "b")
    np.testing.assert_array_equal(matrix.sum(axis=1), [0, 1, 2, 0, 1, 2])


def test_a_users_own_table(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "target": ["m"] * 3,
            "example": ["1", "2", "3"],
            "member": [True, False, True],
            "statistic": [1, 2, 3],
            "groups": [["young"], [], ["age=old"]],
        }
    )
    frame.to_parquet(tmp_path / "s.parquet")
    (found,) = read_scores(tmp_path / "s.parquet")
    assert found.shadows.shape == (0, 3, 1)
    assert found.groups == {"group": (("young",), (), ()), "age": ((), (), ("old",))}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="member"), "no column 'member' (bool"),
        (lambda frame: frame.assign(member=[0, 1, 0]), "column 'member': expected bool"),
        (lambda frame: frame.assign(statistic=["a", "b", "c"]), "column 'statistic': expected number"),
        (
            lambda frame: frame.assign(statistic=[1.0, np.nan, 2.0]),
            "column 'statistic': a number is missing, of example '2'",
        ),
        (
            lambda frame: frame.assign(shadows=[[1.0, 2.0], [1.0, 2.0], [1.0, None]], inside=[[True, False]] * 3),
            "column 'shadows': a number is missing, of example '3'",
        ),
        (lambda frame: frame.assign(groups=[["a"], ["=a"], []]), "a nameless axis or group: expected list of text"),
        (lambda frame: frame.assign(groups=[["a"], ["a="], []]), "a nameless axis or group"),
        (lambda frame: frame.assign(groups=[["a"], [""], []]), "a nameless axis or group"),
        (lambda frame: frame.assign(example=["1", "1", "2"]), "an example stands there twice"),
        (lambda frame: frame.assign(shadows=[[1.0], [1.0, 2.0], [1.0]]), "lists of 1 to 2 entries"),
        (lambda frame: frame.assign(shadows=[[1.0], [1.0], [1.0]]), "no column 'inside'"),
        (
            lambda frame: frame.assign(shadows=[[1.0, 2.0]] * 3, inside=[[True], [True, False], [True, True, False]]),
            "column 'inside': lists of 1 to 3 entries",
        ),
        (
            lambda frame: frame.assign(shadows=[[1.0, 2.0]] * 3, inside=[None, [True] * 3, [False] * 3]),
            "column 'inside': 1 lists are missing",
        ),
        (
            lambda frame: frame.assign(shadows=[[1.0], None, [1.0]], inside=[[True]] * 3),
            "column 'shadows': 1 lists are missing",
        ),
        (lambda frame: frame.assign(target=["m", None, "m"]), "column 'target': expected text"),
        (lambda frame: frame.assign(groups=["a", "b", "c"]), "column 'groups': expected list of text"),
        (lambda frame: frame.iloc[:0], "holds no rows"),
        (lambda frame: frame.assign(statistic=[np.empty(0)] * 3), "column 'statistic': lists without an entry"),
        (
            lambda frame: frame.assign(statistic=[1.0, -1e101, 2.0]),
            "column 'statistic': -1e+101, of example '2': expected finite numbers of at most 1e+100",
        ),
        (
            lambda frame: frame.assign(shadows=[[1.0, 2.0], [1.0, 2.0], [np.inf, 0.0]], inside=[[True, False]] * 3),
            "column 'shadows': inf, of example '3': expected finite",
        ),
    ],
)
def test_a_wrong_table_is_refused_in_words(tmp_path: Path, change: Any, words: str) -> None:
    frame = pd.DataFrame(
        {"target": ["m"] * 3, "example": ["1", "2", "3"], "member": [True, False, True], "statistic": [1.0, 2.0, 3.0]}
    )
    change(frame).to_parquet(tmp_path / "s.parquet")
    with pytest.raises(GroupgapError) as error:
        read_scores(tmp_path / "s.parquet")
    assert words in str(error.value)


def test_a_column_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    """It was left out before: an attack without its shadows."""
    columns = [["m"], ["1"], [True], [1.0], [[1.0, 2.0]], [[0.0, 0.0]]]
    names = ["target", "example", "member", "statistic", "shadows", "shadows"]
    pq.write_table(pa.Table.from_arrays([pa.array(one) for one in columns], names=names), tmp_path / "s.parquet")
    with pytest.raises(GroupgapError, match=r"s\.parquet: column 'shadows': stands there 2 times"):
        read_scores(tmp_path / "s.parquet")


def test_a_table_that_would_cost_hours_or_all_memory_is_refused(tmp_path: Path) -> None:
    many = 5_000
    whole = {"example": [str(row) for row in range(many)], "member": [True] * many, "statistic": [1.0] * many}
    names = [f"a{row}" for row in range(many)]
    for change, words in (
        ({"target": names}, "5,000 targets, and at most 1,000"),
        ({"target": ["m"] * many, "groups": [[f"{name}=x"] for name in names]}, "more than 100 axes"),
        ({"target": ["m"] * many, "groups": [[f"x={name}"] for name in names]}, "or 500 groups of one"),
    ):
        pd.DataFrame({**whole, **change}).to_parquet(tmp_path / "s.parquet")
        with pytest.raises(GroupgapError, match=words):
            read_scores(tmp_path / "s.parquet")


def test_any_axis_and_group_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Axes of one's own may be called ``age>=40``; without a mark ``p=1`` and ``p=2`` would be one axis ``p``."""
    names = ("p", "p=1", "p=2", "age>=40", "p\\", "p\\=1", "\\p", "a\nb", "=", "\\=\\")
    groups = dict.fromkeys(names, (("a",), ("1=a", "=", "\\=x"), ()))
    write_scores(tmp_path / "s.parquet", [audit(n=3, groups=groups)])
    assert read_scores(tmp_path / "s.parquet")[0].groups == groups


def test_backslashes_of_a_users_table_stay(tmp_path: Path) -> None:
    groups = {"c:\\d": (("\\e",),), "group": ((r"f\g", r"h\=i"),)}
    listed = [[r"c:\d=\e", r"f\g", r"h\=i"]]
    frame = {"target": ["m"], "example": ["1"], "member": [True], "statistic": [1.0], "groups": listed}
    pd.DataFrame(frame).to_parquet(tmp_path / "s.parquet")
    assert read_scores(tmp_path / "s.parquet")[0].groups == groups


def test_a_group_named_often_in_a_row_costs_no_more_than_the_reading(tmp_path: Path) -> None:
    """1.5 KB on disk; the names of a row were once copied for each of them, 17 s here and four times that for twice."""
    many = 160_000
    names = pa.ListArray.from_arrays(pa.array([0, many]), pa.array(["x=a"]).take(pa.array([0] * many)))
    told = {"target": ["m"], "example": ["1"], "member": [True], "statistic": [1.0], "groups": names}
    pq.write_table(pa.table(told), tmp_path / "s.parquet", compression="zstd")
    began = time.process_time()
    assert read_scores(tmp_path / "s.parquet")[0].groups == {"x": (("a",),)}
    assert time.process_time() - began < 5


@pytest.mark.parametrize("of", ["rows", "names"])
def test_more_texts_than_memory_takes_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    """Equal texts take no place on disk, and each becomes an object."""
    rows = 8 if of == "rows" else 2
    told = {"target": ["m"] * rows, "example": list("stuvwxyz")[:rows], "member": [True] * rows}
    groups = [["x=a"]] * rows if of == "rows" else [["x=a"] * 7, ["x=a"]]
    pq.write_table(pa.table({**told, "statistic": [0.0] * rows, "groups": groups}), tmp_path / "s.parquet")
    monkeypatch.setattr("groupgap.adapters.attack_scores.MOST_TEXTS", 8)
    read_scores(tmp_path / "s.parquet")
    monkeypatch.setattr("groupgap.adapters.attack_scores.MOST_TEXTS", 7)
    with pytest.raises(GroupgapError, match="more than 7 rows or names: judge fewer targets at a time"):
        read_scores(tmp_path / "s.parquet")


@pytest.mark.parametrize("column", ["target", "groups"])
def test_a_long_text_that_stands_everywhere_is_refused_before_it_is_everywhere(tmp_path: Path, column: str) -> None:
    """40 GB of text, of which the file holds one: 100 KB, once for all rows."""
    rows = 200_000
    text = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 200_000]))
    told: dict[str, Any] = {"target": ["m"] * rows, "example": [str(row) for row in range(rows)]}
    told |= {"member": [True] * rows, "statistic": [0.0] * rows}
    told[column] = text if column == "target" else pa.ListArray.from_arrays(pa.array(range(rows + 1), pa.int32()), text)
    pq.write_table(pa.table(told), tmp_path / "s.parquet", store_schema=False, compression="zstd")
    with pytest.raises(GroupgapError, match="more than 1,000,000,000 bytes of text: judge fewer targets at a time"):
        read_scores(tmp_path / "s.parquet")


@pytest.mark.parametrize("column", ["target", "groups"])
def test_names_that_are_no_text_are_refused(tmp_path: Path, column: str) -> None:
    offsets = pa.py_buffer(np.array([0, 2], dtype=np.int32))
    broken = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xff\xfe"))
    values = {"target": ["m"], "example": ["1"], "member": [True], "statistic": [1.0], "groups": [["a"]]}
    values[column] = broken if column == "target" else pa.ListArray.from_arrays([0, 1], broken)
    pq.write_table(pa.table(values), tmp_path / "s.parquet")
    with pytest.raises(GroupgapError, match=f"column '{column}': not UTF-8"):
        read_scores(tmp_path / "s.parquet")


def test_no_parquet_file(tmp_path: Path) -> None:
    (tmp_path / "s.parquet").write_text("hello")
    with pytest.raises(GroupgapError, match="cannot be read as parquet"):
        read_scores(tmp_path / "s.parquet")


def test_targets_audited_on_other_rows_cannot_be_compared() -> None:
    check_same_audit([audit("a"), audit("b")])
    with pytest.raises(GroupgapError, match="'a' and 'b' were audited on different examples: no paired test"):
        check_same_audit([audit("a"), audit("b", 5)])
    with pytest.raises(GroupgapError, match=r"'a' and 'b' differ in which examples are members \(2 of 6\): no paired"):
        check_same_audit([audit("a"), audit("b", member=np.arange(6) < 3)])


def test_the_same_examples_in_another_order_are_the_same_audit(tmp_path: Path) -> None:
    one, path = audit("a", groups={"x": tuple((f"g{row}",) for row in range(6))}), tmp_path / "s.parquet"
    write_scores(path, [one, replace(one, target="b"), audit("c", 5)])
    table = pq.read_table(path)
    pq.write_table(table.take([0, 1, 2, 3, 4, 5, 11, 7, 9, 6, 10, 8, *range(12, 17)]), path)
    first, second, third = read_scores(path)
    check_same_audit([first, second])
    for name in ("examples", "groups"):
        assert getattr(second, name) == getattr(one, name)
    for name in ("member", "statistic", "shadows", "inside"):
        np.testing.assert_array_equal(getattr(second, name), getattr(one, name))
    assert (second.target, third.examples) == ("b", one.examples[:5])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(GroupgapError, match="do not fit"):
        audit(inside=np.zeros((4, 5), dtype=bool))
    with pytest.raises(GroupgapError, match="1 numbers of statistic are not finite"):
        audit(statistic=np.array([[np.inf], *[[0.0]] * 5]))


def test_a_table_beyond_all_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal numbers take no place on disk: the file is small, and only its headers show how much it holds."""
    path = tmp_path / "s.parquet"
    rows = {"target": ["a"] * 4, "example": list("wxyz"), "member": [True, False] * 2, "statistic": [[0.0] * 5_000] * 4}
    pq.write_table(pa.table(rows), path)
    assert path.stat().st_size < 10_000
    read_scores(path)
    monkeypatch.setattr("groupgap.adapters.attack_scores.MOST_VALUES", 4 * (3 + 5_000) - 1)
    with pytest.raises(GroupgapError, match="judge fewer targets at a time"):
        read_scores(path)
