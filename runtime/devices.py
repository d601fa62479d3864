"""Devices of a gate: their addresses, slots and users, and how they are changed under traffic.

Programs go from an address to its owner, the slot and the user, and from the slot to the session. So what
they can reach is complete at any moment: a slot is filled before an address leads to it, and emptied after
none does. A slot that no address leads to and that is not empty is what a crash left, see `repair`.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from wardgate.runtime.addresses import (
    Address,
    DeviceError,
    address_of,
    is_ipv6,
    number_of,
    number_range,
    parse_address,
)
from wardgate.runtime.codec import RecordValue, record_codec
from wardgate.runtime.layout.codes import DEVICE_LOCKED, FREE_SLOT
from wardgate.runtime.layout.maps import FLOWS, LIMITS
from wardgate.runtime.layout.records import DEVICE, FLOW_KEY, FLOWS_A_DEVICE
from wardgate.runtime.owners import Owners, owner_word, slot_of_owner, subject_of_owner
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.subjects import Subjects, check_user
from wardgate.runtime.views import MapView

_OFFSETS: Final = DEVICE.offsets
_RECORD: Final = record_codec(DEVICE)
_MEMBARRIER: Final = {"x86_64": 324, "aarch64": 283, "riscv64": 283, "loongarch64": 283, "s390x": 356}
_MEMBARRIER_GLOBAL: Final = 1
_LONGEST_RUN: Final = 0.1
_FLOWS_A_READING: Final = 16
"""Flows that are read in the time that one takes to be deleted, or not to be there."""


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A device as it shall be: its tunnel addresses, at least one, and its user."""

    addresses: tuple[Address, ...]
    user: str

    @classmethod
    def of(cls, user: str, *addresses: str | Address) -> DeviceSpec:
        """From text; DeviceError, SubjectError."""
        return cls(tuple(parse_address(address) for address in addresses), check_user(user))


@dataclass(frozen=True, slots=True)
class Device:
    """A device as it is; `record` has its session, times in ns of CLOCK_BOOTTIME."""

    slot: int
    user: str
    addresses: tuple[Address, ...]
    record: RecordValue

    @property
    def locked(self) -> bool:
        """Whether what needs a session is refused whatever the session."""
        return bool(self.record["flags"] & DEVICE_LOCKED)


class Generation(Protocol):
    """What devices need of a loaded policy, see generation.OpenTables."""

    def set_classes(self, users: Mapping[int, str]) -> int: ...

    def set_class(self, subject: int, user: str) -> None: ...


def check_devices(specs: Sequence[DeviceSpec], tunnel: Iterable[str], slots: int) -> None:
    """DeviceError unless the devices can be a gate's: known addresses of the tunnel, each once."""
    if len(specs) >= slots:
        raise DeviceError(
            "set devices",
            "",
            f"{len(specs)} devices, the gate has room for {slots - 1}",
            "detach it and create it with more device slots",
        )
    for user in {spec.user for spec in specs}:
        check_user(user)
    prefixes = tuple(tunnel)
    ranges = [number_range(prefix) for prefix in prefixes]
    owners: dict[int, DeviceSpec] = {}
    for spec in specs:
        if not spec.addresses:
            raise DeviceError("set devices", spec.user, "a device without an address", "give it one")
        for address in spec.addresses:
            number = number_of(parse_address(address))
            if number in owners:
                raise DeviceError(
                    "set devices",
                    str(address),
                    f"it is given twice, for {owners[number].user} and {spec.user}",
                    "give each address to one device",
                )
            owners[number] = spec
            for one in ranges:
                if number in one:
                    break
            else:
                raise DeviceError(
                    "set devices",
                    f"{address} of {spec.user}",
                    f"it is outside the policy's tunnel ({', '.join(prefixes) or 'none'})",
                    "add its prefix to `tunnel` in the policy, or correct the address",
                )


