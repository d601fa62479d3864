"""The records that programs and userspace share, as lists of fields.

A record here is the only definition of its layout: the C structs of the programs are generated from
it, and the runtime checks an artefact's BTF against it before loading. All integers are
little-endian as on every host that the artefact runs on; addresses and ports inside byte fields are
in network order. Fields are placed as C places them; a record with implicit padding is refused, and
one that is not a multiple of 8 bytes: the programs store addresses into it 8 bytes at a time, and the
verifier wants that aligned.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_SIZES: Final = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
_CODES: Final = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}

Value = int | bytes

ALIGNMENT: Final = 8
"""Bytes to which each record is aligned, and of which its size is a multiple."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field: a scalar (`length` 1), or an array of bytes or of u64 (`length` > 1)."""

    name: str
    kind: str
    doc: str
    length: int = 1

    @property
    def size(self) -> int:
        """Size in bytes."""
        return _SIZES[self.kind] * self.length


@dataclass(frozen=True, slots=True)
class Record:
    """A C struct without padding."""

    name: str
    doc: str
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        offset = 0
        for field in self.fields:
            if field.length > 1 and field.kind not in ("u8", "u64"):
                raise ValueError(f"{self.name}.{field.name}: only bytes and u64 come as arrays")
            if offset % _SIZES[field.kind]:
                raise ValueError(f"{self.name}.{field.name}: would need padding before it")
            offset += field.size
        if offset % ALIGNMENT:
            raise ValueError(f"{self.name}: would need padding at its end")

    @property
    def size(self) -> int:
        """Size in bytes."""
        return sum(field.size for field in self.fields)

    @property
    def offsets(self) -> dict[str, int]:
        """Byte offset of each field."""
        table, offset = {}, 0
        for field in self.fields:
            table[field.name] = offset
            offset += field.size
        return table

    def _format(self) -> str:
        return "<" + "".join(f"{f.size}s" if f.length > 1 else _CODES[f.kind] for f in self.fields)

    def pack(self, values: Mapping[str, Value]) -> bytes:
        """Bytes of the record; a field left out is zero, a name that it lacks is a KeyError. An array is
        given, and got, as its bytes."""
        unknown = set(values) - {field.name for field in self.fields}
        if unknown:
            raise KeyError(f"{self.name} has no field {', '.join(sorted(unknown))}")
        blank: dict[str, Value] = {f.name: bytes(f.size) if f.length > 1 else 0 for f in self.fields}
        return struct.pack(self._format(), *({**blank, **values}.values()))

    def unpack(self, data: bytes) -> dict[str, Value]:
        """Field values of `data`, which is exactly `size` bytes."""
        return dict(zip((f.name for f in self.fields), struct.unpack(self._format(), data), strict=True))


ADDRESS = Record(
    "address_key",
    "A tunnel address; IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2).",
    (Field("address", "u8", "network order", 16),),
)

OWNER = Record(
    "owner",
    "Whose an address is; both at once, by one aligned store.",
    (
        Field("slot", "u32", "the device; 0: none"),
        Field("subject", "u32", "stable id of the device's user"),
    ),
)

DEVICE = Record(
    "device",
    "A peer and its session. Times are nanoseconds of CLOCK_BOOTTIME, which runs on during suspend.",
    (
        Field("subject", "u32", "stable id of the user; 0: the slot is free"),
        Field("flags", "u32", "bit 0: locked"),
        Field("deadline", "u64", "end of the session; 0: none"),
        Field("idle_limit", "u64", "the session ends this long after last_active; 0: never"),
        Field("last_active", "u64", "when the device last sent what an mfa rule let pass"),
        Field("login", "u64", "when the session's user last logged in; 0: never"),
    ),
)

CLASSES = Record(
    "classes",
    "Policy classes of consecutive subjects, each as wide as the parameter class_bits says, 16 or 32:"
    " that of subject `n` is the class_bits / 8 bytes from n * class_bits / 8 on, counted over all entries.",
    (Field("classes", "u64", "the first subject's class in the low bits"),),
)

FLOW_KEY = Record(
    "flow_key",
    "A place for a datagram flow, of which each device has a fixed number.",
    (
        Field("slot", "u32", "the device"),
        Field("place", "u32", "by the flow's addresses and ports, below FLOWS_A_DEVICE"),
    ),
)

FLOW = Record(
    "flow",
    "A datagram flow. ICMP queries have their identifier as device_port and 0 as remote_port.",
    (
        Field("last_seen", "u64", "CLOCK_BOOTTIME, ns; of a packet in either direction"),
        Field("remote", "u8", "address of the other end, as in address_key", 16),
        Field("device_port", "u16", "host order"),
        Field("remote_port", "u16", "host order"),
        Field("protocol", "u8", "IP protocol number"),
        Field("opener", "u8", "direction of the packet that opened it"),
        Field("reserved", "u16", "0"),
    ),
)

