"""Every verdict of a small policy, for statements about all of them: users by class, addresses and services
at and next to all edges, as the reference judges them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from wardgate.compiler.language.model import Packet, Policy
from wardgate.compiler.lint.masks import ServiceMasks
from wardgate.compiler.lint.side import Side
from wardgate.compiler.lowering.classes import policy_classes
from wardgate.compiler.semantics import Decision, Evaluator, Session
from wardgate.compiler.semantics.partition import representatives
from wardgate.runtime.layout.codes import Verdict

Question = tuple[str, Packet]


@dataclass(frozen=True)
class Questions:
    """One packet of every kind that a policy can tell apart, by one user of every class."""

    policy: Policy
    asked: tuple[Question, ...]

    @classmethod
    def about(cls, policy: Policy) -> Questions:
        asked: list[Question] = []
        for inbound in (False, True):
            if any(rule.inbound is inbound for rule in policy.rules):
                ours = representatives(policy, inbound=inbound)
                asked += (
                    (user, Packet(remote, protocol, port, inbound))
                    for user in ours.users
                    for remote in ours.remotes
                    for protocol, port in ours.services
                )
        return cls(policy, tuple(asked))

    def decisions(self) -> Iterator[tuple[str, Packet, Decision]]:
        evaluator = Evaluator(self.policy)
        for user, packet in self.asked:
            yield user, packet, evaluator.evaluate(user, packet, Session.NONE)

    def verdicts(self, without: Collection[int] = ()) -> list[tuple[Verdict, int | None]]:
        """The verdicts, and the seconds that they give a login, if the rules of these ids were not there."""
        evaluator = Evaluator(without_rules(self.policy, without))
        decisions = [evaluator.evaluate(user, packet, Session.NONE) for user, packet in self.asked]
        return [(found.verdict, found.rule.within if found.rule else None) for found in decisions]


def without_rules(policy: Policy, gone: Collection[int]) -> Policy:
    """The policy without the rules of these ids; the others keep theirs."""
    return replace(policy, rules=tuple(rule for rule in policy.rules if rule.id not in gone))


def sides_of(policy: Policy) -> list[Side]:
    """Both directions of a policy, as the linter arranges them."""
    classes, masks = policy_classes(policy), ServiceMasks(policy.rules)
    return [Side(policy, classes, masks, inbound=inbound) for inbound in (False, True)]
