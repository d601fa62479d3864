"""Where the control socket is; apart from the server, since whoever only connects needs nothing else."""

from __future__ import annotations

from typing import Final

SOCKET: Final = "/run/wardgate/control.sock"
"""Unless gateway.yaml says otherwise."""
