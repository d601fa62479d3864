"""Our own program as a contestant: an artefact loaded with as many devices as a benchmark asks for."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import Final

from wardgate.runtime.elf import read_artefact
from wardgate.runtime.layout.codes import LinkHeader
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.records import DEVICE
from wardgate.runtime.maps import Map

from benchmarks.competitors.contestant import Contestant, memory_of_all
from benchmarks.programs import Hook, fill, fill_array, load
from benchmarks.traces import class_of, device_address

NAME: Final = "wardgate"
_SESSION_NS: Final = 24 * 3600 * 10**9
_PROGRAM: Final[dict[Hook, str]] = {"tc": "gate_ingress", "xdp": "gate_xdp"}
_MAPPED: Final = bytes(10) + b"\xff\xff"


def make_gate(artefact: bytes, users: tuple[str, ...], devices: int, hook: Hook = "tc") -> Contestant:
    """Our program for packets from devices. Device n has slot and subject n + 1, both its addresses, and
    a session. `users` are one of each policy class, see `traces.class_of`."""
    spec = read_artefact(artefact)
    slots = devices + 1
    with ExitStack() as stack:
        loaded = stack.enter_context(
            load(
                spec,
                config={"link_header": int(LinkHeader.ETHERNET), "trace": 0, "generation": 1},
                resize={
                    "addresses": 2 * slots,
                    "devices": slots,
                    "limits": slots,
                    "subject_class": slots,
                    "flows": max(65_536, 2 * devices),
                },
                programs=[_PROGRAM[hook]],
            )
        )
        assert spec.manifest is not None  # noqa: S101 - read_artefact accepts none without it
        _fill(loaded.maps, spec.manifest, users, devices)
        (program,) = loaded.programs.values()
        return Contestant(NAME, program, loaded.maps, memory_of_all(loaded), stack.pop_all())


def _fill(maps: Mapping[str, Map], manifest: Manifest, users: tuple[str, ...], devices: int) -> None:
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    slots = range(1, devices + 1)
    packed = [struct.pack("<I", slot) for slot in slots]
    keys4 = b"".join(_MAPPED + device_address(4, device).packed for device in range(devices))
    keys6 = b"".join(device_address(6, device).packed for device in range(devices))
    fill(maps["addresses"], keys4 + keys6, b"".join(packed) * 2)
    session = {"deadline": now + _SESSION_NS, "last_active": now}
    records = [DEVICE.pack({"subject": slot, **session}) for slot in slots]
    fill_array(maps["devices"], bytes(DEVICE.size) + b"".join(records))
    classes = {user: struct.pack("<I", manifest.class_of(user)) for user in users}
    by_subject = [classes[class_of(device, users)] for device in range(devices)]
    fill_array(maps["subject_class"], bytes(4) + b"".join(by_subject))
    if "tunnel_index" in maps:
        index = manifest.tunnel_index
        assert index is not None  # noqa: S101 - the map is there for it
        place = int(device_address(4, 0)) - int(IPv4Address(index.base))
        fill_array(maps["tunnel_index"], bytes(4 * place) + b"".join(packed))
