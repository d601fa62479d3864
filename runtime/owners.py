"""Which device has an address: the places where programs look it up, and how these are kept alike.

A generation has an index for the first addresses of its tunnel, one for each version of IP, or none; what
its indexes do not cover it looks up in the gate's hash. So there is one place in each generation for an
address. Generations whose indexes cover the same addresses share them.

An address is known if the place has it where the *authority*, the generation in force, looks. All other
places follow: an address that comes is put there last, and one that goes is taken from there first, each by
one store or one system call. So a process that is killed in between leaves each address known or unknown,
and `settle` tells the other places which.

Owners are words: a record (records.OWNER) as one integer. Addresses are numbers (see addresses).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wardgate.runtime.addresses import DeviceError, key_of, number_of_key
from wardgate.runtime.layout.records import OWNER
from wardgate.runtime.maps import Map
from wardgate.runtime.views import MapView

_SLOT: Final = (1 << 32) - 1
_WORD: Final = OWNER.size
NOBODY: Final = 0
"""The owner of an address that no device has."""


def owner_word(slot: int, subject: int) -> int:
    """The owner that is `subject`'s device in `slot`."""
    return subject << 32 | slot


def slot_of_owner(owner: int) -> int:
    """The slot of an owner; 0 for NOBODY."""
    return owner & _SLOT


def subject_of_owner(owner: int) -> int:
    """The subject of an owner."""
    return owner >> 32


@dataclass(frozen=True, slots=True)
class Index:
    """An open index: the owners of the addresses in `covers`, in order; `number` is the map's id."""

    covers: range
    number: int
    view: MapView

    def owners(self) -> list[int]:
        """The owner of each address."""
        return self.view.column(0, _WORD)

    def get(self, address: int) -> int:
        """The owner of an address that it covers."""
        return self.view.load(address - self.covers.start, 0, _WORD)

    def set(self, owners: Mapping[int, int]) -> None:
        """Set the owners of addresses that it covers, each in one store."""
        first = self.covers.start
        self.view.store_each(0, _WORD, {address - first: owner for address, owner in owners.items()})


Space = Sequence[Index]
"""The indexes of a generation."""


class Owners:
    """The places of all generations, whose maps it does not own. Whoever changes them holds the gate's lock.

    `others` is the gate's hash, `spaces` are the generations', of which the first is the authority.
    """

    def __init__(self, others: Map, spaces: Sequence[Space]) -> None:
        self._others = others
        self._authority = tuple(spaces[0]) if spaces else ()
        known = {index.number for index in self._authority}
        followers = {index.number: index for space in spaces for index in space if index.number not in known}
        self._followers = tuple(followers.values())
        # Generations that cover the same addresses ask the hash for the same ones.
        self._spaces = list({tuple(index.covers for index in space): space for space in spaces}.values())

    def get(self, address: int) -> int:
        """The owner of an address."""
        for index in self._authority:
            if address in index.covers:
                return index.get(address)
        return int.from_bytes(self._others.lookup(key_of(address)) or b"", "little")

    def known(self) -> dict[int, int]:
        """Every known address and its owner."""
        others = self._read_others()
        found = {address: others[address] for address in _uncovered(others, self._authority)}
        for index in self._authority:
            first = index.covers.start
            found.update({first + place: owner for place, owner in enumerate(index.owners()) if owner})
        return found

    def addresses(self, owner: int) -> list[int]:
        """The addresses of an owner, in no order."""
        mark = owner.to_bytes(_WORD, "little")
        found = [number_of_key(key) for key, value in self._others.items() if value == mark]
        found = _uncovered(found, self._authority)
        for index in self._authority:
            found += [index.covers[place] for place in index.view.find(0, _WORD, owner)]
        return found

    def check_room(self, addresses: Iterable[int]) -> None:
        """DeviceError unless all generations have a place for all of these."""
        needed, room = len(self._in_others(addresses)), self._others.info.max_entries
        if needed > room:
            raise DeviceError(
                "place addresses",
                "",
                f"{needed} are outside the policies' indexes, where the gate has room for {room}",
                "detach it and create it with more device slots, or let the policy's tunnel begin with them",
            )

    def show(self, owners: Mapping[int, int]) -> None:
        """Give addresses that nobody has to owners."""
        for index in self._followers:
            index.set(_covered(owners, index))
        others = self._in_others(owners)
        decisive = set(_uncovered(others, self._authority))
        for address in sorted(others, key=decisive.__contains__):
            self._others.update(key_of(address), owners[address].to_bytes(_WORD, "little"))
        for index in self._authority:
            index.set(_covered(owners, index))

    def hide(self, addresses: Collection[int]) -> None:
        """Take addresses from their owners."""
        nobody = dict.fromkeys(addresses, NOBODY)
        for index in self._authority:
            index.set(_covered(nobody, index))
        others = self._in_others(nobody)
        decisive = set(_uncovered(others, self._authority))
        for address in sorted(others, key=decisive.__contains__, reverse=True):
            self._others.delete(key_of(address))
        for index in self._followers:
            index.set(_covered(nobody, index))

    def settle(self, known: Mapping[int, int]) -> None:
        """Bring the places that are not the authority's to what `known()` said; DeviceError, with nothing
        changed, where they have no room."""
        self.check_room(known)
        for index in self._followers:
            first, owners = index.covers.start, index.owners()
            wanted = _covered(known, index)
            changes = {
                first + place: NOBODY
                for place, owner in enumerate(owners)
                if owner and first + place not in wanted
            }
            changes.update(
                {address: owner for address, owner in wanted.items() if owners[address - first] != owner}
            )
            index.set(changes)
        found, others = self._read_others(), set(self._in_others(known))
        for address in found.keys() - others:
            self._others.delete(key_of(address))
        for address in others:
            if found.get(address) != known[address]:
                self._others.update(key_of(address), known[address].to_bytes(_WORD, "little"))

    def _read_others(self) -> dict[int, int]:
        items = self._others.items()
        return {number_of_key(key): int.from_bytes(owner, "little") for key, owner in items}

    def _in_others(self, addresses: Iterable[int]) -> list[int]:
        """Those that some generation looks up in the hash."""
        found: dict[int, None] = {}
        for space in self._spaces:
            found.update(dict.fromkeys(_uncovered(addresses, space)))
        return list(found)


def _uncovered(addresses: Iterable[int], space: Space) -> list[int]:
    rest = list(addresses)
    for index in space:
        rest = [address for address in rest if address not in index.covers]
    return rest


def _covered(owners: Mapping[int, int], index: Index) -> dict[int, int]:
    covers = index.covers
    return {address: owner for address, owner in owners.items() if address in covers}
