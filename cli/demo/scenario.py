"""Which packets the demo sends, when, and what the policy says about each.

The questions are asked of `examples/office.yaml` and its `devices.yaml`; expectations are not written
here: they come from the reference evaluator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ADDRESSES = {
    "alice": ("10.9.0.2", "fd09::2"),
    "bob": ("10.9.0.3", "fd09::3"),
    "carol": ("10.9.0.4", "fd09::4"),
}
"""The devices of examples/devices.yaml, by user."""
GATEWAY = ("10.9.0.1/24", "fd09::1/64")
"""The gateway's own addresses in the tunnel."""


@dataclass(frozen=True, slots=True)
class Check:
    """A packet: `user`'s device sends it to `remote`, or with `inbound` gets it from there."""

    user: str
    remote: str
    service: str
    inbound: bool = False

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.remote else 4

    @property
    def device(self) -> str:
        """The device's address of the remote's IP version."""
        return ADDRESSES[self.user][self.version == 6]

    @property
    def packet(self) -> str:
        """The packet in words."""
        return f"{'from' if self.inbound else 'to'} {self.remote} {self.service}"

    def query(self, authed: bool) -> dict[str, Any]:
        """The question that `explain --batch` answers about it."""
        direction = "from" if self.inbound else "to"
        return {"as": self.user, direction: self.remote, "service": self.service, "authed": authed}


@dataclass(frozen=True, slots=True)
class Stage:
    """A moment of the demo: commands that lead to it, whose session is authorised then, and packets."""

    title: str
    commands: Sequence[Sequence[str]]
    authed: frozenset[str]
    checks: Sequence[Check]


def _grant(user: str) -> tuple[str, ...]:
    return ("session", "grant", ADDRESSES[user][0], "--for", "10m")


_AFTER_LOGIN = (
    Check("alice", "10.1.2.3", "22/tcp"),
    Check("alice", "10.1.2.3", "icmp"),
    Check("alice", "fd00:1::8", "443/tcp"),
    Check("bob", "10.0.0.80", "443/tcp"),
    Check("carol", "10.1.2.3", "22/tcp"),
    Check("carol", "10.1.2.3", "443/tcp"),
    Check("carol", "10.1.2.3", "5000/udp"),
)
"""What a session changes, and what it doesn't."""

STAGES = (
    Stage(
        "before anyone has logged in",
        (),
        frozenset(),
        (
            Check("alice", "10.0.0.53", "53/udp"),
            Check("alice", "10.0.0.5", "443/tcp"),
            Check("alice", "fd00::5", "443/tcp"),
            Check("alice", "10.0.0.5", "icmp"),
            Check("alice", "fd00::5", "icmp"),
            Check("alice", "10.0.0.7", "22/tcp"),
            Check("alice", "10.0.0.90", "9100/tcp", inbound=True),
            Check("alice", "10.0.0.5", "9100/tcp", inbound=True),
            Check("alice", "10.0.0.53", "5353/udp", inbound=True),
            Check("bob", "10.0.0.80", "22/tcp"),
            Check("bob", "10.0.0.90", "443/tcp"),
            Check("carol", "10.0.0.5", "80/tcp"),
            Check("carol", "10.0.0.7", "22/tcp"),
            Check("carol", "10.0.0.90", "icmp", inbound=True),
            Check("carol", "10.0.0.90", "9100/tcp", inbound=True),
            *_AFTER_LOGIN,
        ),
    ),
    Stage(
        "after `wardgate session grant` for all three",
        tuple(_grant(user) for user in ADDRESSES),
        frozenset(ADDRESSES),
        _AFTER_LOGIN,
    ),
    Stage(
        "after `wardgate session revoke` for alice",
        (("session", "revoke", ADDRESSES["alice"][0]),),
        frozenset(ADDRESSES) - {"alice"},
        (
            Check("alice", "10.1.2.3", "22/tcp"),
            Check("alice", "10.0.0.5", "443/tcp"),
            Check("bob", "10.0.0.80", "443/tcp"),
        ),
    ),
)


def remotes() -> tuple[str, ...]:
    """Addresses of the servers that the packets are for or from."""
    return tuple(sorted({check.remote for stage in STAGES for check in stage.checks}))
