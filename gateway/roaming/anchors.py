"""Which endpoint each session was granted for, and which peers are elsewhere: for detectors that look."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from wardgate.gateway.roaming.model import Endpoint, Roamed, Watched
from wardgate.runtime import clock


@dataclass(slots=True)
class _Anchor:
    """`number` grows with every anchor, so that one can be told from those that came after a moment."""

    endpoint: Endpoint | None
    number: int
    expected: set[Endpoint] = field(default_factory=set)


class Anchors:
    """The sessions that are watched, by their peers' public keys."""

    def __init__(self) -> None:
        self._anchors: dict[bytes, _Anchor] = {}
        self._numbers = 0
        self._fresh: set[bytes] = set()
        self.unjudged = False

    def __len__(self) -> int:
        return len(self._anchors)

    @property
    def newest(self) -> int:
        """The number of the newest anchor there ever was."""
        return self._numbers

    def reset(self, sessions: Mapping[bytes, Watched]) -> None:
        """These sessions and no others."""
        self._anchors.clear()
        for key, session in sessions.items():
            self.watch(key, session)

    def watch(self, public_key: bytes, session: Watched) -> None:
        """A session in place of the peer's session before."""
        self._numbers += 1
        self._anchors[public_key] = _Anchor(plain(session.endpoint), self._numbers)
        self._fresh.add(public_key)

    def expect(self, public_key: bytes, endpoint: Endpoint) -> None:
        """An endpoint that is no change either, where the peer is watched."""
        anchor = self._anchors.get(public_key)
        other = plain(endpoint)
        if anchor is not None and other is not None:
            anchor.expected.add(other)

    def forget(self, public_key: bytes) -> None:
        """No session of this peer."""
        self._anchors.pop(public_key, None)

    def moved(
        self,
        endpoints: Mapping[bytes, Endpoint | None],
        changed: Collection[bytes],
        newest: int,
        detected_by: str,
    ) -> list[Roamed]:
        """Sessions whose peers are elsewhere, which are watched no longer.

        `endpoints`, each as `plain` gives it, are of a dump; `changed` are the peers that were elsewhere at
        the dump before, by which others were judged. `newest` is what `newest` was before the dump was made:
        a session that was granted since is judged by the next one, and `unjudged` says that one is needed. A
        peer without an endpoint, or one that WireGuard does not have, sends nothing.
        """
        at = clock.now()
        found, waiting = [], set()
        self.unjudged = False
        for key in self._fresh.union(changed):
            anchor = self._anchors.get(key)
            if anchor is None:
                continue
            now_at = endpoints.get(key)
            is_elsewhere = now_at is not None and now_at != anchor.endpoint and now_at not in anchor.expected
            if anchor.number > newest:
                waiting.add(key)
                self.unjudged |= is_elsewhere
            elif is_elsewhere:
                found.append(Roamed(key, anchor.endpoint, now_at, False, detected_by, at))
        self._fresh = waiting
        for one in found:
            del self._anchors[one.public_key]
        return found


def plain(endpoint: Endpoint | None) -> Endpoint | None:
    """IPv4 as such however it was told, and IPv6 without a zone: as programs compare them."""
    if endpoint is None:
        return None
    address, port = endpoint
    if address.version == 6:
        return address.ipv4_mapped or type(address)(address.packed), port
    return endpoint
