"""The reference for many questions about one policy: the same four steps, with the rules arranged by prefix
and subject. Tests hold it against `evaluate`."""

from __future__ import annotations

from wardgate.compiler.language.model import EVERYONE, Address, Packet, Policy, Prefix, Rule
from wardgate.compiler.semantics.reference import (
    Decision,
    Session,
    matching_rules,
    reason_for,
    verdict_of,
)
from wardgate.runtime.layout.codes import Reason, Verdict

_Found = tuple[Prefix, dict[str, list[Rule]]]
"""A prefix, and its rules by subject."""


class Evaluator:
    """Judges packets like `evaluate`. What it costs to make is one look at each rule."""

    def __init__(self, policy: Policy) -> None:
        self._groups: dict[str, list[str]] = {}
        for group, members in policy.groups.items():
            for member in members:
                self._groups.setdefault(member, []).append(group)
        self._prefixes = {inbound: _Prefixes() for inbound in (False, True)}
        for rule in policy.rules:
            self._prefixes[rule.inbound].add(rule)

    def evaluate(self, user: str, packet: Packet, session: Session, login_age: float = 0.0) -> Decision:
        """See `semantics.evaluate`."""
        prefix, bucket = self.bucket(user, packet.remote, inbound=packet.inbound)
        if prefix is None:
            return Decision(Verdict.NONE, False, Reason.NO_BUCKET, None, None, ())
        matching = matching_rules(bucket, packet)
        verdict, rule = verdict_of(matching)
        reason = reason_for(verdict, rule, session, login_age)
        return Decision(verdict, reason is Reason.PASS, reason, prefix, rule, matching)

    def bucket(self, user: str, remote: Address, *, inbound: bool) -> tuple[Prefix | None, tuple[Rule, ...]]:
        """The prefix and the rules that decide about `remote`; None and no rules if there are none."""
        subjects = (EVERYONE, *self._groups.get(user, ()), user)
        for prefix, rules in self._prefixes[inbound].containing(remote):
            found = [rule for subject in subjects for rule in rules.get(subject, ())]
            if found:
                return prefix, tuple(sorted(found, key=lambda rule: rule.id))
        return None, ()


class _Prefixes:
    """The rules of one direction: by version and prefix length, then by the leading bits."""

    def __init__(self) -> None:
        self._known: dict[Prefix, dict[str, list[Rule]]] = {}
        self._by_length: dict[int, dict[int, dict[int, _Found]]] = {4: {}, 6: {}}
        self._lengths: dict[int, list[int]] = {4: [], 6: []}

    def add(self, rule: Rule) -> None:
        """Arrange a rule too."""
        for prefix in dict.fromkeys(rule.destinations):
            rules = self._known.get(prefix)
            if rules is None:
                rules = self._known[prefix] = {}
                leading = int(prefix.network_address) >> (prefix.max_prefixlen - prefix.prefixlen)
                by_length = self._by_length[prefix.version]
                by_length.setdefault(prefix.prefixlen, {})[leading] = (prefix, rules)
                self._lengths[prefix.version] = sorted(by_length, reverse=True)
            rules.setdefault(rule.subject, []).append(rule)

    def containing(self, remote: Address) -> list[_Found]:
        """The prefixes that contain an address, longest first."""
        number, bits = int(remote), remote.max_prefixlen
        by_length = self._by_length[remote.version]
        found = (by_length[length].get(number >> (bits - length)) for length in self._lengths[remote.version])
        return [one for one in found if one is not None]
