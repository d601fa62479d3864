"""A WireGuard device, whichever program it is of: what is asked of it, and what is common to all kinds."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol, Self

from wardgate.gateway.wireguard.changes import DeviceChange, PeerChange, addition, plan, removal, settings
from wardgate.gateway.wireguard.endpoint import Endpoint
from wardgate.gateway.wireguard.errors import WireGuardError
from wardgate.gateway.wireguard.keys import PrivateKey, PublicKey
from wardgate.gateway.wireguard.peers import DeviceState, Dump, Peer, PeerState, Reconciled, check_together


class Kind(StrEnum):
    """Which program a device is of."""

    KERNEL = "kernel"
    USERSPACE = "wireguard-go"


class WireGuardDevice(Protocol):
    """A device of the network namespace that the calling thread is in.

    Calls block, and may come from any thread that has no event loop running; they are made one after the
    other. All raise DeviceGoneError where the device is no longer there, and DeviceRefusedError where it
    refuses. A device stays when its process or the object goes: only `destroy` ends it.
    """

    name: str
    kind: Kind
    adopted: bool
    """Whether it was there before."""
    refused: tuple[str, ...]
    """Why each kind that was tried before was not taken."""

    def configure(self, private_key: PrivateKey, listen_port: int, fwmark: int | None = None) -> DeviceChange:
        """Set what differs, and give that. With another key all sessions end; peers stay."""

    def state(self) -> DeviceState:
        """The device's settings."""

    def peers(self) -> Mapping[PublicKey, PeerState]:
        """All peers, in one dump."""

    def endpoints(self) -> Mapping[bytes, Endpoint | None]:
        """Where each peer is, by its public key: one dump, of which nothing else is read. None: unknown.
        Who did not move since the dump before has the same object."""

    def add(self, peers: Iterable[Peer]) -> None:
        """Make these peers what is wanted, without looking at any other.

        An allowed IP that another peer has moves to the one that is added. PeerConflictError where two of
        these can't be had together.
        """

    def remove(self, keys: Iterable[PublicKey]) -> None:
        """Remove peers: the next packet of each is dropped. One that isn't there is fine."""

    def reconcile(self, wanted: Iterable[Peer]) -> Reconciled:
        """Make the device's peers those that are wanted, by one dump and by telling it what differs.

        Endpoints and sessions of peers stay, also of those whose allowed IPs change. PeerConflictError.
        """

    def close(self) -> None:
        """Let go of the device, which goes on; every later call is refused."""

    def destroy(self) -> None:
        """Remove the device, with all of its peers, addresses and routes. One that is gone is fine."""


class BaseDevice(ABC):
    """What all kinds have in common; each gives a dump, a way to apply changes, and an end."""

    kind: Kind

    def __init__(self, name: str, *, adopted: bool) -> None:
        self.name = name
        self.adopted = adopted
        self.refused: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def _use(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise WireGuardError("use WireGuard device", self.name, "it was closed", "open it again")
            yield

    @abstractmethod
    def _dump(self) -> Dump:
        """Settings and peers."""

    def _endpoints(self) -> Mapping[bytes, Endpoint | None]:
        """Where each peer is."""
        return {key.data: state.endpoint for key, state in self._dump().peers.items()}

    @abstractmethod
    def _apply(self, device: DeviceChange, peers: Iterable[PeerChange]) -> None:
        """Make changes, in this order."""

    @abstractmethod
    def _remove(self) -> None:
        """End the device."""

    def configure(self, private_key: PrivateKey, listen_port: int, fwmark: int | None = None) -> DeviceChange:
        """Set what differs, and give that."""
        if not 0 <= listen_port <= 65535:
            raise ValueError(f"port {listen_port} is not between 0 and 65535")
        with self._use():
            missing = settings(self._dump().device, DeviceChange(private_key, listen_port, fwmark))
            if missing:
                self._apply(missing, ())
            return missing

    def state(self) -> DeviceState:
        """The device's settings."""
        with self._use():
            return self._dump().device

    def peers(self) -> Mapping[PublicKey, PeerState]:
        """All peers."""
        with self._use():
            return self._dump().peers

    def endpoints(self) -> Mapping[bytes, Endpoint | None]:
        """Where each peer is, by its public key."""
        with self._use():
            return self._endpoints()

    def add(self, peers: Iterable[Peer]) -> None:
        """Make these peers what is wanted."""
        changes = [addition(peer) for peer in check_together(peers).values()]
        with self._use():
            self._apply(DeviceChange(), changes)

    def remove(self, keys: Iterable[PublicKey]) -> None:
        """Remove peers."""
        changes = [removal(key) for key in dict.fromkeys(keys)]
        with self._use():
            self._apply(DeviceChange(), changes)

    def reconcile(self, wanted: Iterable[Peer]) -> Reconciled:
        """Make the device's peers those that are wanted."""
        with self._use():
            present = self._dump()
            found = plan(check_together(wanted, present.device.public_key), present.peers)
            if found.changes:
                self._apply(DeviceChange(), found.changes)
            return found.outcome

    def close(self) -> None:
        """Let go of the device, which goes on; every later call is refused."""
        with self._lock:
            self._closed = True

    def destroy(self) -> None:
        """Remove the device."""
        with self._use():
            self._remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"
