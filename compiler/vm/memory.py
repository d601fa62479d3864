"""The interpreter's address space: regions of bytes, far apart.

An address is `region << 32 | offset`. Region 0 is never used, so a null pointer faults, and neither
is every other one, so that what lies before a region's start is not in another. Ordinary
regions hold `bytes` (read-only) or `bytearray`; the translated code indexes `Memory.regions` itself
and relies on Python's own bounds checks. The context and the stack frames need more than that (fields
that are pointers, bytes that nothing has written) and lie above SPECIAL, where `load` and `store`
serve them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from wardgate.compiler.vm.errors import AccessError

SHIFT: Final = 32
OFFSET_MASK: Final = (1 << SHIFT) - 1
STACK_SIZE: Final = 512
MAX_FRAMES: Final = 8
"""Limits of the kernel's verifier: MAX_BPF_STACK and MAX_CALL_FRAMES."""

_CONTEXT_REGION: Final = 0x4000_0000
_FRAME_REGION: Final = _CONTEXT_REGION + 2
SPECIAL: Final = _CONTEXT_REGION << SHIFT
CONTEXT_ADDRESS: Final = SPECIAL

LOADS: Final = {
    1: struct.Struct("<B"),
    2: struct.Struct("<H"),
    4: struct.Struct("<I"),
    8: struct.Struct("<Q"),
}
"""Unsigned little-endian integers by size."""
VALID: Final = {size: b"\x01" * size for size in (1, 2, 4, 8)}


@dataclass(slots=True)
class Frame:
    """A stack frame, and which of its bytes have been written."""

    data: bytearray = field(default_factory=lambda: bytearray(STACK_SIZE))
    written: bytearray = field(default_factory=lambda: bytearray(STACK_SIZE))


class Memory:
    """Regions by number, their names for messages and statistics, the context and the stack."""

    def __init__(self) -> None:
        self.regions: dict[int, bytes | bytearray] = {}
        self.names: dict[int, str] = {}
        self._frames: dict[int, Frame] = {}
        self.context = bytearray()
        self.pointers: Mapping[int, int] = {}
        self._next = 2

    def add(self, name: str, data: bytes | bytearray) -> int:
        """Address of a new region holding `data`; programs can write it if it is a bytearray."""
        region, self._next = self._next, self._next + 2
        self.regions[region], self.names[region] = data, name
        return region << SHIFT

    def remove(self, address: int) -> None:
        """Take away the region at `address`: pointers into it fault from now on."""
        del self.regions[address >> SHIFT], self.names[address >> SHIFT]

    def push_frame(self) -> tuple[int, Frame]:
        """A fresh stack frame; its r10, which is the address after its last byte, and itself."""
        depth = len(self._frames)
        if depth == MAX_FRAMES:
            raise AccessError(f"more than {MAX_FRAMES} nested calls")
        region = _FRAME_REGION + 2 * depth
        self._frames[region] = frame = Frame()
        return (region << SHIFT) + STACK_SIZE, frame

    def pop_frame(self) -> None:
        """Leave the newest frame: pointers into it fault from now on."""
        self._frames.popitem()

    def clear_frames(self) -> None:
        """Leave all frames."""
        self._frames.clear()

    def name(self, address: int) -> str:
        """The region that `address` lies in, in words."""
        if address < SPECIAL:
            return self.names.get(address >> SHIFT, "no region")
        return "context" if address >> SHIFT == _CONTEXT_REGION else "stack"

    def load(self, address: int, size: int) -> int:
        """Unsigned integer of `size` bytes at `address`, in any region."""
        region, start = address >> SHIFT, address & OFFSET_MASK
        frame = self._frames.get(region)
        if frame is not None and frame.written[start : start + size] == VALID[size]:
            return int(LOADS[size].unpack_from(frame.data, start)[0])
        if region == _CONTEXT_REGION and size == 4:
            pointer = self.pointers.get(start)
            if pointer is not None:
                return pointer
        return int.from_bytes(self.read(address, size), "little")

    def store(self, address: int, size: int, value: int) -> None:
        """Store an unsigned integer of `size` bytes at `address`, in any region."""
        self.write(address, value.to_bytes(size, "little"))

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes at `address`; AccessError unless all of them exist and have been written."""
        data, frame = self._region(address)
        start = address & OFFSET_MASK
        end = start + size
        if end > len(data):
            raise AccessError(self._outside(address, size, len(data)))
        if frame is not None and frame.written.find(0, start, end) >= 0:
            raise AccessError(f"reads stack at {start - STACK_SIZE} that nothing has written")
        return bytes(data[start:end])

    def write(self, address: int, content: bytes) -> None:
        """Write `content` at `address`; AccessError where that is outside or read-only."""
        data, frame = self._region(address)
        start = address & OFFSET_MASK
        end = start + len(content)
        if not isinstance(data, bytearray):
            raise AccessError(f"writes to read-only {self.name(address)}")
        if end > len(data):
            raise AccessError(self._outside(address, len(content), len(data)))
        data[start:end] = content
        if frame is not None:
            frame.written[start:end] = b"\x01" * len(content)

    def _outside(self, address: int, size: int, limit: int) -> str:
        return (
            f"{size} bytes at offset {address & OFFSET_MASK} of {self.name(address)}, which has {limit} bytes"
        )

    def _region(self, address: int) -> tuple[bytes | bytearray, Frame | None]:
        if address < SPECIAL:
            data = self.regions.get(address >> SHIFT)
            if data is None:
                raise AccessError(f"address {address:#x} is in no region")
            return data, None
        region = address >> SHIFT
        if region == _CONTEXT_REGION:
            return self.context, None
        frame = self._frames.get(region)
        if frame is None:
            raise AccessError(f"address {address:#x} is in no region")
        return frame.data, frame
