"""Taking a gateway down: the machine is then as it was, but for the files of its state."""

from __future__ import annotations

from contextlib import ExitStack

from wardgate.gateway.errors import GatewayError
from wardgate.gateway.network.forwarding import Forwarding
from wardgate.gateway.network.masquerading import remove_masquerade
from wardgate.gateway.roaming import remove as remove_detectors
from wardgate.gateway.service.adopting import own_device
from wardgate.gateway.service.gateway import forwarding_file
from wardgate.gateway.service.preparing import read_private_key
from wardgate.gateway.settings import Settings
from wardgate.gateway.wireguard import PrivateKey
from wardgate.runtime.gate import Gate


def take_down(settings: Settings) -> None:
    """Remove peers, interface, gate, masquerading and what was switched on; no error where nothing is left.

    The tunnel goes first, and what guards it after: nothing passes in between. Nobody runs the gateway
    meanwhile, see instance.ended. WardgateError, also where the interface is somebody else's.
    """
    device = own_device(settings, _key(settings))
    if device is not None:
        device.destroy()
    with ExitStack() as rest:
        # None of it keeps the others from being put back.
        rest.callback(Forwarding(forwarding_file(settings)).restore)
        rest.callback(remove_masquerade, settings.interface)
        remove_detectors(settings.interface)
        if settings.interface in Gate.list():
            Gate(settings.interface).detach()


def _key(settings: Settings) -> PrivateKey | None:
    try:
        return read_private_key(settings.private_key)
    except GatewayError:
        # It may be gone already, with the rest of the state.
        return None
