"""The C of the detectors' programs."""

from __future__ import annotations

from importlib import resources
from typing import Final

from wardgate.gateway.compiling.programs import ProgramSource
from wardgate.gateway.roaming import layout
from wardgate.runtime.layout.maps import DEVICES
from wardgate.runtime.layout.records import DEVICE

_FOLDER: Final = "gateway/roaming"


def _files(*names: str) -> dict[str, str]:
    here = resources.files("wardgate.gateway.roaming")
    return {f"{_FOLDER}/{name}": here.joinpath(name).read_text(encoding="utf-8") for name in names}


def fentry_source() -> ProgramSource:
    """The program that ends sessions in the kernel."""
    return ProgramSource(
        "fentry",
        _files("remote.h", "fentry.c"),
        (DEVICE, layout.PEER_KEY, layout.WATCHED, layout.HANDSHAKE, layout.ROAMED, layout.LOST),
        (DEVICES, layout.PEERS, layout.HANDSHAKES, layout.CHANGES, layout.LOST_EVENTS),
        (layout.KERNEL,),
    )


def underlay_source() -> ProgramSource:
    """The program that sees who sends to WireGuard's port."""
    return ProgramSource(
        "underlay",
        _files("remote.h", "underlay.c"),
        (layout.SOURCE, layout.SIGHTING_KEY, layout.SIGHTING, layout.REQUESTS),
        (layout.SOURCES, layout.SIGHTINGS, layout.ASKED, layout.WAKE),
        (layout.UNDERLAY,),
    )
