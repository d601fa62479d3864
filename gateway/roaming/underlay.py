"""The detector that sees on the wire that somebody sends from elsewhere, and then looks.

A program (underlay.c) on all interfaces notices sources that it does not know. What a packet claims is no
evidence: a look asks WireGuard, which has authenticated it, and only what WireGuard says ends a session.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from wardgate.gateway.roaming import layout
from wardgate.gateway.roaming.carriers import Carriers, remove_filters
from wardgate.gateway.roaming.errors import DetectorError
from wardgate.gateway.roaming.layout import address_bytes
from wardgate.gateway.roaming.looker import Looker
from wardgate.gateway.roaming.model import DetectorStatus, Dump, Endpoint, OnRoam, Refused, Roamed, Watched
from wardgate.gateway.roaming.objects import read_program
from wardgate.gateway.roaming.pace import Bounds, Pace
from wardgate.gateway.roaming.pins import RoamingPins
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.object import load_object
from wardgate.runtime.ringbuf import RingBuffer

NAME: Final = "underlay"
_PROGRAM: Final = "underlay_watch"
_REQUEST: Final = layout.REQUESTS.offsets
_UNSEEN: Final = 5.0
"""Seconds between looks where some interfaces are not watched."""
_LOG: Final = logging.getLogger("wardgate.gateway.roaming")


class UnderlayDetector:
    """See the module, and Detector for what it does.

    `tunnel` and `port` are the gateway's device and its UDP port, in the network namespace of the thread
    that makes and uses this. `program` is the compiled underlay_source().
    """

    looks = True

    def __init__(
        self,
        gate: str,
        program: bytes,
        tunnel: str,
        port: int,
        dump: Dump,
        on_roam: OnRoam,
        *,
        bounds: Bounds | None = None,
        use_links: bool = True,
    ) -> None:
        """DetectorError where this kernel cannot have it, or no interface took it."""
        self.refused: tuple[Refused, ...] = ()
        self._looker = Looker(NAME, dump, on_roam, Pace(bounds))
        self._known: Counter[Endpoint] = Counter()
        self._asked = self._answered = self._lazy = 0
        self._stack = ExitStack()
        pins = RoamingPins(gate)
        try:
            order = int.from_bytes(port.to_bytes(2, "big"), "little")
            spec = read_program(program, layout.UNDERLAY, {"port": order})
            loaded = self._stack.enter_context(load_object(spec))
            self._sources = loaded.maps[layout.SOURCES.name]
            self._requests = self._stack.enter_context(loaded.maps[layout.ASKED.name].view())
            wake = loaded.maps[layout.WAKE.name]
            self._ring = self._stack.enter_context(RingBuffer(wake.fd, wake.info.max_entries))
            remove_filters(pins)
            self._carriers = Carriers(
                loaded.programs[_PROGRAM].fd, port, tunnel, pins, use_links=use_links
            )  # fmt: skip
            self._stack.callback(self._carriers.close)
            self._carriers.refresh()
            if not self._carriers.names:
                causes = "; ".join(f"{name}: {cause}" for name, cause in self._carriers.uncovered.items())
                raise DetectorError(NAME, causes or "there is no interface", "")
        except BaseException as error:
            self._stack.close()
            if isinstance(error, WardgateError) and not isinstance(error, DetectorError):
                cause = f"{error.operation} {error.target}: {error.cause}"
                raise DetectorError(NAME, cause, error.remedy) from error
            raise

    def reset(self, sessions: Mapping[bytes, Watched]) -> None:
        """See Detector."""
        self._looker.reset(sessions)

    def watch(self, public_key: bytes, session: Watched) -> None:
        """See Detector."""
        self._looker.watch(public_key, session)
        self._look_for_unseen()

    def expect(self, public_key: bytes, endpoint: Endpoint) -> None:
        """See Detector."""
        self._looker.anchors.expect(public_key, endpoint)

    def forget(self, public_key: bytes) -> None:
        """See Detector."""
        self._looker.anchors.forget(public_key)

    async def changes(self) -> AsyncIterator[Roamed]:
        """See Detector."""
        loop = asyncio.get_running_loop()
        looker = self._looker
        loop.add_reader(self._ring.fileno(), self._on_asked)
        loop.add_reader(self._carriers.changes.fileno(), self._on_interfaces)
        try:
            # What moved before anybody watched.
            looker.look_at(time.monotonic())
            while True:
                if not await looker.wait():
                    continue
                if self._carriers.uncovered:
                    self._carriers.refresh()
                self._listen()
                found = await looker.look()
                self._learn()
                self._look_for_unseen()
                for one in found:
                    yield one
        finally:
            loop.remove_reader(self._ring.fileno())
            loop.remove_reader(self._carriers.changes.fileno())

    def _on_asked(self) -> None:
        for _ in self._ring.read():
            pass
        now = time.monotonic()
        self._asked = self._count()
        if self._requests.load(0, _REQUEST["urgent_told"], 8):
            self._looker.pace.urgent(now)
        if self._requests.load(0, _REQUEST["lazy_told"], 8):
            self._lazy = self._requests.load(0, _REQUEST["lazy"], 8)
            self._looker.pace.lazy(now)
        self._looker.stir.set()

    def _on_interfaces(self) -> None:
        if self._carriers.refresh():
            # What came in by a new one meanwhile was not seen.
            self._looker.pace.urgent(time.monotonic())
            self._looker.stir.set()

    def _listen(self) -> None:
        """Be woken again, which is once a look however much is asked for; what was asked for since the last
        time counts as asked now."""
        for told in ("urgent_told", "lazy_told"):
            self._requests.store(0, _REQUEST[told], 8, 0)
        now = time.monotonic()
        asked, less = self._count(), self._requests.load(0, _REQUEST["lazy"], 8)
        if asked != self._asked:
            self._asked = asked
            self._looker.pace.urgent(now)
        if less != self._lazy:
            self._lazy = less
            self._looker.pace.lazy(now)

    def _look_for_unseen(self) -> None:
        """Where packets may come in that nobody sees, look at intervals while anybody has a session."""
        if self._carriers.uncovered and len(self._looker.anchors):
            self._looker.look_at(time.monotonic() + _UNSEEN)

    def _count(self) -> int:
        return self._requests.load(0, _REQUEST["urgent"], 8)

    def _learn(self) -> None:
        """Tell the program where peers are now, and see whether that is what it asked about."""
        looker = self._looker
        for key, before in looker.changed.items():
            if before is not None:
                self._known[before] -= 1
                if not self._known[before]:
                    del self._known[before]
                    self._sources.delete(_source(before))
            now_at = looker.endpoints.get(key)
            if now_at is not None:
                self._known[now_at] += 1
                if self._known[now_at] == 1:
                    self._know(now_at)
        changes = len(looker.changed)
        looker.changed = {}
        if 0 < self._asked - self._answered <= changes:
            self._looker.pace.answered()
        if self._looker.pace.is_answered:
            self._answered = self._asked

    def _know(self, endpoint: Endpoint) -> None:
        try:
            self._sources.update(_source(endpoint), bytes(4))
        except WardgateError as error:
            # The program goes on asking about it, each second that it sends.
            _LOG.warning("a peer's place cannot be told to the watch: %s", error)

    def status(self) -> DetectorStatus:
        """See Detector."""
        carriers = self._carriers
        return replace(
            self._looker.status(),
            refused=self.refused, asked=self._count(),
            carriers=carriers.names, uncovered=dict(carriers.uncovered),
        )  # fmt: skip

    def close(self) -> None:
        """See Detector: nothing of it stays."""
        self._stack.close()


def _source(endpoint: Endpoint) -> bytes:
    address, port = endpoint
    order = int.from_bytes(port.to_bytes(2, "big"), "little")
    return layout.SOURCE.pack({"address": address_bytes(address), "port": order})
