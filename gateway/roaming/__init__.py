"""Detectors of roaming: of a peer that sends from another endpoint than its session was granted for.

`choose` opens the best one that works: `fentry` ends the session inside the kernel, before a packet from
elsewhere is judged; `underlay` sees on the wire that somebody may have moved, and asks WireGuard; `polling`
asks at intervals. `model` says what all three do. docs/roaming.md is about what an operator sees of them.
"""

from wardgate.gateway.roaming.choose import DETECTORS, Tunnel, open_detector, remove
from wardgate.gateway.roaming.errors import DetectorError
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

__all__ = [
    "DETECTORS",
    "Detector",
    "DetectorError",
    "DetectorStatus",
    "Dump",
    "Endpoint",
    "OnRoam",
    "Refused",
    "Roamed",
    "Tunnel",
    "Watched",
    "open_detector",
    "remove",
]
