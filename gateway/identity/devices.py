"""Devices: a user's machines, each a WireGuard peer with a key and tunnel addresses of its own."""

from __future__ import annotations

import base64
import builtins
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from wardgate.gateway.challenges import forget_device
from wardgate.gateway.errors import ExistsError, InvalidError, RefusedError
from wardgate.gateway.identity import holdings
from wardgate.gateway.identity.allocation import Allocation
from wardgate.gateway.identity.holdings import claim_key, claim_name, existing_device, title
from wardgate.gateway.identity.keys import check_public_key, new_preshared_key
from wardgate.gateway.identity.names import check_device, check_user
from wardgate.gateway.identity.pools import Pools, tunnel_address
from wardgate.gateway.identity.users import Users
from wardgate.gateway.ledger import Change, Ledger
from wardgate.gateway.records import ADDRESSES, DEVICE_NAMES, DEVICES, PUBLIC_KEYS, Device

Seal = Callable[[bytes, str], str]
"""Encrypts a secret for the store, bound to a context; see challenges.sealing."""

MOST_KEEPALIVE: Final = 65_535
"""Seconds; wg(8), persistent-keepalive."""


def preshared_context(device: str) -> str:
    """The context that the preshared key of the device with this id is sealed with."""
    return f"preshared key of device {device}"


@dataclass(frozen=True, slots=True)
class Keyed:
    """A device with a new key. `preshared_key`: base64, in clear, or None where it has none."""

    device: Device
    preshared_key: str | None

    def __repr__(self) -> str:
        return f"Keyed({title(self.device)})"


