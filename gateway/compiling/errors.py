"""What could not be compiled."""

from __future__ import annotations

from wardgate.gateway.errors import GatewayError


class CompileError(GatewayError):
    """The compilers did not make an object of a program of the gateway's own."""
