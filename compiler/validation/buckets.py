"""Buckets as the manifest has them, and the policy's side of what they decide.

Rows of decisions are painted as bytes of the same shape as the tables', so that comparing them is
comparing bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wardgate.compiler.language.model import Action, Policy
from wardgate.compiler.validation.encoded import Encoded, integers
from wardgate.compiler.validation.errors import ValidationError
from wardgate.compiler.validation.kinds import ServiceKinds
from wardgate.compiler.validation.prefixes import PrefixTree
from wardgate.runtime.layout.codes import Verdict

NO_BUCKET = 0
VERDICT_BITS = 2
"""A decision is `rule id << VERDICT_BITS | verdict`, as `consider` of decide.h takes it apart."""

_VERDICT_OF = bytes(first & (1 << VERDICT_BITS) - 1 for first in range(256))
"""For bytes.translate: the verdict of a decision by its first byte, little-endian."""

_VERDICTS = {Action.ALLOW: Verdict.ALLOW, Action.MFA: Verdict.MFA, Action.DENY: Verdict.DENY}
_PAINTED = tuple(_VERDICTS)
"""What wins is painted last (semantics.reference, step 3)."""

_Strokes = tuple[bytes, list[tuple[int, int, int]]]
"""A rule's decision, and where it is painted: (first byte, end, entries)."""


class Buckets:
    """The manifest's buckets, found by what they are: prefix and rules.

    ValidationError where the manifest has one twice, or one whose parts the policy does not have.
    """

    def __init__(self, encoded: Encoded, policy: Policy, tree: PrefixTree) -> None:
        self._tree = tree
        self._numbers: dict[tuple[int, tuple[int, ...]], int] = {}
        self._met: set[int] = set()
        self._described = encoded.manifest.buckets
        directions = {way: {r.id for r in policy.rules if r.inbound is way} for way in (False, True)}
        for bucket in self._described:
            node = tree.node_of.get(bucket.prefix)
            if node is None:
                raise ValidationError(
                    f"bucket {bucket.id}", f"prefix {bucket.prefix!r}", "has no rule for it"
                )
            if not directions[bucket.inbound].issuperset(bucket.rules):
                raise ValidationError(f"bucket {bucket.id}", f"inbound: {bucket.inbound}", "the opposite")
            twin = self._numbers.setdefault((node, bucket.rules), bucket.id)
            if twin != bucket.id:
                raise ValidationError(f"bucket {bucket.id}", f"the same as bucket {twin}", "has it once")

    def find(self, node: int, rules: tuple[int, ...]) -> int:
        """The bucket of a prefix with these rules; 0 where the manifest has none."""
        return self._numbers.get((node, rules), NO_BUCKET)

    def meet(self, number: int, node: int, rules: Iterable[int]) -> None:
        """Note that a user has the bucket that `find` gave. ValidationError where it gave none."""
        if number == NO_BUCKET:
            subject = f"the manifest's buckets of {self._tree.prefixes[node - 1]}"
            raise ValidationError(subject, "none with the rules of one", f"has rules {tuple(rules)}")
        self._met.add(number)

    def check_all_met(self) -> None:
        """ValidationError where the manifest has a bucket that was never met."""
        for bucket in self._described:
            if bucket.id not in self._met:
                where = f"{bucket.prefix} with rules {bucket.rules}"
                raise ValidationError(f"bucket {bucket.id}", where, "gives it to no user")


class Decisions:
    """Paints what buckets decide about each kind of service, and about fragments."""

    def __init__(self, policy: Policy, kinds: ServiceKinds, element: int) -> None:
        self._rules = policy.rules
        self._kinds = kinds
        self._element = element
        # Of rules that say the same, the first in the source is painted last: it is what shows.
        rank = {action: (index + 1) * (len(policy.rules) + 1) for index, action in enumerate(_PAINTED)}
        self._order = {rule.id: rank[rule.action] - rule.id for rule in policy.rules}
        self._strokes: dict[int, dict[int, _Strokes]] = {4: {}, 6: {}}

    def row(self, rules: Sequence[int], version: int) -> bytearray:
        """The decision about each kind of service, of a bucket with `rules` for an IP version."""
        row = bytearray(len(self._kinds.kinds) * self._element)
        known = self._strokes[version]
        for number in sorted(rules, key=self._order.__getitem__) if len(rules) > 1 else rules:
            value, strokes = known.get(number) or self._strokes_of(number, version)
            for first, end, count in strokes:
                row[first:end] = value * count
        return row

    def fragment(self, row: bytearray) -> int:
        """The decision of `row` about a later fragment of an unknown packet: the verdict that all
        services have, by the first rule of the source that gives it; 0 where they differ."""
        verdicts = row[:: self._element].translate(_VERDICT_OF)
        if verdicts.count(verdicts[0]) != len(verdicts):
            return 0
        return min(integers(bytes(row), self._element))

    def _strokes_of(self, number: int, version: int) -> _Strokes:
        rule, element = self._rules[number - 1], self._element
        value = (rule.id << VERDICT_BITS | _VERDICTS[rule.action]).to_bytes(element, "little")
        found = self._strokes[version][number] = (
            value,
            [
                (first * element, end * element, end - first)
                for form in rule.services
                for first, end in self._kinds.covered(form, version)
            ],
        )
        return found
