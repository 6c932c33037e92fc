"""Which fields of a document a task names besides its axes, and why: clusters, a covariate, what a judge reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import GroupgapError
from .axes import value_at

# The field in which a judged line carries what the model wrote.
GENERATION = "groupgap generation"
JUDGE_ROLES = ("reference", "occupation", "other")


def roles_of(task: str, fair: Mapping[str, Any]) -> dict[str, str]:
    """Role to field: ``cluster`` (documents that are one unit), ``covariate``, and for a judged task ``generation``,
    ``reference``, ``occupation``, ``other``.

    Raises:
        GroupgapError: if ``metadata.fair`` has another form.

    Example:
        >>> roles_of("mine", {"cluster": "pair", "covariate": {"field": "share"}})
        {'cluster': 'pair', 'covariate': 'share'}
    """
    covariate, judge = fair.get("covariate"), fair.get("judge")
    for key, value in (("covariate", covariate), ("judge", judge)):
        if value is not None and not isinstance(value, dict):
            raise GroupgapError(f"task {task}: metadata.fair.{key}: expected a mapping")
    named: dict[str, Any] = {"cluster": fair.get("cluster"), "covariate": (covariate or {}).get("field")}
    if judge is not None:
        named |= {"generation": GENERATION, **{role: judge.get(role) for role in JUDGE_ROLES}}
    missing = [role for role in JUDGE_ROLES if judge is not None and named[role] is None]
    wrong = [role for role, path in named.items() if path is not None and not isinstance(path, str)]
    if missing or wrong or (judge is not None and named["cluster"] is None):
        role = next(iter((*missing, *wrong)), "cluster")
        raise GroupgapError(f"task {task}: metadata.fair names no field for {role!r}: expected a document's field")
    return {role: path for role, path in named.items() if path is not None}


def kept_values(where: str, document: Mapping[str, Any], roles: Mapping[str, str]) -> tuple[str | float, ...]:
    """What a document holds for each role: a number for a covariate, else a text.

    Raises:
        GroupgapError: for a field that is absent, or holds something else.
    """
    kept: list[str | float] = []
    for role, path in roles.items():
        value = value_at(document, path)
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
        if not (number if role == "covariate" else isinstance(value, str)):
            wanted = "a number" if role == "covariate" else "a text"
            raise GroupgapError(f"{where}: the field doc.{path} ({role}) holds no {wanted[2:]}: expected {wanted}")
        kept.append(value)  # type: ignore[arg-type]
    return tuple(kept)
