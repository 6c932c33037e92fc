"""Finding runs, and telling them apart."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from groupgap.errors import GroupgapError
from groupgap.leaderboards.identity import parse_arguments, variant_from_arguments, variant_from_file
from groupgap.leaderboards.runs import find_runs


def names(*paths: Path, **renamed: str) -> list[str]:
    runs, _ = find_runs(paths, renamed)
    return [run.name for run in runs]


def test_runs_are_found_at_any_depth_and_once(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path / "a" / "deep" / "org__model-a")
    factory.run(model_args={"pretrained": "org/model-b"}).write(tmp_path / "b")
    assert names(tmp_path) == ["org/model-a", "org/model-b"]
    assert names(tmp_path, tmp_path / "a", tmp_path / "b" / f"results_{factory.DATE}.json") == [
        "org/model-a",
        "org/model-b",
    ]


def test_runs_of_one_folder_are_told_apart_by_their_date(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path)
    factory.run(date=factory.LATER).write(tmp_path)
    runs, _ = find_runs([tmp_path])
    assert [run.date for run in runs] == [factory.DATE, factory.LATER]
    assert [run.samples["mytask"].name for run in runs] == [
        f"samples_mytask_{factory.DATE}.jsonl",
        f"samples_mytask_{factory.LATER}.jsonl",
    ]


def test_a_results_file_may_be_named_by_its_user(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path)
    (tmp_path / f"results_{factory.DATE}.json").rename(tmp_path / f"mine_{factory.DATE}.json")
    assert names(tmp_path) == ["org/model-a"]


def test_adapters_of_one_base_in_one_folder_stay_apart(tmp_path: Path, factory: SimpleNamespace) -> None:
    base = "pretrained=org/base,enforce_eager=True,gpu_memory_utilization=0.5"
    for date, adapter in ((factory.DATE, "out/lora-a"), (factory.LATER, "out/lora-b")):
        factory.run(date=date, model="vllm", model_args=f"{base},lora_local_path={adapter}").write(tmp_path)
    factory.run(date="2026-03-03T03-03-03", model="vllm", model_args=base).write(tmp_path)
    assert names(tmp_path) == ["org/base", "org/base + out/lora-a", "org/base + out/lora-b"]


@pytest.mark.parametrize(
    "option",
    ["gpu_memory_utilization=0.3", "enforce_eager=True", "tensor_parallel_size=2", "max_num_seqs=8", "batch_size=4"],
)
def test_engine_options_do_not_make_another_variant(option: str) -> None:
    plain = variant_from_arguments("vllm", "pretrained=m", None)
    assert variant_from_arguments("vllm", f"pretrained=m,{option}", None).identity == plain.identity


@pytest.mark.parametrize(
    "option",
    ["peft=a", "delta=a", "lora_local_path=a", "revision=abc", "adapter=a", "dtype=float16", "quantization=awq"],
)
def test_what_may_change_the_answers_makes_another_variant(option: str) -> None:
    plain = variant_from_arguments("vllm", "pretrained=m", None)
    assert variant_from_arguments("vllm", f"pretrained=m,{option}", None).identity != plain.identity


def test_one_name_for_two_models_is_made_longer_by_what_differs(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run(model_args={"pretrained": "m", "dtype": "float16"}).write(tmp_path / "a")
    factory.run(model_args={"pretrained": "m"}).write(tmp_path / "b")
    assert names(tmp_path) == ["m (dtype=float16)", "m (no dtype)"]
    factory.run(model="vllm", model_args={"pretrained": "m"}).write(tmp_path / "c")
    assert len(set(names(tmp_path))) == 3


def test_arguments_are_read_like_lm_evals_with_commas_in_brackets() -> None:
    assert parse_arguments("pretrained=a/b, lora_target_modules=['q','v'] ,x={'a': 1, 'b': 2}") == {
        "pretrained": "a/b",
        "lora_target_modules": "['q','v']",
        "x": "{'a': 1, 'b': 2}",
    }
    assert parse_arguments({"pretrained": "m", "max_length": 512}) == {"pretrained": "m", "max_length": "512"}
    assert parse_arguments(None) == {}


def test_variant_json_names_the_run_beside_it_or_above_it(tmp_path: Path, factory: SimpleNamespace) -> None:
    entries = {"name": "ours", "base": "org/base", "method": "lora", "weights": "w1", "seed": 13}
    for number, where in enumerate((tmp_path / "a", tmp_path / "b" / "org__model-a")):
        factory.run().write(where)
        target = tmp_path / "ab"[number] / "variant.json"
        target.write_text(json.dumps({**entries, "name": f"ours-{number}"}))
    runs, _ = find_runs([tmp_path])
    assert [(run.name, run.variant.method, run.variant.seed) for run in runs] == [
        ("ours-0", "lora", 13),
        ("ours-1", "lora", 13),
    ]


def test_variant_json_does_not_name_a_plain_run_below_the_variants_own(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    factory.run(model_args={"pretrained": "org/base"}).write(tmp_path / "ours")
    (tmp_path / "ours" / "variant.json").write_text(json.dumps({"name": "ours"}))
    factory.run(model_args={"pretrained": "org/other"}).write(tmp_path / "ours" / "org__other")
    assert names(tmp_path) == ["org/other", "ours"]
    assert names(tmp_path / "ours" / "org__other") == ["org/other"]


def test_variant_json_above_two_runs_names_neither(tmp_path: Path, factory: SimpleNamespace) -> None:
    for name in ("a", "b"):
        factory.run(model_args={"pretrained": name}).write(tmp_path / name)
    (tmp_path / "variant.json").write_text(json.dumps({"name": "ours"}))
    assert names(tmp_path) == ["a", "b"]


def test_variants_that_differ_in_seed_and_weights_alone_are_one_recipe() -> None:
    entries = {"name": "a", "base": "b", "method": "lora", "weights": "w1", "seed": 13, "rank": 8}
    first = variant_from_file(entries)
    second = variant_from_file({**entries, "name": "c", "weights": "w2", "seed": 42})
    other = variant_from_file({**entries, "rank": 2})
    unseeded = variant_from_file({key: value for key, value in entries.items() if key != "seed"})
    assert first.recipe == second.recipe != other.recipe
    assert first.identity != second.identity
    assert unseeded.recipe is None


def test_one_chosen_name_for_two_variants_is_refused(tmp_path: Path, factory: SimpleNamespace) -> None:
    for folder, weights in (("a", "w1"), ("b", "w2")):
        factory.run().write(tmp_path / folder)
        (tmp_path / folder / "variant.json").write_text(json.dumps({"name": "ours", "weights": weights}))
    with pytest.raises(GroupgapError, match="have the name 'ours' but differ in weights"):
        find_runs([tmp_path])


def chosen(folder: Path, factory: SimpleNamespace, **told: object) -> Path:
    run = factory.run().write(folder)
    (run / "variant.json").write_text(json.dumps({"name": "ours", **told}))
    return run


def test_one_chosen_name_for_two_variants_is_mended_by_a_name(tmp_path: Path, factory: SimpleNamespace) -> None:
    a, b = (chosen(tmp_path / name, factory, weights=name) for name in "ab")
    assert names(tmp_path, **{str(a): "old"}) == ["old", "ours"]
    assert names(tmp_path, **{str(a): "old", str(b): "new"}) == ["new", "old"]
    for renamed in ({str(a): "ours"}, {str(a): "ours", str(b): "ours"}, {str(a): "both", str(b): "both"}):
        with pytest.raises(GroupgapError, match="have the name 'ours' but differ in weights"):
            names(tmp_path, **renamed)
    chosen(tmp_path / "c", factory, weights="c")
    with pytest.raises(GroupgapError, match="have the name 'ours' but differ in weights"):
        names(tmp_path, **{str(a): "old"})


def test_a_variant_of_which_one_run_alone_is_renamed_still_has_its_name(
    tmp_path: Path, factory: SimpleNamespace
) -> None:
    a = chosen(tmp_path / "a", factory, weights="a")
    factory.run(date=factory.LATER).write(a)
    chosen(tmp_path / "b", factory, weights="b")
    with pytest.raises(GroupgapError, match="have the name 'ours' but differ in weights"):
        names(tmp_path, **{str(a / f"results_{factory.LATER}.json"): "old"})


def test_seeds_of_one_chosen_name_stay_told_apart(tmp_path: Path, factory: SimpleNamespace) -> None:
    a, _, _ = (chosen(tmp_path / w, factory, weights=w, seed=s) for w, s in (("a", 1), ("b", 1), ("c", 2)))
    assert names(tmp_path, **{str(a): "old"}) == ["old", "ours (weights=b, seed=1)", "ours (weights=c, seed=2)"]


def test_a_run_is_renamed_by_folder_file_or_name(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path / "a")
    file = tmp_path / "a" / f"results_{factory.DATE}.json"
    for wanted in (str(tmp_path / "a"), str(tmp_path), str(file), "org/model-a"):
        runs, _ = find_runs([tmp_path], {wanted: "mine"})
        assert [run.name for run in runs] == ["mine"]


def test_a_rename_that_fits_nothing_or_too_much_is_refused(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path / "a")
    factory.run(model_args={"pretrained": "org/model-b"}).write(tmp_path / "b")
    with pytest.raises(GroupgapError, match=r"--name nobody=x: no such run; .*'org/model-a', 'org/model-b'"):
        find_runs([tmp_path], {"nobody": "x"})
    with pytest.raises(GroupgapError, match="holds several variants"):
        find_runs([tmp_path], {str(tmp_path): "x"})
    with pytest.raises(GroupgapError, match="expected RUN=NAME"):
        find_runs([tmp_path], {"org/model-a": " "})


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(GroupgapError, match=r"no such run folder: .*absent"):
        find_runs([tmp_path / "absent"])


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(GroupgapError, match=r"no results_<date>.json under it"):
        find_runs([tmp_path])


def test_results_without_samples_say_log_samples(tmp_path: Path, factory: SimpleNamespace) -> None:
    run = factory.run()
    run.samples_file(run.write(tmp_path)).unlink()
    with pytest.raises(GroupgapError, match="run lm_eval with --log_samples"):
        find_runs([tmp_path])


def test_an_earlier_run_without_samples_is_left_out_and_said(tmp_path: Path, factory: SimpleNamespace) -> None:
    run = factory.run()
    run.samples_file(run.write(tmp_path)).unlink()
    factory.run(date=factory.LATER).write(tmp_path)
    runs, notes = find_runs([tmp_path])
    assert len(runs) == 1
    assert "left out, it has no samples" in notes[0]


def test_results_and_samples_of_different_dates(tmp_path: Path, factory: SimpleNamespace) -> None:
    run = factory.run()
    file = run.samples_file(run.write(tmp_path))
    file.rename(tmp_path / f"samples_mytask_{factory.LATER}.jsonl")
    with pytest.raises(
        GroupgapError, match=f"of different dates: samples of {factory.LATER}, but results of {factory.DATE}"
    ):
        find_runs([tmp_path])


def test_samples_without_any_results(tmp_path: Path, factory: SimpleNamespace) -> None:
    (factory.run().write(tmp_path) / f"results_{factory.DATE}.json").unlink()
    with pytest.raises(GroupgapError, match="but no results file"):
        find_runs([tmp_path])


def test_samples_of_a_task_that_is_not_in_the_results(tmp_path: Path, factory: SimpleNamespace) -> None:
    run = factory.run()
    run.write(tmp_path)
    shutil.copy(run.samples_file(tmp_path), tmp_path / f"samples_other_{factory.DATE}.jsonl")
    with pytest.raises(GroupgapError, match="no results of other"):
        find_runs([tmp_path])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected a JSON object, but got list"),
        ("{}", "not a results file of lm-eval"),
        ("[" * 100_000, "nested too deeply|not valid JSON"),
    ],
)
def test_a_broken_results_file(tmp_path: Path, factory: SimpleNamespace, content: str, message: str) -> None:
    factory.run().write(tmp_path)
    (tmp_path / f"results_{factory.DATE}.json").write_text(content)
    with pytest.raises(GroupgapError, match=message):
        find_runs([tmp_path])


def test_a_huge_results_file_is_not_read(
    tmp_path: Path, factory: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    factory.run().write(tmp_path)
    monkeypatch.setattr("groupgap.leaderboards.untrusted.MAX_DOCUMENT_BYTES", 100)
    with pytest.raises(GroupgapError, match="at most 100 are read"):
        find_runs([tmp_path])


def test_a_task_name_from_a_results_file_opens_no_path(tmp_path: Path, factory: SimpleNamespace) -> None:
    secret = tmp_path / f"samples_x_{factory.DATE}.jsonl"
    secret.write_text("{}\n")
    run = factory.run(task="../x")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / f"results_{run.date}.json").write_text(json.dumps(run.results()))
    with pytest.raises(GroupgapError, match="log_samples"):
        find_runs([folder])


@pytest.mark.parametrize("key", ["token", "hf_token", "use_auth_token", "api_key", "auth_token"])
def test_keys_of_an_account_are_never_passed_on(key: str) -> None:
    told = str(variant_from_arguments("vllm", f"pretrained=m,{key}=hunter2", None))
    told += str(variant_from_file({"name": "a", "engine_options": {key: "hunter2", "dtype": "auto"}, key: "hunter2"}))
    assert "hunter2" not in told
    assert "auto" in told


def test_a_password_in_an_address_is_never_passed_on() -> None:
    found = variant_from_arguments("local-completions", "model=m,base_url=https://me:hunter2@host/v1", None)
    assert "hunter2" not in str(found)
    assert found.details["base_url"] == "https://host/v1"


@pytest.mark.parametrize("number", [-1, 10**30, True, 3.5])
def test_a_number_of_parameters_that_is_none_is_not_taken(number: object) -> None:
    assert variant_from_file({"name": "a", "trained_parameters": number}).trained_parameters is None


def test_runs_of_an_attack_are_left_out_and_counted(tmp_path: Path, factory: SimpleNamespace) -> None:
    for name, more in (("full", {}), ("full shadow-1", {"audit": True}), ("full shadow-2", {"audit": True})):
        run = factory.run().write(tmp_path / name)
        (run / "variant.json").write_text(json.dumps({"name": name, **more}))
    runs, notes = find_runs([tmp_path])
    assert [run.name for run in runs] == ["full"]
    (note,) = notes
    assert note.startswith(f"{tmp_path}: 2 runs of an attack left out: they ask the rows that models were trained on")
    with pytest.raises(GroupgapError, match="1 run of an attack left out"):
        find_runs([tmp_path / "full shadow-1"])


def test_a_folder_of_an_attack_beside_a_run_is_left_out_too(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path / "full")
    shadows = [factory.run().write(tmp_path / "attack" / str(number)) for number in (1, 2)]
    for shadow in shadows:
        (shadow / "variant.json").write_text(json.dumps({"name": shadow.name, "audit": True}))
    for paths in ([tmp_path / "full", tmp_path / "attack"], [tmp_path / "attack", tmp_path / "full"]):
        runs, (note,) = find_runs(paths)
        assert [run.name for run in runs] == ["org/model-a"]
        assert note.startswith(f"{tmp_path / 'attack'}: 2 runs of an attack left out")
    with pytest.raises(GroupgapError, match=r"1: 1 run of an attack left out.*; .*2: 1 run of an attack left out"):
        find_runs(shadows)
    (tmp_path / "empty").mkdir()
    with pytest.raises(GroupgapError, match=r"no results_<date>\.json under it"):
        find_runs([tmp_path / "full", tmp_path / "empty"])


def test_a_link_to_a_folder_is_named_and_not_followed(tmp_path: Path, factory: SimpleNamespace) -> None:
    factory.run().write(tmp_path / "runs" / "a")
    factory.run(model_args={"pretrained": "b"}).write(tmp_path / "elsewhere")
    (tmp_path / "runs" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "runs" / "a" / "circle").symlink_to(tmp_path / "runs")
    runs, notes = find_runs([tmp_path / "runs"])
    assert [run.name for run in runs] == ["org/model-a"]
    links = [tmp_path / "runs" / "b", tmp_path / "runs" / "a" / "circle"]
    assert list(notes) == [f"{link}: a link to a folder, not followed: name that folder to add it" for link in links]
    assert names(tmp_path / "runs" / "b") == ["b"]


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, factory: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders of another user; root, who runs some tests, may read all, so that the refusal is played."""
    factory.run().write(tmp_path / "a")
    listed = os.scandir

    def scandir(path: str) -> Any:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", scandir)
    runs, notes = find_runs([tmp_path])
    assert [run.name for run in runs] == ["org/model-a"]
    assert list(notes) == [f"{tmp_path / 'locked'}: left out, it cannot be read (Permission denied)"]
    with pytest.raises(GroupgapError, match=r"no results_<date>\.json under it.*cannot be read \(Permission denied\)"):
        find_runs([tmp_path / "locked"])


@pytest.mark.parametrize("told", [{"name": 3}, {"name": " "}, {}, {"name": None, "seed": 1}])
def test_a_variant_without_a_name_has_that_of_its_model(
    tmp_path: Path, factory: SimpleNamespace, told: dict[str, object]
) -> None:
    (factory.run().write(tmp_path) / "variant.json").write_text(json.dumps(told))
    assert names(tmp_path) == ["org/model-a"]


@pytest.mark.parametrize("number", [10**400, 0, -1, True, "30", 2.0])
def test_a_smallest_group_that_is_no_size_is_not_taken(
    tmp_path: Path, factory: SimpleNamespace, number: object
) -> None:
    factory.run(metadata={"min_group": number}).write(tmp_path)
    (run,), _ = find_runs([tmp_path])
    assert run.min_group("mytask") is None


def test_a_number_of_any_length_makes_no_board_that_cannot_be_read(tmp_path: Path, factory: SimpleNamespace) -> None:
    (factory.run(shots=10**400).write(tmp_path) / "variant.json").write_text(json.dumps({"name": "a", "seed": 10**400}))
    (run,), _ = find_runs([tmp_path])
    assert (run.shots("mytask"), run.variant.seed, run.variant.recipe) == (None, None, None)
