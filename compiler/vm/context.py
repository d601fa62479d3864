"""What a program gets in r1: `struct __sk_buff` for tc, `struct xdp_md` for XDP.

The structs have 32-bit fields for addresses; the kernel's verifier turns a load of one into a load
of the 64-bit pointer, and `Memory.load` does the same for the offsets in `pointers`.

Offsets: include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SKB_SIZE: Final = 192
XDP_SIZE: Final = 24
SKB_FIELDS: Final = {
    "len": 0, "pkt_type": 4, "mark": 8, "queue_mapping": 12, "protocol": 16, "vlan_present": 20,
    "vlan_tci": 24, "vlan_proto": 28, "priority": 32, "ingress_ifindex": 36, "ifindex": 40,
    "tc_index": 44, "cb0": 48, "cb1": 52, "cb2": 56, "cb3": 60, "cb4": 64, "hash": 68, "tc_classid": 72,
    "napi_id": 84, "family": 88, "wire_len": 160, "gso_segs": 164, "gso_size": 176,
}  # fmt: skip
XDP_FIELDS: Final = {"ingress_ifindex": 12, "rx_queue_index": 16, "egress_ifindex": 20}
_SKB_DATA, _SKB_DATA_END, _SKB_DATA_META = 76, 80, 140
_XDP_DATA, _XDP_DATA_END, _XDP_DATA_META = 0, 4, 8


@dataclass(frozen=True, slots=True)
class ContextKind:
    """A context struct: its size, its settable fields, and where its packet pointers are."""

    size: int
    fields: Mapping[str, int]
    data: int
    data_end: int
    data_meta: int

    def build(self, values: Mapping[str, int]) -> bytearray:
        """The struct with `values`; KeyError for a field that it lacks."""
        content = bytearray(self.size)
        for name, value in values.items():
            struct.pack_into("<I", content, self.fields[name], value)
        return content

    def pointers(self, start: int, length: int) -> dict[int, int]:
        """Offset of each pointer field to its value, for a packet of `length` bytes at `start`."""
        return {self.data: start, self.data_end: start + length, self.data_meta: start}


SKB: Final = ContextKind(SKB_SIZE, SKB_FIELDS, _SKB_DATA, _SKB_DATA_END, _SKB_DATA_META)
XDP: Final = ContextKind(XDP_SIZE, XDP_FIELDS, _XDP_DATA, _XDP_DATA_END, _XDP_DATA_META)


def kind_of(section: str) -> ContextKind:
    """The context of programs in a section of this name."""
    return XDP if section.split("/")[0] == "xdp" else SKB


def link_protocol(packet: bytes, link_header: int) -> int:
    """`__sk_buff.protocol` of a packet: its EtherType in network order, read as a little-endian host.

    Without a link header that of its IP version, 0 where it has none.
    """
    if link_header:
        return int.from_bytes(packet[12:14], "little")
    version = packet[0] >> 4 if packet else 0
    return {4: 0x0008, 6: 0xDD86}.get(version, 0)
