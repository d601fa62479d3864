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
from dataclasses import replace

from wardgate.runtime import attach
from wardgate.runtime.attach import Attachment, Refusal, Rung
from wardgate.runtime.devices import Devices, DeviceSpec, DeviceTable, check_devices
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.events import DropEvent, EventReader
from wardgate.runtime.generation import (
    OLD,
    Generation,
    GenerationTables,
    artefact_digest,
    build,
    pin_bytes,
)
from wardgate.runtime.interface import Interface, find_interface, interface_name, network_namespace
from wardgate.runtime.layout.maps import DEVICE_SLOTS
from wardgate.runtime.pins import About, GatePins, PinError, check_name, gate_names, remove_tree
from wardgate.runtime.sessions import Sessions
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.spec import ObjectSpec
from wardgate.runtime.state import HOOKS, State, StateError, read_about, read_state, recover, switch
from wardgate.runtime.status import GateStatus, read_status

_FEWEST_SLOTS = 2
_MOST_SLOTS = 1 << 24


class Gate:
    """A gate by its name. Made by `create_or_adopt` or `open`."""

    def __init__(self, name: str) -> None:
        self.name = check_name(name)
        self._pins = GatePins(name)
        self.devices = Devices(self._locked)
        self.sessions = Sessions(self._locked)

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
        with self._writing() as (state, shared, tables):
            current = _current(state, self.name)
            check_devices(specs, current.manifest.tunnel, shared.slots)
            DeviceTable(shared).apply(specs, tables)

    def swap(self, artefact: bytes | ObjectSpec) -> int:
        """Enforce another policy; the number of its generation.

        It is loaded beside the one in force, then takes over hook by hook, each in one step; devices
        and sessions stay. The old one is kept for `rollback`. On any error the old one is in force.
        """
        spec = artefact if isinstance(artefact, ObjectSpec) else read_artefact(artefact)
        with self._writing() as (state, shared, _):
            return self._swap(state, shared, spec)

    def rollback(self) -> int:
        """Enforce the previous policy again; the number of its generation. A second rollback undoes
        the first. StateError where there is no previous one."""
        with self._writing() as (state, _, _):
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
                self._dismantle()
        except PinError:
            # Another process detached it while this one waited for the lock.
            if self._pins.exists():
                raise

    def status(self) -> GateStatus:
        """Where the gate stands, what is in force, what it has counted."""
        with self._pins.lock(), SharedMaps.open(self._pins) as shared:
            return read_status(self.name, read_state(self._pins, self._about()), shared)

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
            self._write_about(About(interface.name, network_namespace(), interface.link_header, hook))
            with SharedMaps({}) as shared:
                build(self._pins, spec, interface.link_header, shared, HOOKS[hook], slots).renamed("")
            self._attach(self._read(), rungs)
        except BaseException:
            self._dismantle()
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
        with SharedMaps.open(self._pins) as shared:
            DeviceTable(shared).repair([])
            if not state.attached:
                state = self._renew(state, shared, spec, interface)
            with _tables(state) as tables:
                DeviceTable(shared).repair(tables)
            if not state.enforcing:
                state = self._attach(state, rungs)
            if _current(state, self.name).digest != artefact_digest(spec):
                self._swap(state, shared, spec)

    def _renew(self, state: State, shared: SharedMaps, spec: ObjectSpec, interface: Interface) -> State:
        """Prepare a gate that no hook holds, its device having gone, for the device as it is now."""
        current = _current(state, self.name)
        same_header = state.about.link_header == interface.link_header
        if not same_header or current.digest != artefact_digest(spec):
            new = build(self._pins, spec, interface.link_header, shared, state.hooks, shared.slots)
            with GenerationTables(new) as tables:
                DeviceTable(shared).fill(tables)
            new = new.renamed("")
            for other in state.generations:
                if other != current or not same_header:
                    other.remove()
            current = new
        about = About(interface.name, network_namespace(), interface.link_header, state.about.hook)
        self._write_about(about)
        # Links of the device that went would say that the generation they hold is live.
        for hook in state.hooks:
            (self._pins.links / hook.value).unlink(missing_ok=True)
        return read_state(self._pins, about)

    def _swap(self, state: State, shared: SharedMaps, spec: ObjectSpec) -> int:
        if not state.enforcing:
            raise StateError(
                "swap",
                self.name,
                f"it is not attached to {state.about.device} on every hook",
                "run it again, which attaches it",
            )
        previous = state.previous
        new = build(self._pins, spec, state.about.link_header, shared, state.hooks, shared.slots)
        try:
            with GenerationTables(new) as tables:
                DeviceTable(shared).fill(tables)
            if previous is not None:
                previous.renamed(OLD)
            switch(self._pins, state, new, state.hooks)
        except BaseException:
            recover(self._pins, read_state(self._pins, state.about))
            raise
        new.renamed("")
        recover(self._pins, read_state(self._pins, state.about))
        return new.number

    def _switch(self, state: State, target: Generation) -> None:
        try:
            switch(self._pins, state, target, state.hooks)
        except BaseException:
            recover(self._pins, read_state(self._pins, state.about))
            raise

    def _attach(self, state: State, rungs: Collection[Rung] | None) -> State:
        """Put the current generation on the hooks that have no program. What was attached here is taken
        off again where one refuses."""
        if state.ifindex is None:
            raise StateError("attach", self.name, f"{state.about.device} is not in this network namespace")
        current = _current(state, self.name)
        made: list[tuple[Attachment, tuple[Refusal, ...]]] = []
        try:
            for hook in state.hooks:
                found = state.attachments[hook]
                if found is None or not found.alive or state.live[hook] is None:
                    if found is not None and found.alive:
                        # The gate's link, with a program that somebody else put there.
                        attach.detach(found, self._pins.links, None)
                    with current.program(hook) as program:
                        made.append(
                            attach.attach(
                                hook,
                                program.fd,
                                state.ifindex,
                                self._pins.links,
                                device=state.about.device,
                                rungs=rungs,
                            )
                        )
        except BaseException:
            for attachment, _ in reversed(made):
                with current.program(attachment.hook) as program:
                    attach.detach(attachment, self._pins.links, program.fd)
            raise
        about = replace(
            state.about,
            rungs={**state.about.rungs, **{one.hook: one.rung for one, _ in made}},
            refused={**state.about.refused, **{one.hook: refused for one, refused in made}},
        )
        self._write_about(about)
        return read_state(self._pins, about)

    def _dismantle(self) -> None:
        """Take what there is off the hooks, last hook first, then remove the folder."""
        try:
            about = read_about(self._pins)
        except PinError:
            # Written by another release: its links go with their pins.
            about = None
        if about is not None:
            state = read_state(self._pins, about)
            for hook in reversed(state.hooks):
                attachment, live = state.attachments[hook], state.live[hook]
                if attachment is None:
                    continue
                if live is None:
                    attach.detach(attachment, self._pins.links, None)
                    continue
                with live.program(hook) as program:
                    attach.detach(attachment, self._pins.links, program.fd)
        self._pins.remove()

    def _clear(self) -> None:
        for path in (self._pins.generations, self._pins.maps, self._pins.links):
            remove_tree(path)
        self._pins.about.unlink(missing_ok=True)

    def _about(self) -> About:
        about = read_about(self._pins)
        if about is None:
            raise StateError(
                "open gate", self.name, "its creation was interrupted", "run it again, or detach it"
            )
        return about

    def _write_about(self, about: About) -> None:
        # Renaming puts the new one in the place of the old in one step.
        fresh = self._pins.root / "about-next"
        fresh.unlink(missing_ok=True)
        pin_bytes(fresh, about.to_json())
        fresh.rename(self._pins.about)

    def _read(self) -> State:
        return read_state(self._pins, self._about())

    @contextmanager
    def _locked(self) -> Iterator[SharedMaps]:
        """The shared maps, with the lock held."""
        with self._pins.lock(), SharedMaps.open(self._pins) as shared:
            yield shared

    @contextmanager
    def _writing(self) -> Iterator[tuple[State, SharedMaps, Sequence[GenerationTables]]]:
        """State, shared maps and the tables of all generations, after what a crash left is mended."""
        with self._locked() as shared:
            state = recover(self._pins, self._read())
            with _tables(state) as tables:
                DeviceTable(shared).repair(tables)
                yield state, shared, tables


@contextmanager
def _tables(state: State) -> Iterator[list[GenerationTables]]:
    with ExitStack() as stack:
        yield [stack.enter_context(GenerationTables(one)) for one in state.generations]


def _current(state: State, name: str) -> Generation:
    current = state.current
    if current is None:
        raise StateError("open gate", name, "no policy is loaded", "run it again, or detach it")
    return current


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
