"""`wardgate check`: is the policy well-formed, and does it hold what it claims of itself?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from wardgate.cli import options
from wardgate.cli.console import Console
from wardgate.cli.failures import POLICY_SAYS_NO
from wardgate.cli.resolving import resolve_option

if TYPE_CHECKING:
    from wardgate.compiler.language import Resolver


@click.command("check")
@click.argument("policy", metavar="POLICY", type=options.FILE)
@resolve_option
@options.common
@options.pass_console
def check_command(console: Console, policy: Path, resolver: Resolver) -> int:
    """Read a policy and run its tests and assertions.

    Exit status 1 if it has an error, or if any test or assertion fails.
    """
    from wardgate.compiler.checking import check_policy
    from wardgate.compiler.language import load_policy

    loaded = load_policy(policy, resolver=resolver)
    report = check_policy(loaded.policy)
    diagnostics = (*loaded.warnings, *report.diagnostics())
    console.warnings([diagnostic.render() for diagnostic in loaded.warnings])
    for diagnostic in report.diagnostics():
        console.note(diagnostic.render())
    status = 0 if report.passed else POLICY_SAYS_NO
    if console.json:
        results = report.to_json()
        console.document(
            {
                "ok": report.passed,
                "status": status,
                "diagnostics": [diagnostic.to_json() for diagnostic in diagnostics],
                "tests": results["tests"],
                "assertions": results["assertions"],
            }
        )
    counts = (
        _count("rule", len(loaded.policy.rules)),
        _held("test", [test.passed for test in report.tests]),
        _held("assertion", [assertion.passed for assertion in report.assertions]),
        _count("warning", len(loaded.warnings)),
    )
    console.text(f"{policy}: {', '.join(counts)}")
    return status


def _count(what: str, number: int) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _held(what: str, passed: list[bool]) -> str:
    failed = passed.count(False)
    return (
        f"{failed} of {_count(what, len(passed))} FAILED" if failed else f"{_count(what, len(passed))} passed"
    )
