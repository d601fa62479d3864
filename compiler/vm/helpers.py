"""The kernel functions that programs call, by number.

Numbers and meanings: enum bpf_func_id and its comments in include/uapi/linux/bpf.h. Only what the
templates use is here; a call of anything else is an ImageError when it is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from wardgate.compiler.vm.clock import Clock
from wardgate.compiler.vm.errors import AccessError
from wardgate.compiler.vm.maps import AnyMap, ArrayTable, HashTable, RingBuffer
from wardgate.compiler.vm.memory import CONTEXT_ADDRESS, Memory

_MASK64: Final = (1 << 64) - 1
_ENOMEM: Final = -12


class Host(Protocol):
    """What a helper may ask of the machine."""

    memory: Memory
    clock: Clock

    @property
    def handles(self) -> Mapping[int, AnyMap]:
        """The maps, by what a program has as their addresses."""

    def pull(self, length: int) -> bool:
        """Make the first `length` bytes of the packet readable; False where it is shorter."""


def _table(host: Host, handle: int) -> ArrayTable | HashTable:
    found = host.handles.get(handle)
    if not isinstance(found, ArrayTable | HashTable):
        raise AccessError(f"{handle:#x} is no map with keys")
    return found


def _ring(host: Host, handle: int) -> RingBuffer:
    found = host.handles.get(handle)
    if not isinstance(found, RingBuffer):
        raise AccessError(f"{handle:#x} is no ring buffer")
    return found


def _lookup(host: Host, handle: int, key: int) -> int:
    table = _table(host, handle)
    return table.address(host.memory.read(key, table.layout.key_size))


def _update(host: Host, handle: int, key: int, value: int, flags: int) -> int:
    table, read = _table(host, handle), host.memory.read
    layout = table.layout
    return table.update(read(key, layout.key_size), read(value, layout.value_size), flags) & _MASK64


def _delete(host: Host, handle: int, key: int) -> int:
    table = _table(host, handle)
    return table.delete(host.memory.read(key, table.layout.key_size)) & _MASK64


def _now(host: Host) -> int:
    return host.clock.now()


def _tick(host: Host) -> int:
    return host.clock.tick()


def _cpu(_host: Host) -> int:
    return 0


def _pull(host: Host, context: int, length: int) -> int:
    if context != CONTEXT_ADDRESS:
        raise AccessError(f"{context:#x} is not the context")
    return 0 if host.pull(length) else _ENOMEM & _MASK64


def _output(host: Host, handle: int, data: int, size: int, _flags: int) -> int:
    return _ring(host, handle).output(host.memory.read(data, size)) & _MASK64


def _reserve(host: Host, handle: int, size: int, _flags: int) -> int:
    return _ring(host, handle).reserve(size)


def _submit(host: Host, record: int, _flags: int) -> int:
    return _finish(host, record, submit=True)


def _discard(host: Host, record: int, _flags: int) -> int:
    return _finish(host, record, submit=False)


def _finish(host: Host, record: int, *, submit: bool) -> int:
    for found in host.handles.values():
        if isinstance(found, RingBuffer) and found.holds(record):
            found.finish(record, submit=submit)
            return 0
    raise AccessError(f"{record:#x} is no reserved record")


HELPERS: Final[Mapping[int, tuple[str, int, Callable[..., int]]]] = {
    1: ("map_lookup_elem", 2, _lookup),
    2: ("map_update_elem", 4, _update),
    3: ("map_delete_elem", 2, _delete),
    8: ("get_smp_processor_id", 0, _cpu),
    39: ("skb_pull_data", 2, _pull),
    118: ("jiffies64", 0, _tick),
    125: ("ktime_get_boot_ns", 0, _now),
    130: ("ringbuf_output", 4, _output),
    131: ("ringbuf_reserve", 3, _reserve),
    132: ("ringbuf_submit", 2, _submit),
    133: ("ringbuf_discard", 2, _discard),
}
"""Number to name, count of arguments, and function of the machine and the arguments."""