FLOWS_A_DEVICE: Final = 512
"""Flows that a device can have at once, a power of two. One more takes the place of one of its own."""

FRAGMENT_KEY = Record(
    "fragment_key",
    "A fragmented packet (RFC 791 section 3.2, RFC 8200 section 4.5).",
    (
        Field("source", "u8", "as in address_key", 16),
        Field("destination", "u8", "as in address_key", 16),
        Field("identification", "u32", "as in the header"),
        Field("protocol", "u8", "IPv4: protocol; IPv6: 0"),
        Field("direction", "u8", "of the fragment"),
        Field("reserved", "u16", "0"),
    ),
)

FRAGMENT = Record(
    "fragment",
    "What the first fragment said, by which the later ones are judged.",
    (
        Field("expires", "u64", "CLOCK_BOOTTIME, ns"),
        Field("source_port", "u16", "host order; identifier of an ICMP query"),
        Field("destination_port", "u16", "host order"),
        Field("kind", "u16", "as the parser classified the first fragment"),
        Field("protocol", "u8", "of the transport header"),
        Field("reserved", "u8", "0"),
    ),
)

LIMIT = Record(
    "limit",
    "Rate limit of a device's drop events.",
    (
        Field("next", "u64", "CLOCK_BOOTTIME, ns, when the bucket of events is full again"),
        Field("suppressed", "u64", "events withheld since the last one shown"),
    ),
)

COUNTER_WORDS: Final = 2
"""A counter is two u64: packets, and bytes from the IP header on."""

REASON_COUNTERS: Final = 32
"""direction * REASON_SLOTS + reason indexes them."""

PROCESSOR = Record(
    "processor",
    "What a CPU keeps for itself: its last reading of the clock, and its counters of decisions.",
    (
        Field("tick", "u64", "jiffies at the reading"),
        Field("now", "u64", "CLOCK_BOOTTIME, ns, at the reading"),
        Field("reasons", "u64", "a counter for each direction and reason", REASON_COUNTERS * COUNTER_WORDS),
    ),
)

HITS_A_BLOCK: Final = 64
"""Rules whose counters lie together, a power of two: rule `n` is number `n % 64` of block `n // 64`."""

HITS = Record(
    "hits",
    "Counters of consecutive rules, on one CPU.",
    (Field("rules", "u64", "a counter for each", HITS_A_BLOCK * COUNTER_WORDS),),
)

EVENT = Record(
    "event",
    "A decision, as sent to userspace: each drop within the rate limit; each packet when tracing.",
    (
        Field("time", "u64", "CLOCK_BOOTTIME, ns"),
        Field("suppressed", "u64", "drops of this device withheld before this one"),
        Field("slot", "u32", "the device; 0: unknown"),
        Field("generation", "u32", "of the program that decided"),
        Field("bucket", "u32", "bucket that decided; 0: none"),
        Field("rule", "u32", "rule that decided; 0: none"),
        Field("source", "u8", "as in address_key", 16),
        Field("destination", "u8", "as in address_key", 16),
        Field("source_port", "u16", "host order; identifier of an ICMP query"),
        Field("destination_port", "u16", "host order"),
        Field("length", "u16", "of the IP packet, saturated"),
        Field("protocol", "u8", "IP protocol number"),
        Field("direction", "u8", "see Direction"),
        Field("reason", "u8", "see Reason"),
        Field("verdict", "u8", "see Verdict"),
        Field("version", "u8", "4, 6, or 0 where the packet is neither"),
        Field("inbound", "u8", "1: judged by the inbound policy"),
        Field("icmp_type", "u8", "type of an ICMP or ICMPv6 message"),
        Field("reserved", "u8", "0"),
        Field("reserved2", "u16", "0"),
    ),
)

CONFIG = Record(
    "config",
    "Constants that the runtime sets between reading an artefact and freezing its tables.",
    (
        Field("link_header", "u32", "bytes before the IP header: 0 or 14"),
        Field("trace", "u32", "1: an event for every packet, without a rate limit"),
        Field("generation", "u32", "copied into every event"),
        Field("reserved", "u32", "0"),
    ),
)

SUBJECT_NAME_BYTES = 64
"""Size of a user's name in the subjects map, UTF-8, padded with zero bytes; one of them at least."""

SUBJECT_NAME = Record(
    "subject_name", "A user's name.", (Field("name", "u8", "UTF-8, zero-padded", SUBJECT_NAME_BYTES),)
)

RECORDS: Final = (
    ADDRESS, OWNER, DEVICE, CLASSES, FLOW_KEY, FLOW, FRAGMENT_KEY, FRAGMENT, LIMIT, PROCESSOR, HITS,
    EVENT, CONFIG,
)  # fmt: skip
"""The records that the programs know, in the order in which the C header declares them."""
