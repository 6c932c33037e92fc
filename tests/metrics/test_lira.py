"""LiRA against tensorflow-privacy's and SACRO-ML's own functions on the same arrays."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from groupgap.errors import GroupgapError
from groupgap.metrics.lira import LiraOptions, lira_scores, logit_confidence
from scipy.stats import norm

TENSORFLOW_PRIVACY = "tensorflow_privacy/privacy/privacy_tests/membership_inference_attack/advanced_mia.py"


def installed_file(package: str, inside: str) -> Path:
    """A file of an installed package, which is not imported: it would want TensorFlow."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package} is not installed: `make install` installs it without its dependencies"
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))).parent / inside


@pytest.fixture(scope="module")
def advanced_mia() -> ModuleType:
    """tensorflow-privacy's module, with a stand-in for the one thing that it imports of its package."""
    file = installed_file("tensorflow_privacy", TENSORFLOW_PRIVACY)
    package = ".".join(file.relative_to(file.parents[4]).parent.parts)
    parts = package.split(".")
    names = [".".join(parts[: count + 1]) for count in range(len(parts))] + [f"{package}.utils"]
    before = {name: sys.modules.get(name) for name in names}
    try:
        for name in names:
            sys.modules[name] = ModuleType(name)
        sys.modules[names[-1]].log_loss = None  # type: ignore[attr-defined]
        spec = importlib.util.spec_from_file_location("advanced_mia", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for name, module_before in before.items():
            if module_before is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module_before
    return module


def sacroml_methods(*names: str) -> SimpleNamespace:
    """Methods of SACRO-ML's attack class, taken out of its source: the module itself wants a PDF writer."""
    tree = ast.parse(installed_file("sacroml", "sacroml/attacks/likelihood_attack.py").read_text())
    (attack,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "LIRAAttack")
    wanted = [node for node in attack.body if isinstance(node, ast.FunctionDef) and node.name in names]
    scope: dict[str, Any] = {"np": np, "norm": norm, "EPS": 1e-16}
    exec(compile(ast.Module(wanted, []), "likelihood_attack.py", "exec", dont_inherit=True), scope)
    return SimpleNamespace(**{name: scope[name] for name in names})


@pytest.fixture(scope="module")
def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of 150 examples with 3 augmentations each, 16 shadows, and who was trained on what."""
    rng = np.random.default_rng(5)
    inside = rng.random((16, 150)) < 0.5
    inside[:3], inside[3:6] = True, False
    return rng.normal(1, 2, (150, 3)), rng.normal(1, 2, (16, 150, 3)) + inside[:, :, None], inside


def by_example(shadows: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    return [shadows[mask[:, row], row] for row in range(shadows.shape[1])]


@pytest.mark.parametrize("centre", ["median", "mean"])
@pytest.mark.parametrize(("variance", "fixed"), [("example", False), ("residual", True)])
@pytest.mark.parametrize(("mode", "theirs"), [("online", "both"), ("offline-density", "out")])
def test_equals_tensorflow_privacy(
    advanced_mia: ModuleType,
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray],
    mode: str,
    theirs: str,
    variance: str,
    fixed: bool,
    centre: str,
) -> None:
    target, shadows, inside = arrays
    expected = advanced_mia.compute_score_lira(
        target, by_example(shadows, inside), by_example(shadows, ~inside), theirs, fixed, centre
    )
    found = lira_scores(target, shadows, inside, LiraOptions(mode, variance, centre))
    np.testing.assert_allclose(found, -expected, rtol=0, atol=1e-12)


def test_statistic_equals_tensorflow_privacy(advanced_mia: ModuleType) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 4, (300, 5)), rng.integers(0, 5, 300)
    expected = advanced_mia.calculate_statistic(logits.copy(), labels)
    np.testing.assert_allclose(logit_confidence(logits, labels), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("fixed", [False, True])
def test_equals_sacroml(arrays: tuple[np.ndarray, np.ndarray, np.ndarray], fixed: bool) -> None:
    """Its "offline" is our one-sided score's distribution function; its fixed variance pools each side by itself."""
    target, shadows, inside = arrays[0][:, 0], arrays[1][:, :, 0], arrays[2]
    methods = sacroml_methods("_get_probabilities", "_get_mean_std", "_get_global_std")
    attack = SimpleNamespace(fix_variance=fixed)
    confidences = {row: list(shadows[~inside[:, row], row]) for row in range(len(target))}
    spread = methods._get_global_std(attack, confidences)
    variance = "pooled" if fixed else "example"
    ours = {
        mode: lira_scores(target, shadows, inside, LiraOptions(mode, variance, "mean"))
        for mode in ("offline", "offline-density")
    }
    for row, value in enumerate(target):
        mean, std = methods._get_mean_std(attack, confidences[row], spread)
        scale = {"logit": value, "out_mean": mean, "out_std": std, "in_mean": 0.0, "in_std": 1.0}
        outside = methods._get_probabilities(attack, **scale, mode="offline")[1]
        assert norm.cdf(ours["offline"][row]) == pytest.approx(outside, abs=1e-12)
        density = methods._get_probabilities(attack, **scale, mode="offline-carlini")[1]
        assert ours["offline-density"][row] == pytest.approx(density, abs=1e-12)


def test_online_equals_sacroml(arrays: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    target, shadows, inside = arrays[0][:, 0], arrays[1][:, :, 0], arrays[2]
    methods = sacroml_methods("_get_probabilities", "_get_mean_std")
    attack = SimpleNamespace(fix_variance=False)
    ours = lira_scores(target, shadows, inside, LiraOptions("online", "example", "mean"))
    for row, value in enumerate(target):
        out_mean, out_std = methods._get_mean_std(attack, list(shadows[~inside[:, row], row]), 0.0)
        in_mean, in_std = methods._get_mean_std(attack, list(shadows[inside[:, row], row]), 0.0)
        ratio = methods._get_probabilities(attack, value, out_mean, out_std, in_mean, in_std, "online-carlini")[1]
        assert ours[row] == pytest.approx(ratio, abs=1e-12)


def test_pooled_online_uses_the_spread_of_what_was_trained_on_for_both_sides(
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    target, shadows, inside = arrays[0][:, 0], arrays[1][:, :, 0], arrays[2]
    spread = np.std(shadows[inside])
    expected = []
    for row, value in enumerate(target):
        into, out = np.median(shadows[inside[:, row], row]), np.median(shadows[~inside[:, row], row])
        expected.append(norm.logpdf(value, into, spread) - norm.logpdf(value, out, spread))
    np.testing.assert_allclose(
        lira_scores(target, shadows, inside, LiraOptions("online", "pooled")), expected, atol=1e-12
    )


def test_few_shadows_share_one_variance() -> None:
    assert LiraOptions().variance_for(16) == "residual"
    assert LiraOptions().variance_for(64) == "example"
    assert LiraOptions(variance="example").variance_for(16) == "example"


def test_logit_confidence_does_not_saturate() -> None:
    """Probabilities of 1 - 1e-40 are 1.0; their logits still differ."""
    found = logit_confidence([[100.0, 0.0], [90.0, 0.0], [-100.0, 0.0], [5.0, -np.inf]], [0, 0, 0, 0])
    np.testing.assert_allclose(found[:3], [100.0, 90.0, -100.0])
    assert found[3] == np.inf


def test_many_classes_confidence_is_against_all_others_together() -> None:
    probabilities = np.array([0.5, 0.25, 0.125, 0.125])
    assert logit_confidence(np.log(probabilities)[None], [0])[0] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: LiraOptions("sideways"), "Expected argument 'mode' to be one of online, offline, offline-density"),
        (lambda: LiraOptions(variance="global"), "Expected argument 'variance' to be one of example, residual, pooled"),
        (lambda: logit_confidence([[0.0]], [0]), "2 classes or more"),
        (lambda: logit_confidence([[0.0, np.nan]], [0]), "NaN"),
        (lambda: logit_confidence([[0.0, 1.0]], [2]), "labels from 0 to 1"),
        (lambda: lira_scores([0.0], [[0.0]], [[False]]), "1 of 1 examples have fewer than 2 shadows"),
        (lambda: lira_scores([0.0], [[0.0], [1.0]], [[0], [0]]), "'inside' to be bool"),
        (lambda: lira_scores([np.nan], [[0.0], [1.0]], [[False], [False]]), "target holds 1 that are not"),
        (lambda: lira_scores([0.0, 1.0], [[0.0], [1.0]], [[False], [False]]), "Expected target (n, K)"),
    ],
)
def test_bad_input_is_refused_in_words(call: Callable[[], object], words: str) -> None:
    with pytest.raises(GroupgapError) as error:
        call()
    assert words in str(error.value)


def test_offline_needs_no_shadow_that_was_trained_on_the_example() -> None:
    rng = np.random.default_rng(1)
    outside = np.zeros((8, 20), dtype=bool)
    lira_scores(rng.normal(size=20), rng.normal(size=(8, 20)), outside, LiraOptions("offline"))
    with pytest.raises(GroupgapError, match="20 of 20 examples have fewer than 2 shadows inside"):
        lira_scores(rng.normal(size=20), rng.normal(size=(8, 20)), outside, LiraOptions("online"))
