"""Sequences of calls that hypothesis draws, over one store."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine
from wardgate.gateway.store import SqliteStore

T = TypeVar("T")


class StoreMachine(RuleBasedStateMachine):
    """A state machine with an empty store, and a loop to call what uses it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.store = self.run(SqliteStore.open(Path(self.folder.name) / "store"))

    def run(self, work: Awaitable[T]) -> T:
        """What it comes to."""

        async def wait() -> T:
            return await work

        return self.runner.run(wait())

    def teardown(self) -> None:
        """See hypothesis."""
        self.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()
