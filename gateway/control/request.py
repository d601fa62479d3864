"""What a request's handler is told besides what was asked."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends, Request
from wardgate.gateway.control.guard import ACTOR, ENDING


async def _actor(request: Request) -> str:
    actor = getattr(request.state, ACTOR, None)
    if not isinstance(actor, str):
        # The guard puts it there, and nothing may be done for nobody.
        raise RuntimeError("the request did not pass the guard")
    return actor


async def _ending(request: Request) -> asyncio.Event:
    ending = getattr(request.state, ENDING, None)
    if not isinstance(ending, asyncio.Event):
        raise RuntimeError("the request did not come by the control socket")
    return ending


Actor = Annotated[str, Depends(_actor)]
"""Who asks, as the kernel says."""
Ending = Annotated[asyncio.Event, Depends(_ending)]
"""Set when the server stops."""
