"""Events: what programs told about packets, typed, with the policy line that decided."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from wardgate.runtime import clock
from wardgate.runtime.addresses import Address, address_of, number_of_key
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.generation import generations
from wardgate.runtime.layout.codes import Direction, Reason, Verdict
from wardgate.runtime.layout.manifest import Manifest, RuleSource
from wardgate.runtime.layout.records import EVENT
from wardgate.runtime.pins import GatePins
from wardgate.runtime.ringbuf import RingBuffer
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.subjects import Subjects

_WITH_PORTS: Final = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp", socket.IPPROTO_SCTP: "sctp"}
_ICMP: Final = (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6)
_GLANCE: Final = 1.0
"""Seconds between looks at whether the gate is still there, which nothing wakes a reader for."""


@dataclass(frozen=True, slots=True)
class DropEvent:
    """A decision, a drop unless the gate traces. `time` and `boot_time` are the same moment, by the
    wall (UTC) and in ns of CLOCK_BOOTTIME.

    `suppressed` drops of the same device were withheld before this one. `source` and `destination` are
    None where the packet has no readable addresses; ports are 0 where the protocol has none, and
    `source_port` is the identifier of an ICMP query. `user` is the device's now, None for an unknown
    device. `rule` and `prefix` are of the generation's own policy; None where none decided or the
    generation is gone. `length` is bytes from the IP header on.
    """

    time: datetime
    boot_time: int
    direction: Direction
    reason: Reason
    verdict: Verdict
    user: str | None
    source: Address | None
    destination: Address | None
    protocol: int
    source_port: int
    destination_port: int
    icmp_type: int
    length: int
    inbound: bool
    rule: RuleSource | None
    prefix: str | None
    generation: int
    slot: int
    suppressed: int

    @property
    def service(self) -> str:
        """What was asked for, as a policy has it; see `service_word`."""
        return service_word(self.protocol, self.destination_port)


def service_word(protocol: int, port: int) -> str:
    """A service as a policy has it: `22/tcp`, `icmp`, `proto/47`."""
    if protocol in _WITH_PORTS:
        return f"{port}/{_WITH_PORTS[protocol]}"
    return "icmp" if protocol in _ICMP else f"proto/{protocol}"


class EventReader:
    """Turns a gate's ring buffer into events. It holds the gate's only reading place."""

    def __init__(self, pins: GatePins) -> None:
        self._pins = pins
        self._manifests: dict[int, Manifest | None] = {}
        self._names: dict[int, str] = {}

    def events(self, timeout: float | None) -> Iterator[DropEvent]:
        """Events as they come, until none came for `timeout` seconds (None: for ever) or the gate was
        detached. LockError where another process reads them."""
        with self._pins.reading() as is_there, SharedMaps.open(self._pins) as shared:
            raw = shared.raw("events")
            with RingBuffer(raw.fd, raw.info.max_entries) as ring:
                last = time.monotonic()
                while True:
                    left = _GLANCE if timeout is None else last + timeout - time.monotonic()
                    if not ring.wait(max(min(left, _GLANCE), 0.0)):
                        if (left <= _GLANCE and timeout is not None) or not is_there():
                            return
                        continue
                    # What was reassigned meanwhile has other positions; nothing is read again for it.
                    self._manifests.clear()
                    for sample in ring.read():
                        if len(sample) == EVENT.size:
                            yield self._event(sample, shared)
                    last = time.monotonic()

    def _user(self, slot: int, shared: SharedMaps) -> str | None:
        subject = int(shared.typed("devices")[slot]["subject"]) if 0 < slot < shared.slots else 0
        if subject and subject not in self._names:
            self._names = Subjects(self._pins.subjects, shared.slots).names()
        return self._names.get(subject)

    def _event(self, sample: bytes, shared: SharedMaps) -> DropEvent:
        fields = EVENT.unpack(sample)
        number = {name: value for name, value in fields.items() if isinstance(value, int)}
        manifest = self._manifest(number["generation"])
        rule = bucket = None
        if manifest is not None:
            if 0 < number["rule"] <= len(manifest.rules):
                rule = manifest.rule(number["rule"])
            if 0 < number["bucket"] <= len(manifest.buckets):
                bucket = manifest.bucket(number["bucket"])
        return DropEvent(
            clock.wall(number["time"]),
            number["time"],
            Direction(number["direction"]),
            Reason(number["reason"]),
            Verdict(number["verdict"]),
            self._user(number["slot"], shared),
            _address(fields["source"], number["version"]),
            _address(fields["destination"], number["version"]),
            number["protocol"],
            number["source_port"],
            number["destination_port"],
            number["icmp_type"],
            number["length"],
            bool(number["inbound"]),
            rule,
            bucket.prefix if bucket else None,
            number["generation"],
            number["slot"],
            number["suppressed"],
        )

    def _manifest(self, number: int) -> Manifest | None:
        if number not in self._manifests:
            self._manifests[number] = self._find_manifest(number)
        return self._manifests[number]

    def _find_manifest(self, number: int) -> Manifest | None:
        for generation in generations(self._pins):
            if generation.number == number:
                try:
                    return generation.manifest
                except (WardgateError, FileNotFoundError):
                    # It was renamed or removed since it was listed.
                    return None
        return None


def _address(key: int | bytes, version: int) -> Address | None:
    return address_of(number_of_key(key)) if version in (4, 6) and isinstance(key, bytes) else None
