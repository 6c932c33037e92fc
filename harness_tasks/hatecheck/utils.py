"""Loader of HateCheck: 3,728 functional tests, written by hand, with matched templates across seven identities.

Röttger et al., "HateCheck", ACL 2021. Licence: CC BY 4.0.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from ...errors import GroupgapError
from ..columns import as_text, is_missing, need_columns, text_column
from ..rows import Rows
from ..sources import Dataset, load

DATASET = Dataset(
    name="hatecheck",
    hub="Paul/hatecheck",
    # From the hub's list of commits: the test data, followed by changes of the card.
    revision="43c98fc7d4a3b0dd111ba1f722609c6ad26b5eb4",
    hub_files=(("test.csv",), ("default/test/0000.parquet",)),
    licence="CC-BY-4.0",
    url="https://github.com/paul-rottger/hatecheck-data",
    folders=("hatecheck-data",),
)
LOCAL_FILES = (("test_suite_cases.csv",), ("test.csv",))
GROUPS = ("Muslims", "black people", "disabled people", "gay people", "immigrants", "trans people", "women")
LABELS = {"hateful": 1, "non-hateful": 0}
FULL_CASES, FULL_HATEFUL = 3728, 2563


def hatecheck(dataset_revision: object = None, **_: object) -> Rows:
    """All test cases; the 292 that name no identity have no group and count in overall accuracy only.

    Raises:
        GroupgapError: no data, another schema, or a complete file with other counts than published.
    """
    table = load(DATASET, LOCAL_FILES, dataset_revision)
    file = table.files[0]
    documents = _documents(table.frame, file)
    positives = sum(document["label"] for document in documents)
    counts = {
        "rows": len(documents),
        "positives": positives,
        "without_group": sum(not document["target"] for document in documents),
    }
    if len(documents) == FULL_CASES and positives != FULL_HATEFUL:
        raise GroupgapError(
            f"{file}: {positives} hateful of {FULL_CASES} cases, published are {FULL_HATEFUL}; "
            f"fetch it again from {DATASET.url}"
        )
    return Rows(documents=documents, origin={**table.origin, **counts, "complete": len(documents) == FULL_CASES})


def _documents(frame: pd.DataFrame, file: str) -> list[dict[str, Any]]:
    need_columns(frame, ("case_id", "test_case", "label_gold", "target_ident", "functionality", "templ_id"), file)
    targets = ["" if is_missing(cell) else str(cell) for cell in frame["target_ident"]]
    golds = text_column(frame, "label_gold", file)
    for column, cells, allowed in (("target_ident", targets, ("", *GROUPS)), ("label_gold", golds, tuple(LABELS))):
        unknown = sorted(set(cells) - set(allowed))
        if unknown:
            names = ", ".join(filter(None, allowed))
            raise GroupgapError(f"{file}: unknown {column} {unknown[0]!r}; expected one of {names}")
    columns = {name: text_column(frame, name, file) for name in ("case_id", "test_case", "functionality")}
    return [
        {
            "id": columns["case_id"][row],
            "text": columns["test_case"][row],
            "label": LABELS[golds[row]],
            "target": [targets[row]] if targets[row] else [],
            "functionality": columns["functionality"][row],
            "templ_id": as_text(template),
        }
        for row, template in enumerate(frame["templ_id"])
    ]