class DeviceTable:
    """The devices in the shared maps. Whoever changes them holds the gate's lock."""

    def __init__(self, shared: SharedMaps, subjects: Subjects, owners: Owners) -> None:
        self.shared = shared
        self.subjects = subjects
        self.owners = owners

    def slot_of(self, address: str | Address) -> int:
        """The slot of an address; DeviceError where no device has it."""
        return slot_of_owner(self._owner_of(parse_address(address)))

    def find(self, address: str | Address) -> Device:
        """The device that has this address, all its addresses included; DeviceError."""
        owner = self._owner_of(parse_address(address))
        return self.device_of(owner, self.owners.addresses(owner))

    def at(self, address: str | Address) -> Device:
        """The same with this address alone, which takes no longer for more devices; DeviceError."""
        parsed = parse_address(address)
        return self.device_of(self._owner_of(parsed), [number_of(parsed)])

    def device_of(self, owner: int, numbers: Iterable[int]) -> Device:
        """The device that an owner is, whose addresses have these numbers."""
        slot = slot_of_owner(owner)
        addresses = tuple(map(address_of, sorted(numbers, key=_order)))
        record = self.shared.typed("devices")[slot]
        return Device(slot, self.subjects.name(subject_of_owner(owner)), addresses, record)

    def _owner_of(self, address: Address) -> int:
        owner = self.owners.get(number_of(address))
        if not owner:
            raise DeviceError(
                "look up device", str(address), "no device has this address", "add it to the devices file"
            )
        return owner

    def addresses(self) -> list[Address]:
        """Every known address, in order."""
        return list(map(address_of, sorted(self.owners.known(), key=_order)))

    def list(self) -> list[Device]:
        """All devices, by address."""
        owned: dict[int, list[int]] = {}
        known = self.owners.known()
        for number in sorted(known, key=_order):
            owned.setdefault(known[number], []).append(number)
        names = self.subjects.names()
        found = []
        with self.shared.raw("devices").view(writable=False) as view:
            for owner, numbers in owned.items():
                slot, user = slot_of_owner(owner), names.get(subject_of_owner(owner), "")
                record = _RECORD.unpack(view.read(slot))
                found.append(Device(slot, user, tuple(map(address_of, numbers)), record))
        return found

    def fields(self, *names: str) -> Iterator[tuple[int, ...]]:
        """These fields of the records of all devices, in no order."""
        sizes = {field.name: field.size for field in DEVICE.fields}
        with self.shared.raw("devices").view(writable=False) as view:
            columns = [view.column(_OFFSETS[name], sizes[name]) for name in ("subject", *names)]
        return (row[1:] for row in zip(*columns, strict=True) if row[0])

    def repair(self, generations: Collection[Generation]) -> dict[int, int]:
        """Finish what a crash left half done, in all generations; every known address and its owner."""
        known = self.owners.known()
        with self.shared.raw("devices").view() as view:
            filled = _filled_slots(view)
            astray = [
                number
                for number, owner in known.items()
                if filled.get(slot_of_owner(owner)) != subject_of_owner(owner)
            ]
            self.owners.hide(astray)
            for number in astray:
                del known[number]
            self.owners.settle(known)
            self.empty(filled.keys() - set(map(slot_of_owner, known.values())), view)
        self.set_classes(generations)
        return known

    def settle(self) -> None:
        """Give all generations the addresses that the one in force knows."""
        self.owners.settle(self.owners.known())

    def set_classes(self, generations: Iterable[Generation]) -> None:
        """Give every user the class that each generation's policy has for it."""
        names = self.subjects.names()
        for generation in generations:
            generation.set_classes(names)

    def apply(
        self, specs: Sequence[DeviceSpec], known: Mapping[int, int], generations: Iterable[Generation]
    ) -> None:
        """Make the devices those of `specs`, which passed `check_devices`; `known` is what `repair` gave.

        A device of the same user with at least one address in common stays: its slot and its session
        are not touched. All others are removed before new ones are added. DeviceError, with nothing
        changed, where generations have no place for the addresses.
        """
        numbers = [[number_of(address) for address in spec.addresses] for spec in specs]
        self.owners.check_room(itertools.chain.from_iterable(numbers))
        names = self.subjects.names()
        owners = _match(specs, numbers, known, names)
        staying = {number: owner for place, owner in owners.items() for number in numbers[place]}
        hidden = [number for number, owner in known.items() if staying.get(number) != owner]
        self.owners.hide(hidden)
        with self.shared.raw("devices").view() as view:
            kept = set(owners.values())
            self.empty({slot_of_owner(owner) for owner in set(known.values()) - kept}, view)
            ids = self.subjects.assign(
                {spec.user for spec in specs}, lambda: {subject_of_owner(owner) for owner in kept}
            )
            added = {number: user for user, number in ids.items() if names.get(number) != user}
            for generation in generations:
                generation.set_classes(added)
            taken = _filled_slots(view)
            free = (slot for slot in range(1, self.shared.slots) if slot not in taken)
            new = [place for place in range(len(specs)) if place not in owners]
            fresh = dict(zip(free, (ids[specs[place].user] for place in new), strict=False))
            # An empty slot is all zeros; subject and flags become visible together.
            view.store_each(_OFFSETS["subject"], 8, fresh)
            owners.update(zip(new, itertools.starmap(owner_word, fresh.items()), strict=True))
        shown = {number: owner for place, owner in owners.items() for number in numbers[place]}
        for number in known.keys() - set(hidden):
            del shown[number]
        self.owners.show(shown)

    def empty(self, slots: Collection[int], view: MapView) -> None:
        """Empty slots that no address leads to any more."""
        if not slots:
            return
        zeros = dict.fromkeys(slots, 0)
        view.store_each(_OFFSETS["deadline"], 8, zeros)
        # Programs that found a slot before its addresses went may still be at work on it, and could
        # give it a new flow or a time of activity: the slot is empty only after them.
        wait_for_programs()
        if self.shared.has(FLOWS.name):
            self._forget_flows(slots)
        limits = self.shared.raw(LIMITS.name)
        for slot in slots:
            limits.update(slot.to_bytes(4, "little"), bytes(LIMITS.value_size))
        for name in ("idle_limit", "last_active", "login", "subject"):
            view.store_each(_OFFSETS[name], 8, zeros)

    def _forget_flows(self, slots: Collection[int]) -> None:
        flows = self.shared.raw(FLOWS.name)
        if len(slots) * FLOWS_A_DEVICE <= flows.info.max_entries // _FLOWS_A_READING:
            for slot, place in itertools.product(slots, range(FLOWS_A_DEVICE)):
                flows.delete(FLOW_KEY.pack({"slot": slot, "place": place}))
            return
        marks = {slot.to_bytes(4, "little") for slot in slots}
        for key in [key for key, _ in flows.items() if key[:4] in marks]:
            flows.delete(key)


