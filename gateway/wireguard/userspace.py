"""Devices of wireguard-go, which outlive the process that made them and are found again by their sockets.

A device is a TUN interface and a daemon, which begin and end with each other. The daemon listens on
/var/run/wireguard/NAME.sock; it belongs to no process of ours, so that nothing of ours that is killed takes
the tunnel along.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NoReturn

from wardgate.gateway.network.links import remove_link
from wardgate.gateway.wireguard import uapi
from wardgate.gateway.wireguard.changes import DeviceChange, PeerChange
from wardgate.gateway.wireguard.device import BaseDevice, Kind
from wardgate.gateway.wireguard.endpoint import Endpoint
from wardgate.gateway.wireguard.errors import (
    DeviceGoneError,
    DeviceRefusedError,
    DeviceUnavailableError,
    WireGuardError,
)
from wardgate.gateway.wireguard.peers import Dump
from wardgate.gateway.wireguard.places import Places

PROGRAM: Final = "wireguard-go"
SOCKETS: Final = Path("/var/run/wireguard")
"""Where wireguard-go puts the sockets; compiled into it."""
LINK_KIND: Final = "tun"
_LONGEST_WAIT: Final = 120.0
"""Seconds for one step of an exchange: a daemon that hangs must not hold a thread for ever."""
_END_SECONDS: Final = 20.0
_ENDLESS: Final = f"its interface is gone, and its {PROGRAM} still runs"
_LISTENING: Final = 0x10000
"""__SO_ACCEPTCON in /proc/net/unix."""
_RECEIVE_BYTES: Final = 1 << 20
_REMEDIES: Final = {
    errno.EADDRINUSE: "another program has this UDP port: choose another, or stop it (ss -lunp)",
}


class UserspaceDevice(BaseDevice):
    """A device of a wireguard-go daemon."""

    kind = Kind.USERSPACE

    def __init__(self, name: str, *, adopted: bool) -> None:
        super().__init__(name, adopted=adopted)
        self._places = Places(uapi.key_of, uapi.endpoint_of)

    @classmethod
    def create(cls, name: str) -> UserspaceDevice:
        """Start a daemon with a new device; DeviceUnavailableError says why not."""
        program = shutil.which(PROGRAM)
        if program is None:
            _unavailable(name, f"{PROGRAM} is not installed", f"install it (apt install {PROGRAM})")
        # One whose interface was removed a moment ago is about to end.
        if not _await_end(name):
            _unavailable(name, _ENDLESS, _find(name))
        if is_alive(name):
            _unavailable(
                name,
                f"{socket_path(name)} belongs to a device of this name in another network namespace",
                "choose another name",
            )
        _start(program, name)
        return cls(name, adopted=False)

    def _dump(self) -> Dump:
        return uapi.read_dump(self._exchange("read WireGuard device", uapi.GET))

    def _endpoints(self) -> Mapping[bytes, Endpoint | None]:
        answer = self._exchange("read WireGuard device", uapi.GET)
        return self._places.now(uapi.read_places(answer, self._places.told))

    def _apply(self, device: DeviceChange, peers: Iterable[PeerChange]) -> None:
        self._exchange("configure WireGuard device", uapi.set_request(device, peers))

    def _exchange(self, operation: str, request: bytes) -> bytes:
        """Send a request; its answer, less the status, which was success."""
        try:
            answer = _ask(self.name, request)
        except (ConnectionError, FileNotFoundError) as error:
            raise DeviceGoneError(
                operation,
                self.name,
                f"its {PROGRAM} has ended",
                "start the gateway again, which makes it anew; the system's log may tell why it ended",
            ) from error
        except OSError as error:
            code = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno or 0
            raise DeviceRefusedError(operation, self.name, code, os.strerror(code)) from error
        said, code = uapi.read_status(answer)
        if code:
            cause = f"{PROGRAM} says: {os.strerror(code)}"
            raise DeviceRefusedError(operation, self.name, code, cause, _REMEDIES.get(code, ""))
        return said

    def _remove(self) -> None:
        # The daemon ends with its interface, and takes its socket along.
        remove_link(self.name)
        if not _await_end(self.name):
            raise WireGuardError("remove WireGuard device", self.name, _ENDLESS, _find(self.name))
        if not is_alive(self.name):
            # A daemon that was killed leaves its socket.
            socket_path(self.name).unlink(missing_ok=True)


def socket_path(name: str) -> Path:
    """Where the device's daemon listens."""
    return SOCKETS / f"{name}.sock"


def is_listening_here(name: str) -> bool:
    """Whether a daemon of this network namespace has the device's socket.

    Sockets are files, which all namespaces see; the kernel lists them in the namespace of who made them.
    """
    paths = {str(socket_path(name)), str(socket_path(name).resolve())}
    for line in Path("/proc/thread-self/net/unix").read_text(errors="replace").splitlines()[1:]:
        parts = line.split(maxsplit=7)
        if len(parts) == 8 and parts[7] in paths and int(parts[3], 16) & _LISTENING:
            return True
    return False


def is_alive(name: str) -> bool:
    """Whether any daemon listens on the device's socket, in whichever network namespace."""
    try:
        with _connect(name):
            return True
    except OSError:
        return False


def _await_end(name: str) -> bool:
    """Wait for a daemon of this namespace whose interface is gone; whether it ended."""
    deadline = time.monotonic() + _END_SECONDS
    while is_listening_here(name):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _find(name: str) -> str:
    return f"find it and end it (ss -xlp src {socket_path(name)})"


def _start(program: str, name: str) -> None:
    """Have wireguard-go make itself a daemon: it returns once device and socket are there.

    In a session of its own, so that no signal from our terminal reaches it; and with nothing of our
    environment, where there may be secrets, but what Go's runtime is tuned by.
    """
    environment = {key: value for key, value in os.environ.items() if key == "PATH" or key.startswith("GO")}
    done = subprocess.run(  # noqa: S603 - the program that was just looked up, and a name that was checked
        [program, name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd="/",
        start_new_session=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stdout.decode(errors="replace").splitlines() if "ERROR" in line]
        said = " ".join(lines) or f"it ended with status {done.returncode}"
        remedy = "give the process CAP_NET_ADMIN and /dev/net/tun (modprobe tun)"
        _unavailable(name, said, remedy)


def _ask(name: str, request: bytes) -> bytes:
    with _connect(name) as connection:
        # One that refuses before it has read all says why in its answer.
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(request)
        answer = bytearray()
        while not answer.endswith(uapi.END):
            received = connection.recv(_RECEIVE_BYTES)
            if not received:
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            answer += received
        return bytes(answer)


def _connect(name: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(_LONGEST_WAIT)
        connection.connect(str(socket_path(name)))
    except BaseException:
        connection.close()
        raise
    return connection


def _unavailable(name: str, cause: str, remedy: str) -> NoReturn:
    raise DeviceUnavailableError(f"make {PROGRAM} device", name, cause, remedy)
