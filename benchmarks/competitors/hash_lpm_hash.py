"""(a) Device hash, one LPM trie for all destinations, hash of (bucket, service class)."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from contextlib import ExitStack
from typing import Final

from wardgate.runtime.layout.codes import Verdict

from benchmarks.competitors.contestant import (
    Contestant,
    UnsuitableError,
    fill_owners,
    fill_routes,
    memory_of_all,
    owner_sizes,
    route_kinds,
    route_sizes,
)
from benchmarks.model import MAX_PORT, PROTOCOLS, PolicyModel, Segment
from benchmarks.programs import Hook, build, fill, fill_array, load

NAME: Final = "hash + LPM trie + hash"
_BUCKET_BITS: Final = 2
_LARGEST_REACH: Final = 1 << 30


class Services:
    """Service classes: ports that no rule tells apart share one. `of[i][port]` is that of a port of the
    i-th of PROTOCOLS; `ports` has one port of each class."""

    def __init__(self, model: PolicyModel) -> None:
        self.of: list[array[int]] = []
        self.ports: list[tuple[int, int]] = []
        known: dict[tuple[int, frozenset[tuple[int, int]]], int] = {}
        for protocol in PROTOCOLS:
            spans = {
                (match.low, match.high)
                for bucket in model.buckets
                for match in bucket.matches
                if match.protocol in (protocol, None)
            }
            starts: dict[int, list[tuple[int, int]]] = {0: []}
            ends: dict[int, list[tuple[int, int]]] = {}
            for span in spans:
                starts.setdefault(span[0], []).append(span)
                ends.setdefault(span[1] + 1, []).append(span)
            active: set[tuple[int, int]] = set()
            classes = array("H")
            number = 0
            for port in range(MAX_PORT + 1):
                if port in starts or port in ends:
                    active.difference_update(ends.get(port, ()))
                    active.update(starts.get(port, ()))
                    key = (protocol, frozenset(active))
                    if key not in known:
                        known[key] = len(known)
                        self.ports.append((protocol, port))
                    number = known[key]
                classes.append(number)
            self.of.append(classes)


def make(model: PolicyModel, devices: int, hook: Hook) -> Contestant:
    """The contestant; UnsuitableError where the buckets of all classes would not fit."""
    destinations = 1 << max(len(model.prefixes) - 1, 0).bit_length()
    size = len(model.classes) * destinations * 4
    if size > _LARGEST_REACH:
        raise UnsuitableError(
            f"{len(model.classes)} classes x {len(model.prefixes)} prefixes: {size >> 20} MiB"
        )
    services = Services(model)
    words, keys, values = _judgements(model, services)
    with ExitStack() as stack:
        spec = build("competitors/hash_lpm_hash.c", {"XDP": int(hook == "xdp"), "DESTINATIONS": destinations})
        loaded = stack.enter_context(
            load(
                spec,
                kinds=route_kinds("routes"),
                resize={
                    **owner_sizes(devices),
                    **route_sizes("routes", model),
                    "reach": len(model.classes),
                    "judgements": max(len(values) // 4, 1),
                },
            )
        )
        fill_owners(loaded.maps, model, devices)
        fill_routes(loaded.maps, "routes", model)
        for number, one in enumerate(model.classes):
            row = array("I", [words[bucket.number] if bucket else 0 for bucket in model.deciding(one)])
            row.extend([0] * (destinations - len(row)))
            loaded.maps["reach"].update(struct.pack("<I", number), row.tobytes())
        fill_array(loaded.maps["services"], b"".join(classes.tobytes() for classes in services.of))
        if keys:
            fill(loaded.maps["judgements"], keys, values)
        return Contestant(
            NAME, loaded.programs["decide"], loaded.maps, memory_of_all(loaded), stack.pop_all()
        )


def _judgements(model: PolicyModel, services: Services) -> tuple[dict[int, int], bytes, bytes]:
    """Each bucket's word, and the hash: buckets with the same verdicts share their entries."""
    words: dict[int, int] = {}
    seen: dict[tuple[Segment, ...], int] = {}
    keys, values = array("I"), array("I")
    by_port = {protocol: _ByPort(protocol, services) for protocol in PROTOCOLS}
    for bucket in model.buckets:
        content = bucket.segments
        if content not in seen:
            number = len(seen) + 1
            spans = [(by_port[protocol].between(low, high), v) for protocol, low, high, v in content]
            counts: Counter[Verdict] = Counter()
            for span, verdict in spans:
                counts[verdict] += len(span)
            usual = counts.most_common(1)[0][0]
            for span, verdict in spans:
                if verdict is not usual:
                    for service in span:
                        keys.extend((number, service))
                        values.append(verdict)
            seen[content] = number << _BUCKET_BITS | usual
        words[bucket.number] = seen[content]
    return words, keys.tobytes(), values.tobytes()


class _ByPort:
    """A protocol's service classes, in the order of the ports that stand for them."""

    def __init__(self, protocol: int, services: Services) -> None:
        pairs = sorted((port, n) for n, (q, port) in enumerate(services.ports) if q == protocol)
        self._ports = [port for port, _ in pairs]
        self._classes = [number for _, number in pairs]

    def between(self, low: int, high: int) -> list[int]:
        """The classes of these ports. A class that has some has all: no bucket tells its ports apart."""
        return self._classes[bisect_left(self._ports, low) : bisect_right(self._ports, high)]
