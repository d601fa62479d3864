"""The second factor: set-up, logins, and what an administrator can do about both.

Whether a code is right, that it is spent, and that a wrong one counts is one change of the ledger, and
changes take turns: so neither parallel guesses nor a replay, nor a restart in between, gets one try more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from wardgate.gateway.challenges import lockout as lockouts
from wardgate.gateway.challenges import recovery
from wardgate.gateway.challenges.errors import LockedError
from wardgate.gateway.challenges.methods import Method, Setup
from wardgate.gateway.challenges.proof import Proof
from wardgate.gateway.challenges.sealing import Sealer, credential_context
from wardgate.gateway.challenges.settings import ChallengeSettings
from wardgate.gateway.challenges.state import DeviceState, MethodState, UserState
from wardgate.gateway.errors import NotFoundError, RefusedError
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.records import CREDENTIALS, LOCKOUTS, RECOVERY, Credential, Lockout

_DECOY: Final = "nobody"


class Challenges:
    """See the module. `methods`: those that users may have; one at least."""

    def __init__(
        self, ledger: Ledger, sealer: Sealer, methods: Iterable[Method], settings: ChallengeSettings
    ) -> None:
        by_name = {method.name: method for method in methods}
        if not by_name or recovery.METHOD in by_name:
            raise ValueError(f"methods: one at least, and none is called {recovery.METHOD}")
        self.methods = tuple(by_name.values())
        self._by_name = by_name
        self._ledger = ledger
        self._sealer = sealer
        self._settings = settings
        # What an answer is held against where there is nothing: so that it takes as long.
        self._decoys = {
            name: sealer.seal(method.begin(_DECOY).secret, credential_context(_DECOY, name))
            for name, method in by_name.items()
        }

    async def methods_of(self, user: str) -> tuple[Method, ...]:
        """The methods that the user has confirmed and may log in with; without recovery codes."""
        found = await self._ledger.records(CREDENTIALS, user)
        return tuple(
            self._by_name[one.method] for one in found if one.confirmed and one.method in self._by_name
        )

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
                failures = pending.failures + 1
                if failures < self._settings.failures:
                    change.put(CREDENTIALS, replace(pending, failures=failures), user, method)
                else:
                    change.delete(CREDENTIALS, user, method)
                    change.tell("gave up set-up", user, method=method, wrong_codes=str(failures))
                return None
            sealed = self._sealer.seal(accepted.secret, credential_context(user, method))
            confirmed = replace(pending, sealed=sealed, confirmed=True, used=accepted.used)
            change.put(CREDENTIALS, confirmed, user, method)
            codes = recovery.make(self._settings.recovery_codes)
            change.put(RECOVERY, recovery.recorded(codes, user, change.at, self._sealer), user)
            change.tell("confirmed set-up", user, method=method)
            return codes

        codes = await self._ledger.run(f"user:{user}", work)
        if codes is None:
            raise RefusedError(
                "confirm", method, "the code is wrong", "enter the code that is shown now, or begin anew"
            )
        return codes

    async def verify(self, user: str, method: str, code: str, *, device: str) -> Proof:
        """Log a user in: `code` is an answer of the method, or of `recovery`; `device` the device's id.

        RefusedError, the same whether the code is wrong or spent or the user has no such method. LockedError
        where too many were wrong before; then it was not looked at.
        """

        async def work(change: Change) -> Proof | LockedError | None:
            failed = await change.get(LOCKOUTS, user)
            until = lockouts.locked_until(failed, device, change.at, self._settings) if failed else 0
            if until:
                return LockedError(user, until)
            if method == recovery.METHOD:
                accepted = await self._spend_recovery(change, user, code, device)
            else:
                accepted = await self._spend(change, user, method, code)
            if accepted:
                if failed is not None:
                    _store(change, user, lockouts.without(failed, device, change.at))
                return Proof(user, method, change.at)
            counted = lockouts.after_failure(failed, user, device, change.at, self._settings)
            change.put(LOCKOUTS, counted, user)
            known = method in self._by_name or method == recovery.METHOD
            change.tell("refused login", user, device=device, method=method if known else "unknown")
            _tell_locks(change, failed, counted, device)
            return None

        # What it says is said after it is stored: what `work` raises is not.
        found = await self._ledger.run(f"device:{device}", work)
        if isinstance(found, LockedError):
            raise found
        if found is None:
            raise RefusedError(
                "log in",
                user,
                "the code is wrong or was used before",
                "enter the code that is shown now; each works once",
            )
        return found

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

    async def _spend(self, change: Change, user: str, method: str, code: str) -> bool:
        """Whether the code is right, and if so, that it is spent."""
        known = method in self._by_name
        name = method if known else next(iter(self._by_name))
        found = await change.get(CREDENTIALS, user, name)
        if found is not None and found.confirmed and known:
            sealed, context, used = found.sealed, credential_context(user, name), found.used
        else:
            found, used = None, 0
            sealed, context = self._decoys[name], credential_context(_DECOY, name)
        secret = self._sealer.unseal(sealed, context)
        accepted = self._by_name[name].verify(secret, code, used, change.at)
        if found is None or accepted is None:
            return False
        if accepted.secret != secret:
            found = replace(found, sealed=self._sealer.seal(accepted.secret, context))
        change.put(CREDENTIALS, replace(found, used=accepted.used), user, name)
        return True

    async def _spend_recovery(self, change: Change, user: str, code: str, device: str) -> bool:
        found = await change.get(RECOVERY, user) or recovery.recorded((), user, 0, self._sealer)
        left = recovery.without(found, code, self._sealer)
        if left is None:
            return False
        change.put(RECOVERY, left, user)
        change.tell("used recovery code", user, device=device, left=str(len(left.digests)))
        return True

    async def _check_first(self, change: Change, user: str, operation: str) -> None:
        """RefusedError where the user has a confirmed method."""
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

    def _plugin(self, method: str) -> Method:
        plugin = self._by_name.get(method)
        if plugin is None:
            raise NotFoundError(
                "set up", "second factor", "there is no such method", "use " + " or ".join(self._by_name)
            )
        return plugin

    def _label(self, method: str) -> str:
        return self._by_name[method].label if method in self._by_name else method


async def forget_device(change: Change, user: str, device: str) -> None:
    """As part of a change that removes a user's device: its failed logins count no more."""
    failed = await change.get(LOCKOUTS, user)
    if failed is not None and any(one.device == device for one in failed.devices):
        _store(change, user, lockouts.without(failed, device, change.at))


def _store(change: Change, user: str, lockout: Lockout | None) -> None:
    if lockout is None:
        change.delete(LOCKOUTS, user)
    else:
        change.put(LOCKOUTS, lockout, user)


def _tell_locks(change: Change, before: Lockout | None, after: Lockout, device: str) -> None:
    """Have the audit log say what is locked from now on."""
    for one in after.devices:
        if one.device == device and one.until > change.at:
            change.tell("locked logins", after.user, device=device, until=_time(one.until))
    if after.until > max(before.until if before else 0, change.at):
        change.tell("locked logins", after.user, device="all", until=_time(after.until))


def _time(until: int) -> str:
    if until == lockouts.FOREVER:
        return "an administrator unlocks them"
    return datetime.fromtimestamp(until, UTC).isoformat().replace("+00:00", "Z")
