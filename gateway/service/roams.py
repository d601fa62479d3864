"""Roaming: the detector of the settings, and what follows when it tells of a change."""

from __future__ import annotations

from collections.abc import Mapping

from wardgate.gateway.enforcement import Problems
from wardgate.gateway.roaming import DETECTORS, Detector, Endpoint, OnRoam, open_detector
from wardgate.gateway.roaming import Tunnel as Watched
from wardgate.gateway.sessions import Sessions
from wardgate.gateway.settings import Settings
from wardgate.gateway.wireguard import Kind, WireGuardDevice
from wardgate.runtime.errors import WardgateError

PART = "roaming"


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

    def dump() -> Mapping[bytes, Endpoint | None]:
        return {
            key: None if where is None else (where.address, where.port)
            for key, where in wireguard.endpoints().items()
        }

    return open_detector(
        watched,
        dump,
        OnRoam(roaming.on_roam),
        allowed=DETECTORS if roaming.detector == "auto" else (roaming.detector,),
        interval=roaming.interval,
    )


async def follow_roams(detector: Detector, sessions: Sessions, problems: Problems) -> None:
    """End sessions of devices that moved, for ever."""
    async for change in detector.changes():
        try:
            await sessions.roamed(change)
        except (WardgateError, OSError) as error:
            problems.raised(PART, error)
        else:
            problems.mended(PART)
