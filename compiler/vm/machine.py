"""The interpreter: runs the programs of an image over its tables and maps, without the kernel.

It is stricter than the kernel, which has already proved what this checks: reads of stack that nothing
has written, of registers that a call has clobbered, of a packet beyond data_end or after
skb_pull_data, and accesses beyond one map value all fault.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import FunctionType, TracebackType
from typing import Any, Final, NoReturn

from wardgate.compiler.vm import arithmetic, context, isa, maps
from wardgate.compiler.vm.clock import Clock, HostClock
from wardgate.compiler.vm.errors import AccessError, ImageError, ProgramError
from wardgate.compiler.vm.helpers import HELPERS
from wardgate.compiler.vm.image import Image, MapReference
from wardgate.compiler.vm.maps import AnyMap, HashTable, RingBuffer
from wardgate.compiler.vm.memory import CONTEXT_ADDRESS, LOADS, SPECIAL, VALID, Memory
from wardgate.compiler.vm.observe import Observer, Recorder, Statistics
from wardgate.compiler.vm.translate import M32, OBSERVED, Translator
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import CONFIG_SECTION, MAPS_BY_NAME, MapLayout
from wardgate.runtime.layout.records import CONFIG, EVENT, Value

DEFAULT_BUDGET: Final = 1_000_000
"""Instructions that a run may take: what the kernel's verifier is ready to follow."""

_FILE = "<bpf chain at {}>"
_FAULTS = (AccessError, KeyError, IndexError, TypeError, struct.error)


class _Unset:
    """Content of a register that nothing has set. Arithmetic on it is a TypeError by itself; what
    Python would answer for any object must be refused here."""

    def __eq__(self, _other: object) -> NoReturn:
        raise AccessError("reads a register that nothing has set")

    __ne__ = __eq__
    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> NoReturn:
        raise AccessError("reads a register that nothing has set")


