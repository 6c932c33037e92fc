"""Who is audited: drawn by ids alone, checked against the rows that models say they saw."""

from __future__ import annotations

import numpy as np
import pytest
from groupgap.adapters.audit_design import AuditDesign, check_members, check_shadows, draw_audit
from groupgap.errors import GroupgapError
from groupgap.metrics import attack_power
from hypothesis import given, settings
from hypothesis import strategies as st

TRAINED, HELD_OUT = [f"t{row}" for row in range(400)], [f"h{row}" for row in range(100)]


def stem(row: str) -> str:
    return row.partition("#copy")[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(40, 200), st.integers(20, 80), st.sampled_from(["offline", "online"]), st.integers(0, 5))
def test_designs_are_what_they_say(trained: int, held_out: int, kind: str, seed: int) -> None:
    rows, others = [f"t{row}" for row in range(trained)], [f"h{row}" for row in range(held_out)]
    design = draw_audit(rows, others, kind, 6, seed=seed)
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
    one, other = draw_audit(TRAINED, HELD_OUT, "offline", 3), draw_audit(TRAINED[::-1], HELD_OUT[::-1], "offline", 3)
    assert (one.examples, one.shadow_rows) == (other.examples, other.shadow_rows)
    assert draw_audit(TRAINED, HELD_OUT, "offline", 3, seed=26).examples != one.examples
    assert len({frozenset(rows) for rows in one.shadow_rows}) == 3


def test_copies_of_a_row_go_together() -> None:
    """A shadow that saw the copy has seen the row."""
    rows = [name for row in range(200) for name in (f"t{row}", f"t{row}#copy2")]
    design = draw_audit(rows, HELD_OUT, "offline", 4)
    audited = {stem(row) for row in design.examples}
    for shadow in design.shadow_rows:
        assert not audited & {stem(row) for row in shadow}
    online = draw_audit(rows, HELD_OUT, "online", 4)
    for shadow in online.shadow_rows:
        assert {row for row in shadow if row.startswith("t")} == {
            name for row in shadow if row.startswith("t") for name in (stem(row), f"{stem(row)}#copy2")
        }


def test_a_copy_of_a_training_row_is_no_nonmember() -> None:
    design = AuditDesign("offline", ("t1",), ("t2#copy2",), (("h1",), ("h2",)), 0)
    with pytest.raises(GroupgapError, match="1 of 1 non-members are"):
        check_members(design, ["t1", "t2"], "lora-13")


def test_number_of_audited_rows_can_be_chosen() -> None:
    design = draw_audit(TRAINED, HELD_OUT, "offline", 2, most=30)
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
    right = draw_audit(sorted(target), [row for row in rows if row not in target], "offline", 2)
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
        ({"held_out": [*HELD_OUT, "t1#copy2"]}, "1 rows are training rows and held out at once"),
        ({"most": 10_000}, "no rows are left for the shadows"),
    ],
)
def test_bad_requests_are_refused_in_words(options: dict[str, object], words: str) -> None:
    asked = {"trained": TRAINED, "held_out": HELD_OUT, "kind": "offline", "shadows": 4} | options
    with pytest.raises(GroupgapError) as error:
        draw_audit(**asked)  # type: ignore[arg-type]
    assert words in str(error.value)


def test_a_shadow_of_other_rows_is_refused() -> None:
    design = draw_audit(TRAINED, HELD_OUT, "offline", 2)
    with pytest.raises(GroupgapError, match="shadow-01: was not trained on the rows"):
        check_shadows(design, {"shadow-00": design.shadow_rows[0], "shadow-01": design.shadow_rows[0]})
