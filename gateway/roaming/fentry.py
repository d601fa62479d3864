"""The detector inside the kernel's WireGuard: it ends a session before a packet from elsewhere is judged.

What it loads and attaches is pinned, and goes on when this process ends. The next one adopts it, if it is the
same program for the same gate; else it puts its own beside it before it takes the old one away.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from wardgate.gateway.roaming import layout
from wardgate.gateway.roaming.errors import DetectorError
from wardgate.gateway.roaming.layout import pack_remote, unpack_remote
from wardgate.gateway.roaming.model import DetectorStatus, Endpoint, OnRoam, Refused, Roamed, Watched
from wardgate.gateway.roaming.objects import read_program
from wardgate.gateway.roaming.offsets import read_places, traced_functions
from wardgate.gateway.roaming.pins import RoamingPins
from wardgate.runtime import links
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.info import ProgramInfo, link_info, program_info
from wardgate.runtime.layout.records import Value
from wardgate.runtime.maps import Map
from wardgate.runtime.object import load_object
from wardgate.runtime.pinned import read_bytes, replace_bytes
from wardgate.runtime.pins import GatePins
from wardgate.runtime.program import TracedFunction
from wardgate.runtime.ringbuf import RingBuffer
from wardgate.runtime.spec import ObjectSpec
from wardgate.runtime.syscall import Cmd, Fd, fd_by_id, obj_get, obj_pin

NAME: Final = "fentry"
_PROGRAMS: Final = ("on_packet", "on_handshake")
_MAPS: Final = (layout.PEERS, layout.HANDSHAKES, layout.CHANGES, layout.LOST_EVENTS)
_FRESH: Final = "-next"
_DEVICES: Final = "devices"


class FentryDetector:
    """See the module, and Detector for what it does. The gate is there before it, and has a map `devices`."""

    looks = False

    def __init__(self, gate: str, program: bytes, own_key: bytes, on_roam: OnRoam) -> None:
        """Adopt or load. `program` is the compiled fentry_source(), `own_key` the public key of the gateway's
        device. DetectorError where this kernel cannot have it; then nothing is left of it."""
        if on_roam is OnRoam.IGNORE:
            raise ValueError("nothing to detect where roaming is ignored")
        if len(own_key) != layout.KEY_BYTES or not any(own_key):
            raise DetectorError(NAME, "the gateway's device has no key", "give it its private key first")
        self.refused: tuple[Refused, ...] = ()
        self._on_roam = on_roam
        self._pins = RoamingPins(gate)
        self._stack = ExitStack()
        try:
            self._stack.enter_context(self._pins.lock())
            places = read_places()
            constants: dict[str, Value] = {
                **places.offsets, "by_handshake": int(on_roam is OnRoam.HANDSHAKE), "own_key": own_key,
            }  # fmt: skip
            spec = read_program(program, layout.KERNEL, constants)
            digest = hashlib.sha256(program + layout.KERNEL.pack(constants)).digest()
            with Map.open_pin(GatePins(gate).maps / _DEVICES) as devices:
                self.adopted = self._is_running(digest, devices)
                if not self.adopted:
                    traced, btf = traced_functions(places)
                    with ExitStack() as closing:
                        if btf is not None:
                            closing.enter_context(btf)
                        self._load(spec, devices, traced, digest)
            self._maps = {
                one.name: self._stack.enter_context(Map.open_pin(self._pins.root / one.name)) for one in _MAPS
            }
            ring = self._maps[layout.CHANGES.name]
            self._ring = self._stack.enter_context(RingBuffer(ring.fd, ring.info.max_entries))
        except BaseException as error:
            self._stack.close()
            self._pins.remove_empty()
            if isinstance(error, WardgateError) and not isinstance(error, DetectorError):
                cause = f"{error.operation} {error.target}: {error.cause}"
                raise DetectorError(NAME, cause, error.remedy) from error
            raise

    def _is_running(self, digest: bytes, devices: Map) -> bool:
        """Whether what is pinned is this program, attached, for this gate."""
        try:
            if read_bytes(self._pins.about) != digest:
                return False
            programs = [self._program_of(self._pins.root / name) for name in _PROGRAMS]
            return all(devices.info.id in program.map_ids for program in programs)
        except WardgateError:
            # Something of it is missing.
            return False

    @staticmethod
    def _program_of(link: Path) -> ProgramInfo:
        with obj_get(link) as fd, fd_by_id(Cmd.PROG_GET_FD_BY_ID, link_info(fd).program_id) as program:
            return program_info(program)

    def _load(
        self, spec: ObjectSpec, devices: Map, traced: Mapping[str, TracedFunction], digest: bytes
    ) -> None:
        root = self._pins.root
        # What was watched for another gate has slots of that one.
        kept: dict[str, Map] = {}
        with ExitStack() as closing:
            if self._has_same_gate(devices):
                for one in _MAPS:
                    if (root / one.name).exists():
                        kept[one.name] = closing.enter_context(Map.open_pin(root / one.name))
            loaded = closing.enter_context(
                load_object(spec, shared_maps={_DEVICES: devices, **kept}, traced=traced)
            )
            attached = {
                name: closing.enter_context(links.create_tracing(loaded.programs[name].fd))
                for name in _PROGRAMS
            }
            # From here on both are at work, old and new, until each name is the new one's.
            self._pins.about.unlink(missing_ok=True)
            for one in _MAPS:
                if one.name not in kept:
                    self._put(one.name, loaded.maps[one.name].fd)
            for name, link in attached.items():
                self._put(name, link)
            replace_bytes(self._pins.about, digest)

    def _has_same_gate(self, devices: Map) -> bool:
        """Whether what is pinned watches for this gate, by whatever program."""
        try:
            return devices.info.id in self._program_of(self._pins.root / _PROGRAMS[0]).map_ids
        except WardgateError:
            return False

    def _put(self, name: str, fd: Fd) -> None:
        """Pin in the place of what is there, in one step."""
        fresh = self._pins.root / f"{name}{_FRESH}"
        fresh.unlink(missing_ok=True)
        obj_pin(fd, fresh)
        fresh.rename(self._pins.root / name)

    def reset(self, sessions: Mapping[bytes, Watched]) -> None:
        """See Detector. BpfError where the kernel has no place for them."""
        peers = self._maps[layout.PEERS.name]
        for key in list(peers.keys()):
            if key not in sessions:
                peers.delete(key)
        for key, session in sessions.items():
            self.watch(key, session)

    def watch(self, public_key: bytes, session: Watched) -> None:
        """See Detector. BpfError where the kernel has no place for it: then no session may be granted."""
        self._store(public_key, session.slot, pack_remote(session.endpoint), pack_remote(None))

    def expect(self, public_key: bytes, endpoint: Endpoint) -> None:
        """See Detector."""
        found = self._maps[layout.PEERS.name].lookup(public_key)
        if found is not None:
            known = layout.WATCHED.unpack(found)
            self._store(public_key, known["slot"], known["granted"], pack_remote(endpoint))

    def _store(self, public_key: bytes, slot: Value, granted: Value, expected: Value) -> None:
        value = layout.WATCHED.pack({"slot": slot, "granted": granted, "expected": expected})
        self._maps[layout.PEERS.name].update(public_key, value)

    def forget(self, public_key: bytes) -> None:
        """See Detector."""
        self._maps[layout.PEERS.name].delete(public_key)

    async def changes(self) -> AsyncIterator[Roamed]:
        """See Detector."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._ring.fileno(), ready.set)
        try:
            while True:
                ready.clear()
                # All at once: what is left there would call the reader again and again meanwhile.
                for sample in list(self._ring.read()):
                    yield _roamed(sample)
                await ready.wait()
        finally:
            loop.remove_reader(self._ring.fileno())

    def status(self) -> DetectorStatus:
        """See Detector."""
        with self._maps[layout.LOST_EVENTS.name].view(writable=False) as view:
            lost = view.load(0, 0, 8)
        watched = sum(1 for _ in self._maps[layout.PEERS.name].items())
        missed, failure = 0, ""
        try:
            missed = sum(self._program_of(self._pins.root / name).missed_runs for name in _PROGRAMS)
        except WardgateError as error:
            failure = f"it is at work no longer: {error.cause}"
        return DetectorStatus(
            NAME, self._on_roam, watched, self.refused,
            failures=int(bool(failure)), failure=failure, lost_events=lost, missed_packets=missed,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of it; in the kernel it goes on."""
        self._stack.close()


def remove(gate: str) -> None:
    """Take off what is attached and pinned for the gateway of this gate; nothing happens where there is none.

    Sessions are watched no longer: for when the gate goes too.
    """
    pins = RoamingPins(gate)
    if not pins.exists():
        return
    for name in (*_PROGRAMS, "about", *(one.name for one in _MAPS)):
        for path in (pins.root / name, pins.root / f"{name}{_FRESH}"):
            path.unlink(missing_ok=True)
    pins.remove_empty()


def _roamed(sample: bytes) -> Roamed:
    event = layout.ROAMED.unpack(sample)
    key, old, new = (bytes(event[name]) for name in ("key", "old", "new"))
    return Roamed(key, unpack_remote(old), unpack_remote(new), True, NAME, int(event["time"]))
