"""The policy in force: its text, the store's members and names' addresses, as the gate enforces them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from wardgate.gateway.compiling.bundles import Bundle
from wardgate.gateway.compiling.policies import Compiler, Composed, Portal, compose, difference
from wardgate.gateway.compiling.refusals import REFUSALS, told
from wardgate.gateway.compiling.resolving import Resolver
from wardgate.gateway.enforcement.problems import Problems
from wardgate.gateway.enforcement.threads import Worker
from wardgate.gateway.errors import GatewayError
from wardgate.runtime.gate import Gate

_log = logging.getLogger("wardgate.gateway.policy")
PART: Final = "policy"
_WAITS: Final = (1.0, 5.0, 30.0)
"""Seconds to wait after failures in a row."""


@dataclass(frozen=True, slots=True)
class Source:
    """A policy's text, and its number in the store."""

    number: int
    bundle: Bundle


class PolicyKeeper:
    """Keeps the gate at the policy that the store has, with its members and names' addresses of now.

    `load` reads that policy from the store, `members` gives the store's memberships. What takes long is done
    in `worker`. `gate` is None until there is one; see `first`.
    """

    def __init__(
        self,
        portal: Portal,
        resolver: Resolver,
        members: Callable[[], Mapping[str, list[str]]],
        load: Callable[[], Awaitable[Source]],
        worker: Worker,
        problems: Problems,
    ) -> None:
        self.portal = portal
        self.resolver = resolver
        self.turn = asyncio.Lock()
        """Held by whoever changes the policy."""
        self.number = 0
        """Of the policy in force."""
        self.gate: Gate | None = None
        self.enforced: Callable[[Composed], None] | None = None
        """Called with each policy that comes into force, which may be undone yet."""
        self.announced: Callable[[int], None] | None = None
        """Called with the number of each that came into force and is the store's."""
        self._members = members
        self._load = load
        self._worker = worker
        self._problems = problems
        self._compiler = Compiler()
        self._source: Source | None = None
        self._composed: Composed | None = None
        self._wanted = 0
        self._reached = 0
        self._failure: Exception | None = None
        self._inputs = False
        self._applied = False
        self._news = asyncio.Condition()
        self._wake = asyncio.Event()

    @property
    def composed(self) -> Composed:
        """The policy in force. RuntimeError before `first`."""
        if self._composed is None:
            raise RuntimeError("there is no policy yet")
        return self._composed

    async def first(self, make: Callable[[bytes], Gate]) -> None:
        """Compile the policy that the store has, and have `make` make a gate of it or adopt one. Errors of
        compose and Compiler.compile, and what `make` raises."""
        self._source = await self._load()
        composed = await self.composed_of(self._source.bundle)
        compiled = await self._worker(self._compiler.compile, composed)
        if compiled.artefact is None:
            raise AssertionError("the first compile gives an artefact")
        self.gate = await self._worker(make, compiled.artefact)
        self.number = self._source.number
        self._now(composed)

    async def composed_of(self, bundle: Bundle) -> Composed:
        """A policy as it would be enforced now. PolicyError, InvalidError."""
        return await self._worker(self.compose_now, bundle)

    def compose_now(self, bundle: Bundle) -> Composed:
        """The same at once, for a thread that may take its time."""
        return compose(bundle, self._members(), self.portal, self.resolver)

    async def enforce(self, composed: Composed) -> None:
        """Put a policy in force: all of it at once, or nothing. Whoever calls has the turn. Errors of
        Compiler.compile, and of the runtime's, after which the one before is in force."""
        if self.gate is None:
            raise RuntimeError("there is no gate yet")
        await self._worker(self._give, self.gate, composed)
        self._now(composed)

    def _now(self, composed: Composed) -> None:
        self._composed = composed
        if self.enforced is not None:
            self.enforced(composed)

    def _give(self, gate: Gate, composed: Composed) -> None:
        try:
            compiled = self._compiler.compile(composed)
            if compiled.artefact is None:
                gate.reassign(compiled.manifest)
            else:
                gate.swap(compiled.artefact)
        except BaseException:
            # What the gate has is not what the compiler compiled last.
            self._compiler.forget()
            raise

    def replaced(self, source: Source) -> None:
        """Take a policy that was enforced, and then stored, as the one in force."""
        self._source, self.number = source, source.number
        if self.announced is not None:
            self.announced(source.number)

    def changed(self, revision: int, *, inputs: bool = False, applied: bool = False) -> None:
        """Have `run` look again, at `revision`: `inputs`, members or names' addresses, changed, or which
        policy is `applied`."""
        self._wanted = max(self._wanted, revision)
        self._inputs |= inputs
        self._applied |= applied
        self._wake.set()

    async def settled(self, revision: int) -> None:
        """Return when what `changed` was told up to `revision` is in force; GatewayError where it can't
        be."""
        async with self._news:
            failure = self._failure
            await self._news.wait_for(
                lambda: (
                    self._is_settled(revision) or (self._failure is not None and self._failure is not failure)
                )
            )
            if not self._is_settled(revision):
                raise GatewayError(
                    "enforce policy",
                    "",
                    f"it is stored, but not in force: {self._failure}",
                    "see `wardgate gateway status`; it is tried again until it is",
                )

    def _is_settled(self, revision: int) -> bool:
        return self._reached >= min(revision, self._wanted)

    async def run(self) -> None:
        """Go on until cancelled. Where a policy cannot be enforced, the one before stays in force, and it is
        tried again."""
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            wanted = self._wanted
            try:
                async with self.turn:
                    await self._catch_up()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self._problems.raised(PART, error)
                await self._tell(self._reached, error)
                await asyncio.sleep(_WAITS[min(failures, len(_WAITS) - 1)])
                failures += 1
                self._wake.set()
            else:
                failures = 0
                self._problems.mended(PART)
                await self._tell(wanted, None)

    async def _catch_up(self) -> None:
        inputs, applied = self._inputs, self._applied
        self._inputs = self._applied = False
        try:
            source = await self._load() if applied or self._source is None else self._source
            if not inputs and source.number == self.number:
                return
            composed, before = await self.composed_of(source.bundle), self.composed
            if composed.policy == before.policy and source.number == self.number:
                return
            if composed.policy != before.policy:
                await self.enforce(composed)
                if composed.policy.resolved != before.policy.resolved:
                    await self._worker(_log_widened, before, composed)
        except BaseException:
            self._inputs |= inputs
            self._applied |= applied
            raise
        self.replaced(source)

    async def _tell(self, reached: int, failure: Exception | None) -> None:
        async with self._news:
            self._reached = max(self._reached, reached)
            self._failure = failure
            self._news.notify_all()


def _log_widened(before: Composed, after: Composed) -> None:
    """Say what names' new addresses opened: nobody has looked at that."""
    try:
        found = difference(before, after)
    except REFUSALS as error:
        cause, _ = told(error)
        _log.warning(
            "names in rules have other addresses, and whose access that changes is too much to tell: %s",
            cause.cause,
            extra={"widens": True},
        )
        return
    if found.widens:
        _log.warning(
            "names in rules have other addresses, which widens access:\n%s",
            found.text,
            extra={"widens": True},
        )
