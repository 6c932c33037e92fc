"""``groupgap card``: what the hub's own reader makes of it, and that it says what the board says, in words."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.cli import main
from huggingface_hub import ModelCard

HOSTILE = [
    "<script>alert(1)</script>",
    "a|b|c\n| injected | row |",
    "[x](javascript:alert(1))",
    "x\n---\nlicense: mit",
    "- &a [*a, {b: !!python/object/apply:os.system [id]}]",
    "'\"{{ 7 * 7 }}: #",
    "yes",
    "1e3",
    "\x1b]0;title\x07",
    "\u202ereversed\u202c",
    "# **star** _under_ `code`",
]


def board(tmp_path: Path, runs: Path, *options: str) -> Path:
    assert main(["board", str(runs), "-o", str(tmp_path / "out"), "--draws", "999", *options]) == 0
    return tmp_path / "out"


def with_seeds(tmp_path: Path, factory: SimpleNamespace) -> Path:
    for number, seed in enumerate((13, 42, 1337)):
        folder = factory.run(n=120, skill=number).write(tmp_path / "runs" / f"{number}")
        described = {"name": f"lora-{seed}", "base": "org/base", "method": "lora", "weights": f"w{number}"}
        described |= {"seed": seed, "proof": {"level": "full", "passed": True}, "trained_parameters": 41120}
        (folder / "variant.json").write_text(json.dumps(described))
    return tmp_path / "runs"


def card(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main(["card", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def table_of(text: str, measure: str) -> list[str]:
    """The cells of the first line whose first cell begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {measure}"))
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def metrics_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "board.json").read_text(encoding="utf-8"))["rows"][0]["metrics"]


