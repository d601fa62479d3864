"""One device of a gate that comes, changes or goes, without a look at all the others.

The order of stores is that of devices.DeviceTable, and so is what a crash may leave: whoever calls holds the
gate's lock, on a gate that was mended, and leaves word that it changes.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from wardgate.runtime.addresses import Address, DeviceError, address_of, number_of
from wardgate.runtime.devices import Device, DeviceSpec, DeviceTable, Generation
from wardgate.runtime.errors import BpfError
from wardgate.runtime.layout.codes import FREE_SLOT
from wardgate.runtime.layout.records import DEVICE
from wardgate.runtime.owners import owner_word, subject_of_owner

_SUBJECT: Final = DEVICE.offsets["subject"]


Changing = Callable[[], AbstractContextManager[None]]
"""Leaves word that what is done in its context has to be mended until it is done; see pins.GatePins."""


def put(
    table: DeviceTable, spec: DeviceSpec, generations: Sequence[Generation], changing: Changing
) -> Device:
    """Add the device of `spec`, which passed `check_devices`, or give that of the same user that has one of
    its addresses these. DeviceError, with nothing changed, where another device has one of them, or there is
    no room."""
    numbers = list(map(number_of, spec.addresses))
    owner = _staying(table, spec.user, numbers)
    had = set(table.owners.addresses(owner)) if owner else set()
    slot = 0 if owner else _free_slot(table, spec.user)
    with changing():
        if slot:
            owner = _fill(table, slot, spec.user, generations)
        # Addresses that go are hidden last: what fails before that can be undone as a whole.
        added = {number: owner for number in numbers if number not in had}
        try:
            table.owners.show(added)
        except BpfError as error:
            table.owners.hide(added)
            if slot:
                _empty(table, slot)
            if error.errno != errno.E2BIG:
                raise
            raise DeviceError(
                "place addresses",
                spec.user,
                "the gate has no room for more of them outside the policies' indexes",
                "detach it and create it with more device slots, or let the policy's tunnel begin with them",
            ) from None
        table.owners.hide(had.difference(numbers))
    return table.device_of(owner, numbers)


def remove(table: DeviceTable, address: str | Address, changing: Changing) -> Device:
    """Remove the device that has this address, with all of them: from the next packet on there is none. What
    it was; DeviceError where there is none."""
    device = table.find(address)
    with changing():
        table.owners.hide([number_of(one) for one in device.addresses])
        _empty(table, device.slot)
    return device


def _staying(table: DeviceTable, user: str, numbers: Sequence[int]) -> int:
    """The owner that has one of these addresses, 0 where none has."""
    owners = {number: owner for number in numbers if (owner := table.owners.get(number))}
    for number, owner in owners.items():
        other = table.subjects.name(subject_of_owner(owner))
        if other != user:
            raise DeviceError(
                "put device",
                str(address_of(number)),
                f"it is of a device of {other}",
                "remove that one first",
            )
    if len(set(owners.values())) > 1:
        raise DeviceError(
            "put device",
            " ".join(str(address_of(number)) for number in owners),
            f"they are of {len(set(owners.values()))} devices of {user}",
            "remove all of these devices but one first",
        )
    return next(iter(owners.values()), 0)


def _free_slot(table: DeviceTable, user: str) -> int:
    with table.shared.raw("devices").view(writable=False) as view:
        slot = view.first(_SUBJECT, 4, 0, start=FREE_SLOT + 1)
        if slot is None:
            raise DeviceError(
                "put device",
                user,
                f"the gate has room for {view.slots - 1} devices, and has them",
                "detach it and create it with more device slots",
            )
        return slot


def _fill(table: DeviceTable, slot: int, user: str, generations: Sequence[Generation]) -> int:
    """Give a new device of `user` a slot, which no address leads to yet; its owner."""
    with table.shared.raw("devices").view() as view:
        subject = table.subjects.assign({user}, lambda: set(view.column(_SUBJECT, 4)))[user]
        for generation in generations:
            generation.set_class(subject, user)
        # An empty slot is all zeros; subject and flags become visible together.
        view.store(slot, _SUBJECT, 8, subject)
    return owner_word(slot, subject)


def _empty(table: DeviceTable, slot: int) -> None:
    with table.shared.raw("devices").view() as view:
        table.empty({slot}, view)
