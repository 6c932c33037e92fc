"""The split and the order: properties, and two implementations that must agree."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter
from typing import Any

import datasets
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.rows import number_copies, stem_of, text_id
from groupgap.harness_tasks.splits import interleave, part_of, split_rows
from hypothesis import given, settings
from hypothesis import strategies as st


def _documents(count: int) -> list[dict[str, Any]]:
    return [{"id": f"row{number}", "axis": []} for number in range(count)]


def _parts(documents: list[dict[str, Any]], **options: Any) -> dict[str, set[str]]:
    return {part: {row["id"] for row in rows} for part, rows in split_rows(documents, **options).items()}


def test_parts_follow_from_the_hash_of_seed_and_id() -> None:
    for number in range(200):
        first = int(hashlib.sha256(f"7:row{number}".encode()).hexdigest()[:16], 16)
        expected = "test" if first < 0.2 * 2**64 else "validation" if first < 0.3 * 2**64 else "train"
        assert part_of(f"row{number}", 7) == expected


@given(st.integers(0, 10_000), st.integers(1, 300), st.randoms())
@settings(max_examples=30, deadline=None)
def test_order_and_other_rows_do_not_matter(seed: int, count: int, rng: random.Random) -> None:
    documents = _documents(count)
    parts = _parts(documents, seed=seed)
    shuffled = documents + [{"id": f"new{number}", "axis": []} for number in range(20)]
    rng.shuffle(shuffled)
    again = _parts(shuffled, seed=seed)
    known = {row["id"] for row in documents}
    assert {part: ids & known for part, ids in again.items()} == parts


@pytest.mark.parametrize("split", ["hash", "paper"])
def test_each_row_is_in_one_part(split: str) -> None:
    parts = split_rows(_documents(1000), split=split, seed=3)
    ids = [row["id"] for rows in parts.values() for row in rows]
    assert len(ids) == len(set(ids)) == 1000


def test_shares_of_the_hash_split() -> None:
    sizes = {part: len(rows) for part, rows in split_rows(_documents(20_000)).items()}
    for part, share in (("test", 0.2), ("validation", 0.1), ("train", 0.7)):
        assert abs(sizes[part] - 20_000 * share) < 4 * math.sqrt(20_000 * share * (1 - share))


def test_seeds_give_other_splits() -> None:
    assert _parts(_documents(100), seed=13) != _parts(_documents(100), seed=1337)


def test_copies_stay_together() -> None:
    for number in range(100):
        assert part_of(f"row{number}") == part_of(f"row{number}#copy2") == part_of(f"row{number}#copy31")


@pytest.mark.parametrize("form", ["#{}", "repo#{}", "#{}#", "a#copy{}x", "a#copy0{}"])
def test_a_mark_of_the_user_s_own_does_not_tie_rows_together(form: str) -> None:
    sizes = Counter(part_of(form.format(number)) for number in range(1000))
    assert 150 < sizes["test"] < 250
    assert 60 < sizes["validation"] < 140


@given(st.lists(st.sampled_from(["a", "a#copy1", "a#copy2", "a#copy2#copy1", "a#2", "#", ""]), max_size=30))
def test_numbered_ids_are_unique_and_give_back_the_ids_they_came_from(ids: list[str]) -> None:
    numbered = number_copies(ids)
    assert len(set(numbered)) == len(ids)
    assert list(map(stem_of, numbered)) == ids


@pytest.mark.parametrize(("count", "test_size"), [(6081, 1217), (957, 192), (2, 1), (11, 3)])
def test_paper_split_is_train_test_split_on_file_order(count: int, test_size: int) -> None:
    documents = _documents(count)
    parts = split_rows(documents, split="paper", seed=42)
    drawn = datasets.Dataset.from_list(documents).train_test_split(test_size=0.2, seed=42)
    assert [row["id"] for row in parts["test"]] == list(drawn["test"]["id"])
    assert [row["id"] for row in parts["train"]] == list(drawn["train"]["id"])
    assert (len(parts["test"]), parts["validation"]) == (test_size, [])


def test_mistakes_are_said() -> None:
    with pytest.raises(GroupgapError, match=r"split='random': expected one of hash, paper"):
        split_rows(_documents(3), split="random")
    with pytest.raises(GroupgapError, match="row id 'row0' occurs more than once"):
        split_rows([*_documents(2), *_documents(1)])
    with pytest.raises(GroupgapError, match="split 'paper' needs 2 rows or more, got 1"):
        split_rows(_documents(1), split="paper")


@given(st.lists(st.sets(st.sampled_from("abcdef"), max_size=4), min_size=1, max_size=60), st.randoms())
@settings(max_examples=100, deadline=None)
def test_a_prefix_holds_every_group(memberships: list[set[str]], rng: random.Random) -> None:
    documents: list[dict[str, Any]] = [
        {"id": str(number), "axis": sorted(groups)} for number, groups in enumerate(memberships)
    ]
    ordered = interleave(documents, ["axis"])
    groups = {name for names in memberships for name in names}
    assert sorted(row["id"] for row in ordered) == sorted(row["id"] for row in documents)
    assert {name for row in ordered[: len(groups)] for name in row["axis"]} == groups
    rng.shuffle(documents)
    assert interleave(documents, ["axis"]) == ordered


@pytest.mark.parametrize("salt", range(20))
def test_a_group_that_lives_in_rarer_groups_only_comes_early_too(salt: int) -> None:
    """Each member of ``wide`` counts for a rarer group, where it stands behind others for most salts."""
    documents: list[dict[str, Any]] = []
    for name in "abcde":
        members = [{"id": f"{salt}{name}{number}", "axis": [name]} for number in range(4)]
        documents += [*members, {"id": f"{salt}{name}wide", "axis": [name, "wide"]}]
    documents.append({"id": f"{salt}f", "axis": ["a", "wide"]})
    assert {name for row in interleave(documents, ["axis"])[:6] for name in row["axis"]} == {*"abcde", "wide"}


def test_groups_keep_coming_until_they_are_used_up() -> None:
    sizes = {"rare": 10, "middle": 50, "common": 500}
    documents = [{"id": f"{name}{number}", "axis": [name]} for name, size in sizes.items() for number in range(size)]
    counted = Counter(row["axis"][0] for row in interleave(documents, ["axis"])[:30])
    assert counted == {"rare": 10, "middle": 10, "common": 10}


def test_same_name_on_two_axes_is_two_groups() -> None:
    documents = [{"id": str(number), "race": ["other"], "age": []} for number in range(50)]
    documents.append({"id": "x", "race": [], "age": ["other"]})
    first = interleave(documents, ["race", "age"])[:2]
    assert {(bool(row["race"]), bool(row["age"])) for row in first} == {(True, False), (False, True)}


def test_ids_of_texts() -> None:
    assert text_id("a remark") == hashlib.sha256(b"a remark").hexdigest()[:16]
    assert number_copies(["a", "b", "a", "a"]) == ["a", "b", "a#copy2", "a#copy3"]
