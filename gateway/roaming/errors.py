"""Why a detector cannot be had: here, or for want of a compiler."""

from __future__ import annotations

from wardgate.gateway.compiling.errors import CompileError as CompileError
from wardgate.gateway.errors import GatewayError


class DetectorError(GatewayError):
    """A detector cannot work here: the next best one may."""

    def __init__(self, detector: str, cause: str, remedy: str = "") -> None:
        super().__init__("watch for roaming by", detector, cause, remedy)