UNSET: Final = _Unset()


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gave. `return_value` is r0's low half, signed, as tc and XDP take it; `events` the
    decoded records (runtime.layout.records.EVENT) of the map `events`; `packet` the packet as the
    program left it."""

    return_value: int
    events: list[dict[str, Value]]
    instructions: int
    packet: bytes


class Machine:
    """An image with memory and maps. Not safe for use from several threads.

    `clock` is by default the host's. `config` sets fields of records.CONFIG, as the
    runtime does before it freezes the tables. `layouts` describes the maps, `sizes` overrides their
    numbers of entries (default: what the manifest says). With `observe`, `statistics` and `trace`
    are kept, at about half the speed; an `observer` is told instead where one is given.
    """

    def __init__(
        self,
        image: Image,
        *,
        clock: Clock | None = None,
        config: Mapping[str, Value] | None = None,
        layouts: Mapping[str, MapLayout] = MAPS_BY_NAME,
        sizes: Mapping[str, int] | None = None,
        budget: int = DEFAULT_BUDGET,
        observe: bool = False,
        observer: Observer | None = None,
    ) -> None:
        self.image, self.memory = image, Memory()
        self.clock = clock or HostClock()
        self._recorder = Recorder()
        if sizes is None:
            sizes = _manifest_sizes(image)
        self.maps: dict[str, AnyMap] = {
            name: maps.create(name, layouts, sizes, self.memory) for name in image.maps
        }
        # Nothing is mapped at a handle: a program that dereferences a map faults.
        self._map_handles = {name: SPECIAL * 2 + (i << 32) for i, name in enumerate(image.maps)}
        self.handles = {handle: self.maps[name] for name, handle in self._map_handles.items()}
        self._link_header = 0
        self._data = self._load_data(config)
        self._observer = observer or (self._recorder if observe else None)
        self._translator = Translator(image, self._resolve, observe=self._observer is not None)
        self._chains: list[Callable[[], int] | None] = [None] * len(image.code)
        self._lines: dict[str, tuple[int, ...]] = {}
        self._globals = self._namespace(budget)
        if self._observer is not None:
            self._observer.host = self
        self._packet, self._linear, self._packet_address = b"", 0, 0
        self._kind = context.SKB

    @property
    def statistics(self) -> Statistics:
        """Counts over all runs, with `observe`."""
        return self._recorder.statistics

    @property
    def trace(self) -> list[int]:
        """The instructions of all runs, in their order, with `observe`."""
        return self._recorder.trace

    def run(
        self,
        program: str,
        packet: bytes = b"",
        fields: Mapping[str, int] | None = None,
        *,
        linear: int | None = None,
    ) -> Result:
        """Run `program` on `packet`; ProgramError where the verifier would not have let it.

        `fields` sets context fields (context.SKB_FIELDS or XDP_FIELDS); `len` and `protocol` of an
        skb are derived from the packet. `linear`: only so many of the packet's bytes can be read
        until the program pulls the rest with skb_pull_data.
        """
        entry = self.image.functions.get(program)
        if entry is None:
            raise ImageError(f"no program {program}; there are {', '.join(sorted(self.image.functions))}")
        self._prepare(program, packet, fields or {}, linear)
        try:
            self._enter()
            self._loop(entry)
            r0 = self._finish()
        except _FAULTS as error:
            fault = self._fault(program, error)
            if fault is None:
                raise
            raise fault from error
        finally:
            self.memory.clear_frames()
        return Result(
            arithmetic.signed(r0, 32), self._events(), self._globals["steps"], self._finish_packet()
        )

    def pull(self, length: int) -> bool:
        """skb_pull_data: make `length` bytes readable (0: those that already are).

        The packet moves to a new address, so pointers from before the call fault, as the verifier
        would refuse them.
        """
        if self._kind is not context.SKB:
            raise AccessError("skb_pull_data in a program that has no skb")
        length = length or self._linear
        if length > len(self._packet):
            return False
        self._place_packet(self._finish_packet(), max(length, self._linear))
        return True

    def _load_data(self, config: Mapping[str, Value] | None) -> dict[str, int]:
        addresses = {}
        for name, section in self.image.data.items():
            content = section.data
            if name == CONFIG_SECTION and len(content) == CONFIG.size:
                values = {**CONFIG.unpack(content), **(config or {})}
                self._link_header = int(values["link_header"])
                content = CONFIG.pack(values)
            addresses[name] = self.memory.add(name, bytearray(content) if section.writable else content)
        if config and CONFIG_SECTION not in addresses:
            raise ImageError("the object has no configuration to set; it is not an artefact")
        return addresses

    def _resolve(self, pc: int) -> int:
        reference = self.image.references[pc]
        if isinstance(reference, MapReference):
            return self._map_handles[reference.name]
        return self._data[reference.section] + reference.offset

    def _namespace(self, budget: int) -> dict[str, Any]:
        names: dict[str, Any] = {f"r{n}": UNSET for n in range(11)}
        for size, codec in LOADS.items():
            names |= {f"LOAD{size}": codec.unpack_from, f"STORE{size}": codec.pack_into}
            names[f"VALID{size}"] = VALID[size]
        for number, (_, _, function) in HELPERS.items():
            names[f"helper{number}"] = partial(function, self)
        names |= {
            "steps": 0,
            "budget": budget,
            "mem": self.memory.regions,
            "load": self.memory.load,
            "store": self.memory.store,
            "frame": b"",
            "written": b"",
            "UNSET": UNSET,
            "AccessError": AccessError,
            "signed_divide": arithmetic.signed_divide,
            "signed_modulo": arithmetic.signed_modulo,
            "swap": arithmetic.swap,
            "atomic": self._atomic,
            "call": self._call,
            "exhausted": _exhausted,
            "unwritten": _unwritten,
            "illegal": _illegal,
        }
        if self._observer is not None:
            names |= {name: getattr(self._observer, name) for name in OBSERVED}
        return names

    def _prepare(self, program: str, packet: bytes, fields: Mapping[str, int], linear: int | None) -> None:
        self._kind = context.kind_of(self.image.sections[program])
        if self._kind is context.SKB:
            protocol = context.link_protocol(packet, self._link_header)
            fields = {"len": len(packet), "protocol": protocol, **fields}
        self.memory.context = self._kind.build(fields)
        self._place_packet(packet, len(packet) if linear is None else min(linear, len(packet)))
        state = self._globals
        for name in ("r0", "r2", "r3", "r4", "r5"):
            state[name] = UNSET
        state["r1"], state["steps"] = CONTEXT_ADDRESS, 0

    def _place_packet(self, packet: bytes, linear: int) -> None:
        if self._packet_address:
            self.memory.remove(self._packet_address)
        self._packet, self._linear = packet, linear
        self._packet_address = self.memory.add("packet", bytearray(packet[:linear]))
        self.memory.pointers = self._kind.pointers(self._packet_address, linear)

    def _finish_packet(self) -> bytes:
        return bytes(self.memory.regions[self._packet_address >> 32]) + self._packet[self._linear :]

    def _enter(self) -> None:
        state = self._globals
        state["r10"], frame = self.memory.push_frame()
        state["frame"], state["written"] = frame.data, frame.written
        for name in ("r6", "r7", "r8", "r9"):
            state[name] = UNSET

    def _call(self, entry: int) -> None:
        state = self._globals
        saved = {name: state[name] for name in ("r6", "r7", "r8", "r9", "r10", "frame", "written")}
        self._enter()
        self._loop(entry)
        self.memory.pop_frame()
        state.update(saved)

    def _loop(self, pc: int) -> None:
        chains = self._chains
        while pc >= 0:
            pc = (chains[pc] or self._translate(pc))()

    def _translate(self, pc: int) -> Callable[[], int]:
        chain = self._translator.chain(pc)
        file = _FILE.format(pc)
        self._lines[file] = chain.lines
        module = compile(chain.source, file, "exec", dont_inherit=True)
        body = next(constant for constant in module.co_consts if hasattr(constant, "co_code"))
        function = FunctionType(body, self._globals)
        self._chains[pc] = function
        return function

    def _atomic(self, address: int, size: int, operation: int, value: int, expected: int) -> int:
        mask = (1 << 8 * size) - 1
        if address % size:
            raise AccessError(f"atomic access to {address:#x}, which is not aligned to {size} bytes")
        old = self.memory.load(address, size)
        new = arithmetic.atomic(operation, old, value & mask, expected & mask)
        self.memory.store(address, size, new & mask)
        return old

    def _finish(self) -> int:
        r0 = self._globals["r0"]
        if r0 is UNSET:
            raise AccessError("leaves r0 unset")
        for table in self.maps.values():
            if isinstance(table, HashTable | RingBuffer):
                table.end_run()
        return int(r0) & M32

    def _events(self) -> list[dict[str, Value]]:
        events = self.maps.get("events")
        return [EVENT.unpack(record) for record in events.drain()] if isinstance(events, RingBuffer) else []

    def _fault(self, program: str, error: Exception) -> ProgramError | None:
        """What the program did wrong; None where the error is the interpreter's own."""
        pc, address = self._place_of(error.__traceback__)
        instruction = None if pc is None else self.image.code[pc]
        if instruction is None:
            return ProgramError(program, None, "", str(error)) if isinstance(error, AccessError) else None
        cause = str(error) if isinstance(error, AccessError) else self._cause(instruction, address)
        return ProgramError(program, pc, str(instruction), cause)

    def _place_of(self, traceback: TracebackType | None) -> tuple[int | None, int | None]:
        found: tuple[int | None, int | None] = None, None
        while traceback is not None:
            lines = self._lines.get(traceback.tb_frame.f_code.co_filename)
            if lines is not None:
                found = lines[traceback.tb_lineno - 1], traceback.tb_frame.f_locals.get("t")
            traceback = traceback.tb_next
        return found

    def _cause(self, i: isa.Instruction, address: int | None) -> str:
        for register in _operands(i):
            if self._globals[f"r{register}"] is UNSET:
                return f"reads r{register}, which nothing has set"
        if address is not None:
            try:
                if i.kind == isa.LDX:
                    self.memory.read(address, i.size)
                else:
                    self.memory.write(address, bytes(i.size))
            except AccessError as error:
                return str(error)
        return "reads a register that nothing has set"


def _manifest_sizes(image: Image) -> dict[str, int]:
    if image.manifest is None:
        return {}
    return {use.name: use.entries for use in Manifest.from_json(image.manifest).maps}


def _operands(i: isa.Instruction) -> tuple[int, ...]:
    """The registers that `i` reads."""
    if i.kind in (isa.LDX, isa.ST):
        return (i.src,) if i.kind == isa.LDX else (i.dst,)
    return (i.dst, i.src) if i.kind == isa.STX or i.code & isa.REGISTER_SOURCE else (i.dst,)


def _exhausted() -> NoReturn:
    raise AccessError("the instruction budget is spent; the program may loop forever")


def _unwritten(offset: int) -> NoReturn:
    raise AccessError(f"reads stack at {offset} that nothing has written")


def _illegal(code: int) -> NoReturn:
    raise AccessError(f"opcode {code:#04x} is none that this interpreter knows")
