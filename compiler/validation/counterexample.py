"""A difference that was found, told as packets: whose, which, and what either side says of them."""

from __future__ import annotations

from collections.abc import Sequence

from wardgate.compiler.language.model import Policy, Prefix, Rule
from wardgate.compiler.semantics import Evaluator, any_matches
from wardgate.compiler.semantics.partition import unmentioned_user
from wardgate.compiler.semantics.reference import verdict_of
from wardgate.compiler.validation.decisions import VERDICT_BITS
from wardgate.compiler.validation.destinations import Destinations, Interval
from wardgate.compiler.validation.encoded import Encoded, integers
from wardgate.compiler.validation.errors import ValidationError, Witness
from wardgate.compiler.validation.freshness import NEVER, decision_of, rule_of, seconds_of
from wardgate.compiler.validation.judging import Judgements, WrongDecision
from wardgate.compiler.validation.kinds import Kind, ServiceKinds
from wardgate.compiler.validation.matrix import Rows
from wardgate.compiler.validation.subjects import ClassPair
from wardgate.runtime.layout.codes import Verdict
from wardgate.runtime.layout.manifest import Bucket

_PROTOCOLS = {6: "tcp", 17: "udp", 132: "sctp"}
_FRAGMENTS = "later fragments of unknown packets"
_NOBODY = "no user"


class Accuser:
    """Makes the errors of differences in the matrices."""

    def __init__(
        self,
        encoded: Encoded,
        policy: Policy,
        classes: Sequence[ClassPair],
        destinations: Destinations,
        kinds: ServiceKinds,
        reach: Rows,
        judgements: Judgements,
    ) -> None:
        self._encoded = encoded
        self._policy = policy
        self._classes = classes
        self._destinations = destinations
        self._kinds = kinds
        self._reach = reach
        self._judgements = judgements

    def reach_row(self, pair: ClassPair, inbound: bool) -> int:
        """Row of the matrix of buckets that programs read for a class in one direction."""
        return self._encoded.parameter("inbound_row") + pair.number if inbound else pair.number

    def wrong_bucket(
        self, pair: ClassPair, inbound: bool, node_and_class: tuple[int, int]
    ) -> ValidationError:
        """A class's row gives another bucket than the reference: told by the first service with another
        decision too, if there is one."""
        interval = self._destinations.pairs[node_and_class]
        row = self._reach.row(self.reach_row(pair, inbound))
        number = int(integers(row, self._reach.element)[node_and_class[1]])
        first, last = interval.addresses
        user = unmentioned_user(self._policy) if pair.user is None else pair.user
        prefix, rules = Evaluator(self._policy).bucket(user, first, inbound=inbound)
        service, said, meant = "every service", self._bucket(number), _bucket_of(prefix, rules)
        for kind in self._kinds.kinds:
            verdicts = self._decision(number, kind.service_class), _meant(rules, kind, first.version)
            if verdicts[0] != verdicts[1]:
                service = _service(kind)
                said = f"{said}, {self._verdict(verdicts[0])}"
                meant = f"{meant}, {self._verdict(verdicts[1])}"
                break
        witness = Witness(pair.label, inbound, first, last, service)
        return ValidationError(str(witness), said, meant, witness)

    def wrong_decision(self, wrong: WrongDecision) -> ValidationError:
        """A bucket's pattern gives another decision than the reference."""
        bucket, kind = self._encoded.manifest.buckets[wrong.bucket - 1], wrong.kind
        service_class = kind.service_class if kind else self._encoded.parameter("fragment_class")
        said = self._decision(bucket.id, service_class)
        pair, interval = self._place(bucket)
        first, last = interval.addresses if interval else (None, None)
        label = pair.label if pair else _NOBODY
        witness = Witness(label, bucket.inbound, first, last, _service(kind) if kind else _FRAGMENTS)
        name = self._bucket(bucket.id)
        return ValidationError(
            str(witness),
            f"{name}, {self._verdict(said)}",
            f"{name}, {self._verdict(wrong.meant)}",
            witness,
        )

    def _place(self, bucket: Bucket) -> tuple[ClassPair | None, Interval | None]:
        """A user and addresses that the bucket decides about."""
        for pair in self._classes:
            buckets = integers(self._reach.row(self.reach_row(pair, bucket.inbound)), self._reach.element)
            for (_, column), interval in self._destinations.pairs.items():
                if buckets[column] == bucket.id:
                    return pair, interval
        return None, None

    def _decision(self, bucket: int, service_class: int) -> int | None:
        """What programs decide by: 0 without a bucket, None where there is nothing in the table."""
        if bucket >= len(self._judgements.records):
            return None
        return self._judgements.decisions(bucket)(service_class) if bucket else 0

    def _bucket(self, number: int) -> str:
        buckets = self._encoded.manifest.buckets
        if number > len(buckets):
            return f"bucket {number} of {len(buckets)}"
        if not number:
            return "no bucket"
        return f"bucket {buckets[number - 1].prefix} with rules {list(buckets[number - 1].rules)}"

    def _verdict(self, decision: int | None) -> str:
        if decision is None:
            return "nothing"
        number, verdict = rule_of(decision >> VERDICT_BITS), Verdict(decision & (1 << VERDICT_BITS) - 1)
        seconds = seconds_of(decision >> VERDICT_BITS)
        said = verdict.label + (
            "" if not seconds else " never" if seconds == NEVER else f" within {seconds} s"
        )
        if not number:
            return "no rule" if verdict is Verdict.NONE else f"{said} by no rule"
        if number > len(self._policy.rules):
            return f"{said} by rule {number} of {len(self._policy.rules)}"
        rule = self._policy.rules[number - 1]
        if verdict is Verdict.NONE:
            said = "none"
        return f"{said} by rule {number} ({rule.position}: {rule.text})"


def _bucket_of(prefix: Prefix | None, rules: Sequence[Rule]) -> str:
    return f"bucket {prefix} with rules {[rule.id for rule in rules]}" if prefix else "no bucket"


def _meant(rules: Sequence[Rule], kind: Kind, version: int) -> int:
    """The reference's decision, of a bucket's rules about a kind of service, as tables have it."""
    matching = tuple(r for r in rules if any_matches(r.services, kind.protocol, kind.low, version))
    verdict, rule = verdict_of(matching)
    return (decision_of(rule.id, rule.within or 0) if rule else 0) << VERDICT_BITS | verdict


def _service(kind: Kind) -> str:
    if kind.low is None:
        return f"proto/{kind.protocol}"
    ports = f"{kind.low}" if kind.low == kind.high else f"{kind.low}-{kind.high}"
    return f"{ports}/{_PROTOCOLS[kind.protocol]}"
