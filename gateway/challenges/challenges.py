"""The second factor: set-up, logins, and what an administrator can do about both.

Whether a code is right, that it is spent, and that a wrong one counts is one change of the ledger, and
changes take turns: so neither parallel guesses nor a replay, nor a restart in between, gets one try more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, TypeVar

from wardgate.gateway.challenges import failures, posed, recovery
from wardgate.gateway.challenges import lockout as lockouts
from wardgate.gateway.challenges.errors import LockedError
from wardgate.gateway.challenges.judging import Judge, Try
from wardgate.gateway.challenges.methods import (
    Challenge,
    Method,
    Named,
    PosingMethod,
    PosingRemoteMethod,
    RemoteMethod,
    Setup,
)
from wardgate.gateway.challenges.posed import Place
from wardgate.gateway.challenges.proof import Proof
from wardgate.gateway.challenges.sealing import Sealer, credential_context
from wardgate.gateway.challenges.settings import ChallengeSettings
from wardgate.gateway.challenges.state import DeviceState, MethodState, UserState
from wardgate.gateway.errors import BusyError, NotFoundError, RefusedError
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.records import CREDENTIALS, LOCKOUTS, RECOVERY, Credential, Lockout

T = TypeVar("T")

PATIENCE_S: Final = 60
"""Seconds that a remote method may take for an answer."""


class Challenges:
    """See the module. `methods`: those that users may set up; `remote`: those that every user has, and where
    there is one, nobody sets another up. One of all at least."""

    def __init__(
        self,
        ledger: Ledger,
        sealer: Sealer,
        methods: Iterable[Method | PosingMethod],
        settings: ChallengeSettings,
        remote: Iterable[RemoteMethod] = (),
    ) -> None:
        self._by_name = {method.name: method for method in methods}
        self._remote = {method.name: method for method in remote}
        every: dict[str, Named] = {**self._by_name, **self._remote}
        if not every or recovery.METHOD in every or len(every) < len(self._by_name) + len(self._remote):
            raise ValueError(f"methods: one at least, of names of their own, none called {recovery.METHOD}")
        self.methods = tuple(self._by_name.values())
        self.posing = frozenset(
            [name for name, method in self._by_name.items() if isinstance(method, PosingMethod)]
            + [name for name, method in self._remote.items() if isinstance(method, PosingRemoteMethod)]
        )
        """The names of methods whose logins begin with `pose`."""
        self._every = every
        self._ledger = ledger
        self._sealer = sealer
        self._settings = settings
        self._judging = Judge(sealer, self._by_name, settings)

    async def methods_of(self, user: str) -> tuple[Named, ...]:
        """The methods that the user may log in with: those that are confirmed, and the remote ones; without
        recovery codes."""
        found = await self._ledger.records(CREDENTIALS, user)
        confirmed = (one.method for one in found if one.confirmed)
        own = (self._by_name[name] for name in confirmed if name in self._by_name)
        return (*own, *self._remote.values())

    async def recovery_left(self, user: str) -> int | None:
        """How many recovery codes the user has; None: none were made."""
        found = await self._ledger.get(RECOVERY, user)
        return None if found is None else len(found.digests)

    async def begin_setup(self, actor: str, user: str, method: str) -> Setup:
        """A new secret for a user without a confirmed method, whoever the caller has made sure it is.

        It replaces one that is not confirmed yet. RefusedError where the user has a confirmed method, even
        one that is not in use now: only `reset` makes room. NotFoundError where there is no such method.
        """
        plugin = self._plugin(method)

        async def work(change: Change) -> Setup:
            await self._check_first(change, user, "set up")
            begun = plugin.begin(user)
            sealed = self._sealer.seal(begun.secret, credential_context(user, method))
            change.put(CREDENTIALS, Credential(user, method, sealed, False, 0, 0, change.at), user, method)
            change.tell("began set-up", user, method=method)
            return Setup(begun.uri, begun.text, change.at + self._settings.setup_lifetime_s)

        return await self._ledger.run(actor, work)

    async def confirm_setup(self, user: str, method: str, code: str) -> tuple[str, ...]:
        """Put a set-up in force by a code of it, which is spent; returns recovery codes, shown this once.

        RefusedError where none was begun, where it expired, where the user has a confirmed method, and where
        the code is wrong: `ChallengeSettings.failures` wrong ones end the set-up.
        """
        plugin = self._plugin(method)

        async def work(change: Change) -> tuple[str, ...] | None:
            await self._check_first(change, user, "confirm")
            pending = await change.get(CREDENTIALS, user, method)
            if pending is None or pending.created + self._settings.setup_lifetime_s <= change.at:
                raise RefusedError("confirm", method, "no set-up is under way", "begin it anew")
            secret = self._sealer.unseal(pending.sealed, credential_context(user, method))
            accepted = plugin.confirm(secret, code, change.at)
            if accepted is None:
                wrong = pending.failures + 1
                if wrong < self._settings.failures:
                    change.put(CREDENTIALS, replace(pending, failures=wrong), user, method)
                else:
                    change.delete(CREDENTIALS, user, method)
                    change.tell("gave up set-up", user, method=method, wrong_codes=str(wrong))
                return None
            sealed = self._sealer.seal(accepted.secret, credential_context(user, method))
            confirmed = replace(pending, sealed=sealed, confirmed=True, used=accepted.used)
            change.put(CREDENTIALS, confirmed, user, method)
            change.tell("confirmed set-up", user, method=method)
            return self._new_codes(change, user)

        codes = await self._ledger.run(f"user:{user}", work, told_once=True)
        if codes is None:
            raise RefusedError(
                "confirm", method, "the code is wrong", "enter the code that is shown now, or begin anew"
            )
        return codes

    async def pose(self, user: str, method: str, *, device: str) -> Challenge:
        """Begin a login by a method of `posing`: what to show to the user. `verify` takes the answer with the
        ticket, from this device, once, within `ChallengeSettings.challenge_lifetime_s`; another call for the
        device ends that.

        LockedError as of `verify`. RefusedError where the user has no such method, or it poses nothing.
        """
        place, ticket = Place(user, method, device), posed.new_ticket()

        async def work(change: Change) -> Challenge:
            failed = await failures.admitted(change, user, device, self._settings)
            if isinstance(failed, LockedError):
                raise failed
            plugin = self._every.get(method)
            found = await change.get(CREDENTIALS, user, method) if method in self._by_name else None
            if isinstance(plugin, PosingRemoteMethod) and method in self._remote:
                question = plugin.pose(user, ticket, change.at)
            elif isinstance(plugin, PosingMethod) and found is not None and found.confirmed:
                secret = self._sealer.unseal(found.sealed, credential_context(user, method))
                question = plugin.pose(secret, ticket, change.at)
            else:
                raise RefusedError("begin login", user, "there is no such method", "use another one")
            expires = change.at + self._settings.challenge_lifetime_s
            posed.put(change, place, ticket, question.state, expires, self._sealer)
            return Challenge(ticket, question.text, question.url, expires)

        return await self._ledger.run(f"device:{device}", work)

    async def verify(self, user: str, method: str, code: str, *, device: str, ticket: str = "") -> Proof:
        """Log a user in: `code` is an answer of the method, or of `recovery`; `device` the device's id;
        `ticket` that of `pose`, for methods that begin with it.

        RefusedError, the same whether the code is wrong or spent or the user has no such method; another
        where no question waits for the answer, which is then not looked at and counts for nothing.
        LockedError where too many were wrong before; then it was not looked at. BusyError where a remote
        method gets no answer.
        """
        tried = Try(Place(user, method, device), code, ticket)
        remote = self._remote.get(method)
        if remote is not None:
            return await self._verify_remote(tried, remote)

        async def work(change: Change) -> Proof | LockedError | None:
            judged = await self._judging.judge(change, tried)
            if isinstance(judged, LockedError):
                return judged
            return Proof(user, method, change.at) if judged else None

        # What it says is said after it is stored: what `work` raises is not.
        return _good(await self._ledger.run(f"device:{device}", work), "log in", user)

    async def renew_recovery(
        self, user: str, method: str, code: str, *, device: str, ticket: str = ""
    ) -> tuple[str, ...]:
        """New recovery codes, shown this once, for a code of a method that the user has set up; the old ones
        are void in the same change. It is a try like a login, and errors are those of `verify`; a recovery
        code is none for this."""
        if method not in self._by_name:
            raise RefusedError(
                "renew recovery codes", user, "it takes a method that was set up here", "use another one"
            )
        tried = Try(Place(user, method, device), code, ticket)

        async def work(change: Change) -> tuple[str, ...] | LockedError | None:
            judged = await self._judging.judge(change, tried)
            if isinstance(judged, LockedError):
                return judged
            if not judged:
                return None
            change.tell("renewed recovery codes", user, device=device, method=method)
            return self._new_codes(change, user)

        return _good(await self._ledger.run(f"device:{device}", work), "renew recovery codes", user)

    async def reset(self, actor: str, user: str) -> None:
        """Forget the user's methods, recovery codes and failed logins, so that they can set up anew.

        NotFoundError where there is nothing to forget.
        """

        async def work(change: Change) -> None:
            names = await self._names(change, user)
            present = [name for name in names if await change.get(CREDENTIALS, user, name)]
            if not present:
                raise NotFoundError("reset second factor", user, "the user has none")
            for name in present:
                change.delete(CREDENTIALS, user, name)
            # Read, so that what another node writes meanwhile does not stay.
            await change.get(RECOVERY, user)
            change.delete(RECOVERY, user)
            await change.get(LOCKOUTS, user)
            change.delete(LOCKOUTS, user)
            change.tell("reset second factor", user, methods=", ".join(present))

        await self._ledger.run(actor, work)

    async def unlock(self, actor: str, user: str) -> bool:
        """Forget the user's failed logins; whether there were any."""

        async def work(change: Change) -> bool:
            failed = await change.get(LOCKOUTS, user)
            if failed is None:
                return False
            change.delete(LOCKOUTS, user)
            change.tell("unlocked logins", user, devices=", ".join(one.device for one in failed.devices))
            return True

        return await self._ledger.run(actor, work)

    async def state(self, user: str, device: str | None = None) -> UserState:
        """What there is to know, for people; with a device's id, `locked_until` is about logins there."""

        async def work(change: Change) -> UserState:
            methods = tuple(
                MethodState(one.method, self._label(one.method), one.confirmed, one.created)
                for one in await change.records(CREDENTIALS, user)
                if one.confirmed or one.created + self._settings.setup_lifetime_s > change.at
            )
            codes = await change.get(RECOVERY, user)
            failed = await change.get(LOCKOUTS, user) or Lockout(user, 0, ())
            devices = tuple(
                DeviceState(
                    one.device,
                    one.count,
                    one.last,
                    lockouts.locked_until(failed, one.device, change.at, self._settings),
                )
                for one in failed.devices
            )
            return UserState(
                user,
                methods,
                len(codes.digests) if codes else 0,
                sum(one.failures for one in devices),
                lockouts.locked_until(failed, device, change.at, self._settings),
                devices,
            )

        return await self._ledger.run("gateway", work)

    async def _verify_remote(self, tried: Try, method: RemoteMethod) -> Proof:
        """In two changes, as the second waits for somebody else. The first counts the try as failed: so tries
        at once count each, and one that a crash cuts off does too."""
        user, device = tried.place.user, tried.place.device

        async def begin(change: Change) -> tuple[Lockout | None, Lockout, bytes, int] | LockedError:
            failed = await failures.admitted(change, user, device, self._settings)
            if isinstance(failed, LockedError):
                return failed
            state = await self._judging.question(change, tried) if method.name in self.posing else b""
            counted = failures.count(change, failed, user, device, self._settings)
            return failed, counted, state, change.at

        begun = await self._ledger.run(f"device:{device}", begin)
        if isinstance(begun, LockedError):
            raise begun
        before, counted, state, at = begun
        try:
            async with asyncio.timeout(PATIENCE_S):
                judged = await method.judge(user, state, tried.answer, at)
        except TimeoutError:
            raise BusyError("log in", user, f"{method.label} does not answer", "try again later") from None

        async def end(change: Change) -> Proof | None:
            if judged is not True:
                failures.tell(change, before, counted, device, method.name)
                return None
            # The try is taken back with all that it has locked, unless others were counted meanwhile.
            failed = await change.get(LOCKOUTS, user)
            failures.forgive(change, before if failed == counted else failed, user, device)
            return Proof(user, method.name, change.at)

        return _good(await self._ledger.run(f"device:{device}", end), "log in", user)

    def _new_codes(self, change: Change, user: str) -> tuple[str, ...]:
        """All that the user has from now on."""
        codes = recovery.make(self._settings.recovery_codes)
        change.put(RECOVERY, recovery.recorded(codes, user, change.at, self._sealer), user)
        return codes

    async def _check_first(self, change: Change, user: str, operation: str) -> None:
        """RefusedError where the user has a method: a confirmed one, or one that all have."""
        if self._remote:
            labels = " or ".join(method.label for method in self._remote.values())
            raise RefusedError(operation, "second factor", "nobody sets one up here", f"log in by {labels}")
        for name in await self._names(change, user):
            found = await change.get(CREDENTIALS, user, name)
            if found is not None and found.confirmed:
                raise RefusedError(
                    operation,
                    "second factor",
                    f"{user} has one already",
                    "an administrator can reset it; then it can be set up anew",
                )

    async def _names(self, change: Change, user: str) -> list[str]:
        """Methods that the user may have: those that there are, and those that there were."""
        stored = [method for _, method in await change.names(CREDENTIALS, user)]
        return sorted({*self._by_name, *stored})

    def _plugin(self, method: str) -> Method | PosingMethod:
        plugin = self._by_name.get(method)
        if plugin is None:
            raise NotFoundError(
                "set up", "second factor", "there is no such method", "use " + " or ".join(self._by_name)
            )
        return plugin

    def _label(self, method: str) -> str:
        return self._every[method].label if method in self._every else method


def _good(found: T | LockedError | None, operation: str, user: str) -> T:
    """What a try came to; LockedError, or RefusedError for None."""
    if isinstance(found, LockedError):
        raise found
    if found is None:
        raise RefusedError(
            operation,
            user,
            "the code is wrong or was used before",
            "enter the code that is shown now; each works once",
        )
    return found
