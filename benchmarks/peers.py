"""What a WireGuard device with many peers costs: a start, a dump, a reconciliation, a single change.

    python -m benchmarks.peers [--peers N] [--kind kernel|wireguard-go] [--json]

Needs root. The device is in a namespace that ends with the process, and its interface is down: what is
measured is its configuration. Peers have no keepalive, with which the device would look for each of them
meanwhile. Times are by the clock on the wall, and, as `own`, of this process's CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from wardgate.cli.demo.namespace import NetNamespace
from wardgate.gateway.wireguard import Kind, Peer, PresharedKey, PrivateKey, PublicKey, open_device

from benchmarks.sampling import Summary

RUNS: Final = 7


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of a step's runs, on the wall and of this process's CPU."""

    wall: Summary
    own: Summary

    def to_json(self) -> dict[str, Any]:
        """For a results file."""
        return {"wall": self.wall.to_json(), "own": self.own.to_json()}


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=int, default=10_000)
    parser.add_argument("--kind", type=Kind, choices=list(Kind), default=Kind.USERSPACE)
    parser.add_argument("--json", action="store_true", help="print the results instead of a table")
    given = parser.parse_args(arguments)
    if os.geteuid() != 0:
        print("this makes a namespace and a device: run it as root", file=sys.stderr)
        return 3
    with NetNamespace("peers") as namespace, namespace.enter():
        costs, kind, memory = measure(given.peers, given.kind)
    if given.json:
        document = {
            "peers": given.peers,
            "kind": kind,
            "memory": memory,
            "costs": {name: cost.to_json() for name, cost in costs.items()},
        }
        print(json.dumps(document, indent=1))
        return 0
    print(f"{kind}, {given.peers:,} peers, each with an address of IPv4 and one of IPv6; milliseconds")
    print(f"{'':32}{'median':>9}{'least':>9}{'most':>9}{'own CPU':>9}")
    for name, cost in costs.items():
        figures = (cost.wall.median, cost.wall.minimum, cost.wall.maximum, cost.own.median)
        print(f"{name:32}" + "".join(f"{1000 * figure:9.1f}" for figure in figures))
    for name, size in memory.items():
        print(f"memory of {name}: {size / 2**20:.0f} MiB")
    return 0


def measure(count: int, kind: Kind) -> tuple[dict[str, Cost], str, dict[str, int]]:
    """Step to its cost, the device's kind, and resident bytes of this process and of a daemon."""
    peers = [_peer(number) for number in range(count)]
    newcomer = _peer(count)
    costs: dict[str, Cost] = {}
    with contextlib.closing(_Device(f"b{os.getpid()}", kind)) as made:
        device = made.device
        device.configure(PrivateKey.generate(), 0)
        costs["start: all peers are new"] = _cost(lambda: device.reconcile(peers), 1)
        costs["dump: the first"] = _cost(device.peers, 1)
        costs["dump"] = _cost(device.peers)
        costs["reconcile: nothing differs"] = _cost(lambda: device.reconcile(peers))
        changes = _changed(peers)
        costs["reconcile: one peer differs"] = _cost(lambda: device.reconcile(next(changes)))
        costs["add one peer"] = _cost(lambda: device.add([newcomer]))
        costs["remove one peer"] = _cost(lambda: device.remove([newcomer.public_key]))
        memory = {"this process": _resident(os.getpid())}
        if daemon := made.daemon():
            memory[str(device.kind)] = _resident(daemon)
        return costs, str(device.kind), memory


class _Device:
    """A device, its name, and its end."""

    def __init__(self, name: str, kind: Kind) -> None:
        self.device = open_device(name, kind)

    def daemon(self) -> int | None:
        """The process that the device is of, if it is one's."""
        words = [b"wireguard-go", self.device.name.encode()]
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                found = path.read_bytes().split(b"\0")
                if [Path(os.fsdecode(found[0])).name.encode(), *found[1:2]] == words:
                    return int(path.parent.name)
        return None

    def close(self) -> None:
        """Remove the device."""
        self.device.destroy()


def _peer(number: int) -> Peer:
    return Peer(
        PublicKey(os.urandom(32)),
        (ip_network((0x0A000000 + number, 32)), ip_network(f"fd09::{number:x}/128")),
        PresharedKey.generate() if number % 2 else None,
    )


def _changed(peers: list[Peer]) -> Iterator[list[Peer]]:
    """The peers, of which one more has another address each time."""
    number = 0
    while True:
        peers[number] = replace(peers[number], allowed_ips=(ip_network((0x0B000000 + number, 32)),))
        yield peers
        number += 1


def _cost(work: Callable[[], object], runs: int = RUNS) -> Cost:
    walls, owns = [], []
    for _ in range(runs):
        began, spent = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - began)
        owns.append(time.process_time() - spent)
    return Cost(Summary.of(walls), Summary.of(owns))


def _resident(process: int) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    sys.exit(main())
