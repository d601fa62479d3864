"""The reference for many questions about one policy: the same four steps, with the work of the first
two kept. Tests hold it against `evaluate`."""

from __future__ import annotations

from wardgate.compiler.language.model import Address, Packet, Policy, Prefix, Rule
from wardgate.compiler.semantics.effective import UserClass, buckets, user_classes
from wardgate.compiler.semantics.reference import (
    Decision,
    Session,
    matching_rules,
    reason_for,
    verdict_of,
)
from wardgate.runtime.layout.codes import Reason, Verdict


class Evaluator:
    """Judges packets like `evaluate`, keeping the buckets of each user class once they are asked for."""

    def __init__(self, policy: Policy) -> None:
        self._classes = user_classes(policy)
        self._buckets: dict[tuple[int, bool], _Buckets] = {}

    def evaluate(self, user: str, packet: Packet, session: Session) -> Decision:
        """See `semantics.evaluate`."""
        prefix, bucket = self.bucket(user, packet.remote, inbound=packet.inbound)
        if prefix is None:
            return Decision(Verdict.NONE, False, Reason.NO_BUCKET, None, None, ())
        matching = matching_rules(bucket, packet)
        verdict, rule = verdict_of(matching)
        reason = reason_for(verdict, session)
        return Decision(verdict, reason is Reason.PASS, reason, prefix, rule, matching)

    def bucket(self, user: str, remote: Address, *, inbound: bool) -> tuple[Prefix | None, tuple[Rule, ...]]:
        """The prefix and the rules that decide about `remote`; None and no rules if there are none."""
        key = (self._classes.index(user), inbound)
        kept = self._buckets.get(key)
        if kept is None:
            kept = self._buckets[key] = _Buckets(self._classes.classes[key[0]], inbound)
        return kept.containing(remote)


class _Buckets:
    """The buckets of a user class in one direction: by prefix length, then by the leading bits."""

    def __init__(self, users: UserClass, inbound: bool) -> None:
        found: dict[int, dict[int, dict[int, tuple[Prefix, tuple[Rule, ...]]]]] = {4: {}, 6: {}}
        for prefix, rules in buckets(users.rules(inbound=inbound)).items():
            leading = int(prefix.network_address) >> (prefix.max_prefixlen - prefix.prefixlen)
            found[prefix.version].setdefault(prefix.prefixlen, {})[leading] = (prefix, rules)
        self._longest_first = {
            version: sorted(lengths.items(), reverse=True) for version, lengths in found.items()
        }

    def containing(self, remote: Address) -> tuple[Prefix | None, tuple[Rule, ...]]:
        for length, by_leading in self._longest_first[remote.version]:
            bucket = by_leading.get(int(remote) >> (remote.max_prefixlen - length))
            if bucket is not None:
                return bucket
        return None, ()
