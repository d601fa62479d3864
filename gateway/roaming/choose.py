"""The best detector that works here, and why better ones do not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from wardgate.gateway.roaming import fentry, polling, underlay
from wardgate.gateway.roaming.carriers import remove_filters
from wardgate.gateway.roaming.errors import CompileError, DetectorError
from wardgate.gateway.roaming.fentry import FentryDetector
from wardgate.gateway.roaming.model import (
    Detector,
    DetectorStatus,
    Dump,
    Endpoint,
    OnRoam,
    Refused,
    Roamed,
    Watched,
)
from wardgate.gateway.roaming.pins import RoamingPins
from wardgate.gateway.roaming.polling import PollingDetector
from wardgate.gateway.roaming.underlay import UnderlayDetector

DETECTORS: Final = (fentry.NAME, underlay.NAME, polling.NAME)
"""Best first."""

_LOG: Final = logging.getLogger("wardgate.gateway.roaming")


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The gateway's WireGuard device: `gate` is the name of the gate on it, `device` its own; `public_key`
    32 bytes; `in_kernel`: it is of the kernel's module, and not wireguard-go's."""

    gate: str
    device: str
    port: int
    public_key: bytes
    in_kernel: bool


Compile = Callable[[str], bytes]
"""The object of the program of a detector, by the detector's name."""


def compiled(detector: str) -> bytes:
    """By the compilers that policies have. CompileError."""
    from wardgate.gateway.compiling.programs import compile_program
    from wardgate.gateway.roaming.sources import fentry_source, underlay_source

    return compile_program(fentry_source() if detector == fentry.NAME else underlay_source())


def open_detector(
    tunnel: Tunnel,
    dump: Dump,
    on_roam: OnRoam,
    *,
    allowed: tuple[str, ...] = DETECTORS,
    interval: float = polling.INTERVAL,
    compile_for: Compile = compiled,
) -> Detector:
    """The first of `allowed` that works, as polling always does; DetectorError where none is left, BusyError
    where another process has the gateway of this gate. The gate is on the device already.

    `interval`: seconds between looks, for polling. Where one is taken that ends no session in the kernel,
    what another one left there is taken away: its sessions would be nobody's.
    """
    if on_roam is OnRoam.IGNORE:
        remove(tunnel.gate)
        return IgnoringDetector()
    makers: dict[str, Callable[[], Detector]] = {
        fentry.NAME: lambda: _fentry(tunnel, on_roam, compile_for),
        underlay.NAME: lambda: UnderlayDetector(
            tunnel.gate, compile_for(underlay.NAME), tunnel.device, tunnel.port, dump, on_roam
        ),
        polling.NAME: lambda: PollingDetector(dump, on_roam, interval),
    }
    refused: list[Refused] = []
    for name, make in makers.items():
        if name not in allowed:
            refused.append(Refused(name, "the settings leave it out"))
            continue
        try:
            found = make()
        except (DetectorError, CompileError) as error:
            refused.append(Refused(name, error.cause))
            _LOG.info("no detector %s: %s", name, error.cause)
            continue
        if name != fentry.NAME:
            fentry.remove(tunnel.gate)
        found.refused = tuple(refused)
        return found
    raise DetectorError("any detector", "; ".join(f"{one.detector}: {one.cause}" for one in refused))


def _fentry(tunnel: Tunnel, on_roam: OnRoam, compile_for: Compile) -> FentryDetector:
    if not tunnel.in_kernel:
        raise DetectorError(fentry.NAME, "the device is wireguard-go's, not the kernel's")
    return FentryDetector(tunnel.gate, compile_for(fentry.NAME), tunnel.public_key, on_roam)


def remove(gate: str) -> None:
    """Take away all that detectors of the gateway of this gate have pinned or attached, in the network
    namespace of the caller. Nothing happens where there is nothing."""
    remove_filters(RoamingPins(gate))
    fentry.remove(gate)


class IgnoringDetector:
    """For gateways that ignore roaming."""

    refused: tuple[Refused, ...] = ()
    looks = True

    def reset(self, sessions: Mapping[bytes, Watched]) -> None:
        """See Detector."""

    def watch(self, public_key: bytes, session: Watched) -> None:
        """See Detector."""

    def expect(self, public_key: bytes, endpoint: Endpoint) -> None:
        """See Detector."""

    def forget(self, public_key: bytes) -> None:
        """See Detector."""

    async def changes(self) -> AsyncIterator[Roamed]:
        """Never any."""
        never: asyncio.Future[Roamed] = asyncio.get_running_loop().create_future()
        yield await never

    def status(self) -> DetectorStatus:
        """See Detector."""
        return DetectorStatus("none", OnRoam.IGNORE, 0)

    def close(self) -> None:
        """See Detector."""
