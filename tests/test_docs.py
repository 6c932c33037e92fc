"""The documentation does what it says: its examples run, its links lead somewhere, its tasks exist."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import groupgap
import pytest
from groupgap.cli import VERBS

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_run(page: Path) -> None:
    result = doctest.testfile(str(page), module_relative=False)
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_verb_of_the_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    missing = [verb for verb in VERBS if f"groupgap {verb}" not in text]
    assert missing == []


def test_every_task_that_the_readme_names_exists() -> None:
    """``dlab_{religion,race}_fair`` stands for both."""
    there = {path.stem for path in (Path(groupgap.__file__).parent / "harness_tasks").rglob("*_fair.yaml")}
    named = set()
    for word in re.findall(r"`([a-z_]*(?:\{[a-z_,]+\})?[a-z_]*_fair)`", (ROOT / "README.md").read_text()):
        options = re.search(r"\{([a-z_,]+)\}", word)
        choices = options[1].split(",") if options else [""]
        named |= {word.replace(options[0], choice) if options else word for choice in choices}
    assert named == there
