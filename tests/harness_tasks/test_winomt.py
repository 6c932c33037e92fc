"""WinoMT Turkish-English on the real files: the paper's sizes and splits, defects flagged, broken files refused."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from groupgap.errors import GroupgapError
from groupgap.harness_tasks.rows import Rows
from groupgap.harness_tasks.splits import split_parts
from groupgap.harness_tasks.winomt.utils import anti, general, pro

LOADERS = {"general": general, "pro": pro, "anti": anti}
SEEDS = (13, 1337, 42, 666, 888)


@pytest.fixture
def copied(shared: Path, data: Path) -> Path:
    """A copy of the real files that a test may break."""
    folder = data / "winomt"
    folder.mkdir()
    for path in (shared / "data" / "winomt").glob("en*.txt"):
        shutil.copyfile(path, folder / path.name)
    return folder


@pytest.fixture(scope="module")
def whole(shared: Path) -> Rows:
    """The general file, read once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROUPGAP_DATA", str(shared / "data"))
        return general()


@pytest.mark.usefixtures("real")
def test_the_published_sizes_and_pronouns() -> None:
    rows = {name: load().documents for name, load in LOADERS.items()}
    assert {name: len(found) for name, found in rows.items()} == {"general": 3888, "pro": 1584, "anti": 1584}
    assert Counter(row["label"] for row in rows["general"]) == {0: 1826, 1: 1822, 2: 240}
    assert Counter(row["half"] for row in rows["general"]) == {"anti": 1584, "pro": 1584, "winogender": 720}
    assert len({row["pair"] for row in rows["general"]}) == 792 + 60
    assert len({row["id"] for row in rows["general"]}) == 3888


