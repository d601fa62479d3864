"""What a request's handler is told of who asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from wardgate.gateway.control.guard import ACTOR


async def _actor(request: Request) -> str:
    actor = getattr(request.state, ACTOR, None)
    if not isinstance(actor, str):
        # The guard puts it there, and nothing may be done for nobody.
        raise RuntimeError("the request did not pass the guard")
    return actor


Actor = Annotated[str, Depends(_actor)]
"""Who asks, as the kernel says."""
