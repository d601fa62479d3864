"""Server-sent events (HTML standard, section 9.2): what happens to a device, told to its open pages.

The first event is the state as it is, so that a page that was cut off needs no memory of ours: `state` with
what the page shows. Then `session` and `needs-login`, and a comment as a sign of life.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict
from typing import Any

from wardgate.gateway.errors import NotFoundError
from wardgate.gateway.portal.desk import Desk, NeedsLoginEvent, PortalEvent
from wardgate.gateway.records import Device


async def event_stream(
    desk: Desk, device: Device, *, still: Callable[[], Awaitable[bool]], ping_s: float, stream_s: float
) -> AsyncGenerator[bytes, None]:
    """Events of a device until `stream_s` seconds are over, its events end, or it is no longer `still` there:
    that is asked with each sign of life, every `ping_s` seconds."""
    events = desk.events(device.id)
    look = time.monotonic() + ping_s
    ends = time.monotonic() + stream_s
    # Watched before the state is read, so that nothing is lost between the two.
    following = asyncio.ensure_future(anext(events))
    try:
        await asyncio.sleep(0)
        view = await desk.session(device.id)
        yield b"retry: 2000\n" + _event("state", {"state": view.state, "remaining_s": view.remaining_s})
        while time.monotonic() < ends:
            done, _ = await asyncio.wait({following}, timeout=max(0.0, look - time.monotonic()))
            # Asked when it is time, however much there is to tell.
            if time.monotonic() >= look:
                if not await still():
                    return
                look = time.monotonic() + ping_s
                yield b": still here\n\n"
            if not done:
                continue
            try:
                event = following.result()
            except StopAsyncIteration:
                return
            yield _event(_name(event), asdict(event))
            following = asyncio.ensure_future(anext(events))
    except NotFoundError:
        # The device was removed.
        return
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
            await following
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


def _name(event: PortalEvent) -> str:
    return "needs-login" if isinstance(event, NeedsLoginEvent) else "session"


def _event(name: str, data: dict[str, Any]) -> bytes:
    """JSON in ASCII has no line ends, which would end the event."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode("ascii")
