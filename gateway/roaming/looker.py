"""Looks: asking WireGuard for all endpoints, and comparing them with those that sessions were granted for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Final

from wardgate.gateway.roaming.anchors import Anchors, plain
from wardgate.gateway.roaming.model import DetectorStatus, Dump, Endpoint, OnRoam, Roamed, Watched
from wardgate.gateway.roaming.pace import Pace

_LOG: Final = logging.getLogger("wardgate.gateway.roaming")
_RETRIES: Final = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0)
"""Seconds until the next look after failures in a row."""
_NEVER: Final = object()
_Told = Mapping[bytes, Endpoint | None]
_Places = dict[bytes, Endpoint | None]


class Looker:
    """What detectors have in common that look: sessions, and looks at a pace."""

    def __init__(self, name: str, dump: Dump, on_roam: OnRoam, pace: Pace) -> None:
        self.name = name
        self.pace = pace
        self.anchors = Anchors()
        self.stir = asyncio.Event()
        """Set where a wait for the next look is to be thought over."""
        self.endpoints: _Places = {}
        """Of all peers at the last look, as `plain` gives them."""
        self.changed: _Places = {}
        """The peers that were elsewhere at the last look than at the one before, and where they were then."""
        self._dump = dump
        self._told: _Told = {}
        self._on_roam = on_roam
        self._dumps = 0
        self._seconds = 0.0
        self._failures = 0
        self._failure = ""

    def reset(self, sessions: Mapping[bytes, Watched]) -> None:
        """See Detector."""
        self.anchors.reset(sessions)
        self.look_at(time.monotonic())

    def watch(self, public_key: bytes, session: Watched) -> None:
        """See Detector."""
        self.anchors.watch(public_key, session)
        # Whoever granted it asked WireGuard at another moment than the last look did.
        if self.endpoints.get(public_key) != plain(session.endpoint):
            self.look_at(time.monotonic())

    def look_at(self, moment: float) -> None:
        """A look no later than at this moment (time.monotonic)."""
        self.pace.at(moment)
        self.stir.set()

    async def wait(self) -> bool:
        """Wait until a look is to be made (True) or something stirred (False)."""
        now = time.monotonic()
        due = self.pace.next(now)
        if due is not None and due <= now:
            return True
        try:
            await asyncio.wait_for(self.stir.wait(), None if due is None else due - now)
        except TimeoutError:
            return True
        self.stir.clear()
        return False

    async def look(self) -> list[Roamed]:
        """Look now. Where WireGuard cannot be asked, it is logged, and another look is due."""
        newest = self.anchors.newest
        began = time.monotonic()
        try:
            told, endpoints, changed = await asyncio.to_thread(self._ask)
        except Exception as error:
            # Whatever it is, the next look may be luckier; a detector that stopped would see nothing more.
            self._failures += 1
            self._failure = str(error)
            _LOG.warning("cannot ask WireGuard for endpoints: %s", error, extra={"failures": self._failures})
            ended = time.monotonic()
            self.pace.looked(began, ended)
            self.pace.at(ended + _RETRIES[min(self._failures, len(_RETRIES)) - 1])
            return []
        ended = time.monotonic()
        self._failures, self._failure = 0, ""
        self._dumps += 1
        self._seconds += ended - began
        self.pace.looked(began, ended)
        self._told, self.endpoints, self.changed = told, endpoints, changed
        found = self.anchors.moved(endpoints, changed, newest, self.name)
        if self.anchors.unjudged:
            self.pace.at(ended)
        return found

    def _ask(self) -> tuple[_Told, _Places, _Places]:
        """A dump: as it was told, as `plain` gives it, and what changed since the one before; in a thread,
        since there may be many peers."""
        before, told = self.endpoints, self._dump()
        # Few moved: who did not has the object that was looked at before.
        fresh = {key: plain(at) for key, at in told.items() if self._told.get(key, _NEVER) is not at}
        changed = {key: before.get(key) for key, at in fresh.items() if before.get(key) != at}
        endpoints = {**before, **fresh}
        for key in before.keys() - told.keys():
            changed[key] = endpoints.pop(key)
        return told, endpoints, changed

    def status(self) -> DetectorStatus:
        """What it has done."""
        return DetectorStatus(
            self.name, self._on_roam, len(self.anchors),
            dumps=self._dumps, dump_seconds=self._seconds, failures=self._failures, failure=self._failure,
        )  # fmt: skip
