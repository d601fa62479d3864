"""Compilers' messages, read as data."""

from __future__ import annotations

import pytest
from wardgate.compiler.backend.diagnostics import Diagnostic, parse_diagnostics, relevant_lines


def test_clangs_form() -> None:
    stderr = (
        "policies/a.yaml:3:7: error: expected ';'\n    3 | int x\n      |       ^\n"
        "gate.c:9:1: note: here\n2 errors generated.\n"
    )
    assert parse_diagnostics(stderr) == (
        Diagnostic("policies/a.yaml", 3, 7, "error", "expected ';'", "    3 | int x\n      |       ^"),
        Diagnostic("gate.c", 9, 1, "note", "here"),
    )


def test_the_code_generators_form() -> None:
    stderr = "error: office.yaml:3:8: in function f i32 (ptr): too many arguments\n"
    (diagnostic,) = parse_diagnostics(stderr)
    assert (diagnostic.file, diagnostic.line, diagnostic.is_error) == ("office.yaml", 3, True)
    assert str(diagnostic) == "office.yaml:3:8: error: in function f i32 (ptr): too many arguments"


@pytest.mark.parametrize(("kind", "stops"), [("error", True), ("fatal error", True), ("warning", False)])
def test_what_stops_a_compiler(kind: str, stops: bool) -> None:
    (diagnostic,) = parse_diagnostics(f"a b.h:1:2: {kind}: a: b\n")
    assert (diagnostic.file, diagnostic.message, diagnostic.is_error) == ("a b.h", "a: b", stops)


def test_what_is_not_a_diagnostic() -> None:
    assert parse_diagnostics("") == ()
    assert parse_diagnostics("Stack dump:\n0. Program arguments\n  indented\n") == ()


def test_what_is_shown_of_a_crash() -> None:
    stderr = "noise\nPLEASE submit a bug\nLLVM ERROR: broken\nStack dump:\n#0 0x1 (zig+0x1)\n"
    assert relevant_lines(stderr) == "LLVM ERROR: broken"
    assert relevant_lines("\n".join(f"line {n}" for n in range(99))).count("\n") == 5
    assert relevant_lines("") == ""
