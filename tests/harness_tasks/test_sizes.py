"""The size tables of the documentation: overlap counts in every group, and mistakes are one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from groupgap.harness_tasks.rows import Rows
from groupgap.harness_tasks.sizes import main, size_table
from groupgap.harness_tasks.splits import part_of


def test_overlapping_documents_count_in_each_group() -> None:
    memberships = [["a"], ["a", "b"], [], ["b"], ["a"]]
    documents = [
        {"id": str(number), "text": "", "label": number % 2, "axis": groups}
        for number, groups in enumerate(memberships)
    ]
    test = [number for number in range(5) if part_of(str(number)) == "test"]
    lines = size_table(Rows(documents, {}), "axis").splitlines()[2:]
    assert [line.split("|")[1:4] for line in lines] == [
        [" (all) ", " 5 ", " 2 "],
        [" a ", " 3 ", " 1 "],
        [" b ", " 2 ", " 2 "],
        [" (no group) ", " 1 ", " 0 "],
    ]
    assert lines[0].split("|")[4] == f" {len(test)} "


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("text,label,who\n" + "".join(f"t{number},{number % 2},g{number % 3}\n" for number in range(30)))
    assert main(["tabular:own_file", f"file={path}", "group_columns=who", "positive=1"]) == 0
    assert "| g2 | 10 | 5 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: python -m groupgap.harness_tasks.sizes"),
        (["dlab"], "usage: "),
        (["nothing:here"], "no loader nothing:here"),
        (["toxigen:nothing"], "no loader toxigen:nothing"),
        (["toxigen:toxigen", "label"], "'label': expected OPTION=VALUE"),
        (["toxigen:toxigen", "label=x"], "label='x': expected one of human"),
    ],
)
def test_mistakes(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
