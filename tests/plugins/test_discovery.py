"""Where our folder of tasks stands among lm-eval's own and the user's."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from groupgap.plugins.discovery import add_tasks, include_paths, reads_entry_points, tasks_added, tasks_path

OURS = tasks_path()


def manager_module(**names: object) -> ModuleType:
    """A stand-in for lm_eval.tasks.manager."""

    class TaskManager:
        def __init__(
            self,
            verbosity: str | None = None,
            include_path: Any = None,
            include_defaults: bool = True,
            metadata: dict[str, Any] | None = None,
        ) -> None:
            """Read some folders."""
            self.read = include_path
            self.include_path = include_path
            self.rest = (verbosity, include_defaults, metadata)

    module = ModuleType("lm_eval.tasks.manager")
    vars(module).update(TaskManager=TaskManager, **names)
    return module


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (None, [OURS]),
        ("", [OURS]),
        ([], [OURS]),
        ("mine", [OURS, "mine"]),
        (Path("mine"), [OURS, Path("mine")]),
        (["a", Path("b")], [OURS, "a", Path("b")]),
        (("a", "b"), [OURS, "a", "b"]),
        (str(OURS), [str(OURS)]),
        (["a", OURS], ["a", OURS]),
    ],
)
def test_ours_come_before_the_users(theirs: Any, expected: list[Any]) -> None:
    assert include_paths(theirs) == expected
    module = manager_module()
    assert add_tasks(module)
    for manager in (module.TaskManager(include_path=theirs), module.TaskManager(None, theirs)):
        assert manager.read == expected
        assert manager.include_path == theirs


def test_other_arguments_pass_through() -> None:
    module = manager_module()
    add_tasks(module)
    manager = module.TaskManager("INFO", include_defaults=False, metadata={"a": 1})
    assert manager.rest == ("INFO", False, {"a": 1})
    assert module.TaskManager.__init__.__doc__ == "Read some folders."


def test_a_wrong_call_gets_lm_evals_own_message() -> None:
    module = manager_module()
    add_tasks(module)
    with pytest.raises(TypeError, match="unexpected keyword argument 'include_paths'"):
        module.TaskManager(include_paths="mine")


def test_a_second_call_changes_nothing() -> None:
    module = manager_module()
    add_tasks(module)
    once = module.TaskManager.__init__
    assert add_tasks(module)
    assert module.TaskManager.__init__ is once


@pytest.mark.parametrize("name", ["TASKS_ENTRY_POINT_GROUP", "discover_plugin_task_paths", "entry_points"])
def test_it_steps_aside_where_lm_eval_looks_by_itself(name: str) -> None:
    module = manager_module(**{name: "lm_eval.tasks"})
    plain = module.TaskManager.__init__
    assert reads_entry_points(module)
    assert not add_tasks(module)
    assert module.TaskManager.__init__ is plain


def test_the_lm_eval_of_today_does_not_look_by_itself() -> None:
    import lm_eval.tasks.manager as manager

    assert not reads_entry_points(manager)


def test_a_module_that_is_not_what_we_know_is_left_alone() -> None:
    strange = ModuleType("lm_eval.tasks.manager")
    with tasks_added(strange):
        strange.executed = True  # type: ignore[attr-defined]
    assert strange.executed


def test_an_error_of_the_module_itself_comes_through() -> None:
    with pytest.raises(ZeroDivisionError), tasks_added(ModuleType("lm_eval.tasks.manager")):
        raise ZeroDivisionError


def test_the_users_task_replaces_ours_and_ours_are_complete(tmp_path: Path) -> None:
    """With lm-eval's own index: built-in < groupgap < include_path."""
    import lm_eval.tasks.manager as manager

    add_tasks(manager)
    mine = tmp_path / "mine.yaml"
    mine.write_text("task: toy_religion_fair\ndataset_path: json\noutput_type: multiple_choice\n")
    index = manager.TaskManager(include_defaults=False, include_path=str(tmp_path)).task_index
    assert index["toy_religion_fair"].yaml_path == mine
    assert index["toxigen_fair"].yaml_path == OURS / "toxigen" / "toxigen_fair.yaml"


def test_the_entry_point_for_later_releases_names_the_folder() -> None:
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    (point,) = entry_points(group="lm_eval.tasks", name="groupgap")
    spec = find_spec(point.value)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    assert Path(spec.submodule_search_locations[0]).resolve() == OURS
