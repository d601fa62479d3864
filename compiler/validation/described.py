"""What the manifest says of the policy, held against the policy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from operator import attrgetter

from wardgate.compiler.language.model import Policy
from wardgate.compiler.validation.encoded import Encoded
from wardgate.compiler.validation.errors import ValidationError
from wardgate.runtime.layout.manifest import Manifest

_SAID = attrgetter("id", "action", "policy", "inbound", "file", "line", "column", "text", "within")
_MEANT = attrgetter(
    "id", "action._value_", "subject", "inbound", "position.file", "position.line", "position.column", "text",
    "within",
)  # fmt: skip
"""The same of a rule of the manifest, and of the policy."""

_HALF = 64
"""Bits of an address that programs compare at once: an index lies in one half."""


def check_description(encoded: Encoded, policy: Policy) -> None:
    """ValidationError where the manifest describes another policy: its files, tunnel, names and rules; or
    other indexes of the tunnel than its programs have."""
    check_manifest(encoded.manifest, policy)
    _check_tunnel_indexes(encoded, policy)


def check_manifest(manifest: Manifest, policy: Policy) -> None:
    """The part of it that needs no tables: ValidationError for other files, tunnels, names and rules."""
    for part, said, meant in _parts(manifest, policy):
        if said != meant:
            raise ValidationError(f"the manifest's {part}", _shown(said), f"has {_shown(meant)}")


def _parts(manifest: Manifest, policy: Policy) -> Iterator[tuple[str, object, object]]:
    digests = [(file.name, hashlib.sha256(file.text.encode()).hexdigest()) for file in policy.files]
    yield "files", [(file.name, file.digest) for file in manifest.files], digests
    yield "tunnel", list(manifest.tunnel), [str(prefix) for prefix in policy.tunnel]
    names = {name: tuple(str(address) for address in found) for name, found in policy.resolved.items()}
    yield "resolved names", dict(manifest.resolved), names
    yield "number of rules", len(manifest.rules), len(policy.rules)
    said, meant = list(map(_SAID, manifest.rules)), list(map(_MEANT, policy.rules))
    if said != meant:
        place = next(place for place, one in enumerate(said) if one != meant[place])
        yield f"rule {meant[place][0]}", said[place], meant[place]


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}..."


def _check_tunnel_indexes(encoded: Encoded, policy: Policy) -> None:
    """The addresses that the programs look for in an index are those that the runtime puts there."""
    for version, index in ((4, encoded.manifest.tunnel4), (6, encoded.manifest.tunnel6)):
        subject = f"the manifest's tunnel{version}"
        read = _index_read(encoded, version)
        if index is None and read is None:
            continue
        if index is None or read is None:
            raise ValidationError(subject, f"{index}, and parameters {read}", "has one or none")
        base, size = read
        prefixes = [
            prefix
            for prefix in policy.tunnel
            if (prefix.version, int(prefix.network_address)) == (version, base)
            and 0 < size <= prefix.num_addresses
        ]
        if not prefixes or base >> _HALF != base + size - 1 >> _HALF:
            where = f"{size} addresses from {base:#x} on"
            raise ValidationError("the manifest's parameters", where, f"has {_shown(policy.tunnel)}")
        if (index.base, index.size) != (str(prefixes[0].network_address), size):
            where = f"{prefixes[0].network_address}, {size}"
            raise ValidationError(subject, f"{index.base}, {index.size}", f"has {where} in its parameters")


def _index_read(encoded: Encoded, version: int) -> tuple[int, int] | None:
    """First address and size of the index that programs look into, None where they do not."""
    parameters = encoded.manifest.parameters
    if f"tunnel{version}_size" not in parameters:
        return None
    size = encoded.parameter(f"tunnel{version}_size")
    if version == 4:
        return encoded.parameter("tunnel4_base"), size
    high, low = encoded.parameter("tunnel6_high"), encoded.parameter("tunnel6_low")
    return high << 64 | low, size
