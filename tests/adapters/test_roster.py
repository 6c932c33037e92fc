"""Rosters: what they name, and the one line for each mistake, with its line number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from groupgap.adapters.roster import Roster, load_roster, roster_schema
from groupgap.adapters.variant import METHODS
from groupgap.errors import GroupgapError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DOCS = Path(__file__).resolve().parents[2] / "docs"
Write = Callable[[str], Path]
HEAD = "tasks: [toy_religion_fair]\ndefaults: {base: org/base}\n"
LIST = HEAD + "variants:\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_text(text: str) -> Path:
        (tmp_path / "roster.yaml").write_text(text)
        return tmp_path / "roster.yaml"

    return write_text


def adapter(folder: Path, **config: object) -> Path:
    """A folder that looks like an adapter."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"} | config))
    return folder


def names(roster: Roster) -> list[str]:
    return [variant.name for variant in roster.variants]


def test_a_roster_in_full(write: Write, tmp_path: Path) -> None:
    adapter(tmp_path / "adapters" / "one")
    (tmp_path / "my-base").mkdir()
    roster = load_roster(
        write("""
tasks:
  - toy_religion_fair
  - {task: dlab_religion_fair, limit: 100, num_fewshot: 2, options: {split: paper}}
defaults:
  base: my-base
  engine_options: {dtype: float32, max_model_len: 512}
variants:
  - {name: base, method: base}
  - {name: one, weights: adapters/one, seed: 13, engine_options: {max_model_len: 256}}
  - {name: dora, method: dora, weights: org/dora@main, merge: true, proof: fast}
  - {name: head, method: full, weights: ./gone, base: other/base, engine: classifier, labels: {rude: LABEL_1, fine: 0}}
  - {name: far, method: lora, server: "http://localhost:8000", served_as: other}
""")
    )
    assert [(task.name, task.limit, task.num_fewshot) for task in roster.tasks] == [
        ("toy_religion_fair", None, None),
        ("dlab_religion_fair", 100, 2),
    ]
    assert roster.tasks[1].options == {"split": "paper"}
    base, one, dora, head, far = roster.variants
    assert (base.method, base.base, base.weights, base.is_adapter) == ("base", str(tmp_path / "my-base"), None, False)
    assert (one.method, one.weights, one.seed) == ("lora", str(tmp_path / "adapters" / "one"), 13)
    assert one.engine_options == {"dtype": "float32", "max_model_len": 256}
    assert (dora.weights, dora.merge, dora.proof, dora.is_adapter) == ("org/dora@main", True, "fast", True)
    assert (head.weights, head.base, head.labels) == (
        str(tmp_path / "gone"),
        "other/base",
        {"rude": "LABEL_1", "fine": 0},
    )
    assert (far.engine, far.server, far.served_as) == ("server", "http://localhost:8000", "other")


def test_a_glob_makes_one_variant_a_match(write: Write, tmp_path: Path) -> None:
    for name in ("b", "a", "dora"):
        adapter(tmp_path / "adapters" / name, use_dora=name == "dora")
    (tmp_path / "adapters" / "notes").mkdir()
    (tmp_path / "adapters" / "full").mkdir()
    (tmp_path / "adapters" / "full" / "config.json").write_text("{}")
    roster = load_roster(write(HEAD + "variants: [{name: 'my {match}!', weights: adapters/*/}]"))
    assert [(v.name, v.method) for v in roster.variants] == [
        ("my a!", "lora"),
        ("my b!", "lora"),
        ("my dora!", "dora"),
        ("my full!", "full"),
    ]
    assert names(load_roster(write(HEAD + f"variants: [{{name: x, weights: '{tmp_path}/adapters/[ab]'}}]"))) == [
        "x-a",
        "x-b",
    ]


