"""What a policy means. If a verdict seems wrong, read this file first: it is the definition.

Who may send what is decided in four steps, which `evaluate` takes in this order.

1. **The effective policy.** The rules that apply to a user are those under `"*"`, those under each
   group that the user is in, and those under the user's own name. Packets from the user's device are
   judged by the rules under `policies`; packets towards the device by those under `inbound`, where a
   rule's destination is the sender. A user whom the policy doesn't mention has the rules of `"*"`.

2. **The bucket.** Of all prefixes in those rules that contain the remote address, the longest one
   decides, and all rules with exactly that prefix are the bucket. No rule with a shorter prefix has
   any say, even if no rule of the bucket matches. If no prefix contains the address, the packet is
   dropped.

3. **The verdict.** Of the bucket's rules, those match whose services cover the packet's protocol and
   port. If a `deny` rule matches, the verdict is deny. Else, if an `mfa` rule matches, it is mfa. Else,
   if an `allow` rule matches, it is allow. If none matches, the packet is dropped. The order of rules
   is of no account; of several that say the same, the first in the source is named as the deciding one. Of
   several `mfa` rules the strictest decides: the one that gives a login the least time (`within`).

4. **The session.** A packet with verdict allow passes, one with verdict deny does not. One with
   verdict mfa passes while the device's session is authorised, which is the only use of the session;
   and if the deciding rule says `within`, only if the last login was at most that long ago. Since that
   rule is the strictest of those that match, what all of them ask for holds.

How replies, ICMP errors and fragments follow the packets that they belong to is not said here; that is
about packets in flight, not about the policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf

from wardgate.compiler.language.model import Action, Packet, Policy, Prefix, Rule
from wardgate.compiler.semantics.effective import effective_rules
from wardgate.compiler.semantics.services import any_matches
from wardgate.runtime.layout.codes import Reason, Verdict


class Session(Enum):
    """What is known of a device's session when a packet is judged."""

    NONE = "none"
    """Nobody has logged in."""
    AUTHORISED = "authorised"
    EXPIRED = "expired"
    """The session's deadline has passed."""
    IDLE = "idle"
    """The session ended because the device was quiet for too long."""
    LOCKED = "locked"
    """The device is locked, whatever else its session says."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer about one packet.

    `verdict` is what the rules say, `passes` and `reason` what becomes of the packet in the session
    that was asked about. `prefix` names the bucket that decided, None if there is none. `rule` is the
    deciding rule, None if no rule matched; `matching` are all rules of the bucket that matched.
    """

    verdict: Verdict
    passes: bool
    reason: Reason
    prefix: Prefix | None
    rule: Rule | None
    matching: tuple[Rule, ...]


VERDICTS = {Action.DENY: Verdict.DENY, Action.MFA: Verdict.MFA, Action.ALLOW: Verdict.ALLOW}
"""Actions in order of precedence, and the verdict that each one gives."""

_WITHOUT_SESSION = {
    Session.NONE: Reason.NEEDS_LOGIN,
    Session.EXPIRED: Reason.SESSION_EXPIRED,
    Session.IDLE: Reason.IDLE,
    Session.LOCKED: Reason.LOCKED,
}


def evaluate(policy: Policy, user: str, packet: Packet, session: Session, login_age: float = 0.0) -> Decision:
    """Judges one packet from (or, with `packet.inbound`, towards) a device of `user`. `login_age`: how many
    seconds ago the session's last login was."""
    # 1. The effective policy.
    rules = effective_rules(policy, user, inbound=packet.inbound)

    # 2. The bucket.
    prefixes = {prefix for rule in rules for prefix in rule.destinations}
    containing = [prefix for prefix in prefixes if packet.remote in prefix]
    if not containing:
        return Decision(Verdict.NONE, False, Reason.NO_BUCKET, None, None, ())
    longest = max(containing, key=lambda prefix: prefix.prefixlen)
    bucket = tuple(rule for rule in rules if longest in rule.destinations)

    # 3. The verdict.
    matching = matching_rules(bucket, packet)
    verdict, rule = verdict_of(matching)

    # 4. The session.
    reason = reason_for(verdict, rule, session, login_age)
    return Decision(verdict, reason is Reason.PASS, reason, longest, rule, matching)


def matching_rules(bucket: tuple[Rule, ...], packet: Packet) -> tuple[Rule, ...]:
    """The rules of `bucket` whose services cover the packet."""
    return tuple(
        rule
        for rule in bucket
        if any_matches(rule.services, packet.protocol, packet.port, packet.remote.version)
    )


def strictness(rule: Rule) -> tuple[float, int]:
    """Of rules that give the same verdict, the one for which this is least is the deciding one."""
    return inf if rule.within is None else rule.within, rule.id


def verdict_of(matching: tuple[Rule, ...]) -> tuple[Verdict, Rule | None]:
    """The verdict of the rules that match, and the rule that decides it."""
    for action, verdict in VERDICTS.items():
        saying_so = [rule for rule in matching if rule.action is action]
        if saying_so:
            return verdict, min(saying_so, key=strictness)
    return Verdict.NONE, None


def reason_for(verdict: Verdict, rule: Rule | None, session: Session, login_age: float) -> Reason:
    """What becomes of a packet with this verdict, by this rule: PASS, or why it is dropped. A bucket is
    given."""
    if verdict is Verdict.NONE:
        return Reason.NO_RULE
    if verdict is Verdict.DENY:
        return Reason.DENY_RULE
    if verdict is Verdict.ALLOW:
        return Reason.PASS
    if session is not Session.AUTHORISED:
        return _WITHOUT_SESSION[session]
    if rule is not None and rule.within is not None and login_age > rule.within:
        return Reason.LOGIN_TOO_OLD
    return Reason.PASS
