"""Which devices an engine's maps have, and what a further one needs in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wardgate.compiler.explain.judgement import Device
from wardgate.compiler.explain.placement import class_key
from wardgate.compiler.explain.probe import Entry, device_entries
from wardgate.compiler.language.model import Address
from wardgate.runtime.layout.manifest import Manifest
from wardgate.runtime.layout.maps import SUBJECT_CLASS

FAR: Final = (1 << 63) - 1
"""A session's deadline that no clock comes to, in ns; as a login's time, one that is always recent."""


class Enrolment:
    """The devices of a gate that packets come from one by one; `authed`: their sessions are authorised,
    with a login a moment ago."""

    def __init__(self, manifest: Manifest, *, authed: bool) -> None:
        self._manifest, self._authed = manifest, authed
        self._known: set[Address] = set()
        self._subjects: dict[str, int] = {}

    def enrol(
        self,
        device: Device,
        address: Address,
        classes: Callable[[bytes], bytes | None],
        put: Callable[[Entry], None],
    ) -> None:
        """Give the maps a device's address, if they do not have it. `classes` looks a key of the map of
        classes up, `put` stores an entry: if it raises, the address is still unknown."""
        if address in self._known:
            return
        subject = self._subjects.setdefault(device.user, len(self._subjects) + 1)
        before = classes(class_key(self._manifest, subject))
        for entry in device_entries(
            self._manifest,
            address,
            device.user,
            deadline=FAR if self._authed else 0,
            login=FAR if self._authed else 0,
            slot=device.slot,
            subject=subject,
            classes=before or bytes(SUBJECT_CLASS.value_size),
        ):
            put(entry)
        self._known.add(address)
