"""Devices of a gate: their addresses, slots and users, and how they are changed under traffic.

Programs go from an address to a slot and from the slot to the user and the session. So what they
can reach is complete at any moment: a slot is filled before an address leads to it, and emptied after
none does. A slot that no address leads to and that is not empty is what a crash left, see `repair`.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Protocol

from wardgate.runtime.codec import RecordValue
from wardgate.runtime.errors import WardgateError
from wardgate.runtime.layout.codes import DEVICE_LOCKED, FREE_SLOT
from wardgate.runtime.layout.maps import FLOWS
from wardgate.runtime.layout.records import DEVICE, LIMIT
from wardgate.runtime.maps import MapView
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.subjects import Subjects, check_user

Address = IPv4Address | IPv6Address

_MAPPED: Final = bytes(10) + b"\xff\xff"
_OFFSETS: Final = DEVICE.offsets
_MEMBARRIER: Final = {"x86_64": 324, "aarch64": 283, "riscv64": 283, "loongarch64": 283, "s390x": 356}
_MEMBARRIER_GLOBAL: Final = 1
_LONGEST_RUN: Final = 0.1


class DeviceError(WardgateError):
    """A device that the gate cannot have, or an address that is none of its devices'."""


def parse_address(value: str | Address) -> Address:
    """`value` as an address; DeviceError. An IPv4 address in IPv6 form is refused: it is another one."""
    if isinstance(value, str):
        try:
            value = ipaddress.ip_address(value)
        except ValueError:
            raise DeviceError("read address", repr(value), "it is not an IP address") from None
    if isinstance(value, IPv6Address) and value.ipv4_mapped:
        raise DeviceError(
            "read address", str(value), "it is an IPv4 address in IPv6 form", f"write {value.ipv4_mapped}"
        )
    if isinstance(value, IPv6Address) and value.scope_id:
        raise DeviceError("read address", str(value), "it has a scope", "give it without the %")
    return value


def address_key(address: Address) -> bytes:
    """The address as maps have it, see records.ADDRESS."""
    return address.packed if isinstance(address, IPv6Address) else _MAPPED + address.packed


def address_from_key(key: bytes) -> Address:
    """The address of a key."""
    return IPv4Address(key[12:]) if key.startswith(_MAPPED) else IPv6Address(key)


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
    """What devices need of a loaded policy."""

    def set_slot(self, address: Address, slot: int) -> None: ...

    def set_slots(self, slots: Mapping[Address, int]) -> None: ...

    def set_class(self, subject: int, user: str) -> None: ...


def check_devices(specs: Sequence[DeviceSpec], tunnel: Iterable[str], slots: int) -> None:
    """DeviceError unless the devices can be a gate's: known addresses of the tunnel, each once."""
    networks = [ipaddress.ip_network(prefix) for prefix in tunnel]
    owners: dict[Address, str] = {}
    if len(specs) >= slots:
        raise DeviceError(
            "set devices",
            "",
            f"{len(specs)} devices, the gate has room for {slots - 1}",
            "detach it and create it with more device slots",
        )
    for spec in specs:
        check_user(spec.user)
        if not spec.addresses:
            raise DeviceError("set devices", spec.user, "a device without an address", "give it one")
        for address in spec.addresses:
            parse_address(address)
            if address in owners:
                raise DeviceError(
                    "set devices",
                    str(address),
                    f"it is given twice, for {owners[address]} and {spec.user}",
                    "give each address to one device",
                )
            owners[address] = spec.user
            if not any(address in network for network in networks):
                raise DeviceError(
                    "set devices",
                    f"{address} of {spec.user}",
                    f"it is outside the policy's tunnel ({', '.join(map(str, networks)) or 'none'})",
                    "add its prefix to `tunnel` in the policy, or correct the address",
                )


