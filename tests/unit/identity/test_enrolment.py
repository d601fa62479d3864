"""Enrolment, and what is tried with tokens: each attack fails as it should, and spends nothing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from identities import (
    ADMIN,
    BEGIN,
    GATEWAY_KEY,
    NOT_VALID,
    Clock,
    Node,
    held,
    key,
    log_in,
    node_on,
    on_a_node,
    unseal,
)
from wardgate.gateway.errors import (
    ExistsError,
    GatewayError,
    InvalidError,
    NotFoundError,
    RefusedError,
)
from wardgate.gateway.identity import TokenText, preshared_context
from wardgate.gateway.ledger import Change, verify
from wardgate.gateway.records import AUDIT, SESSIONS, TOKENS
from wardgate.gateway.store import SqliteStore

DAY = 86_400


async def issue(node: Node, user: str = "alice", **options: object) -> str:
    """A token's text."""
    return (await node.tokens.issue(ADMIN, user, lifetime_s=DAY, **options))[1]  # type: ignore[arg-type]


def test_enrolment_does_all_that_the_token_says(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        token, text = await node.tokens.issue(
            ADMIN, "alice", lifetime_s=60, groups=["group:admins"], addresses=["fd09::9", "10.9.0.9"]
        )
        assert (token.uses, token.expires, token.created_by) == (1, BEGIN + 60, ADMIN)
        assert await node.tokens.list() == [token]
        enrolled = await node.enrolment.enrol(text, "laptop", key(0))
        device = enrolled.device
        assert (device.user, device.name, device.public_key) == ("alice", "laptop", key(0))
        assert device.addresses == ("10.9.0.9", "fd09::9")
        assert enrolled.user.groups == ("group:admins",)
        assert await node.users.get("alice") == enrolled.user
        assert await node.devices.find(key(0)) == device
        assert device.preshared_key is not None
        assert enrolled.preshared_key is not None
        secret = base64.b64decode(enrolled.preshared_key)
        assert unseal(device.preshared_key, preshared_context(device.id)) == secret
        assert await node.tokens.list() == []
        entries = await node.ledger.records(AUDIT)
        assert [(entry.actor, entry.action, entry.target) for entry in entries] == [
            (ADMIN, "added user", "alice"),
            (ADMIN, "issued token", token.id),
            (f"token:{token.id}", "joined groups", "alice"),
            (f"token:{token.id}", "enrolled device", "alice/laptop"),
        ]
        assert verify(entries).broken is None

    on_a_node(tmp_path, work)


def test_no_secret_is_kept_or_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="wardgate")

    async def work(node: Node) -> tuple[str, str]:
        text = await issue(node, uses=2)
        enrolled = await node.enrolment.enrol(text, "laptop", key(0))
        with pytest.raises(GatewayError) as caught:
            await node.enrolment.enrol(text, "laptop", key(1))
        secret = text[14:]
        assert enrolled.preshared_key is not None
        stored = b"".join(entry.value for entry in (await node.ledger.store.snapshot("")).entries)
        told = str(caught.value) + caplog.text + repr(enrolled) + repr(TokenText.parse(text))
        for hidden in (secret, text, enrolled.preshared_key):
            assert hidden.encode() not in stored
            assert hidden not in told
        assert hashlib.sha256(secret.encode()).hexdigest().encode() in stored
        return secret, enrolled.preshared_key

    hidden = on_a_node(tmp_path, work)
    # Nor in the file, with what was there before and is gone.
    for path in tmp_path.iterdir():
        assert not any(text.encode() in path.read_bytes() for text in hidden)


