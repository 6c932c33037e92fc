"""What a tokenizer makes of the symbols: several tokens, none that it knows, the same for two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import groupgap
import pytest
from groupgap import GroupgapError
from groupgap.harness_tasks.design import Cell
from groupgap.plugins.prompt_window import Window, find_window
from groupgap.plugins.symbol_tokens import check_symbols
from lm_eval.tasks import TaskManager

TASKS = Path(groupgap.__file__).parent / "harness_tasks"


def _words(tmp_path: Path, *words: str) -> Any:
    """A tokenizer that knows some words and nothing else."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", model_max_length=64)
    fast.save_pretrained(tmp_path)
    return fast


def _cells(*symbols: str) -> list[Cell]:
    return [Cell("direct", symbols, "mine", tuple(range(len(symbols))))]


def test_known_whole_symbols_are_nothing_to_speak_of(tmp_path: Path) -> None:
    window = Window(_words(tmp_path, "Answer:", "A", "B"), 64)
    assert check_symbols(window, _cells("A", "B"), " ") == ({"checked": True, "split": {}, "unknown": {}}, [])


def test_a_symbol_of_several_tokens_is_named_with_their_number(tmp_path: Path) -> None:
    window = Window(_words(tmp_path, "Answer:", "A", "option"), 64)
    noted, (warning,) = check_symbols(window, _cells("option A", "A"), " ")
    assert noted["split"] == {"mine": {"option A": 2}}
    assert "'option A' (2); they are scored token by token" in warning


def test_an_unknown_symbol_is_named(tmp_path: Path) -> None:
    window = Window(_words(tmp_path, "Answer:", "A"), 64)
    noted, (warning,) = check_symbols(window, _cells("A", "◐"), " ")
    assert noted["unknown"] == {"mine": ["◐"]}
    assert "'◐'; what is scored is its unknown token" in warning


def test_two_symbols_of_the_same_tokens_are_refused(tmp_path: Path) -> None:
    window = Window(_words(tmp_path, "Answer:", "A"), 64)
    with pytest.raises(GroupgapError, match="'◐' and '◑' are the same tokens to this model's tokenizer"):
        check_symbols(window, _cells("◐", "◑"), " ")


def test_without_a_tokenizer_nothing_is_claimed() -> None:
    assert check_symbols(None, _cells("A", "B"), " ") == ({"checked": False, "why": "no tokenizer is known"}, [])


def test_a_real_tokenizer_in_a_real_task(shared: Path) -> None:
    """Byte-level fallback: emoji are five tokens each, and stand so in the results."""
    folder = shared / "models" / "stories260K"
    if not folder.is_dir():
        pytest.skip(f"no model at {folder}")
    metadata = {"pretrained": str(folder), "symbol_sets": ["emoji", "letters"]}
    manager = TaskManager(include_defaults=False, include_path=str(TASKS), metadata=metadata)
    task = manager.load(["toy_religion_fair_controlled"])["tasks"]["toy_religion_fair_controlled"]
    noted = task.config.metadata["fair"]["symbols"]
    assert noted == {"checked": True, "split": {"emoji": {"🟠": 5, "🟡": 5}, "letters": {"A": 2}}, "unknown": {}}


@pytest.mark.parametrize(
    ("metadata", "tokens"),
    [
        ({}, 63),  # the model's 64, less one that vLLM keeps for an answer
        ({"max_length": 40}, 39),
        ({"max_model_len": "50"}, 49),
        ({"max_length": "auto"}, 63),
    ],
)
def test_the_window_is_the_smallest_that_is_known(tmp_path: Path, metadata: dict[str, Any], tokens: int) -> None:
    _words(tmp_path, "Answer:")
    window = find_window({"pretrained": str(tmp_path), **metadata}, None)
    assert window is not None
    assert window.tokens == tokens
    smaller = find_window({"pretrained": str(tmp_path), **metadata}, 10)
    assert smaller is not None
    assert smaller.tokens == 10


def test_no_tokenizer_is_no_window(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert find_window({}, 256) is None
    assert find_window({"pretrained": str(tmp_path / "none")}, 256) is None
    assert "prompts are not fitted to the model" in caplog.text
