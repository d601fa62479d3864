"""Enrolment: a machine shows a token and its public key, and is a device."""

from __future__ import annotations

from dataclasses import dataclass

from wardgate.gateway.errors import InvalidError, RefusedError
from wardgate.gateway.identity.devices import Devices, Keyed
from wardgate.gateway.identity.holdings import title
from wardgate.gateway.identity.keys import check_public_key
from wardgate.gateway.identity.names import check_device
from wardgate.gateway.identity.tokens import Tokens, TokenText
from wardgate.gateway.identity.users import Users
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.records import DEVICES, Device, Token, User


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A device that was enrolled. `preshared_key`: base64, in clear, shown to the device and to nobody else;
    None where it has none."""

    device: Device
    user: User
    preshared_key: str | None

    def __repr__(self) -> str:
        return f"Enrolled({title(self.device)})"


class Enrolment:
    """Enrols devices of a ledger. `preshared`: whether each new one gets a preshared key too."""

    def __init__(
        self, ledger: Ledger, users: Users, devices: Devices, tokens: Tokens, *, preshared: bool = True
    ) -> None:
        self._ledger = ledger
        self._users = users
        self._devices = devices
        self._tokens = tokens
        self._preshared = preshared

    async def enrol(self, token_text: str, device_name: str, public_key: str) -> Enrolled:
        """Add the device that the token permits, or replace the key of the one that it names, which keeps its
        own name and addresses, and whose session ends.

        The token is spent by the same transaction, and by nothing that fails. InvalidError for a name or key
        that is none; RefusedError for a token that does not admit, for who or what is locked, and where the
        policy has changed since so that it cannot be done; ExistsError where the name, key or address is
        another's. Nothing but the form of name and key is told without a good token.
        """
        check_device(device_name)
        check_public_key(public_key)
        text = TokenText.parse(token_text)

        async def work(change: Change) -> Enrolled:
            spent, user = await self._tokens.spend(change, text)
            user = self._enlist(change, user, spent)
            if spent.replaces is None:
                keyed = await self._add(change, spent, device_name, public_key)
                action = "enrolled device"
            else:
                keyed = await self._replace(change, spent.replaces, public_key)
                action = "enrolled key"
            device = keyed.device
            change.tell(
                action,
                title(device),
                id=device.id,
                addresses=" ".join(device.addresses),
                public_key=device.public_key,
            )
            return Enrolled(device, user, keyed.preshared_key)

        return await self._ledger.run(f"token:{text.id}", work, told_once=True)

    def _enlist(self, change: Change, user: User, token: Token) -> User:
        """Whoever issued the token said which groups: without one of them a rule that denies may be missing,
        so it is all or nothing."""
        try:
            return self._users.enlist(change, user, token.groups)
        except InvalidError as error:
            raise RefusedError(
                "enrol device",
                error.target,
                "the token makes its user a member of a group that the policy in force does not have",
                "ask for another token",
            ) from None

    async def _add(self, change: Change, token: Token, name: str, public_key: str) -> Keyed:
        try:
            return await self._devices.enter(
                change,
                token.user,
                name,
                public_key,
                addresses=token.addresses,
                preshared=self._preshared,
            )
        except InvalidError as error:
            raise RefusedError(
                "enrol device", error.target, error.cause, "ask for another token, with other addresses"
            ) from None

    async def _replace(self, change: Change, number: str, public_key: str) -> Keyed:
        device = await change.get(DEVICES, number)
        if device is None:
            raise RefusedError(
                "enrol device",
                "",
                "the device whose key the token replaces was removed",
                "ask for a token for a new device",
            )
        if device.locked:
            raise RefusedError(
                "enrol device", title(device), "the device is locked", "ask who runs the gateway"
            )
        return await self._devices.rekey(change, device, public_key)
