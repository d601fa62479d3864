"""The API's paths for what goes on, and what went on: status, events, the audit log, metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from wardgate.gateway.control.operations import Control
from wardgate.gateway.control.request import Ending
from wardgate.gateway.control.views import Status
from wardgate.gateway.ledger import Verified
from wardgate.gateway.metrics import TEXT_FORMAT
from wardgate.gateway.records import AuditEntry, AuditHead

LINES: Final = "application/x-ndjson"
MOST_ENTRIES: Final = 1_000
"""Of the audit log, in one answer."""


def observing_router(control: Control) -> APIRouter:
    """`/v1/status`, `/v1/events`, `/v1/audit`, `/v1/metrics`."""
    router = APIRouter(prefix="/v1", tags=["observing"])

    @router.get("/status", operation_id="status")
    async def status() -> Status:
        return await control.status()

    @router.get(
        "/events",
        operation_id="events",
        response_class=StreamingResponse,
        responses={200: {"content": {LINES: {}}, "description": "A JSON document a line, without end."}},
    )
    async def events(ending: Ending) -> StreamingResponse:
        return StreamingResponse(
            _lines(control.events(), ending), media_type=LINES, headers={"Cache-Control": "no-store"}
        )

    @router.get("/audit", operation_id="audit_entries")
    async def audit_entries(
        after: Annotated[int, Query(ge=0, lt=1 << 53, description="Entries that follow this number.")] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_ENTRIES)] = MOST_ENTRIES,
    ) -> list[AuditEntry]:
        return list(await control.audit.entries(after, limit))

    @router.get("/audit/head", operation_id="audit_head")
    async def audit_head() -> AuditHead:
        return await control.audit.head()

    @router.get("/audit/verify", operation_id="verify_audit")
    async def verify_audit() -> Verified:
        return await control.audit.verify()

    @router.get(
        "/metrics",
        operation_id="metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' text form."}},
    )
    async def metrics() -> Response:
        return Response(await control.metrics(), media_type=TEXT_FORMAT)

    return router


async def _lines(events: AsyncIterator[Mapping[str, Any]], ending: asyncio.Event) -> AsyncIterator[bytes]:
    """Events as lines, until there are no more, or the server stops."""
    end = asyncio.create_task(ending.wait())
    following: asyncio.Future[Mapping[str, Any]] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(events))
            await asyncio.wait((following, end), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            try:
                event = following.result()
            except StopAsyncIteration:
                return
            yield json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    finally:
        # Also where whoever listened is gone: the source must not keep anything for them.
        waiting = [task for task in (end, following) if task is not None and not task.done()]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if isinstance(events, AsyncGenerator):
            await events.aclose()
