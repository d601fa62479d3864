"""How diagnostics look, and in which order they come."""

from __future__ import annotations

import pytest
from wardgate.compiler.language import Code, Diagnostic, PolicyError, Severity, parse_policy_text
from wardgate.compiler.language.diagnostics import MAX_DIAGNOSTICS, MAX_SHOWN_LINE, Report
from wardgate.compiler.language.model import Position
from wardgate.compiler.language.names import Vocabulary, did_you_mean, quoted
from wardgate.compiler.language.source import Source


def diagnostic(line: str, column: int, length: int = 1) -> Diagnostic:
    return Diagnostic(
        Severity.ERROR, Code.PORT, "wrong", Position("d/p.yaml", 7, column), line, "mend it", length
    )


def test_an_error_is_shown_with_its_line_and_a_caret() -> None:
    assert diagnostic("  a: b c", 6, 1).render() == (
        "d/p.yaml:7:6: error: wrong\n      a: b c\n         ^\n  help: mend it"
    )


@pytest.mark.parametrize(
    ("line", "column", "length", "underline"),
    [
        ("\ta\tbc", 4, 2, "\t \t^^"),
        ("\u4f60\u597d x", 4, 1, "     ^"),
        ("\u4f60\u597d", 2, 1, "  ^^"),
        ("e\u0301x", 3, 1, " ^"),
        ("abc", 4, 1, "   ^"),
        ("abc", 9, 3, "        ^"),
        ("abc", 2, 99, " ^^"),
    ],
)
def test_the_caret_stands_under_what_is_meant(line: str, column: int, length: int, underline: str) -> None:
    assert diagnostic(line, column, length).render().splitlines()[2] == "    " + underline


def test_long_lines_are_cut_around_the_place() -> None:
    for column in (1, 50, 5_000, 9_990, 10_000):
        line = "x" * (column - 1) + "!" + "y" * (10_000 - column)
        _, shown, caret, _ = diagnostic(line, column).render().splitlines()
        assert len(shown) <= MAX_SHOWN_LINE + 10
        assert shown[caret.index("^")] == "!"
        assert len(diagnostic(line, column).to_json()["source_line"]) <= MAX_SHOWN_LINE + 6


def test_as_data() -> None:
    assert diagnostic("  a: b c", 6, 3).to_json() == {
        "severity": "error",
        "code": "port",
        "message": "wrong",
        "file": "d/p.yaml",
        "line": 7,
        "column": 6,
        "length": 3,
        "source_line": "  a: b c",
        "remedy": "mend it",
    }


def test_diagnostics_come_in_source_order_without_repetition() -> None:
    report = Report()
    for name in ("main.yaml", "a.yaml"):
        report.add_source(name, Source(name, "x"))
    for name, line, column in [
        ("a.yaml", 1, 1),
        ("main.yaml", 9, 2),
        ("main.yaml", 9, 1),
        ("main.yaml", 9, 2),
    ]:
        report.error(Code.TYPE, Position(name, line, column), "wrong", "mend it")
    report.warning(Code.TYPE, Position("main.yaml", 9, 1), "odd", "look")
    assert [(str(d.position), d.severity) for d in report.diagnostics()] == [
        ("main.yaml:9:1", Severity.ERROR),
        ("main.yaml:9:1", Severity.WARNING),
        ("main.yaml:9:2", Severity.ERROR),
        ("a.yaml:1:1", Severity.ERROR),
    ]


def test_of_very_many_errors_the_first_are_shown() -> None:
    rules = "".join(f"    - 10.0.0.1 {n}/tcp 0/udp\n" for n in range(1, MAX_DIAGNOSTICS + 5))
    with pytest.raises(PolicyError) as caught:
        parse_policy_text(f"version: 1\npolicies:\n  a:\n    allow:\n{rules}")
    assert len(caught.value.errors) == MAX_DIAGNOSTICS + 1
    assert caught.value.errors[-1].message == "only the first 10000 errors are shown"


def test_an_error_is_shown_however_many_warnings_there_are() -> None:
    rules = "".join(f"    - 10.0.0.{n % 255 + 1}/24\n" for n in range(MAX_DIAGNOSTICS + 5))
    text = f"version: 1\npolicies:\n  a:\n    allow:\n{rules}"
    loaded = parse_policy_text(text)
    assert len(loaded.policy.rules) == MAX_DIAGNOSTICS + 5
    assert loaded.warnings[-1].message == "only the first 10000 warnings are shown"
    with pytest.raises(PolicyError) as caught:
        parse_policy_text(text + "    - 10.0.0.1 0/tcp\n")
    (error,) = caught.value.errors
    assert error.code is Code.PORT


def test_reading_stops_where_no_more_errors_are_shown() -> None:
    for text in ("{" + "a: 1," * 100_000 + "}", "[" + "*a," * 100_000):
        with pytest.raises(PolicyError, match="only the first 10000 errors"):
            parse_policy_text(text)


def test_quoted_text_cannot_drive_a_terminal() -> None:
    assert quoted("a\x1b[2J\u202e\n") == "`a\\x1b[2J\\u202e\\n`"
    assert quoted("x" * 100) == "`" + "x" * 57 + "...`"
    assert quoted("\udc80") == "`\\udc80`"


HOSTS = {f"did you mean `host0{n}`?" for n in range(5000, 5100)}


def test_did_you_mean() -> None:
    assert did_you_mean("wikl", ["wiki", "lab"]) == "did you mean `wiki`?"
    assert did_you_mean("nothing", ["wiki", "lab"]) == ""
    assert did_you_mean("x" * 10_000, ["x" * 9_999]) == ""
    many = Vocabulary(f"host{n:05}" for n in range(20_000))
    assert many.did_you_mean("host0500x") in HOSTS
    assert many.did_you_mean("most05000") == "did you mean `host05000`?"
