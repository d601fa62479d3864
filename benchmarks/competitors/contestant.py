"""A program that a trace can be sent through, and what competitors need to become one."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from wardgate.runtime.maps import Map
from wardgate.runtime.object import LoadedObject
from wardgate.runtime.program import Program

from benchmarks.model import ModelClass, PolicyModel
from benchmarks.programs import Hook, MapKind, fill
from benchmarks.traces import class_of, device_address

_SESSION_NS: Final = 24 * 3600 * 10**9
_MEMORY: Final = re.compile(r"^memlock:\s*(\d+)", re.MULTILINE)
ROUTE_VALUES: Final = struct.Struct("<I")


class UnsuitableError(Exception):
    """A competitor that this policy cannot be put into; says what the limit is."""


@dataclass
class Contestant:
    """A loaded program with its maps: a context manager. `table_bytes` is what these take, inner ones
    included."""

    name: str
    program: Program
    maps: Mapping[str, Map]
    table_bytes: int
    stack: ExitStack

    def close(self) -> None:
        """Unload."""
        self.stack.close()

    def __enter__(self) -> Contestant:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


Maker = Callable[[PolicyModel, int, Hook], Contestant]
"""Makes a contestant for a policy and a number of devices; UnsuitableError."""


def memory_of(one: Map) -> int:
    """Bytes that the kernel says a map takes (`memlock` of its fdinfo)."""
    text = Path(f"/proc/self/fdinfo/{one.fd.fileno()}").read_text(encoding="ascii")
    found = _MEMORY.search(text)
    return int(found[1]) if found else 0


def memory_of_all(loaded: LoadedObject) -> int:
    """The same of all maps and tables of an object."""
    return sum(memory_of(one) for one in [*loaded.maps.values(), *loaded.tables.values()])


def fill_owners(
    maps: Mapping[str, Map],
    model: PolicyModel,
    devices: int,
    groups: Callable[[ModelClass], int] | None = None,
) -> None:
    """Tell a competitor the devices: as many, at the addresses, in the classes and with the sessions
    that our own gate has. `groups` are the bits of a class's subjects, where the competitor asks."""
    deadline = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + _SESSION_NS
    bits = [groups(one) if groups else 0 for one in model.classes]
    users = list(model.class_of)
    values = []
    for device in range(devices):
        number = model.class_of[class_of(device, users)]
        low, high = bits[number] & ~(~0 << 64), bits[number] >> 64
        values.append(struct.pack("<IIQQQ", number, 0, deadline, low, high))
    packed = b"".join(values)
    for version in (4, 6):
        keys = b"".join(device_address(version, device).packed for device in range(devices))
        fill(maps[f"owners{version}"], keys, packed)


def owner_sizes(devices: int) -> dict[str, int]:
    """For `resize`."""
    return {"owners4": devices, "owners6": devices}


def fill_routes(maps: Mapping[str, Map], names: str, model: PolicyModel) -> None:
    """Fill the two LPM tries that lead from every prefix to its position in `model.prefixes`."""
    for version in (4, 6):
        routes = [
            (lpm_key(prefix.prefixlen, prefix.network_address.packed), ROUTE_VALUES.pack(position))
            for position, prefix in enumerate(model.prefixes)
            if prefix.version == version
        ]
        if routes:
            fill(maps[f"{names}{version}"], b"".join(k for k, _ in routes), b"".join(v for _, v in routes))


def route_sizes(names: str, model: PolicyModel) -> dict[str, int]:
    """For `resize`."""
    counts = {v: sum(prefix.version == v for prefix in model.prefixes) for v in (4, 6)}
    return {f"{names}{version}": max(count, 1) for version, count in counts.items()}


def route_kinds(names: str) -> dict[str, MapKind]:
    """For `kinds`."""
    return {f"{names}{version}": MapKind.LPM_TRIE for version in (4, 6)}


def lpm_key(length: int, data: bytes) -> bytes:
    """A key of an LPM trie (struct bpf_lpm_trie_key)."""
    return struct.pack("<I", length) + data
