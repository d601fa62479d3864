"""What each package may import, and what may not come in with the runtime (the table in DESIGN.md)."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TARGET_LINES = 400
MOST_LINES = 450
VAGUE_NAMES = {"common", "misc", "util", "utils"}


@dataclass(frozen=True)
class Rules:
    """What modules of a folder may import besides the standard library and themselves.

    `lazily`: only inside a function; `wardgate`: prefixes of our own.
    """

    anywhere: frozenset[str] = frozenset()
    lazily: frozenset[str] = frozenset()
    wardgate: tuple[str, ...] = ()
    wardgate_lazily: tuple[str, ...] = field(default=())


RULES = {
    "bpf_templates": Rules(),
    "compiler": Rules(
        anywhere=frozenset({"elftools", "numpy", "yaml"}),
        lazily=frozenset({"llvmlite"}),
        wardgate=("wardgate.runtime.layout", "wardgate.bpf_templates"),
    ),
    "runtime": Rules(anywhere=frozenset({"elftools"}), lazily=frozenset({"pyroute2"})),
    "gateway": Rules(
        anywhere=frozenset(
            {
                "cryptography",
                "dns",
                "fastapi",
                "h11",
                "jinja2",
                "prometheus_client",
                "pydantic",
                "pyotp",
                "segno",
                "starlette",
                "uvicorn",
                "yaml",
            }
        ),
        lazily=frozenset({"pyroute2"}),
        wardgate=("wardgate.runtime",),
    ),
    "cli": Rules(
        anywhere=frozenset({"click", "elftools", "yaml"}),
        lazily=frozenset({"httpx", "pyroute2", "segno"}),
        wardgate=("wardgate.compiler", "wardgate.runtime", "wardgate.bpf_templates", "wardgate.gateway"),
    ),
}

EXCEPTIONS = {
    # The one place where the gateway compiles: policies, and programs of its own.
    "gateway/compiling": Rules(wardgate=("wardgate.gateway", "wardgate.compiler", "wardgate.runtime")),
    # It shows what the runtime reads, by the same readers, which know nothing of the kernel.
    "compiler/inspect": Rules(
        anywhere=frozenset({"numpy"}),
        wardgate=(
            "wardgate.compiler",
            *(f"wardgate.runtime.{name}" for name in ("btf", "elf", "layout", "sections", "spec")),
        ),
    ),
}
"""Folders within those of RULES that have rules of their own."""

MODULES = sorted(path for folder in RULES for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """A module's import name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("wardgate", *parts)).removesuffix(".__init__")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Absolute name of each import, and whether it is inside a function (or only for type checkers)."""
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]

    def visit(node: ast.AST, lazy: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, lazy
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            if (ROOT / Path(*base.split(".")[1:])).is_dir() and base.split(".")[0] == "wardgate":
                # `from wardgate.runtime import layout` is an import of wardgate.runtime.layout.
                for alias in node.names:
                    yield f"{base}.{alias.name}", lazy
            else:
                yield base, lazy
        else:
            inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or for_types(node)
            for child in ast.iter_child_nodes(node):
                yield from visit(child, inside)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), False)


