"""A policy as nftables has it: a verdict map from the device to its class, and for each class a verdict map
on (remote, protocol, port) with disjoint intervals. IPv4.

`stateful`: packets of connections that conntrack knows pass without being judged, as most rule sets have it.
Otherwise each packet is judged, a reply by the entry of what it replies to, which is what our gate does.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from typing import Final

from wardgate.cli.demo.namespace import NetNamespace
from wardgate.compiler.language.model import Prefix
from wardgate.runtime.layout.codes import Verdict

from benchmarks.model import Bucket, PolicyModel
from benchmarks.path import TUNNEL
from benchmarks.traces import class_of, device_address

_NAMES: Final = {6: "tcp", 17: "udp"}
_VERDICTS: Final = {Verdict.ALLOW: "accept", Verdict.MFA: "goto mfa"}


class NftError(Exception):
    """nft is not installed, or refuses the rule set."""


def ruleset(model: PolicyModel, devices: int, *, stateful: bool) -> str:
    """The rule set of a gateway for these devices, all of them logged in."""
    users = list(model.class_of)
    addresses = [str(device_address(4, device)) for device in range(devices)]
    numbers = [model.class_of[class_of(device, users)] for device in range(devices)]
    lines = ["table inet bench {"]
    for way in ("from", "to"):
        elements = ",\n".join(f"{a} : goto {way}{n}" for a, n in zip(addresses, numbers, strict=True))
        lines.append(f"map {way} {{ type ipv4_addr : verdict; elements = {{ {elements} }} }}")
    lines.append(f"set authorised {{ type ipv4_addr; elements = {{ {', '.join(addresses)} }} }}")
    lines.append("chain mfa { ip saddr @authorised accept; ip daddr @authorised accept; drop; }")
    for number in sorted(set(numbers)):
        lines += _class(number, model.own(model.classes[number], 4))
    lines.append("chain forward { type filter hook forward priority 0; policy drop;")
    if stateful:
        lines.append("ct state established,related accept")
    lines.append(f'iifname "{TUNNEL}" ip saddr vmap @from')
    if not stateful:
        lines.append(f'oifname "{TUNNEL}" tcp flags & (syn | ack) != syn ip daddr vmap @to')
    return "\n".join([*lines, "}", "}"])


def _class(number: int, own: Mapping[Prefix, Bucket]) -> Iterator[str]:
    elements = [
        f"{first}-{last} . {_NAMES[protocol]} . {low}-{high} : {_VERDICTS[verdict]}"
        for first, last, bucket in intervals(own)
        for protocol, low, high, verdict in bucket.segments
        if verdict in _VERDICTS
    ]
    content = f"elements = {{ {','.join(elements)} }}" if elements else ""
    kind = "type ipv4_addr . inet_proto . inet_service : verdict; flags interval;"
    yield f"map policy{number} {{ {kind} {content} }}"
    yield f"chain from{number} {{ ip daddr . meta l4proto . th dport vmap @policy{number}; drop; }}"
    yield f"chain to{number} {{ ip saddr . meta l4proto . th sport vmap @policy{number}; drop; }}"


def intervals(own: Mapping[Prefix, Bucket]) -> list[tuple[IPv4Address, IPv4Address, Bucket]]:
    """The IPv4 addresses that a class's buckets decide about, as disjoint intervals in order."""
    edges = sorted({int(p.network_address) for p in own} | {int(p.broadcast_address) + 1 for p in own})
    found: list[tuple[IPv4Address, IPv4Address, Bucket]] = []
    inside: list[tuple[int, Bucket]] = []
    starts: dict[int, list[tuple[int, int, Bucket]]] = {}
    for prefix, bucket in own.items():
        entry = (prefix.prefixlen, int(prefix.broadcast_address) + 1, bucket)
        starts.setdefault(int(prefix.network_address), []).append(entry)
    for position, edge in enumerate(edges[:-1]):
        while inside and inside[-1][0] <= edge:
            inside.pop()
        # Prefixes nest: of those that start here the widest comes first, and the innermost decides.
        for _, end, bucket in sorted(starts.get(edge, []), key=lambda entry: entry[0]):
            inside.append((end, bucket))
        while inside and inside[-1][0] <= edge:
            inside.pop()
        if inside:
            last = IPv4Address(edges[position + 1] - 1)
            found.append((IPv4Address(edge), last, inside[-1][1]))
    return found


def install(namespace: NetNamespace, text: str) -> None:
    """Load a rule set into a namespace; NftError."""
    path = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        raise NftError("nft is not installed: install nftables")
    with namespace.enter():
        process = subprocess.run(  # noqa: S603 - the path is of a system folder
            [path, "-f", "-"], input=text, capture_output=True, text=True, check=False
        )
    if process.returncode:
        raise NftError(f"nft refuses the rule set: {process.stderr.strip()[:400]}")
