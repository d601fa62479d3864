"""Which clang is taken, and what is said of those that are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from wardgate.compiler.backend import Clang, ClangNotFoundError, find_clang
from wardgate.compiler.backend import clang as clang_module

TARGETS = "  Registered Targets:\n    bpfel      - BPF (little endian)\n    x86-64 - 64-bit X86\n"


@pytest.fixture
def script(tmp_path: Path):
    """Makes a program that answers as a clang would."""

    def make(
        name: str = "clang",
        version: str = "clang version 19.1.7 (x)",
        targets: str = TARGETS,
        status: int = 0,
    ) -> str:
        path = tmp_path / name
        path.write_text(
            f"#!/bin/sh\ncase $1 in --version) echo '{version}';; --print-targets) echo '{targets}';; esac\n"
            f"exit {status}\n"
        )
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the wheel."""
    monkeypatch.setattr(clang_module, "_wheel", lambda: ())


def refused(explicit: str | None, environ: dict[str, str]) -> dict[str, str]:
    """The candidates that a search without success refused."""
    with pytest.raises(ClangNotFoundError) as caught:
        find_clang(explicit, environ)
    assert all(f"{name}: {why}" in str(caught.value) for name, why in caught.value.refused)
    assert "pip install 'wardgate[compiler]'" in str(caught.value)
    return dict(caught.value.refused)


def test_the_wheel_is_found_without_being_named() -> None:
    found = find_clang(None, {"PATH": ""})
    assert found.command[0].endswith("zig")
    assert int(found.version.split(".")[0]) >= clang_module.MINIMUM_VERSION


def test_the_named_one_comes_before_the_variable_and_the_wheel(script) -> None:
    named, variable = script("mine"), script("other", "clang version 18.1.0")
    environ = {"WARDGATE_CLANG": variable, "PATH": ""}
    assert find_clang(named, environ) == Clang((named,), "19.1.7")
    assert find_clang(None, environ) == Clang((variable,), "18.1.0")


def test_a_name_is_looked_up_in_path(script, tmp_path: Path) -> None:
    script("clang-like")
    assert find_clang("clang-like", {"PATH": str(tmp_path)}).command == (str(tmp_path / "clang-like"),)


def test_a_named_one_that_does_not_fit_is_not_replaced(script) -> None:
    old = script("old", "clang version 13.0.1")
    assert refused(old, {"PATH": ""}) == {f"--clang {old}": "is clang 13; needs 14 or newer"}
    assert refused(None, {"PATH": "", "WARDGATE_CLANG": old}) == {
        f"WARDGATE_CLANG {old}": "is clang 13; needs 14 or newer"
    }


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({"version": "gcc (GCC) 14.2"}, "is not a clang"),
        (
            {"version": "Apple clang version 15.0.0", "targets": "    x86-64 - 64-bit X86"},
            "has no BPF target",
        ),
        ({"status": 3}, "fails on --version with exit status 3"),
    ],
)
def test_why_one_is_refused(script, answers: dict[str, str], why: str) -> None:
    path = script("candidate", **answers)
    assert refused(path, {"PATH": ""}) == {f"--clang {path}": why}


def test_what_is_not_there_or_not_a_program(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    assert refused("/no/such/clang", {"PATH": ""}) == {"--clang /no/such/clang": "not found"}
    assert "cannot be run" in refused(str(broken), {"PATH": ""})[f"--clang {broken}"]


@pytest.mark.usefixtures("no_wheel")
def test_the_systems_are_searched_newest_first(script, tmp_path: Path) -> None:
    script("clang-16", "clang version 16.0.6")
    script("clang-9", "clang version 9.0.0")
    script("clang-21", "clang version 21.0.0", targets="none")
    script("clang-format-19")
    script("clang", "clang version 12.0.0")
    environ = {"PATH": os.pathsep.join(("/no/such/folder", str(tmp_path)))}
    assert find_clang(None, environ) == Clang((str(tmp_path / "clang-16"),), "16.0.6")
    (tmp_path / "clang-16").unlink()
    assert refused(None, environ) == {
        "the wheel (ziglang)": "not found",
        str(tmp_path / "clang"): "is clang 12; needs 14 or newer",
        str(tmp_path / "clang-21"): "has no BPF target",
        str(tmp_path / "clang-9"): "is clang 9; needs 14 or newer",
    }


@pytest.mark.usefixtures("no_wheel")
def test_a_machine_without_any() -> None:
    assert refused(None, {"PATH": "/no/such/folder"}) == {
        "the wheel (ziglang)": "not found",
        "clang or clang-NN in PATH": "not found",
    }


def test_an_older_one_is_not_asked_what_it_does_not_know() -> None:
    assert "--no-default-config" in Clang(("clang",), "16.0.0").arguments("gate.c")
    assert "--no-default-config" not in Clang(("clang",), "15.0.7").arguments("gate.c")
