"""The detector for where there is no better one: it looks at intervals."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Final

from wardgate.gateway.roaming.looker import Looker
from wardgate.gateway.roaming.model import DetectorStatus, Dump, Endpoint, OnRoam, Refused, Roamed, Watched
from wardgate.gateway.roaming.pace import Bounds, Pace

NAME: Final = "polling"
INTERVAL: Final = 1.0
"""Seconds from one look to the next, unless it is said otherwise."""


class PollingDetector:
    """See Detector. `interval`: seconds from look to look, or more where one takes longer than a
    tenth of that."""

    looks = True

    def __init__(self, dump: Dump, on_roam: OnRoam, interval: float = INTERVAL) -> None:
        self.refused: tuple[Refused, ...] = ()
        bounds = Bounds(rate=2.0 / interval, burst=2.0)
        self._looker = Looker(NAME, dump, on_roam, Pace(bounds))
        self._interval = interval

    def reset(self, sessions: Mapping[bytes, Watched]) -> None:
        """See Detector."""
        self._looker.reset(sessions)

    def watch(self, public_key: bytes, session: Watched) -> None:
        """See Detector."""
        self._looker.anchors.watch(public_key, session)

    def expect(self, public_key: bytes, endpoint: Endpoint) -> None:
        """See Detector."""
        self._looker.anchors.expect(public_key, endpoint)

    def forget(self, public_key: bytes) -> None:
        """See Detector."""
        self._looker.anchors.forget(public_key)

    async def changes(self) -> AsyncIterator[Roamed]:
        """See Detector."""
        looker = self._looker
        while True:
            looker.look_at(time.monotonic() + self._interval)
            while not await looker.wait():
                pass
            # Where nobody has a session, nobody can lose one.
            if len(looker.anchors):
                for one in await looker.look():
                    yield one
            else:
                looker.pace.skip()

    def status(self) -> DetectorStatus:
        """See Detector."""
        return replace(self._looker.status(), refused=self.refused)

    def close(self) -> None:
        """See Detector: there is nothing to stop."""