def test_a_matrix_crosses_methods_and_seeds(write: Write) -> None:
    roster = load_roster(
        write(
            HEAD + "matrix:\n  seeds: [13, 0]\n  methods: {full: {}, lora-r8: {method: lora, merge: true}}\n"
            "  name: 'm-{method}-{seed}'\n  weights: ./runs/{method}/{seed}\n"
        )
    )
    assert names(roster) == ["m-full-13", "m-full-0", "m-lora-r8-13", "m-lora-r8-0"]
    last = roster.variants[-1]
    assert (last.method, last.seed, last.merge) == ("lora", 0, True)
    assert last.weights == f"{roster.path.parent}/runs/lora-r8/0"
    two = load_roster(
        write(
            HEAD + "matrix: [{seeds: [1], methods: [lora], weights: o/w}, {seeds: [2], methods: [full], weights: o/f}]"
        )
    )
    assert names(two) == ["lora-1", "full-2"]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("tasks: [a]\nvariant: []\n", 2, "variant: unknown key 'variant': did you mean 'variants'? Allowed: tasks,"),
        (LIST + "- name: x\n  wieghts: y\n", 5, "unknown key 'wieghts': did you mean 'weights'?"),
        (LIST + "- {name: x, method: lorra, weights: o/w}\n", 4, "did you mean 'lora'?"),
        (LIST + "- {name: x, method: lora, weights: o/w, engine: vlm}\n", 4, "'vlm' is not allowed: did you mean"),
        (LIST + "- method: base\n", 4, "variants[1]: the key 'name' is missing"),
        (LIST + "- {name: 13, method: base}\n", 4, "got 13: put it in quotes"),
        (LIST + "- {name: x, method: base, seed: yes}\n", 4, "variants[1].seed: input should be a valid integer"),
        (LIST + "- {name: x, method: base}\n- {name: X, method: base}\n", 5, "two variants have the name 'X'"),
        (LIST + "- {name: a/b, method: base}\n", 4, "'a/b' names a folder"),
        (LIST + "- {name: .., method: base}\n", 4, "'..' names a folder"),
        (LIST + "- {name: x, method: lora}\n", 4, "method lora needs weights"),
        (LIST + "- {name: x, weights: org/adapter}\n", 4, "the key 'method' is missing"),
        (LIST + "- {name: x, weights: 'no/*'}\n", 4, "'no/*' matches no folder"),
        (LIST + "- {name: 'x{mach}', method: base}\n", 4, "unknown placeholder {mach}: did you mean 'match'?"),
        (LIST + "- {name: x, method: base, server: localhost}\n", 4, "string should match pattern"),
        (LIST + "- {name: x, method: base, engine: server}\n", 4, "server: URL belong together"),
        (LIST + "- {name: x, method: full, weights: o/w, merge: true}\n", 4, "nothing to merge here"),
        (LIST + "- {name: x, method: base, engine_options: {trust_remote_code: true}}\n", 4, "never used here"),
        (LIST + "- {name: x, method: base, name: y}\n", 4, "the key 'name' stands there twice"),
        (HEAD + "matrix:\n  seeds: [1, 2]\n  methods: [lora]\n  name: m\n  weights: o/w\n", 6, "one name for all"),
        (HEAD + "matrix:\n  seeds: [1]\n  methods: {lora: {wights: x}}\n", 5, "did you mean 'weights'?"),
        (HEAD + "matrix:\n  seeds: []\n  methods: [lora]\n", 4, "at least 1 item"),
        (HEAD, 1, "names no model: give variants: or matrix:"),
        ("tasks: [a]\nvariants: [{name: x, method: base}]\n", 2, "method base needs a base"),
        ("tasks: []\nvariants: [{name: x, method: base, base: o/b}]\n", 1, "at least 1 item"),
        ("tasks: [a, a]\nvariants: [{name: x, method: base, base: o/b}]\n", 1, "two tasks have the name 'a'"),
        ("tasks: [{tsk: a}]\n", 1, "tasks[1]"),
        ("tasks: [a\n", 2, "not YAML"),
        ("- a\n", 1, "expected the keys tasks"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "not YAML: could not determine a constructor"),
        ("a: *b\n", 1, "not YAML"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_with_their_place(write: Write, text: str, line: int, said: str) -> None:
    path = write(text)
    with pytest.raises(GroupgapError) as caught:
        load_roster(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: "), message
    assert said in message
    assert "\n" not in message


def test_files_that_are_no_rosters(tmp_path: Path) -> None:
    laughs = "a: &a [x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    for content, said in [
        (b"x" * (1 << 20 | 1), "larger than"),
        (b"\xff\xfe\xff", "UTF-8"),
        (("[" * 5_000).encode(), "roster.yaml"),
        (laughs.encode(), "too many or too deeply nested"),
        (b"", "expected the keys"),
    ]:
        (tmp_path / "roster.yaml").write_bytes(content)
        with pytest.raises(GroupgapError, match=said):
            load_roster(tmp_path / "roster.yaml")
    with pytest.raises(GroupgapError, match="cannot be read"):
        load_roster(tmp_path / "absent.yaml")


words = st.sampled_from(
    ["tasks", "variants", "matrix", "defaults", "name", "weights", "seeds", "methods", "method", "seed"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "lora", "org/x", "", "{seed}", "*", ".."]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(words, values, max_size=4))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_structure_raises_nothing_but_our_error(write: Write, data: object) -> None:
    path, message = write(json.dumps(data)), "."
    try:
        load_roster(path)
    except GroupgapError as error:
        message = str(error)
    assert "\n" not in message


def test_the_schema_in_the_documentation_is_current() -> None:
    written = json.loads((DOCS / "roster.schema.json").read_text())
    assert written == roster_schema(), "python -m groupgap.adapters.roster > docs/roster.schema.json"
    assert written["$defs"]["VariantFile"]["additionalProperties"] is False


def test_every_key_and_method_is_explained() -> None:
    text = (DOCS / "roster.md").read_text()
    keys = {
        key
        for model in ("VariantFile", "MatrixFile", "TaskFile")
        for key in roster_schema()["$defs"][model]["properties"]
    }
    assert {key for key in keys if f"`{key}`" not in text} == set()
    assert {method for method in METHODS if f"`{method}`" not in text} == set()


def test_the_examples_in_the_documentation_are_rosters(write: Write, tmp_path: Path) -> None:
    adapter(tmp_path / "adapters" / "first")
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / "roster.md").read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        assert load_roster(write(block)).variants
