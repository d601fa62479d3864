"""Where peers are, dump after dump: what a dump says as the one before did is not read again.

Of ten thousand peers few move between two dumps, and reading an address takes longer than finding it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wardgate.gateway.wireguard.endpoint import Endpoint


class Places:
    """The places that a device told last. `key_of` and `endpoint_of` read what it tells of a key and of an
    endpoint, in whatever form; what they raise leaves all as it was."""

    def __init__(
        self, key_of: Callable[[bytes], bytes], endpoint_of: Callable[[bytes], Endpoint | None]
    ) -> None:
        self._key_of = key_of
        self._endpoint_of = endpoint_of
        self.told: Mapping[bytes, bytes] = {}
        """What the device told last."""
        self._found: dict[bytes, Endpoint | None] = {}

    def now(self, told: Mapping[bytes, bytes]) -> Mapping[bytes, Endpoint | None]:
        """The endpoints of all peers by their public keys, from what the device tells by what it tells of
        keys; nothing: unknown. Who did not move has the same object as in the answer before."""
        before, known = self.told, len(self.told)
        found = self._found.copy()
        for name, text in told.items():
            if before.get(name) != text:
                known += name not in before
                found[self._key_of(name)] = self._endpoint_of(text) if text else None
        if known > len(told):
            for name in before.keys() - told.keys():
                del found[self._key_of(name)]
        self.told, self._found = told, found
        return found
