"""Finding a device of a name, or making one of the best kind that this machine has."""

from __future__ import annotations

import logging
from typing import Final

from wardgate.gateway.network.links import check_name, find_link
from wardgate.gateway.wireguard import kernel, userspace
from wardgate.gateway.wireguard.device import Kind, WireGuardDevice
from wardgate.gateway.wireguard.errors import DeviceUnavailableError
from wardgate.gateway.wireguard.kernel import KernelDevice
from wardgate.gateway.wireguard.userspace import UserspaceDevice

_log: Final = logging.getLogger("wardgate.gateway.wireguard")
_TYPES: Final[dict[Kind, type[KernelDevice] | type[UserspaceDevice]]] = {
    Kind.KERNEL: KernelDevice,
    Kind.USERSPACE: UserspaceDevice,
}


def open_device(name: str, prefer: Kind | None = None) -> WireGuardDevice:
    """The WireGuard device `name` of this network namespace; where there is none it is made, and is down.

    A device that is there is taken as it is, of whichever kind. A new one is of the kind that is preferred
    (None: the kernel's), else of the other; `device.refused` says why. NetworkError for a bad name;
    DeviceUnavailableError where the name is something else's, or no kind can be had: with each one's reason.
    """
    check_name(name)
    found = find_device(name)
    if found is not None:
        _log.info("adopted the device", extra={"device": name, "kind": str(found.kind)})
        return found
    first = prefer or Kind.KERNEL
    failures: list[DeviceUnavailableError] = []
    for kind in (first, *(other for other in Kind if other is not first)):
        try:
            made = _TYPES[kind].create(name)
        except DeviceUnavailableError as error:
            failures.append(error)
            continue
        made.refused = tuple(str(error) for error in failures)
        _log.info("made a device", extra={"device": name, "kind": str(kind), "refused": made.refused})
        return made
    raise DeviceUnavailableError(
        "make WireGuard device",
        name,
        "; ".join(f"{error.operation}: {error.cause}" for error in failures),
        "either " + ", or ".join(error.remedy for error in failures if error.remedy),
    )


def find_device(name: str) -> WireGuardDevice | None:
    """The WireGuard device `name` of this network namespace; None where no interface has the name.

    DeviceUnavailableError where an interface has it that is no WireGuard device.
    """
    link = find_link(name)
    if link is None:
        return None
    if link.kind == kernel.LINK_KIND:
        return KernelDevice(name, adopted=True)
    if link.kind == userspace.LINK_KIND and userspace.is_listening_here(name):
        return UserspaceDevice(name, adopted=True)
    what = f"a {link.kind} interface" if link.kind else "an interface"
    if link.kind == userspace.LINK_KIND:
        what += f" without a wireguard-go at {userspace.socket_path(name)}"
    raise DeviceUnavailableError(
        "open WireGuard device",
        name,
        f"the name is that of {what}, which is no WireGuard device",
        f"choose another name, or remove it (ip link delete {name})",
    )
