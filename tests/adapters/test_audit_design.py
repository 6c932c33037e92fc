"""Who is audited: drawn by ids alone, checked against the rows that models say they saw."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from groupgap.adapters.audit_design import (
    AuditDesign,
    Pool,
    check_members,
    check_shadows,
    draw_audit,
    kept_together,
    units_of,
)
from groupgap.errors import GroupgapError
from groupgap.harness_tasks.splits import split_parts
from groupgap.harness_tasks.tabular.utils import own_file
from groupgap.metrics import attack_power
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

TRAINED, HELD_OUT = [f"t{row}" for row in range(400)], [f"h{row}" for row in range(100)]


def stem(row: str) -> str:
    return row.partition("#copy")[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(40, 200), st.integers(20, 80), st.sampled_from(["offline", "online"]), st.integers(0, 5))
def test_designs_are_what_they_say(trained: int, held_out: int, kind: str, seed: int) -> None:
    rows, others = [f"t{row}" for row in range(trained)], [f"h{row}" for row in range(held_out)]
    design = draw_audit(Pool(rows, others), kind, 6, seed=seed)
    assert set(design.members) <= set(rows)
    assert set(design.others) <= set(others)
    assert len(design.members) == trained // 8
    assert len(design.others) == held_out // 2
    seen = np.array([[row in shadow for row in design.examples] for shadow in design.shadow_rows])
    np.testing.assert_array_equal(design.inside, seen)
    assert (seen.sum(axis=0) == (3 if kind == "online" else 0)).all()
    assert check_members(design, rows, "x") == {
        "members": len(design.members),
        "nonmembers": len(design.others),
        "target_rows": trained,
    }
    check_shadows(design, {str(number): shadow for number, shadow in enumerate(design.shadow_rows)})


def test_order_of_the_rows_does_not_matter_and_seed_does() -> None:
    one, other = (
        draw_audit(Pool(TRAINED, HELD_OUT), "offline", 3),
        draw_audit(Pool(TRAINED[::-1], HELD_OUT[::-1]), "offline", 3),
    )
    assert (one.examples, one.shadow_rows) == (other.examples, other.shadow_rows)
    assert draw_audit(Pool(TRAINED, HELD_OUT), "offline", 3, seed=26).examples != one.examples
    assert len({frozenset(rows) for rows in one.shadow_rows}) == 3


def test_copies_of_a_row_go_together() -> None:
    """A shadow that saw the copy has seen the row."""
    rows = [name for row in range(200) for name in (f"t{row}", f"t{row}#copy2")]
    design = draw_audit(Pool(rows, HELD_OUT), "offline", 4)
    audited = {stem(row) for row in design.examples}
    for shadow in design.shadow_rows:
        assert not audited & {stem(row) for row in shadow}
    online = draw_audit(Pool(rows, HELD_OUT), "online", 4)
    for shadow in online.shadow_rows:
        assert {row for row in shadow if row.startswith("t")} == {
            name for row in shadow if row.startswith("t") for name in (stem(row), f"{stem(row)}#copy2")
        }


def test_a_copy_of_a_training_row_is_no_nonmember() -> None:
    design = AuditDesign("offline", ("t1",), ("t2#copy2",), (("h1",), ("h2",)), 0)
    with pytest.raises(GroupgapError, match="1 of 1 non-members are"):
        check_members(design, ["t1", "t2"], "lora-13")


def test_number_of_audited_rows_can_be_chosen() -> None:
    design = draw_audit(Pool(TRAINED, HELD_OUT), "offline", 2, most=30)
    assert (len(design.members), len(design.others)) == (30, 30)


def test_the_released_scripts_leak_is_refused_and_shows_nothing_where_it_is_not() -> None:
    """arXiv 2405.17512's scripts: targets are split by their own seed, the attack re-splits by 25."""
    rows = [str(row) for row in range(4000)]
    rng = np.random.default_rng(13)
    target = set(rng.permutation(rows)[:3200])
    shuffled = np.random.default_rng(25).permutation(rows)
    wrong = AuditDesign("offline", tuple(shuffled[:400]), tuple(shuffled[3200:3600]), (("a",), ("b",)), 25)
    with pytest.raises(GroupgapError) as error:
        check_members(wrong, target, "full-13")
    inside = [row in target for row in wrong.members], [row in target for row in wrong.others]
    assert f"{400 - sum(inside[0])} of 400 members are not among its training rows" in str(error.value)
    assert f"{sum(inside[1])} of 400 non-members are" in str(error.value)
    assert 0.75 < np.mean(inside[0]) < 0.85
    assert 0.75 < np.mean(inside[1]) < 0.85

    def scores(of: tuple[str, ...]) -> list[float]:
        """A target that gives every training row away."""
        return [rng.normal(3.0 if row in target else 0.0) for row in of]

    blind = attack_power(scores(wrong.members), scores(wrong.others)).auc
    assert blind.low is not None
    assert blind.high is not None
    assert blind.low < 0.5 < blind.high
    right = draw_audit(Pool(sorted(target), [row for row in rows if row not in target]), "offline", 2)
    check_members(right, target, "full-13")
    assert (attack_power(scores(right.members), scores(right.others)).auc.value or 0) > 0.95


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "sideways"}, "expected one of offline, online"),
        ({"shadows": 1}, "1 shadows: the offline attack needs 2 or more"),
        ({"kind": "online", "shadows": 5}, "an even number: each row is in half of them"),
        ({"most": 0}, "--audit 0: expected 1 or more"),
        ({"trained": ["a"], "held_out": ["b"]}, "too few for an audit"),
        ({"held_out": [*HELD_OUT, "t1"]}, "1 rows are training rows and held out at once"),
        ({"most": 10_000}, "no rows are left for the shadows"),
    ],
)
def test_bad_requests_are_refused_in_words(options: dict[str, object], words: str) -> None:
    asked = {"trained": TRAINED, "held_out": HELD_OUT, "kind": "offline", "shadows": 4} | options
    pool = Pool(asked.pop("trained"), asked.pop("held_out"))  # type: ignore[arg-type]
    with pytest.raises(GroupgapError) as error:
        draw_audit(pool, **asked)  # type: ignore[arg-type]
    assert words in str(error.value)


