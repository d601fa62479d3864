"""What the manifest says of the policy, held against the policy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from ipaddress import IPv4Network

from wardgate.compiler.language.model import Policy
from wardgate.compiler.validation.encoded import Encoded
from wardgate.compiler.validation.errors import ValidationError
from wardgate.runtime.layout.manifest import Manifest, RuleSource


def check_description(encoded: Encoded, policy: Policy) -> None:
    """ValidationError where the manifest describes another policy: its files, tunnel, names and rules."""
    manifest = encoded.manifest
    for part, said, meant in _parts(manifest, policy):
        if said != meant:
            raise ValidationError(f"the manifest's {part}", _shown(said), f"has {_shown(meant)}")
    _check_tunnel_index(encoded, policy)


def _parts(manifest: Manifest, policy: Policy) -> Iterator[tuple[str, object, object]]:
    digests = [(file.name, hashlib.sha256(file.text.encode()).hexdigest()) for file in policy.files]
    yield "files", [(file.name, file.digest) for file in manifest.files], digests
    yield "tunnel", list(manifest.tunnel), [str(prefix) for prefix in policy.tunnel]
    names = {name: tuple(str(address) for address in found) for name, found in policy.resolved.items()}
    yield "resolved names", dict(manifest.resolved), names
    yield "number of rules", len(manifest.rules), len(policy.rules)
    for said, rule in zip(manifest.rules, policy.rules, strict=True):
        place = rule.position
        meant = RuleSource(
            rule.id, rule.action.value, rule.subject, rule.inbound,
            place.file, place.line, place.column, rule.text,
        )  # fmt: skip
        yield f"rule {rule.id}", said, meant


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}..."


def _check_tunnel_index(encoded: Encoded, policy: Policy) -> None:
    """The addresses that the programs look for in `tunnel_index` are those that the runtime puts there."""
    index, parameters = encoded.manifest.tunnel_index, encoded.manifest.parameters
    if index is None:
        return
    prefixes = [
        (int(prefix.network_address), prefix.num_addresses)
        for prefix in policy.tunnel
        if isinstance(prefix, IPv4Network)
    ]
    read = (parameters.get("tunnel_base"), parameters.get("tunnel_size"))
    if read not in prefixes:
        raise ValidationError("the manifest's parameters", f"tunnel {read}", f"has {prefixes}")
    network = next(p for p in policy.tunnel if (int(p.network_address), p.num_addresses) == read)
    if (index.base, index.size) != (str(network.network_address), network.num_addresses):
        raise ValidationError("the manifest's tunnel_index", f"{index.base}, {index.size}", f"has {network}")
