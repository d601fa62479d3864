"""The control API as an ASGI application, and its description."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp
from wardgate.gateway.control import answers
from wardgate.gateway.control.guard import Guard
from wardgate.gateway.control.observing import observing_router
from wardgate.gateway.control.operations import Control
from wardgate.gateway.control.peers import Access
from wardgate.gateway.control.people import devices_router, sessions_router, tokens_router, users_router
from wardgate.gateway.control.policy import policy_router

_TITLE: Final = "Wardgate's control API"
_ROUTERS: Final = (
    users_router, devices_router, tokens_router, sessions_router, policy_router, observing_router,
)  # fmt: skip
_DESCRIPTION: Final = (
    "HTTP over the gateway's unix socket. The kernel says who connects: root, and members of the group that "
    "gateway.yaml names, may do all of this, and what they change is in the audit log under their name. "
    "Times are Unix time in seconds, durations seconds. What is not done is answered with a Failure."
)


def control_app(control: Control, access: Access) -> ASGIApp:
    """The API on top of `control`, for peers that `access` allows. The server must put each connection's Peer
    into the requests' state (see server.ControlServer)."""
    return Guard(_api(control), access)


def openapi_document() -> dict[str, Any]:
    """The API's description (OpenAPI 3.1), as `/v1/openapi.json` has it."""
    # Handlers are described, not called.
    return _api(cast(Control, None)).openapi()


class _Api(FastAPI):
    """FastAPI, describing itself as it is here."""

    def openapi(self) -> dict[str, Any]:
        """As FastAPI has it."""
        if self.openapi_schema is None:
            self.openapi_schema = _described(self)
        return self.openapi_schema


def _api(control: Control) -> FastAPI:
    api = _Api(
        title=_TITLE,
        version=version("wardgate"),
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=answers.FAILURES,
        redirect_slashes=False,
    )
    for router in _ROUTERS:
        api.include_router(router(control))
    answers.install(api)
    return api


def _described(api: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=api.title, version=api.version, description=api.description, routes=api.routes
    )
    # Requests that make no sense are answered with 400 here, not with FastAPI's 422.
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return document