def test_a_copy_on_the_other_side_leaves_out_its_unit_alone() -> None:
    """A shuffled split may draw a row for the training part and its copy for the test part."""
    trained, held_out = [*TRAINED, "t2#copy2", "h7#copy2"], [*HELD_OUT, "t1#copy2"]
    design = draw_audit(Pool(trained, held_out), "offline", 2, most=200)
    assert not {stem(row) for row in design.examples} & {"t1", "h7"}
    assert set(design.others) == set(HELD_OUT) - {"h7"}
    assert design.left_out == {
        "held_out_rows_of_trained_units": 2,
        "rows_of_units_that_the_split_takes_apart": 2,
        "further_rows_of_a_unit": 1,
    }
    check_members(design, trained, "x")


@pytest.mark.parametrize("seed", range(6))
def test_a_unit_larger_than_a_shadow_leaves_no_shadow_empty(seed: int) -> None:
    """Where it came first in a shadow's order nothing was left: models were trained on no rows, or the audit fell."""
    trained, held_out = [f"a{row}" for row in range(100)], [f"b{row}" for row in range(100)]
    units = dict.fromkeys((*trained[30:], *held_out[30:]), "big")
    design = draw_audit(Pool(trained, held_out, units), "offline", 6, seed=seed)
    alone = 200 - 140 - len(design.examples)
    assert [len(rows) for rows in design.shadow_rows] == [alone] * 6
    with pytest.raises(GroupgapError, match="no rows are left for the shadows"):
        draw_audit(Pool(trained, held_out, units), "offline", 6, most=30, seed=seed)


def test_a_shadow_of_other_rows_is_refused() -> None:
    design = draw_audit(Pool(TRAINED, HELD_OUT), "offline", 2)
    with pytest.raises(GroupgapError, match="shadow-01: was not trained on the rows"):
        check_shadows(design, {"shadow-00": design.shadow_rows[0], "shadow-01": design.shadow_rows[0]})


