"""Which targets can be attacked: those whose task asks each row once, with choices."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from groupgap.errors import GroupgapError
from groupgap.plugins.attack_fleet import _task


def training(task: str) -> SimpleNamespace:
    return SimpleNamespace(task=task, task_options={})


def test_a_task_that_asks_in_cells_is_refused() -> None:
    """Its samples hold every cell's choices in a row; taken for one row's they would make a wrong confidence."""
    with pytest.raises(GroupgapError, match="only tasks of ours that ask each row once, with choices"):
        _task(training("toy_religion_fair_controlled"))  # type: ignore[arg-type]


def test_a_plain_task_is_taken() -> None:
    assert _task(training("toy_religion_fair")).label_field == "label"  # type: ignore[arg-type]
