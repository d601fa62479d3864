"""Packets that go on while a gateway's users log in and out, and whether each answer was to be had.

Nothing here knows what the gateway thinks. What counts is what users did: an answer to a packet that needed a
login is a violation where no login, begun before the answer came, can have opened the way: all of them had
been ended, and whoever ended them had been told so before the packet was sent.
"""

from __future__ import annotations

import contextlib
import math
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway_site import DENIED, LAB, OPEN, SERVICE_PORT, Machine

_PAUSE_S = 0.04
_STAMP = struct.Struct("=dQ")


@dataclass(slots=True)
class Span:
    """From `begun` to `done`, by time.monotonic(); infinite while it is not over."""

    begun: float
    done: float = math.inf


@dataclass
class Deeds:
    """What a machine's user did, and an administrator to the user."""

    logins: list[Span] = field(default_factory=list)
    ends: list[Span] = field(default_factory=list)
    """Of all logins before: logouts, locks, moves. One that is not known to be done counts for nothing."""
    closed: list[Span] = field(default_factory=list)
    """While the policy or a lock closed the way whatever the session."""

    @contextlib.contextmanager
    def login(self) -> Iterator[None]:
        """A login under way, whatever becomes of it."""
        span = Span(time.monotonic())
        self.logins.append(span)
        try:
            yield
        finally:
            span.done = time.monotonic()

    @contextlib.contextmanager
    def end(self) -> Iterator[None]:
        """The end of the session under way; it counts where nothing is raised."""
        span = Span(time.monotonic())
        yield
        span.done = time.monotonic()
        self.ends.append(span)

    def may_pass(self, sent: float, answered: float) -> bool:
        """Whether a packet that needs a login may have been answered."""
        if any(span.begun <= sent and answered <= span.done for span in list(self.closed)):
            return False
        ends = list(self.ends)
        return any(
            login.begun <= answered and not any(end.begun >= login.done and end.done <= sent for end in ends)
            for login in list(self.logins)
        )


class Prober:
    """Sends from a machine to all three services, by UDP and TCP, until it is closed.

    `answers` counts them by address; `violations` has those that should not have been.
    """

    def __init__(self, machine: Machine, deeds: Deeds) -> None:
        self.answers: Counter[str] = Counter()
        self.violations: list[str] = []
        self._machine = machine
        self._deeds = deeds
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=work, daemon=True) for work in (self._datagrams, self._connections)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Send no more."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _socket(self, kind: socket.SocketKind) -> socket.socket:
        with self._machine.namespace.enter():
            return socket.socket(socket.AF_INET, kind)

    def _datagrams(self) -> None:
        """One flow to each service goes on all the time; so what a login opened is seen to be cut."""
        flows = {address: self._socket(socket.SOCK_DGRAM) for address in (OPEN, LAB, DENIED)}
        for sock in flows.values():
            sock.setblocking(False)
        number = 0
        while not self._ended.wait(_PAUSE_S):
            for address, sock in flows.items():
                number += 1
                with contextlib.suppress(OSError):
                    sock.sendto(_STAMP.pack(time.monotonic(), number), (address, SERVICE_PORT))
                with contextlib.suppress(OSError):
                    while True:
                        sent, _ = _STAMP.unpack(sock.recv(64))
                        self._answered(address, "udp", sent)
        for sock in flows.values():
            sock.close()

    def _connections(self) -> None:
        """New connections, each with a word and its echo."""
        order = random.Random(self._machine.name)
        while not self._ended.wait(_PAUSE_S):
            address = order.choice((OPEN, LAB, LAB, DENIED))
            with self._socket(socket.SOCK_STREAM) as sock, contextlib.suppress(OSError):
                sock.settimeout(0.3)
                sent = time.monotonic()
                sock.connect((address, SERVICE_PORT))
                self._answered(address, "tcp", sent)
                sent = time.monotonic()
                sock.sendall(b"hello")
                if sock.recv(16):
                    self._answered(address, "tcp", sent)

    def _answered(self, address: str, protocol: str, sent: float) -> None:
        now = time.monotonic()
        self.answers[address] += 1
        if address == DENIED or (address == LAB and not self._deeds.may_pass(sent, now)):
            self.violations.append(f"{self._machine.name}: {address}/{protocol} sent {sent}, answered {now}")


__all__ = ["Deeds", "Prober", "Span"]
