"""Devices of the kernel's WireGuard by the gateway's own code: made, reconciled, adopted, in use, removed."""

from __future__ import annotations

import errno
import socket
import threading
import time
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any, Final

from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.x25519 import generate
from wardgate.gateway.network.links import bring_up, find_link
from wardgate.gateway.network.routes import addresses, routes
from wardgate.gateway.network.tunnel import TunnelNetwork
from wardgate.gateway.wireguard import (
    DeviceGoneError,
    DeviceRefusedError,
    Endpoint,
    Kind,
    Peer,
    PresharedKey,
    PrivateKey,
    PublicKey,
    Reconciled,
    WireGuardDevice,
    find_device,
    open_device,
)

_NAME: Final = "wg0"
_PEERS: Final = 1000
_PORT: Final = 51820
_FEW: Final = 100
_CHANGES: Final = 40
_MANY_ALLOWED: Final = 2000
_OWN: Final = (ip_interface("10.9.0.1/16"), ip_interface("fd09::1/64"))


def observe(_folder: Path) -> dict[str, Any]:
    """Step to what was seen."""
    return {"device": _device(), "tunnel": _tunnel()}


def _peer(number: int) -> Peer:
    return Peer(
        PublicKey(number.to_bytes(32, "big")),
        (ip_network((0x0A090000 + number, 32)), ip_network(f"fd09::{number:x}/128")),
        PresharedKey(number.to_bytes(32, "little")) if number % 2 else None,
        number % 60 or None,
    )


def _device() -> dict[str, Any]:
    seen: dict[str, Any] = {}
    wanted = [_peer(number) for number in range(2, _PEERS + 2)]
    with NetNamespace("guest") as namespace, namespace.enter():
        device = open_device(_NAME)
        seen["made"] = [device.kind, device.adopted, list(device.refused), _link()]
        own = PrivateKey(generate().private)
        seen["configured"] = [bool(device.configure(own, _PORT, 7)), bool(device.configure(own, _PORT, 7))]
        state = device.state()
        seen["state"] = [state.private_key == own, state.listen_port, state.fwmark]

        seconds = {"add": _timed(lambda: device.add(wanted)), "dump": _timed(device.peers)}
        seen["as wanted"] = [_differences(device, wanted)]
        seen["reconciled"] = [_counts(device.reconcile(wanted))]
        adopted = open_device(_NAME, Kind.USERSPACE)
        seen["adopted"] = [adopted.kind, adopted.adopted, len(adopted.peers())]

        # One of each kind, and two that exchange their allowed IPs.
        one, other = wanted[10], wanted[20]
        wanted[10] = replace(one, allowed_ips=other.allowed_ips)
        wanted[20] = replace(other, allowed_ips=one.allowed_ips, preshared_key=None, keepalive=None)
        wanted = [*wanted[1:], replace(_peer(5000), endpoint=_address("fe80::5%1", 9))]
        seconds["reconcile"] = _timed(lambda: seen["reconciled"].append(_counts(device.reconcile(wanted))))
        seen["as wanted"].append(_differences(device, wanted))

        # More than fits into one message of either direction.
        wanted = wanted[-_FEW:]
        wide = Peer(PublicKey(bytes([8] * 32)), tuple(_wide(number) for number in range(_MANY_ALLOWED)))
        narrow = replace(wide, allowed_ips=wide.allowed_ips[:3])
        for peer in (wide, narrow):
            seen["reconciled"].append(_counts(device.reconcile([*wanted, peer])))
            seen["as wanted"].append(_differences(device, [*wanted, peer]))
        seen["endpoint"] = str(device.peers()[wanted[-1].public_key].endpoint)

        seen["while it changes"] = _dumps_while_it_changes(device, wanted)
        device.remove([*(peer.public_key for peer in wanted), narrow.public_key])
        seen["removed"] = len(device.peers())
        seen["port"] = _port_in_use(device, own)
        device.destroy()
        device.destroy()
        seen["destroyed"] = [_link(), find_device(_NAME)]
        try:
            device.peers()
        except DeviceGoneError as error:
            seen["gone"] = [error.cause, error.remedy]
        return {**seen, "seconds": {name: round(value, 2) for name, value in seconds.items()}}


def _wide(number: int) -> Any:
    return ip_network((0x0B000000 + number, 32)) if number % 2 else ip_network((number << 64, 128))


