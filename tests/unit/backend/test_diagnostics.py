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


STACK = """\
office.yaml:12:36: error: Looks like the BPF stack limit is exceeded. Please move large on stack variables.

   12 | __attribute__((section("tc"))) int gate(void *c)
      |                                    ^
office.yaml:12:36: note: could not determine the original source location for office.yaml:15:9
office.yaml:12:36: note: could not determine the original source location for office.yaml:0:0
office.yaml:12:36: error: Looks like the BPF stack limit is exceeded. Please move large on stack variables.

   12 | __attribute__((section("tc"))) int gate(void *c)
      |                                    ^
office.yaml:12:36: note: could not determine the original source location for office.yaml:15:9
2 errors generated.
"""
ARGUMENTS = """\
office.yaml:3:5: error: stack arguments are not supported
    3 | int many(int a,int b,int c,int d,int e,int f){return a+f;}
      |     ^
office.yaml:6:36: error: 0x7feb: i64 = GlobalAddress<ptr @many2> 0, office.yaml:6:60 too many arguments
    6 | __attribute__((section("tc"))) int gate2(void *c) { return many2(1,2,3,4,5,(int)(long)c); }
      |                                    ^
office.yaml:6:36: note: could not determine the original source location for office.yaml:6:60
3 errors generated.
"""


def test_the_code_generators_place_is_taken_where_clang_does_not_know_it() -> None:
    """As clang 22 says it: the line in the function, once, and no line of C that it is not about."""
    (found,) = parse_diagnostics(STACK)
    assert (found.file, found.line, found.column, found.excerpt) == ("office.yaml", 15, 9, "")
    assert found.message.startswith("Looks like the BPF stack limit")


def test_the_code_generators_own_names_are_left_out() -> None:
    first, second = parse_diagnostics(ARGUMENTS)
    assert (first.line, first.excerpt.count("^")) == (3, 1)
    assert str(second).splitlines()[0] == "office.yaml:6:60: error: many2: too many arguments"


def test_a_complaint_about_nothing_in_the_c() -> None:
    (found,) = parse_diagnostics("error: <unknown>:0:0: in function gate i32 (ptr): too much\n")
    assert str(found) == "error: in function gate i32 (ptr): too much"
