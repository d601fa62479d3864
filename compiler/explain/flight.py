"""What becomes of packets in flight: the definition that the programs are held against.

The policy says what may be opened (semantics.reference). Here is what follows from it for all other
packets: replies, ICMP errors and fragments. A side of the policy (`policies`, or `inbound`) judges what
its own initiator sends as it is; a packet the other way passes as a reply, if what it replies to would pass
now, and for datagrams if their flow is known (docs/decisions/004-replies.md).

A gate forgets flows and fragments when it has too many. Nothing is forgotten here but what is too old.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from wardgate.compiler.explain.answer import RuleReference
from wardgate.compiler.explain.judgement import Device, Frame, Judgement
from wardgate.compiler.explain.reading import (
    Kind,
    MalformedError,
    Part,
    Reading,
    Transport,
    is_arp,
    read_packet,
    version_of,
)
from wardgate.compiler.language.model import (
    ICMP,
    ICMPV6,
    PORT_PROTOCOLS,
    TCP,
    Address,
    Packet,
    Policy,
    Prefix,
    Rule,
)
from wardgate.compiler.lowering.services import service_classes
from wardgate.compiler.semantics.evaluator import Evaluator
from wardgate.compiler.semantics.reference import (
    Session,
    matching_rules,
    reason_for,
    strictness,
    verdict_of,
)
from wardgate.compiler.semantics.services import any_matches
from wardgate.runtime.layout.codes import Direction, Reason, Verdict

_SECOND: Final = 10**9
_FLOW_NS, _QUERY_NS, _FRAGMENT_NS = 180 * _SECOND, 30 * _SECOND, 30 * _SECOND
_REFRESH_NS: Final = _SECOND
"""A flow's time is noted anew no more often than this."""

_OPENS: Final = (Kind.DATAGRAM, Kind.QUERY)
_REPLIES_BY_FLOW: Final = (Kind.DATAGRAM, Kind.ANSWER)
_REPLIES_BY_POLICY: Final = (Kind.SEGMENT, Kind.UNKNOWN_SEGMENT)
_UNKNOWN: Final = (Kind.UNKNOWN, Kind.UNKNOWN_SEGMENT)

_Flow = tuple[int, Address, int, int, int, bool]
"""Slot, remote address, remote port, device port, protocol, and whether the remote opened it."""
_Fragments = tuple[Address, Address, int, int, Direction]


@dataclass(frozen=True, slots=True)
class _View:
    """A packet as its device sees it, whichever way it goes."""

    remote: Address
    remote_port: int
    device_port: int
    protocol: int
    kind: Kind

    @classmethod
    def of(cls, packet: Transport, direction: Direction) -> _View:
        if direction is Direction.FROM_DEVICE:
            ends = packet.destination, packet.destination_port, packet.source_port
        else:
            ends = packet.source, packet.source_port, packet.destination_port
        return cls(*ends, packet.protocol, packet.kind)


@dataclass(frozen=True, slots=True)
class _Outcome:
    reason: Reason
    inbound: bool = False
    verdict: Verdict = Verdict.NONE
    prefix: Prefix | None = None
    rule: Rule | None = None


