"""Our own program as a contestant: an artefact loaded with as many devices as a benchmark asks for."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Final

from wardgate.runtime.elf import read_artefact
from wardgate.runtime.generation import uncovered_versions
from wardgate.runtime.layout.codes import LinkHeader
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import (
    ADDRESSES,
    DEVICES,
    SUBJECT_CLASS,
    TUNNEL4,
    TUNNEL6,
)
from wardgate.runtime.layout.records import CLASSES, DEVICE, OWNER
from wardgate.runtime.maps import Map
from wardgate.runtime.shared import sizes

from benchmarks.competitors.contestant import Contestant, memory_of_all
from benchmarks.programs import Hook, fill, fill_array, load
from benchmarks.traces import class_of, device_address

NAME: Final = "wardgate"
_SESSION_NS: Final = 24 * 3600 * 10**9
_PROGRAM: Final[dict[Hook, str]] = {"tc": "gate_ingress", "xdp": "gate_xdp"}
_MAPPED: Final = bytes(10) + b"\xff\xff"


def make_gate(artefact: bytes, users: tuple[str, ...], devices: int, hook: Hook = "tc") -> Contestant:
    """Our program for packets from devices, with maps of the size that a gate makes them. Device n has slot
    and subject n + 1, both its addresses, and a session. `users` are one of each policy class, see
    `traces.class_of`."""
    spec = read_artefact(artefact)
    slots = devices + 1
    assert spec.manifest is not None  # noqa: S101 - read_artefact accepts none without it
    classes = _classes(spec.manifest, users, devices)
    with ExitStack() as stack:
        loaded = stack.enter_context(
            load(
                spec,
                config={"link_header": int(LinkHeader.ETHERNET), "trace": 0, "generation": 1},
                resize={
                    **sizes(slots, uncovered_versions(spec.manifest)),
                    SUBJECT_CLASS.name: len(classes) // CLASSES.size,
                },
                programs=[_PROGRAM[hook]],
            )
        )
        fill_array(loaded.maps[SUBJECT_CLASS.name], classes)
        if DEVICES.name in loaded.maps:
            _fill_devices(loaded.maps[DEVICES.name], devices)
        _fill_addresses(loaded.maps, spec.manifest, devices)
        (program,) = loaded.programs.values()
        return Contestant(NAME, program, loaded.maps, memory_of_all(loaded), stack.pop_all())


def _classes(manifest: Manifest, users: tuple[str, ...], devices: int) -> bytes:
    """The map of subjects' classes; whole records of it."""
    width = manifest.parameters["class_bits"] // 8
    numbers = [manifest.class_of(user).to_bytes(width, "little") for user in users]
    of_user = dict(zip(users, numbers, strict=True))
    packed = bytes(width) + b"".join(of_user[class_of(device, users)] for device in range(devices))
    return packed + bytes(-len(packed) % CLASSES.size)


def _fill_devices(target: Map, devices: int) -> None:
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    session = {"deadline": now + _SESSION_NS, "last_active": now}
    records = [DEVICE.pack({"subject": slot, **session}) for slot in range(1, devices + 1)]
    fill_array(target, bytes(DEVICE.size) + b"".join(records))


def _fill_addresses(maps: Mapping[str, Map], manifest: Manifest, devices: int) -> None:
    """Lead each address to its device: by the index of its version, or by the hash where that ends."""
    owners = [struct.pack("<II", slot, slot) for slot in range(1, devices + 1)]
    keys, values = [], []
    for version, name, index in (
        (4, TUNNEL4.name, manifest.tunnel4),
        (6, TUNNEL6.name, manifest.tunnel6),
    ):
        # Devices have addresses one after another.
        place = int(device_address(version, 0)) - int(ip_address(index.base)) if index else 0
        covered = min(max(index.size - place, 0), devices) if index else 0
        if covered:
            fill_array(maps[name], bytes(OWNER.size * place) + b"".join(owners[:covered]))
        head = _MAPPED if version == 4 else b""
        keys += [head + device_address(version, device).packed for device in range(covered, devices)]
        values += owners[covered:]
    if keys:
        fill(maps[ADDRESSES.name], b"".join(keys), b"".join(values))
