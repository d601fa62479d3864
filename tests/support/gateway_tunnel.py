"""A gate and a WireGuard device in memory, as enforcement.Tunnel asks them, and sessions on top of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from identities import ADMIN, Node, key, on_a_node, unseal
from wardgate.gateway.challenges import Proof
from wardgate.gateway.enforcement import Tunnel, Worker, World
from wardgate.gateway.events import Bus
from wardgate.gateway.records import SESSIONS, Device
from wardgate.gateway.roaming import Watched
from wardgate.gateway.sessions import Sessions
from wardgate.gateway.sessions.endpoints import Endpoints
from wardgate.gateway.settings import Sessions as Limits
from wardgate.gateway.wireguard import Endpoint, Peer, PublicKey
from wardgate.runtime.addresses import DeviceError
from wardgate.runtime.devices import DeviceSpec
from wardgate.runtime.sessions import Session, SessionError, SessionState

HOME = Endpoint(ip_address("192.0.2.7"), 5000)
AWAY = Endpoint(ip_address("198.51.100.9"), 7000)
PROOF = Proof("alice", "totp", 0)


class MemoryGate:
    """Devices that stay keep their sessions, as in runtime.gate."""

    def __init__(self) -> None:
        self.specs: list[DeviceSpec] = []
        self.granted: set[DeviceSpec] = set()
        self.locked: set[DeviceSpec] = set()
        self.sessions = self
        self.devices = self

    def set_devices(self, specs: Sequence[DeviceSpec]) -> None:
        self.specs = list(specs)
        self.granted &= set(specs)
        self.locked &= set(specs)

    def put_device(self, spec: DeviceSpec) -> None:
        self.specs.append(spec)

    def remove_device(self, address: Any) -> None:
        spec = self._at(address)
        self.set_devices([one for one in self.specs if one != spec])

    def slot_of(self, address: Any) -> int:
        return self.specs.index(self._at(address))

    def grant(self, address: Any, _lifetime: float, _idle: float | None, **_: bool) -> Session:
        spec = self._at(address)
        if spec in self.locked:
            raise SessionError("grant session", str(address), "the device is locked", "unlock it first")
        self.granted.add(spec)
        return self._session(spec)

    def revoke(self, address: Any, **_: bool) -> Session:
        self.granted.discard(self._at(address))
        return self.get(address)

    def lock(self, address: Any, **_: bool) -> Session:
        self.locked.add(self._at(address))
        return self.get(address)

    def unlock(self, address: Any, **_: bool) -> Session:
        self.locked.discard(self._at(address))
        return self.get(address)

    def get(self, address: Any, **_: bool) -> Session:
        return self._session(self._at(address))

    def list(self) -> list[Session]:
        return [self._session(spec) for spec in self.specs]

    def _at(self, address: Any) -> DeviceSpec:
        for spec in self.specs:
            if str(address) in map(str, spec.addresses):
                return spec
        raise DeviceError("find device", str(address), "there is none")

    def _session(self, spec: DeviceSpec) -> Session:
        state = SessionState.AUTHORISED if spec in self.granted else SessionState.NONE
        if spec in self.locked:
            state = SessionState.LOCKED
        return Session(spec.user, tuple(spec.addresses), state, 60.0, None, 1.0)


@dataclass
class MemoryWireGuard:
    """Peers, all of them at home. `told` is called with each peer that comes, before it is there."""

    at: dict[PublicKey, Endpoint | None] = field(default_factory=dict)
    told: Callable[[Peer], None] = lambda _: None

    def peers(self) -> Mapping[PublicKey, Any]:
        return {key: SimpleNamespace(endpoint=endpoint) for key, endpoint in self.at.items()}

    def endpoints(self) -> Mapping[bytes, Endpoint | None]:
        return {key.data: endpoint for key, endpoint in self.at.items()}

    def add(self, peers: Iterable[Peer]) -> None:
        for peer in peers:
            self.told(peer)
            self.at[peer.public_key] = HOME

    def remove(self, keys: Iterable[PublicKey]) -> None:
        for gone in keys:
            self.at.pop(gone, None)

    def reconcile(self, peers: Sequence[Peer]) -> None:
        self.add(peer for peer in peers if peer.public_key not in self.at)


class MemoryDetector:
    """Knows which sessions are watched, and tells of no change: as one that sees packets, and sees none."""

    looks = False

    def __init__(self) -> None:
        self.watched: dict[bytes, Watched] = {}

    def reset(self, sessions: Mapping[bytes, Watched]) -> None:
        self.watched = dict(sessions)

    def watch(self, public_key: bytes, session: Watched) -> None:
        self.watched[public_key] = session

    def forget(self, public_key: bytes) -> None:
        self.watched.pop(public_key, None)


class MemoryTunnel:
    """Sessions of a node's devices."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.gate = MemoryGate()
        self.wireguard = MemoryWireGuard()
        self.detector = MemoryDetector()
        self.world = World()
        self.worker = Worker("kernel")
        gate: Any = self.gate
        wireguard: Any = self.wireguard
        detector: Any = self.detector
        self.tunnel = Tunnel(gate, wireguard, unseal)
        self.asked: list[Callable[[], Any]] = []
        """What is done when it is next asked where peers are, one each time."""
        self.sessions = Sessions(
            node.ledger,
            self.world,
            self.tunnel,
            self.worker,
            Limits(3600, None),
            Bus(),
            Endpoints(self._endpoints, 0.0),
            detector,
        )

    async def _endpoints(self) -> Mapping[str, Endpoint | None]:
        if self.asked:
            await self.asked.pop(0)()
        return self.tunnel.endpoints()

    async def follow(self) -> None:
        """Enforce what is stored, all of it."""
        self.world.replace(await self.node.ledger.store.snapshot(""))
        self.tunnel.reconcile(list(self.world.devices.values()), self.world.locked)

    def is_open(self, device: Device) -> bool:
        """Whether the device's session lets packets pass."""
        return self.gate.get(device.addresses[0]).state is SessionState.AUTHORISED


__all__ = ["HOME", "MemoryTunnel"]


def with_a_device(folder: Path, work: Callable[[MemoryTunnel, Device], Awaitable[None]]) -> None:
    """Do `work` with a tunnel, and alice's device in it."""

    async def run(node: Node) -> None:
        device = await node.devices.add(ADMIN, "alice", "laptop", key(1))
        made = MemoryTunnel(node)
        try:
            await made.follow()
            await work(made, device)
        finally:
            made.worker.close()

    on_a_node(folder, run)


async def is_closed(made: MemoryTunnel, device: Device) -> bool:
    """Whether there is no session anywhere, and nothing watches for one."""
    stored = await made.node.ledger.get(SESSIONS, device.id)
    return stored is None and not made.gate.granted and not made.detector.watched
