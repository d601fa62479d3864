"""What the gate and WireGuard are told of devices, and in which order."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gateway_tunnel import MemoryTunnel
from identities import ADMIN, Node, key, on_a_node, unseal
from wardgate.gateway.enforcement import Tunnel, World
from wardgate.gateway.errors import RefusedError
from wardgate.gateway.wireguard import Peer


def test_a_key_that_changed_while_nobody_followed_finds_no_session(tmp_path: Path) -> None:
    async def run(node: Node) -> None:
        device = await node.devices.add(ADMIN, "alice", "laptop", key(1))
        made = MemoryTunnel(node)
        await made.follow()
        made.tunnel.grant(device, 3600, None)
        other = await node.devices.replace_key(ADMIN, device.id, key(2))
        open_when_told: list[bool] = []

        def told(_: Peer) -> None:
            open_when_told.append(made.is_open(other))

        made.wireguard.told = told
        await made.follow()
        assert open_when_told == [False]
        assert not made.is_open(other)
        made.worker.close()

    on_a_node(tmp_path, run)


def test_a_session_that_was_left_in_the_gate_is_not_that_of_who_comes(tmp_path: Path) -> None:
    async def run(node: Node) -> None:
        device = await node.devices.add(ADMIN, "alice", "laptop", key(1))
        made = MemoryTunnel(node)
        await made.follow()
        made.tunnel.grant(device, 3600, None)
        other = await node.devices.replace_key(ADMIN, device.id, key(2))
        # Removed and put by one that was not there when it was granted.
        anew = Tunnel(made.tunnel.gate, made.tunnel.wireguard, unseal)
        anew.remove(device)
        anew.put(other, locked=False)
        assert not made.is_open(other)
        made.worker.close()

    on_a_node(tmp_path, run)


def test_peers_that_are_nobodys_are_gone_before_their_addresses_are_others(tmp_path: Path) -> None:
    async def run(node: Node) -> None:
        old = await node.devices.add(ADMIN, "alice", "laptop", key(1))
        made = MemoryTunnel(node)
        await made.follow()
        await node.devices.remove(ADMIN, old.id)
        await node.devices.add(ADMIN, "alice", "tablet", key(2), addresses=old.addresses)
        seen: list[set[str]] = []
        set_devices = made.gate.set_devices

        def watched(specs: Any) -> None:
            seen.append({str(one) for one in made.wireguard.at})
            set_devices(specs)

        made.gate.set_devices = watched  # type: ignore[method-assign]
        await made.follow()
        assert seen == [set()]
        assert {str(one) for one in made.wireguard.at} == {key(2)}
        made.worker.close()

    on_a_node(tmp_path, run)


def test_a_session_is_that_of_a_device_and_not_of_its_address(tmp_path: Path) -> None:
    async def run(node: Node) -> None:
        old = await node.devices.add(ADMIN, "alice", "laptop", key(1))
        made = MemoryTunnel(node)
        await made.follow()
        await node.devices.remove(ADMIN, old.id)
        new = await node.devices.add(ADMIN, "alice", "tablet", key(2), addresses=old.addresses)
        made.tunnel.remove(old)
        made.tunnel.put(new, locked=True)
        with pytest.raises(RefusedError):
            made.tunnel.grant(old, 3600, None)
        made.tunnel.set_lock(old, locked=False)
        assert made.tunnel.session(old) is None
        session = made.tunnel.session(new)
        assert session is not None
        assert session.state.value == "locked"
        made.tunnel.set_lock(new, locked=False)
        made.tunnel.grant(new, 3600, None)
        made.tunnel.revoke(old)
        assert made.is_open(new)
        made.worker.close()

    on_a_node(tmp_path, run)


def test_members_are_those_of_one_moment_whichever_thread_asks(tmp_path: Path) -> None:
    async def run(node: Node) -> None:
        users = [f"user{number:02}" for number in range(60)]
        for user in users:
            await node.users.add(ADMIN, user, ["group:admins"])
        snapshot = await node.ledger.store.snapshot("")
        world, seen, over = World(), set[int](), threading.Event()
        world.replace(snapshot)

        def ask() -> None:
            while not over.is_set():
                seen.add(len(world.members()["group:admins"]))

        thread = threading.Thread(target=ask)
        thread.start()
        for revision in range(300):
            world.replace(replace(snapshot, revision=revision))
        over.set()
        thread.join()
        assert seen == {len(users)}

    on_a_node(tmp_path, run)
