"""Real packets: sockets that ask in one namespace, sockets that answer in another."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address

from wardgate.cli.demo.namespace import NetNamespace

_ECHO_REQUEST = {4: 8, 6: 128}
_POLL_SECONDS = 0.02


class Seen(Enum):
    """What became of a packet."""

    PASS = "pass"  # noqa: S105 - not a password
    """It got there, and so did the answer."""
    DROP = "drop"
    """It was dropped: the gate said so, and no answer came."""
    NO_ANSWER = "no answer"
    """It got there, and the answer got lost."""
    LOST = "lost"
    """It vanished, and the gate knows nothing of it."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Addresses and ports of a packet; an ICMP query has its identifier as its source port."""

    protocol: int
    source: str
    source_port: int
    destination: str
    destination_port: int


@dataclass(frozen=True, slots=True)
class Probe:
    """A question that an answer comes to: `service` is `PORT/tcp`, `PORT/udp` or `icmp`.

    A datagram carries `size` bytes; the answer is as long.
    """

    sender: NetNamespace
    source: str
    receiver: NetNamespace
    destination: str
    service: str
    size: int = 8

    @property
    def version(self) -> int:
        """4 or 6."""
        return ip_address(self.destination).version

    @property
    def protocol(self) -> int:
        """IP protocol number."""
        if self.service == "icmp":
            return socket.IPPROTO_ICMP if self.version == 4 else socket.IPPROTO_ICMPV6
        return socket.IPPROTO_TCP if self.service.endswith("/tcp") else socket.IPPROTO_UDP

    @property
    def port(self) -> int:
        """Destination port; 0 where the service has none."""
        return 0 if self.service == "icmp" else int(self.service.partition("/")[0])


def allow_ping(namespace: NetNamespace) -> None:
    """Let root use ICMP datagram sockets; a new namespace allows them to nobody."""
    namespace.sysctl("ipv4/ping_group_range", "0 0")


def _socket(probe: Probe) -> socket.socket:
    family = socket.AF_INET if probe.version == 4 else socket.AF_INET6
    kind = socket.SOCK_STREAM if probe.protocol == socket.IPPROTO_TCP else socket.SOCK_DGRAM
    protocol = probe.protocol if probe.service == "icmp" else 0
    return socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)


class Answerers:
    """Listening sockets for probes, and a thread that answers on them. The kernel answers pings."""

    def __init__(self, probes: Iterable[Probe]) -> None:
        self.arrived: set[tuple[str, str, int]] = set()
        """(source, destination, destination port) of what got through."""
        self._selector = selectors.DefaultSelector()
        self._stop_reader, self._stop_writer = socket.socketpair()
        self._selector.register(self._stop_reader, selectors.EVENT_READ)
        self._sockets: list[socket.socket] = []
        try:
            wanted = {(p.receiver, p.destination, p.service): p for p in probes if p.service != "icmp"}
            for probe in wanted.values():
                self._listen(probe)
        except BaseException:
            self._close_sockets()
            raise
        self._thread = threading.Thread(target=self._run, name="answerers", daemon=True)
        self._thread.start()

    def _listen(self, probe: Probe) -> None:
        with probe.receiver.enter():
            listener = _socket(probe)
        self._sockets.append(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((probe.destination, probe.port))
        if listener.type == socket.SOCK_STREAM:
            listener.listen()
        self._selector.register(listener, selectors.EVENT_READ)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                listener = key.fileobj
                if listener is self._stop_reader:
                    return
                if isinstance(listener, socket.socket):
                    # A sender that gave up meanwhile is no business of the answerer's.
                    with contextlib.suppress(OSError):
                        self._answer(listener)

    def _answer(self, listener: socket.socket) -> None:
        destination, port = listener.getsockname()[:2]
        if listener.type == socket.SOCK_STREAM:
            connection, source = listener.accept()
            self.arrived.add((source[0], destination, port))
            connection.close()
        else:
            data, source = listener.recvfrom(65_535)
            self.arrived.add((source[0], destination, port))
            listener.sendto(data, source)

    def _close_sockets(self) -> None:
        for opened in (*self._sockets, self._stop_reader, self._stop_writer):
            opened.close()
        self._selector.close()

    def close(self) -> None:
        """Stop answering."""
        self._stop_writer.send(b"x")
        self._thread.join()
        self._close_sockets()

    def __enter__(self) -> Answerers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(slots=True)
class _Asking:
    probe: Probe
    socket: socket.socket
    flow: Flow
    answered: bool = False


def _ask(probe: Probe) -> _Asking:
    with probe.sender.enter():
        asker = _socket(probe)
    try:
        asker.bind((probe.source, 0))
        with contextlib.suppress(BlockingIOError):
            asker.connect((probe.destination, probe.port))
        port = asker.getsockname()[1]
        if probe.service == "icmp":
            # The kernel fills in checksum and identifier.
            asker.send(struct.pack("!BBHHH", _ECHO_REQUEST[probe.version], 0, 0, 0, 1) + bytes(probe.size))
        elif asker.type == socket.SOCK_DGRAM:
            asker.send(bytes(probe.size))
    except BaseException:
        asker.close()
        raise
    flow = Flow(probe.protocol, probe.source, port, probe.destination, probe.port)
    return _Asking(probe, asker, flow)


def _is_answered(asking: _Asking) -> bool:
    """An answer of any kind: a refusal, too, comes from the other end."""
    if asking.socket.type == socket.SOCK_STREAM:
        error = asking.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return error in (0, errno.ECONNREFUSED)
    try:
        asking.socket.recv(65_535)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def send(
    probes: Sequence[Probe],
    answerers: Answerers,
    was_dropped: Callable[[Flow], bool],
    patience: float,
) -> list[tuple[Seen, Flow]]:
    """Send all probes at once; what became of each, in their order.

    `was_dropped` asks the gate's own report. A packet of which neither an answer nor such a report
    comes in `patience` seconds is lost.
    """
    askings: list[_Asking] = []
    try:
        for probe in probes:
            askings.append(_ask(probe))  # noqa: PERF401 - what was opened is closed when one fails
        _await(askings, was_dropped, patience)
        return [(_outcome(asking, answerers, was_dropped), asking.flow) for asking in askings]
    finally:
        for asking in askings:
            asking.socket.close()


def _await(askings: list[_Asking], was_dropped: Callable[[Flow], bool], patience: float) -> None:
    deadline = time.monotonic() + patience
    with selectors.DefaultSelector() as selector:
        for asking in askings:
            stream = asking.socket.type == socket.SOCK_STREAM
            selector.register(
                asking.socket, selectors.EVENT_WRITE if stream else selectors.EVENT_READ, asking
            )
        waiting = askings
        while waiting and time.monotonic() < deadline:
            for key, _ in selector.select(_POLL_SECONDS):
                key.data.answered = _is_answered(key.data)
                selector.unregister(key.fileobj)
            waiting = [a for a in askings if not a.answered and not was_dropped(a.flow)]


def _outcome(asking: _Asking, answerers: Answerers, was_dropped: Callable[[Flow], bool]) -> Seen:
    if asking.answered:
        return Seen.PASS
    flow = asking.flow
    if (flow.source, flow.destination, flow.destination_port) in answerers.arrived:
        return Seen.NO_ANSWER
    return Seen.DROP if was_dropped(flow) else Seen.LOST
