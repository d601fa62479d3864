"""Our own program as a contestant: an artefact loaded with as many devices as a benchmark asks for."""

from __future__ import annotations

import struct
import time
from types import TracebackType
from typing import Final

from wardgate.runtime.elf import read_artefact
from wardgate.runtime.layout.codes import LinkHeader
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.records import DEVICE
from wardgate.runtime.program import Program

from benchmarks.policies import TUNNEL4
from benchmarks.programs import Hook, fill, fill_array, load
from benchmarks.traces import class_of, device_address

_SESSION_NS: Final = 24 * 3600 * 10**9
_PROGRAM: Final[dict[Hook, str]] = {"tc": "gate_ingress", "xdp": "gate_xdp"}
_MAPPED: Final = bytes(10) + b"\xff\xff"


class MeasuredGate:
    """A context manager. Device n has slot and subject n + 1, both its addresses, and a session."""

    def __init__(self, artefact: bytes, users: tuple[str, ...], devices: int, hook: Hook = "tc") -> None:
        spec = read_artefact(artefact)
        assert spec.manifest is not None  # noqa: S101 - read_artefact accepts none without it
        self.manifest: Manifest = spec.manifest
        slots = devices + 1
        self.loaded = load(
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
        try:
            self._fill(users, devices)
        except BaseException:
            self.loaded.close()
            raise

    @property
    def program(self) -> Program:
        """The gate's program for packets from devices."""
        (program,) = self.loaded.programs.values()
        return program

    def _fill(self, users: tuple[str, ...], devices: int) -> None:
        maps = self.loaded.maps
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        slots = range(1, devices + 1)
        packed = [struct.pack("<I", slot) for slot in slots]
        keys4 = b"".join(_MAPPED + device_address(4, device).packed for device in range(devices))
        keys6 = b"".join(device_address(6, device).packed for device in range(devices))
        fill(maps["addresses"], keys4 + keys6, b"".join(packed) * 2)
        fill_array(
            maps["devices"],
            bytes(DEVICE.size)
            + b"".join(
                DEVICE.pack({"subject": slot, "deadline": now + _SESSION_NS, "last_active": now})
                for slot in slots
            ),
        )
        by_name = {user: self.manifest.class_of(user) for user in users}
        fill_array(
            maps["subject_class"],
            bytes(4) + b"".join(struct.pack("<I", by_name[class_of(d, users)]) for d in range(devices)),
        )
        if "tunnel_index" in maps:
            # A whole array, since a batch has keys one after another: address 0 is the network's own.
            assert self.manifest.tunnel_index is not None  # noqa: S101 - the map is there for it
            assert self.manifest.tunnel_index.base == str(TUNNEL4.network_address)  # noqa: S101
            fill_array(maps["tunnel_index"], bytes(4) + b"".join(packed))

    def close(self) -> None:
        """Unload."""
        self.loaded.close()

    def __enter__(self) -> MeasuredGate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
