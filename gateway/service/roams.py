"""Roaming: the detector of the settings, and what follows when it tells of a change."""

from __future__ import annotations

import asyncio
import itertools
from typing import Final

from wardgate.gateway.enforcement import Problems
from wardgate.gateway.roaming import DETECTORS, Detector, DetectorError, OnRoam, Roamed, open_detector
from wardgate.gateway.roaming import Tunnel as Watched
from wardgate.gateway.sessions import Sessions
from wardgate.gateway.settings import Settings
from wardgate.gateway.wireguard import Kind, WireGuardDevice
from wardgate.runtime.errors import WardgateError

PART: Final = "roaming"
ASKING: Final = "wireguard"
WATCHING: Final = "detector"
_LOOK_S: Final = 5.0
_WAITS: Final = (0.2, 1.0, 5.0)
"""Seconds to wait after failures in a row."""


def detector_for(settings: Settings, wireguard: WireGuardDevice) -> Detector:
    """The best detector that works here, of those that the settings allow. DetectorError. It takes the time
    of a compile."""
    roaming = settings.roaming
    public = wireguard.state().public_key
    if public is None:
        raise AssertionError("the device has a key before anybody asks for detectors")
    watched = Watched(
        gate=settings.interface,
        device=settings.interface,
        port=settings.port,
        public_key=public.data,
        in_kernel=wireguard.kind is Kind.KERNEL,
    )

    return open_detector(
        watched,
        wireguard.endpoints,
        OnRoam(roaming.on_roam),
        allowed=DETECTORS if roaming.detector == "auto" else (roaming.detector,),
        interval=roaming.interval,
    )


async def follow_roams(detector: Detector, sessions: Sessions, problems: Problems) -> None:
    """End sessions of devices that moved, for ever. None waits for another's, which may be in a login."""
    async with asyncio.TaskGroup() as ends:

        async def follow_detector() -> None:
            async for change in detector.changes():
                ends.create_task(_end(change, sessions, problems))
            raise RuntimeError("the detector ended")

        ends.create_task(follow_detector())
        failures = 0
        while True:
            try:
                found = await sessions.strays()
            except (WardgateError, OSError) as error:
                problems.raised(ASKING, error)
                await asyncio.sleep(_wait(failures))
                failures += 1
                continue
            problems.mended(ASKING)
            failures = 0
            for change in found:
                ends.create_task(_end(change, sessions, problems))


async def _end(change: Roamed, sessions: Sessions, problems: Problems) -> None:
    """Until it works: nobody tells of this move again."""
    for failures in itertools.count():
        try:
            await sessions.roamed(change)
        except (WardgateError, OSError) as error:
            problems.raised(PART, error)
            await asyncio.sleep(_wait(failures))
        else:
            problems.mended(PART)
            return


async def watch_detector(detector: Detector, problems: Problems) -> None:
    """Say what the detector cannot see, for as long as that is so. DetectorError where one that works in the
    kernel has been taken away: then nobody is watched, and the next start puts it back."""
    while True:
        status = detector.status()
        if status.failure and not detector.looks:
            raise DetectorError(status.detector, status.failure, "start the gateway again")
        causes = [status.failure] if status.failure else []
        causes += [f"{name} is not watched: {cause}" for name, cause in sorted(status.uncovered.items())]
        if causes:
            problems.raised(WATCHING, DetectorError(status.detector, "; ".join(causes)))
        else:
            problems.mended(WATCHING)
        await asyncio.sleep(_LOOK_S)


def _wait(failures: int) -> float:
    return _WAITS[min(failures, len(_WAITS) - 1)]
