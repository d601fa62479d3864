"""What the wheel has in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("bpf_templates", "cli", "compiler", "gateway", "runtime")
CONTENT = (".py", ".c", ".h", ".css", ".html", ".js", ".typed")


def is_content(path: Path) -> bool:
    """Whether a file of a package folder belongs in the wheel."""
    return path.suffix in CONTENT or path.name.startswith("LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel of this tree; built in a copy, for setuptools writes beside it."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    process = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(tree)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    (built,) = folder.glob("wardgate-*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_the_wheel_has_every_module_and_template(wheel: set[str]) -> None:
    expected = {
        f"wardgate/{path.relative_to(ROOT)}"
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and is_content(path) and "__pycache__" not in path.parts
    }
    assert expected <= wheel


def test_the_wheel_has_nothing_else(wheel: set[str]) -> None:
    others = {name for name in wheel if not (ROOT / name.removeprefix("wardgate/")).is_file()}
    assert all(".dist-info/" in name for name in others)


def test_the_wheel_has_the_licences_and_the_command(wheel: set[str]) -> None:
    assert "wardgate/bpf_templates/LICENSE" in wheel
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel)
    assert any(name.endswith(".dist-info/entry_points.txt") for name in wheel)
