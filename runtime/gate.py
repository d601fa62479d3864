"""A gate: a device guarded by a policy. The runtime's public face.

    gate = Gate.create_or_adopt(artefact, device="wg0")
    gate.set_devices([DeviceSpec.of("alice", "10.9.0.2")])
    gate.sessions.grant("10.9.0.2", 600)

All that a gate is lies in the kernel and under the bpffs (docs/pins.md), so a Gate object holds no fd
and never goes stale: several processes may use one gate. Changes hold the gate's lock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from wardgate.runtime import one_device, reassign
from wardgate.runtime.activity import Activity, read_activity
from wardgate.runtime.addresses import Address
from wardgate.runtime.attach import Rung
from wardgate.runtime.devices import Device, Devices, DeviceSpec, DeviceTable, check_devices
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.events import DropEvent, EventReader
from wardgate.runtime.generation import (
    OLD,
    Generation,
    OpenIndexes,
    OpenTables,
    build,
    generations,
    stored_manifest,
)
from wardgate.runtime.hooks import attach_current, dismantle
from wardgate.runtime.interface import Interface, find_interface, interface_name, network_namespace
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import DEVICE_SLOTS
from wardgate.runtime.memory import Memory, read_memory
from wardgate.runtime.owners import Owners, Space
from wardgate.runtime.pins import About, GatePins, PinError, check_name, gate_names, remove_tree
from wardgate.runtime.sessions import Sessions
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.spec import ObjectSpec
from wardgate.runtime.state import (
    HOOKS,
    State,
    StateError,
    current_of,
    read_about,
    read_state,
    recover,
    switch,
    write_about,
)
from wardgate.runtime.status import GateStatus, read_status
from wardgate.runtime.stored import StoredManifest
from wardgate.runtime.subjects import Subjects

_FEWEST_SLOTS = 2
_MOST_SLOTS = 1 << 24


class Gate:
    """A gate by its name. Made by `create_or_adopt` or `open`."""

    def __init__(self, name: str) -> None:
        self.name = check_name(name)
        self._pins = GatePins(name)
        self.devices = Devices(self._reading)
        self.sessions = Sessions(self._reading)

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
        interface = find_interface(device)
        with gate._pins.lock(create=True):
            gate._create_or_adopt(spec, interface, hook, device_slots, rungs)
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
        with self._writing() as (state, shared):
            check_devices(specs, current_of(self._pins, state).brief.tunnel, shared.slots)
            with self._opened(state, shared) as (table, tables), self._pins.changing():
                table.apply(specs, table.repair(tables), tables)

    def put_device(self, spec: DeviceSpec) -> Device:
        """Add a device, or change the addresses of one; the others are neither read nor written.

        Where a device of the same user has one of the addresses, it gets these and keeps its session. What it
        is now. DeviceError and SubjectError before anything is changed, also where another device has one
        of the addresses: that one is removed first.
        """
        with self._writing() as (state, shared):
            check_devices([spec], current_of(self._pins, state).brief.tunnel, shared.slots)
            with self._opened(state, shared) as (table, tables):
                return one_device.put(table, spec, tables, self._pins.changing)

    def remove_device(self, address: str | Address) -> Device:
        """Remove the device that has this address, and all its addresses; the others are neither read nor
        written. From the next packet on it is unknown. What it was; DeviceError where there is none."""
        with self._writing() as (state, shared), self._opened(state, shared) as (table, _):
            return one_device.remove(table, address, self._pins.changing)

    def manifest(self) -> Manifest:
        """The manifest of the policy in force."""
        with self._pins.lock():
            return current_of(self._pins, self._read()).manifest

    def reassign(self, manifest: Manifest) -> Sequence[str]:
        """Give users other classes of the policy in force, each in one store; the users whose class changed.

        `manifest` is that of the policy in force (`manifest()`) with other `subjects`, and with the digests
        and the positions of rules that the edited policy has. It takes the other's place: no generation is
        made, a rollback goes where it went before, and the previous generation keeps its own. ReassignError
        where anything else differs: that is for `swap`.
        """
        with self._writing() as (state, shared):
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
        with self._writing() as (state, shared):
            return self._swap(state, shared, spec, stored)

    def rollback(self) -> int:
        """Enforce the previous policy again; the number of its generation. A second rollback undoes
        the first. StateError where there is no previous one."""
        with self._writing() as (state, _):
            target = state.previous
            if target is None:
                raise StateError("roll back", self.name, "there is no previous generation", "swap instead")
            self._switch(state, target)
            return target.number

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
        with self._reading() as table:
            return read_status(self.name, self._read(), table)

    def enforces(self) -> bool:
        """Whether every hook has its program on a device that is there. PinError, StateError."""
        with self._pins.lock():
            return self._read().enforcing

    def activity(self) -> Activity:
        """What each rule decided, and packets by fate; see activity.rates for how fast that grows."""
        with self._pins.lock(), SharedMaps.open(self._pins) as shared:
            return read_activity(self.name, self._pins, self._read(), shared)

    def memory(self) -> Sequence[Memory]:
        """What the gate's maps and programs take of the kernel's memory."""
        with self._pins.lock():
            return read_memory(self._pins)

    def events(self, timeout: float | None = None) -> Iterator[DropEvent]:
        """Drops as they happen, until none came for `timeout` seconds (None: for ever). One process can
        read them at a time: LockError."""
        return EventReader(self._pins).events(timeout)

    def _create_or_adopt(
        self,
        spec: ObjectSpec,
        interface: Interface,
        hook: str,
        slots: int,
        rungs: Collection[Rung] | None,
    ) -> None:
        about = read_about(self._pins)
        if about is not None:
            state = recover(self._pins, read_state(self._pins, about))
            if state.current is not None:
                self._adopt(state, spec, interface, hook, rungs)
                return
        # What is here was left by a creation that did not get as far as attaching.
        self._clear()
        try:
            self._pins.make()
            write_about(self._pins, About(interface.name, network_namespace(), interface.link_header, hook))
            with SharedMaps({}) as shared:
                build(
                    self._pins, spec, stored_manifest(spec), interface.link_header, shared, HOOKS[hook], slots
                ).renamed("")
            attach_current(self._pins, self._read(), rungs)
        except BaseException:
            dismantle(self._pins)
            raise

    def _adopt(
        self,
        state: State,
        spec: ObjectSpec,
        interface: Interface,
        hook: str,
        rungs: Collection[Rung] | None,
    ) -> None:
        _check_same(state, interface, hook, self.name)
        stored = stored_manifest(spec)
        with SharedMaps.open(self._pins) as shared:
            self._repair(state, shared)
            if not state.attached:
                state = self._renew(state, shared, spec, stored, interface)
            if not state.enforcing:
                state = attach_current(self._pins, state, rungs)
            if current_of(self._pins, state).stored.digest != stored.digest:
                self._swap(state, shared, spec, stored)

    def _renew(
        self, state: State, shared: SharedMaps, spec: ObjectSpec, stored: StoredManifest, interface: Interface
    ) -> State:
        """Prepare a gate that no hook holds, its device having gone, for the device as it is now."""
        current = current_of(self._pins, state)
        same_header = state.about.link_header == interface.link_header
        if not same_header or current.stored.digest != stored.digest:
            new = build(self._pins, spec, stored, interface.link_header, shared, state.hooks, shared.slots)
            self._fill(state, shared, new)
            new.renamed("")
            for other in state.generations:
                if other != current or not same_header:
                    other.remove()
        about = About(interface.name, network_namespace(), interface.link_header, state.about.hook)
        write_about(self._pins, about)
        # Links of the device that went would say that the generation they hold is live.
        for hook in state.hooks:
            (self._pins.links / hook.value).unlink(missing_ok=True)
        return read_state(self._pins, about)

    def _swap(self, state: State, shared: SharedMaps, spec: ObjectSpec, stored: StoredManifest) -> int:
        if not state.enforcing:
            raise StateError(
                "swap",
                self.name,
                f"it is not attached to {state.about.device} on every hook",
                "run it again, which attaches it",
            )
        previous = state.previous
        coverings = {one.brief.indexes for one in state.generations}
        new = build(self._pins, spec, stored, state.about.link_header, shared, state.hooks, shared.slots)
        try:
            self._fill(state, shared, new)
            if previous is not None:
                previous.renamed(OLD)
            switch(self._pins, state, new, state.hooks)
        except BaseException:
            recover(self._pins, read_state(self._pins, state.about))
            raise
        new.renamed("")
        state = recover(self._pins, read_state(self._pins, state.about))
        if coverings - {one.brief.indexes for one in state.generations}:
            # What the generation that went looked up in the hash need not be there any more.
            with self._opened(state, shared) as (table, _):
                table.settle()
        return new.number

    def _fill(self, state: State, shared: SharedMaps, new: Generation) -> None:
        """Tell a generation that is not live yet the devices' addresses and the users' classes."""
        with self._opened(state, shared, new) as (table, tables):
            if new.brief.indexes not in {one.brief.indexes for one in state.generations}:
                table.settle()
            table.set_classes(tables[-1:])

    def _repair(self, state: State, shared: SharedMaps) -> None:
        """Bring devices and classes to one mind, whatever a crash left."""
        with self._opened(state, shared) as (table, tables), self._pins.changing():
            table.repair(tables)

    def _switch(self, state: State, target: Generation) -> None:
        try:
            switch(self._pins, state, target, state.hooks)
        except BaseException:
            recover(self._pins, read_state(self._pins, state.about))
            raise

    def _clear(self) -> None:
        for path in (self._pins.generations, self._pins.maps, self._pins.links, self._pins.unfinished):
            remove_tree(path)
        for path in (self._pins.subjects, self._pins.about):
            path.unlink(missing_ok=True)

    def _about(self) -> About:
        about = read_about(self._pins)
        if about is None:
            raise StateError(
                "open gate", self.name, "its creation was interrupted", "run it again, or detach it"
            )
        return about

    def _read(self) -> State:
        return read_state(self._pins, self._about())

    @contextmanager
    def _reading(self) -> Iterator[DeviceTable]:
        """The devices, with the lock held. All generations know the same, so one is asked."""
        with self._pins.lock(), SharedMaps.open(self._pins) as shared, ExitStack() as stack:
            self._mend(shared)
            whole = [one for one in generations(self._pins) if not one.mark]
            spaces = [stack.enter_context(OpenIndexes(one)).indexes for one in whole[-1:]]
            yield self._table(shared, spaces)

    @contextmanager
    def _writing(self) -> Iterator[tuple[State, SharedMaps]]:
        """State and shared maps, with the lock held, after what a crash left is mended."""
        with self._pins.lock(), SharedMaps.open(self._pins) as shared:
            self._mend(shared)
            yield recover(self._pins, self._read()), shared

    def _mend(self, shared: SharedMaps) -> None:
        """Finish what a writer that was killed left undone of devices and classes."""
        if self._pins.unfinished.is_dir():
            self._repair(recover(self._pins, self._read()), shared)

    @contextmanager
    def _opened(
        self, state: State, shared: SharedMaps, *new: Generation
    ) -> Iterator[tuple[DeviceTable, Sequence[OpenTables]]]:
        """The devices in all generations, and the generations' tables: that in force, others, `new`."""
        others = (one for one in state.generations if one != state.current)
        ordered = [one for one in (state.current, *others, *new) if one is not None]
        with ExitStack() as stack:
            tables = [stack.enter_context(OpenTables(one)) for one in ordered]
            yield self._table(shared, [one.indexes for one in tables]), tables

    def _table(self, shared: SharedMaps, spaces: Sequence[Space]) -> DeviceTable:
        subjects = Subjects(self._pins.subjects, shared.slots)
        return DeviceTable(shared, subjects, Owners(shared.raw("addresses"), spaces))


def _check_same(state: State, interface: Interface, hook: str, name: str) -> None:
    """StateError unless the gate that is here is one of this hook, and on this device if on any."""
    if state.about.hook != hook:
        raise StateError(
            "adopt gate",
            name,
            f"it stands on the {state.about.hook} hook, not {hook}",
            "detach it first, or choose that hook",
        )
    for found in state.attachments.values():
        if found is not None and found.alive and found.ifindex != interface.index:
            where = interface_name(found.ifindex) or f"interface {found.ifindex} of another namespace"
            raise StateError(
                "adopt gate",
                name,
                f"it is attached to {where}, not to {interface.name}",
                "give the new gate another name with --name, or detach this one",
            )
