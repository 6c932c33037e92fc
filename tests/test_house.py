"""The house rules that a machine can check: floors, annotations, sizes, and examples that run."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import groupgap
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(groupgap.__file__).resolve().parent
FOLDERS = ("metrics", "harness_tasks", "adapters", "plugins", "leaderboards")
FLOORS = {name: floor for floor, name in enumerate(("errors", *FOLDERS, "cli"))}
LINES = 400
FUNCTION_LINES = 40

Definition = ast.FunctionDef | ast.AsyncFunctionDef


def sources() -> list[Path]:
    """All Python files of the product, as they stand in the checkout."""
    inside = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [ROOT / "__init__.py", ROOT / "cli.py", ROOT / "errors.py", *inside, ROOT / "startup/groupgap_startup.py"]


def others() -> list[Path]:
    """Python files that ship with the repository but not in the wheel."""
    return [path for folder in ("benchmarks", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[Definition]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, Definition))


def module_name(path: Path) -> tuple[str, ...]:
    """The dotted name below groupgap: plugins/discovery.py -> ("plugins", "discovery")."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def own_imports(path: Path, *, at_load: bool = False) -> set[tuple[str, ...]]:
    """Modules of this package that a file imports; ``at_load``: outside functions and TYPE_CHECKING blocks only."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path)[:-1]
    found: set[tuple[str, ...]] = set()
    for node in at_load_nodes(tree(path)) if at_load else ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = (*package[: len(package) - node.level + 1], *(node.module.split(".") if node.module else ()))
            found |= {as_module((*base, alias.name)) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "groupgap":
            base = tuple((node.module or "").split(".")[1:])
            found |= {as_module((*base, alias.name)) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {tuple(a.name.split(".")[1:]) for a in node.names if a.name.split(".")[0] == "groupgap"}
    return found


def at_load_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from at_load_nodes(child)


def as_module(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Drop the last part where it names something inside a module, not a module."""
    path = ROOT.joinpath(*parts)
    return parts if path.is_dir() or path.with_suffix(".py").is_file() else parts[:-1]


def absolute_imports(path: Path) -> set[str]:
    """Top-level names of other packages that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("path", [*sources(), *others()], ids=name_of)
def test_every_function_is_annotated(path: Path) -> None:
    for function in functions(path):
        arguments = function.args
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        bare = [a.arg for a in named if a is not None and a.annotation is None and a.arg not in ("self", "cls")]
        assert not bare, f"{name_of(path)}:{function.lineno} {function.name}: {bare}"
        assert function.returns is not None, f"{name_of(path)}:{function.lineno} {function.name}: no return annotation"


@pytest.mark.parametrize("path", [*sources(), *others()], ids=name_of)
def test_files_and_functions_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES
    for function in functions(path):
        length = body_lines(function)
        assert length <= FUNCTION_LINES, f"{name_of(path)}:{function.lineno} {function.name} has {length} lines"


def body_lines(function: Definition) -> int:
    """Lines from the first statement after the docstring to the end."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(function.body) > 1
    start = function.body[1] if documented else first
    return (function.end_lineno or 0) - start.lineno + 1


@pytest.mark.parametrize("path", [path for path in sources() if path.parent.name != "startup"], ids=name_of)
def test_imports_go_down_the_floors_only(path: Path) -> None:
    here = module_name(path)
    for there in own_imports(path):
        if not here or not there:
            continue  # the package's root: a version number and the public names
        assert FLOORS[there[0]] <= FLOORS[here[0]], f"{name_of(path)} imports {'.'.join(there)}"
        assert (here[0], there[0]) != ("leaderboards", "plugins"), f"{name_of(path)} imports {'.'.join(there)}"


def test_no_import_runs_in_a_circle() -> None:
    graph = {module_name(path): own_imports(path, at_load=True) for path in sources() if path.parent.name != "startup"}
    done: set[tuple[str, ...]] = set()

    def visit(module: tuple[str, ...], trail: tuple[tuple[str, ...], ...]) -> None:
        assert module not in trail, " -> ".join(".".join(name) or "groupgap" for name in (*trail, module))
        if module not in done:
            for other in sorted(graph.get(module, set()) - {module}):
                visit(other, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", sorted((ROOT / "metrics").rglob("*.py")), ids=name_of)
def test_metrics_know_neither_models_nor_files(path: Path) -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "scipy", "pandas", "fairlearn", "sklearn", "sacrebleu"}
    input_output = {"os", "pathlib", "io", "csv", "pickle", "shutil", "subprocess", "socket", "tempfile", "urllib"}
    assert absolute_imports(path) <= allowed - input_output
    calls = (node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
    assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"open", "print", "eval", "exec"}


def test_the_startup_file_uses_the_standard_library_alone() -> None:
    assert absolute_imports(ROOT / "startup/groupgap_startup.py") <= sys.stdlib_module_names


def test_the_installed_package_is_this_checkout() -> None:
    """The tests import what a user gets; here it must be what this checkout gives."""
    assert ROOT not in PACKAGE.parents or "site-packages" in PACKAGE.parts
    for path in sources():
        installed = PACKAGE / path.relative_to(ROOT) if path.parent.name != "startup" else PACKAGE.parent / path.name
        assert installed.read_bytes() == path.read_bytes(), f"{name_of(path)} is not what is installed: make install"


def test_nothing_is_left_open() -> None:
    for path in [*sources(), *others()]:
        text = path.read_text(encoding="utf-8")
        marks = re.findall(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", text)
        assert not marks, f"{name_of(path)}: {marks[0]}"


def with_examples() -> list[str]:
    paths = [path for path in sources() if ">>> " in path.read_text(encoding="utf-8")]
    return [".".join(("groupgap", *module_name(path))) for path in paths]


@pytest.mark.parametrize("module", with_examples())
def test_the_examples_in_the_docstrings_run(module: str) -> None:
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(importlib.import_module(module), optionflags=options)
    assert result.attempted > 0
    assert result.failed == 0
