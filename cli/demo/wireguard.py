"""WireGuard devices: the kernel's, or wireguard-go's through its UAPI socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.x25519 import KeyPair

_SOCKETS = Path("/var/run/wireguard")
"""Where wireguard-go keeps the sockets of its configuration protocol, one a device."""
_START_SECONDS = 20.0


class TunnelError(RuntimeError):
    """A tunnel of this kind can't be had here."""


@dataclass(frozen=True, slots=True)
class RemotePeer:
    """A peer as a device knows it; `allowed` are prefixes, `endpoint` is (address, port), `preshared` a
    key of 32 bytes that both have besides."""

    public: bytes
    public_text: str
    allowed: tuple[str, ...]
    endpoint: tuple[str, int] | None
    preshared: bytes | None = None


class Device(Protocol):
    """A WireGuard device in some namespace."""

    name: str

    def configure(self, keys: KeyPair, port: int, peers: Iterable[RemotePeer]) -> None:
        """Set key, UDP port and peers."""

    def close(self) -> None:
        """Remove the device."""


class KernelDevice:
    """A device of the kernel's wireguard module."""

    title = "kernel WireGuard"

    def __init__(self, namespace: NetNamespace, name: str) -> None:
        from pyroute2 import NetlinkError

        self.name = name
        self._namespace = namespace
        with Links(namespace) as links:
            try:
                links.add(name, "wireguard")
            except NetlinkError as error:
                raise TunnelError(f"no kernel WireGuard: {os.strerror(error.code)}") from None

    def configure(self, keys: KeyPair, port: int, peers: Iterable[RemotePeer]) -> None:
        """Set key, UDP port and peers."""
        from pyroute2 import WireGuard

        with self._namespace.enter(), WireGuard() as netlink:
            netlink.set(self.name, private_key=keys.private_text, listen_port=port)
            for peer in peers:
                wanted: dict[str, Any] = {"public_key": peer.public_text, "allowed_ips": list(peer.allowed)}
                if peer.endpoint:
                    wanted |= {"endpoint_addr": peer.endpoint[0], "endpoint_port": peer.endpoint[1]}
                if peer.preshared:
                    wanted["preshared_key"] = b64encode(peer.preshared).decode()
                netlink.set(self.name, peer=wanted)

    def close(self) -> None:
        """Remove the device, where it is still there."""
        with Links(self._namespace) as links, contextlib.suppress(LookupError):
            links.remove(self.name)


class UserspaceDevice:
    """A device of a wireguard-go process, which ends with the device."""

    title = "wireguard-go"

    def __init__(self, namespace: NetNamespace, name: str) -> None:
        program = shutil.which("wireguard-go")
        if program is None:
            raise TunnelError("wireguard-go is not installed")
        self.name = name
        self._socket = _SOCKETS / f"{name}.sock"
        with namespace.enter():
            self._process = subprocess.Popen(  # noqa: S603 - the program that was just looked up
                [program, "-f", name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        try:
            self._await_socket()
        except BaseException:
            self.close()
            raise

    def _await_socket(self) -> None:
        """wireguard-go listens only when its device is there."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), self._connect():
                return
            if self._process.poll() is not None:
                said = self._process.stderr.read().decode(errors="replace") if self._process.stderr else ""
                raise TunnelError(f"wireguard-go ended with {self._process.returncode}: {said.strip()}")
            time.sleep(0.01)
        raise TunnelError(f"wireguard-go did not open {self._socket} in {_START_SECONDS:.0f} s")

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_START_SECONDS)
            connection.connect(str(self._socket))
        except BaseException:
            connection.close()
            raise
        return connection

    def configure(self, keys: KeyPair, port: int, peers: Iterable[RemotePeer]) -> None:
        """Set key, UDP port and peers, in the protocol of wireguard.com/xplatform."""
        lines = ["set=1", f"private_key={keys.private.hex()}", f"listen_port={port}", "replace_peers=true"]
        for peer in peers:
            lines.append(f"public_key={peer.public.hex()}")
            if peer.preshared:
                lines.append(f"preshared_key={peer.preshared.hex()}")
            if peer.endpoint:
                lines.append(f"endpoint={peer.endpoint[0]}:{peer.endpoint[1]}")
            lines += [f"allowed_ip={prefix}" for prefix in peer.allowed]
        with self._connect() as connection:
            connection.sendall(("\n".join(lines) + "\n\n").encode())
            answer = b""
            while not answer.endswith(b"\n\n") and (chunk := connection.recv(4096)):
                answer += chunk
        if b"errno=0\n" not in answer:
            raise TunnelError(f"wireguard-go refused the settings of {self.name}: {answer.decode().strip()}")

    def close(self) -> None:
        """End the process, which removes its device and its socket."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()
        self._socket.unlink(missing_ok=True)