class Devices(Mapping[Address | str, RecordValue]):
    """The devices of a gate by any of their addresses; a value is the device's record
    (records.DEVICE). KeyError for an address that no device has."""

    def __init__(self, locked: Callable[[], AbstractContextManager[DeviceTable]]) -> None:
        self._locked = locked

    def __getitem__(self, address: Address | str) -> RecordValue:
        try:
            return self.find(address).record
        except DeviceError as error:
            raise KeyError(str(error)) from None

    def __iter__(self) -> Iterator[Address]:
        with self._locked() as table:
            return iter(table.addresses())

    def __len__(self) -> int:
        with self._locked() as table:
            return len(table.addresses())

    def find(self, address: Address | str) -> Device:
        """The device that has this address; DeviceError."""
        with self._locked() as table:
            return table.find(address)

    def slot_of(self, address: Address | str) -> int:
        """The slot of the device that has this address; DeviceError."""
        with self._locked() as table:
            return table.slot_of(address)

    def list(self) -> list[Device]:
        """All devices, by address."""
        with self._locked() as table:
            return table.list()


def wait_for_programs() -> None:
    """Return when every program run that was under way at the call has ended.

    Programs run in RCU read sections, and membarrier(2) waits for those (synchronize_rcu() in
    kernel/sched/membarrier.c), but on kernels with nohz_full; there this waits far longer than any run.
    """
    number = _MEMBARRIER.get(os.uname().machine)
    if number is None or ctypes.CDLL(None).syscall(number, _MEMBARRIER_GLOBAL, 0, 0) != 0:
        time.sleep(_LONGEST_RUN)


def _filled_slots(view: MapView) -> dict[int, int]:
    """The slots in use, each with its subject, which is the first thing that a slot gets and the last that
    it loses."""
    subjects = view.column(_OFFSETS["subject"], 4)
    return {slot: subject for slot, subject in enumerate(subjects) if subject and slot != FREE_SLOT}


def _match(
    specs: Sequence[DeviceSpec],
    numbers: Sequence[Sequence[int]],
    known: Mapping[int, int],
    names: Mapping[int, str],
) -> dict[int, int]:
    """Which devices stay: place in `specs` to owner."""
    found: dict[int, int] = {}
    taken: set[int] = set()
    for place, spec in enumerate(specs):
        for number in numbers[place]:
            owner = known.get(number)
            if owner and owner not in taken and names.get(subject_of_owner(owner)) == spec.user:
                found[place] = owner
                taken.add(owner)
                break
    return found


def _order(number: int) -> tuple[bool, int]:
    """IPv4 before IPv6."""
    return is_ipv6(number), number
