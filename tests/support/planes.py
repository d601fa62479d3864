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

from wardgate.compiler.explain import packets
from wardgate.compiler.explain.probe import address_key, tunnel_offset
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.machine import Machine
from wardgate.runtime.layout.codes import LinkHeader, Reason
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.records import DEVICE, EVENT, FLOW, FRAGMENT

SECOND = 10**9
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
    def items(self, name: str) -> list[tuple[bytes, bytes]]: ...

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
        slot = struct.pack("<I", self._slots)
        for text in addresses:
            address = ip_address(text)
            self.update("addresses", address_key(address), slot)
            offset = tunnel_offset(self.manifest, address)
            if offset is not None:
                self.update("tunnel_index", struct.pack("<I", offset), slot)
        self.update("subject_class", slot, struct.pack("<I", self.manifest.class_of(user)))
        self.session(self._slots)
        return self._slots

    def session(self, slot: int, **fields: int) -> None:
        """Set the device's session: deadline, idle_limit, last_active (ns), flags."""
        self.update("devices", struct.pack("<I", slot), DEVICE.pack({"subject": slot, **fields}))

    def device_record(self, slot: int) -> dict:
        return DEVICE.unpack(dict(self.items("devices"))[struct.pack("<I", slot)])

    def age_flows(self, ns: int) -> None:
        for key, value in self.items("flows"):
            self.update("flows", key, FLOW.pack({"last_seen": FLOW.unpack(value)["last_seen"] - ns}))

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


class VmPlane(Plane):
    def open(self, artefact: bytes) -> Manifest:
        image = Image.from_elf(artefact)
        self.machine = Machine(image, clock=self.now, config=self.config)
        assert image.manifest is not None
        return Manifest.from_json(image.manifest)

    def execute(self, program: str, frame: bytes, linear: int | None) -> tuple[int, list[dict]]:
        result = self.machine.run(program, frame, linear=linear)
        return result.return_value, result.events

    def update(self, name: str, key: bytes, value: bytes) -> None:
        self.machine.maps[name].update(key, value)

    def items(self, name: str) -> list[tuple[bytes, bytes]]:
        return list(self.machine.maps[name].items())

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
            "flows": 256,
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

    def items(self, name: str) -> list[tuple[bytes, bytes]]:
        return [(key, value) for key, value in self.loaded.maps[name].items()]

    def shortest(self, header: int) -> int:
        # A test run reads 14 bytes as an Ethernet header, and wants the IP header that it promises.
        return header if self.link else 14

    def close(self) -> None:
        self.ring.close()
        self.loaded.close()
