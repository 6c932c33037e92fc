"""The startup file: what it does in a whole environment, and that a broken one only loses what is broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ACTIVE = "import groupgap_startup; print(groupgap_startup.active())"
FIND = (
    "from lm_eval.tasks import TaskManager; print('toy_religion_fair' in TaskManager(include_defaults=False).all_tasks)"
)


@dataclass(frozen=True)
class Environment:
    """A virtual environment without pip."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        return next((self.folder / "lib").glob("python3*/site-packages"))

    def pip(self, *arguments: str) -> str:
        """Run this interpreter's pip on the environment."""
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=clean_variables()).stdout

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the environment's interpreter, outside any checkout."""
        return subprocess.run(
            [str(self.python), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**clean_variables(), **variables},
        )

    def code(self, source: str, **variables: str) -> str:
        """Run a piece of Python; what it printed, stripped. Fails where it failed or wrote to stderr."""
        done = self.run("-c", source, **variables)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout.strip()

    def files(self) -> set[Path]:
        """All files below the environment, relative."""
        return {path.relative_to(self.folder) for path in self.folder.rglob("*")}


def clean_variables() -> dict[str, str]:
    """The environment's variables without those that would reach other copies of groupgap."""
    drop = ("PYTHONPATH", "GROUPGAP_NO_STARTUP", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in drop}


def make_environment(folder: Path) -> Environment:
    """Make an environment without any package."""
    venv.create(folder, with_pip=False, symlinks=True)
    return Environment(folder)


def add_our_packages(environment: Environment) -> Path:
    """Put the packages of this environment on another's path, behind its own.

    A path in a ``.pth`` file makes no startup file of that folder run. To be done after pip's work: pip would take our
    groupgap for the environment's.
    """
    file = environment.site_packages / "zz_ours.pth"
    file.write_text(sysconfig.get_path("purelib") + "\n")
    return file


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """groupgap's wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("groupgap-*.whl"))


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    """An environment with groupgap alone: no lm-eval, no torch. Read only."""
    environment = make_environment(tmp_path_factory.mktemp("bare") / "env")
    environment.pip("install", "--quiet", "--no-deps", "--no-index", str(wheel))
    return environment


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Environment:
    """An environment with groupgap, and the packages of this one behind it. Read only."""
    environment = make_environment(tmp_path_factory.mktemp("full") / "env")
    environment.pip("install", "--quiet", "--no-deps", "--no-index", str(wheel))
    add_our_packages(environment)
    return environment


def test_the_wheel_puts_three_files_at_the_top_and_the_rest_into_the_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == {"groupgap", "groupgap.pth", "groupgap.start", "groupgap_startup.py"}
    assert {"groupgap/cli.py", "groupgap/py.typed", "groupgap/harness_tasks/toy/toy_religion_fair.yaml"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


def test_it_is_active_after_an_install_and_the_switch_turns_it_off(bare: Environment) -> None:
    assert bare.code(ACTIVE) == "True"
    assert bare.code(ACTIVE, GROUPGAP_NO_STARTUP="1") == "False"
    assert bare.code(ACTIVE, GROUPGAP_NO_STARTUP="0") == "True"


def test_the_new_form_names_the_function_that_the_old_form_calls() -> None:
    assert (ROOT / "startup/groupgap.start").read_text() == "groupgap_startup:start\n"
    assert (ROOT / "startup/groupgap.pth").read_text() == "import groupgap_startup; groupgap_startup.start()\n"


def test_installing_twice_leaves_one_finder(bare: Environment) -> None:
    count = "print(sum(type(f).__name__ == 'HookFinder' for f in sys.meta_path))"
    assert bare.code(f"import sys, groupgap_startup as g; g.install(); g.start(); {count}") == "1"


def test_it_loads_nothing_but_itself(bare: Environment) -> None:
    """Beyond what the interpreter loads anyway there is one module more: no importlib.util, no typing, no package."""
    listing = "import sys; print(*sorted(sys.modules))"
    without = make_environment(bare.folder.parent / "without").code(listing).split()
    assert set(bare.code(listing).split()) - set(without) <= {"groupgap_startup", "__future__"}


def test_the_file_stays_below_two_milliseconds(bare: Environment) -> None:
    """The fastest of ten imports, as Python reports it; benchmarks/startup_cost.py measures whole interpreters."""
    bare.run("-c", "pass")
    reports = [bare.run("-X", "importtime", "-c", "pass").stderr for _ in range(10)]
    lines = [line for report in reports for line in report.splitlines() if line.endswith(" groupgap_startup")]
    assert len(lines) == 10
    assert min(int(line.split("|")[1]) for line in lines) < 2000


@pytest.mark.parametrize("module", ["lm_eval", "lm_eval.tasks.manager", "torchvision"])
def test_without_the_packages_an_import_fails_as_it_would(bare: Environment, module: str) -> None:
    done = bare.run("-c", f"import {module}")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"ModuleNotFoundError: No module named '{module.split('.')[0]}'"


def fake_lm_eval(environment: Environment) -> None:
    """Put a package in lm-eval's place whose task manager keeps what it is given."""
    folder = environment.site_packages / "lm_eval" / "tasks"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "__init__.py").write_text("from .manager import TaskManager\n")
    (folder / "manager.py").write_text(
        "class TaskManager:\n"
        "    def __init__(self, verbosity=None, include_path=None, include_defaults=True, metadata=None):\n"
        "        self.seen = include_path\n"
        "        self.include_path = include_path\n"
    )


