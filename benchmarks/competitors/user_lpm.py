"""(b) For each user an LPM trie, whose value is an array of 128 rules that is searched from its first."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from typing import Final

from wardgate.compiler.language.model import Prefix
from wardgate.runtime.maps import Map

from benchmarks.competitors.contestant import (
    Contestant,
    UnsuitableError,
    fill_owners,
    lpm_key,
    memory_of,
    memory_of_all,
    owner_sizes,
)
from benchmarks.model import Bucket, PolicyModel
from benchmarks.programs import Hook, MapKind, build, fill, load, make_inner, make_outer

NAME: Final = "LPM trie a user + 128 rules"
RULES: Final = 128
_RULE: Final = struct.Struct("<BBHHH")
_ANY_PROTOCOL: Final = 255
_VALUE: Final = RULES * _RULE.size
_MOST_BYTES: Final = 4 << 30
_ADDRESS_BYTES: Final = {4: 4, 6: 16}


def make(model: PolicyModel, devices: int, hook: Hook) -> Contestant:
    """The contestant; UnsuitableError where a bucket has more rules than fit, or the tries are too large."""
    fullest = max((len(bucket.matches) for bucket in model.buckets), default=0)
    if fullest > RULES:
        raise UnsuitableError(f"a bucket has {fullest} rules, the array {RULES}")
    entries = sum(len(one.own) for one in model.classes)
    if entries * _VALUE > _MOST_BYTES:
        raise UnsuitableError(f"{entries} buckets of {_VALUE} bytes: {entries * _VALUE >> 20} MiB")
    values = {bucket.number: _array(bucket) for bucket in model.buckets}
    with ExitStack() as stack:
        outer = {
            f"policies{version}": stack.enter_context(
                make_outer(MapKind.ARRAY_OF_MAPS, len(model.classes), _trie(version, 1))
            )
            for version in (4, 6)
        }
        spec = build("competitors/user_lpm.c", {"XDP": int(hook == "xdp")})
        loaded = stack.enter_context(
            load(
                spec,
                kinds=dict.fromkeys(outer, MapKind.ARRAY_OF_MAPS),
                resize=owner_sizes(devices),
                given=outer,
            )
        )
        fill_owners(loaded.maps, model, devices)
        size = memory_of_all(loaded)
        for version in (4, 6):
            fds, inner = [], ExitStack()
            with inner:
                for one in model.classes:
                    own = model.own(one, version).items()
                    trie = inner.enter_context(_trie(version, len(own)))
                    fill(trie, b"".join(_key(p) for p, _ in own), b"".join(values[b.number] for _, b in own))
                    size += memory_of(trie)
                    fds.append(struct.pack("<I", trie.fd.fileno()))
                keys = b"".join(struct.pack("<I", number) for number in range(len(fds)))
                fill(outer[f"policies{version}"], keys, b"".join(fds))
        return Contestant(NAME, loaded.programs["decide"], loaded.maps, size, stack.pop_all())


def _trie(version: int, entries: int) -> Map:
    return make_inner(MapKind.LPM_TRIE, 4 + _ADDRESS_BYTES[version], _VALUE, max(entries, 1))


def _key(prefix: Prefix) -> bytes:
    return lpm_key(prefix.prefixlen, prefix.network_address.packed)


def _array(bucket: Bucket) -> bytes:
    rules = b"".join(
        _RULE.pack(m.verdict, _ANY_PROTOCOL if m.protocol is None else m.protocol, m.low, m.high, 0)
        for m in bucket.matches
    )
    return rules.ljust(_VALUE, b"\0")
