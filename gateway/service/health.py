"""Looks whether the tunnel is still there, and guarded: others can take away what the gateway made.

The gateway does not mend that behind others' backs. It ends, closed and with a reason; its next start, which
is what service managers are for, makes anew what is missing.
"""

from __future__ import annotations

from wardgate.gateway.enforcement import Worker
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.network.links import bring_down, find_link
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.gate import Gate
from wardgate.runtime.pins import LockError


class TunnelLostError(GatewayError):
    """The tunnel's interface, or the gate on it, is gone: the gateway cannot go on."""


class Health:
    """Of the tunnel `interface`, as it is when this is made, and `gate` on it."""

    def __init__(self, interface: str, gate: Gate, worker: Worker) -> None:
        self._interface = interface
        self._gate = gate
        self._worker = worker
        self._index: int | None = None

    async def look(self) -> None:
        """Look once. GatewayError where something is amiss; TunnelLostError where the gateway has to end for
        it, and then nothing passes."""
        await self._worker(self._look)

    def _look(self) -> None:
        link = find_link(self._interface)
        if link is None or self._index not in (None, link.index):
            raise TunnelLostError(
                "watch tunnel",
                self._interface,
                "its interface is gone: it was removed, or its daemon has ended",
                "start the gateway again, which makes it anew; the system's log may tell what took it away",
            )
        self._index = link.index
        if (cause := self._why_open()) and link.up:
            bring_down(self._interface)
            raise TunnelLostError(
                "watch tunnel",
                self._interface,
                f"no gate guards it any more ({cause}): it is down now",
                "start the gateway again, which puts the gate back",
            )
        if not link.up:
            raise GatewayError(
                "watch tunnel",
                self._interface,
                "its interface is down",
                f"ip link set {self._interface} up, or start the gateway again",
            )

    def _why_open(self) -> str:
        """Why packets may pass that nothing judges; empty where they cannot. LockError."""
        try:
            return "" if self._gate.enforces() else "it was taken off"
        except LockError:
            # Somebody changes it, and takes long: that nobody can look does not mean that it is gone.
            raise
        except (WardgateError, OSError) as error:
            return error.cause if isinstance(error, WardgateError) else str(error)
