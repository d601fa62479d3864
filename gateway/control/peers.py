"""Who is at the other end of a connection to the control socket: the kernel says, not the peer.

Linux notes the credentials of a process when it calls connect() (unix(7), SO_PEERCRED), so a connection that
is handed to another process keeps those of who made it. A user of another user namespace shows as this
namespace sees them: root of a container is not root here.
"""

from __future__ import annotations

import errno
import grp
import pwd
import socket
import struct
from dataclasses import dataclass
from typing import Final, Protocol, Self

from wardgate.gateway.errors import NotFoundError

_SO_PEERGROUPS: Final = 59
"""Supplementary groups of the peer, since Linux 4.13 (include/uapi/asm-generic/socket.h); Python has no name
for it."""
_CREDENTIALS: Final = struct.Struct("=iII")
"""struct ucred: pid, uid, gid."""
_MOST_BYTES: Final = 1024
"""What Python's getsockopt takes: 256 groups."""


class Options(Protocol):
    """A socket, or what an asyncio transport gives of it."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """As of socket.socket."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A process when it connected. `groups`: supplementary ones; none where it had more than 256."""

    pid: int
    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the control socket: root, and members of the group `group` (None: root alone)."""

    group: int | None

    @classmethod
    def of_group(cls, name: str | None) -> Self:
        """Of the machine's group called `name`; NotFoundError where there is none."""
        try:
            return cls(None if name is None else grp.getgrnam(name).gr_gid)
        except (KeyError, ValueError):
            raise NotFoundError(
                "allow group",
                repr(name),
                "this machine has no group of this name",
                f"make it (groupadd --system {name}), or change `control` in gateway.yaml",
            ) from None

    def allows(self, peer: Peer) -> bool:
        """Whether `peer` may."""
        if peer.uid == 0:
            return True
        return self.group is not None and (peer.gid == self.group or self.group in peer.groups)


def peer_of(connection: Options) -> Peer:
    """The peer of a connected unix socket; OSError where it is none."""
    pid, uid, gid = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return Peer(pid, uid, gid, _groups(connection))


def _groups(connection: Options) -> tuple[int, ...]:
    try:
        data = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_BYTES)
    except OSError as error:
        if error.errno in (errno.ERANGE, errno.ENOPROTOOPT):
            return ()
        raise
    return struct.unpack(f"={len(data) // 4}I", data)


def actor(peer: Peer) -> str:
    """The peer for the audit log: `uid:1000 (alice)`, `uid:1000` where the machine has no name for it. Asks
    the machine's user database, which may wait for a network."""
    try:
        name = pwd.getpwuid(peer.uid).pw_name
    except KeyError:
        return f"uid:{peer.uid}"
    return f"uid:{peer.uid} ({''.join(c if c.isprintable() else '?' for c in name)})"
