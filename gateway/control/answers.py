"""How failures are answered: the HTTP status and the document of each."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from wardgate.gateway.compiling.plans import PolicyRefusedError, StalePlanError
from wardgate.gateway.compiling.refusals import REFUSALS, of_the_policy, told
from wardgate.gateway.control.models import FailureDocument
from wardgate.gateway.errors import (
    BusyError,
    CorruptError,
    ExistsError,
    InvalidError,
    NotFoundError,
    RefusedError,
)
from wardgate.gateway.store import StoreError
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.pins import LockError

_log = logging.getLogger("wardgate.gateway.control")

_KINDS: Final[Sequence[tuple[type[WardgateError], int, str]]] = (
    (InvalidError, 400, "invalid"),
    (NotFoundError, 404, "not-found"),
    (ExistsError, 409, "exists"),
    (StalePlanError, 409, "stale-plan"),
    (PolicyRefusedError, 403, "policy"),
    (RefusedError, 403, "refused"),
    (BusyError, 503, "busy"),
    (LockError, 503, "busy"),
    (CorruptError, 500, "corrupt"),
    (WardgateError, 500, "internal"),
)
"""The first one that fits counts."""
_OF_STATUS: Final[Mapping[int, str]] = {403: "denied", 404: "not-found", 413: "too-large", 503: "busy"}
_MOST_MISTAKES: Final = 5
_MOST_SHOWN: Final = 255

Answers = dict[int | str, dict[str, Any]]
FAILURES: Final[Answers] = {
    status: {"model": FailureDocument, "description": text}
    for status, text in (
        (400, "What was asked makes no sense."),
        (403, "Not for this peer, or refused as things are."),
        (404, "There is no such thing."),
        (409, "It is taken, or has changed meanwhile."),
        (413, "The request is too large."),
        (500, "Something failed that has nothing to do with the request."),
        (503, "Too much at once, or the store cannot be reached."),
    )
}
"""For the API's description."""


def failure(
    status: int,
    kind: str,
    operation: str,
    target: str,
    cause: str,
    remedy: str = "",
    diagnostics: Sequence[Mapping[str, Any]] = (),
) -> Response:
    """The answer that says so."""
    document = FailureDocument(
        kind=kind,
        operation=operation,
        target=target,
        cause=cause,
        remedy=remedy,
        diagnostics=tuple(diagnostics),
    )
    # ASCII alone: what a request had may be no text of UTF-8.
    text = json.dumps(document.model_dump())
    return Response(text, status, {"Cache-Control": "no-store"}, "application/json")


def printable(text: str) -> str:
    """What a peer chose, for a log and for people: not long, and nothing that a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text[:_MOST_SHOWN])


def install(app: FastAPI) -> None:
    """Have `app` answer failures so."""
    app.add_exception_handler(WardgateError, _of_gateway)
    app.add_exception_handler(StoreError, _of_store)
    for refusal in REFUSALS:
        app.add_exception_handler(refusal, _of_compiler)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _of_anything)


async def _of_gateway(_request: Request, error: Exception) -> Response:
    assert isinstance(error, WardgateError)  # noqa: S101 - what it is installed for
    status, kind = next((status, kind) for one, status, kind in _KINDS if isinstance(error, one))
    diagnostics = error.plan.diagnostics if isinstance(error, PolicyRefusedError) else ()
    return failure(status, kind, error.operation, error.target, error.cause, error.remedy, diagnostics)


async def _of_compiler(_request: Request, error: Exception) -> Response:
    assert isinstance(error, REFUSALS)  # noqa: S101 - what it is installed for
    refused, diagnostics = told(error)
    kind = "policy" if of_the_policy(error) else "refused"
    return failure(403, kind, refused.operation, refused.target, refused.cause, refused.remedy, diagnostics)


async def _of_store(request: Request, error: Exception) -> Response:
    _log.error("the store failed: %s", error, extra={"path": request.url.path})
    return failure(
        503, "unavailable", *_asked(request), str(error), "see wardgate gateway status, and try again"
    )


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is installed for
    # Not what was given: it may be a secret.
    mistakes = [f"{printable('.'.join(map(str, one['loc'])))}: {one['msg']}" for one in error.errors()]
    cause = "; ".join(mistakes[:_MOST_MISTAKES])
    if len(mistakes) > _MOST_MISTAKES:
        cause += f"; and {len(mistakes) - _MOST_MISTAKES} more"
    return failure(400, "invalid", *_asked(request), cause, "see wardgate gateway api")


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is installed for
    kind = _OF_STATUS.get(error.status_code, "invalid")
    answer = failure(error.status_code, kind, *_asked(request), str(error.detail), "see wardgate gateway api")
    answer.headers.update(error.headers or {})
    return answer


async def _of_anything(request: Request, error: Exception) -> Response:
    # The error's text stays in the log: nobody has looked at what is in it.
    _log.error("internal error", exc_info=error, extra={"path": request.url.path})
    return failure(500, "internal", *_asked(request), "internal error", "see the gateway's log")


def _asked(request: Request) -> tuple[str, str]:
    return request.method, printable(request.url.path)
