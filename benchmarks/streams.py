"""Senders and receivers: TCP in bulk, and small datagrams that the kernel is handed many at a time."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import threading
import time
from pathlib import Path as FilePath
from typing import Final

from benchmarks.path import Path

_CHUNK: Final = 1 << 20
_MSG_TRUNC: Final = 0x20
_TIMEOUT: Final = 20.0
_BURST: Final = 64
_PAYLOAD: Final = 18
"""Bytes of a small datagram: with its headers the shortest Ethernet frame."""


class StreamError(Exception):
    """Packets did not arrive."""


class BulkStream:
    """A TCP connection from the client to the server, over which runs follow one another."""

    def __init__(self, path: Path, device: str, remote: str, port: int) -> None:
        with path.server.enter(), socket.create_server((remote, port)) as listener:
            listener.settimeout(_TIMEOUT)
            with path.client.enter():
                self._sender = socket.create_connection((remote, port), _TIMEOUT, (device, 0))
            self._receiver, _ = listener.accept()
        self._receiver.settimeout(_TIMEOUT)
        self._cpus = sorted(os.sched_getaffinity(0))

    def run(self, amount: int) -> float:
        """Seconds until `amount` bytes have arrived; multiples of 1 MiB."""
        sender = threading.Thread(target=self._send, args=(amount,))
        start = time.perf_counter()
        sender.start()
        os.sched_setaffinity(0, {self._cpus[-1]})
        try:
            missing = amount
            buffer = bytearray(_CHUNK)
            while missing:
                # With MSG_TRUNC a TCP socket drops what it has instead of copying it.
                got = self._receiver.recv_into(buffer, min(missing, _CHUNK), _MSG_TRUNC)
                if not got:
                    raise StreamError("the connection ended early")
                missing -= got
            return time.perf_counter() - start
        except TimeoutError:
            raise StreamError("no data for a long time: is the stream let pass?") from None
        finally:
            sender.join(_TIMEOUT)
            os.sched_setaffinity(0, self._cpus)

    def _send(self, amount: int) -> None:
        os.sched_setaffinity(0, {self._cpus[0]})
        chunk = bytes(_CHUNK)
        for _ in range(amount // _CHUNK):
            self._sender.sendall(chunk)

    def close(self) -> None:
        """End the connection."""
        self._sender.close()
        self._receiver.close()


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("sent", ctypes.c_uint32))


class SmallPackets:
    """Datagrams from the client to a socket of the server that nobody reads: over veth the sender's CPU
    does all the work until they are there, or dropped for want of room, so its time is the path's."""

    def __init__(self, path: Path, device: str, remote: str, port: int) -> None:
        self._path = path
        with path.server.enter():
            self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._receiver.bind((remote, port))
        with path.client.enter():
            self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sender.bind((device, 0))
            self._sender.connect((remote, port))
        self._payload = ctypes.create_string_buffer(_PAYLOAD)
        self._vector = _Vector(ctypes.addressof(self._payload), _PAYLOAD)
        self._messages = (_Message * _BURST)()
        for message in self._messages:
            message.header.vectors = ctypes.pointer(self._vector)
            message.header.vector_count = 1
        self._sendmmsg = ctypes.CDLL(None, use_errno=True).sendmmsg

    def run(self, count: int) -> float:
        """ns a datagram, of `count` in bursts of 64; StreamError unless all arrive."""
        before = self.arrived()
        taken = self.send(count)
        bursts = -(-count // _BURST)
        missing = bursts * _BURST - (self.arrived() - before)
        if missing:
            raise StreamError(f"{missing} of {bursts * _BURST} datagrams did not arrive")
        return taken / (bursts * _BURST)

    def send(self, count: int) -> int:
        """Send at least `count` datagrams, whatever becomes of them; ns."""
        fd = self._sender.fileno()
        start = time.perf_counter_ns()
        for _ in range(-(-count // _BURST)):
            sent = self._sendmmsg(fd, self._messages, _BURST, 0)
            if sent != _BURST:
                raise StreamError(f"the kernel took {sent} datagrams of {_BURST}: errno {ctypes.get_errno()}")
        return time.perf_counter_ns() - start

    def arrived(self) -> int:
        """Datagrams that have come as far as the server's socket, also those it had no room for."""
        with self._path.server.enter():
            text = FilePath("/proc/thread-self/net/snmp").read_text(encoding="ascii")
        names, values = re.findall(r"^Udp: (.*)$", text, re.MULTILINE)
        fields: dict[str, int] = dict(zip(names.split(), map(int, values.split()), strict=True))
        return fields["InDatagrams"] + fields["RcvbufErrors"] + self._waiting()

    def _waiting(self) -> int:
        """Empty the socket: InDatagrams counts a datagram when it is read."""
        self._receiver.setblocking(False)
        count = 0
        while True:
            try:
                self._receiver.recv(_PAYLOAD)
                count += 1
            except BlockingIOError:
                return count

    def close(self) -> None:
        """Close the sockets."""
        self._sender.close()
        self._receiver.close()