def test_whatever_is_wrong_with_a_token_is_told_in_the_same_words(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        spent = await issue(node)
        await node.enrolment.enrol(spent, "first", key(0))
        revoked_token, revoked = await node.tokens.issue(ADMIN, "alice", lifetime_s=DAY)
        await node.tokens.revoke(ADMIN, revoked_token.id)
        expired = (await node.tokens.issue(ADMIN, "alice", lifetime_s=60))[1]
        good, other = await issue(node), await issue(node, "bob")
        node.clock.at = BEGIN + 60
        before = await held(node)
        wrong = good[:-1] + ("A" if good[-1] != "A" else "B")
        texts = [
            spent, revoked, expired, wrong,
            good[:13] + other[13:], other[:13] + good[13:],
            "", "wg_", "x", good + "x", good[:-1], good + "\n", " " + good, good.upper(),
            "wg_aaaaaaaaaa_" + "A" * 43, "wg_../../etc_" + "A" * 43, "wg_" + "a" * 100_000, "\ud800", "\0",
            good.replace("_", "-"), good.replace("wg_", "WG_"), f"wg_{good[3:13].encode().hex()}_{good[14:]}",
        ]  # fmt: skip
        for text in texts:
            with pytest.raises(RefusedError) as caught:
                await node.enrolment.enrol(text, "laptop", key(1))
            assert str(caught.value) == NOT_VALID, text
        assert await held(node) == before
        await node.enrolment.enrol(good, "laptop", key(1))

    on_a_node(tmp_path, work)


@pytest.mark.parametrize(("after", "admits"), [(0, True), (59.9, True), (60, False), (10**9, False)])
def test_a_token_admits_until_it_expires(tmp_path: Path, after: float, admits: bool) -> None:
    async def work(node: Node) -> None:
        _, text = await node.tokens.issue(ADMIN, "alice", lifetime_s=60)
        node.clock.at = BEGIN + after
        if admits:
            await node.enrolment.enrol(text, "laptop", key(0))
        else:
            with pytest.raises(RefusedError, match="expired"):
                await node.enrolment.enrol(text, "laptop", key(0))

    on_a_node(tmp_path, work)


def test_a_token_that_has_no_uses_left_admits_nobody(tmp_path: Path) -> None:
    """One that is spent is gone; whatever left one behind, it is of no use."""

    async def work(node: Node) -> None:
        token, text = await node.tokens.issue(ADMIN, "alice", lifetime_s=DAY)

        async def spend(change: Change) -> None:
            change.put(TOKENS, replace(token, uses=0), token.id)

        await node.ledger.run("gateway", spend)
        with pytest.raises(RefusedError, match="not valid"):
            await node.enrolment.enrol(text, "laptop", key(0))
        assert await node.devices.list() == []

    on_a_node(tmp_path, work)


@pytest.mark.parametrize(("uses", "racers"), [(1, 40), (3, 20)])
def test_a_race_for_a_token_has_as_many_winners_as_it_has_uses(
    tmp_path: Path, uses: int, racers: int
) -> None:
    async def run() -> None:
        async with await SqliteStore.open(tmp_path / "store") as store:
            nodes = [node_on(store, Clock()) for _ in range(3)]
            text = await issue(nodes[0], uses=uses)
            results = await asyncio.gather(
                *(
                    nodes[number % 3].enrolment.enrol(text, f"d{number}", key(number))
                    for number in range(racers)
                ),
                return_exceptions=True,
            )
            won = [result for result in results if not isinstance(result, BaseException)]
            assert len(won) == uses
            assert {str(result) for result in results if result not in won} == {NOT_VALID}
            # Nothing else is spent: no address, key or name but the winners'.
            left = await held(nodes[0])
            assert sorted(name.split("/")[0] for name in left) == sorted(
                ["users", *(["devices", "device-names", "keys", "addresses", "addresses"] * uses)]
            )
            taken = {address for result in won for address in result.device.addresses}
            lowest = range(2, 2 + uses)
            assert taken == {f"{part}{last}" for last in lowest for part in ("10.9.0.", "fd09::")}
            assert verify(await nodes[0].ledger.records(AUDIT)).broken is None

    asyncio.run(run())


def test_a_race_for_a_name_a_key_and_an_address_has_one_winner_and_spends_one_token(tmp_path: Path) -> None:
    async def run() -> None:
        async with await SqliteStore.open(tmp_path / "store") as store:
            nodes = [node_on(store, Clock()) for _ in range(2)]
            texts = [await issue(nodes[0], addresses=["10.9.0.9"]) for _ in range(6)]
            results = await asyncio.gather(
                *(
                    nodes[number % 2].enrolment.enrol(text, "laptop", key(0))
                    for number, text in enumerate(texts)
                ),
                return_exceptions=True,
            )
            assert sum(not isinstance(result, BaseException) for result in results) == 1
            assert sum(isinstance(result, ExistsError) for result in results) == 5
            assert len(await nodes[0].tokens.list()) == 5
            assert len(await nodes[0].devices.list()) == 1

    asyncio.run(run())


def test_a_key_that_is_anothers_spends_nothing(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        await node.devices.add(ADMIN, "bob", "laptop", key(0))
        text = await issue(node)
        before = await held(node)
        small_order = base64.b64encode(bytes(32)).decode()
        same_point = base64.b64encode(base64.b64decode(key(0))[:31] + bytes([255])).decode()
        for public_key, error in (
            (key(0), ExistsError),
            (GATEWAY_KEY, ExistsError),
            (small_order, InvalidError),
            (same_point, InvalidError),
            ("x", InvalidError),
        ):
            with pytest.raises(error) as caught:
                await node.enrolment.enrol(text, "laptop", public_key)
            assert "bob" not in str(caught.value)
            assert await held(node) == before
        for name in ("../laptop", "", "a b", "x\nPostUp = id"):
            with pytest.raises(InvalidError, match="not a device's name"):
                await node.enrolment.enrol(text, name, key(1))
        assert await held(node) == before
        await node.enrolment.enrol(text, "laptop", key(1))

    on_a_node(tmp_path, work)


def test_who_has_no_token_does_not_learn_which_keys_there_are(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        await node.devices.add(ADMIN, "bob", "laptop", key(0))
        wrong = str(TokenText("a" * 10, "A" * 43))
        for public_key in (key(0), key(1), GATEWAY_KEY):
            with pytest.raises(RefusedError) as caught:
                await node.enrolment.enrol(wrong, "laptop", public_key)
            assert str(caught.value) == NOT_VALID

    on_a_node(tmp_path, work)


def test_a_fixed_address_that_somebody_took_meanwhile(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        text = await issue(node, addresses=["10.9.0.9"])
        other = await node.devices.add(ADMIN, "bob", "laptop", key(0), addresses=["10.9.0.9"])
        with pytest.raises(ExistsError, match="address"):
            await issue(node, addresses=["10.9.0.9"])
        before = await held(node)
        with pytest.raises(ExistsError, match="address"):
            await node.enrolment.enrol(text, "laptop", key(1))
        assert await held(node) == before
        await node.devices.remove(ADMIN, other.id)
        enrolled = await node.enrolment.enrol(text, "laptop", key(1))
        assert enrolled.device.addresses == ("10.9.0.9",)

    on_a_node(tmp_path, work)


def test_a_token_of_a_user_who_is_locked_admits_again_when_unlocked(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        text = await issue(node)
        await node.users.lock(ADMIN, "alice")
        before = await held(node)
        with pytest.raises(RefusedError, match="the user is locked"):
            await node.enrolment.enrol(text, "laptop", key(0))
        with pytest.raises(RefusedError, match="locked"):
            await issue(node)
        assert await held(node) == before
        await node.users.unlock(ADMIN, "alice")
        await node.enrolment.enrol(text, "laptop", key(0))

    on_a_node(tmp_path, work)


def test_a_token_goes_with_its_user(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        text = await issue(node)
        await node.users.remove(ADMIN, "alice")
        await node.users.add(ADMIN, "alice")
        with pytest.raises(RefusedError) as caught:
            await node.enrolment.enrol(text, "laptop", key(0))
        assert str(caught.value) == NOT_VALID

    on_a_node(tmp_path, work)


def test_a_group_that_the_policy_lost_meanwhile(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        text = await issue(node, groups=["group:contractors", "group:admins"])
        node.groups.remove("group:contractors")
        before = await held(node)
        # Without it, a rule that denies something to contractors would not hold.
        with pytest.raises(RefusedError, match="group:contractors"):
            await node.enrolment.enrol(text, "laptop", key(0))
        assert await held(node) == before

    on_a_node(tmp_path, work)


def test_prefixes_that_the_policy_lost_meanwhile(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        text = await issue(node, addresses=["10.9.0.9"])
        node.devices.pools = type(node.devices.pools).of(["10.7.0.0/24"])
        before = await held(node)
        with pytest.raises(RefusedError, match="tunnel prefixes"):
            await node.enrolment.enrol(text, "laptop", key(0))
        assert await held(node) == before

    on_a_node(tmp_path, work)


def test_what_is_told_once_is_told_though_the_kernel_refuses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a token would be spent, or be there, whose secret nobody has."""

    async def work(node: Node) -> None:
        async def refuse(revision: int) -> None:
            raise GatewayError("enforce", f"revision {revision}", "the kernel refuses")

        node.ledger.settle = refuse
        text = await issue(node)
        enrolled = await node.enrolment.enrol(text, "laptop", key(0))
        assert await node.devices.list() == [enrolled.device]
        assert caplog.text.count("is not in force yet: enforce revision") == 2
        with pytest.raises(GatewayError, match="the kernel refuses"):
            await node.devices.lock(ADMIN, enrolled.device.id)

    on_a_node(tmp_path, work)


def test_replacing_a_key(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        device = await node.devices.add(ADMIN, "alice", "laptop", key(0), keepalive=25)
        await log_in(node, device)
        text = await issue(node, replaces="alice/laptop")
        before = await held(node)
        with pytest.raises(ExistsError, match="own key"):
            await node.enrolment.enrol(text, "any", GATEWAY_KEY)
        assert await held(node) == before
        enrolled = await node.enrolment.enrol(text, "any", key(1))
        found = await node.devices.find(device.id)
        assert enrolled.device == found
        assert (found.name, found.addresses, found.keepalive) == ("laptop", device.addresses, 25)
        assert found.public_key == key(1)
        assert found.preshared_key != device.preshared_key
        assert enrolled.preshared_key is not None
        assert await node.ledger.get(SESSIONS, device.id) is None
        with pytest.raises(NotFoundError):
            await node.devices.find(key(0))
        with pytest.raises(RefusedError):
            await node.enrolment.enrol(text, "any", key(2))

    on_a_node(tmp_path, work)


def test_replacing_the_key_of_a_device_that_was_removed_or_locked(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        device = await node.devices.add(ADMIN, "alice", "laptop", key(0))
        text = await issue(node, replaces=device.id)
        await node.devices.lock(ADMIN, device.id)
        before = await held(node)
        with pytest.raises(RefusedError, match="the device is locked"):
            await node.enrolment.enrol(text, "laptop", key(1))
        assert await held(node) == before
        await node.devices.remove(ADMIN, device.id)
        # One of the same name is another device.
        await node.devices.add(ADMIN, "alice", "laptop", key(2))
        before = await held(node)
        with pytest.raises(RefusedError, match="was removed"):
            await node.enrolment.enrol(text, "laptop", key(1))
        assert await held(node) == before

    on_a_node(tmp_path, work)
