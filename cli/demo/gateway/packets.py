"""Packets of the demo: what the reference says of each, and what the gate did with it."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from wardgate.cli.demo.gate import WARDGATE, GateError
from wardgate.cli.demo.gateway.laptop import Laptop
from wardgate.cli.demo.gateway.site import DEVICE, Site
from wardgate.cli.demo.traffic import Answerers, Flow, Probe, Seen, send
from wardgate.runtime.gate import Gate
from wardgate.runtime.layout.codes import Reason
from wardgate.runtime.status import GateStatus

PATIENCE_S: Final = 30.0
"""Seconds in which a packet's fate must show; a fast machine needs none, an emulated one many."""


Query = tuple[str, str, str, bool]
"""User, destination, service, and whether the session is authorised."""


def reference(policy: Path, queries: Sequence[Query]) -> Mapping[Query, Mapping[str, Any]]:
    """What `wardgate explain --engine reference` says becomes of each packet; GateError."""
    arguments = ["explain", str(policy), "--engine", "reference", "--batch", "-"]
    keys = ("as", "to", "service", "authed")
    lines = "".join(json.dumps(dict(zip(keys, query, strict=True))) + "\n" for query in queries)
    done = subprocess.run(  # noqa: S603 - this Python, and arguments of the demo
        [*WARDGATE, *arguments], input=lines, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise GateError(arguments, done.returncode, done.stderr)
    return dict(zip(queries, map(json.loads, done.stdout.splitlines()), strict=True))


class Drops:
    """What the gate has dropped since this was made, by its own counters."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._before = self._status()

    def _status(self) -> GateStatus:
        with self._site.gateway.enter():
            return Gate.open(DEVICE).status()

    def reasons(self) -> set[str]:
        """Why, where anything was."""
        before, now = self._before.counters, self._status().counters
        return {
            reason.label
            for direction, counts in now.items()
            for reason, count in counts.items()
            if reason is not Reason.PASS
            and (reason not in before[direction] or count.packets > before[direction][reason].packets)
        }


def fate(site: Site, laptop: Laptop, to: str, service: str, patience: float = PATIENCE_S) -> str:
    """Send a packet that asks for an answer: `pass`, why the gate dropped it, or how it went wrong, at the
    latest after `patience` seconds."""
    source = next(one for one in laptop.addresses if (":" in one) == (":" in to))
    probe = Probe(laptop.namespace, source, site.servers, to, service)
    drops = Drops(site)

    def was_dropped(_flow: Flow) -> bool:
        return bool(drops.reasons())

    with Answerers([probe]) as answerers:
        ((seen, _),) = send([probe], answerers, was_dropped, patience)
    return ", ".join(sorted(drops.reasons())) if seen is Seen.DROP else seen.value


class Echo:
    """A TCP server on an address of the servers', which sends back what comes on one connection."""

    def __init__(self, site: Site, address: str, port: int, laptop: Laptop) -> None:
        with site.servers.enter():
            self._listener = socket.create_server((address, port))
        self._ours = laptop.connection(address, port)
        self._theirs, _ = self._listener.accept()
        self._site = site

    def fate(self, said: bytes) -> str:
        """Send something on the connection: `pass` when it came back, or why the gate dropped it."""
        drops = Drops(self._site)
        self._theirs.setblocking(False)
        self._ours.setblocking(False)
        self._ours.sendall(said)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            heard = _heard(self._theirs)
            if heard:
                self._theirs.sendall(heard)
            if _heard(self._ours) == said:
                return Seen.PASS.value
            if reasons := drops.reasons():
                return ", ".join(sorted(reasons))
            time.sleep(0.005)
        return Seen.LOST.value

    def close(self) -> None:
        """Close both ends with a reset: nothing is sent again later, to be counted with other packets."""
        for one in (self._ours, self._theirs):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
        self._listener.close()


def _heard(sock: socket.socket) -> bytes:
    try:
        return sock.recv(4096)
    except BlockingIOError:
        return b""
