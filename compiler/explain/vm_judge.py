"""Packets judged by an artefact's own instructions, in the interpreter, with the time that they have."""

from __future__ import annotations

from typing import Final

from wardgate.compiler.explain.judgement import (
    LONGEST,
    Device,
    Frame,
    Judgement,
    addresses_in,
    read_judgement,
)
from wardgate.compiler.explain.placement import class_key
from wardgate.compiler.explain.probe import EngineError, device_entries
from wardgate.compiler.language.model import Address
from wardgate.compiler.vm.clock import SetClock
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.machine import Machine
from wardgate.compiler.vm.maps import ArrayTable, HashTable
from wardgate.runtime.layout.codes import Direction, LinkHeader
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import PROGRAM_EGRESS, PROGRAM_INGRESS, SUBJECT_CLASS

PROGRAMS: Final = {Direction.FROM_DEVICE: PROGRAM_INGRESS, Direction.TO_DEVICE: PROGRAM_EGRESS}
FAR: Final = (1 << 63) - 1
"""A session's deadline that no clock comes to, in ns."""
_BOOT: Final = 10**15
"""The interpreter's clock at the first packet: about twelve days after boot."""


class VmJudge:
    """Judges packets one after the other; `authed`: every device's session is authorised.

    Whether there are link headers is a constant of a loaded program. So there are two gates, one for
    packets with them and one for those without, and neither knows the other's flows. The constructor
    raises ImageError (compiler.vm) or ManifestError (runtime.layout) where `artefact` is not one.
    """

    def __init__(self, artefact: bytes, *, authed: bool) -> None:
        self._image = Image.from_elf(artefact)
        if self._image.manifest is None:
            raise EngineError("the object has no manifest, so it is no artefact; compile the policy again")
        self.manifest = Manifest.from_json(self._image.manifest)
        self._authed = authed
        self._clock = SetClock(_BOOT)
        self._first: int | None = None
        self._gates: dict[LinkHeader, _Gate] = {}

    def judge(self, frame: Frame, direction: Direction, device: Device | None) -> Judgement:
        """See Judge. What the capture has no bytes of is zero: who asks has looked whether that matters."""
        self._advance(frame.time)
        gate = self._gates.get(frame.link)
        if gate is None:
            config = {"trace": 1, "link_header": int(frame.link)}
            machine = Machine(self._image, clock=self._clock, config=config)
            gate = self._gates[frame.link] = _Gate(machine, self.manifest, self._authed)
        if device is not None:
            ends = addresses_in(frame.data, frame.link)
            if ends is not None:
                gate.add(device, ends[direction is Direction.TO_DEVICE])
        packet = frame.data.ljust(min(frame.length, LONGEST), b"\0")
        result = gate.machine.run(PROGRAMS[direction], packet)
        return read_judgement(self.manifest, direction, device, result.return_value, result.events)

    def _advance(self, time: int | None) -> None:
        """Set the clock to a packet's time, but never back."""
        if time is None:
            return
        self._first = time if self._first is None else self._first
        passed = _BOOT + time - self._first - self._clock.now()
        if passed > 0:
            self._clock.run(passed)


class _Gate:
    """A machine, and the devices that it knows."""

    def __init__(self, machine: Machine, manifest: Manifest, authed: bool) -> None:
        self.machine, self._manifest, self._authed = machine, manifest, authed
        self._known: set[Address] = set()
        self._subjects: dict[str, int] = {}

    def add(self, device: Device, address: Address) -> None:
        """Tell the maps of a device's address."""
        if address in self._known:
            return
        subject = self._subjects.setdefault(device.user, len(self._subjects) + 1)
        there = self._table(SUBJECT_CLASS.name)
        before = there.lookup(class_key(self._manifest, subject)) if there else None
        for entry in device_entries(
            self._manifest,
            address,
            device.user,
            deadline=FAR if self._authed else 0,
            slot=device.slot,
            subject=subject,
            classes=before or bytes(SUBJECT_CLASS.value_size),
        ):
            table = self._table(entry.layout.name)
            if table is not None and (code := table.update(entry.key, entry.value)):
                raise EngineError(f"the map {entry.layout.name} takes no more devices (error {-code})")
        self._known.add(address)

    def _table(self, name: str) -> ArrayTable | HashTable | None:
        table = self.machine.maps.get(name)
        return table if isinstance(table, ArrayTable | HashTable) else None
