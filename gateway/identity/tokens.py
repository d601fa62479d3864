"""Enrolment tokens: who has one may add a device of the user whom it names, as often as it says.

The text is `wg_`, the token's id, `_`, and a secret of 256 bits. The id alone is no use; the secret is stored
as its SHA-256, which is enough for a text that nobody can guess. A wrong, unknown, spent or expired one is
refused in the same words, so that trying tells nothing.
"""

from __future__ import annotations

import builtins
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from wardgate.gateway.errors import ExistsError, InvalidError, NotFoundError, RefusedError
from wardgate.gateway.identity.devices import Devices
from wardgate.gateway.identity.holdings import existing_device, title
from wardgate.gateway.identity.users import Users
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.records import ADDRESSES, TOKENS, USERS, Token, User
from wardgate.gateway.store import MOST_OPERATIONS

MOST_USES: Final = 10_000
MOST_LIFETIME: Final = 366 * 86_400
"""Seconds."""

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LENGTH: Final = 10
_SECRET_BYTES: Final = 32
_ID: Final = re.compile(r"[a-z2-7]{10}")
_TEXT: Final = re.compile(rf"wg_(?P<id>{_ID.pattern})_(?P<secret>[A-Za-z0-9_-]{{43}})")
_NO_DIGEST: Final = "0" * 64
_SWEPT: Final = MOST_OPERATIONS // 3
"""Tokens that a transaction removes, each with a line in the audit log."""


@dataclass(frozen=True, slots=True)
class TokenText:
    """A token's two parts."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"TokenText({self.id})"

    def __str__(self) -> str:
        return f"wg_{self.id}_{self.secret}"

    @classmethod
    def parse(cls, text: str) -> TokenText:
        """The parts of a token's text; RefusedError, as for a wrong one."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise refused()
        return cls(found["id"], found["secret"])

    @property
    def digest(self) -> str:
        """What is stored of the secret."""
        return hashlib.sha256(self.secret.encode("ascii")).hexdigest()


def refused() -> RefusedError:
    """What everybody is told whose token does not admit."""
    return RefusedError(
        "enrol device", "", "the token is not valid, or was used, or has expired", "ask for another token"
    )


