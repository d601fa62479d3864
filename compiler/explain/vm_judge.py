"""Packets judged by an artefact's own instructions, in the interpreter, with the time that they have."""

from __future__ import annotations

from typing import Final

from wardgate.compiler.explain.enrolment import Enrolment
from wardgate.compiler.explain.judgement import (
    LONGEST,
    Device,
    Frame,
    Judgement,
    addresses_in,
    read_judgement,
)
from wardgate.compiler.explain.probe import EngineError, Entry
from wardgate.compiler.language.model import Address
from wardgate.compiler.vm.clock import SetClock
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.machine import Machine
from wardgate.compiler.vm.maps import ArrayTable, HashTable
from wardgate.runtime.layout.codes import Direction, LinkHeader
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import PROGRAM_EGRESS, PROGRAM_INGRESS, SUBJECT_CLASS

PROGRAMS: Final = {Direction.FROM_DEVICE: PROGRAM_INGRESS, Direction.TO_DEVICE: PROGRAM_EGRESS}
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
        self.machine = machine
        self._enrolment = Enrolment(manifest, authed=authed)

    def add(self, device: Device, address: Address) -> None:
        """Tell the maps of a device's address."""
        self._enrolment.enrol(device, address, self._classes, self._put)

    def _classes(self, key: bytes) -> bytes | None:
        there = self._table(SUBJECT_CLASS.name)
        return there.lookup(key) if there else None

    def _put(self, entry: Entry) -> None:
        table = self._table(entry.layout.name)
        if table is not None and (code := table.update(entry.key, entry.value)):
            raise EngineError(f"the map {entry.layout.name} takes no more devices (error {-code})")

    def _table(self, name: str) -> ArrayTable | HashTable | None:
        table = self.machine.maps.get(name)
        return table if isinstance(table, ArrayTable | HashTable) else None
