"""The gateway as one process: all parts put together, started in the safe order, and taken down again."""

from wardgate.gateway.service.gateway import Gateway
from wardgate.gateway.service.removal import take_down

__all__ = ["Gateway", "take_down"]
