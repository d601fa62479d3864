"""Challenges over a real store, with a clock that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from totp import App
from wardgate.gateway.challenges import (
    Challenges,
    ChallengeSettings,
    Method,
    PosingMethod,
    RemoteMethod,
    Sealer,
    Totp,
)
from wardgate.gateway.errors import RefusedError
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.records import AUDIT, AuditEntry
from wardgate.gateway.store import SqliteStore

T = TypeVar("T")
SETTINGS = ChallengeSettings("Example VPN")
BEGINNING = 1_800_000_000
"""The first second of a step."""


class World:
    """A gateway's second factors. `now`: the time, which passes only when a test says so."""

    def __init__(
        self,
        folder: Path,
        store: SqliteStore,
        settings: ChallengeSettings,
        methods: list[Method | PosingMethod] | None,
        remote: list[RemoteMethod] | None = None,
    ) -> None:
        self.now = float(BEGINNING)
        self.store = store
        self.settings = settings
        self.ledger = Ledger(store, lambda: self.now)
        path = folder / "key"
        self.sealer = Sealer.open(path) if path.exists() else Sealer.create(path)
        self.methods = [Totp(settings.issuer, settings.drift_steps)] if methods is None else methods
        self.remote = remote or []
        self.challenges = Challenges(self.ledger, self.sealer, self.methods, settings, self.remote)

    def nodes(self, count: int) -> list[Challenges]:
        """As of other processes: ledgers of their own do not take turns, the store's conditions decide."""
        return [
            Challenges(
                Ledger(self.store, lambda: self.now), self.sealer, self.methods, self.settings, self.remote
            )
            for _ in range(count)
        ]

    async def app_of(self, user: str) -> App:
        """The app of a user who has confirmed it at this step; time then goes on to the next."""
        setup = await self.challenges.begin_setup(f"user:{user}", user, "totp")
        app = App(setup.uri)
        await self.challenges.confirm_setup(user, "totp", app.code(self.now))
        self.now += 30
        return app

    async def refused(self, user: str, code: str, device: str = "d1", method: str = "totp") -> RefusedError:
        """How a login fails."""
        with pytest.raises(RefusedError) as caught:
            await self.challenges.verify(user, method, code, device=device)
        return caught.value

    async def audit(self) -> list[AuditEntry]:
        """All lines of the audit log."""
        return await self.ledger.records(AUDIT)


def in_world(
    folder: Path,
    work: Callable[[World], Awaitable[T]],
    settings: ChallengeSettings = SETTINGS,
    methods: list[Method | PosingMethod] | None = None,
    remote: list[RemoteMethod] | None = None,
) -> T:
    """What `work` returns; store and key stay in `folder` from one call to the next."""

    async def main() -> T:
        async with await SqliteStore.open(folder / "store") as store:
            return await work(World(folder, store, settings, methods, remote))

    return asyncio.run(main())