class DeviceTable:
    """The devices in the shared maps. Whoever changes them holds the gate's lock."""

    def __init__(self, shared: SharedMaps) -> None:
        self._shared = shared
        self._addresses = shared.typed("addresses")
        self._subjects = Subjects(shared.typed("subjects"))

    def slots(self) -> dict[Address, int]:
        """Every known address with its slot."""
        found = self._addresses.raw.items()
        return {address_from_key(key): int.from_bytes(slot, "little") for key, slot in found}

    def slot_of(self, address: str | Address) -> int:
        """The slot of an address; DeviceError where no device has it."""
        parsed = parse_address(address)
        slot = self._addresses.get(address_key(parsed))
        if not slot:
            raise DeviceError(
                "look up device", str(parsed), "no device has this address", "add it to the devices file"
            )
        return int(slot)

    def find(self, address: str | Address) -> Device:
        """The device that has this address, all its addresses included; DeviceError."""
        slot = self.slot_of(address)
        mark = slot.to_bytes(4, "little")
        keys = [key for key, value in self._addresses.raw.items() if value == mark]
        record = self._shared.typed("devices")[slot]
        addresses = tuple(sorted(map(address_from_key, keys), key=_order))
        return Device(slot, self._subjects.name(record["subject"]), addresses, record)

    def list(self) -> list[Device]:
        """All devices, by address."""
        owned: dict[int, list[Address]] = {}
        for address, slot in self.slots().items():
            owned.setdefault(slot, []).append(address)
        names = self._subjects.names()
        codec = self._shared.typed("devices").value_codec
        found = []
        with self._shared.raw("devices").view(writable=False) as view:
            for slot, addresses in owned.items():
                record = codec.unpack(view.read(slot))
                ordered = tuple(sorted(addresses, key=_order))
                found.append(Device(slot, names.get(record["subject"], ""), ordered, record))
        return sorted(found, key=lambda device: _order(device.addresses[0]))

    def apply(self, specs: Sequence[DeviceSpec], generations: Collection[Generation]) -> None:
        """Make the devices those of `specs`, which passed `check_devices`, after a `repair`.

        A device of the same user with at least one address in common stays: its slot and its session
        are not touched. All others are removed before new ones are added.
        """
        current = {device.slot: device for device in self.list()}
        stays = _match(specs, current)
        kept = {slot: set(spec.addresses) for spec, slot in stays.items()}
        with self._shared.raw("devices").view() as view:
            unwanted = {
                address: slot
                for slot, device in current.items()
                for address in device.addresses
                if address not in kept.get(slot, ())
            }
            self._hide(unwanted, generations)
            self._empty(set(current) - set(kept), view)
            used = {int(current[slot].record["subject"]) for slot in kept}
            known_users = self._subjects.ids()
            ids = self._subjects.assign({spec.user for spec in specs}, used)
            for user in ids.keys() - known_users.keys():
                for generation in generations:
                    generation.set_class(ids[user], user)
            free = self._free_slots(set(kept))
            for spec in specs:
                slot = stays.get(spec)
                if slot is None:
                    slot = next(free)
                    self._fill(slot, ids[spec.user], view)
                    known: Collection[Address] = ()
                else:
                    known = current[slot].addresses
                self._show((a for a in spec.addresses if a not in known), slot, generations)

    def repair(self, generations: Collection[Generation]) -> None:
        """Finish what a crash left half done, and bring the generations' tables up to the shared maps.

        An index never leads further than `addresses` does: entries go from it first and come last.
        """
        addresses = self.slots()
        filled = self._filled_slots()
        self._hide({a: slot for a, slot in addresses.items() if slot not in filled}, generations)
        lost = filled - set(addresses.values())
        if lost:
            with self._shared.raw("devices").view() as view:
                self._empty(lost, view)
        for generation in generations:
            self.fill(generation)

    def fill(self, generation: Generation) -> None:
        """Tell a generation every user's class and every address's slot."""
        for user, subject in self._subjects.ids().items():
            generation.set_class(subject, user)
        generation.set_slots(self.slots())

    def _hide(self, addresses: Mapping[Address, int], generations: Collection[Generation]) -> None:
        for address in addresses:
            for generation in generations:
                generation.set_slot(address, FREE_SLOT)
            self._addresses.discard(address_key(address))

    def _show(self, addresses: Iterable[Address], slot: int, generations: Collection[Generation]) -> None:
        for address in addresses:
            self._addresses[address_key(address)] = slot
            for generation in generations:
                generation.set_slot(address, slot)

    def _fill(self, slot: int, subject: int, view: MapView) -> None:
        # An empty slot is all zeros; subject and flags become visible together.
        view.store(slot, _OFFSETS["subject"], 8, subject)

    def _empty(self, slots: Collection[int], view: MapView) -> None:
        """Empty slots that no address leads to any more."""
        if not slots:
            return
        for slot in slots:
            view.store(slot, _OFFSETS["deadline"], 8, 0)
        # Programs that found a slot before its addresses went may still be at work on it, and could
        # give it a new flow or a time of activity: the slot is empty only after them.
        wait_for_programs()
        if self._shared.has(FLOWS.name):
            self._forget_flows(slots)
        limits = self._shared.typed("limits")
        for slot in slots:
            limits[slot] = {field.name: 0 for field in LIMIT.fields}
            for name in ("idle_limit", "last_active"):
                view.store(slot, _OFFSETS[name], 8, 0)
            view.store(slot, _OFFSETS["subject"], 8, 0)

    def _forget_flows(self, slots: Collection[int]) -> None:
        flows = self._shared.raw(FLOWS.name)
        marks = {slot.to_bytes(4, "little") for slot in slots}
        for key in [key for key, _ in flows.items() if key[:4] in marks]:
            flows.delete(key)

    def _filled_slots(self) -> set[int]:
        # The subject is the first thing that a slot gets and the last that it loses.
        with self._shared.raw("devices").view(writable=False) as view:
            subjects = view.column(_OFFSETS["subject"], 4)
        return {slot for slot, subject in enumerate(subjects) if subject and slot != FREE_SLOT}

    def _free_slots(self, kept: Collection[int]) -> Iterator[int]:
        taken = self._filled_slots() | set(kept)
        return (slot for slot in range(1, self._shared.slots) if slot not in taken)


