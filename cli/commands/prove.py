"""`wardgate prove`: does an assertion hold of a policy, for every packet that there is?"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from wardgate.cli import columns, options
from wardgate.cli.console import Console
from wardgate.cli.failures import POLICY_SAYS_NO
from wardgate.cli.resolving import resolve_option

if TYPE_CHECKING:
    from wardgate.compiler.analysis.memberships import Memberships
    from wardgate.compiler.analysis.prover import Proved
    from wardgate.compiler.language import Resolver

_LARGE = 10**6
"""From here on, powers of two are easier to read than digits."""


@click.command("prove")
@click.argument("policy", metavar="POLICY", type=options.FILE)
@click.argument("assertion", metavar="ASSERTION")
@resolve_option
@options.common
@options.pass_console
def prove_command(console: Console, policy: Path, assertion: str, resolver: Resolver) -> int:
    """Prove an assertion about a policy, or show a packet that contradicts it.

    ASSERTION is what an entry of the policy's `assertions` would be, such as
    'never: {as: group:contractors, to: 10.1.0.0/16, service: 22/tcp}'. With `membership: any` in it, it is
    about users in any groups, and not only in those that they are in. Exit status 1 if it does not hold.
    """
    from wardgate.compiler.analysis.prover import prove
    from wardgate.compiler.language import load_claim

    loaded, claim = load_claim(policy, assertion, resolver=resolver)
    console.warnings([diagnostic.render() for diagnostic in loaded.warnings])
    proved = prove(loaded.policy, claim)
    status = 0 if proved.passed else POLICY_SAYS_NO
    if console.json:
        from wardgate.compiler.checking import proof_json

        diagnostics = [diagnostic.to_json() for diagnostic in loaded.warnings]
        console.document(
            {"ok": proved.passed, "status": status, **proof_json(proved), "diagnostics": diagnostics}
        )
    for line in _told(proved):
        console.text(textwrap.fill(line, max(columns.width(), 40), subsequent_indent="  "))
    return status


def _told(proved: Proved) -> Iterator[str]:
    yield f"{'holds' if proved.passed else 'does not hold'}: {proved.assertion.text}"
    if proved.counterexample is not None:
        yield f"  {proved.counterexample}"
        return
    if proved.memberships is not None:
        yield f"  for {_sets(proved.memberships)}"
    cases, classes = _counted(proved.cases, "case"), _counted(proved.classes, "class")
    yield f"  proved by looking at {cases} of {classes} of users"


def _counted(number: int, what: str) -> str:
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number:,} {what if number == 1 else plural}"


def _sets(memberships: Memberships) -> str:
    users, groups = _counted(memberships.users, "user"), memberships.groups
    if memberships.count < _LARGE:
        return f"{memberships.count:,} combinations of {users} and sets of groups"
    return f"{users} in each of 2^{groups} sets of groups"
