"""Sessions: that a device's user has logged in. The kernel enforces them, the store mirrors them."""

from wardgate.gateway.sessions.sessions import Sessions

__all__ = ["Sessions"]
