"""Taking a gateway down: the machine is then as it was, but for the files of its state."""

from __future__ import annotations

from wardgate.gateway.network.forwarding import Forwarding
from wardgate.gateway.network.masquerading import remove_masquerade
from wardgate.gateway.roaming import remove as remove_detectors
from wardgate.gateway.service.gateway import forwarding_file
from wardgate.gateway.settings import Settings
from wardgate.gateway.wireguard import find_device
from wardgate.runtime.gate import Gate


def take_down(settings: Settings) -> None:
    """Remove peers, interface, gate, masquerading and what was switched on; no error where nothing is left.

    The tunnel goes first, and what guards it after: nothing passes in between. WardgateError.
    """
    device = find_device(settings.interface)
    if device is not None:
        device.destroy()
    remove_detectors(settings.interface)
    if settings.interface in Gate.list():
        Gate(settings.interface).detach()
    remove_masquerade(settings.interface)
    Forwarding(forwarding_file(settings)).restore()
