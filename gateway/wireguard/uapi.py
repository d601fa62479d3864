"""The text protocol of WireGuard in user space: requests and answers, without any I/O.

Lines of `key=value`, an empty line at the end; see https://www.wireguard.com/xplatform/ for the keys. An
answer ends with `errno=N`, where 0 is success.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_network
from typing import Any, Final, NoReturn

from wardgate.gateway.wireguard.changes import NO_PRESHARED_KEY, DeviceChange, PeerChange
from wardgate.gateway.wireguard.endpoint import Endpoint
from wardgate.gateway.wireguard.errors import WireGuardError
from wardgate.gateway.wireguard.keys import KEY_BYTES, PresharedKey, PrivateKey, PublicKey
from wardgate.gateway.wireguard.peers import DeviceState, Dump, Network, PeerState, in_order

GET: Final = b"get=1\n\n"
END: Final = b"\n\n"
_NS_PER_SECOND: Final = 1_000_000_000
_KNOWN: Final = 1 << 16
"""Texts whose values are kept: most of a dump is what the one before had, and reading addresses is slow."""

_PEER, _ENDPOINT, _STATUS = b"\npublic_key=", b"\nendpoint=", b"errno="
_KEY_TEXT: Final = 2 * KEY_BYTES
_USUAL_PLACE: Final = len(b"\npreshared_key=\nprotocol_version=1") + 2 * _KEY_TEXT
"""Where wireguard-go writes the line of a peer's endpoint, from its key's text on; it is looked for elsewhere
where that is not so."""
_LONGEST_STATUS: Final = 64
_network = lru_cache(_KNOWN)(ip_network)
_endpoint = lru_cache(_KNOWN)(Endpoint.parse)


class AnswerError(WireGuardError, ValueError):
    """An answer that is not of the protocol."""

    def __init__(self, line: str) -> None:
        # The keys' values may be secrets.
        name = line.partition("=")[0]
        WireGuardError.__init__(
            self,
            "read the device's answer",
            ascii(name[:40]),
            "it is not of WireGuard's protocol for user space",
            "update wireguard-go",
        )


def set_request(device: DeviceChange, peers: Iterable[PeerChange]) -> bytes:
    """A request that changes settings and peers, in this order."""
    lines = ["set=1"]
    if device.private_key is not None:
        lines.append(f"private_key={device.private_key.secret.hex()}")
    if device.listen_port is not None:
        lines.append(f"listen_port={device.listen_port}")
    if device.fwmark is not None:
        lines.append(f"fwmark={device.fwmark}")
    for peer in peers:
        lines += _peer_lines(peer)
    lines += ["", ""]
    return "\n".join(lines).encode()


def _peer_lines(peer: PeerChange) -> list[str]:
    lines = [f"public_key={peer.public_key.data.hex()}"]
    if peer.update_only:
        lines.append("update_only=true")
    if peer.remove:
        lines.append("remove=true")
        return lines
    if peer.preshared_key is not None:
        lines.append(f"preshared_key={peer.preshared_key.hex()}")
    if peer.endpoint is not None:
        lines.append(f"endpoint={peer.endpoint}")
    if peer.keepalive is not None:
        lines.append(f"persistent_keepalive_interval={peer.keepalive}")
    if peer.replace_allowed_ips:
        lines.append("replace_allowed_ips=true")
    lines += [f"allowed_ip={network}" for network in peer.allowed_ips]
    return lines


def read_status(answer: bytes) -> tuple[bytes, int]:
    """An answer less the status that it ends with, and that: 0, or an error number above 0; AnswerError."""
    last = answer[-_LONGEST_STATUS:].rstrip(b"\n").rpartition(b"\n")[2]
    if not last.startswith(_STATUS):
        # Not the line itself, of which this may be the end: it may be a secret's.
        _refuse("errno")
    # wireguard-go writes the kernel's numbers, which are negative.
    code: int = _read("errno", int, last.removeprefix(_STATUS))
    return answer[: answer.rindex(last)], abs(code)


def read_dump(answer: bytes) -> Dump:
    """The settings and peers of a successful answer to GET; AnswerError. Unknown keys are left out."""
    device, peers = DeviceState(), dict[PublicKey, PeerState]()
    lines: list[tuple[str, str]] = []
    key: PublicKey | None = None

    def finish() -> None:
        nonlocal device
        if key is None:
            device = _device(lines)
        else:
            peers[key] = _peer(key, lines)

    for line in answer.decode("ascii", errors="replace").splitlines():
        if not line:
            continue
        name, separator, value = line.partition("=")
        if not separator:
            _refuse(line)
        if name == "public_key":
            finish()
            key, lines = _read(line, lambda text: PublicKey(bytes.fromhex(text)), value), []
        else:
            lines.append((name, value))
    finish()
    return Dump(device, peers)


def read_places(answer: bytes, before: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Only where each peer is, of a successful answer to GET: the line of its endpoint, empty where it has
    none, by the text of its public key; see `key_of` and `endpoint_of`. `before` is the same of an earlier
    answer: who is where they were then is not searched for."""
    found = {}
    for peer in (b"\n" + answer).split(_PEER)[1:]:
        name = peer[:_KEY_TEXT]
        line = before.get(name, b"")
        if not (line and peer.startswith(line, _USUAL_PLACE)):
            start = peer.find(_ENDPOINT)
            line = peer[start : peer.find(b"\n", start + 1) + 1] if start >= 0 else b""
        found[name] = line
    return found


