"""`wardgate check`: is the policy well-formed, does it hold what it claims, does it say what was meant?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from wardgate.cli import options
from wardgate.cli.console import Console, Rendered
from wardgate.cli.failures import POLICY_SAYS_NO
from wardgate.cli.resolving import resolve_option

if TYPE_CHECKING:
    from wardgate.compiler.language import Resolver
    from wardgate.compiler.lint import Coverage


@click.command("check")
@click.argument("policy", metavar="POLICY", type=options.FILE)
@resolve_option
@click.option("--strict", is_flag=True, help="Fail on warnings and findings too.")
@click.option(
    "--ignore",
    "ignored",
    metavar="CODE[:TEXT]",
    multiple=True,
    help="Leave findings of this kind out, or those about a rule or name with this text.",
)
@click.option(
    "--coverage", "with_coverage", is_flag=True, help="Show which rules the policy's tests decide by."
)
@click.option("--sarif", is_flag=True, help="Print a SARIF document on stdout.")
@options.common
@options.pass_console
def check_command(
    console: Console,
    policy: Path,
    resolver: Resolver,
    strict: bool,
    ignored: tuple[str, ...],
    with_coverage: bool,
    sarif: bool,
) -> int:
    """Read a policy, run its tests and assertions, and lint it.

    Exit status 1 if it has an error, or if any test or assertion fails; with --strict also if there is
    any warning or finding. docs/lint.md describes the findings, and the comments that silence them.
    """  # fmt: skip
    from wardgate.compiler.checking import check_policy
    from wardgate.compiler.language import PolicyError, load_policy
    from wardgate.compiler.lint import coverage_of, lint_policy, sarif_document

    _check_usage(console, ignored, sarif=sarif)
    try:
        loaded = load_policy(policy, resolver=resolver)
    except PolicyError as error:
        if sarif:
            console.document(sarif_document(error.diagnostics, (), _folder(policy)))
        raise
    report = check_policy(loaded.policy)
    linted = lint_policy(loaded, ignored)
    coverage = coverage_of(loaded.policy, report.tests) if with_coverage else None
    failures = report.diagnostics()
    told: list[Rendered] = [*loaded.warnings, *linted.findings]
    console.diagnostics(told)
    if linted.more:
        console.warn(
            f"there {'is' if linted.more == 1 else 'are'} {linted.more:,} more; mend those and run again"
        )
    for diagnostic in failures:
        console.note(diagnostic.render())
    passed = report.passed and not (strict and told)
    status = 0 if passed else POLICY_SAYS_NO
    diagnostics = (*loaded.warnings, *failures)
    if sarif:
        console.document(sarif_document(diagnostics, linted.findings, _folder(policy)))
    elif console.json:
        results = report.to_json()
        document: dict[str, Any] = {
            "ok": passed,
            "status": status,
            "diagnostics": [diagnostic.to_json() for diagnostic in diagnostics],
            "tests": results["tests"],
            "assertions": results["assertions"],
            "findings": linted.to_json(),
            "silenced": linted.silenced,
            "more_findings": linted.more,
        }
        console.document(document if coverage is None else {**document, "coverage": coverage.to_json()})
    if coverage is not None and not sarif:
        console.text(_covered(coverage))
    counts = (
        _count("rule", len(loaded.policy.rules)),
        _held("test", [test.passed for test in report.tests]),
        _held("assertion", [assertion.passed for assertion in report.assertions]),
        _count("warning", len(loaded.warnings)),
        _count("finding", linted.count) + (f" ({linted.silenced} silenced)" if linted.silenced else ""),
    )
    summary = f"{policy}: {', '.join(counts)}"
    if sarif:
        console.note(summary)
    else:
        console.text(summary)
    return status


def _check_usage(console: Console, ignored: Sequence[str], *, sarif: bool) -> None:
    from wardgate.compiler.lint import CODES

    if sarif and console.json:
        raise click.UsageError("--sarif and --json are two documents, and stdout has one")
    for word in ignored:
        if word.partition(":")[0] not in CODES:
            raise click.BadParameter(
                f"{word!r} begins with no finding's code; there are: {', '.join(CODES)}",
                param_hint="--ignore",
            )


def _folder(policy: Path) -> str:
    """The folder of the policy relative to the working directory, which is taken for that of a checkout;
    nothing where it is outside of it, and names are then relative to the policy."""
    try:
        folder = policy.resolve().parent.relative_to(Path.cwd().resolve())
    except ValueError:
        return ""
    return "" if folder == Path() else f"{folder.as_posix()}/"


def _covered(coverage: Coverage) -> str:
    lines = [
        f"{line.rule.position}: {line.tests or 'no'} test{'' if line.tests == 1 else 's'}: {line.rule.text}"
        for line in coverage.lines
    ]
    share = f"{coverage.decided} of {_count('rule', len(coverage.lines))} decided a test"
    return "\n".join([*lines, f"{share} ({coverage.percent}%)"])


def _count(what: str, number: int) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _held(what: str, passed: list[bool]) -> str:
    failed = passed.count(False)
    return (
        f"{failed} of {_count(what, len(passed))} FAILED" if failed else f"{_count(what, len(passed))} passed"
    )
