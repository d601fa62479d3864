"""Devices are where programs look for them: an index's own addresses, the hash, a class among others."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wardgate.compiler.explain import placement
from wardgate.runtime.layout.manifest import FORMAT_VERSION, Manifest, TunnelIndex


def manifest(*, class_bits: int = 16, **indexes: TunnelIndex | None) -> Manifest:
    nothing: dict[str, Any] = dict.fromkeys(("files", "rules", "buckets", "tables", "maps", "programs"), ())
    return Manifest(
        format=FORMAT_VERSION, wardgate="0", digest="", tunnel=(), classes=3, default_class=1, subjects={},
        resolved={}, tables_digest="", parameters={"class_bits": class_bits}, features=(), tools={},
        **{"tunnel4": None, "tunnel6": None, **nothing, **indexes},
    )  # fmt: skip


BOTH = manifest(tunnel4=TunnelIndex("10.9.0.0", 200), tunnel6=TunnelIndex("fd09::10", 16))


@pytest.mark.parametrize(
    ("address", "name", "offset"),
    [
        ("10.9.0.0", "tunnel4", 0),
        ("10.9.0.199", "tunnel4", 199),
        ("10.9.0.200", "addresses", None),
        ("10.8.255.255", "addresses", None),
        ("fd09::10", "tunnel6", 0),
        ("fd09::1f", "tunnel6", 15),
        ("fd09::20", "addresses", None),
        ("fd09::f", "addresses", None),
        # Of the other version, and the same number.
        ("::10.9.0.1", "addresses", None),
    ],
)
def test_owner_place(address: str, name: str, offset: int | None) -> None:
    given_address = ip_address(address)
    layout, key = placement.owner_place(BOTH, given_address)
    assert layout.name == name
    assert key == (placement.address_key(given_address) if offset is None else offset.to_bytes(4, "little"))
    bare, key = placement.owner_place(manifest(), given_address)
    assert (bare.name, key) == ("addresses", placement.address_key(given_address))


def test_address_keys() -> None:
    assert placement.address_key(ip_address("10.9.0.1")) == bytes(10) + b"\xff\xff\x0a\x09\x00\x01"
    assert placement.address_key(ip_address("fd09::1")) == ip_address("fd09::1").packed


@given(st.sampled_from([16, 32]), st.data())
def test_classes_lie_one_after_the_other(bits: int, data: st.DataObject) -> None:
    classes = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=40))
    one, entries = manifest(class_bits=bits), dict[bytes, bytes]()
    for subject in data.draw(st.permutations(range(len(classes)))):
        key = placement.class_key(one, subject)
        before = entries.get(key, bytes(8))
        # What was there before makes no difference to what comes.
        before = placement.class_value(one, subject, 2**bits - 1, before)
        entries[key] = placement.class_value(one, subject, classes[subject], before)
    packed = b"".join(entries[number.to_bytes(4, "little")] for number in range(len(entries)))
    expected = b"".join(number.to_bytes(bits // 8, "little") for number in classes)
    assert packed == expected.ljust(len(packed), b"\0")
