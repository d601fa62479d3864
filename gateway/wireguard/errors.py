"""What can go wrong with a WireGuard device."""

from __future__ import annotations

from wardgate.gateway.errors import GatewayError


class WireGuardError(GatewayError):
    """A WireGuard device did not do what was asked."""


class KeyFormatError(WireGuardError, ValueError):
    """A text or bytes that are no key. Of secret keys no part of the text is in the message."""


class EndpointFormatError(WireGuardError, ValueError):
    """A text that is no endpoint."""


class PeerConflictError(WireGuardError, ValueError):
    """Peers that no device can have together: a key twice, or an address that belongs to two."""


class DeviceUnavailableError(WireGuardError):
    """No device of this name can be made here, or what has the name is no WireGuard device."""


class DeviceGoneError(WireGuardError):
    """The device that was opened is no longer there: somebody removed it, or its process ended."""


class DeviceRefusedError(WireGuardError, OSError):
    """The device refused a request; `errno` is its code.

    A request with several peers may have been carried out in part: reconcile again.
    """

    def __init__(self, operation: str, target: str, code: int, cause: str, remedy: str = "") -> None:
        WireGuardError.__init__(self, operation, target, cause, remedy)
        OSError.__init__(self, code, cause)

    __str__ = WireGuardError.__str__
