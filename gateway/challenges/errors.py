"""What can go wrong with challenges besides the gateway's general errors."""

from __future__ import annotations

from datetime import UTC, datetime

from wardgate.gateway.challenges.lockout import FOREVER
from wardgate.gateway.errors import GatewayError, RefusedError


class KeyFileError(GatewayError):
    """The file with the key that seals secrets is missing, damaged, or open to others."""


class LockedError(RefusedError):
    """Too many logins failed: none is tried before `until` (Unix time, see lockout.FOREVER)."""

    def __init__(self, user: str, until: int) -> None:
        if until == FOREVER:
            remedy = "ask an administrator to unlock it"
        else:
            remedy = f"try again after {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S} UTC"
        super().__init__("log in", user, "too many codes were wrong", remedy)
        self.until = until
