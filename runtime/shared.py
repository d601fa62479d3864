"""The shared maps of a gate: opened from their pins, made where a policy does not bring them.

An artefact declares only the maps that its policy uses. The runtime needs some whatever the policy,
so it makes those itself, of the same layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Final

from wardgate.runtime.codec import U32, Codec, record_codec
from wardgate.runtime.errors import MapMismatchError
from wardgate.runtime.layout import maps as layouts
from wardgate.runtime.layout.maps import MapFlag, MapLayout, MapType, Scope
from wardgate.runtime.layout.records import SUBJECT_NAME, Record
from wardgate.runtime.maps import Map, TypedMap
from wardgate.runtime.pins import GatePins

SUBJECTS: Final = MapLayout(
    "subjects", MapType.HASH, Scope.GATE, layouts.DEVICE_SLOTS, SUBJECT_NAME, None,
    MapFlag.NO_PREALLOC, True, "Every user's name to a subject id, from 1.",
)  # fmt: skip
"""Made and read by the runtime alone."""

_NEEDED: Final = (
    layouts.ADDRESSES,
    layouts.DEVICES,
    layouts.LIMITS,
    layouts.REASONS,
    layouts.EVENTS,
    SUBJECTS,
)
_LAYOUTS: Final = {**layouts.MAPS_BY_NAME, SUBJECTS.name: SUBJECTS}


def sizes(slots: int) -> dict[str, int]:
    """Entries of the maps whose size follows from the number of device slots."""
    return {
        layouts.ADDRESSES.name: 2 * slots,
        layouts.DEVICES.name: slots,
        layouts.LIMITS.name: slots,
        layouts.SUBJECT_CLASS.name: slots,
        SUBJECTS.name: slots,
    }


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

    def complete(self, pins: GatePins, made: Mapping[str, Map], slots: int) -> None:
        """Take over and pin `made`, and make and pin what the runtime needs and is still missing."""
        for name, found in made.items():
            if name not in self._maps:
                self._maps[name] = found.dup()
                found.pin(pins.maps / name)
        for layout in _NEEDED:
            if layout.name not in self._maps:
                entries = sizes(slots).get(layout.name, layout.entries)
                new = Map.create(
                    layout.name, layout.type, layout.key_size, layout.value_size, entries, layout.flags
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
        """The map; MapMismatchError where a crash left the gate without it."""
        try:
            return self._maps[name]
        except KeyError:
            raise MapMismatchError(
                "open map", repr(name), "the gate has none", "detach the gate and run it again"
            ) from None

    def has(self, name: str) -> bool:
        """Whether the gate has the map: one that no policy needed yet is not there."""
        return name in self._maps

    def typed(self, name: str) -> TypedMap:
        """The map with its layout's records as keys and values; it belongs to this object."""
        layout = _LAYOUTS[name]
        raw = self.raw(name)
        try:
            return TypedMap(raw, _codec(layout.key), _codec(layout.value))
        except ValueError as error:
            raise MapMismatchError(
                "open map",
                repr(name),
                f"it is of another release: {error}",
                "detach the gate and run it again",
            ) from None

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


def _codec(record: Record | None) -> Codec:
    return record_codec(record) if record else U32
