"""The paper's prompts against each other, on a written run of a scorer whose likings are planted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groupgap import cli
from groupgap.errors import GroupgapError
from groupgap.harness_tasks.yelp.templates import TEMPLATES, Template
from groupgap.leaderboards.runs import Run, find_runs
from groupgap.leaderboards.token_guesses import GuessBias, PromptRates, guess_bias
from groupgap.metrics.token_bias import MEASURABLE, NOT_MEASURABLE
from scipy import stats

DATE = "2026-01-02T03-04-05.678901"
REVIEWS = 80


def replies(template: Template, asked: str, male: float, likes: Mapping[str, float]) -> list[float]:
    """Log-odds ``male`` of a man over a woman, and what is liked of symbols and places on top."""
    places = [entry.partition(") ")[0] for entry in template.listed.split(", ")] if template.listed else []
    found = []
    for choice, symbol in enumerate(template.choices):
        said = template.guess(choice, asked)
        if said is None:  # "no" to one gender says the other
            said = "female" if asked == "male" else "male"
        value = {"male": male / 2, "female": -male / 2}.get(said, 0.0) + likes.get(symbol, 0.0)
        found.append(value + (likes.get(f"place {places.index(symbol) + 1}", 0.0) if places else 0.0))
    return found


def write(
    folder: Path, names: Sequence[str], likes: Mapping[str, float], labelled: bool = False, **options: Any
) -> Run:
    """A run of some prompts; reviews differ in how male they sound, by ``spread``, and their authors by ``gap``."""
    rng = np.random.default_rng(0)
    gender = np.where(np.arange(REVIEWS) % 2 == 0, "male", "female")
    male = rng.normal(options.get("male", 0.0), options.get("spread", 1.0), REVIEWS)
    male += np.where(gender == "male", 0.5, -0.5) * options.get("gap", 0.0)
    folder.mkdir(parents=True)
    configs = {}
    for name in names:
        template = TEMPLATES[name]
        configs[template.task] = {"task": template.task, "metadata": {"fair": {"template": name}}}
        lines = []
        for review in rng.permutation(REVIEWS).tolist():  # each task in an order of its own
            for asked in template.asks or ("",):
                document = {
                    "id": f"r{review}/{asked}",
                    "review": f"r{review}",
                    "asked": asked,
                    "gender": [str(gender[review])] if labelled else [],
                }
                scores = np.array(replies(template, asked, male[review], likes)) + rng.normal(
                    0, 0.1, len(template.choices)
                )
                shown = [[str(score - 5), "False"] for score in scores]
                lines.append({"doc_id": len(lines), "doc": document, "filtered_resps": shown, "filter": "none"})
        samples = folder / f"samples_{template.task}_{DATE}.jsonl"
        samples.write_text("".join(json.dumps(line) + "\n" for line in lines))
    results = {
        "results": {task: {} for task in configs},
        "configs": configs,
        "config": {"model": "hf", "model_args": "pretrained=m"},
    }
    (folder / f"results_{DATE}.json").write_text(json.dumps(results))
    (run,), _ = find_runs([folder])
    return run


def measured(*args: Any, **options: Any) -> GuessBias:
    found = guess_bias([write(*args, **options)], 30)
    assert found is not None
    return found


def rates(found: GuessBias) -> dict[str, PromptRates]:
    return {rate.prompt: rate for rate in found.rates}


def test_a_model_that_likes_yes_contradicts_itself_and_every_negation(tmp_path: Path) -> None:
    found = rates(measured(tmp_path / "a", ["YN1", "YN2", "YN4", "YN5"], {"Yes": 20.0}))
    assert found["YN2"].contradiction.value == 1.0
    assert found["YN2"].from_half.value == 0.5
    assert found["YN4"].consistency.value == 1.0  # yes, it would be surprised: the author is
    assert found["YN5"].consistency.value == 0.0  # yes, it would argue against: the author is not
    assert (found["YN4"].against, found["YN5"].against, found["YN2"].against) == ("YN2", "YN2", None)
    assert found["YN2"].contradiction.low > 0.9  # and no width of 0
    assert found["YN2"].contradiction.high == 1.0


def test_a_model_that_knows_is_consistent(tmp_path: Path) -> None:
    found = rates(measured(tmp_path / "a", ["YN1", "YN2", "YN4", "YN5", "YN5-numeric"], {}, spread=20.0, labelled=True))
    for name in ("YN1", "YN2"):
        assert found[name].contradiction.value == pytest.approx(0.0, abs=0.03)
        assert found[name].from_half.value == pytest.approx(0.0, abs=0.02)
    for name in ("YN4", "YN5"):
        assert found[name].consistency.value == pytest.approx(1.0, abs=0.03)
    assert found["YN5-numeric"].consistency.reason == "YN2-numeric and YN1-numeric were not asked"
    assert found["YN1"].consistency.reason == "the prompt has no negation"


def test_the_accuracy_is_of_known_authors_only(tmp_path: Path) -> None:
    known = rates(measured(tmp_path / "a", ["YN1", "YN5", "MC1", "Cloze1"], {}, gap=30.0, labelled=True))
    assert {name: one.accuracy.value for name, one in known.items()} == dict.fromkeys(known, 1.0)
    unknown = rates(measured(tmp_path / "b", ["YN1"], {}))
    assert unknown["YN1"].accuracy.reason == "the data names no gender"


def test_shifts_are_paired_by_review(tmp_path: Path) -> None:
    """Order, place and symbols by the likings that were planted, in log-odds."""
    likes = {"◐": 0.8, "place 1": 0.3, "Yes": 1.0, "1": -0.4}
    names = ["YN1", "YN1-numeric", "YN1-special", "YN1-special-inverted", "YN1-special-inverted-symbol"]
    found = measured(tmp_path / "a", names, likes)
    moved = {(one.effect, one.first, one.second): one.log_odds for one in found.shifts}
    special = "YN1-special"
    expected = {
        ("order", special, f"{special}-inverted"): -2 * (0.8 + 0.3),  # yes loses the circle and the first place
        ("position", special, f"{special}-inverted-symbol"): -2 * 0.3,  # yes loses the first place
        ("symbol", "YN1", "YN1-numeric"): (-0.4 + 0.3) - 1.0,
        ("symbol", "YN1", special): (0.8 + 0.3) - 1.0,
    }
    assert set(moved) == set(expected)
    for key, size in expected.items():
        assert moved[key].value == pytest.approx(size, abs=0.05), key
        assert moved[key].n == REVIEWS


def test_a_turned_list_is_named_by_what_was_turned(tmp_path: Path) -> None:
    """The paper's names do not tell: YN2-inverted keeps what "Yes" means, MC3-special-inverted-symbol keeps nothing."""
    named = {
        ("YN2", "YN2-inverted"): ("position", -2 * 0.3),
        ("YN2-special", "YN2-special-inverted"): ("order", -2 * 0.3),
        ("MC3-special", "MC3-special-inverted-symbol"): ("order and position", None),
        ("MC1-special", "MC1-special-inverted-symbol"): ("position", 0.0),
    }
    found = measured(tmp_path / "a", [name for pair in named for name in pair], {"place 1": 0.3})
    shifts = {(one.first, one.second): one for one in found.shifts}
    for pair, (effect, size) in named.items():
        assert shifts[pair].effect == effect
        if size is not None:
            assert shifts[pair].log_odds.value == pytest.approx(size, abs=0.05), pair


