"""Compilers that work beside the process: made ready early, waited for late, and always ended."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sample_gate import UNIT
from wardgate.compiler.backend import BACKENDS, Backend, BackendError, Clang, Toolchain, build_object
from wardgate.compiler.backend import process as process_module
from wardgate.compiler.backend import toolchain as toolchain_module
from wardgate.compiler.backend.llvm_child import _LOCAL_VARIABLE, MODES

each_backend = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started, all of which must have ended when a test looks."""
    found: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def popen(*arguments, **options):
        found.append(real(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(subprocess, "Popen", popen)
    return found


@pytest.fixture
def script(tmp_path: Path):
    """Makes a program that stands for a clang."""

    def make(*lines: str) -> Clang:
        path = tmp_path / "clang"
        path.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
        path.chmod(0o755)
        return Clang((str(path),), "19.1.0")

    return make


def all_ended(started: list[subprocess.Popen[bytes]]) -> bool:
    return all(process.returncode is not None for process in started)


@each_backend
def test_what_is_made_is_what_one_call_makes(backend: Backend) -> None:
    with Toolchain(backend) as tools:
        tools.start(UNIT)
        versions = tools.tools()
        built = tools.result()
    assert built == build_object(UNIT, backend=backend)
    assert built.tools == versions


@each_backend
def test_compilers_that_nobody_needed_are_ended(backend: Backend, started: list) -> None:
    with Toolchain(backend):
        pass
    with pytest.raises(KeyError), Toolchain(backend):
        raise KeyError("a policy is wrong")
    assert started
    assert all_ended(started)


@each_backend
def test_compilers_that_nobody_waited_for_are_ended(backend: Backend, started: list) -> None:
    with Toolchain(backend) as tools:
        tools.start(UNIT)
    assert all_ended(started)


def test_llvm_comes_up_before_there_is_work(started: list, script) -> None:
    with Toolchain(clang=script("exit 0")):
        assert any("llvm_child" in str(process.args) for process in started)
    assert all_ended(started)


def test_a_result_of_nothing() -> None:
    with Toolchain("clang") as tools, pytest.raises(ValueError, match="no unit was started"):
        tools.result()


def test_llvm_that_cannot_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list) -> None:
    child = tmp_path / "llvm_child.py"
    child.write_text("raise ImportError('libLLVM.so is not there')\n")
    monkeypatch.setattr(toolchain_module.llvm_child, "__file__", str(child))
    with pytest.raises(BackendError, match=r"(?s)cannot build gate.c: .*libLLVM.so is not there"):
        build_object(UNIT)
    with Toolchain() as tools, pytest.raises(BackendError, match=r"libLLVM.so is not there"):
        tools.tools()
    assert all_ended(started)


def test_a_python_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(BackendError, match=r"cannot run /nonexistent/python: No such file"):
        build_object(UNIT)


@each_backend
@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["echo 'ran out of luck: an error' >&2", "exit 3"],
            r"clang: exit status 3\nran out of luck: an error",
        ),
        (["echo half of it", "kill -9 $$"], r"clang: ended by signal 9"),
        (["echo 'gate.c:1:2: error: no' >&2", "exit 1"], r"gate.c:1:2: error: no"),
    ],
)
def test_a_clang_that_fails(backend: Backend, lines: list[str], said: str, script, started: list) -> None:
    with pytest.raises(BackendError, match=said):
        build_object(UNIT, backend=backend, clang=script(*lines))
    assert all_ended(started)


def test_a_clang_that_nobody_reads_from_is_not_to_blame(script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain_module.llvm_child, "__file__", "/nonexistent/llvm_child.py")
    with pytest.raises(BackendError, match=r"can't open file '/nonexistent/llvm_child.py'"):
        build_object(UNIT, clang=script("sleep 0.3", "yes"))


@each_backend
def test_a_clang_that_never_ends(
    backend: Backend, script, monkeypatch: pytest.MonkeyPatch, started: list
) -> None:
    monkeypatch.setattr(process_module, "_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(BackendError, match=r"was still running after 0.2 s\nTry the other backend"):
        build_object(UNIT, backend=backend, clang=script("exec sleep 60"))
    assert all_ended(started)


def test_local_variables_are_left_out_of_the_ir() -> None:
    kept = "  %1 = alloca i32, align 4\n  store i32 0, ptr %1, align 4, !dbg !3\n"
    for declared in (
        "    #dbg_declare(ptr %1, !12, !DIExpression(), !13)\n",
        "  call void @llvm.dbg.declare(metadata ptr %1, metadata !12, metadata !DIExpression()), !dbg !13\n",
    ):
        assert (
            _LOCAL_VARIABLE.sub("", "define void @f() {\n" + declared + kept)
            == f"define void @f() {{\n{kept}"
        )
    assert _LOCAL_VARIABLE.sub("", kept) == kept
    declaration = "\ndeclare void @llvm.dbg.declare(metadata, metadata, metadata)\n"
    assert _LOCAL_VARIABLE.sub("", declaration) == declaration


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_both_backends(mode: str) -> None:
    for backend in BACKENDS:
        with Toolchain(backend) as tools:
            tools.start(UNIT, mode)
            data = tools.result().data
        assert data.startswith(b"\x7fELF") if mode == "object" else re.search(rb"gate_ingress", data)
