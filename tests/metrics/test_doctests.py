"""Every example in the docstrings of the library runs."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import groupgap.metrics
import pytest

MODULES = [
    f"groupgap.metrics.{module.name}"
    for module in pkgutil.iter_modules(groupgap.metrics.__path__)
    if not module.name.startswith("_")
]


@pytest.mark.parametrize("name", ["groupgap.metrics", *MODULES])
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