@pytest.mark.parametrize("seed", SEEDS)
def test_the_papers_split(seed: int, whole: Rows) -> None:
    """3,108 + 780 lines; the test is 159 + 159, drawn anew here as the paper's code draws them."""
    parts = split_parts(whole, "paper", seed)
    train, test = ([row["id"] for row in parts[part]] for part in ("train", "test"))
    assert (len(train), len(test), len(parts["validation"])) == (3108, 318, 0)
    assert 3888 - len(train) == 780
    assert Counter(row["predisposition"][0] for row in parts["test"]) == {"male": 159, "female": 159}
    rng = np.random.default_rng(seed)
    chosen = rng.choice(792, 633, replace=False)
    blocks = rng.choice(60, 48, replace=False)
    lines = {place for pair in chosen for first in (2 * pair, 2 * pair + 1584) for place in (first, first + 1)}
    lines |= {3168 + 12 * block + place for block in blocks for place in range(12)}
    assert {f"general-{line:04d}" for line in lines} == set(train)
    others = sorted(set(range(792)) - set(chosen.tolist()))
    assert {f"general-{2 * pair + side:04d}" for pair in others for side in (0, 1)} == set(test)


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("load", [pro, anti])
def test_the_papers_split_of_a_half(load: Callable[..., Rows], whole: Rows) -> None:
    parts = split_parts(load(), "paper", 13)
    assert {part: len(rows) for part, rows in parts.items()} == {"train": 1266, "validation": 0, "test": 318}
    assert Counter(row["predisposition"][0] for row in parts["test"]) == {"male": 159, "female": 159}
    general_test = {int(row["id"][-4:]) // 2 for row in split_parts(whole, "paper", 13)["test"]}
    assert {int(row["id"][-4:]) // 2 for row in parts["test"]} == general_test  # the same pairs


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("split", ["paper", "hash"])
def test_a_pair_is_in_one_part(split: str) -> None:
    for load in LOADERS.values():
        parts = split_parts(load(), split, 13)
        pairs = [{row["pair"] for row in rows} for rows in parts.values() if rows]
        assert sum(map(len, pairs)) == len(set().union(*pairs))
        assert len(pairs) == (3 if split == "hash" else 2)


def test_a_he_on_the_first_line_of_a_pair_would_be_the_stereotype(whole: Rows) -> None:
    """The labels of both halves, but for the two lines that are flagged."""
    for row in whole.documents:
        if row["half"] != "winogender" and "misplaced" not in row["defects"]:
            expected = ["male", "female"].index(row["predisposition"][0])
            assert row["label"] == (expected if row["half"] == "pro" else 1 - expected)
    sides: dict[str, Counter[str]] = {}
    for row in whole.documents:
        if row["predisposition"]:
            sides.setdefault(row["occupation"], Counter())[row["predisposition"][0]] += 1
    assert len(sides) == 40
    mixed = {name: found for name, found in sides.items() if len(found) > 1}
    assert {name: min(found.values()) for name, found in mixed.items()} == {"tailor": 1, "attendant": 1}


@pytest.mark.usefixtures("real")
def test_known_defects_are_flagged_and_can_be_left_out_by_pairs() -> None:
    everything = general()
    assert everything.origin["defects"] == {
        "malformed": 2,
        "misplaced": 2,
        "repeated_source": 12,
        "source_differs": 894,
    }
    assert everything.origin["excluded_rows"] == 0
    left = {"malformed": 2, "misplaced": 2, "repeated_source": 4, "source_differs": 370}
    for defect, pairs in left.items():
        kept = general(exclude=[defect])
        assert kept.origin["excluded_pairs"] == pairs
        assert kept.origin["rows"] == len(kept.documents) == 3888 - kept.origin["excluded_rows"]
        assert not any(defect in row["defects"] for row in kept.documents)
        test = split_parts(kept, "paper", 13)["test"]
        assert len({Counter(row["predisposition"][0] for row in test)[side] for side in ("male", "female")}) == 1
    assert general(exclude="source_differs").documents == general(exclude=["source_differs"]).documents
    for wrong in ("typo", 3, ["malformed", "typo"]):
        with pytest.raises(GroupgapError, match=r"option exclude=.*: expected a list of malformed, misplaced"):
            general(exclude=wrong)


def test_references_are_cut_before_their_pronoun(whole: Rows) -> None:
    documents = whole.documents
    for row in documents:
        start = f"{row['prefix']} {row['choices'][row['label']]}"
        assert row["reference"].startswith(start)
        assert not row["reference"][len(start) :][:1].isalpha()
    forms = Counter(row["choices"][0] for row in documents)
    assert forms == {"he": 1992, "him": 1431, "his": 465}
    object_her = next(row for row in documents if row["reference"].endswith("gave her flowers."))
    assert object_her["choices"] == ["him", "her", "them"]


def test_the_files_that_were_read_are_recorded(whole: Rows) -> None:
    origin = whole.origin
    assert set(origin["files"]) == {"en.txt", "en_tr_general.txt"}
    assert origin["complete"] is True
    assert (origin["source"], origin["revision"]) == ("file", None)


def test_absent_files_are_asked_for_with_repository_commit_and_hash(data: Path) -> None:
    with pytest.raises(GroupgapError) as error:
        general()
    said = str(error.value)
    for part in ("data/aggregates/en.txt", "mt_gender at commit 5862928", "sha256 11797c54", "winomt/", "licence MIT"):
        assert part in said
    assert "\n" not in said


def test_a_clone_put_there_whole_is_read(shared: Path, data: Path) -> None:
    source = shared / "data" / "winomt"
    for folder, names in (("data/aggregates", ["en.txt"]), ("data/mt_gender", ["en_tr_general.txt"])):
        place = data / "mt_gender" / folder
        place.mkdir(parents=True)
        for name in names:
            shutil.copyfile(source / name, place / name)
    assert len(general().documents) == 3888


def test_a_wrong_number_of_lines_is_refused(copied: Path) -> None:
    path = copied / "en_tr_general.txt"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    with pytest.raises(GroupgapError, match=r"en_tr_general.txt: 3,887 lines, expected 3,888"):
        general()


@pytest.mark.parametrize("line", ["The nurse was late.", "The nurse was late. ||| ", " ||| Geç.", "a ||| b ||| c", ""])
def test_a_missing_translation_is_refused_with_its_line(copied: Path, line: str) -> None:
    path = copied / "en_tr_general.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[16] = line
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(GroupgapError, match=r"en_tr_general.txt, line 17: no translation; expected 'English"):
        general()


def test_other_broken_files_are_refused(copied: Path) -> None:
    path = copied / "en_tr_pro.txt"
    content = path.read_bytes()
    path.write_bytes(content.replace("ö".encode(), b"\xf6", 1))
    with pytest.raises(GroupgapError, match=r"en_tr_pro.txt: not UTF-8 \(byte \d+\)"):
        pro()
    path.write_bytes(content.replace(b"The ", b"An ", 1))
    with pytest.raises(GroupgapError, match=r"en_tr_pro.txt, line 1: WinoMT's en.txt has no such English sentence"):
        pro()
    path.write_bytes(content.replace(b"\n", b"\r\n"))
    assert pro().origin["complete"] is False
    assert len(pro().documents) == 1584
    english = copied / "en.txt"
    english.write_text(english.read_text(encoding="utf-8").replace("\t", " ", 1), encoding="utf-8")
    with pytest.raises(GroupgapError, match=r"en.txt, line 1: expected gender, index, sentence and occupation"):
        pro()
