"""Addresses are each one device's, whichever node gives them, and giving one reads few."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from identities import ADMIN, GATEWAY_KEY, Clock, Node, WatchedStore, key, node_on, on_a_node
from store_machine import StoreMachine
from wardgate.gateway.errors import ExistsError, InvalidError, RefusedError
from wardgate.gateway.identity import Pools
from wardgate.gateway.records import ADDRESSES, DEVICES, Holder
from wardgate.gateway.store import Put, SqliteStore, Transaction

SMALL = ("10.9.0.0/29", "10.9.1.0/30", "fd09::/125")
"""Room for 5 and 2 addresses of IPv4 beside the gateway's, and 6 of IPv6."""
FREE = {
    4: [*(f"10.9.0.{last}" for last in range(2, 7)), "10.9.1.1", "10.9.1.2"],
    6: [f"fd09::{last:x}" for last in range(2, 8)],
}


# What is drawn does not depend on who wins a race, or on random ids.
NUMBERS = st.integers(0, 1_000)


class Allocating(StoreMachine):
    """Nodes that add and remove devices, and a model that knows which addresses are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = itertools.count()
        self.devices: dict[str, tuple[str, ...]] = {}
        self.nodes: list[Node] = []

    @initialize(count=st.integers(1, 3))
    def start(self, count: int) -> None:
        self.nodes = [node_on(self.store, Clock(), SMALL) for _ in range(count)]

    def free(self, version: int) -> list[str]:
        """What the model thinks is free, lowest first."""
        taken = set(itertools.chain.from_iterable(self.devices.values()))
        return [address for address in FREE[version] if address not in taken]

    def node(self, which: int) -> Node:
        return self.nodes[which % len(self.nodes)]

    @rule(which=NUMBERS)
    def add(self, which: int) -> None:
        node, number = self.node(which), next(self.keys)
        work = node.devices.add(ADMIN, "alice", f"d{number}", key(number), preshared=False)
        if self.free(4) and self.free(6):
            device = self.run(work)
            for address, version in zip(device.addresses, (4, 6), strict=True):
                assert address in self.free(version)
                if len(self.nodes) == 1:
                    assert address == self.free(version)[0]
            self.devices[device.id] = device.addresses
        else:
            with pytest.raises(RefusedError, match="all addresses"):
                self.run(work)

    @rule(which=NUMBERS, address=st.sampled_from(FREE[4] + FREE[6]))
    def add_with_address(self, which: int, address: str) -> None:
        node, number = self.node(which), next(self.keys)
        work = node.devices.add(ADMIN, "bob", f"d{number}", key(number), addresses=[address], preshared=False)
        if address in self.free(4) + self.free(6):
            device = self.run(work)
            assert device.addresses == (address,)
            self.devices[device.id] = device.addresses
        else:
            with pytest.raises(ExistsError, match="another device has this address"):
                self.run(work)

    @rule(which=NUMBERS, node=NUMBERS)
    def remove(self, which: int, node: int) -> None:
        if not self.devices:
            return
        device = list(self.devices)[which % len(self.devices)]
        removed = self.run(self.node(node).devices.remove(ADMIN, device))
        assert removed.addresses == self.devices.pop(device)

    @rule(count=st.integers(2, 4))
    def add_at_once(self, count: int) -> None:
        """On all nodes at the same time."""
        numbers = [next(self.keys) for _ in range(count)]
        room = min(len(self.free(4)), len(self.free(6)))

        async def race() -> list[object]:
            adds = [
                self.nodes[number % len(self.nodes)].devices.add(
                    ADMIN, "carol", f"d{number}", key(number), preshared=False
                )
                for number in numbers
            ]
            return list(await asyncio.gather(*adds, return_exceptions=True))

        results = self.run(race())
        won = [result for result in results if not isinstance(result, BaseException)]
        assert len(won) == min(count, room)
        assert all(isinstance(result, RefusedError) for result in results if result not in won)
        for device in self.run(self.nodes[0].devices.list("carol")):
            self.devices.setdefault(device.id, device.addresses)

    @invariant()
    def store_and_model_agree(self) -> None:
        if not self.nodes:
            return
        ledger = self.nodes[0].ledger
        stored = {device.id: device.addresses for device in self.run(ledger.records(DEVICES))}
        assert stored == self.devices
        holders = self.run(self.store.snapshot(ADDRESSES.prefix)).entries
        assert {
            ADDRESSES.names(entry.key)[0]: ADDRESSES.decode(entry.key, entry.value).device
            for entry in holders
        } == {address: device for device, addresses in stored.items() for address in addresses}


TestAllocating = Allocating.TestCase
TestAllocating.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


def test_a_new_device_among_ten_thousand_reads_few(tmp_path: Path) -> None:
    async def run() -> None:
        async with await SqliteStore.open(tmp_path / "store") as inner:
            store = WatchedStore(inner)
            taken = [str(ipaddress.ip_address("10.9.0.2") + number) for number in range(10_000)]
            for first in range(0, len(taken), 100):
                puts = tuple(
                    Put(ADDRESSES.key(address), ADDRESSES.encode(Holder(f"id{address}")))
                    for address in taken[first : first + 100]
                )
                await inner.commit(Transaction(puts))
            node = node_on(store, Clock(), ("10.9.0.0/16",))
            await node.devices.add(ADMIN, "alice", "first", key(0))
            assert (await node.devices.find("alice/first")).addresses == ("10.9.39.18",)
            store.snapshots = store.gets = 0
            for number in range(1, 21):
                await node.devices.add(ADMIN, "alice", f"d{number}", key(number))
            assert store.snapshots == 0
            assert store.gets <= 20 * 10
            assert len({device.addresses for device in await node.devices.list("alice")}) == 21

    asyncio.run(run())


def test_much_that_another_node_took_is_learnt_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with await SqliteStore.open(tmp_path / "store") as store:
            here, there = (node_on(store, Clock(), ("10.9.0.0/24",)) for _ in range(2))
            await here.devices.add(ADMIN, "alice", "first", key(0))
            for number in range(1, 41):
                await there.devices.add(ADMIN, "bob", f"d{number}", key(number))
            device = await here.devices.add(ADMIN, "alice", "second", key(100))
            assert device.addresses == ("10.9.0.43",)

    asyncio.run(run())


def test_other_pools_are_used_from_then_on(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        first = await node.devices.add(ADMIN, "alice", "first", key(0))
        assert first.addresses == ("10.9.0.2", "fd09::2")
        node.devices.pools = Pools.of(["10.77.0.0/24"], ["10.77.0.1"])
        second = await node.devices.add(ADMIN, "alice", "second", key(1))
        assert second.addresses == ("10.77.0.2",)
        third = await node.devices.add(ADMIN, "alice", "third", key(2))
        assert third.addresses == ("10.77.0.3",)
        # What it gives back is not of these pools.
        await node.devices.remove(ADMIN, first.id)
        fourth = await node.devices.add(ADMIN, "alice", "fourth", key(3))
        assert fourth.addresses == ("10.77.0.4",)
        with pytest.raises(InvalidError, match=r"tunnel prefixes \(10\.77\.0\.0/24\)"):
            await node.devices.add(ADMIN, "alice", "fifth", key(4), addresses=["10.9.0.9"])
        node.devices.pools = Pools.of([])
        with pytest.raises(RefusedError, match="no tunnel prefixes"):
            await node.devices.add(ADMIN, "alice", "fifth", key(4))

    on_a_node(tmp_path, work)


@pytest.mark.parametrize(
    "addresses",
    [["10.9.0.5", "10.9.0.6"], ["10.9.0.1"], ["10.8.0.1"], ["::ffff:10.9.0.5"], ["fd09::5%eth0"], ["x"],
     ["10.9.0.5\n"], ["10.9.0.0"]],
)  # fmt: skip
def test_addresses_that_a_device_cannot_have(tmp_path: Path, addresses: list[str]) -> None:
    async def work(node: Node) -> None:
        with pytest.raises(InvalidError):
            await node.devices.add(ADMIN, "alice", "laptop", key(0), addresses=addresses)
        assert await node.devices.list() == []
        assert await node.users.list() == []

    on_a_node(tmp_path, work)


def test_the_gateways_own_key_is_no_devices(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        with pytest.raises(ExistsError, match="own key"):
            await node.devices.add(ADMIN, "alice", "laptop", GATEWAY_KEY)
        device = await node.devices.add(ADMIN, "alice", "laptop", key(0))
        with pytest.raises(ExistsError, match="own key"):
            await node.devices.replace_key(ADMIN, device.id, GATEWAY_KEY)
        assert await node.devices.find("alice/laptop") == device

    on_a_node(tmp_path, work)
