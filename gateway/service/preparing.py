"""What is looked at before anything is changed, and the files that a gateway needs to be there."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from wardgate.gateway.errors import GatewayError
from wardgate.gateway.network.preflight import Check, Wanted, preflight
from wardgate.gateway.settings import Settings
from wardgate.gateway.settings.model import Address
from wardgate.gateway.wireguard import PrivateKey


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
    failed = [one for one in checks if not one.ok and one.name not in ignored]
    if failed:
        raise NotReadyError(checks)
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
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(descriptor) as file:  # noqa: PTH123 - of the descriptor that is looked at
            found = os.fstat(descriptor)
            if found.st_mode & 0o077 or not stat.S_ISREG(found.st_mode):
                raise GatewayError(
                    "read private key",
                    str(path),
                    "others may read it",
                    f"chmod 600 {path}, or make a new one",
                )
            return PrivateKey.parse(file.read(200).strip())
    except OSError as error:
        raise GatewayError(
            "read private key",
            str(path),
            error.strerror or str(error),
            f"restore it from the backup; with a new one (umask 077; wg genkey > {path}), each device needs "
            "its configuration anew",
        ) from error
