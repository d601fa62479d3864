"""Second factors and enrolment, counted for Prometheus as they are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wardgate.gateway.challenges import Challenge, Challenges, LockedError, Named, Proof, Setup, UserState
from wardgate.gateway.errors import GatewayError, RefusedError
from wardgate.gateway.identity import Enrolled, Enrolment
from wardgate.gateway.metrics import Counters


class CountedChallenges:
    """See challenges.Challenges: what others ask of it."""

    def __init__(self, challenges: Challenges, counters: Counters) -> None:
        self.methods: tuple[Named, ...] = challenges.methods
        self.posing = challenges.posing
        self._challenges = challenges
        self._counters = counters

    async def pose(self, user: str, method: str, *, device: str) -> Challenge:
        """See Challenges."""
        return await self._challenges.pose(user, method, device=device)

    async def verify(self, user: str, method: str, code: str, *, device: str, ticket: str = "") -> Proof:
        """See Challenges."""
        with self._counted(method):
            proof = await self._challenges.verify(user, method, code, device=device, ticket=ticket)
        self._counters.login(method, "ok")
        return proof

    async def renew_recovery(
        self, user: str, method: str, code: str, *, device: str, ticket: str = ""
    ) -> tuple[str, ...]:
        """See Challenges. It is no login, but guesses made here are guesses."""
        with self._counted(method):
            return await self._challenges.renew_recovery(user, method, code, device=device, ticket=ticket)

    @contextmanager
    def _counted(self, method: str) -> Iterator[None]:
        try:
            yield
        except LockedError:
            self._counters.login(method, "refused")
            raise
        except RefusedError:
            self._counters.login(method, "wrong")
            raise

    async def methods_of(self, user: str) -> tuple[Named, ...]:
        """See Challenges."""
        return await self._challenges.methods_of(user)

    async def recovery_left(self, user: str) -> int | None:
        """See Challenges."""
        return await self._challenges.recovery_left(user)

    async def begin_setup(self, actor: str, user: str, method: str) -> Setup:
        """See Challenges."""
        return await self._challenges.begin_setup(actor, user, method)

    async def confirm_setup(self, user: str, method: str, code: str) -> tuple[str, ...]:
        """See Challenges."""
        return await self._challenges.confirm_setup(user, method, code)

    async def state(self, user: str, device: str | None = None) -> UserState:
        """See Challenges."""
        return await self._challenges.state(user, device)

    async def reset(self, actor: str, user: str) -> None:
        """See Challenges."""
        await self._challenges.reset(actor, user)

    async def unlock(self, actor: str, user: str) -> bool:
        """See Challenges."""
        return await self._challenges.unlock(actor, user)


class CountedEnrolment:
    """See identity.Enrolment."""

    def __init__(self, enrolment: Enrolment, counters: Counters) -> None:
        self._enrolment = enrolment
        self._counters = counters

    async def enrol(self, token_text: str, device_name: str, public_key: str) -> Enrolled:
        """See Enrolment."""
        try:
            enrolled = await self._enrolment.enrol(token_text, device_name, public_key)
        except GatewayError:
            self._counters.enrolment("refused")
            raise
        self._counters.enrolment("ok")
        return enrolled
