"""The machine as far as a gateway changes it, to be compared with how it was before."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from wardgate.cli.demo.isolation import BPFFS, RUN
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace

_SYSCTLS: Final = ("ipv4/ip_forward", "ipv4/conf", "ipv6/conf")
_SECRET: Final = "stable_secret"  # noqa: S105 - a setting that nobody can read before it is set


def look(namespace: NetNamespace, device: str) -> Mapping[str, frozenset[str]]:
    """What is there now, by kind: interfaces, addresses, routes, settings, rules of nftables and processes of
    a namespace; pins; and the sockets of the WireGuard device."""
    with namespace.enter():
        with Links(namespace) as links:
            interfaces = frozenset(links.names())
        return {
            "interfaces": interfaces,
            **_netlink(),
            "settings of the kernel": frozenset(_settings()),
            "rules of nftables": frozenset(_nftables()),
            "pins": frozenset(map(str, BPFFS.rglob("*"))),
            "sockets of WireGuard": frozenset(map(str, (RUN / "wireguard").glob(f"{device}.*"))),
            "processes": frozenset(_processes(namespace)),
        }


def differences(before: Mapping[str, frozenset[str]], after: Mapping[str, frozenset[str]]) -> list[str]:
    """What is there that was not, or the other way round, in words."""
    return [
        f"{kind}: {one} {'is new' if one in after[kind] else 'is gone'}"
        for kind in before
        for one in sorted(before[kind] ^ after[kind])
    ]


def _netlink() -> dict[str, frozenset[str]]:
    from wardgate.gateway.network.routes import addresses, routes

    return {
        "addresses": frozenset(f"{one.address} on {one.interface}" for one in addresses()),
        "routes": frozenset(f"{one.prefix} by {one.interface}" for one in routes()),
    }


def _settings() -> Iterator[str]:
    for name in _SYSCTLS:
        top = Path("/proc/sys/net", name)
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and path.name != _SECRET:
                yield f"{path.relative_to('/proc/sys')} = {path.read_text().strip()}"


def _nftables() -> Iterator[str]:
    nft = shutil.which("nft") or shutil.which("nft", path="/usr/sbin:/sbin")
    if nft is not None:
        yield from subprocess.run(  # noqa: S603 - the program that was just looked up
            [nft, "list", "ruleset"], capture_output=True, text=True, check=True
        ).stdout.splitlines()


def _processes(namespace: NetNamespace) -> Iterator[str]:
    """Those whose first thread is in the namespace."""
    wanted = os.fstat(namespace.fd).st_ino
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "ns/net").stat().st_ino != wanted:
                continue
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        yield f"{folder.name}: {b' '.join(words).decode(errors='replace').strip()[:60]}"