class ReferenceJudge:
    """Judges packets one after the other; what passed lets its replies pass. `authed`: all sessions are, with
    a login a moment ago."""

    def __init__(self, policy: Policy, *, authed: bool) -> None:
        self._evaluator = Evaluator(policy)
        self._session = Session.AUTHORISED if authed else Session.NONE
        self._versions = {prefix.version for rule in policy.rules for prefix in rule.destinations}
        self._inbound = any(rule.inbound for rule in policy.rules)
        self._flows: dict[_Flow, int] = {}
        self._fragments: dict[_Fragments, tuple[int, Transport]] = {}
        self._now = 0

    def judge(self, frame: Frame, direction: Direction, device: Device | None) -> Judgement:
        """What becomes of a packet from or to `device`. CutError where the capture has too little of it."""
        self._now = max(self._now, frame.time or 0)
        if is_arp(frame.data, frame.link):
            return Judgement(direction, None, Verdict.NONE, Reason.PASS, None, None, False, link_local=True)
        version = version_of(frame.data, frame.link)
        try:
            if version is not None and version not in self._versions:
                self._check_ethertype(frame, version)
                silent = Reason.NO_BUCKET if direction is Direction.FROM_DEVICE else Reason.NO_FLOW
                return _told(direction, None, _Outcome(silent))
            reading = read_packet(frame.data, frame.length, frame.link)
        except MalformedError:
            return _told(direction, None, _Outcome(Reason.MALFORMED))
        if reading.link_local:
            return Judgement(direction, None, Verdict.NONE, Reason.PASS, None, None, False, link_local=True)
        if reading.part is Part.LATER:
            reading = replace(reading, outer=self._completed(reading, direction))
        if device is None:
            return _told(direction, None, _Outcome(Reason.NO_DEVICE))
        outcome = self._judge(reading, direction, device)
        if outcome.reason is Reason.PASS and reading.part is Part.FIRST:
            self._fragments[_fragments_of(reading, direction)] = self._now + _FRAGMENT_NS, reading.outer
        return _told(direction, device, outcome)

    @staticmethod
    def _check_ethertype(frame: Frame, version: int) -> None:
        """A frame is malformed, whatever the policy's versions, if its EtherType is not its content's."""
        if frame.link and frame.data[12:14] != (b"\x08\x00" if version == 4 else b"\x86\xdd"):
            raise MalformedError

    def _completed(self, reading: Reading, direction: Direction) -> Transport:
        """A later fragment with the transport header of its first, so that it is judged as that was."""
        outer = reading.outer
        expires, first = self._fragments.get(_fragments_of(reading, direction), (0, None))
        if first is None or self._now >= expires:
            return replace(outer, kind=Kind.UNKNOWN_SEGMENT if outer.protocol == TCP else Kind.UNKNOWN)
        return replace(
            outer,
            protocol=first.protocol,
            source_port=first.source_port,
            destination_port=first.destination_port,
            kind=first.kind,
        )

    def _judge(self, reading: Reading, direction: Direction, device: Device) -> _Outcome:
        """A packet from a device is judged by its user's policy, else as a reply to what came in; one to a
        device as a reply to what it sent, else by the inbound policy."""
        from_device = direction is Direction.FROM_DEVICE
        first = self._admit(reading, direction, device, initiates=from_device)
        if first.reason is Reason.PASS:
            return first
        if not self._inbound and (not from_device or reading.outer.kind is not Kind.ERROR):
            return first
        second = self._admit(reading, direction, device, initiates=not from_device)
        unasked = first.reason is Reason.NO_FLOW
        if second.reason is Reason.PASS or (not from_device and (second.prefix is not None or unasked)):
            reason = Reason.NO_FLOW if second.reason is Reason.NO_BUCKET else second.reason
            return replace(second, reason=reason)
        return first

    def _admit(self, reading: Reading, direction: Direction, device: Device, *, initiates: bool) -> _Outcome:
        """A packet as a new one, by the policy of the side that it comes from; or as a reply, by that of the
        other side."""
        from_device = direction is Direction.FROM_DEVICE
        if initiates or reading.outer.kind is not Kind.ERROR:
            inbound = not from_device if initiates else from_device
            return self._consider(_View.of(reading.outer, direction), device, inbound, initiates=initiates)
        # An ICMP error passes if the packet that it is about passed, the other way, and is this device's.
        inner, outer = reading.inner, reading.outer
        own = outer.source if from_device else outer.destination
        if inner is None or own != (inner.destination if from_device else inner.source):
            return _Outcome(Reason.NO_FLOW)
        other = Direction.TO_DEVICE if from_device else Direction.FROM_DEVICE
        view = _View.of(inner, other)
        if view.kind in _OPENS:
            view = replace(view, kind=Kind.ANSWER)
        if self._inbound:
            outcome = self._consider(view, device, True, initiates=False)
            if outcome.reason is Reason.PASS:
                return outcome
        return self._consider(view, device, False, initiates=False)

    def _consider(self, view: _View, device: Device, inbound: bool, *, initiates: bool) -> _Outcome:
        """What one side of the policy says of a packet."""
        by_flow = view.kind in (_OPENS if initiates else _REPLIES_BY_FLOW)
        flow = (device.slot, view.remote, view.remote_port, view.device_port, view.protocol, inbound)
        unknown = view.kind in _UNKNOWN
        if not initiates and not (self._is_known(flow) if by_flow else view.kind in _REPLIES_BY_POLICY):
            return _Outcome(Reason.FRAGMENT if unknown else Reason.NO_FLOW, inbound)
        prefix, bucket = self._evaluator.bucket(device.user, view.remote, inbound=inbound)
        if prefix is None:
            return _Outcome(Reason.NO_BUCKET, inbound)
        port = view.device_port if inbound else view.remote_port
        if unknown:
            verdict, rule = _of_every_service(bucket, view.remote.version)
        else:
            number = port if view.protocol in PORT_PROTOCOLS else None
            matching = matching_rules(bucket, Packet(view.remote, view.protocol, number, inbound))
            verdict, rule = verdict_of(matching)
        reason = reason_for(verdict, rule, self._session, 0.0)
        if unknown and verdict is Verdict.NONE:
            reason = Reason.FRAGMENT
        if reason is Reason.PASS and by_flow:
            self._keep(flow)
        return _Outcome(reason, inbound, verdict, prefix, rule)

    def _is_known(self, flow: _Flow) -> bool:
        seen = self._flows.get(flow)
        lifetime = _QUERY_NS if flow[4] in (ICMP, ICMPV6) else _FLOW_NS
        return seen is not None and self._now - seen <= lifetime

    def _keep(self, flow: _Flow) -> None:
        seen = self._flows.get(flow)
        if seen is None or self._now - seen > _REFRESH_NS:
            self._flows[flow] = self._now


def _told(direction: Direction, device: Device | None, outcome: _Outcome) -> Judgement:
    return Judgement(
        direction,
        device.user if device else None,
        outcome.verdict,
        outcome.reason,
        str(outcome.prefix) if outcome.prefix else None,
        RuleReference.of_rule(outcome.rule) if outcome.rule else None,
        outcome.inbound,
    )


def _fragments_of(reading: Reading, direction: Direction) -> _Fragments:
    outer = reading.outer
    protocol = outer.protocol if reading.version == 4 else 0
    return outer.source, outer.destination, reading.identification, protocol, direction


def _of_every_service(bucket: tuple[Rule, ...], version: int) -> tuple[Verdict, Rule | None]:
    """The verdict that all services have in a bucket, and of the rules that give it to one the strictest;
    NONE where they differ."""
    classes = service_classes({form for rule in bucket for form in rule.services})
    services: list[tuple[int, int | None]] = [
        (protocol, port)
        for protocol, runs in zip(PORT_PROTOCOLS, classes.ports, strict=True)
        for port, _ in runs
    ]
    services += [(number, None) for number in range(256) if number not in PORT_PROTOCOLS]
    found = set()
    for protocol, port in services:
        matching = tuple(rule for rule in bucket if any_matches(rule.services, protocol, port, version))
        found.add(verdict_of(matching))
    verdicts = {verdict for verdict, _ in found}
    if len(verdicts) != 1 or verdicts == {Verdict.NONE}:
        return Verdict.NONE, None
    rules = [rule for _, rule in found if rule is not None]
    return verdicts.pop(), min(rules, key=strictness)
