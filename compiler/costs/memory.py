"""Kernel memory of tables and maps, and what the kernel would refuse.

Sizes are those that the kernel reports itself (`memlock` in a map's fdinfo: array_map_mem_usage and
htab_map_mem_usage in kernel/bpf), of 64-bit kernels with pages of 4 KiB.
"""

from __future__ import annotations

from typing import Final

from wardgate.runtime.layout.manifest import MapCost
from wardgate.runtime.layout.maps import (
    ADDRESSES,
    DEVICE_SLOTS,
    DEVICES,
    LIMITS,
    SUBJECT_CLASS,
    MapFlag,
    MapLayout,
    MapType,
)

MOST_TABLE_BYTES: Final = 1 << 29
"""A table beyond this is refused by the verifier, whatever bounds the index: BPF_MAX_VAR_OFF
(include/linux/bpf_verifier.h), "unbounded memory access". The map itself could have 2 GiB."""

OLD_MOST_TABLE_BYTES: Final = 1 << 22
LARGE_TABLES_SINCE: Final = "6.0"
"""Linux up to 5.19 refuses a map value above KMALLOC_MAX_SIZE, 4 MiB, with E2BIG; 6.0 has commit 63b8ce77b15e
("bpf: remove obsolete KMALLOC_MAX_SIZE restriction on array map value size")."""

_PAGE: Final = 4096
_ARRAY: Final = 312
_HASH: Final = 896
_BUCKET: Final = 16
_ELEMENT: Final = 48
_LIST_NODE: Final = 8
_POINTER: Final = 8
_RING: Final = 3 * _PAGE + 1024
"""struct bpf_array, bpf_htab with its locks, bucket, htab_elem, llist_node, void *; bpf_ringbuf with the
pages of its positions. The kernel's figures differ from these by some bytes a map from version to version."""

_BY_SLOT: Final = frozenset(layout.name for layout in (ADDRESSES, DEVICES, LIMITS, SUBJECT_CLASS))
"""Maps that the runtime makes as large as its device slots ask for."""


def table_bytes(size: int) -> int:
    """Memory of a table of `size` bytes: an array of one value, which userspace may map."""
    return _pages(_ARRAY) + _pages(size)


def map_cost(layout: MapLayout, entries: int) -> MapCost:
    """Memory of a map with so many entries."""
    key, value = _rounded(layout.key_size), _rounded(layout.value_size)
    address = processor = 0
    by_slot = layout.name in _BY_SLOT
    each = 0
    if layout.type is MapType.RINGBUF:
        taken = _RING + entries
    elif layout.type is MapType.PERCPU_ARRAY:
        taken = _ARRAY + entries * _POINTER
        processor = entries * value
    elif layout.type is MapType.ARRAY and layout.flags & MapFlag.MMAPABLE:
        taken = _pages(_ARRAY) + _pages(entries * value)
        each = value
    elif layout.type is MapType.ARRAY:
        taken = _ARRAY + entries * value
        each = value
    else:
        taken = _HASH + _BUCKET * _power_of_two(entries)
        each = _BUCKET
        if layout.flags & MapFlag.NO_PREALLOC:
            address = _ELEMENT + key + value + _LIST_NODE
        else:
            taken += entries * (_ELEMENT + key + value)
    slot = each * layout.entries // DEVICE_SLOTS if by_slot else 0
    return MapCost(layout.name, entries, taken, slot, address, processor)


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def _rounded(size: int) -> int:
    return -(-size // 8) * 8


def _power_of_two(count: int) -> int:
    return 1 << max(count - 1, 0).bit_length()
