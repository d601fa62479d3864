"""Clients of a kernel WireGuard gateway change their addresses in mid-flow: sessions end in the kernel."""

from __future__ import annotations

import asyncio
import base64
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from pyroute2 import IPRoute, WireGuard
from wardgate.cli.demo.links import Links
from wardgate.cli.demo.namespace import NetNamespace
from wardgate.cli.demo.network import DEVICE, Network
from wardgate.cli.demo.scenario import ADDRESSES, GATEWAY
from wardgate.cli.demo.tunnel import KERNEL, Tunnel
from wardgate.cli.demo.x25519 import generate
from wardgate.gateway.roaming.fentry import FentryDetector, remove
from wardgate.gateway.roaming.model import Endpoint, OnRoam, Roamed, Watched
from wardgate.gateway.roaming.pins import ROOT
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.elf import read_artefact
from wardgate.runtime.gate import Gate

_SLOTS: Final = 16
_USERS: Final = {user: ADDRESSES[user] for user in ("alice", "bob")}
_LAB, _DNS = ("10.1.2.3", 5000), ("10.0.0.53", 53)
_FLOW: Final = 40
_QUIET: Final = 1.0
_SESSION: Final = 600
_EVENT_SECONDS: Final = 5.0


class _Flow:
    """Numbered datagrams from a client to a server behind the gateway."""

    def __init__(self, network: Network, user: str, server: tuple[str, int]) -> None:
        with network.servers.enter():
            self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._receiver.bind(server)
        with network.clients[user].enter():
            self._sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sender.bind((ADDRESSES[user][0], 0))
        self._server = server
        self._number = 0

    def send(self, count: int = _FLOW) -> int:
        """Send so many; how many of them arrived."""
        first = self._number
        for _ in range(count):
            self._sender.sendto(self._number.to_bytes(4, "big"), self._server)
            self._number += 1
            time.sleep(0.002)
        arrived = set()
        end = time.monotonic() + _QUIET
        while len(arrived) < count and time.monotonic() < end:
            try:
                arrived.add(int.from_bytes(self._receiver.recv(4), "big"))
                end = time.monotonic() + _QUIET
            except BlockingIOError:
                time.sleep(0.01)
        return sum(number >= first for number in arrived)

    def close(self) -> None:
        self._receiver.close()
        self._sender.close()


