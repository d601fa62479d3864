"""One artefact's programs over its maps, in the interpreter or in the kernel, behind one interface.

Scenarios (packet_scenarios) send packets through a plane and see what becomes of them, so that both
engines are held to the same behaviour.
"""

from __future__ import annotations

import struct
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from wardgate.compiler.explain import packets
from wardgate.compiler.explain.placement import (
    class_key,
    class_value,
    index_key,
    owner_place,
    owner_value,
)
from wardgate.compiler.vm.clock import Clock, HostClock
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.machine import Machine
from wardgate.runtime.layout import maps
from wardgate.runtime.layout.codes import LinkHeader, Reason
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.records import CLASSES, DEVICE, EVENT, FLOW, FRAGMENT, HITS, PROCESSOR

SECOND = 10**9


def before(time: int, ns: int) -> int:
    """So long before a time, as programs reckon, which wrap: a machine may be up for less."""
    return time - ns & (1 << 64) - 1


TICK = 10**7
"""Nanoseconds that the programs' clock may be late, at most: a tick where CONFIG_HZ is 100, the least."""

Counts = dict[int, tuple[int, int]]
"""Index to packets and bytes, of counters that have counted."""
TC_PASS, TC_DROP, XDP_DROP, XDP_PASS = -1, 2, 1, 2


@dataclass(frozen=True)
class Seen:
    """What became of a packet. `event` is None where the programs told nothing of it."""

    passed: bool
    event: dict | None

    @property
    def reason(self) -> Reason | None:
        return Reason(self.event["reason"]) if self.event else None


