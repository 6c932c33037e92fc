"""``groupgap attack`` from a roster: targets and shadows trained, asked by the fleet, judged; nothing done twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from groupgap.adapters.attack_scores import read_scores
from groupgap.adapters.training.record import read_training
from groupgap.plugins.fleet_tasks import load_task

pytestmark = pytest.mark.slow
RECIPE = {
    "form": "prompt",
    "task": "toy_religion_fair",
    "max_rows": 160,
    "max_validation_rows": 20,
    "seeds": [13],
    "epochs": 1,
    "batch_size": 32,
    "select": "last",
    "methods": {
        "full": {"learning_rate": 1e-3},
        "lora": {"method": "lora", "r": 4, "alpha": 8, "targets": ["q_proj", "v_proj"], "learning_rate": 5e-3},
    },
    "roster": {"defaults": {"engine": "hf", "engine_options": {"dtype": "float32"}}},
}


def groupgap(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "groupgap.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def attacked(toy_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two targets of 160 rows, two shadows each, 20 training rows audited against 20 others."""
    folder = tmp_path_factory.mktemp("attack")
    (folder / "recipe.yaml").write_text(yaml.safe_dump({"base": str(toy_models["base"]), **RECIPE}))
    trained = groupgap("train", folder / "recipe.yaml", "-o", folder / "trained", "--roster")
    assert trained.returncode == 0, trained.stderr
    words = ("attack", folder / "trained" / "roster.yaml", "-o", folder / "out", "--shadows", "2", "--audit", "60")
    done = groupgap(*words)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(folder=folder, words=words, done=done)


def test_members_are_training_rows_and_no_shadow_saw_an_audited_row(attacked: SimpleNamespace) -> None:
    audits = {audit.target: audit for audit in read_scores(attacked.folder / "out" / "scores.parquet")}
    assert set(audits) == {"full-13", "lora-13"}
    for name, audit in audits.items():
        rows = set(read_training(attacked.folder / "trained" / name).row_ids)
        assert [row in rows for row in audit.examples] == audit.member.tolist()
        assert int(audit.member.sum()) == 60
        assert not audit.inside.any()
        shadows = sorted((attacked.folder / "out" / "shadows" / name).glob("shadow-*"))
        assert len(shadows) == 2
        seen = [read_training(shadow) for shadow in shadows]
        assert not set(audit.examples) & {row for record in seen for row in record.row_ids}
        assert {record.method for record in seen} == {name.partition("-")[0]}
        assert len({record.row_ids for record in seen}) == 2
        assert np.isfinite(audit.shadows).all()
        assert not np.array_equal(audit.shadows[0], audit.shadows[1])
        assert set(audit.groups) == {"religion"}


def test_the_report_says_what_was_done(attacked: SimpleNamespace) -> None:
    told = json.loads((attacked.folder / "out" / "report" / "attack.json").read_text())
    for attack in told["attacks"]:
        assert (attack["facts"]["members"], attack["facts"]["nonmembers"]) == (60, 60)
        assert attack["facts"]["target_rows"] == 160
        assert attack["facts"]["shadow_method"] == attack["facts"]["method"]
        assert attack["facts"]["design"] == "offline"
        assert "warning" not in attack["facts"]
    assert {attack["reading"] for attack in told["attacks"] if attack["attack"] == "lira"} == {
        "offline, 2 shadows, variance residual"
    }


def test_the_runs_are_apart_and_marked(attacked: SimpleNamespace) -> None:
    """Half of their rows are training rows: no board may rank them."""
    assert not (attacked.folder / "out" / "runs").exists()
    told = [
        json.loads(path.read_text())
        for path in (attacked.folder / "out" / "attack-runs" / "runs").glob("*/variant.json")
    ]
    assert len(told) == 6
    assert all(one["audit"] is True for one in told)


def test_no_text_is_audited_twice_or_known_to_who_must_not_know_it(attacked: SimpleNamespace) -> None:
    """The drawn remarks hold many that are word by word the same, under other ids, in both parts of the split."""
    task = load_task("toy_religion_fair", {"part": "all"})
    text = {document["id"]: document["text"] for document in task.test_docs()}
    audit = read_scores(attacked.folder / "out" / "scores.parquet")[0]
    assert len({text[row] for row in audit.examples}) == len(audit.examples)
    known = {text[row] for row in read_training(attacked.folder / "trained" / "full-13").row_ids}
    assert [text[row] in known for row in audit.examples] == audit.member.tolist()
    for shadow in (attacked.folder / "out" / "shadows").glob("*/shadow-*"):
        assert not {text[row] for row in audit.examples} & {text[row] for row in read_training(shadow).row_ids}
    assert audit.facts["held_out_rows_of_trained_units"] > 0


def test_the_statistic_is_that_of_the_logged_log_probabilities(attacked: SimpleNamespace) -> None:
    """By hand from lm-eval's own samples: two choices, so the logit is the difference of their log-probabilities."""
    (audit, *_) = read_scores(attacked.folder / "out" / "scores.parquet")
    (samples,) = (attacked.folder / "out" / "attack-runs" / "runs" / audit.target).glob("samples_*.jsonl")
    by_hand = {}
    for line in samples.read_text().splitlines():
        sample = json.loads(line)
        no, yes = (float(reply[0]) for reply in sample["filtered_resps"])
        by_hand[sample["doc"]["id"]] = yes - no if sample["doc"]["label"] else no - yes
    np.testing.assert_allclose(audit.statistic[:, 0], [by_hand[row] for row in audit.examples], atol=1e-9)


def test_a_second_time_nothing_is_trained_or_asked(attacked: SimpleNamespace) -> None:
    again = groupgap(*attacked.words)
    assert again.returncode == 0, again.stderr
    assert again.stdout == attacked.done.stdout
    assert "of 2: " not in again.stderr
    assert "answered;" not in again.stderr


def test_a_target_that_says_it_saw_other_rows_is_refused(attacked: SimpleNamespace, tmp_path: Path) -> None:
    """The record of one target changed: both cannot be judged by one audit."""
    record = attacked.folder / "trained" / "lora-13" / "training.json"
    before = record.read_text()
    told = json.loads(before)
    try:
        record.write_text(json.dumps({**told, "row_ids": told["row_ids"][:100]}))
        done = groupgap(*attacked.words)
    finally:
        record.write_text(before)
    assert done.returncode == 2
    assert "full-13 and lora-13 were trained on different rows" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_target_whose_weights_are_others_is_refused(attacked: SimpleNamespace) -> None:
    """Another model under the record: which rows it saw is not known."""
    weights = attacked.folder / "trained" / "lora-13" / "adapter_model.safetensors"
    before = weights.read_bytes()
    try:
        weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        done = groupgap(*attacked.words)
    finally:
        weights.write_bytes(before)
    assert done.returncode == 2
    assert "are not those that its training.json is about" in done.stderr
    assert "Traceback" not in done.stderr


def test_shadows_of_another_base_are_refused(attacked: SimpleNamespace) -> None:
    """The base's files changed since the target was trained: its record holds other hashes."""
    record = attacked.folder / "trained" / "full-13" / "training.json"
    before = record.read_text()
    told = json.loads(before)
    try:
        record.write_text(json.dumps({**told, "base_hashes": {**told["base_hashes"], "config.json": "0" * 64}}))
        done = groupgap(*attacked.words)
    finally:
        record.write_text(before)
    assert done.returncode == 2
    assert "is not the base that full-13 was trained from any more" in done.stderr
    assert "Traceback" not in done.stderr
