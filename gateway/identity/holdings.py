"""How a device lies in the store: its record, and what it alone may have, each under a key of its own.

That a name, a public key or a tunnel address is one device's is a condition of the transaction that gives it
away, so that it holds whichever node does that.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Final, Protocol, TypeVar

from wardgate.gateway.errors import ExistsError, InvalidError, NotFoundError
from wardgate.gateway.identity.names import check_device, check_user
from wardgate.gateway.identity.pools import tunnel_address
from wardgate.gateway.ledger import Change
from wardgate.gateway.records import (
    ADDRESSES,
    DEVICE_NAMES,
    DEVICES,
    POSED,
    PUBLIC_KEYS,
    SESSIONS,
    USERS,
    Device,
    Holder,
    Kind,
    Record,
    User,
)

T = TypeVar("T", bound=Record)

OPERATIONS: Final = 8
"""Entries that `erase` changes at most, with a line in the audit log."""

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_ID: Final = re.compile(r"[a-z2-7]{12}")
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{43}=")


def new_id() -> str:
    """An id for a device."""
    return "".join(secrets.choice(_LETTERS) for _ in range(12))


class Reader(Protocol):
    """A ledger, or a change of one."""

    async def get(self, kind: Kind[T], *names: str) -> T | None:
        """A record; None: there is none."""


def title(device: Device) -> str:
    """What people call it: `USER/NAME`."""
    return f"{device.user}/{device.name}"


async def existing_user(reader: Reader, name: str) -> User:
    """The user's record; NotFoundError, InvalidError for what is no name."""
    user = await reader.get(USERS, check_user(name))
    if user is None:
        raise NotFoundError(
            "find user",
            name,
            "the gateway has none of this name",
            "`wardgate gateway users list` shows all, and `users add` makes one",
        )
    return user


async def existing_device(reader: Reader, text: str) -> Device:
    """The device whose id, `USER/NAME`, public key or tunnel address `text` is; NotFoundError."""
    device = await reader.get(DEVICES, number) if (number := await _id_of(reader, text)) else None
    if device is None:
        raise NotFoundError(
            "find device",
            repr(text[:80]),
            "there is none",
            "give its id, USER/NAME, tunnel address or public key; `wardgate gateway devices list` shows all",
        )
    return device


async def _id_of(reader: Reader, text: str) -> str:
    """The id of the device that `text` may mean, empty for none."""
    if _ID.fullmatch(text):
        return text
    user, slash, name = text.partition("/")
    try:
        if _KEY.fullmatch(text):
            holder = await reader.get(PUBLIC_KEYS, text)
        elif slash:
            holder = await reader.get(DEVICE_NAMES, check_user(user), check_device(name))
        else:
            holder = await reader.get(ADDRESSES, str(tunnel_address(text)))
    except InvalidError:
        return ""
    return holder.device if holder else ""


async def enter(change: Change, device: Device) -> None:
    """Write a new device of a user who has a record; ExistsError where another has something of it."""
    user = await existing_user(change, device.user)
    # So that who removes the user meanwhile, without having seen this device, decides anew.
    change.put(USERS, user, user.name)
    await claim_name(change, device)
    await claim_key(change, device)
    for address in device.addresses:
        await _claim(change, ADDRESSES, (address,), device, "address", address)
    if await change.get(DEVICES, device.id) is not None:
        raise RuntimeError("a random device id came twice")
    change.put(DEVICES, device, device.id)


async def claim_name(change: Change, device: Device) -> None:
    """Give the device its name; ExistsError where another of the user's has it."""
    await _claim(change, DEVICE_NAMES, (device.user, device.name), device, "name", title(device))


async def claim_key(change: Change, device: Device) -> None:
    """Give the device its public key; ExistsError where another has it. It does not say which: who enrols a
    device is not told of others'."""
    await _claim(change, PUBLIC_KEYS, (device.public_key,), device, "public key", device.public_key)


async def _claim(
    change: Change, kind: Kind[Holder], names: Iterable[str], device: Device, what: str, shown: str
) -> None:
    holder = await change.get(kind, *names)
    if holder is not None and holder.device != device.id:
        raise ExistsError("add device", shown, f"another device has this {what}", "choose another")
    change.put(kind, Holder(device.id), *names)


def erase(change: Change, device: Device) -> None:
    """Remove a device that this change has read, with its session and all that it has."""
    change.delete(DEVICES, device.id)
    change.delete(SESSIONS, device.id)
    change.delete(POSED, device.id)
    change.delete(PUBLIC_KEYS, device.public_key)
    for address in device.addresses:
        change.delete(ADDRESSES, address)
    change.delete(DEVICE_NAMES, device.user, device.name)
    change.tell("removed device", title(device), id=device.id, addresses=" ".join(device.addresses))


def end_session(change: Change, device: str) -> None:
    """Remove the session of the device with this id, if it has one."""
    change.delete(SESSIONS, device)
