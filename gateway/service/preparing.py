"""What is looked at before anything is changed, and the files that a gateway needs to be there."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wardgate.gateway.errors import GatewayError
from wardgate.gateway.network.preflight import Check, Wanted, preflight
from wardgate.gateway.settings import Settings
from wardgate.gateway.settings.model import Address
from wardgate.gateway.wireguard import PrivateKey

_MOST_CHARACTERS: Final = 200
"""Of the key's file: more than a key with blanks around it has."""
_REMEDY: Final = (
    "restore it from the backup; with a new one (wg genkey) no client can connect as it is set up"
)


class NotReadyError(GatewayError):
    """Something has to be mended before the gateway can start. `checks`: all that were made."""

    def __init__(self, checks: Sequence[Check]) -> None:
        failed = [check for check in checks if not check.ok]
        cause = "; ".join(f"{check.name}: {check.message}" for check in failed)
        super().__init__(
            "start gateway", "", cause, "; ".join(check.remedy for check in failed if check.remedy)
        )
        self.checks = tuple(checks)


def check(settings: Settings) -> tuple[Check, ...]:
    """Look at the machine; NotReadyError where the gateway cannot run on it as it is."""
    checks = preflight(
        Wanted(
            settings.interface,
            settings.port,
            settings.addresses,
            tuple(address.network for address in settings.addresses),
            tuple(_listeners(settings)),
            forward=settings.network.forwarding == "enable",
            masquerade=settings.network.masquerade,
        )
    )
    ignored = {"forwarding"} if settings.network.forwarding == "ignore" else set()
    found = [one for one in checks if one.name not in ignored]
    if not all(one.ok for one in found):
        raise NotReadyError(found)
    return checks


def _listeners(settings: Settings) -> list[tuple[Address, int]]:
    found = [(address.ip, settings.portal.port) for address in settings.addresses]
    if settings.enrolment is not None:
        found += settings.enrolment.listen
    if settings.metrics is not None:
        found.append(settings.metrics)
    return found


def read_private_key(path: Path) -> PrivateKey:
    """The gateway's WireGuard key; GatewayError where it is not there, no key, or for others to read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - of a descriptor
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise _no_key(path, "it is no file", _REMEDY)
            if found.st_mode & 0o077 or found.st_uid not in (0, os.geteuid()):
                place = shlex.quote(str(path))
                raise _no_key(path, "others may read it", f"chown root {place}; chmod 600 {place}")
            return PrivateKey.parse(file.read(_MOST_CHARACTERS).strip())
    except OSError as error:
        cause = error.strerror or str(error)
        raise _no_key(path, cause, _REMEDY) from error


def _no_key(path: Path, cause: str, remedy: str) -> GatewayError:
    return GatewayError("read private key", str(path), cause, remedy)
