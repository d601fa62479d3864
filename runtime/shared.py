"""The shared maps of a gate: opened from their pins, made where a policy does not bring them.

An artefact declares only the maps that its policy uses. The runtime needs some whatever the policy,
so it makes those itself, of the same layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Final

from wardgate.runtime.errors import MapMismatchError
from wardgate.runtime.layout import maps as layouts
from wardgate.runtime.layout.maps import MAPS_BY_NAME, SUBJECT_CLASS
from wardgate.runtime.maps import Map, TypedMap
from wardgate.runtime.object import layout_map
from wardgate.runtime.pins import GatePins

_NEEDED: Final = (
    layouts.ADDRESSES,
    layouts.DEVICES,
    layouts.LIMITS,
    layouts.PROCESSORS,
    layouts.EVENTS,
)


def sizes(slots: int, uncovered: int) -> dict[str, int]:
    """Entries of the shared maps whose size follows from the number of device slots, where the policy's
    indexes leave the tunnel's addresses of `uncovered` versions of IP to the hash. It has room for one of a
    device, whatever the policy: another one may leave some."""
    return {
        layouts.ADDRESSES.name: max(uncovered, 1) * slots,
        layouts.DEVICES.name: slots,
        layouts.LIMITS.name: slots,
    }


def class_entries(slots: int, class_bits: int) -> int:
    """Entries of a table of classes that has room for as many subjects as there are device slots."""
    return -(-slots * class_bits // (8 * SUBJECT_CLASS.value_size))


class SharedMaps:
    """Open shared maps by name: a context manager that closes them."""

    def __init__(self, maps: Mapping[str, Map]) -> None:
        self._maps = dict(maps)

    @classmethod
    def open(cls, pins: GatePins) -> SharedMaps:
        """Those that are pinned; BpfError, and PinError where there is no gate."""
        shared = cls({})
        try:
            for path in sorted(pins.maps.iterdir()) if pins.maps.is_dir() else []:
                shared._maps[path.name] = Map.open_pin(path, path.name)
        except BaseException:
            shared.close()
            raise
        return shared

    def complete(self, pins: GatePins, made: Mapping[str, Map], entries: Mapping[str, int]) -> None:
        """Take over and pin `made`, and make and pin what the runtime needs and is still missing; `entries`
        as from `sizes`."""
        for name, found in made.items():
            if name not in self._maps:
                self._maps[name] = found.dup()
                found.pin(pins.maps / name)
        for layout in _NEEDED:
            if layout.name not in self._maps:
                new = Map.create(
                    layout.name,
                    layout.type,
                    layout.key_size,
                    layout.value_size,
                    entries.get(layout.name, layout.entries),
                    layout.flags,
                )
                self._maps[layout.name] = new
                new.pin(pins.maps / layout.name)

    @property
    def maps(self) -> Mapping[str, Map]:
        """All, for an object that is loaded to use them."""
        return self._maps

    @property
    def slots(self) -> int:
        """Device slots, slot 0 included."""
        return self.raw("devices").info.max_entries

    def raw(self, name: str) -> Map:
        """The map; MapMismatchError where a crash left the gate without it, or with one of another
        release."""
        try:
            found = self._maps[name]
        except KeyError:
            raise MapMismatchError(
                "open map", repr(name), "the gate has none", "detach the gate and run it again"
            ) from None
        layout = MAPS_BY_NAME[name]
        if (found.info.key_size, found.info.value_size) != (layout.key_size, layout.value_size):
            raise MapMismatchError(
                "open map", repr(name), "it is of another release", "detach the gate and run it again"
            )
        return found

    def has(self, name: str) -> bool:
        """Whether the gate has the map: one that no policy needed yet is not there."""
        return name in self._maps

    def typed(self, name: str) -> TypedMap:
        """The map with its layout's records as keys and values; it belongs to this object."""
        return layout_map(self.raw(name), name)

    def close(self) -> None:
        """Close the maps; they live on where they are pinned or used."""
        while self._maps:
            self._maps.popitem()[1].close()

    def __enter__(self) -> SharedMaps:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