class Plane(ABC):
    """`hook`: `tc` or `xdp`, for packets from devices. Devices get slots from 1 on."""

    def __init__(
        self, artefact: bytes, *, hook: str = "tc", link: LinkHeader = LinkHeader.NONE, trace: int = 1
    ):
        self.hook, self.link = hook, link
        self.config = {"trace": trace, "link_header": int(link), "generation": 7}
        self.manifest: Manifest = self.open(artefact)
        self._slots = 0

    @abstractmethod
    def open(self, artefact: bytes) -> Manifest: ...

    @abstractmethod
    def execute(self, program: str, frame: bytes, linear: int | None) -> tuple[int, list[dict]]: ...

    @abstractmethod
    def update(self, name: str, key: bytes, value: bytes) -> None: ...

    @abstractmethod
    def names(self) -> set[str]:
        """The maps that the artefact has."""

    @abstractmethod
    def items(self, name: str) -> list[tuple[bytes, bytes]]: ...

    @abstractmethod
    def delete(self, name: str, key: bytes) -> None: ...

    @abstractmethod
    def on_each_cpu(self, name: str, index: int) -> list[bytes]:
        """An entry of a per-CPU array."""

    def reasons(self) -> Counts:
        """direction * REASON_SLOTS + reason to what was counted there."""
        records = map(PROCESSOR.unpack, self.on_each_cpu(maps.PROCESSORS.name, 0))
        return _counts([record["reasons"] for record in records])

    def rule_hits(self) -> Counts:
        """Rule to what was counted of it, of the first HITS_A_BLOCK rules."""
        records = map(HITS.unpack, self.on_each_cpu(maps.RULE_HITS.name, 0))
        return _counts([record["rules"] for record in records])

    def sleep(self, ns: int) -> None:
        """Let at least `ns` nanoseconds pass."""
        time.sleep(ns / SECOND)

    def now(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def shortest(self, _header: int) -> int:
        """Bytes of the shortest packet that can be sent at all, of a version with this header."""
        return 1

    @abstractmethod
    def close(self) -> None: ...

    def device(self, user: str, *addresses: str) -> int:
        """A new device; its slot, which is its subject too."""
        self._slots += 1
        for address in addresses:
            self.own(address, self._slots, self._slots)
        self.classify(self._slots, self.manifest.class_of(user))
        self.session(self._slots)
        return self._slots

    def own(self, address: str, slot: int, subject: int) -> None:
        """Lead an address to a slot and a subject."""
        layout, key = owner_place(self.manifest, ip_address(address))
        self.update(layout.name, key, owner_value(slot, subject))

    def classify(self, subject: int, policy_class: int) -> None:
        """Give a subject a policy class."""
        name, key = maps.SUBJECT_CLASS.name, class_key(self.manifest, subject)
        if name in self.names():
            before = dict(self.items(name)).get(key, bytes(CLASSES.size))
            self.update(name, key, class_value(self.manifest, subject, policy_class, before))

    def session(self, slot: int, **fields: int) -> None:
        """Set the device's session: deadline, idle_limit, last_active (ns), flags."""
        if maps.DEVICES.name in self.names():
            self.update(maps.DEVICES.name, index_key(slot), DEVICE.pack({"subject": slot, **fields}))

    def device_record(self, slot: int) -> dict:
        return DEVICE.unpack(dict(self.items("devices"))[index_key(slot)])

    def age_flows(self, ns: int) -> None:
        for key, value in self.items("flows"):
            record = FLOW.unpack(value)
            record["last_seen"] = before(record["last_seen"], ns)
            self.update("flows", key, FLOW.pack(record))

    def age_fragments(self, ns: int) -> None:
        for key, value in self.items("fragments"):
            record = FRAGMENT.unpack(value)
            self.update("fragments", key, FRAGMENT.pack({**record, "expires": record["expires"] - ns}))

    def frame(self, packet: bytes) -> bytes:
        kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
        return packets.ethernet(packet, kind) if self.link else packet

    def out(self, packet: bytes, *, linear: int | None = None) -> Seen:
        """A packet from a device."""
        return self._send("gate_xdp" if self.hook == "xdp" else "gate_ingress", self.frame(packet), linear)

    def to(self, packet: bytes, *, linear: int | None = None) -> Seen:
        """A packet towards a device."""
        return self._send("gate_egress", self.frame(packet), linear)

    def raw(self, frame: bytes, *, egress: bool = False) -> Seen:
        """Bytes as they are."""
        ingress = "gate_xdp" if self.hook == "xdp" else "gate_ingress"
        return self._send("gate_egress" if egress else ingress, frame, None)

    def _send(self, program: str, frame: bytes, linear: int | None) -> Seen:
        returned, events = self.execute(program, frame, linear)
        verdicts = (
            {XDP_PASS: True, XDP_DROP: False} if program == "gate_xdp" else {TC_PASS: True, TC_DROP: False}
        )
        passed = verdicts[returned]
        assert len(events) <= 1
        if events:
            assert passed == (events[0]["reason"] == Reason.PASS)
        return Seen(passed, events[0] if events else None)


def _counts(arrays: list[bytes]) -> Counts:
    """The sum of arrays of counters."""
    rows = zip(*(struct.iter_unpack("<QQ", array) for array in arrays), strict=True)
    totals = [(sum(packets for packets, _ in row), sum(size for _, size in row)) for row in rows]
    return {index: total for index, total in enumerate(totals) if total[0]}


class VmPlane(Plane):
    """In the interpreter. `clock`: by which packets are judged; else the host's, as in the kernel.
    `observe` as Machine has it."""

    def __init__(self, artefact: bytes, *, clock: Clock | None = None, observe: bool = False, **options: Any):
        self.clock, self.observe = clock or HostClock(), observe
        super().__init__(artefact, **options)

    def open(self, artefact: bytes) -> Manifest:
        image = Image.from_elf(artefact)
        self.machine = Machine(image, clock=self.clock, config=self.config, observe=self.observe)
        assert image.manifest is not None
        return Manifest.from_json(image.manifest)

    def execute(self, program: str, frame: bytes, linear: int | None) -> tuple[int, list[dict]]:
        result = self.machine.run(program, frame, linear=linear)
        return result.return_value, result.events

    def update(self, name: str, key: bytes, value: bytes) -> None:
        self.machine.maps[name].update(key, value)

    def names(self) -> set[str]:
        return set(self.machine.maps)

    def items(self, name: str) -> list[tuple[bytes, bytes]]:
        return list(self.machine.maps[name].items())

    def delete(self, name: str, key: bytes) -> None:
        assert not self.machine.maps[name].delete(key)

    def on_each_cpu(self, name: str, index: int) -> list[bytes]:
        return [self.machine.maps[name].lookup(index_key(index))]

    def now(self) -> int:
        return self.clock.now()

    def close(self) -> None:
        """Nothing outside the process is held."""


class KernelPlane(Plane):
    def open(self, artefact: bytes) -> Manifest:
        from wardgate.runtime.elf import read_object
        from wardgate.runtime.object import load_object
        from wardgate.runtime.ringbuf import RingBuffer

        spec = read_object(artefact)
        small = {
            "addresses": 64,
            "devices": 64,
            "limits": 64,
            "subject_class": 64,
            "flows": 4096,
            "fragments": 256,
        }
        self.loaded = load_object(spec, config=self.config, resize=small)
        events = self.loaded.maps["events"]
        self.ring = RingBuffer(events.fd, events.info.max_entries)
        assert spec.manifest is not None
        return spec.manifest

    def execute(self, program: str, frame: bytes, linear: int | None) -> tuple[int, list[dict]]:
        from wardgate.runtime.testrun import test_run

        assert linear is None, "the kernel's test packets are linear"
        returned = test_run(self.loaded.programs[program], frame, want_data=False).retval
        events = [EVENT.unpack(record) for record in self.ring.read()]
        return struct.unpack("i", struct.pack("I", returned & 0xFFFFFFFF))[0], events

    def update(self, name: str, key: bytes, value: bytes) -> None:
        self.loaded.maps[name].update(key, value)

    def names(self) -> set[str]:
        return set(self.loaded.maps)

    def items(self, name: str) -> list[tuple[bytes, bytes]]:
        return [(key, value) for key, value in self.loaded.maps[name].items()]

    def delete(self, name: str, key: bytes) -> None:
        self.loaded.maps[name].delete(key)

    def on_each_cpu(self, name: str, index: int) -> list[bytes]:
        return self.loaded.maps[name].lookup_percpu(index_key(index))

    def shortest(self, header: int) -> int:
        # A test run reads 14 bytes as an Ethernet header, and wants the IP header that it promises.
        return header if self.link else 14

    def close(self) -> None:
        self.ring.close()
        self.loaded.close()