class _Bed:
    """The network with its gate, and what is done to clients."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.network = stack.enter_context(
            Network(_USERS, [_LAB[0], _DNS[0]], lambda *ends: Tunnel(*ends, kinds=(KERNEL,)))
        )
        artefact = read_artefact((folder / "office-llvmlite.o").read_bytes())
        self.program = (folder / "detectors/fentry.o").read_bytes()
        with self.network.gateway.enter():
            self.gate = Gate.create_or_adopt(artefact, device=DEVICE, device_slots=_SLOTS)
            stack.callback(self._detach)
            self.gate.set_devices([DeviceSpec.of(user, *own) for user, own in _USERS.items()])
        self.network.up(GATEWAY, [])
        info = self.wireguard()
        self.own_key = info["key"]
        self.keys = {user: info["by_address"][own[0]] for user, own in _USERS.items()}
        self.moves = 0

    def _detach(self) -> None:
        with self.network.gateway.enter():
            self.gate.detach()

    @contextmanager
    def detector(self, on_roam: OnRoam = OnRoam.CHALLENGE) -> Iterator[FentryDetector]:
        detector = FentryDetector(DEVICE, self.program, self.own_key, on_roam)
        try:
            yield detector
        finally:
            detector.close()

    def wireguard(self) -> dict[str, Any]:
        """The gateway's key, endpoints by peer, and peers by their first tunnel address."""
        found: dict[str, Any] = {"key": b"", "endpoints": {}, "by_address": {}}
        with self.network.gateway.enter(), WireGuard() as netlink:
            for message in netlink.info(DEVICE):
                found["key"] = base64.b64decode(message.get("WGDEVICE_A_PUBLIC_KEY"))
                for peer in message.get("WGDEVICE_A_PEERS") or ():
                    key = base64.b64decode(peer.get("WGPEER_A_PUBLIC_KEY"))
                    known = peer.get("WGPEER_A_ENDPOINT")
                    found["endpoints"][key] = (ip_address(known["addr"]), known["port"]) if known else None
                    for allowed in peer.get("WGPEER_A_ALLOWEDIPS") or ():
                        found["by_address"][str(allowed["addr"]).partition("/")[0]] = key
        return found

    def endpoint(self, user: str) -> Endpoint | None:
        found: Endpoint | None = self.wireguard()["endpoints"][self.keys[user]]
        return found

    def configure_endpoint(self, user: str, address: str, port: int) -> None:
        peer = {
            "public_key": base64.b64encode(self.keys[user]).decode(),
            "endpoint_addr": address, "endpoint_port": port, "allowed_ips": [],
        }  # fmt: skip
        with self.network.gateway.enter(), WireGuard() as netlink:
            netlink.set(DEVICE, peer=peer)

    def log_in(self, detector: FentryDetector, user: str) -> None:
        own = ADDRESSES[user][0]
        slot = self.gate.devices.find(own).slot
        detector.watch(self.keys[user], Watched(slot, self.endpoint(user)))
        self.gate.sessions.grant(own, _SESSION)

    def session(self, user: str) -> str:
        return self.gate.sessions.get(ADDRESSES[user][0]).state.value

    def move(self, user: str) -> None:
        """Give the client's cable another address, and take the one that it has."""
        number = list(_USERS).index(user)
        self.moves += 1
        base = 64 + 8 * self.moves
        with Links(self.network.gateway) as here:
            here.address(f"cable{number}", f"192.0.2.{base + 1}/30")
        with self.network.clients[user].enter(), IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname="cable")
            netlink.addr("add", index=index, address=f"192.0.2.{base + 2}", prefixlen=30)
            netlink.route(
                "replace", dst=f"192.0.2.{4 * number + 1}/32", oif=index, prefsrc=f"192.0.2.{base + 2}"
            )
            for message in netlink.get_addr(index=index, family=socket.AF_INET):
                address = message.get("IFA_ADDRESS")
                if address != f"192.0.2.{base + 2}":
                    netlink.addr("del", index=index, address=address, prefixlen=30)

    def speak_to(self, user: str, address: str, *, new_keys: bool) -> None:
        """Let the client send to this address of the gateway; with `new_keys` it agrees on new ones first."""
        name = f"{DEVICE}-{list(_USERS).index(user) + 1}"
        text = base64.b64encode(self.own_key).decode()
        with self.network.clients[user].enter(), WireGuard() as netlink:
            if new_keys:
                netlink.set(name, peer={"public_key": text, "remove": True})
            netlink.set(
                name,
                peer={
                    "public_key": text, "allowed_ips": ["0.0.0.0/0", "::/0"],
                    "endpoint_addr": address, "endpoint_port": 51_820,
                },
            )  # fmt: skip

    def forget_keys(self, user: str) -> None:
        """Let the client's device agree on new keys with its next packet."""
        self.speak_to(user, f"192.0.2.{4 * list(_USERS).index(user) + 1}", new_keys=True)

    def move_to_six(self, user: str, last: int) -> None:
        """Give the client's cable this IPv6 address, and take those before.

        IPv4's too: the gateway sends to there until it knows better, and whoever hears it answers there.
        """
        with self.network.clients[user].enter(), IPRoute() as netlink:
            (index,) = netlink.link_lookup(ifname="cable")
            for message in netlink.get_addr(index=index):
                if not (address := message.get("IFA_ADDRESS")).startswith("fe80"):
                    netlink.addr("del", index=index, address=address, prefixlen=message["prefixlen"])
        with Links(self.network.clients[user]) as links:
            links.address("cable", f"2001:db8:c::{last:x}/64")

    def users_of(self, found: list[Roamed]) -> list[dict[str, Any]]:
        names = {key: user for user, key in self.keys.items()}
        return [
            {
                "user": names[one.public_key], "old": _text(one.old), "new": _text(one.new),
                "cleared": one.cleared, "by": one.detected_by,
            }
            for one in found
        ]  # fmt: skip


