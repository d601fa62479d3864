"""Brings the kernel to what the store says, change by change, and says how far it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from wardgate.gateway.enforcement.problems import Problems
from wardgate.gateway.enforcement.threads import Worker
from wardgate.gateway.enforcement.tunnel import Tunnel
from wardgate.gateway.enforcement.world import PREFIXES, Changes, World
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.records import Device
from wardgate.gateway.store import Batch, Snapshot, Store, follow
from wardgate.runtime.errors import WardgateError

_log = logging.getLogger("wardgate.gateway.enforcement")
PART: Final = "enforcement"
_WAITS: Final = (0.2, 1.0, 5.0, 15.0)
"""Seconds to wait after failures in a row."""

Forget = Callable[[Device], None]
"""Called of a device that is no more, after the kernel knows."""
Ended = Callable[[Device], Awaitable[None]]
"""Ends the session of a device whose session is gone from the store, unless another began since."""
Changed = Callable[[bool, bool, int], None]
"""Called when members of groups (first) or the policy (second) changed, with the revision that did it."""


class NotEnforcedError(GatewayError):
    """What was asked is stored, but the kernel did not take it; it is tried again until it does."""


class Enforcer:
    """Follows the store. `start` once, `run` as a task; `settled` waits for a revision to be enforced."""

    def __init__(
        self,
        store: Store,
        world: World,
        tunnel: Tunnel,
        worker: Worker,
        problems: Problems,
        *,
        forget: Forget,
        ended: Ended,
        changed: Changed,
        reconciled: Callable[[], Awaitable[None]],
    ) -> None:
        """`reconciled` is waited for whenever all of the kernel was compared with the store."""
        self.world = world
        self._store = store
        self._tunnel = tunnel
        self._worker = worker
        self._problems = problems
        self._forget = forget
        self._ended = ended
        self._changed = changed
        self._reconciled = reconciled
        self._done = 0
        self._failure: WardgateError | None = None
        self._news = asyncio.Condition()

    async def start(self) -> None:
        """Bring the kernel to what the store says now. WardgateError where it refuses."""
        await self._whole(await self._store.snapshot(*PREFIXES))

    async def run(self) -> None:
        """Go on from where `start` was, until cancelled. Where the kernel refuses, all is compared and tried
        again."""
        failures = 0
        since: int | None = self._done
        while True:
            try:
                async for news in follow(self._store, "", since, only=PREFIXES):
                    if isinstance(news, Snapshot):
                        await self._whole(news)
                    else:
                        await self._part(news)
                    failures = 0
            except (WardgateError, OSError) as error:
                wait = _WAITS[min(failures, len(_WAITS) - 1)]
                failures += 1
                # What of the change was done is not known: all is compared.
                since = None
                self._problems.raised(PART, error)
                await self._tell(error if isinstance(error, WardgateError) else _as_refusal(error))
                await asyncio.sleep(wait)

    async def settled(self, revision: int) -> None:
        """Return when `revision` is enforced; NotEnforcedError where the kernel refuses."""
        async with self._news:
            failure = self._failure
            await self._news.wait_for(
                lambda: self._done >= revision or (self._failure is not None and self._failure is not failure)
            )
            if self._done < revision and self._failure is not None:
                raise NotEnforcedError(
                    "enforce",
                    f"revision {revision}",
                    f"it is stored, but not in force: {self._failure}",
                    "see `wardgate gateway status`; it is tried again until it is",
                )

    async def _whole(self, snapshot: Snapshot) -> None:
        self.world.replace(snapshot)
        devices = list(self.world.devices.values())
        await self._worker(self._tunnel.reconcile, devices, self.world.locked)
        self._changed(True, True, snapshot.revision)
        await self._reconciled()
        await self._reached(snapshot.revision)

    async def _part(self, batch: Batch) -> None:
        changes = self.world.update(batch)
        if changes.members or changes.applied:
            self._changed(changes.members, changes.applied, batch.revision)
        # What takes access away comes first.
        if changes.removed or changes.locks:
            await self._worker(self._close, changes)
            for device in changes.removed:
                self._forget(device)
        for device in changes.ended:
            await self._ended(device)
        if changes.added:
            await self._worker(self._open, changes)
        await self._reached(batch.revision)

    def _close(self, changes: Changes) -> None:
        for device in changes.removed:
            self._tunnel.remove(device)
        for device in changes.locks:
            self._tunnel.set_lock(device, locked=self.world.locked(device))

    def _open(self, changes: Changes) -> None:
        for device in changes.added:
            self._tunnel.put(device, locked=self.world.locked(device))

    async def _reached(self, revision: int) -> None:
        self._problems.mended(PART)
        async with self._news:
            self._done = revision
            self._failure = None
            self._news.notify_all()

    async def _tell(self, error: WardgateError) -> None:
        async with self._news:
            self._failure = error
            self._news.notify_all()


def _as_refusal(error: OSError) -> WardgateError:
    return WardgateError("enforce", error.filename or "", error.strerror or str(error))