def for_types(node: ast.AST) -> bool:
    """Whether this is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def violation(folder: str, name: str, lazy: bool) -> str | None:
    """What is wrong with a module of `folder` importing `name`, if anything."""
    rules, top = EXCEPTIONS.get(folder) or RULES[folder], name.split(".")[0]
    if top == "wardgate":
        allowed = (
            f"wardgate.{folder.replace('/', '.')}",
            *rules.wardgate,
            *(rules.wardgate_lazily if lazy else ()),
        )
        fits = any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)
        return None if fits else f"imports {name}"
    if top in sys.stdlib_module_names or top in rules.anywhere:
        return None
    if top in rules.lazily:
        return None if lazy else f"imports {name} outside a function"
    return f"imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_package_may(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    folder = "/".join(parts[:2]) if "/".join(parts[:2]) in EXCEPTIONS else parts[0]
    found = [complaint for name, lazy in imports(path) if (complaint := violation(folder, name, lazy))]
    assert not found


@pytest.mark.parametrize(
    ("folder", "name", "lazy"),
    [
        ("compiler", "wardgate.runtime.spec", True),
        ("compiler", "wardgate.runtime", False),
        ("compiler", "click", True),
        ("compiler/inspect", "wardgate.runtime.syscall", True),
        ("compiler/inspect", "click", True),
        ("compiler", "llvmlite.binding", False),
        ("runtime", "wardgate.compiler.language", True),
        ("runtime", "pyroute2", False),
        ("runtime", "yaml", True),
        ("cli", "pyroute2", False),
        ("gateway", "wardgate.compiler", True),
        ("gateway", "click", True),
    ],
)
def test_the_rules_catch(folder: str, name: str, lazy: bool) -> None:
    assert violation(folder, name, lazy)


def test_imports_are_found_wherever_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "runtime" / "links.py"
    (tmp_path / "runtime" / "layout").mkdir(parents=True)
    path.write_text(
        "import os\n"
        "from wardgate.runtime import layout\n"
        "from . import errors\n"
        "from .layout.codes import Verdict\n"
        "if TYPE_CHECKING:\n    import click\n"
        "class A:\n    async def f(self):\n        import yaml\n"
        "try:\n    import pyroute2\nexcept ImportError:\n    pass\n"
    )
    assert list(imports(path)) == [
        ("os", False),
        ("wardgate.runtime.layout", False),
        ("wardgate.runtime.errors", False),
        ("wardgate.runtime.layout.codes", False),
        ("click", True),
        ("yaml", True),
        ("pyroute2", False),
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_holds_one_concept(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{lines} lines: it holds more than one concept"
    assert path.stem not in VAGUE_NAMES, "name it for what it holds"
    assert path.parent.name not in VAGUE_NAMES, "name the folder for what it holds"
    if lines > TARGET_LINES:
        warnings.warn(f"{path.relative_to(ROOT)} has {lines} lines", stacklevel=1)


def test_every_package_folder_has_rules_and_is_installed() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent for path in MODULES}
    assert {name_of(folder / "__init__.py") for folder in folders} == set(setuptools["packages"])
    assert {name: Path(folder).parts[0] for name, folder in setuptools["package-dir"].items()} == {
        f"wardgate.{folder}": folder for folder in RULES
    }
    assert all((folder / "__init__.py").exists() for folder in folders)
    assert all((ROOT / folder / "py.typed").exists() for folder in RULES)


def loaded_by(statement: str) -> set[str]:
    """The modules in a fresh interpreter after `statement`."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, cwd=os.sep
    )
    return set(process.stdout.split())


def runtime_modules() -> list[str]:
    """Every module of the runtime."""
    return [name_of(path) for path in MODULES if path.relative_to(ROOT).parts[0] == "runtime"]


@pytest.mark.parametrize("statement", ["import wardgate.runtime", "import " + ", ".join(runtime_modules())])
def test_the_runtime_comes_alone(statement: str) -> None:
    loaded = loaded_by(statement)
    assert "wardgate.runtime" in loaded
    forbidden = {"click", "llvmlite", "pyroute2", "yaml", "ziglang"}
    ours = {
        name for name in loaded if name.startswith("wardgate.") and not name.startswith("wardgate.runtime")
    }
    assert not loaded & forbidden
    assert not ours


def test_the_compiler_loads_no_llvm_and_of_the_runtime_the_layout() -> None:
    compiler = [
        name_of(path)
        for path in MODULES
        if path.relative_to(ROOT).parts[0] == "compiler" and path.parent.name != "inspect"
    ]
    loaded = loaded_by("import " + ", ".join(name for name in compiler if not name.endswith("__main__")))
    runtime = {name for name in loaded if name.startswith("wardgate.runtime.")}
    assert not loaded & {"click", "llvmlite", "pyroute2"}
    # The package itself comes along with its layout, and may bring its errors, which are a leaf.
    leaves = ("wardgate.runtime.layout", "wardgate.runtime.errors")
    assert {name for name in runtime if not name.startswith(leaves)} == set()


def test_the_command_line_loads_only_the_command_that_is_used() -> None:
    loaded = loaded_by("import wardgate.cli.main")
    assert "wardgate.cli.main" in loaded
    assert not loaded & {"wardgate.compiler", "llvmlite", "pyroute2"}
