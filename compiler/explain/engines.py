"""Who answers queries: the artefact's own instructions in the interpreter.

Every engine gives the same answers; tests hold them to that. The third one, which asks the kernel,
needs the runtime and so is not part of the compiler (cli.kernel_engine).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from wardgate.compiler.explain.answer import Answer
from wardgate.compiler.explain.probe import (
    SLOT,
    SUBJECT,
    EngineError,
    device_record,
    probe,
    read_answer,
    tunnel_offset,
)
from wardgate.compiler.explain.query import Query
from wardgate.compiler.vm.image import Image
from wardgate.compiler.vm.machine import Machine
from wardgate.compiler.vm.maps import AnyMap, ArrayTable, HashTable
from wardgate.runtime.layout import maps
from wardgate.runtime.layout.codes import LinkHeader
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import MapLayout

_NOW: Final = 10**15
"""The interpreter's clock stands still: about twelve days after boot."""


class Engine(Protocol):
    """Answers queries about one policy."""

    def answer(self, query: Query) -> Answer:
        """What happens to the query's packet. EngineError where the engine cannot say."""


class VmEngine:
    """Runs an artefact in the BPF interpreter. The constructor raises ImageError (compiler.vm) or
    ManifestError (runtime.layout) where `artefact` is not one."""

    def __init__(self, artefact: bytes, *, observe: bool = False) -> None:
        image = Image.from_elf(artefact)
        if image.manifest is None:
            raise EngineError("the object has no manifest, so it is no artefact; compile the policy again")
        self.manifest = Manifest.from_json(image.manifest)
        config = {"trace": 1, "link_header": int(LinkHeader.NONE)}
        self.machine = Machine(image, clock=lambda: _NOW, config=config, observe=observe)

    def answer(self, query: Query) -> Answer:
        """Put one device of the query's user into the maps, run its packet, read the event."""
        question = probe(self.manifest, query)
        self._clear()
        self._put(maps.ADDRESSES, question.key, SLOT)
        offset = tunnel_offset(self.manifest, question.device)
        if offset is not None:
            self._put(maps.TUNNEL_INDEX, offset.to_bytes(4, "little"), SLOT)
        self._put(maps.SUBJECT_CLASS, SUBJECT.to_bytes(4, "little"), self.manifest.class_of(query.user))
        self._put(maps.DEVICES, SLOT.to_bytes(4, "little"), device_record(authed=query.authed, now=_NOW))
        result = self.machine.run(question.program, question.packet)
        return read_answer(self.manifest, query, result.return_value, result.events)

    def _clear(self) -> None:
        # Nothing of an earlier query may admit this one: its flow, say, or the address of its device.
        for layout in (maps.ADDRESSES, maps.FLOWS, maps.FRAGMENTS, maps.TUNNEL_INDEX):
            table = self._table(layout)
            if table is not None:
                table.clear()

    def _put(self, layout: MapLayout, key: bytes, value: int | bytes) -> None:
        table = self._table(layout)
        if table is None:
            return
        code = table.update(key, value.to_bytes(4, "little") if isinstance(value, int) else value)
        if code:
            raise EngineError(f"the map {layout.name} does not take a device (error {-code})")

    def _table(self, layout: MapLayout) -> ArrayTable | HashTable | None:
        found: Mapping[str, AnyMap] = self.machine.maps
        table = found.get(layout.name)
        # A policy without rules uses hardly any map, and its artefact leaves out what it does not use.
        return table if isinstance(table, ArrayTable | HashTable) else None