def key_of(text: bytes) -> bytes:
    """A public key; AnswerError."""
    key: PublicKey = _read("public_key", lambda read: PublicKey(bytes.fromhex(read.decode("ascii"))), text)
    return key.data


def endpoint_of(line: bytes) -> Endpoint:
    """The endpoint of a line of `read_places`; AnswerError."""
    text = line.removeprefix(_ENDPOINT).removesuffix(b"\n")
    found: Endpoint = _read("endpoint", lambda read: Endpoint.parse(read.decode("ascii")), text)
    return found


def _device(lines: Iterable[tuple[str, str]]) -> DeviceState:
    state = DeviceState()
    for name, value in lines:
        if name == "private_key" and value.strip("0"):
            private = _read(name, lambda text: PrivateKey(bytes.fromhex(text)), value)
            state = replace(state, private_key=private, public_key=private.public_key())
        elif name in ("listen_port", "fwmark"):
            change: dict[str, Any] = {name: _read(name, int, value)}
            state = replace(state, **change)
    return state


def _peer(key: PublicKey, lines: Iterable[tuple[str, str]]) -> PeerState:
    fields: dict[str, Any] = {}
    allowed: list[Network] = []
    handshake = [0, 0]
    for name, value in lines:
        match name:
            case "preshared_key":
                data = _read(name, bytes.fromhex, value)
                fields["preshared_key"] = PresharedKey(data) if data != NO_PRESHARED_KEY else None
            case "endpoint":
                fields["endpoint"] = _read(name, _endpoint, value)
            case "allowed_ip":
                allowed.append(_read(name, _network, value))
            case "persistent_keepalive_interval":
                fields["keepalive"] = _read(name, int, value) or None
            case "last_handshake_time_sec":
                handshake[0] = _read(name, int, value)
            case "last_handshake_time_nsec":
                handshake[1] = _read(name, int, value)
            case "rx_bytes":
                fields["received"] = _read(name, int, value)
            case "tx_bytes":
                fields["sent"] = _read(name, int, value)
    moment = handshake[0] * _NS_PER_SECOND + handshake[1]
    return PeerState(key, in_order(allowed), last_handshake=moment, **fields)


def _read(name: str, reader: Any, value: str | bytes) -> Any:
    try:
        return reader(value)
    except ValueError:
        _refuse(name)


def _refuse(line: str) -> NoReturn:
    # Without the error that led here: its text may hold a secret.
    raise AnswerError(line) from None