class Devices:
    """The devices of a ledger, with addresses from `pools`.

    `own_keys`: the public keys of the gateway's nodes, which no device may have. `seal`: for preshared keys.
    """

    def __init__(
        self, ledger: Ledger, users: Users, pools: Pools, *, own_keys: Collection[str], seal: Seal
    ) -> None:
        self._ledger = ledger
        self._users = users
        self._allocation = Allocation(pools)
        self._own_keys = own_keys
        self._seal = seal
        self.most: int | None = None
        """How many devices there may be, as many as the gate has room for; None: any number. One more, and
        the gate would take no change of any."""

    @property
    def pools(self) -> Pools:
        """Where addresses come from. Devices keep what they have when it is set anew."""
        return self._allocation.pools

    @pools.setter
    def pools(self, pools: Pools) -> None:
        self._allocation = Allocation(pools)

    async def find(self, text: str) -> Device:
        """The device of this id, `USER/NAME`, public key or tunnel address; NotFoundError."""
        return await existing_device(self._ledger, text)

    async def at_address(self, address: str) -> Device | None:
        """The device that has this tunnel address."""
        try:
            number = str(tunnel_address(address))
        except InvalidError:
            return None
        holder = await self._ledger.get(ADDRESSES, number)
        return await self._ledger.get(DEVICES, holder.device) if holder else None

    async def list(self, user: str | None = None) -> builtins.list[Device]:
        """All devices, or a user's, by user and name."""
        if user is None:
            found = await self._ledger.records(DEVICES)
        else:
            holders = await self._ledger.records(DEVICE_NAMES, check_user(user))
            each = [await self._ledger.get(DEVICES, holder.device) for holder in holders]
            found = [device for device in each if device is not None]
        return sorted(found, key=lambda device: (device.user, device.name))

    async def add(
        self,
        actor: str,
        user: str,
        name: str,
        public_key: str,
        *,
        addresses: Sequence[str] = (),
        preshared: bool = True,
        keepalive: int | None = None,
    ) -> Device:
        """Add a device of a user, who gets a record where there is none.

        `addresses`: at most one of each version of IP, and no others are given; none: the lowest free one of
        each version that the tunnel has prefixes of. `keepalive`: seconds. InvalidError, ExistsError, and
        RefusedError where no address is free.
        """
        check_device(name)
        check_public_key(public_key)
        wanted = self.check_addresses(addresses)
        check_keepalive(keepalive)

        async def work(change: Change) -> Device:
            await self._users.ensure(change, user)
            keyed = await self.enter(
                change, user, name, public_key, addresses=wanted, preshared=preshared, keepalive=keepalive
            )
            device = keyed.device
            change.tell("added device", title(device), **_described(device))
            return device

        return await self._ledger.run(actor, work)

    async def enter(
        self,
        change: Change,
        user: str,
        name: str,
        public_key: str,
        *,
        addresses: Sequence[str],
        preshared: bool,
        keepalive: int | None = None,
    ) -> Keyed:
        """Add a device in a change, whose audit line is the caller's. What is given must have been checked;
        `addresses` are checked again, since the pools may have changed."""
        self._refuse_own(public_key)
        if self.most is not None and await change.count(DEVICES) >= self.most:
            raise RefusedError(
                "add device",
                f"{user}/{name}",
                "the gate has room for no more devices",
                "remove one, or set a larger `device_slots`, then `wardgate gateway stop` and start it again",
            )
        wanted = self.check_addresses(addresses)
        if not wanted:
            # One and the same for both, also where the pools are set anew meanwhile.
            allocation = self._allocation
            if not allocation.pools.versions:
                raise RefusedError(
                    "assign address", "", "the policy has no tunnel prefixes", "name them under `tunnel`"
                )
            wanted = tuple([await allocation.choose(change, one) for one in allocation.pools.versions])
        number = holdings.new_id()
        sealed, secret = self._preshared(number) if preshared else (None, None)
        device = Device(number, user, name, public_key, wanted, sealed, keepalive, False, change.at)
        await holdings.enter(change, device)
        return Keyed(device, secret)

    async def rename(self, actor: str, device: str, name: str) -> Device:
        """Give a device another name; InvalidError, ExistsError."""
        check_device(name)

        async def work(change: Change) -> Device:
            found = await existing_device(change, device)
            if found.name == name:
                return found
            renamed = replace(found, name=name)
            await claim_name(change, renamed)
            change.delete(DEVICE_NAMES, found.user, found.name)
            change.put(DEVICES, renamed, renamed.id)
            change.tell("renamed device", title(found), id=found.id, name=name)
            return renamed

        return await self._ledger.run(actor, work)

    async def replace_key(self, actor: str, device: str, public_key: str) -> Device:
        """Give a device another key, and another preshared key where it has one; its session ends.
        InvalidError, ExistsError."""
        check_public_key(public_key)

        async def work(change: Change) -> Device:
            found = await existing_device(change, device)
            keyed = await self.rekey(change, found, public_key)
            change.tell("replaced key", title(found), id=found.id, public_key=public_key)
            return keyed.device

        return await self._ledger.run(actor, work)

    async def rekey(self, change: Change, device: Device, public_key: str) -> Keyed:
        """The same in a change, whose audit line is the caller's; the key must have been checked."""
        self._refuse_own(public_key)
        sealed, secret = self._preshared(device.id) if device.preshared_key is not None else (None, None)
        rekeyed = replace(device, public_key=public_key, preshared_key=sealed)
        await claim_key(change, rekeyed)
        if device.public_key != public_key:
            change.delete(PUBLIC_KEYS, device.public_key)
        holdings.end_session(change, device.id)
        change.put(DEVICES, rekeyed, rekeyed.id)
        return Keyed(rekeyed, secret)

    async def lock(self, actor: str, device: str) -> Device:
        """Lock a device, and end its session."""
        return await self._set_locked(actor, device, True)

    async def unlock(self, actor: str, device: str) -> Device:
        """Unlock a device; it needs a new login."""
        return await self._set_locked(actor, device, False)

    async def _set_locked(self, actor: str, device: str, locked: bool) -> Device:
        async def work(change: Change) -> Device:
            found = await existing_device(change, device)
            if found.locked == locked:
                return found
            changed = replace(found, locked=locked)
            change.put(DEVICES, changed, changed.id)
            if locked:
                holdings.end_session(change, changed.id)
            change.tell("locked device" if locked else "unlocked device", title(found), id=found.id)
            return changed

        return await self._ledger.run(actor, work)

    async def remove(self, actor: str, device: str) -> Device:
        """Remove a device with its session; the device that it was. Its addresses are free at once."""

        async def work(change: Change) -> Device:
            found = await existing_device(change, device)
            holdings.erase(change, found)
            await forget_device(change, found.user, found.id)
            return found

        removed = await self._ledger.run(actor, work)
        self._allocation.free(removed.addresses)
        return removed

    def check_addresses(self, addresses: Sequence[str]) -> tuple[str, ...]:
        """`addresses` in their usual form, IPv4 first, if a device may have them; InvalidError."""
        found = [self.pools.check(tunnel_address(address)) for address in addresses]
        versions = [address.version for address in found]
        if len(set(versions)) < len(versions):
            raise InvalidError(
                "assign addresses",
                " ".join(map(str, found)),
                "a device has one address of each version of IP at most",
                "add another device",
            )
        return tuple(str(address) for address in sorted(found, key=lambda address: address.version))

    def _refuse_own(self, public_key: str) -> None:
        if public_key in self._own_keys:
            raise ExistsError(
                "add device",
                public_key,
                "it is the gateway's own key",
                "make a pair on the device: `wg genkey`",
            )

    def _preshared(self, device: str) -> tuple[str, str]:
        """A new preshared key for a device: sealed, and in clear as base64."""
        secret = new_preshared_key()
        return self._seal(secret, preshared_context(device)), base64.b64encode(secret).decode()


def check_keepalive(seconds: int | None) -> int | None:
    """`seconds`, if WireGuard takes it as a keepalive, or None; InvalidError."""
    if seconds is not None and not 1 <= seconds <= MOST_KEEPALIVE:
        raise InvalidError(
            "set keepalive",
            str(seconds),
            f"it is not 1 to {MOST_KEEPALIVE} seconds",
            "25 suits most networks",
        )
    return seconds


def _described(device: Device) -> dict[str, str]:
    """A device for the audit log."""
    return {"id": device.id, "addresses": " ".join(device.addresses), "public_key": device.public_key}