def _text(endpoint: Endpoint | None) -> str | None:
    return None if endpoint is None else f"{endpoint[0]}:{endpoint[1]}"


def _events(detector: FentryDetector, count: int) -> list[Roamed]:
    """The next events, at most so many, within some seconds."""

    async def read() -> list[Roamed]:
        found: list[Roamed] = []

        async def collect() -> None:
            async for one in detector.changes():
                found.append(one)
                if len(found) == count:
                    return

        with suppress(TimeoutError):
            await asyncio.wait_for(collect(), _EVENT_SECONDS if count else 0.2)
        return found

    return asyncio.run(read())


def observe(folder: Path) -> dict[str, Any]:
    """What became of packets and sessions, stage by stage; `sent`: how many a flow sends at once."""
    seen: dict[str, Any] = {"sent": _FLOW}
    with ExitStack() as stack:
        bed = _Bed(stack, folder)
        stack.callback(remove, DEVICE)
        lab = {user: _Flow(bed.network, user, (_LAB[0], _LAB[1] + n)) for n, user in enumerate(_USERS)}
        dns = _Flow(bed.network, "alice", _DNS)
        for flow in (*lab.values(), dns):
            stack.callback(flow.close)
        # Handshakes, so that there are endpoints.
        dns.send(1)
        lab["bob"].send(1)
        with bed.detector() as detector:
            seen["adopted at first"] = detector.adopted
            for user in _USERS:
                bed.log_in(detector, user)
            seen["roam"] = _roam(bed, detector, lab, dns)
            seen["configured"] = _configured(bed, detector)
            seen["others"] = _others(bed, detector)
            bed.log_in(detector, "alice")
            lab["alice"].send(1)
        seen["nobody there"] = _nobody_there(bed, lab)
        seen["by handshake"] = _by_handshake(bed, lab)
        seen["unknown endpoint"] = _unknown_endpoint(bed, lab)
        seen["six"] = _six(bed, lab)
        remove(DEVICE)
        seen["left"] = ROOT.exists()
    return seen


def _roam(bed: _Bed, detector: FentryDetector, lab: dict[str, _Flow], dns: _Flow) -> dict[str, Any]:
    before = {user: flow.send() for user, flow in lab.items()}
    old = bed.endpoint("alice")
    bed.move("alice")
    after = lab["alice"].send()
    seen = {
        "before": before, "after": after, "allowed after": dns.send(5), "bob after": lab["bob"].send(),
        "old": _text(old), "new": _text(bed.endpoint("alice")), "events": bed.users_of(_events(detector, 1)),
        "sessions": {user: bed.session(user) for user in _USERS},
    }  # fmt: skip
    bed.log_in(detector, "alice")
    return {**seen, "after login": lab["alice"].send(), "more events": len(_events(detector, 0))}


def _configured(bed: _Bed, detector: FentryDetector) -> dict[str, Any]:
    bed.configure_endpoint("bob", "192.0.2.250", 4000)
    unannounced = bed.session("bob")
    bed.log_in(detector, "bob")
    detector.expect(bed.keys["bob"], (ip_address("192.0.2.251"), 4000))
    bed.configure_endpoint("bob", "192.0.2.251", 4000)
    seen = {"unannounced": unannounced, "announced": bed.session("bob")}
    bed.configure_endpoint("bob", "192.0.2.252", 4000)
    return {**seen, "another": bed.session("bob"), "events": bed.users_of(_events(detector, 2))}


def _others(bed: _Bed, detector: FentryDetector) -> dict[str, Any]:
    """A device in another namespace has a peer of alice's key, which gets other endpoints."""
    keys = generate()
    with NetNamespace("other") as other:
        with Links(other) as links:
            links.add("wg9", "wireguard")
            links.up("wg9")
        with other.enter(), WireGuard() as netlink:
            netlink.set("wg9", private_key=keys.private_text, listen_port=4444)
            for last in range(3):
                netlink.set(
                    "wg9",
                    peer={
                        "public_key": base64.b64encode(bed.keys["alice"]).decode(), "allowed_ips": [],
                        "endpoint_addr": f"198.18.0.{last + 1}", "endpoint_port": 4444,
                    },
                )  # fmt: skip
        return {"session": bed.session("alice"), "events": len(_events(detector, 0))}


