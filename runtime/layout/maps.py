"""The maps that an artefact declares, and which of them outlive it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from wardgate.runtime.layout import records
from wardgate.runtime.layout.records import Record


class MapType(IntEnum):
    """Kernel map types used (enum bpf_map_type, include/uapi/linux/bpf.h)."""

    HASH = 1
    ARRAY = 2
    PERCPU_ARRAY = 6
    LRU_HASH = 9
    RINGBUF = 27


class MapFlag(IntEnum):
    """Creation flags used (include/uapi/linux/bpf.h)."""

    NO_PREALLOC = 1 << 0
    RDONLY_PROG = 1 << 7
    MMAPABLE = 1 << 10


class Scope(Enum):
    """Who owns a map."""

    GATE = "gate"
    """Pinned once for the gate; outlives a policy swap and a restart of the process."""
    GENERATION = "generation"
    """Made anew with each loaded policy."""


@dataclass(frozen=True, slots=True)
class MapLayout:
    """A map as programs declare it; `key` and `value` None: an unsigned 32-bit integer.

    `entries` is the declared size. The runtime may create a map whose `resizable` is set with more
    entries, and does so to fit its devices or the policy.
    """

    name: str
    type: MapType
    scope: Scope
    entries: int
    key: Record | None
    value: Record | None
    flags: int
    resizable: bool
    doc: str

    @property
    def key_size(self) -> int:
        """Bytes of a key; 0 for a ring buffer."""
        if self.type is MapType.RINGBUF:
            return 0
        return self.key.size if self.key else 4

    @property
    def value_size(self) -> int:
        """Bytes of a value; 0 for a ring buffer."""
        if self.type is MapType.RINGBUF:
            return 0
        return self.value.size if self.value else 4


DEVICE_SLOTS: Final = 65_536
"""Device slots of a gate unless it is created with more; slot 0 is never used."""

ADDRESSES = MapLayout(
    "addresses", MapType.HASH, Scope.GATE, 2 * DEVICE_SLOTS, records.ADDRESS, records.OWNER,
    MapFlag.NO_PREALLOC, True, "Device addresses that an index does not cover, to their owners.",
)  # fmt: skip
DEVICES = MapLayout(
    "devices", MapType.ARRAY, Scope.GATE, DEVICE_SLOTS, None, records.DEVICE,
    MapFlag.MMAPABLE, True, "Slot to device and session.",
)  # fmt: skip
FLOWS = MapLayout(
    "flows", MapType.LRU_HASH, Scope.GATE, 65_536, records.FLOW_KEY, records.FLOW,
    0, True, "Datagram flows, by which replies are known.",
)  # fmt: skip
FRAGMENTS = MapLayout(
    "fragments", MapType.LRU_HASH, Scope.GATE, 4_096, records.FRAGMENT_KEY, records.FRAGMENT,
    0, True, "First fragments, by which later ones are judged.",
)  # fmt: skip
LIMITS = MapLayout(
    "limits", MapType.ARRAY, Scope.GATE, DEVICE_SLOTS, None, records.LIMIT,
    0, True, "Slot to the rate limit of its drop events; slot 0 is all unknown devices together.",
)  # fmt: skip
PROCESSORS = MapLayout(
    "processors", MapType.PERCPU_ARRAY, Scope.GATE, 1, None, records.PROCESSOR,
    0, False, "The clock, and packets and bytes by direction and reason.",
)  # fmt: skip
EVENTS = MapLayout(
    "events", MapType.RINGBUF, Scope.GATE, 256 * 1024, None, None,
    0, False, "Decisions for userspace to see (records.EVENT).",
)  # fmt: skip
SUBJECT_CLASS = MapLayout(
    "subject_class", MapType.ARRAY, Scope.GENERATION, DEVICE_SLOTS // 4, None, records.CLASSES,
    MapFlag.MMAPABLE, True, "Subject id to policy class, several in an entry; 0: a subject that may nothing.",
)  # fmt: skip
TUNNEL4 = MapLayout(
    "tunnel4", MapType.ARRAY, Scope.GENERATION, 1, None, records.OWNER,
    MapFlag.MMAPABLE, False, "Offset of an IPv4 address in the tunnel's index to its owner.",
)  # fmt: skip
TUNNEL6 = MapLayout(
    "tunnel6", MapType.ARRAY, Scope.GENERATION, 1, None, records.OWNER,
    MapFlag.MMAPABLE, False, "Offset of an IPv6 address in the tunnel's index to its owner.",
)  # fmt: skip
RULE_HITS = MapLayout(
    "rule_hits", MapType.PERCPU_ARRAY, Scope.GENERATION, 1, None, records.HITS,
    0, False, "What rules decided, a block of them an entry; rule 0: decided by no rule.",
)  # fmt: skip

MAPS: Final = (
    ADDRESSES, DEVICES, FLOWS, FRAGMENTS, LIMITS, PROCESSORS, EVENTS,
    SUBJECT_CLASS, TUNNEL4, TUNNEL6, RULE_HITS,
)  # fmt: skip
"""All maps. `tunnel4`, `tunnel6` and `rule_hits` are declared with the size that the policy needs; an
artefact leaves out the maps that its policy does not use."""

MAPS_BY_NAME: Final = {layout.name: layout for layout in MAPS}

CONFIG_SECTION: Final = ".rodata.config"
TABLE_SECTION_PREFIX: Final = ".rodata.t_"
MANIFEST_SECTION: Final = ".wardgate.manifest"
SIGNATURE_SECTION: Final = ".wardgate.signature"

PROGRAM_INGRESS: Final = "gate_ingress"
PROGRAM_EGRESS: Final = "gate_egress"
PROGRAM_XDP: Final = "gate_xdp"