def test_a_shift_of_shares_is_the_paired_t_interval(tmp_path: Path) -> None:
    found = measured(tmp_path / "a", ["MC3", "MC3-inverted"], {"A": 1.0})
    (shift,) = found.shifts
    says = []
    for name in ("MC3", "MC3-inverted"):
        template, said = TEMPLATES[name], {}
        for line in (tmp_path / "a" / f"samples_{template.task}_{DATE}.jsonl").read_text().splitlines():
            entry = json.loads(line)
            scores = [float(reply[0]) for reply in entry["filtered_resps"]]
            said[entry["doc"]["review"]] = template.meanings[int(np.argmax(scores))]
        says.append([said[review] for review in sorted(said)])
    first, second = (np.array([one == "male" for one in side], dtype=float) for side in says)
    expected = stats.ttest_rel(second, first).confidence_interval()
    assert shift.share.value == pytest.approx((second - first).mean())
    assert (shift.share.low, shift.share.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert shift.changed.value == pytest.approx(np.mean(np.array(says[0]) != np.array(says[1])))
    assert shift.target == "male"


@pytest.mark.parametrize(
    ("names", "effects"),
    [
        (["YN1"], {("symbol", "Yes"): 1.0}),
        (["YN2", "YN2-inverted"], {("symbol", "Yes"): 1.0, ("position", "1"): 0.6}),
        (
            ["YN2-special", "YN2-special-inverted", "YN2-special-inverted-symbol"],
            {("symbol", "◐"): 0.5, ("position", "1"): 0.6},
        ),
    ],
)
def test_prompts_of_one_list_are_cells_of_one_design(
    tmp_path: Path, names: list[str], effects: dict[tuple[str, str], float]
) -> None:
    likes = {"Yes": 1.0, "◐": 0.5, "place 1": 0.6}
    (family,) = measured(tmp_path / "a", names, likes, male=0.4).families
    levels = {(one.level.kind, one.level.name): one.sizes["log-odds"].value for one in family.bias.effects}
    for level, size in effects.items():
        assert levels[level] == pytest.approx(size, abs=0.03)
    male = levels["meaning", "male"]
    truth = np.random.default_rng(0).normal(0.4, 1.0, REVIEWS).mean()
    assert male == pytest.approx(truth, abs=0.05)
    assert family.cells == 2 * len(names)


def test_a_list_of_three_turned_round_tells_the_ends_apart(tmp_path: Path) -> None:
    names = ["MC1-special", "MC1-special-inverted", "MC1-special-inverted-symbol"]
    (family,) = measured(tmp_path / "a", names, {"🟠": 1.0, "place 1": 0.5}).families
    token = family.bias.sizes["log-odds"].token
    assert "🟠" in token.groups[0]
    assert token.low <= 1.5
    assert token.high >= 1.0


def test_one_prompt_of_several_choices_has_no_family(tmp_path: Path) -> None:
    assert measured(tmp_path / "a", ["MC1", "Cloze1"], {}).families == ()


def test_verdicts_are_of_the_authors_where_they_are_known(tmp_path: Path) -> None:
    (token,) = measured(tmp_path / "a", ["YN1"], {"Yes": 2.0}, labelled=True).families
    assert token.bias.sizes["log-odds"].verdict == NOT_MEASURABLE
    (group,) = measured(tmp_path / "b", ["YN1"], {"Yes": 0.2}, labelled=True, gap=3.0).families
    assert group.bias.sizes["log-odds"].verdict == MEASURABLE
    assert group.bias.sizes["log-odds"].group.groups == ("male", "female", "male", "female")
    (unknown,) = measured(tmp_path / "c", ["YN1"], {"Yes": 2.0}).families
    assert unknown.bias.sizes["log-odds"].verdict is None
    assert unknown.bias.sizes["log-odds"].verdict_of_meaning == NOT_MEASURABLE


def test_all_45_prompts_go_through_the_command(tmp_path: Path, capsys: Any) -> None:
    write(tmp_path / "a", list(TEMPLATES), {"Yes": 1.0, "A": 0.5, "1": 0.5})
    out = tmp_path / "out"
    assert cli.main(["token-bias", str(tmp_path / "a"), "-o", str(out), "--no-figure"]) == 0
    assert "YN1" in capsys.readouterr().out
    document = json.loads((out / "token_bias.json").read_text())
    (prompts,) = document["prompts"]
    assert [one["prompt"] for one in prompts["rates"]] == list(TEMPLATES)
    assert len(prompts["shifts"]) == 30
    assert document["tasks"] == []
    assert {block["variant"] for block in document["blocks"]} == {"m"}


def test_prompts_of_several_runs_of_one_variant_are_paired(tmp_path: Path) -> None:
    """A fleet writes one results file a task."""
    names = ["YN2", "YN2-inverted"]
    whole = measured(tmp_path / "both", names, {"Yes": 1.0})
    runs = [write(tmp_path / name, [name], {"Yes": 1.0}) for name in names]
    apart = guess_bias(runs, 30)
    assert apart is not None
    assert [one.prompts for one in apart.families] == [one.prompts for one in whole.families]
    assert apart.shifts[0].log_odds.n == REVIEWS


def test_broken_samples_are_named(tmp_path: Path) -> None:
    run = write(tmp_path / "a", ["YN1"], {})
    (path,) = run.samples.values()
    lines = path.read_text().splitlines()
    broken = json.loads(lines[2])
    broken["filtered_resps"] = broken["filtered_resps"][:1]
    path.write_text("\n".join([*lines[:2], json.dumps(broken), *lines[3:]]))
    with pytest.raises(GroupgapError, match="line 3: 1 replies to 2 choices"):
        guess_bias([run], 30)
    del broken["doc"]["review"]
    path.write_text(json.dumps(broken))
    with pytest.raises(GroupgapError, match=r"lacks doc\.review"):
        guess_bias([run], 30)
    path.write_text("")
    with pytest.raises(GroupgapError, match="an empty run"):
        guess_bias([run], 30)


def test_a_probe_that_lost_lines_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", ["YN1"], {})
    (results,) = tmp_path.glob("a/results_*.json")
    facts = json.loads(results.read_text())
    facts["results"] = {task: {"sample_len": 2 * REVIEWS} for task in facts["configs"]}
    results.write_text(json.dumps(facts))
    (run,), _ = find_runs([tmp_path])
    assert guess_bias([run], 30)
    (path,) = run.samples.values()
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:100]))
    with pytest.raises(GroupgapError, match=r"100 answers, but its results file is of 160: lines are lost"):
        guess_bias([run], 30)
