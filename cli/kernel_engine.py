"""The engine that asks the kernel: the artefact is loaded, attached to nothing, and test-run.

Needs the privileges to load programs. The maps are the engine's own, so a gate that runs on this
machine neither sees the queries nor is seen by them.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Final

from wardgate.compiler.explain import packets
from wardgate.compiler.explain.answer import Answer
from wardgate.compiler.explain.probe import EngineError, probe, read_answer
from wardgate.compiler.explain.query import Query
from wardgate.runtime import clock
from wardgate.runtime.elf import read_object
from wardgate.runtime.layout import maps
from wardgate.runtime.layout.codes import LinkHeader
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.records import EVENT, Value
from wardgate.runtime.object import LoadedObject, load_object
from wardgate.runtime.ringbuf import RingBuffer
from wardgate.runtime.testrun import test_run

_ENTRIES: Final = 64
"""Enough for one device and its flows: the maps of an engine need not be those of a gate."""

_BY_DEVICE: Final = (maps.ADDRESSES.name, maps.DEVICES.name, maps.LIMITS.name, maps.SUBJECT_CLASS.name)
"""Maps whose size is a matter of how many devices there are."""
_PROGRAMS: Final = (maps.PROGRAM_INGRESS, maps.PROGRAM_EGRESS)
_LEFT_BY_PACKETS: Final = (maps.FLOWS.name, maps.FRAGMENTS.name)


def load_programs(artefact: bytes, slots: int, stack: ExitStack) -> tuple[Manifest, LoadedObject, RingBuffer]:
    """The artefact's tc programs with maps of their own, which have room for `slots` devices."""
    spec = read_object(artefact)
    if spec.manifest is None:
        raise EngineError("the object has no manifest, so it is no artefact; compile the policy again")
    programs = {name: one for name, one in spec.programs.items() if name in _PROGRAMS}
    if len(programs) < len(_PROGRAMS):
        raise EngineError(f"the artefact has no {' or '.join(_PROGRAMS)}; compile the policy again")
    # The kernel makes a test packet an Ethernet frame, whatever the gate's device would carry.
    config = {"trace": 1, "link_header": int(LinkHeader.ETHERNET)}
    resize = dict.fromkeys(_BY_DEVICE, max(slots, _ENTRIES))
    loaded = stack.enter_context(load_object(replace(spec, programs=programs), config=config, resize=resize))
    ring = loaded.maps[maps.EVENTS.name]
    return spec.manifest, loaded, stack.enter_context(RingBuffer(ring.fd, ring.info.max_entries))


class KernelEngine:
    """Answers by BPF_PROG_TEST_RUN: a context manager, which owns the loaded programs and maps.

    The constructor raises WardgateError (runtime.errors) where the artefact is damaged or the kernel
    refuses it.
    """

    def __init__(self, artefact: bytes) -> None:
        with ExitStack() as stack:
            self.manifest, self._object, self._events = load_programs(artefact, _ENTRIES, stack)
            self._stack = stack.pop_all()

    def answer(self, query: Query) -> Answer:
        """Put one device of the query's user into the maps, run its packet, read the event.

        WardgateError where the kernel refuses a call.
        """
        question = probe(self.manifest, query, clock.now())
        loaded = self._object.maps
        present = [entry for entry in question.entries if entry.layout.name in loaded]
        for entry in present:
            loaded[entry.layout.name].update(entry.key, entry.value)
        try:
            frame = packets.ethernet(question.packet)
            run = test_run(self._object.programs[question.program], frame, want_data=False)
            events: list[dict[str, Value]] = [EVENT.unpack(record) for record in self._events.read()]
        finally:
            # Nothing of this query may admit the next: its flow, say, or the address of its device.
            for entry in present:
                if entry.layout is maps.ADDRESSES:
                    loaded[entry.layout.name].delete(entry.key)
                else:
                    loaded[entry.layout.name].update(entry.key, bytes(len(entry.value)))
            for name in _LEFT_BY_PACKETS:
                if name in loaded:
                    for key in list(loaded[name].keys()):
                        loaded[name].delete(key)
        return read_answer(self.manifest, query, run.retval, events)

    def close(self) -> None:
        """Unload the programs and maps."""
        self._stack.close()

    def __enter__(self) -> KernelEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
