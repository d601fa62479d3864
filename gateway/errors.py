"""What all errors of the gateway have in common."""

from __future__ import annotations

from wardgate.runtime.errors import WardgateError


class GatewayError(WardgateError):
    """A refusal by the gateway: `operation`, `target`, `cause` and `remedy`, as those of the runtime have."""
