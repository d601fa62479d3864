"""What is there already: gate and WireGuard device of an earlier process are taken over, others' are not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from wardgate.gateway.errors import GatewayError
from wardgate.gateway.settings import Settings
from wardgate.gateway.wireguard import PrivateKey, WireGuardDevice, find_device
from wardgate.runtime.errors import MapMismatchError, WardgateError
from wardgate.runtime.gate import Gate
from wardgate.runtime.pins import LockError, PinError
from wardgate.runtime.stored import StoredManifestError

_FOREIGN: Final = (MapMismatchError, StoredManifestError, PinError)
"""What the runtime says of a gate that it cannot read; PinError also says other things."""


class ForeignGateError(GatewayError):
    """The gate that is there cannot be gone on with: another release made it, say. It goes on as it is."""


def own_device(settings: Settings, key: PrivateKey | None) -> WireGuardDevice | None:
    """The WireGuard device that this gateway left, None where there is none. GatewayError where the one of
    the name is somebody else's: with another key than `key`, and without a gate."""
    device = find_device(settings.interface)
    if device is None or settings.interface in Gate.list():
        return device
    found = device.state().public_key
    if found is not None and (key is None or found != key.public_key()):
        raise GatewayError(
            "take over WireGuard device",
            settings.interface,
            "it is not this gateway's: it has another key, and no gate is on it",
            "choose another `interface` in gateway.yaml, or remove the device "
            f"(ip link delete {settings.interface})",
        )
    return device


def make_gate(settings: Settings, artefact: bytes) -> Gate:
    """The gate of the settings' interface, with the policy of `artefact`. ForeignGateError, and what
    Gate.create_or_adopt raises."""
    with _foreign_told(settings.interface):
        return Gate.create_or_adopt(artefact, device=settings.interface, device_slots=settings.device_slots)


def guarded(interface: str) -> bool:
    """Whether a gate judges what comes out of the interface. ForeignGateError; LockError where another
    process changes the gate for a long time, so that nobody can tell."""
    with _foreign_told(interface):
        if interface not in Gate.list():
            return False
        try:
            return Gate.open(interface).enforces()
        except (LockError, *_FOREIGN):
            raise
        except WardgateError:
            return False


@contextmanager
def _foreign_told(interface: str) -> Iterator[None]:
    try:
        yield
    except _FOREIGN as error:
        if isinstance(error, PinError) and error.operation != "read pin":
            raise
        raise ForeignGateError(
            "take over gate",
            interface,
            f"this release cannot go on with the one that is there ({error.cause}); "
            "it goes on judging packets as before",
            "run `wardgate gateway stop`, which takes the tunnel away before the gate, and start again: "
            "everybody is cut off meanwhile, and logs in anew",
        ) from error