def _nobody_there(bed: _Bed, lab: dict[str, _Flow]) -> dict[str, Any]:
    """No process has the detector's descriptors."""
    seen: dict[str, Any] = {"before": lab["alice"].send()}
    bed.move("alice")
    seen["after"] = lab["alice"].send()
    seen["session"] = bed.session("alice")
    with bed.detector() as detector:
        seen["adopted"] = detector.adopted
        seen["events"] = bed.users_of(_events(detector, 1))
        seen["watched"] = detector.status().watched
    return seen


def _by_handshake(bed: _Bed, lab: dict[str, _Flow]) -> dict[str, Any]:
    with bed.detector(OnRoam.HANDSHAKE) as detector:
        seen: dict[str, Any] = {"adopted": detector.adopted, "watched": detector.status().watched}
        bed.log_in(detector, "alice")
        seen["before"] = lab["alice"].send()
        bed.move("alice")
        seen["moved"] = lab["alice"].send()
        bed.forget_keys("alice")
        seen["new keys there"] = lab["alice"].send()
        seen["session"] = bed.session("alice")
        bed.move("alice")
        bed.forget_keys("alice")
        seen["moved with new keys"] = lab["alice"].send()
        seen["session then"] = bed.session("alice")
        seen["events"] = [one["user"] for one in bed.users_of(_events(detector, 1))]
        return seen


def _unknown_endpoint(bed: _Bed, lab: dict[str, _Flow]) -> dict[str, Any]:
    """A session whose endpoint nobody knew ends with the first packet."""
    with bed.detector() as detector:
        slot = bed.gate.devices.find(ADDRESSES["alice"][0]).slot
        detector.watch(bed.keys["alice"], Watched(slot, None))
        bed.gate.sessions.grant(ADDRESSES["alice"][0], _SESSION)
        before = bed.session("alice")
        arrived = lab["alice"].send()
        events = bed.users_of(_events(detector, 1))
        detector.forget(bed.keys["alice"])
        bed.gate.sessions.grant(ADDRESSES["alice"][0], _SESSION)
        return {
            "before": before, "arrived": arrived, "old": [one["old"] for one in events],
            "forgotten": lab["alice"].send(),
        }  # fmt: skip


def _six(bed: _Bed, lab: dict[str, _Flow]) -> dict[str, Any]:
    """The client goes from IPv4 to IPv6, to another address there, and to another with new keys."""
    with Links(bed.network.gateway) as links:
        links.address("cable0", "2001:db8:c::1/64")
    with bed.detector() as detector:
        bed.log_in(detector, "alice")
        seen: dict[str, Any] = {"before": lab["alice"].send()}
        bed.move_to_six("alice", 2)
        bed.speak_to("alice", "2001:db8:c::1", new_keys=False)
        seen["from IPv4"] = lab["alice"].send()
        bed.log_in(detector, "alice")
        seen["after login"] = lab["alice"].send()
        bed.move_to_six("alice", 3)
        seen["to another"] = lab["alice"].send()
        seen["ends"] = [one["new"] for one in bed.users_of(_events(detector, 2))]
    # So that no handshake from elsewhere is remembered.
    remove(DEVICE)
    with bed.detector(OnRoam.HANDSHAKE) as detector:
        bed.log_in(detector, "alice")
        bed.move_to_six("alice", 4)
        seen["with its keys"] = lab["alice"].send()
        bed.move_to_six("alice", 5)
        bed.speak_to("alice", "2001:db8:c::1", new_keys=True)
        seen["with new keys"] = lab["alice"].send()
        seen["ends by handshake"] = [one["new"] for one in bed.users_of(_events(detector, 1))]
    return seen