class Tokens:
    """The tokens of a ledger."""

    def __init__(self, ledger: Ledger, users: Users, devices: Devices) -> None:
        self._ledger = ledger
        self._users = users
        self._devices = devices

    async def issue(
        self,
        actor: str,
        user: str,
        *,
        uses: int = 1,
        lifetime_s: int,
        groups: Sequence[str] = (),
        addresses: Sequence[str] = (),
        replaces: str | None = None,
    ) -> tuple[Token, str]:
        """A new token for devices of `user`, and its text, which is kept nowhere.

        `groups`: what the user is made a member of when it is used. `addresses`: what the device gets, for a
        token of one use; nobody else is kept from them until then. `replaces`: the device that gets another
        key instead, as `Devices.find` knows it. InvalidError, NotFoundError, ExistsError where an address is
        taken, RefusedError for a user who is locked.
        """
        _check_bounds("uses", uses, MOST_USES)
        _check_bounds("lifetime", lifetime_s, MOST_LIFETIME)
        if uses > 1 and (addresses or replaces):
            what = "addresses go" if addresses else "a key goes"
            raise InvalidError("issue token", "", f"{what} to one device, but uses are {uses}", "set one use")
        if addresses and replaces:
            raise InvalidError(
                "issue token", "", "a device whose key is replaced keeps its addresses", "leave addresses out"
            )
        memberships = self._users.check_groups(groups)
        wanted = self._devices.check_addresses(addresses)

        async def work(change: Change) -> tuple[Token, str]:
            owner = await self._users.ensure(change, user)
            if owner.locked:
                raise RefusedError("issue token", user, "the user is locked", "unlock the user")
            # So that who removes the user meanwhile, without having seen this token, decides anew.
            change.put(USERS, owner, user)
            for address in wanted:
                if await change.get(ADDRESSES, address) is not None:
                    raise ExistsError("issue token", address, "a device has this address", "choose another")
            replaced = await self._replaced(change, user, replaces)
            text = _new_text()
            token = Token(
                text.id, text.digest, user, memberships, wanted, replaced, uses, change.at + lifetime_s,
                change.at, change.actor,
            )  # fmt: skip
            if await change.get(TOKENS, token.id) is not None:
                raise RuntimeError("a random token id came twice")
            change.put(TOKENS, token, token.id)
            change.tell("issued token", token.id, **_described(token))
            return token, str(text)

        return await self._ledger.run(actor, work, told_once=True)

    async def _replaced(self, change: Change, user: str, replaces: str | None) -> str | None:
        """The id of the device whose key a new token replaces."""
        if replaces is None:
            return None
        device = await existing_device(change, replaces)
        if device.user != user:
            raise InvalidError(
                "issue token", title(device), f"it is not a device of {user}", f"issue it for {device.user}"
            )
        return device.id

    async def spend(self, change: Change, text: TokenText) -> tuple[Token, User]:
        """Use a token once, in the change that does what it permits; the token as it was, and its user.

        RefusedError where it does not admit, or the user is locked.
        """
        token = await change.get(TOKENS, text.id)
        right = hmac.compare_digest(text.digest, token.digest if token else _NO_DIGEST)
        if token is None or not right or token.uses < 1 or change.at >= token.expires:
            raise refused()
        user = await self._users.ensure(change, token.user)
        if user.locked:
            raise RefusedError("enrol device", token.user, "the user is locked", "ask who runs the gateway")
        if token.uses > 1:
            change.put(TOKENS, replace(token, uses=token.uses - 1), token.id)
        else:
            change.delete(TOKENS, token.id)
        return token, user

    async def revoke(self, actor: str, token: str) -> Token:
        """Make the token of this id useless; the token that it was. NotFoundError."""

        async def work(change: Change) -> Token:
            found = await change.get(TOKENS, token) if _ID.fullmatch(token) else None
            if found is None:
                raise NotFoundError(
                    "revoke token",
                    repr(token[:80]),
                    "there is none of this id: it was used, revoked or has expired",
                    "`wardgate gateway tokens list` shows all",
                )
            change.delete(TOKENS, found.id)
            change.tell("revoked token", found.id, user=found.user)
            return found

        return await self._ledger.run(actor, work)

    async def list(self) -> builtins.list[Token]:
        """All tokens that are not spent, also those that have expired and were not swept; oldest first."""
        return sorted(await self._ledger.records(TOKENS), key=lambda token: (token.created, token.id))

    async def sweep(self, actor: str) -> int:
        """Remove what has expired; how many."""

        async def work(change: Change) -> int:
            expired = [one for one in await change.records(TOKENS) if change.at >= one.expires][:_SWEPT]
            for token in expired:
                change.delete(TOKENS, token.id)
                change.tell("removed expired token", token.id, user=token.user)
            return len(expired)

        count = 0
        while found := await self._ledger.run(actor, work):
            count += found
        return count


def _new_text() -> TokenText:
    number = "".join(secrets.choice(_LETTERS) for _ in range(_ID_LENGTH))
    return TokenText(number, secrets.token_urlsafe(_SECRET_BYTES))


def _check_bounds(what: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise InvalidError("issue token", f"{what} {value}", f"it is not 1 to {most}", "")


def _described(token: Token) -> dict[str, str]:
    """A token for the audit log."""
    details = {"user": token.user, "uses": str(token.uses), "expires": str(token.expires)}
    if token.groups:
        details["groups"] = " ".join(token.groups)
    if token.addresses:
        details["addresses"] = " ".join(token.addresses)
    if token.replaces:
        details["replaces"] = token.replaces
    return details
