"""Users come with a clean slate, and go with all that was theirs."""

from __future__ import annotations

import asyncio
import contextvars
from pathlib import Path

import pytest
from identities import ADMIN, Clock, Node, WatchedStore, held, key, log_in, node_on, on_a_node
from wardgate.gateway.errors import ExistsError, GatewayError, InvalidError, NotFoundError
from wardgate.gateway.ledger import Change, verify
from wardgate.gateway.records import (
    AUDIT,
    CREDENTIALS,
    DEVICES,
    LOCKOUTS,
    RECOVERY,
    SESSIONS,
    TOKENS,
    USERS,
    Credential,
    Failures,
    Lockout,
    Recovery,
    User,
)
from wardgate.gateway.store import MOST_OPERATIONS, Delete, Snapshot, SqliteStore

DAY = 86_400


async def prove(node: Node, user: str) -> None:
    """Give a user all that proves who it is."""

    async def work(change: Change) -> None:
        for method in ("totp", "other"):
            change.put(CREDENTIALS, Credential(user, method, "sealed", True, 0, 0, 1), user, method)
        change.put(RECOVERY, Recovery(user, ("digest",), 1), user)
        change.put(LOCKOUTS, Lockout(user, 1, (Failures("a" * 12, 1, 1, 1),)), user)

    await node.ledger.run("gateway", work)


