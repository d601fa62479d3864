"""A gate: a device guarded by a policy. The runtime's public face.

    gate = Gate.create_or_adopt(artefact, device="wg0")
    gate.set_devices([DeviceSpec.of("alice", "10.9.0.2")])
    gate.sessions.grant("10.9.0.2", 600)

All that a gate is lies in the kernel and under the bpffs (docs/pins.md), so a Gate object holds no fd
and never goes stale: several processes may use one gate. Changes hold the gate's lock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from wardgate.runtime import adoption, one_device, reassign, replacing
from wardgate.runtime.access import Access
from wardgate.runtime.activity import Activity, read_activity
from wardgate.runtime.addresses import Address
from wardgate.runtime.attach import Rung
from wardgate.runtime.devices import Device, Devices, DeviceSpec, check_devices
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.events import DropEvent, EventReader
from wardgate.runtime.generation import OpenTables, stored_manifest
from wardgate.runtime.hooks import dismantle
from wardgate.runtime.interface import find_interface
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import DEVICE_SLOTS
from wardgate.runtime.memory import Memory, read_memory
from wardgate.runtime.pins import GatePins, PinError, check_name, gate_names
from wardgate.runtime.sessions import Sessions
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.spec import ObjectSpec
from wardgate.runtime.state import HOOKS, StateError, current_of
from wardgate.runtime.status import GateStatus, read_status
from wardgate.runtime.subjects import Subjects

_FEWEST_SLOTS = 2
_MOST_SLOTS = 1 << 24


class Gate:
    """A gate by its name. Made by `create_or_adopt` or `open`."""

    def __init__(self, name: str) -> None:
        self.name = check_name(name)
        self._pins = GatePins(name)
        self._access = Access(self._pins)
        self.devices = Devices(self._access.reading)
        self.sessions = Sessions(self._access.reading)

    @classmethod
    def create_or_adopt(
        cls,
        artefact: bytes | ObjectSpec,
        *,
        device: str,
        name: str | None = None,
        hook: str = "tc",
        device_slots: int = DEVICE_SLOTS,
        rungs: Collection[Rung] | None = None,
    ) -> Gate:
        """A gate on `device` that enforces `artefact`.

        Where there is none of this name (the device's, unless given) it is made: attached with no
        devices known, so that nothing passes until `set_devices`; on any error nothing is left of it.
        Where there is one it is adopted with its devices and sessions: hooks that lost their program
        get it back, the device having been made anew for example, and if the artefact is another the
        gate is swapped to it. `hook` is "tc", or "xdp" for XDP in place of tc ingress.
        `device_slots` bounds the devices (less one) of a gate that is made. `rungs` restricts the
        ladder (attach.LADDERS).

        ArtefactError, InterfaceError, PinError, LockError, AttachError, VerifierError, BpfError.
        """
        spec = artefact if isinstance(artefact, ObjectSpec) else read_artefact(artefact)
        if hook not in HOOKS:
            raise StateError("make gate", device, f"there is no hook {hook!r}", "choose tc or xdp")
        if not _FEWEST_SLOTS <= device_slots <= _MOST_SLOTS:
            raise StateError(
                "make gate",
                device,
                f"{device_slots} device slots",
                f"choose {_FEWEST_SLOTS} to {_MOST_SLOTS}, one more than devices",
            )
        gate = cls(device if name is None else name)
        wanted = adoption.Wanted(spec, find_interface(device), hook, device_slots, rungs)
        with gate._pins.lock(create=True):
            adoption.create_or_adopt(gate._access, wanted)
        return gate

    @classmethod
    def open(cls, name: str) -> Gate:
        """The gate of this name; PinError where there is none."""
        gate = cls(name)
        if not gate._pins.exists():
            known = ", ".join(gate_names()) or "none"
            raise PinError("open gate", name, "there is no gate of this name", f"gates here: {known}")
        return gate

    @staticmethod
    def list() -> list[str]:
        """Names of the gates of this machine, sorted."""
        return gate_names()

    def set_devices(self, specs: Sequence[DeviceSpec]) -> None:
        """Make the gate's devices exactly these.

        A device that stays, of the same user and with an address in common, keeps its session; others
        go, and new ones start without one. DeviceError and SubjectError before anything is changed.
        """
        with self._access.writing() as (state, shared):
            check_devices(specs, current_of(self._pins, state).brief.tunnel, shared.slots)
            with self._access.opened(state, shared) as (table, tables), self._pins.changing():
                table.apply(specs, table.repair(tables), tables)

    def put_device(self, spec: DeviceSpec) -> Device:
        """Add a device, or change the addresses of one; the others are neither read nor written.

        Where a device of the same user has one of the addresses, it gets these and keeps its session. What it
        is now. DeviceError and SubjectError before anything is changed, also where another device has one
        of the addresses: that one is removed first.
        """
        with self._access.writing() as (state, shared):
            check_devices([spec], current_of(self._pins, state).brief.tunnel, shared.slots)
            with self._access.opened(state, shared) as (table, tables):
                return one_device.put(table, spec, tables, self._pins.changing)

    def remove_device(self, address: str | Address) -> Device:
        """Remove the device that has this address, and all its addresses; the others are neither read nor
        written. From the next packet on it is unknown. What it was; DeviceError where there is none."""
        with self._access.writing() as (state, shared), self._access.opened(state, shared) as (table, _):
            return one_device.remove(table, address, self._pins.changing)

    def manifest(self) -> Manifest:
        """The manifest of the policy in force."""
        with self._pins.lock():
            return current_of(self._pins, self._access.state()).manifest

    def reassign(self, manifest: Manifest) -> Sequence[str]:
        """Give users other classes of the policy in force, each in one store; the users whose class changed.

        `manifest` is that of the policy in force (`manifest()`) with other `subjects`, and with the digests
        and the positions of rules that the edited policy has. It takes the other's place: no generation is
        made, a rollback goes where it went before, and the previous generation keeps its own. ReassignError
        where anything else differs: that is for `swap`.
        """
        with self._access.writing() as (state, shared):
            current = current_of(self._pins, state)
            loaded = current.manifest
            parts = reassign.changed_parts(loaded, manifest)
            moved = reassign.moved_users(loaded, manifest)
            stored = current.stored.replaced(manifest, parts)
            with self._pins.changing():
                current.replace_manifest(stored, manifest)
                with OpenTables(current) as tables:
                    tables.set_classes(Subjects(self._pins.subjects, shared.slots).names())
            return moved

    def swap(self, artefact: bytes | ObjectSpec) -> int:
        """Enforce another policy; the number of its generation.

        It is loaded beside the one in force, then takes over hook by hook, each in one step; devices
        and sessions stay. The old one is kept for `rollback`. On any error the old one is in force.
        """
        spec = artefact if isinstance(artefact, ObjectSpec) else read_artefact(artefact)
        stored = stored_manifest(spec)
        with self._access.writing() as (state, shared):
            return replacing.swap(self._access, state, shared, spec, stored)

    def rollback(self) -> int:
        """Enforce the previous policy again; the number of its generation. A second rollback undoes
        the first. StateError where there is no previous one."""
        with self._access.writing() as (state, _):
            return replacing.roll_back(self._access, state)

    def detach(self) -> None:
        """Take the gate off its device and remove all of it; no error where nothing is left.

        Afterwards everything passes. What guards the networks behind the gateway goes last, and pins
        only after all hooks, so that a detach that was interrupted can be repeated or undone by
        `create_or_adopt`.
        """
        if not self._pins.exists():
            return
        try:
            with self._pins.lock():
                dismantle(self._pins)
        except PinError:
            # Another process detached it while this one waited for the lock.
            if self._pins.exists():
                raise

    def status(self) -> GateStatus:
        """Where the gate stands, what is in force, what it has counted."""
        with self._access.reading() as table:
            return read_status(self.name, self._access.state(), table)

    def enforces(self) -> bool:
        """Whether every hook has its program on a device that is there. PinError, StateError."""
        with self._pins.lock():
            return self._access.state().enforcing

    def activity(self) -> Activity:
        """What each rule decided, and packets by fate; see activity.rates for how fast that grows."""
        with self._pins.lock(), SharedMaps.open(self._pins) as shared:
            return read_activity(self.name, self._pins, self._access.state(), shared)

    def memory(self) -> Sequence[Memory]:
        """What the gate's maps and programs take of the kernel's memory."""
        with self._pins.lock():
            return read_memory(self._pins)

    def events(self, timeout: float | None = None) -> Iterator[DropEvent]:
        """Drops as they happen, until none came for `timeout` seconds (None: for ever). One process can
        read them at a time: LockError."""
        return EventReader(self._pins).events(timeout)
