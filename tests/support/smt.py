"""A policy and an assertion as formulas, for a solver that knows nothing of classes, intervals or buckets.

The second opinion for the prover: who a user is, which groups the user is in, the address, the protocol, the
port and the session are free, and what the definition says of them is written down rule by rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import z3
from wardgate.compiler.language.model import (
    EVERYONE,
    Action,
    Assertion,
    AssertionKind,
    Everything,
    Icmp,
    Policy,
    Ports,
    Prefix,
    Protocol,
    ServiceForm,
)

_STRANGER = "-"


class Question:
    """Whether a packet contradicts an assertion, for remote addresses of one IP version."""

    def __init__(self, policy: Policy, assertion: Assertion, version: int) -> None:
        self._policy, self._assertion, self._version = policy, assertion, version
        self._users = [_STRANGER, *sorted({*policy.users, *self._subject_user()})]
        self._user = z3.Int("user")
        self._member = {group: z3.Bool(f"in {group}") for group in policy.groups}
        self._address = z3.BitVec("address", 32 if version == 4 else 128)
        self._protocol, self._port = z3.BitVec("protocol", 8), z3.BitVec("port", 16)
        self._authed = z3.Bool("authed")

    def _subject_user(self) -> list[str]:
        subject = self._assertion.subject
        return [] if subject == EVERYONE or subject.startswith("group:") else [subject]

    def contradicted(self) -> bool:
        """Whether there is such a packet."""
        solver = z3.Solver()
        assertion = self._assertion
        solver.add(self._user >= 0, self._user < len(self._users))
        if not assertion.any_membership:
            for group, members in self._policy.groups.items():
                solver.add(self._member[group] == z3.Or([self._is(user) for user in members]))
        concerned = self._applies(assertion.subject)
        if assertion.kind is AssertionKind.ONLY:
            concerned = z3.Not(concerned)
        solver.add(concerned)
        solver.add(z3.Or([self._inside(prefix) for prefix in self._own(assertion.destinations)]))
        solver.add(self._covered(assertion.services))
        if assertion.authed is not None:
            solver.add(self._authed == assertion.authed)
        passes = self._passes()
        solver.add(z3.Not(passes) if assertion.kind is AssertionKind.ALWAYS else passes)
        return bool(solver.check() == z3.sat)

    def _own(self, prefixes: Iterable[Prefix]) -> list[Prefix]:
        return [prefix for prefix in prefixes if prefix.version == self._version]

    def _is(self, user: str) -> Any:
        return self._user == self._users.index(user)

    def _applies(self, subject: str) -> Any:
        if subject == EVERYONE:
            return z3.BoolVal(True)
        return self._member[subject] if subject.startswith("group:") else self._is(subject)

    def _inside(self, prefix: Prefix) -> Any:
        mask = z3.BitVecVal(int(prefix.netmask), prefix.max_prefixlen)
        return self._address & mask == z3.BitVecVal(int(prefix.network_address), prefix.max_prefixlen)

    def _covered(self, forms: Iterable[ServiceForm]) -> Any:
        return z3.Or([self._covers(form) for form in forms])

    def _covers(self, form: ServiceForm) -> Any:
        match form:
            case Everything():
                return z3.BoolVal(True)
            case Ports(protocols, low, high):
                protocol = z3.Or([self._protocol == number for number in protocols])
                return z3.And(protocol, z3.UGE(self._port, low), z3.ULE(self._port, high))
            case Protocol(number):
                return self._protocol == number
            case Icmp():
                return self._protocol == (1 if self._version == 4 else 58)

    def _passes(self) -> Any:
        rules = [rule for rule in self._policy.rules if rule.inbound is self._assertion.inbound]
        prefixes = {prefix for rule in rules for prefix in self._own(rule.destinations)}
        has = {
            prefix: z3.And(
                self._inside(prefix),
                z3.Or([self._applies(rule.subject) for rule in rules if prefix in rule.destinations]),
            )
            for prefix in prefixes
        }
        ways = []
        for prefix in prefixes:
            longer = [has[other] for other in prefixes if other.prefixlen > prefix.prefixlen]
            says = {
                action: z3.Or(
                    [
                        z3.And(self._applies(rule.subject), self._covered(rule.services))
                        for rule in rules
                        if rule.action is action and prefix in rule.destinations
                    ]
                )
                for action in Action
            }
            lets = z3.If(says[Action.MFA], self._authed, says[Action.ALLOW])
            ways.append(z3.And(has[prefix], z3.Not(z3.Or(longer)), z3.Not(says[Action.DENY]), lets))
        return z3.Or(ways)


def holds(policy: Policy, assertion: Assertion) -> bool:
    """Whether no packet contradicts the assertion, by the solver."""
    versions = {prefix.version for prefix in assertion.destinations}
    return not any(Question(policy, assertion, version).contradicted() for version in versions)