def _timed(work: Any) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _differences(device: WireGuardDevice, wanted: list[Peer]) -> int:
    """How many peers are not as wanted."""
    has = {
        one.public_key: (one.allowed_ips, one.preshared_key, one.keepalive) for one in device.peers().values()
    }
    wish = {one.public_key: (one.allowed_ips, one.preshared_key, one.keepalive) for one in wanted}
    return len({key for key in has.keys() | wish.keys() if has.get(key) != wish.get(key)})


def _counts(done: Reconciled) -> list[int]:
    return [len(done.added), len(done.changed), len(done.removed)]


def _link() -> list[Any] | None:
    found = find_link(_NAME)
    return [found.kind, found.up] if found else None


def _dumps_while_it_changes(device: WireGuardDevice, wanted: list[Peer]) -> list[int]:
    """Sizes of dumps while another thread adds and removes a peer: the others are there in each."""
    other = open_device(_NAME)
    extra = _peer(6000)
    names = {peer.public_key for peer in wanted}

    def change() -> None:
        for _ in range(_CHANGES):
            other.add([extra])
            other.remove([extra.public_key])

    thread = threading.Thread(target=change)
    thread.start()
    seen = []
    while thread.is_alive():
        seen.append(len(device.peers().keys() & names))
    thread.join()
    return seen


def _port_in_use(device: WireGuardDevice, own: PrivateKey) -> list[Any]:
    bring_up(_NAME)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 0))
        try:
            device.configure(own, taken.getsockname()[1])
        except DeviceRefusedError as error:
            return [errno.errorcode[error.errno or 0], bool(error.remedy)]
    return ["taken all the same", False]


def _tunnel() -> dict[str, Any]:
    """A tunnel that carries packets while others' settings change, and one's own."""
    seen: dict[str, Any] = {}
    keys, secret = (generate(), generate()), PresharedKey(bytes([5] * 32))
    with NetNamespace("gateway") as here, NetNamespace("client") as there:
        with Links(here) as one, Links(there) as other:
            one.add_veth("cable", there, "cable")
            for links, address in ((one, "192.0.2.1/24"), (other, "192.0.2.2/24")):
                links.address("cable", address)
                links.up("cable")
        with here.enter():
            gateway = open_device(_NAME)
            gateway.configure(PrivateKey(keys[0].private), _PORT)
            network = TunnelNetwork(_NAME, _OWN, (ip_network("10.9.0.0/16"), ip_network("10.10.0.0/16")))
            network.prepare()
            seen["prepared"] = [
                _link(),
                sorted(str(one.address) for one in addresses() if one.interface == _NAME),
            ]
            client = Peer(PublicKey(keys[1].public), (ip_network("10.9.0.2/32"),), secret)
            gateway.reconcile([client])
            network.activate()
            seen["activated"] = [
                _link(),
                sorted(str(one.prefix) for one in routes() if one.interface == _NAME),
            ]
        with there.enter():
            device = open_device(_NAME)
            device.configure(PrivateKey(keys[1].private), 0)
            server = Peer(
                PublicKey(keys[0].public),
                (ip_network("10.9.0.0/16"),),
                secret,
                1,
                _address("192.0.2.1", _PORT),
            )
            device.reconcile([server])
            own = TunnelNetwork(_NAME, (ip_interface("10.9.0.2/16"),), ())
            own.prepare()
            own.activate()
        _send(here, there)
        with here.enter():
            first = gateway.peers()[client.public_key]
            seen["endpoint"] = (
                [str(first.endpoint.address), first.endpoint.port > 0] if first.endpoint else None
            )
            seen["handshake"] = [first.last_handshake > 0, first.received > 0, first.sent > 0]
            more = replace(client, allowed_ips=(*client.allowed_ips, ip_network("10.9.0.3/32")), keepalive=9)
            gateway.reconcile([more, *(_peer(number) for number in range(100, 150))])
        _send(here, there)
        with here.enter():
            last = gateway.peers()[client.public_key]
            seen["undisturbed"] = [
                last.last_handshake == first.last_handshake,
                last.endpoint == first.endpoint,
                last.received > first.received,
                [str(network) for network in last.allowed_ips],
            ]
            gateway.destroy()
            seen["left"] = [_link(), [str(one.prefix) for one in routes() if one.interface == _NAME]]
        return seen


def _address(address: str, port: int) -> Endpoint:
    return Endpoint(ip_address(address), port)


def _send(here: NetNamespace, there: NetNamespace) -> None:
    """Send datagrams through the tunnel until one arrives."""
    with here.enter():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with there.enter():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind(("10.9.0.1", 7))
        receiver.settimeout(0.2)
        while True:
            sender.sendto(b"x", ("10.9.0.1", 7))
            try:
                receiver.recv(10)
            except TimeoutError:
                continue
            return
