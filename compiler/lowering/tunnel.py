"""Indexes of tunnel addresses: arrays by which the owner of an address is found without a hash.

An index covers the first addresses of the first tunnel prefix of its IP version.
"""

from __future__ import annotations

from dataclasses import dataclass

from wardgate.compiler.language.model import Policy, Position, Prefix
from wardgate.compiler.lowering.survey import Candidate, Structure
from wardgate.runtime.layout.records import OWNER

WHOLE = 1 << 17
"""Prefixes of up to so many addresses are covered as a whole, where nobody chooses otherwise."""

PART = 1 << 16
"""What is then covered of larger ones: room for more devices than most gates have, in 512 KiB."""

_SIZES = (1 << 8, 1 << 12, PART, WHOLE, 1 << 18, 1 << 20)
_HALF = 64


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A tunnel prefix, and where the policy has it."""

    network: Prefix
    position: Position

    @property
    def base(self) -> int:
        """The first address."""
        return int(self.network.network_address)

    def candidates(self) -> list[Candidate]:
        """No index, and indexes of several sizes, up to the whole prefix. An IPv6 index is within one
        value of the address's first half, which every prefix is in or has at its beginning."""
        host_bits = self.network.max_prefixlen - self.network.prefixlen
        whole = 1 << min(host_bits, _HALF)
        name: Structure = "tunnel4" if self.network.version == 4 else "tunnel6"
        sizes = sorted({size for size in _SIZES if size < whole} | {min(whole, _SIZES[-1])})
        return [
            Candidate(name, "hash", 0, 1, 0, 0, 0),
            *(Candidate(name, "index", n, 1, 0, n * OWNER.size, n * OWNER.size) for n in sizes),
        ]

    def parameters(self, size: int) -> dict[str, int]:
        """The numbers of the templates for an index of `size` addresses."""
        if self.network.version == 4:
            return {"tunnel4_base": self.base, "tunnel4_size": size}
        low = self.base & (1 << _HALF) - 1
        return {"tunnel6_high": self.base >> _HALF, "tunnel6_low": low, "tunnel6_size": size}


def tunnels(policy: Policy) -> dict[int, Tunnel]:
    """The first tunnel prefix of each IP version, by version."""
    found: dict[int, Tunnel] = {}
    for prefix, position in zip(policy.tunnel, policy.tunnel_positions, strict=True):
        found.setdefault(prefix.version, Tunnel(prefix, position))
    return found