@pytest.mark.parametrize(("kind", "digest"), [("offline", "fcf085c5801b0141"), ("online", "95d3bfc6a5f5b766")])
def test_the_draw_of_rows_that_are_alone_stays_what_it_was(kind: str, digest: str) -> None:
    """Drawn before there were units: published audits can be repeated."""
    design = draw_audit(Pool(TRAINED, HELD_OUT), kind, 4)
    told = json.dumps([design.members, design.others, design.shadow_rows])
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == digest
    assert design.left_out == {}


def check_units(pool: Pool, design: AuditDesign, unit: Mapping[str, str]) -> None:
    """What must hold of units that somebody else counted."""
    seen = {unit[row] for row in pool.trained}
    assert not seen & {unit[row] for row in design.others}
    assert len({unit[row] for row in design.examples}) == len(design.examples)
    everything = [*pool.trained, *pool.held_out]
    for row, inside in zip(design.examples, design.inside.T, strict=True):
        siblings = {other for other in everything if unit[other] == unit[row]}
        counts = [len(siblings & set(rows)) for rows in design.shadow_rows]
        assert set(counts) <= {0, len(siblings)}
        assert [count > 0 for count in counts] == inside.tolist()
        assert sum(inside) == (len(design.shadow_rows) // 2 if design.kind == "online" else 0)
    check_members(design, pool.trained, "x")
    check_shadows(design, {str(number): rows for number, rows in enumerate(design.shadow_rows)})


@pytest.mark.parametrize("kind", ["offline", "online"])
@pytest.mark.parametrize("id_column", [None, "key"])
def test_a_text_under_two_ids_is_one_unit(tmp_path: Path, id_column: str | None, kind: str) -> None:
    """Of two ids the split knows nothing: one goes to the training part, the other to the test part."""
    place = [row // 2 if row < 300 else row for row in range(600)]
    lines = [f"k{row},sentence {text},{('no', 'yes')[row % 2]},{'ab'[text % 2]}" for row, text in enumerate(place)]
    (tmp_path / "d.csv").write_text("key,text,label,g\n" + "\n".join(lines) + "\n")
    asked = {"file": str(tmp_path / "d.csv"), "group_columns": "g", "positive": "yes", "id_column": id_column}
    rows = own_file(**{name: value for name, value in asked.items() if value})
    parts = [{str(one["id"]): one for one in of_part} for of_part in split_parts(rows, "hash", 13).values()]
    documents = {row: one for part in parts for row, one in part.items()}
    trained, validation, held_out = map(list, parts)
    pool = Pool(trained, held_out, units_of(documents, {"g"}, None), validation, kept_together(parts, None))
    design = draw_audit(pool, kind, 4)
    text = {row: str(one["text"]) for row, one in documents.items()}
    check_units(pool, design, text)
    times = Counter(text.values())
    assert {times[text[row]] for row in design.examples} == ({1} if id_column else {1, 2})
    known, chosen_by = {text[row] for row in trained}, {text[row] for row in validation}
    leaks = sum(text[row] in known for row in held_out)
    by_choice = sum(text[row] in chosen_by - known for row in held_out)
    assert (leaks > 0) == (by_choice > 0) == (id_column is not None)
    twice = sum(times[text[row]] == 2 for row in (*trained, *held_out))
    told = {
        "held_out_rows_of_trained_units": leaks,
        "held_out_rows_of_validation_units": by_choice,
        "rows_of_units_that_the_split_takes_apart": twice - leaks - by_choice,
    }
    assert design.left_out == (told if id_column else {"further_rows_of_a_unit": twice // 2})


@pytest.mark.parametrize("kind", ["offline", "online"])
def test_rows_of_a_pair_are_one_unit(kind: str) -> None:
    """As WinoMT's: four sentences a pair, all in the training part, or two of them in the test part."""
    documents = {
        f"{pair:03d}{place}": {"id": "", "text": f"{place} {pair}", "pair": f"p{pair}"}
        for pair in range(200)
        for place in ("abcd" if pair % 5 else "ab")
    }
    trained = [row for row in documents if int(row[:3]) % 5]
    held_out = [row for row in documents if int(row[:3]) % 5 == 0]
    together = kept_together([{row: documents[row] for row in part} for part in (trained, held_out)], "pair")
    pool = Pool(trained, held_out, units_of(documents, (), "pair"), together=together)
    design = draw_audit(pool, kind, 4)
    assert (len(design.members), len(design.others)) == (160 // 8, 40 // 2)
    check_units(pool, design, {row: row[:3] for row in documents})
    assert design.left_out == {"further_rows_of_a_unit": 640 - 160 + 80 - 40}


def test_what_a_split_keeps_together_is_seen_from_its_parts() -> None:
    pairs = {"a": 1, "b": 1, "a#copy2": 2, "c": 3, "d": 3}
    parts = [{row: {"pair": pairs[row]} for row in part} for part in (("a", "b", "a#copy2"), ("c", "d"))]
    assert kept_together(parts, None) == {"a": "a", "a#copy2": "a", "b": "b", "c": "c", "d": "d"}
    assert kept_together(parts, "pair") == {"a": "a", "a#copy2": "a", "b": "a", "c": "c", "d": "c"}
    parts[1]["e"] = {"pair": 1}
    assert kept_together(parts, "pair") == {"a": "a", "a#copy2": "a", "b": "b", "c": "c", "d": "d", "e": "e"}
    parts[1]["b#copy2"] = {"pair": 9}
    assert kept_together(parts, None) == {row: row for part in parts for row in part}


def never_trained(kind: str, seed: int) -> tuple[Pool, dict[str, float]]:
    """A pool from 1,500 rows, and a model that knows none: it finds texts easy that stand in the data three times.

    Args:
        kind: ``ids``: repeats have ids of their own. ``copies``: they are copies of a row, of which the target took
            some. ``pairs``: they are of one sentence group, of which it took some.
        seed: of the data, the split and the rows that were taken.
    """
    rng = np.random.default_rng(seed)
    unit = [*np.repeat(np.arange(200), 3).tolist(), *range(200, 1100)]
    place = [row % 3 if row < 600 else 0 for row in range(1500)]
    mark = {"ids": "/", "copies": "#copy", "pairs": "-"}[kind]
    rows = [f"{seed}:{own}{f'{mark}{at + 1}' * (at > 0)}" for own, at in zip(unit, place, strict=True)]
    documents = {
        row: {"text": f"{own}" + f"-{at}" * (kind == "pairs"), "pair": own}
        for row, own, at in zip(rows, unit, place, strict=True)
    }
    pair = "pair" if kind == "pairs" else None
    drawn = rng.integers(0, 10, 1500)  # tenths of the data: 7 are trained on, 1 validates, 2 are held out
    tenth = dict(zip(rows, drawn if kind == "ids" else drawn[unit], strict=True))
    train, validation, test = (
        {row: documents[row] for row in rows if low <= tenth[row] < high} for low, high in ((0, 7), (7, 8), (8, 10))
    )
    together = kept_together((train, test, validation), pair)
    taken = [row for row in train if kind == "ids" or rng.random() < 0.4]
    reached = {together[row] for row in taken}
    spare = [row for row in train if together[row] in reached and row not in set(taken)]
    known = {row: documents[row] for row in (*taken, *spare, *validation, *test)}
    easy = rng.normal(size=1100)[unit] + (np.array(unit) < 200)
    pool = Pool(taken, list(test), units_of(known, (), pair), list(validation), together, spare)
    return pool, dict(zip(rows, easy.tolist(), strict=True))


@pytest.mark.parametrize("kind", ["ids", "copies", "pairs"])
def test_repeated_texts_are_no_sign_of_membership(kind: str) -> None:
    """Left out of the others alone they stood almost only among the members: of 60 such models 60% were "found"."""
    auc, p_values = [], []
    for seed in range(60):
        pool, easy = never_trained(kind, seed)
        design = draw_audit(pool, "offline", 2, most=100, seed=seed)
        power = attack_power(*([easy[row] for row in side] for side in (design.members, design.others)))
        assert power.auc.chance is not None
        auc.append(power.auc.value or 0.0)
        p_values.append(power.auc.chance.p_value)
    assert abs(np.mean(auc) - 0.5) < 3 * np.std(auc) / np.sqrt(len(auc))
    assert sum(p_value < 0.05 for p_value in p_values) <= 8  # 3 are expected; more than 8 come once in 300 times


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)), max_size=25))
def test_units_are_connected_components(rows: list[tuple[int, int, int]]) -> None:
    """Over copies, contents and pairs, by scipy's graphs."""
    documents: dict[str, dict[str, object]] = {}
    for place, (own, text, pair) in enumerate(rows):
        row = f"{own}" if f"{own}" not in documents else f"{own}#copy{place + 2}"
        documents[row] = {"id": row, "text": f"t{text}", "pair": pair, "group": [str(place)]}
    keys = np.array(rows).reshape(-1, 1, 3)
    _, component = connected_components((keys == keys.reshape(1, -1, 3)).any(axis=2))
    units = units_of(documents, {"group"}, "pair")
    assert set(units) == set(documents)
    together = np.array([[units[a] == units[b] for b in documents] for a in documents]).reshape(len(rows), len(rows))
    np.testing.assert_array_equal(together, component[:, None] == component[None, :])
    for row, unit in units.items():
        assert unit == min(stem(other) for other in documents if units[other] == units[row])


def test_the_content_is_the_image_or_the_text_or_all_but_id_and_groups() -> None:
    documents = {
        "a": {"id": "a", "image_sha256": "x", "text": "1", "hue": ["red"]},
        "b": {"id": "b", "image_sha256": "x", "text": "2", "hue": ["blue"]},
        "c": {"id": "c", "question": "q", "label": 0, "hue": ["red"]},
        "d": {"id": "d", "question": "q", "label": 0, "hue": ["blue"]},
        "e": {"id": "e", "question": "q", "label": 1, "hue": ["blue"]},
    }
    assert units_of(documents, {"hue"}, None) == {"a": "a", "b": "a", "c": "c", "d": "c", "e": "e"}


UNITS = {"t1": "t1", "t2": "t2", "h1": "h1", "h2": "t2", "h3": "h1"}


@pytest.mark.parametrize(
    ("others", "trained", "words"),
    [
        (("h2",), ["t1", "t2"], "1 of 1 non-members are"),
        (("h1", "h3"), ["t1"], "1 of 3 audited rows are of the same content or the same pair as another"),
    ],
)
def test_audits_whose_units_overlap_are_refused(others: tuple[str, ...], trained: Sequence[str], words: str) -> None:
    design = AuditDesign("offline", ("t1",), others, (), 0, UNITS)
    with pytest.raises(GroupgapError, match=words):
        check_members(design, trained, "lora-13")


@pytest.mark.parametrize(
    ("kind", "shadow_rows", "wrong"),
    [
        ("offline", (("t2",), ("h3",)), 1),  # a sibling of h1
        ("online", (("t1", "h1"), ("h3",)), 1),  # h1 and its sibling are torn apart
        ("online", (("t1", "h1", "h3"), ("h3",)), 1),
    ],
)
def test_shadows_that_saw_a_part_of_a_unit_are_refused(
    kind: str, shadow_rows: tuple[tuple[str, ...], ...], wrong: int
) -> None:
    design = AuditDesign(kind, ("t1",), ("h1",), shadow_rows, 0, UNITS)
    with pytest.raises(GroupgapError, match=f"{wrong} audited rows, with all rows of the same content or pair"):
        check_shadows(design, {str(number): rows for number, rows in enumerate(shadow_rows)})


def test_an_audit_of_which_everything_is_left_out_says_so() -> None:
    with pytest.raises(GroupgapError, match="0 others are too few for an audit; left out: 2 held out rows of trained"):
        draw_audit(Pool(["a", "b"], ["c", "d"], {"c": "a", "d": "b"}), "offline", 2)


def test_a_copy_of_a_validation_row_is_no_nonmember() -> None:
    """The target's epoch was chosen by it."""
    units = {f"h{row}": f"v{row}" for row in range(40)} | {f"v{row}": f"v{row}" for row in range(40)}
    pool = Pool(TRAINED, HELD_OUT, units, [f"v{row}" for row in range(40)])
    design = draw_audit(pool, "offline", 2)
    assert len(design.others) == 30
    assert not set(design.others) & set(units)
    assert design.left_out == {"held_out_rows_of_validation_units": 40}
