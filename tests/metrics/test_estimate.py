"""An estimate is a value or a reason, never both and never neither."""

from __future__ import annotations

import pytest
from groupgap.metrics import Estimate


@pytest.mark.parametrize(("value", "reason"), [(None, None), (0.5, "no members")])
def test_an_estimate_has_a_value_or_a_reason(value: float | None, reason: str | None) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Estimate(value, 3, reason)


def test_text_of_a_value_and_of_a_missing_one() -> None:
    assert Estimate(0.25, 4).text == "0.2500"
    assert Estimate(None, 0, "no positives").text == "undefined (no positives)"