def test_the_hub_reads_every_number_of_the_row(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    factory.run(shots=2).write(tmp_path / "run")
    out = board(tmp_path, tmp_path / "run", "--min-group", "5")
    found = ModelCard(card(capsys, out, "org/model-a"))
    assert found.data.model_name == "org/model-a"
    assert {result.task_type for result in found.data.eval_results} == {"text-generation"}
    results = {result.metric_type: result for result in found.data.eval_results}
    said = {
        "accuracy": "accuracy",
        "worst_group": "worst_group_accuracy",
        "accuracy_spread": "accuracy_spread",
        "dpd": "demographic_parity_difference",
        "eopp": "equal_opportunity_difference",
        "eod": "equalized_odds_difference",
        "eod_mean": "mean_equalized_odds_difference",
    }
    saved_metrics = metrics_of(out)
    assert len(results) == len(saved_metrics)
    for name, words in said.items():
        saved, result = saved_metrics[name], results[words]
        assert result.metric_value == saved["value"]
        for end in ("low", "high"):
            assert result.metric_args[end] == saved[end]
        assert result.metric_args["n"] == saved["n"]
        assert result.metric_args.get("groups") == saved.get("groups")
        assert result.metric_args.get("chance_p") == saved.get("chance", {}).get("p")
        assert (result.dataset_type, result.dataset_config, result.dataset_args) == (
            "mytask",
            "faith",
            {"num_few_shot": 2},
        )
    assert saved_metrics["dpd"]["chance"]["p"] > 0


def test_the_table_says_what_the_board_says(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    factory.run(original=600).write(tmp_path / "run")
    out = board(tmp_path, tmp_path / "run", "--min-group", "5")
    text, saved = card(capsys, out, "org/model-a"), metrics_of(out)
    worst = saved["worst_group"]
    cells = table_of(text, "worst-group accuracy")
    interval = f"[{worst['low']:.3f}, {worst['high']:.3f}]"
    assert cells == [f"worst-group accuracy: {worst['groups'][0]}", f"{worst['value']:.3f}", interval, "-"]
    gap = saved["dpd"]
    cells = table_of(text, "demographic parity difference")
    assert cells[0].endswith(f"{gap['groups'][0]} over {gap['groups'][1]} in share given the positive choice")
    assert f"{gap['chance']['median']:.3f}, 95% under {gap['chance']['p95']:.3f}" in cells[3]
    assert "60 documents, **a part of the task only**" in text
    assert "proof of life, not proven: nothing shows that it was this model" in text
    assert "positive choice: yes" in text


def test_several_trainings_are_one_card_and_each_has_its_own(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = board(tmp_path, with_seeds(tmp_path, factory), "--min-group", "5")
    (row,) = json.loads((out / "board.json").read_text())["rows"]
    text = card(capsys, out, "lora")
    assert "41,120 trained parameters, means over 3 trainings (seeds 13, 42, 1337), with intervals over" in text
    assert "trainings; 120 documents." in text
    own = row["metrics"]["dpd"]["chance"]
    assert table_of(text, "demographic parity difference")[3].startswith(f"{own['median']:.3f}, 95% u")
    assert own["median"] < min(one["metrics"]["dpd"]["chance"]["median"] for one in row["by_seed"])
    assert "agree with those of transformers and peft" in text
    assert all(result.metric_args["seeds"] == [13, 42, 1337] for result in ModelCard(text).data.eval_results)

    alone = card(capsys, out, "lora-42")
    (seed,) = (one for one in row["by_seed"] if one["seed"] == 42)
    assert "training seed 42" in alone
    assert table_of(alone, "accuracy")[1] == f"{seed['metrics']['accuracy']['value']:.3f}"
    assert "| group" not in alone  # the groups' rates are means over the trainings


def test_an_undefined_number_is_words_in_the_table_and_absent_from_the_metadata(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [{"id": str(index), "text": "", "label": 0, "faith": [["aur", "bron"][index % 2]]} for index in range(12)]
    factory.WrittenRun(made, [0] * 12, fair=factory.FAIR).write(tmp_path / "run")
    out = board(tmp_path, tmp_path / "run", "--min-group", "5")
    text, saved = card(capsys, out, "org/model-a"), metrics_of(out)["eopp"]
    assert table_of(text, "equal opportunity")[1:] == [
        f"undefined: {saved['reason']} (n = {saved['n']})",
        "-",
        "-",
    ]
    types = {result.metric_type for result in ModelCard(text).data.eval_results}
    assert "equal_opportunity_difference" not in types
    assert "accuracy" in types


def test_a_row_without_any_number_has_no_metadata_and_says_why(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = board(tmp_path, factory.run().write(tmp_path / "run"))
    document = json.loads((out / "board.json").read_text())
    for estimate in document["rows"][0]["metrics"].values():
        estimate |= {"value": None, "reason": "nobody answered", "n": 0}
    (out / "board.json").write_text(json.dumps(document))
    text = card(capsys, out, "org/model-a")
    assert text.startswith("## ")
    assert "undefined: nobody answered (n = 0)" in text


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_model_and_its_groups_are_called_stays_text(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    fair = {"axes": {name: {"field": "faith", "groups": ["aur", "bron", "cel", name]}}, "positive": "yes"}
    factory.run(fair=fair, model_args={"pretrained": "m"}).write(tmp_path / "run")
    out = board(tmp_path, tmp_path / "run", "--name", f"m={name}")
    (variant,) = {row["variant"] for row in json.loads((out / "board.json").read_text())["rows"]}
    text = card(capsys, out, variant)
    found = ModelCard(text)
    assert list(found.data.to_dict()) == ["model-index"]
    shown = "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in variant)
    assert found.data.model_name == shown
    assert {result.dataset_config for result in found.data.eval_results} == {
        "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in name)
    }
    lines = [line for line in found.text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {5, 7}
    assert "<script" not in found.text
    assert not re.search(r"(?<!\\)\]\(", found.text)
    assert all(sign.isprintable() or sign == "\n" for sign in text)


def test_a_new_file_is_written_and_an_old_one_is_left_alone(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = board(tmp_path, factory.run().write(tmp_path / "run"))
    printed = card(capsys, out / "board.json", "org/model-a")
    file = tmp_path / "section.md"
    assert card(capsys, out, "org/model-a", "-o", file) == f"The section: {file.resolve()}\n"
    assert file.read_text(encoding="utf-8") == printed
    file.write_text("mine")
    assert main(["card", str(out), "org/model-a", "-o", str(file)]) == 2
    assert "there already" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_on_a_full_disk_no_file_is_left(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    out = board(tmp_path, factory.run().write(tmp_path / "run"))
    (tmp_path / "cards").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))  # the system cuts a file off there, as on a full disk
    try:
        assert main(["card", str(out), "org/model-a", "-o", str(tmp_path / "cards" / "section.md")]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err
    assert "cannot write the section (File too large)" in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "cards").iterdir())


def test_a_terminal_without_its_letters_shows_a_name_written_out(
    tmp_path: Path, factory: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.run(model_args={"pretrained": "\u732b"}).write(tmp_path / "run")
    for verb in ("board", "show", "card"):
        shown = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
        if verb == "board":
            out = board(tmp_path, tmp_path / "run")
        else:
            assert main([verb, str(out), *(["\u732b"] if verb == "card" else [])]) == 0
        assert b"\\u732b" in shown.getvalue()


def test_an_unknown_variant_is_told_the_nearest(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = board(tmp_path, with_seeds(tmp_path, factory))
    capsys.readouterr()
    assert main(["card", str(out), "lara-13"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "groupgap: error: no variant 'lara-13' on the board: did you mean 'lora-13'? "
        "there are lora, lora-13, lora-42, lora-1337\n"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda document: {**document, "schema": "groupgap-threshold"}, "not a board of groupgap"),
        (lambda document: {**document, "schema_version": 2}, "schema_version 2, and 1 is read"),
        (lambda document: {**document, "rows": 3}, "broken (rows: "),
        (lambda document: {**document, "rows": [{"task": 5}]}, "broken (rows.0.task: "),
        (lambda document: {**document, "groupgap": None}, "broken (groupgap: "),
    ],
)
def test_a_file_that_is_no_board_is_named(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str], change: Any, words: str
) -> None:
    out = board(tmp_path, factory.run().write(tmp_path / "run"))
    document = json.loads((out / "board.json").read_text())
    (out / "board.json").write_text(json.dumps(change(document)))
    capsys.readouterr()
    assert main(["card", str(out), "x"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_numbers_that_are_not_finite_are_refused(
    tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    out = board(tmp_path, factory.run().write(tmp_path / "run"))
    document = json.loads((out / "board.json").read_text())
    document["rows"][0]["metrics"]["dpd"]["value"] = float("nan")
    (out / "board.json").write_text(json.dumps(document))
    capsys.readouterr()
    assert main(["card", str(out), "org/model-a"]) == 2
    assert "rows.0.metrics.dpd.value" in capsys.readouterr().err


def test_a_folder_without_a_board_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(tmp_path), "x"]) == 2
    assert "no board.json" in capsys.readouterr().err
