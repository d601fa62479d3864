"""Where an artefact's programs look a device up: the places in its maps that the runtime fills.

An engine has the devices that a question needs, and no gate that would keep them.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from wardgate.compiler.language.model import Address
from wardgate.runtime.layout import maps
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import MapLayout
from wardgate.runtime.layout.records import ADDRESS, CLASSES, OWNER

_ENTRY_BITS: Final = 8 * CLASSES.size


def index_key(index: int) -> bytes:
    """The key of an array's entry."""
    return index.to_bytes(4, "little")


def address_key(address: Address) -> bytes:
    """The key of `addresses`: IPv4 as an IPv4-mapped IPv6 address."""
    packed = address.packed
    return ADDRESS.pack({"address": packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed})


def owner_place(manifest: Manifest, address: Address) -> tuple[MapLayout, bytes]:
    """The map, and the key in it, that `address` is looked up by: an index of the tunnel's addresses
    where one covers it, else the hash."""
    for layout, index in ((maps.TUNNEL4, manifest.tunnel4), (maps.TUNNEL6, manifest.tunnel6)):
        if index is None:
            continue
        base = ip_address(index.base)
        offset = int(address) - int(base)
        if address.version == base.version and 0 <= offset < index.size:
            return layout, index_key(offset)
    return maps.ADDRESSES, address_key(address)


def owner_value(slot: int, subject: int) -> bytes:
    """The owner of an address."""
    return OWNER.pack({"slot": slot, "subject": subject})


def class_key(manifest: Manifest, subject: int) -> bytes:
    """The key of the entry of `subject_class` that `subject` is in."""
    return index_key(subject // (_ENTRY_BITS // manifest.parameters["class_bits"]))


def class_value(manifest: Manifest, subject: int, policy_class: int, before: bytes) -> bytes:
    """The entry `before`, with the class of `subject` replaced."""
    bits = manifest.parameters["class_bits"]
    shift = subject % (_ENTRY_BITS // bits) * bits
    kept = int(CLASSES.unpack(before)["classes"]) & ~((1 << bits) - 1 << shift)
    return CLASSES.pack({"classes": kept | policy_class << shift})
