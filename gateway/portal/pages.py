"""Templates, files that never change, and how times are written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

import segno
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

LAST_DATE: Final = 32_503_680_000
"""The year 3000: a time from there on means never."""

_TYPES: Final = {
    "svg": "image/svg+xml",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}


def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("wardgate.gateway.portal"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.tests["dated"] = lambda seconds: seconds < LAST_DATE
    found.filters["duration"] = duration
    found.filters["moment"] = moment
    found.filters["machine_moment"] = machine_moment
    found.filters["qr"] = qr
    found.filters["host"] = lambda url: urlsplit(url).hostname
    return found


def duration(seconds: float) -> str:
    """`90` as `1 minute`, `7300` as `2 hours 1 minute`: never more than there is."""
    whole = max(int(seconds), 0)
    parts = []
    for name, size in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count} {name}" + ("s" if count > 1 else ""))
    # Seconds say something only where there is nothing larger.
    return " ".join(parts[:1] if len(parts) > 1 and "second" in parts[1] else parts[:2]) or "0 seconds"


def moment(seconds: float) -> str:
    """A Unix time for people."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def machine_moment(seconds: float) -> str:
    """The same for a `datetime` attribute."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def qr(text: str) -> str:
    """A QR code as inline SVG: no image is fetched, and no secret is in an address."""
    code = segno.make(text, error="m", micro=False)
    return code.svg_inline(scale=5, border=4, light="#fff", omitsize=True)


class Pages:
    """What a page is made of. `common` is known to each template."""

    def __init__(self, **common: Any) -> None:
        self._environment = _environment()
        self._environment.globals.update(common)

    def answer(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page of templates/, with what it shows."""
        return HTMLResponse(self._environment.get_template(template).render(values), status)


class StaticFiles:
    """The files of static/, read once: a request names one of them, and no path of the machine."""

    def __init__(self, *names: str) -> None:
        folder = files("wardgate.gateway.portal") / "static"
        self._files = {name: (folder / name).read_bytes() for name in names}
        self._tags = {
            name: f'"{hashlib.sha256(data).hexdigest()[:32]}"' for name, data in self._files.items()
        }

    async def answer(self, request: Request) -> Response:
        """Starlette's endpoint of a route with `{name}`."""
        name = request.path_params["name"]
        if name not in self._files:
            return PlainTextResponse("There is nothing here.\n", 404)
        headers: Mapping[str, str] = {"etag": self._tags[name], "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == self._tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(self._files[name], headers=headers, media_type=_TYPES[name.rpartition(".")[2]])
