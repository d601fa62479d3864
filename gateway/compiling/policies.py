"""Policies as a gateway enforces them: their text, the store's members of groups, and the portal's rule."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Any, Final

from wardgate.compiler.analysis.diff import compare
from wardgate.compiler.analysis.difference_text import shown
from wardgate.compiler.analysis.documents import difference_document
from wardgate.compiler.analysis.policy_view import view_of_policy
from wardgate.compiler.checking import check_policy
from wardgate.compiler.language import LoadedPolicy, parse_policy_text
from wardgate.compiler.language.model import Action, Address, Packet, Policy
from wardgate.compiler.language.resolver import Resolver
from wardgate.compiler.lint import lint_policy
from wardgate.compiler.recompile import Recompiler
from wardgate.compiler.semantics import Evaluator, Session
from wardgate.compiler.semantics.effective import effective_rules, user_classes
from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.errors import InvalidError
from wardgate.runtime.layout.codes import Verdict
from wardgate.runtime.layout.manifest import Manifest

Network = IPv4Network | IPv6Network

PORTAL_FILE: Final = "portal of the gateway"
"""What positions of the portal's rules name as their file."""
_TCP: Final = 6


@dataclass(frozen=True, slots=True)
class Portal:
    """Where the portal is: tunnel addresses of the gateway, and the TCP port."""

    addresses: tuple[Address, ...]
    port: int

    @property
    def text(self) -> str:
        """The policy that lets everybody reach it."""
        rules = ", ".join(f'"{address} {self.port}/tcp"' for address in self.addresses)
        return f'version: 1\npolicies:\n  "*":\n    allow: [{rules}]\n'


@dataclass(frozen=True, slots=True)
class Composed:
    """A policy that can be enforced: what its text says, with the store's members and the portal's rules."""

    policy: Policy
    loaded: LoadedPolicy

    @property
    def groups(self) -> Collection[str]:
        """Groups that the policy knows, as `group:NAME`."""
        return self.policy.groups.keys()

    @property
    def names(self) -> Collection[str]:
        """DNS names that it asks for."""
        return self.policy.resolved.keys()

    def reachable(self, user: str) -> tuple[Network, ...]:
        """Prefixes in which the user may reach something, with a session or without, as few as can be."""
        rules = effective_rules(self.policy, user, inbound=False)
        prefixes = [
            prefix for rule in rules if rule.action is not Action.DENY for prefix in rule.destinations
        ]
        four = collapse_addresses(prefix for prefix in prefixes if isinstance(prefix, IPv4Network))
        six = collapse_addresses(prefix for prefix in prefixes if isinstance(prefix, IPv6Network))
        return (*four, *six)


@dataclass(frozen=True, slots=True)
class Enforceable:
    """What a gate is given: an artefact to swap to, or where that is None a manifest to reassign by."""

    manifest: Manifest
    artefact: bytes | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What changes between two policies: for people, and as `wardgate diff --json` says it."""

    text: str
    document: Mapping[str, Any]
    widens: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """What a policy says of itself. `failures` are tests and assertions that do not hold, `warnings` what
    should be looked at: each as it is shown to people, and as plain data."""

    failures: tuple[str, ...]
    warnings: tuple[str, ...]
    documents: tuple[Mapping[str, Any], ...]


def compose(
    bundle: Bundle, members: Mapping[str, Collection[str]], portal: Portal, resolver: Resolver | None
) -> Composed:
    """The policy of `bundle` with `members` more in its groups (those that it does not know are left out: no
    rule is theirs) and the portal reachable for all.

    PolicyError where the text has errors; InvalidError where the portal could not be reached under it.
    """
    loaded = parse_policy_text(bundle.files[bundle.main], bundle.main, bundle.files, resolver=resolver)
    policy = loaded.policy
    groups = {
        group: tuple(dict.fromkeys([*found, *sorted(members.get(group, ()))]))
        for group, found in policy.groups.items()
    }
    own = parse_policy_text(portal.text, PORTAL_FILE).policy
    last = len(policy.rules)
    rules = [replace(rule, id=last + number) for number, rule in enumerate(own.rules, 1)]
    whole = replace(policy, groups=groups, rules=(*policy.rules, *rules), files=(*policy.files, *own.files))
    _check_portal(whole, portal)
    return Composed(whole, loaded)


def _check_portal(policy: Policy, portal: Portal) -> None:
    for address in portal.addresses:
        if not any(address in prefix for prefix in policy.tunnel):
            shown_tunnel = ", ".join(map(str, policy.tunnel)) or "none"
            raise InvalidError(
                "compose policy",
                policy.files[0].name,
                f"the gateway's address {address} is outside of the policy's tunnel ({shown_tunnel})",
                "correct `tunnel` in the policy, or `addresses` in the gateway's settings",
            )
    evaluator = Evaluator(policy)
    # Somebody of each class of users stands for it; the first class is of those whom nobody names.
    for found in user_classes(policy).classes:
        user = found.users[0] if found.users else ""
        for address in portal.addresses:
            decision = evaluator.evaluate(user, Packet(address, _TCP, portal.port), Session.NONE)
            if decision.verdict is not Verdict.ALLOW:
                rule = decision.rule
                where = f"`{rule.text}` at {rule.position}" if rule is not None else "a rule"
                raise InvalidError(
                    "compose policy",
                    policy.files[0].name,
                    f"{where} would keep {user or 'users'} from the portal, {address} {portal.port}/tcp",
                    "take the gateway's own address out of the rule",
                )


def check(composed: Composed) -> Checked:
    """Run a policy's tests and assertions, and lint it."""
    report = check_policy(composed.policy)
    failures = report.diagnostics()
    linted = lint_policy(composed.loaded)

    return Checked(
        tuple(one.render() for one in failures),
        (
            *(one.render() for one in composed.loaded.warnings),
            *(one.render() for one in linted.findings),
        ),
        (
            *(one.to_json() for one in failures),
            *(one.to_json() for one in composed.loaded.warnings),
            *linted.to_json(),
        ),
    )


def difference(old: Composed, new: Composed) -> Difference:
    """All that differs in meaning; see compiler.analysis.diff."""
    found = compare(view_of_policy(old.policy, "in force"), view_of_policy(new.policy, "new"))
    return Difference("\n\n".join(shown(found)), difference_document(found), found.widens)


class Compiler:
    """Makes of composed policies what a gate is given; where only members of groups changed, next to nothing.

    `budget`: bytes that tables may take at most, None: what they are worth.
    """

    def __init__(self, budget: int | None = None) -> None:
        self._budget = budget
        self._current: Composed | None = None
        self._recompiler = self._fresh()

    def _fresh(self) -> Recompiler:
        return Recompiler(self._load, budget=self._budget)

    def _load(self) -> LoadedPolicy:
        if self._current is None:
            raise AssertionError("asked before `compile`")
        return LoadedPolicy(self._current.policy, ())

    def compile(self, composed: Composed) -> Enforceable:
        """What to give to the gate that has what the last call gave, or to a new one.

        BudgetError, BackendError, ValidationError; then the last call's is still what the gate has.
        """
        self._current = composed
        change = self._recompiler.compile()
        return Enforceable(change.manifest, change.artefact.data if change.artefact else None)

    def forget(self) -> None:
        """Make the next `compile` give an artefact whatever it was before: the gate refused the last one."""
        self._recompiler = self._fresh()


Reachable = Callable[[str], tuple[Network, ...]]
