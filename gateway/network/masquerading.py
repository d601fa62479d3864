"""Masquerading: what leaves the gateway for other networks leaves with the gateway's address.

In a table of nftables that is ours alone, `inet wardgate_INTERFACE`, made and replaced in one transaction of
`nft`; nothing that others have made is read or changed.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Final

from wardgate.gateway.network.errors import NetworkError
from wardgate.gateway.network.links import check_name
from wardgate.gateway.network.routes import Network

PROGRAM: Final = "nft"
_UNSUPPORTED: Final = "Operation not supported"
INSTALL: Final = "install it (apt install nftables)"
_SYSTEM_FOLDERS: Final = ("/usr/sbin", "/sbin", "/usr/local/sbin")
_LONGEST_RUN: Final = 60.0
"""Seconds; nft waits for nobody but the kernel."""
_log: Final = logging.getLogger("wardgate.gateway.network")


@dataclass(frozen=True, slots=True)
class Masquerade:
    """What is masqueraded: packets from `sources` that leave by another interface than the tunnel's.

    Those to `excluded` keep their source: networks that have a route back to the devices.
    """

    interface: str
    sources: tuple[Network, ...]
    excluded: tuple[Network, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.interface)


def table_name(interface: str) -> str:
    """Name of the table, of the family `inet`."""
    return f"wardgate_{check_name(interface)}"


def find_nft() -> str | None:
    """Path of the nft command; None where it isn't installed."""
    folders = (*os.environ.get("PATH", os.defpath).split(os.pathsep), *_SYSTEM_FOLDERS)
    return shutil.which(PROGRAM, path=os.pathsep.join(folders))


def transaction(wanted: Masquerade) -> str:
    """The input of `nft -f -` that makes the table what is wanted, whatever it was."""
    name = table_name(wanted.interface)
    rules: list[str] = []
    for family, kind in (("ip", IPv4Network), ("ip6", IPv6Network)):
        sources = _ranges(one for one in wanted.sources if isinstance(one, kind))
        excluded = _ranges(one for one in wanted.excluded if isinstance(one, kind))
        if not sources:
            continue
        rule = f'{family} saddr {{ {sources} }} oifname != "{wanted.interface}"'
        if excluded:
            rule += f" {family} daddr != {{ {excluded} }}"
        rules.append(f"        {rule} masquerade")
    return "\n".join(
        [
            _removal(name),
            f"table inet {name} {{",
            "    chain postrouting {",
            "        type nat hook postrouting priority srcnat; policy accept;",
            *rules,
            "    }",
            "}",
            "",
        ]
    )


def apply_masquerade(wanted: Masquerade) -> None:
    """Make the table, or replace it, in one step; NetworkError where nft is missing or refuses."""
    _run("masquerade for", wanted.interface, transaction(wanted))
    _log.info("masquerading", extra={"device": wanted.interface, "table": table_name(wanted.interface)})


def remove_masquerade(interface: str) -> None:
    """Remove the table; where there is none it is fine, and so it is without nft, or where the kernel has no
    tables at all. NetworkError."""
    if find_nft() is None:
        _log.warning(
            "nft is not installed: a table for masquerading, if there is one, stays",
            extra={"table": table_name(interface)},
        )
        return
    try:
        _run("stop masquerading for", interface, _removal(table_name(interface)))
    except NetworkError as error:
        if _UNSUPPORTED not in error.cause:
            raise


def _removal(name: str) -> str:
    # Removing what isn't there is an error, making what is there is none. "destroy" is for kernels from 6.3.
    return f"table inet {name}\ndelete table inet {name}"


def _ranges(networks: Iterable[Network]) -> str:
    """Elements of a set: they may not overlap."""
    found = list(networks)
    four = collapse_addresses(one for one in found if isinstance(one, IPv4Network))
    six = collapse_addresses(one for one in found if isinstance(one, IPv6Network))
    return ", ".join(map(str, (*four, *six)))


def _run(operation: str, target: str, text: str) -> None:
    program = find_nft()
    if program is None:
        raise NetworkError(
            operation, target, f"{PROGRAM} is not installed", f"{INSTALL}, or switch masquerading off"
        )
    try:
        done = subprocess.run(  # noqa: S603 - the program that was just looked up
            [program, "-f", "-"],
            input=text,
            capture_output=True,
            text=True,
            timeout=_LONGEST_RUN,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkError(operation, target, f"{PROGRAM}: {error}") from error
    if done.returncode:
        said = done.stderr.strip().partition("\n")[0]
        remedy = "run as root or with CAP_NET_ADMIN" if "not permitted" in said else ""
        if _UNSUPPORTED in said or "No such file" in said:
            remedy = "the kernel needs nf_tables with NAT (modprobe nft_masq)"
        raise NetworkError(operation, target, f"{PROGRAM}: {said}", remedy)
