"""Devices of the kernel's WireGuard."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NoReturn, TypeVar

from wardgate.gateway.network.errors import NetworkError
from wardgate.gateway.network.links import add_link, remove_link
from wardgate.gateway.wireguard import messages
from wardgate.gateway.wireguard.changes import DeviceChange, PeerChange
from wardgate.gateway.wireguard.device import BaseDevice, Kind
from wardgate.gateway.wireguard.endpoint import Endpoint
from wardgate.gateway.wireguard.errors import DeviceGoneError, DeviceRefusedError, DeviceUnavailableError
from wardgate.gateway.wireguard.generic_netlink import GenericNetlink, InterruptedDumpError, RefusalError
from wardgate.gateway.wireguard.peers import Dump
from wardgate.gateway.wireguard.places import Places

LINK_KIND: Final = "wireguard"
_ATTEMPTS: Final = 20
"""Dumps until one is not interrupted by a change of the device."""
_PAUSE: Final = 0.01
"""Seconds, times the number of interrupted dumps, before the next one."""
_REMEDIES: Final = {
    errno.EPERM: "run as root or with CAP_NET_ADMIN",
    errno.EACCES: "run as root or with CAP_NET_ADMIN",
    errno.EADDRINUSE: "another program has this UDP port: choose another, or stop it (ss -lunp)",
}
_NO_SUPPORT: Final = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EAFNOSUPPORT)
_T = TypeVar("_T")


class KernelDevice(BaseDevice):
    """A device of the kernel's wireguard module."""

    kind = Kind.KERNEL

    def __init__(self, name: str, *, adopted: bool) -> None:
        super().__init__(name, adopted=adopted)
        self._places = Places(bytes, messages.decode_endpoint)

    @classmethod
    def create(cls, name: str) -> KernelDevice:
        """Make a device; DeviceUnavailableError says why not. The kernel loads the module by itself."""
        try:
            add_link(name, LINK_KIND)
        except NetworkError as error:
            operation = "make kernel WireGuard device"
            if error.code in _NO_SUPPORT:
                raise DeviceUnavailableError(
                    operation,
                    name,
                    "this kernel has no WireGuard, or may not load its module",
                    "load it (modprobe wireguard; in a container: on the host)",
                ) from None
            raise DeviceUnavailableError(operation, name, error.cause, error.remedy) from error
        return cls(name, adopted=False)

    def _dump(self) -> Dump:
        return messages.read_dump(self._bodies())

    def _endpoints(self) -> Mapping[bytes, Endpoint | None]:
        return self._places.now(messages.read_places(self._bodies()))

    def _bodies(self) -> list[bytes]:
        """The messages of a dump that no change interrupted."""
        request = messages.get_request(self.name)

        def dump(channel: GenericNetlink, family: int) -> list[bytes]:
            for attempt in range(_ATTEMPTS):
                try:
                    return channel.dump(family, messages.GET_DEVICE, request)
                except InterruptedDumpError:
                    time.sleep(_PAUSE * attempt)
            raise DeviceRefusedError(
                "read WireGuard device", self.name, errno.EINTR,
                f"its peers changed during each of {_ATTEMPTS} attempts",
                "find out who else configures it",
            )  # fmt: skip

        return self._with_family("read WireGuard device", dump)

    def _apply(self, device: DeviceChange, peers: Iterable[PeerChange]) -> None:
        def apply(channel: GenericNetlink, family: int) -> None:
            for body in messages.set_requests(self.name, device, peers):
                channel.request(family, messages.SET_DEVICE, body)

        self._with_family("configure WireGuard device", apply)

    def _with_family(self, operation: str, work: Callable[[GenericNetlink, int], _T]) -> _T:
        try:
            with GenericNetlink() as channel:
                return work(channel, channel.family(messages.FAMILY))
        except RefusalError as error:
            self._refuse(operation, error.errno or 0, str(error.strerror), error)
        except DeviceRefusedError:
            raise
        except OSError as error:
            self._refuse(operation, error.errno or 0, os.strerror(error.errno or 0), error)

    def _refuse(self, operation: str, code: int, cause: str, error: Exception) -> NoReturn:
        # ENOENT: the module is gone, and every device with it.
        if code in (errno.ENODEV, errno.ENOENT):
            raise DeviceGoneError(
                operation, self.name, "the device was removed", "start the gateway again, which makes it anew"
            ) from None
        raise DeviceRefusedError(operation, self.name, code, cause, _REMEDIES.get(code, "")) from error

    def _remove(self) -> None:
        remove_link(self.name)
