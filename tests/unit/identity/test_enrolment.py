"""Enrolment, and what is tried with tokens: each attack fails as it should, and spends nothing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import logging
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from identities import ADMIN, BEGIN, GATEWAY_KEY, Clock, Node, held, key, log_in, node_on, on_a_node, unseal
from wardgate.gateway.errors import (
    ExistsError,
    GatewayError,
    InvalidError,
    NotFoundError,
    RefusedError,
)
from wardgate.gateway.identity import TokenText, preshared_context
from wardgate.gateway.ledger import verify
from wardgate.gateway.records import AUDIT, DEVICES, SESSIONS, TOKENS
from wardgate.gateway.store import SqliteStore

T = TypeVar("T")

DAY = 86_400
NOT_VALID = "enrol device: the token is not valid, or was used, or has expired; ask for another token"


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


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"uses": 0}, InvalidError),
        ({"uses": 10_001}, InvalidError),
        ({"lifetime_s": 0}, InvalidError),
        ({"lifetime_s": -5}, InvalidError),
        ({"lifetime_s": 367 * DAY}, InvalidError),
        ({"groups": ["group:nobody"]}, InvalidError),
        ({"groups": ["admins"]}, InvalidError),
        ({"addresses": ["10.9.0.1"]}, InvalidError),
        ({"addresses": ["10.8.0.2"]}, InvalidError),
        ({"addresses": ["10.9.0.2", "10.9.0.3"]}, InvalidError),
        ({"addresses": ["10.9.0.50"]}, ExistsError),
        ({"addresses": ["10.9.0.2"], "uses": 2}, InvalidError),
        ({"replaces": "bob/laptop", "uses": 2}, InvalidError),
        ({"replaces": "bob/laptop"}, InvalidError),
        ({"replaces": "alice/laptop"}, NotFoundError),
        ({"replaces": ""}, NotFoundError),
        ({"replaces": "bob/laptop", "addresses": ["10.9.0.2"]}, InvalidError),
    ],
)
def test_a_token_that_makes_no_sense(
    tmp_path: Path, options: dict[str, object], error: type[GatewayError]
) -> None:
    async def work(node: Node) -> None:
        await node.devices.add(ADMIN, "bob", "laptop", key(0), addresses=["10.9.0.50"])
        before = await held(node)
        with pytest.raises(error):
            await node.tokens.issue(ADMIN, "alice", **{"lifetime_s": DAY, **options})  # type: ignore[arg-type]
        assert await held(node) == before

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


def test_a_token_that_expired_is_not_good_again_when_the_clock_is_put_back(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        text = await issue(node)
        node.clock.at = BEGIN + DAY
        assert await node.tokens.sweep("gateway") == 1
        node.clock.at = BEGIN - 500
        with pytest.raises(RefusedError) as caught:
            await node.enrolment.enrol(text, "laptop", key(0))
        assert str(caught.value) == NOT_VALID
        # Nor does a clock that was wrong keep anybody from a new one.
        await node.enrolment.enrol(await issue(node), "laptop", key(0))

    on_a_node(tmp_path, work)


def test_revoking_and_sweeping(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        for _ in range(100):
            await node.tokens.issue(ADMIN, "alice", lifetime_s=60)
        kept, _ = await node.tokens.issue(ADMIN, "alice", lifetime_s=61)
        assert await node.tokens.sweep("gateway") == 0
        node.clock.at = BEGIN + 60
        assert await node.tokens.sweep("gateway") == 100
        assert await node.tokens.list() == [kept]
        assert await node.tokens.revoke(ADMIN, kept.id) == kept
        for text in (kept.id, "", "../x", "\ud800", "a" * 10_000):
            with pytest.raises(NotFoundError):
                await node.tokens.revoke(ADMIN, text)
        assert verify(await node.ledger.records(AUDIT)).broken is None

    on_a_node(tmp_path, work)


@given(st.text(max_size=80) | st.from_regex(r"wg_[a-z2-7]{9,11}_[A-Za-z0-9_-]{42,44}\n?", fullmatch=True))
def test_a_tokens_text_is_read_strictly(text: str) -> None:
    try:
        parsed = TokenText.parse(text)
    except RefusedError as error:
        assert str(error) == NOT_VALID  # noqa: PT017 - both outcomes are right
    else:
        assert str(parsed) == text
        assert len(text) == 57


class Enrolling(RuleBasedStateMachine):
    """Two nodes, tokens that are issued, used at once, revoked and outlived; a model counts their uses."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.store = self.run(SqliteStore.open(Path(self.folder.name) / "store"))
        self.clock = Clock()
        self.nodes = [node_on(self.store, self.clock) for _ in range(2)]
        self.numbers = itertools.count()
        self.left: dict[str, int] = {}
        self.expires: dict[str, float] = {}
        self.owner: dict[str, str] = {}
        self.locked: set[str] = set()
        self.enrolled: dict[str, int] = {"alice": 0, "bob": 0}

    def run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.runner.run(wait())

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    @rule(user=st.sampled_from(["alice", "bob"]), uses=st.integers(1, 4), lifetime=st.integers(1, 100))
    def issue(self, user: str, uses: int, lifetime: int) -> None:
        work = self.nodes[0].tokens.issue(ADMIN, user, uses=uses, lifetime_s=lifetime)
        if user in self.locked:
            with pytest.raises(RefusedError):
                self.run(work)
            return
        _, text = self.run(work)
        self.left[text], self.expires[text] = uses, self.clock.at + lifetime
        self.owner[text] = user

    def token(self, which: int) -> str:
        """One of those that were issued. What is drawn does not depend on their texts, which are random."""
        return list(self.left)[which % len(self.left)]

    @precondition(lambda self: self.left)
    @rule(which=st.integers(0, 1_000), count=st.integers(1, 5), taken=st.booleans())
    def enrol(self, which: int, count: int, taken: bool) -> None:
        """Several at once, on both nodes; with a key that another has, none of them."""
        text = self.token(which)
        user = self.owner[text]
        fresh = [next(self.numbers) for _ in range(count)]

        async def race() -> list[object]:
            calls = [
                self.nodes[number % 2].enrolment.enrol(
                    text, f"d{number}", GATEWAY_KEY if taken else key(number)
                )
                for number in fresh
            ]
            return list(await asyncio.gather(*calls, return_exceptions=True))

        results = self.run(race())
        won = [result for result in results if not isinstance(result, BaseException)]
        assert all(isinstance(result, GatewayError) for result in results if result not in won)
        admits = self.clock.at < self.expires[text] and user not in self.locked and not taken
        assert len(won) == (min(count, self.left[text]) if admits else 0)
        self.left[text] -= len(won)
        self.enrolled[user] += len(won)

    @precondition(lambda self: self.left)
    @rule(which=st.integers(0, 1_000))
    def revoke(self, which: int) -> None:
        text = self.token(which)
        work = self.nodes[1].tokens.revoke(ADMIN, TokenText.parse(text).id)
        if self.left[text]:
            self.run(work)
        else:
            with pytest.raises(NotFoundError):
                self.run(work)
        self.left[text] = 0

    @rule(seconds=st.integers(1, 60))
    def wait(self, seconds: int) -> None:
        self.clock.at += seconds

    @rule()
    def sweep(self) -> None:
        expired = [text for text, at in self.expires.items() if self.clock.at >= at and self.left[text]]
        assert self.run(self.nodes[0].tokens.sweep("gateway")) == len(expired)
        for text in expired:
            self.left[text] = 0

    @rule(user=st.sampled_from(["alice", "bob"]))
    def lock_or_unlock(self, user: str) -> None:
        users = self.nodes[0].users
        if user not in self.owner.values():
            return
        self.run(users.unlock(ADMIN, user) if user in self.locked else users.lock(ADMIN, user))
        self.locked ^= {user}

    @invariant()
    def store_and_model_agree(self) -> None:
        ledger = self.nodes[0].ledger
        devices = self.run(ledger.records(DEVICES))
        for user, count in self.enrolled.items():
            assert sum(device.user == user for device in devices) == count
        stored = {token.id: token.uses for token in self.run(ledger.records(TOKENS))}
        assert stored == {TokenText.parse(text).id: uses for text, uses in self.left.items() if uses}
        assert verify(self.run(ledger.records(AUDIT))).broken is None


TestEnrolling = Enrolling.TestCase
TestEnrolling.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
