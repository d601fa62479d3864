"""The gateway's typed errors, by what whoever asked can do about them.

Each has the parts of the runtime's errors: the operation, what it was about, the cause, the remedy. The
control API and the portal answer with them; a part never holds a secret.
"""

from __future__ import annotations

from wardgate.runtime.errors import WardgateError


class GatewayError(WardgateError):
    """The gateway did not do what was asked, and changed nothing."""


class InvalidError(GatewayError):
    """What was asked makes no sense, whatever the gateway's state."""


class NotFoundError(GatewayError):
    """There is no such user, device, token, session or policy."""


class ExistsError(GatewayError):
    """The name, address or key is taken."""


class RefusedError(GatewayError):
    """It makes sense, but may not be: locked, spent, expired, forbidden by the policy."""


class BusyError(GatewayError):
    """Too many at once, or others changed the same all the time: try again later."""


class CorruptError(GatewayError):
    """What is stored is not what this release writes."""
