"""Users: who they are, which groups they are in besides those of the policy, and that they are locked."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

from wardgate.gateway.errors import ExistsError, NotFoundError
from wardgate.gateway.identity.holdings import OPERATIONS, end_session, erase, existing_user
from wardgate.gateway.identity.names import check_groups, check_user
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.records import (
    CREDENTIALS,
    DEVICE_NAMES,
    DEVICES,
    LOCKOUTS,
    RECOVERY,
    TOKENS,
    USERS,
    User,
)
from wardgate.gateway.store import MOST_OPERATIONS

_BATCH: Final = MOST_OPERATIONS - 24
"""Operations of one step of something long: room is left for the user, and for the audit log's lines."""


class Users:
    """The users of a ledger. `known_groups`: those of the policy in force, as `group:NAME`.

    Whom only the policy names has no record, and needs none until the first token or device.
    """

    def __init__(self, ledger: Ledger, known_groups: Callable[[], Collection[str]]) -> None:
        self._ledger = ledger
        self._known_groups = known_groups

    async def get(self, name: str) -> User:
        """A user; NotFoundError."""
        return await existing_user(self._ledger, name)

    async def list(self) -> builtins.list[User]:
        """All users with a record, by name."""
        return sorted(await self._ledger.records(USERS), key=lambda user: user.name)

    async def add(self, actor: str, name: str, groups: Collection[str] = ()) -> User:
        """Make a user; ExistsError, InvalidError."""
        check_user(name)
        memberships = self.check_groups(groups)

        async def work(change: Change) -> User:
            if await change.get(USERS, name) is not None:
                raise ExistsError("add user", name, "there is one of this name", "choose another name")
            return await _make(change, name, memberships)

        return await self._ledger.run(actor, work)

    async def ensure(self, change: Change, name: str) -> User:
        """The user's record, made by this change where there is none; InvalidError."""
        check_user(name)
        return await change.get(USERS, name) or await _make(change, name, ())

    def check_groups(self, groups: Collection[str]) -> tuple[str, ...]:
        """`groups` in order, if the policy in force knows each; InvalidError."""
        return check_groups(groups, self._known_groups())

    async def join(self, actor: str, name: str, group: str) -> User:
        """Make the user a member; InvalidError where the policy in force has no such group."""
        self.check_groups([group])

        async def work(change: Change) -> User:
            return self.enlist(change, await existing_user(change, name), (group,))

        return await self._ledger.run(actor, work)

    def enlist(self, change: Change, user: User, groups: Collection[str]) -> User:
        """`user` with memberships added in this change; InvalidError."""
        added = self.check_groups(set(groups) - set(user.groups))
        if not added:
            return user
        joined = replace(user, groups=tuple(sorted({*user.groups, *added})))
        change.put(USERS, joined, joined.name)
        change.tell("joined groups", user.name, groups=" ".join(added))
        return joined

    async def leave(self, actor: str, name: str, group: str) -> User:
        """End a membership, also of a group that the policy no longer has; NotFoundError where there is
        none that ends here: those of the policy's text end there."""

        async def work(change: Change) -> User:
            user = await existing_user(change, name)
            if group not in user.groups:
                raise NotFoundError(
                    "leave group",
                    repr(group[:80]),
                    f"{name} was not made a member of it here",
                    "what the policy's text says of its groups is changed there",
                )
            left = replace(user, groups=tuple(one for one in user.groups if one != group))
            change.put(USERS, left, name)
            change.tell("left group", name, group=group)
            return left

        return await self._ledger.run(actor, work)

    async def lock(self, actor: str, name: str) -> User:
        """Lock a user, and end the sessions of all devices. No device is enrolled for one who is locked."""
        ended: set[str] = set()

        async def work(change: Change) -> tuple[User, Sequence[str]]:
            user = await existing_user(change, name)
            if not user.locked and not ended:
                user = replace(user, locked=True)
                change.put(USERS, user, name)
                change.tell("locked user", name)
            batch = [one for one in await _devices_of(change, name) if one not in ended][:_BATCH]
            for device in batch:
                end_session(change, device)
            return user, batch

        while True:
            user, batch = await self._ledger.run(actor, work)
            ended.update(batch)
            if len(batch) < _BATCH:
                return user

    async def unlock(self, actor: str, name: str) -> User:
        """Unlock a user; devices that are locked by themselves stay so."""

        async def work(change: Change) -> User:
            user = await existing_user(change, name)
            if user.locked:
                user = replace(user, locked=False)
                change.put(USERS, user, name)
                change.tell("unlocked user", name)
            return user

        return await self._ledger.run(actor, work)

    async def remove(self, actor: str, name: str) -> None:
        """Remove a user and all of the user's: devices with their sessions first, then tokens, at last what
        proves who the user is, with the user.

        Where that is more than one transaction, the user is locked by the first one; where it is interrupted,
        doing it again goes on. A user whom the policy names is then one without devices.
        """

        async def work(change: Change) -> bool:
            return await _remove_some(change, await existing_user(change, name))

        while not await self._ledger.run(actor, work):
            pass


async def _make(change: Change, name: str, groups: tuple[str, ...]) -> User:
    user = User(name, groups, False, change.at)
    # Another node may have written one while this name was removed: it is not this user's.
    await _delete_proofs(change, name)
    change.put(USERS, user, name)
    change.tell("added user", name, groups=" ".join(groups))
    return user


async def _devices_of(change: Change, name: str) -> Sequence[str]:
    """The ids of a user's devices."""
    return [holder.device for holder in await change.records(DEVICE_NAMES, name)]


async def _delete_proofs(change: Change, name: str) -> int:
    """Delete what proves who a user is; how many operations that takes."""
    credentials = await change.names(CREDENTIALS, name)
    for names in credentials:
        change.delete(CREDENTIALS, *names)
    change.delete(RECOVERY, name)
    change.delete(LOCKOUTS, name)
    return len(credentials) + 2


async def _remove_some(change: Change, user: User) -> bool:
    """Remove what fits into a transaction; whether that was all."""
    room = _BATCH
    for number in await _devices_of(change, user.name):
        room -= OPERATIONS
        if room < 0:
            return _lock_for_removal(change, user)
        device = await change.get(DEVICES, number)
        if device is not None:
            erase(change, device)
    for token in await change.records(TOKENS):
        if token.user == user.name:
            room -= 1
            if room < 0:
                return _lock_for_removal(change, user)
            change.delete(TOKENS, token.id)
    await _delete_proofs(change, user.name)
    change.delete(USERS, user.name)
    change.tell("removed user", user.name)
    return True


def _lock_for_removal(change: Change, user: User) -> bool:
    if not user.locked:
        change.put(USERS, replace(user, locked=True), user.name)
        change.tell("locked user", user.name, because="the user is being removed")
    return False
