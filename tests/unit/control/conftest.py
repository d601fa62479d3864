"""A control server in this process, with a gateway in memory behind it, and clients of its socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from gateway_fakes import FakeGateway, Switch
from wardgate.gateway.control import server as server_module
from wardgate.gateway.control.app import _api as make_api
from wardgate.gateway.control.connection import Limits
from wardgate.gateway.control.guard import Guard
from wardgate.gateway.control.peers import Access
from wardgate.gateway.control.server import ControlServer
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.records import AUDIT
from wardgate.gateway.store import SqliteStore

T = TypeVar("T")
CURRENT = Switch()
QUICK = Limits(request=0.3, keep_alive=0.3, ending=0.2)


@dataclass
class Served:
    """A server that runs: its gateway, its socket, and a client."""

    gateway: FakeGateway
    path: Path
    http: httpx.AsyncClient
    server: ControlServer

    async def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """The document at a path."""
        answer = await self.http.get(f"/v1/{path}", params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        """What an operation answers."""
        answer = await self.http.post(f"/v1/{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def delete(self, path: str, status: int = 200) -> Any:
        """What removing answers."""
        answer = await self.http.delete(f"/v1/{path}")
        assert answer.status_code == status, answer.text
        return answer.json()

    async def audit(self) -> list[tuple[str, str, str]]:
        """Who did what to what."""
        return [(e.actor, e.action, e.target) for e in await self.gateway.ledger.records(AUDIT)]

    async def raw(self, *parts: bytes, until_eof: bool = True) -> bytes:
        """What the server answers to these bytes, until it closes the connection."""
        reader, writer = await asyncio.open_unix_connection(os.fspath(self.path))
        try:
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
            if not until_eof:
                return await reader.read(1 << 16)
            found = b""
            with contextlib.suppress(ConnectionError):
                while part := await reader.read(1 << 16):
                    found += part
            return found
        finally:
            writer.close()


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    """A folder with a short path, that everybody may enter: pytest's own are for the user alone."""
    with tempfile.TemporaryDirectory(prefix=f"wg{os.getpid()}-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def api() -> Any:
    """The API of the current gateway."""
    return make_api(CURRENT)


@pytest.fixture
def serve(
    socket_folder: Path, tmp_path: Path, api: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Run `work` with a server; `limits` and `access` are its."""
    monkeypatch.setattr(server_module, "control_app", lambda _control, access: Guard(api, access))

    def run(
        work: Callable[[Served], Awaitable[T]],
        limits: Limits | None = None,
        access: Access = Access(None),  # noqa: B008 - it is frozen
    ) -> T:
        async def main() -> T:
            async with serving(socket_folder / "control.sock", tmp_path, limits, access) as served:
                return await work(served)

        return asyncio.run(main())

    return run


@contextlib.asynccontextmanager
async def serving(path: Path, folder: Path, limits: Limits | None, access: Access) -> AsyncIterator[Served]:
    """A server, until the context ends."""
    async with await SqliteStore.open(folder / "store") as store:
        gateway = CURRENT.gateway = FakeGateway(Ledger(store))
        server = ControlServer(gateway, path, access, limits)
        await server.start()
        try:
            transport = httpx.AsyncHTTPTransport(uds=os.fspath(path))
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
                yield Served(gateway, path, http, server)
        finally:
            await server.stop()


@pytest.fixture
def quick() -> Limits:
    """Limits that are over at once."""
    return QUICK
