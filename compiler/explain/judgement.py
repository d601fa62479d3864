"""Packets as they are: whose they are, which way they go, and what an engine says of them.

Engines judge the bytes themselves here, with what the packets before left behind; a Query is about the
policy, and has no bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any, Final, Protocol

from wardgate.compiler.explain.answer import RuleReference
from wardgate.compiler.explain.probe import TC_PASS, EngineError
from wardgate.compiler.language.model import Address
from wardgate.runtime.layout.codes import Direction, LinkHeader, Reason, Verdict
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.records import Value

LONGEST: Final = LinkHeader.ETHERNET + 40 + 0xFFFF
"""Bytes of the longest packet that IP has; of a longer one, what follows is of no account."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A packet, from its link header on if it has one. `length` are its bytes, of which `data` may have only
    the first; `time` is in ns since 1970, None: not known."""

    data: bytes
    length: int
    link: LinkHeader
    time: int | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the gate: `slot` is its number, from 1."""

    slot: int
    user: str


class Devices(Protocol):
    """Who has which tunnel address."""

    def find(self, address: Address) -> Device | None:
        """The device with this address."""


@dataclass(frozen=True, slots=True)
class KnownDevices:
    """Devices by address, as a devices file has them."""

    by_address: Mapping[Address, Device]

    def find(self, address: Address) -> Device | None:
        """See Devices."""
        return self.by_address.get(address)


class OneUser:
    """All of the tunnel is one device of `user`."""

    def __init__(self, user: str, tunnel: Sequence[str]) -> None:
        self._device = Device(1, user)
        self._tunnel = [ip_network(prefix) for prefix in tunnel]

    def find(self, address: Address) -> Device | None:
        """See Devices."""
        return self._device if any(address in prefix for prefix in self._tunnel) else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of a packet at one hook. `user` is the device's, None where the packet has none or was not
    read that far; `inbound` whether that side of the policy said so. `link_local`: ARP or neighbour
    discovery on Ethernet, which passes unjudged."""

    direction: Direction
    user: str | None
    verdict: Verdict
    reason: Reason
    prefix: str | None
    rule: RuleReference | None
    inbound: bool
    link_local: bool = False

    @property
    def passes(self) -> bool:
        """Whether the packet passes."""
        return self.reason is Reason.PASS

    @property
    def is_reply(self) -> bool:
        """Whether it was judged by what it replies to."""
        return self.inbound is (self.direction is Direction.FROM_DEVICE)

    def to_json(self) -> dict[str, Any]:
        """Its JSON object."""
        return {
            "direction": self.direction.name.lower(),
            "user": self.user,
            "verdict": None if self.link_local else self.verdict.label,
            "pass": self.passes,
            "reason": "link local" if self.link_local else self.reason.label,
            "prefix": self.prefix,
            "rule": self.rule.to_json() if self.rule else None,
            "inbound": self.inbound,
        }


class Judge(Protocol):
    """An engine that judges packets one after the other."""

    def judge(self, frame: Frame, direction: Direction, device: Device | None) -> Judgement:
        """What becomes of a packet from or to `device`, None where the address is no device's.

        EngineError where it cannot say.
        """


Way = tuple[Direction, Device | None]
"""A hook, and the device that a packet comes from or goes to there."""


def hops(source: Address, destination: Address, devices: Devices) -> Sequence[Way]:
    """The hooks that a packet meets: from the device that has its source, and to the one that has its
    destination. Where neither is a device's, it is one from nobody."""
    found: list[Way] = []
    for direction, address in ((Direction.FROM_DEVICE, source), (Direction.TO_DEVICE, destination)):
        device = devices.find(address)
        if device is not None:
            found.append((direction, device))
    return found or [(Direction.FROM_DEVICE, None)]


def end_to_end(judge: Judge, frame: Frame, ways: Sequence[Way]) -> Judgement:
    """What becomes of a packet at all its hooks: the first drop, or the last pass."""
    for direction, device in ways:
        said = judge.judge(frame, direction, device)
        if not said.passes:
            break
    return said


def addresses_in(data: bytes, link: LinkHeader) -> tuple[Address, Address] | None:
    """Source and destination, where there is an IP header to read them from."""
    packet = data[link:]
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    return None


def read_judgement(
    manifest: Manifest,
    direction: Direction,
    device: Device | None,
    returned: int,
    events: Sequence[Mapping[str, Value]],
) -> Judgement:
    """The judgement in what a tc program returned and told; EngineError where these contradict."""
    if not events and returned == TC_PASS:
        return Judgement(direction, None, Verdict.NONE, Reason.PASS, None, None, False, link_local=True)
    if len(events) != 1:
        raise EngineError(f"the program told {len(events)} decisions about one packet, not one")
    (event,) = events
    try:
        reason, verdict = Reason(int(event["reason"])), Verdict(int(event["verdict"]))
        bucket, rule = manifest.bucket(int(event["bucket"])), manifest.rule(int(event["rule"]))
    except (ValueError, IndexError) as error:
        raise EngineError(f"the program told what the manifest does not know: {error}") from None
    if (returned == TC_PASS) != (reason is Reason.PASS):
        raise EngineError(f"the program returned {returned} but gave the reason {reason.label!r}")
    return Judgement(
        direction,
        device.user if device and event["slot"] else None,
        verdict,
        reason,
        bucket.prefix if bucket else None,
        RuleReference.of_source(rule) if rule else None,
        bool(event["inbound"]),
    )