class Devices(Mapping[Address | str, RecordValue]):
    """The devices of a gate by any of their addresses; a value is the device's record
    (records.DEVICE). KeyError for an address that no device has."""

    def __init__(self, locked: Callable[[], AbstractContextManager[SharedMaps]]) -> None:
        self._locked = locked

    def __getitem__(self, address: Address | str) -> RecordValue:
        try:
            return self.find(address).record
        except DeviceError as error:
            raise KeyError(str(error)) from None

    def __iter__(self) -> Iterator[Address]:
        with self._locked() as shared:
            return iter(sorted(DeviceTable(shared).slots(), key=_order))

    def __len__(self) -> int:
        with self._locked() as shared:
            return len(DeviceTable(shared).slots())

    def find(self, address: Address | str) -> Device:
        """The device that has this address; DeviceError."""
        with self._locked() as shared:
            return DeviceTable(shared).find(address)

    def list(self) -> list[Device]:
        """All devices, by address."""
        with self._locked() as shared:
            return DeviceTable(shared).list()


def wait_for_programs() -> None:
    """Return when every program run that was under way at the call has ended.

    Programs run in RCU read sections, and membarrier(2) waits for those (synchronize_rcu() in
    kernel/sched/membarrier.c), but on kernels with nohz_full; there this waits far longer than any run.
    """
    number = _MEMBARRIER.get(os.uname().machine)
    if number is None or ctypes.CDLL(None).syscall(number, _MEMBARRIER_GLOBAL, 0, 0) != 0:
        time.sleep(_LONGEST_RUN)


def _match(specs: Sequence[DeviceSpec], current: Mapping[int, Device]) -> dict[DeviceSpec, int]:
    """Which devices stay, each with its slot."""
    owners = {address: device for device in current.values() for address in device.addresses}
    found: dict[DeviceSpec, int] = {}
    taken: set[int] = set()
    for spec in specs:
        for address in spec.addresses:
            device = owners.get(address)
            if device and device.user == spec.user and device.slot not in taken:
                found[spec] = device.slot
                taken.add(device.slot)
                break
    return found


def _order(address: Address) -> tuple[int, int]:
    return address.version, int(address)
