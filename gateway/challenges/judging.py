"""What becomes of an answer within one change: it is right and spent, or wrong and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from wardgate.gateway.challenges import failures, posed, recovery
from wardgate.gateway.challenges.errors import LockedError
from wardgate.gateway.challenges.methods import Accepted, Method, PosingMethod
from wardgate.gateway.challenges.posed import Place
from wardgate.gateway.challenges.sealing import Sealer, credential_context
from wardgate.gateway.challenges.settings import ChallengeSettings
from wardgate.gateway.errors import RefusedError
from wardgate.gateway.ledger import Change
from wardgate.gateway.records import CREDENTIALS, RECOVERY, Credential

_DECOY: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Try:
    """An answer that somebody gave: where, and with which ticket."""

    place: Place
    answer: str = field(repr=False)
    ticket: str = field(repr=False)


class Judge:
    """Judges answers of `methods`, by name, and recovery codes."""

    def __init__(
        self, sealer: Sealer, methods: Mapping[str, Method | PosingMethod], settings: ChallengeSettings
    ) -> None:
        self._sealer = sealer
        self._settings = settings
        self._posing = {name: one for name, one in methods.items() if isinstance(one, PosingMethod)}
        # Each with what an answer is held against where there is nothing: so that it takes as long.
        self._plain = {
            name: (one, sealer.seal(one.begin(_DECOY).secret, credential_context(_DECOY, name)))
            for name, one in methods.items()
            if not isinstance(one, PosingMethod)
        }

    async def judge(self, change: Change, tried: Try) -> LockedError | bool:
        """Whether the answer is right. An error where none is looked at now; RefusedError where no question
        waits for it."""
        place = tried.place
        failed = await failures.admitted(change, place.user, place.device, self._settings)
        if isinstance(failed, LockedError):
            return failed
        if await self._spend(change, tried):
            if failed is not None:
                failures.forgive(change, failed, place.user, place.device)
            return True
        counted = failures.count(change, failed, place.user, place.device, self._settings)
        known = place.method in (*self._plain, *self._posing, recovery.METHOD)
        failures.tell(change, failed, counted, place.device, place.method if known else "unknown")
        return False

    async def question(self, change: Change, tried: Try) -> bytes:
        """What the answer is judged by, which it ends; RefusedError where nothing waits for it."""
        state = await posed.take(change, tried.place, tried.ticket, self._sealer)
        if state is None:
            raise RefusedError(
                "log in",
                tried.place.user,
                "this login was begun too long ago, or was answered already",
                "begin it anew",
            )
        return state

    async def _spend(self, change: Change, tried: Try) -> bool:
        """Whether the answer is right, and if so, that it is spent."""
        if tried.place.method == recovery.METHOD:
            return await self._spend_recovery(change, tried)
        if tried.place.method in self._posing:
            return await self._spend_posed(change, tried)
        return await self._spend_plain(change, tried)

    async def _spend_plain(self, change: Change, tried: Try) -> bool:
        user, method = tried.place.user, tried.place.method
        name = method if method in self._plain else next(iter(self._plain), None)
        if name is None:
            return False
        plugin, decoy = self._plain[name]
        found = await change.get(CREDENTIALS, user, name)
        if found is not None and found.confirmed and name == method:
            sealed, context, used = found.sealed, credential_context(user, name), found.used
        else:
            found, used = None, 0
            sealed, context = decoy, credential_context(_DECOY, name)
        secret = self._sealer.unseal(sealed, context)
        accepted = plugin.verify(secret, tried.answer, used, change.at)
        if found is None or accepted is None:
            return False
        self._put(change, found, secret, accepted)
        return True

    async def _spend_posed(self, change: Change, tried: Try) -> bool:
        user, method = tried.place.user, tried.place.method
        state = await self.question(change, tried)
        found = await change.get(CREDENTIALS, user, method)
        if found is None or not found.confirmed:
            return False
        secret = self._sealer.unseal(found.sealed, credential_context(user, method))
        accepted = self._posing[method].judge(secret, state, tried.answer, found.used, change.at)
        if accepted is None:
            return False
        self._put(change, found, secret, accepted)
        return True

    async def _spend_recovery(self, change: Change, tried: Try) -> bool:
        user = tried.place.user
        found = await change.get(RECOVERY, user) or recovery.recorded((), user, 0, self._sealer)
        left = recovery.without(found, tried.answer, self._sealer)
        if left is None:
            return False
        change.put(RECOVERY, left, user)
        change.tell("used recovery code", user, device=tried.place.device, left=str(len(left.digests)))
        return True

    def _put(self, change: Change, found: Credential, secret: bytes, accepted: Accepted) -> None:
        if accepted.secret != secret:
            context = credential_context(found.user, found.method)
            found = replace(found, sealed=self._sealer.seal(accepted.secret, context))
        change.put(CREDENTIALS, replace(found, used=accepted.used), found.user, found.method)