def test_adding_and_listing(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        bob = await node.users.add(ADMIN, "bob")
        alice = await node.users.add(ADMIN, "alice", ["group:contractors", "group:admins"])
        assert alice == User("alice", ("group:admins", "group:contractors"), False, 1_000)
        assert await node.users.list() == [alice, bob]
        assert await node.users.get("alice") == alice
        with pytest.raises(ExistsError):
            await node.users.add(ADMIN, "alice")
        with pytest.raises(NotFoundError):
            await node.users.get("carol")

    on_a_node(tmp_path, work)


@pytest.mark.parametrize("name", ["group:admins", "group:x", "*", "", "a/b", "../x", "alice\n", "\ud800"])
def test_a_hostile_name_is_no_users_anywhere(tmp_path: Path, name: str) -> None:
    async def work(node: Node) -> None:
        users, devices, tokens = node.users, node.devices, node.tokens
        for call in (
            users.add(ADMIN, name),
            users.get(name),
            users.join(ADMIN, name, "group:admins"),
            users.leave(ADMIN, name, "group:admins"),
            users.lock(ADMIN, name),
            users.unlock(ADMIN, name),
            users.remove(ADMIN, name),
            devices.add(ADMIN, name, "laptop", key(0)),
            tokens.issue(ADMIN, name, lifetime_s=60),
        ):
            with pytest.raises(InvalidError, match="not a user's name"):
                await call
        assert await held(node) == {}

    on_a_node(tmp_path, work)


def test_memberships(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        with pytest.raises(InvalidError, match=r"did you mean group:admins\?"):
            await node.users.add(ADMIN, "alice", ["admins"])
        await node.users.add(ADMIN, "alice")
        joined = await node.users.join(ADMIN, "alice", "group:admins")
        assert joined.groups == ("group:admins",)
        count = len(await node.ledger.records(AUDIT))
        assert await node.users.join(ADMIN, "alice", "group:admins") == joined
        assert len(await node.ledger.records(AUDIT)) == count
        with pytest.raises(InvalidError):
            await node.users.join(ADMIN, "alice", "group:nobody")
        with pytest.raises(NotFoundError):
            await node.users.join(ADMIN, "alcie", "group:admins")
        # A membership of a group that another policy does not have can still be ended.
        node.groups.remove("group:admins")
        with pytest.raises(InvalidError):
            await node.users.join(ADMIN, "bob", "group:admins")
        assert (await node.users.leave(ADMIN, "alice", "group:admins")).groups == ()
        with pytest.raises(NotFoundError):
            await node.users.leave(ADMIN, "alice", "group:admins")
        assert [user.name for user in await node.users.list()] == ["alice"]

    on_a_node(tmp_path, work)


def test_locking_ends_every_session(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        count = MOST_OPERATIONS + 20
        for number in range(count):
            await node.devices.add(ADMIN, "alice", f"d{number}", key(number), preshared=False)
        await node.devices.add(ADMIN, "bob", "laptop", key(count))
        await log_in(node, *await node.devices.list("alice"))
        await log_in(node, *await node.devices.list("bob"))
        assert len(await node.ledger.records(SESSIONS)) == count + 1
        assert (await node.users.lock(ADMIN, "alice")).locked
        assert [session.user for session in await node.ledger.records(SESSIONS)] == ["bob"]
        assert (await node.users.get("alice")).locked
        assert not (await node.users.unlock(ADMIN, "alice")).locked
        assert len(await node.ledger.records(SESSIONS)) == 1
        told = [entry.action for entry in await node.ledger.records(AUDIT) if entry.target == "alice"]
        assert told == ["added user", "locked user", "unlocked user"]
        with pytest.raises(NotFoundError):
            await node.users.lock(ADMIN, "carol")

    on_a_node(tmp_path, work)


def test_who_is_unlocked_while_sessions_end_stays_unlocked(tmp_path: Path) -> None:
    async def run() -> None:
        async with await SqliteStore.open(tmp_path / "store") as inner:
            store = WatchedStore(inner)
            here, there = node_on(store, Clock()), node_on(inner, Clock())
            for number in range(MOST_OPERATIONS + 20):
                await there.devices.add(ADMIN, "alice", f"d{number}", key(number), preshared=False)
            await there.users.add(ADMIN, "bob")
            await log_in(there, *await there.devices.list("alice"))

            async def unlock() -> None:
                await there.users.unlock(ADMIN, "alice")

            # Ending sessions writes no audit lines, so the second step is caught at its own reading.
            original = store.snapshot

            async def snapshot(prefix: str) -> Snapshot:
                if store.commits:
                    await asyncio.create_task(unlock(), context=contextvars.Context())
                return await original(prefix)

            store.snapshot = snapshot  # type: ignore[method-assign]
            await here.users.lock(ADMIN, "alice")
            assert not (await there.users.get("alice")).locked
            assert await there.ledger.records(SESSIONS) == []

    asyncio.run(run())


def test_removing_leaves_nothing_of_a_user(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        await node.users.add(ADMIN, "bob")
        await node.devices.add(ADMIN, "bob", "laptop", key(0))
        await node.tokens.issue(ADMIN, "bob", lifetime_s=DAY)
        await prove(node, "bob")
        await log_in(node, *await node.devices.list("bob"))
        before = await held(node)
        await node.devices.add(ADMIN, "alice", "laptop", key(1))
        await node.devices.add(ADMIN, "alice", "phone", key(2))
        await node.tokens.issue(ADMIN, "alice", lifetime_s=DAY)
        await prove(node, "alice")
        await log_in(node, *await node.devices.list("alice"))
        await node.users.remove(ADMIN, "alice")
        assert await held(node) == before
        with pytest.raises(NotFoundError):
            await node.users.remove(ADMIN, "alice")

    on_a_node(tmp_path, work)


def test_a_large_removal_is_in_steps_with_access_first(tmp_path: Path) -> None:
    async def run() -> None:
        async with await SqliteStore.open(tmp_path / "store") as inner:
            store = WatchedStore(inner)
            node = node_on(store, Clock())
            for number in range(40):
                await node.devices.add(ADMIN, "alice", f"d{number}", key(number), preshared=False)
            for _ in range(150):
                await node.tokens.issue(ADMIN, "alice", lifetime_s=DAY)
            await prove(node, "alice")
            await log_in(node, *await node.devices.list("alice"))
            store.commits.clear()
            await node.users.remove(ADMIN, "alice")
            assert await held(node) == {}
            assert len(store.commits) > 3
            deleted = [
                operation.key.split("/")[0]
                for transaction in store.commits
                for operation in transaction.operations
                if isinstance(operation, Delete)
            ]
            first = {kind: deleted.index(kind) for kind in deleted}
            assert max(place for place, kind in enumerate(deleted) if kind == "devices") < first["tokens"]
            assert max(place for place, kind in enumerate(deleted) if kind == "tokens") < first["credentials"]
            assert deleted[-1] == "users"
            # Locked before anything else, and gone at last.
            users = [
                operation
                for transaction in store.commits
                for operation in transaction.operations
                if operation.key == USERS.key("alice")
            ]
            assert not isinstance(users[0], Delete)
            assert USERS.decode("", users[0].value).locked
            assert users[0] in store.commits[0].operations
            assert verify(await node.ledger.records(AUDIT)).broken is None

    asyncio.run(run())


def test_a_removal_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    class PowerCutError(Exception):
        pass

    async def run() -> None:
        async with await SqliteStore.open(tmp_path / "store") as inner:
            store = WatchedStore(inner)
            node = node_on(store, Clock())
            for number in range(40):
                await node.devices.add(ADMIN, "alice", f"d{number}", key(number), preshared=False)
            _, text = await node.tokens.issue(ADMIN, "alice", lifetime_s=DAY)

            async def pass_by() -> None:
                pass

            async def cut() -> None:
                raise PowerCutError

            store.meanwhile = [pass_by, cut]
            with pytest.raises(PowerCutError):
                await node.users.remove(ADMIN, "alice")
            left = await node.devices.list("alice")
            assert 0 < len(left) < 40
            assert (await node.users.get("alice")).locked
            with pytest.raises(GatewayError, match="locked"):
                await node.enrolment.enrol(text, "new", key(100))
            await node.users.remove(ADMIN, "alice")
            assert await held(node) == {}

    asyncio.run(run())


@pytest.mark.parametrize("what", ["device", "token", "enrolment"])
def test_what_another_node_adds_while_a_user_is_removed_goes_too(tmp_path: Path, what: str) -> None:
    async def run() -> None:
        async with await SqliteStore.open(tmp_path / "store") as inner:
            store = WatchedStore(inner)
            here, there = node_on(store, Clock()), node_on(inner, Clock())
            await here.devices.add(ADMIN, "alice", "laptop", key(0))
            _, text = await here.tokens.issue(ADMIN, "alice", lifetime_s=DAY)

            async def meanwhile() -> object:
                if what == "device":
                    return await there.devices.add(ADMIN, "alice", "phone", key(1))
                if what == "token":
                    return await there.tokens.issue(ADMIN, "alice", lifetime_s=DAY)
                return await there.enrolment.enrol(text, "phone", key(1))

            store.meanwhile = [meanwhile]
            await here.users.remove(ADMIN, "alice")
            assert await held(here) == {}

    asyncio.run(run())


@pytest.mark.parametrize("what", ["device", "token", "enrolment"])
def test_what_is_added_to_a_user_who_is_removed_meanwhile_is_decided_anew(tmp_path: Path, what: str) -> None:
    async def run() -> None:
        async with await SqliteStore.open(tmp_path / "store") as inner:
            store = WatchedStore(inner)
            here, there = node_on(store, Clock()), node_on(inner, Clock())
            await there.users.add(ADMIN, "alice", ["group:admins"])
            _, text = await there.tokens.issue(ADMIN, "alice", lifetime_s=DAY)
            store.meanwhile = [lambda: there.users.remove(ADMIN, "alice")]
            if what == "enrolment":
                with pytest.raises(GatewayError, match="not valid"):
                    await here.enrolment.enrol(text, "phone", key(1))
                assert await held(here) == {}
                return
            if what == "device":
                await here.devices.add(ADMIN, "alice", "phone", key(1))
            else:
                await here.tokens.issue(ADMIN, "alice", lifetime_s=DAY)
            # Another alice, with nothing of the first one.
            assert (await here.users.get("alice")).groups == ()
            assert len(await here.ledger.records(DEVICES)) == (what == "device")
            assert len(await here.ledger.records(TOKENS)) == (what == "token")

    asyncio.run(run())


def test_a_new_user_has_no_proofs_of_one_of_the_same_name(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        # As another node may have written them, while the user was removed.
        await prove(node, "alice")
        await prove(node, "bob")
        await node.users.add(ADMIN, "alice")
        await node.devices.add(ADMIN, "bob", "laptop", key(0))
        left = await held(node)
        assert not [name for name in left if name.startswith(("credentials/", "recovery/", "lockouts/"))]

    on_a_node(tmp_path, work)
