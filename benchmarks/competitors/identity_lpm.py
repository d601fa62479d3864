"""(c) Address to identity by an LPM trie, then an endpoint's LPM policy map on (identity, protocol, port)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from wardgate.runtime.layout.codes import Verdict
from wardgate.runtime.maps import Map

from benchmarks.competitors.contestant import (
    Contestant,
    UnsuitableError,
    fill_owners,
    fill_routes,
    memory_of,
    memory_of_all,
    owner_sizes,
    route_kinds,
    route_sizes,
)
from benchmarks.model import MAX_PORT, PROTOCOLS, Bucket, PolicyModel, Segment
from benchmarks.programs import Hook, MapKind, build, fill, load, make_inner, make_outer

NAME: Final = "identity + LPM policy map"
_IDENTITY_BITS: Final = 32
_MOST_ENTRIES: Final = 20_000_000
_KEY_BYTES: Final = 12


def make(model: PolicyModel, devices: int, hook: Hook) -> Contestant:
    """The contestant; UnsuitableError where the policy maps would have too many entries."""
    by_content: dict[tuple[Segment, ...], Pieces] = {}
    pieces: dict[int, Pieces] = {}
    for bucket in model.buckets:
        content = bucket.segments
        if content not in by_content:
            by_content[content] = _pieces(content)
        pieces[bucket.number] = by_content[content]
    deciding = [model.deciding(one) for one in model.classes]
    entries = sum(len(pieces[b.number]) for row in deciding for b in row if b)
    if entries > _MOST_ENTRIES:
        raise UnsuitableError(f"{entries} policy map entries")
    with ExitStack() as stack:
        outer = stack.enter_context(make_outer(MapKind.ARRAY_OF_MAPS, len(model.classes), _policy_map(1)))
        loaded = stack.enter_context(
            load(
                build("competitors/identity_lpm.c", {"XDP": int(hook == "xdp")}),
                kinds={**route_kinds("identities"), "policies": MapKind.ARRAY_OF_MAPS},
                resize={**owner_sizes(devices), **route_sizes("identities", model)},
                given={"policies": outer},
            )
        )
        fill_owners(loaded.maps, model, devices)
        fill_routes(loaded.maps, "identities", model)
        size = memory_of_all(loaded)
        fds = []
        with ExitStack() as inner:
            for row in deciding:
                keys, values = _entries(row, pieces)
                policy = inner.enter_context(_policy_map(len(values) // 4))
                if keys:
                    fill(policy, keys, values)
                size += memory_of(policy)
                fds.append(struct.pack("<I", policy.fd.fileno()))
            numbers = b"".join(struct.pack("<I", number) for number in range(len(fds)))
            fill(outer, numbers, b"".join(fds))
        return Contestant(NAME, loaded.programs["decide"], loaded.maps, size, stack.pop_all())


def _policy_map(entries: int) -> Map:
    return make_inner(MapKind.LPM_TRIE, _KEY_BYTES, 4, max(entries, 1))


Pieces = list[tuple[bytes, bytes, bytes]]
"""Of a bucket's entries: prefix length, what follows the identity in the key, value."""


def _entries(row: list[Bucket | None], pieces: dict[int, Pieces]) -> tuple[bytes, bytes]:
    keys, values = [], []
    for identity, bucket in enumerate(row):
        if bucket is None:
            continue
        middle = struct.pack(">I", identity)
        for length, service, verdict in pieces[bucket.number]:
            keys.append(length + middle + service)
            values.append(verdict)
    return b"".join(keys), b"".join(values)


def _pieces(content: tuple[Segment, ...]) -> Pieces:
    """A bucket as prefixes over (protocol, port): one for a protocol's usual verdict, more for others."""
    found: dict[tuple[int, int, int], Verdict] = {}
    for protocol in PROTOCOLS:
        segments = [s for s in content if s[0] == protocol]
        widest = max(segments, key=lambda s: s[2] - s[1])
        found[8, protocol, 0] = widest[3]
        for _, low, high, verdict in segments:
            if verdict is not widest[3]:
                for start, bits in blocks(low, high):
                    found[8 + bits, protocol, start] = verdict
    usual = {found[8, protocol, 0] for protocol in PROTOCOLS}
    if len(usual) == 1:
        # What holds for both protocols needs one entry, and nothing at all needs none.
        (verdict,) = usual
        for protocol in PROTOCOLS:
            del found[8, protocol, 0]
        if verdict is not Verdict.NONE:
            found[0, 0, 0] = verdict
    return [
        (
            struct.pack("<I", _IDENTITY_BITS + bits),
            struct.pack(">BHB", protocol, port, 0),
            struct.pack("<I", v),
        )
        for (bits, protocol, port), v in found.items()
        if v is not Verdict.NONE or bits
    ]


def blocks(low: int, high: int) -> Iterator[tuple[int, int]]:
    """The fewest aligned blocks of ports that are `low` to `high`: first port and length of the prefix."""
    while low <= high:
        bits = 16
        while bits and low % (1 << (17 - bits)) == 0 and low + (1 << (17 - bits)) - 1 <= min(high, MAX_PORT):
            bits -= 1
        yield low, bits
        low += 1 << (16 - bits)
