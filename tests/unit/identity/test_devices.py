"""Devices come, change and go, each whole, with what they alone may have."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from identities import ADMIN, Node, held, key, log_in, on_a_node, seal, unseal
from wardgate.gateway.errors import ExistsError, InvalidError, NotFoundError, RefusedError
from wardgate.gateway.identity import preshared_context
from wardgate.gateway.ledger import verify
from wardgate.gateway.records import AUDIT, DEVICES, SESSIONS


def test_a_device_is_found_by_all_that_is_its_own(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        device = await node.devices.add(ADMIN, "alice", "laptop", key(0), keepalive=25)
        assert (device.user, device.name, device.keepalive, device.locked, device.created) == (
            "alice", "laptop", 25, False, 1_000,
        )  # fmt: skip
        for text in (device.id, "alice/laptop", key(0), "10.9.0.2", "fd09::2", "FD09:0::2"):
            assert await node.devices.find(text) == device
        for address in ("10.9.0.2", "fd09::2", "fd09:0::2"):
            assert await node.devices.at_address(address) == device
        for address in ("10.9.0.3", "", "x", "fd09::2%eth0", "::ffff:10.9.0.2"):
            assert await node.devices.at_address(address) is None
        assert await node.devices.list() == await node.devices.list("alice") == [device]
        assert await node.devices.list("bob") == []
        with pytest.raises(InvalidError):
            await node.devices.list("group:admins")

    on_a_node(tmp_path, work)


@pytest.mark.parametrize(
    "text",
    ["", "laptop", "alice/", "/laptop", "alice/laptop/", "bob/laptop", "../laptop", "10.9.0.9", "a" * 12,
     "\ud800", "x" * 10_000, key(5), "alice/laptop\n", "devices/x"],
)  # fmt: skip
def test_what_is_no_device(tmp_path: Path, text: str) -> None:
    async def work(node: Node) -> None:
        await node.devices.add(ADMIN, "alice", "laptop", key(0))
        before = await held(node)
        with pytest.raises(NotFoundError) as caught:
            await node.devices.find(text)
        assert str(caught.value).isprintable()
        for call in (node.devices.lock, node.devices.unlock, node.devices.remove):
            with pytest.raises(NotFoundError):
                await call(ADMIN, text)
        assert await held(node) == before

    on_a_node(tmp_path, work)


def test_a_name_a_key_and_an_address_are_one_devices(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        await node.devices.add(ADMIN, "alice", "laptop", key(0), addresses=["10.9.0.9"])
        before = await held(node)
        for user, name, number, addresses, what in (
            ("alice", "laptop", 1, (), "name"),
            ("bob", "laptop", 0, (), "public key"),
            ("bob", "laptop", 1, ("10.9.0.9",), "address"),
        ):
            with pytest.raises(ExistsError, match=f"another device has this {what}"):
                await node.devices.add(ADMIN, user, name, key(number), addresses=addresses)
            assert await held(node) == before
        # Whoever has the key, an error does not say.
        with pytest.raises(ExistsError) as caught:
            await node.devices.add(ADMIN, "bob", "laptop", key(0))
        assert "alice" not in str(caught.value)
        other = await node.devices.add(ADMIN, "bob", "laptop", key(1))
        assert other.addresses == ("10.9.0.2", "fd09::2")

    on_a_node(tmp_path, work)


def test_a_preshared_key_is_sealed_for_its_device(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        one = await node.devices.add(ADMIN, "alice", "one", key(0))
        two = await node.devices.add(ADMIN, "alice", "two", key(1))
        none = await node.devices.add(ADMIN, "alice", "none", key(2), preshared=False)
        assert none.preshared_key is None
        assert one.preshared_key is not None
        assert two.preshared_key is not None
        secret = unseal(one.preshared_key, preshared_context(one.id))
        assert len(secret) == 32
        assert secret != unseal(two.preshared_key, preshared_context(two.id))
        assert unseal(one.preshared_key, preshared_context(two.id)) != secret
        stored = " ".join((await held(node)).values())
        assert base64.b64encode(secret).decode() not in stored
        assert seal(secret, preshared_context(one.id)) in stored
        replaced = await node.devices.replace_key(ADMIN, one.id, key(3))
        assert replaced.preshared_key is not None
        assert unseal(replaced.preshared_key, preshared_context(one.id)) != secret

    on_a_node(tmp_path, work)


def test_renaming(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        device = await node.devices.add(ADMIN, "alice", "laptop", key(0))
        await node.devices.add(ADMIN, "alice", "phone", key(1))
        renamed = await node.devices.rename(ADMIN, "alice/laptop", "desk")
        assert (renamed.id, renamed.name, renamed.public_key) == (device.id, "desk", device.public_key)
        assert await node.devices.find("alice/desk") == renamed
        with pytest.raises(NotFoundError):
            await node.devices.find("alice/laptop")
        with pytest.raises(ExistsError, match="name"):
            await node.devices.rename(ADMIN, device.id, "phone")
        with pytest.raises(InvalidError):
            await node.devices.rename(ADMIN, device.id, "../phone")
        before = await held(node)
        assert await node.devices.rename(ADMIN, device.id, "desk") == renamed
        assert await held(node) == before
        # The old name is free.
        await node.devices.add(ADMIN, "alice", "laptop", key(2))

    on_a_node(tmp_path, work)


def test_another_key_ends_the_session_and_frees_the_old_key(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        device = await node.devices.add(ADMIN, "alice", "laptop", key(0))
        other = await node.devices.add(ADMIN, "bob", "laptop", key(1))
        await log_in(node, device, other)
        with pytest.raises(ExistsError, match="public key"):
            await node.devices.replace_key(ADMIN, device.id, key(1))
        assert await node.ledger.get(SESSIONS, device.id) is not None
        replaced = await node.devices.replace_key(ADMIN, device.id, key(2))
        assert (replaced.id, replaced.addresses, replaced.public_key) == (device.id, device.addresses, key(2))
        assert await node.ledger.get(SESSIONS, device.id) is None
        assert await node.ledger.get(SESSIONS, other.id) is not None
        with pytest.raises(NotFoundError):
            await node.devices.find(key(0))
        assert (await node.devices.find(key(2))).id == device.id
        # The same key again is the same device's, with its key where it was.
        await node.devices.replace_key(ADMIN, device.id, key(2))
        assert (await node.devices.find(key(2))).id == device.id
        await node.devices.add(ADMIN, "bob", "second", key(0))

    on_a_node(tmp_path, work)


def test_locking_ends_the_session_and_unlocking_brings_none_back(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        device = await node.devices.add(ADMIN, "alice", "laptop", key(0))
        await log_in(node, device)
        assert (await node.devices.lock(ADMIN, device.id)).locked
        assert await node.ledger.get(SESSIONS, device.id) is None
        count = len(await node.ledger.records(AUDIT))
        assert (await node.devices.lock(ADMIN, device.id)).locked
        assert len(await node.ledger.records(AUDIT)) == count
        assert not (await node.devices.unlock(ADMIN, "alice/laptop")).locked
        assert await node.ledger.get(SESSIONS, device.id) is None

    on_a_node(tmp_path, work)


def test_removing_leaves_nothing_of_a_device(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        await node.users.add(ADMIN, "alice")
        before = await held(node)
        device = await node.devices.add(ADMIN, "alice", "laptop", key(0))
        await log_in(node, device)
        assert await node.devices.remove(ADMIN, "10.9.0.2") == device
        assert await held(node) == before
        again = await node.devices.add(ADMIN, "alice", "laptop", key(0))
        assert again.id != device.id
        assert again.addresses == device.addresses
        entries = await node.ledger.records(AUDIT)
        assert [(entry.action, entry.target) for entry in entries] == [
            ("added user", "alice"),
            ("added device", "alice/laptop"),
            ("removed device", "alice/laptop"),
            ("added device", "alice/laptop"),
        ]
        assert verify(entries).broken is None

    on_a_node(tmp_path, work)


@pytest.mark.parametrize("seconds", [0, -1, 65_536])
def test_a_keepalive_that_is_none(tmp_path: Path, seconds: int) -> None:
    async def work(node: Node) -> None:
        with pytest.raises(InvalidError, match="keepalive"):
            await node.devices.add(ADMIN, "alice", "laptop", key(0), keepalive=seconds)
        assert await node.ledger.records(DEVICES) == []

    on_a_node(tmp_path, work)


def test_no_more_devices_than_the_gate_has_room_for(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        node.devices.most = 2
        first = await node.devices.add(ADMIN, "alice", "one", key(0))
        _, text = await node.tokens.issue(ADMIN, "bob", lifetime_s=60, uses=3)
        await node.enrolment.enrol(text, "two", key(1))
        before = await held(node)
        with pytest.raises(RefusedError, match="no more devices"):
            await node.devices.add(ADMIN, "alice", "three", key(2))
        with pytest.raises(RefusedError, match="no more devices"):
            await node.enrolment.enrol(text, "three", key(2))
        # Not even a use of the token is spent. What is there can be changed as before.
        assert await held(node) == before
        await node.devices.replace_key(ADMIN, first.id, key(3))
        await node.devices.remove(ADMIN, first.id)
        await node.enrolment.enrol(text, "three", key(2))

    on_a_node(tmp_path, work)