SEEN = "from lm_eval.tasks import TaskManager as T; t = T(include_path={!r}); print(t.seen, t.include_path)"


@pytest.mark.parametrize(
    "gone", ["groupgap", "groupgap/harness_tasks", "groupgap/plugins", "groupgap/plugins/discovery.py"]
)
def test_a_half_removed_groupgap_changes_nothing_for_others(tmp_path: Path, bare: Environment, gone: str) -> None:
    environment = Environment(tmp_path / "env")
    shutil.copytree(bare.folder, environment.folder, symlinks=True)
    fake_lm_eval(environment)
    removed = environment.site_packages / gone
    shutil.rmtree(removed) if removed.is_dir() else removed.unlink()
    if gone != "groupgap/harness_tasks":
        assert environment.code(SEEN.format("mine")) == "mine mine"
    else:
        assert environment.code(SEEN.format("mine")).endswith(" mine")


def test_a_package_that_raises_on_import_changes_nothing_for_others(tmp_path: Path, bare: Environment) -> None:
    environment = Environment(tmp_path / "env")
    shutil.copytree(bare.folder, environment.folder, symlinks=True)
    fake_lm_eval(environment)
    (environment.site_packages / "groupgap/__init__.py").write_text("raise RuntimeError('broken')\n")
    assert environment.code(SEEN.format("mine")) == "mine mine"


def test_a_startup_module_that_is_gone_does_not_stop_python(tmp_path: Path, bare: Environment) -> None:
    environment = Environment(tmp_path / "env")
    shutil.copytree(bare.folder, environment.folder, symlinks=True)
    (environment.site_packages / "groupgap_startup.py").unlink()
    shutil.rmtree(environment.site_packages / "__pycache__", ignore_errors=True)
    done = environment.run("-c", "print('alive')")
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_pip_uninstall_leaves_nothing(tmp_path: Path, wheel: Path) -> None:
    environment = make_environment(tmp_path / "env")
    (environment.site_packages / "other.py").touch()
    before = environment.files()
    environment.pip("install", "--quiet", "--no-deps", "--no-index", str(wheel))
    ours = add_our_packages(environment)
    assert environment.code(FIND) == "True"
    ours.unlink()
    environment.pip("uninstall", "--yes", "--quiet", "groupgap")
    assert environment.files() == before


def test_a_loader_is_handed_back_whole(full: Environment) -> None:
    """After the import nothing of ours stands between lm-eval's module and its loader."""
    look = "import lm_eval.tasks.manager as m; print(type(m.__loader__).__name__, type(m.__spec__.loader).__name__)"
    assert full.code(f"{look}; import inspect; inspect.getsource(m.TaskManager)") == "SourceFileLoader SourceFileLoader"


def test_a_plain_task_manager_finds_our_tasks(full: Environment) -> None:
    assert full.code(FIND) == "True"
    assert full.code(FIND, GROUPGAP_NO_STARTUP="1") == "False"


@pytest.mark.slow
def test_a_bare_lm_eval_lists_all_our_tasks_among_its_own(full: Environment) -> None:
    """The whole way: ``python -m lm_eval ls tasks`` reads lm-eval's index of some 14,000 files (10-19 s), once."""
    done = full.run("-m", "lm_eval", "ls", "tasks", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    listed = set(done.stdout.replace("|", " ").split())
    ours = full.code("from groupgap.plugins.discovery import tasks_path; print(tasks_path())")
    assert str(full.folder.resolve()) in ours
    named = {path.stem for path in (ROOT / "harness_tasks").rglob("*_fair.yaml")}
    assert {"toy_religion_fair", "toxigen_fair"} <= named <= listed
    assert "hellaswag" in listed


def test_torchvision_for_cuda_is_imported_beside_a_torch_for_cpu(full: Environment) -> None:
    pytest.importorskip("torchvision", reason="the extra vision is not installed")
    alone = "import sys; assert 'torch' not in sys.modules"
    source = f"{alone}; import torchvision, torch; print(torch.library.register_fake.__name__)"
    done = full.run("-c", source)
    assert (done.returncode, done.stdout.strip()) == (0, "register_fake"), done.stderr


def test_the_benchmark_prints_its_numbers() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/startup_cost.py"), "--starts", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)
    assert result["starts"] == 5
    assert result["importtime_median_ms"] > 0
