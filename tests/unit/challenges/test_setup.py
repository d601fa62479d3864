"""Setting a second factor up: who may, for how long, and that it takes a code."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from challenge_world import SETTINGS, World, in_world
from totp import App, secret_of
from wardgate.gateway.challenges import Accepted, Begun, Totp
from wardgate.gateway.errors import CorruptError, NotFoundError, RefusedError
from wardgate.gateway.records import CREDENTIALS, RECOVERY
from wardgate.gateway.store import Put, Transaction


def test_a_user_sets_up_and_logs_in(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        challenges = world.challenges
        assert await challenges.methods_of("alice") == ()
        setup = await challenges.begin_setup("device:d1", "alice", "totp")
        assert setup.expires == world.now + 600
        app = App(setup.uri)
        assert (app.label, app.issuer) == ("Example VPN:alice", "Example VPN")
        assert secret_of(setup.secret) == app.secret
        # Not in force yet.
        assert await challenges.methods_of("alice") == ()
        await world.refused("alice", app.code(world.now))
        codes = await challenges.confirm_setup("alice", "totp", app.code(world.now))
        assert len(set(codes)) == 10
        assert [method.name for method in await challenges.methods_of("alice")] == ["totp"]
        # The code that confirmed it is spent.
        await world.refused("alice", app.code(world.now))
        world.now += 30
        proof = await challenges.verify("alice", "totp", app.code(world.now), device="d1")
        assert (proof.user, proof.method, proof.at) == ("alice", "totp", world.now)
        assert [(line.actor, line.action, line.target, line.details) for line in await world.audit()] == [
            ("device:d1", "began set-up", "alice", {"method": "totp"}),
            ("device:d1", "refused login", "alice", {"device": "d1", "method": "totp"}),
            ("user:alice", "confirmed set-up", "alice", {"method": "totp"}),
            ("device:d1", "refused login", "alice", {"device": "d1", "method": "totp"}),
        ]

    in_world(tmp_path, work)


def test_a_set_up_that_is_not_confirmed_expires_and_is_begun_anew(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        first = App((await world.challenges.begin_setup("device:d1", "alice", "totp")).uri)
        world.now += 599
        second = App((await world.challenges.begin_setup("device:d1", "alice", "totp")).uri)
        assert first.secret != second.secret
        with pytest.raises(RefusedError, match="the code is wrong"):
            await world.challenges.confirm_setup("alice", "totp", first.code(world.now))
        world.now += 600
        with pytest.raises(RefusedError, match="no set-up is under way"):
            await world.challenges.confirm_setup("alice", "totp", second.code(world.now))
        assert (await world.challenges.state("alice")).methods == ()
        third = App((await world.challenges.begin_setup("device:d1", "alice", "totp")).uri)
        world.now += 599
        assert await world.challenges.confirm_setup("alice", "totp", third.code(world.now))

    in_world(tmp_path, work)


def test_nothing_is_confirmed_that_was_not_begun(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        with pytest.raises(RefusedError, match="no set-up"):
            await world.challenges.confirm_setup("alice", "totp", "123456")
        for call in (
            world.challenges.begin_setup("device:d1", "alice", "sms"),
            world.challenges.confirm_setup("alice", "recovery", "123456"),
        ):
            with pytest.raises(NotFoundError, match="no such method; use totp"):
                await call
        assert await world.audit() == []

    in_world(tmp_path, work)


def test_guessing_ends_a_set_up(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = App((await world.challenges.begin_setup("device:d1", "alice", "totp")).uri)
        wrong = app.code(world.now + 3_000)
        guesses = [world.challenges.confirm_setup("alice", "totp", wrong) for _ in range(5)]
        found = await asyncio.gather(*guesses, return_exceptions=True)
        assert all("the code is wrong" in str(one) for one in found)
        with pytest.raises(RefusedError, match="no set-up"):
            await world.challenges.confirm_setup("alice", "totp", app.code(world.now))
        assert (await world.audit())[-1].action == "gave up set-up"
        assert await world.ledger.get(RECOVERY, "alice") is None

    in_world(tmp_path, work)


def test_who_has_a_method_cannot_set_up_another(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = await world.app_of("alice")
        before = await world.ledger.get(CREDENTIALS, "alice", "totp")
        for call in (
            world.challenges.begin_setup("device:d1", "alice", "totp"),
            world.challenges.confirm_setup("alice", "totp", app.code(world.now)),
        ):
            with pytest.raises(RefusedError, match="alice has one already; an administrator can reset it"):
                await call
        assert await world.ledger.get(CREDENTIALS, "alice", "totp") == before
        await world.challenges.verify("alice", "totp", app.code(world.now), device="d1")
        # Another user is another user.
        await world.app_of("bob")

    in_world(tmp_path, work)


class Word:
    """A method whose answer is always the same, and that changes its secret with each."""

    name = "word"
    label = "Word"

    def begin(self, account: str) -> Begun:
        return Begun(f"new {account}".encode(), "word:1", "1")

    def confirm(self, secret: bytes, answer: str, at: int) -> Accepted | None:
        return Accepted(b"1", at) if secret.startswith(b"new") and answer == "word" else None

    def verify(self, secret: bytes, answer: str, used: int, at: int) -> Accepted | None:
        if answer != secret.decode() or at <= used:
            return None
        return Accepted(str(int(secret) + 1).encode(), at)


def test_a_method_is_whatever_has_the_form(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await world.challenges.begin_setup("device:d1", "alice", "word")
        with pytest.raises(RefusedError, match="is wrong"):
            await world.challenges.confirm_setup("alice", "word", "another")
        assert await world.challenges.confirm_setup("alice", "word", "word")
        for answer in "123":
            world.now += 1
            await world.challenges.verify("alice", "word", answer, device="d1")
        await world.refused("alice", "4", method="word")
        world.now += 1
        await world.refused("alice", "3", method="word")
        # What she has counts for every method, also once it is not in use any more.
        with pytest.raises(RefusedError, match="has one already"):
            await world.challenges.begin_setup("device:d1", "alice", "totp")

    async def later(world: World) -> None:
        assert await world.challenges.methods_of("alice") == ()
        state = await world.challenges.state("alice")
        assert [(one.name, one.label, one.confirmed) for one in state.methods] == [("word", "word", True)]
        await world.refused("alice", "4", method="word")
        with pytest.raises(RefusedError, match="has one already"):
            await world.challenges.begin_setup("device:d1", "alice", "totp")
        await world.challenges.reset("uid:0 (root)", "alice")
        await world.challenges.begin_setup("device:d1", "alice", "totp")

    in_world(tmp_path, work, methods=[Word(), Totp("x", 1)])
    in_world(tmp_path, later)


def test_two_set_ups_at_once_are_one(tmp_path: Path) -> None:
    """Of two methods that were begun, one can be confirmed."""

    async def work(world: World) -> None:
        app = App((await world.challenges.begin_setup("device:d1", "alice", "totp")).uri)
        await world.challenges.begin_setup("device:d2", "alice", "word")
        found = await asyncio.gather(
            world.challenges.confirm_setup("alice", "totp", app.code(world.now)),
            world.challenges.confirm_setup("alice", "word", "word"),
            return_exceptions=True,
        )
        assert sorted(type(one) for one in found if isinstance(one, Exception)) == [RefusedError]
        assert len(await world.challenges.methods_of("alice")) == 1

    in_world(tmp_path, work, methods=[Word(), Totp("x", 1)])


@pytest.mark.parametrize("user", ["a/b", "group:admins", "é", "..", "a b", "%2F", "x" * 100])
def test_a_user_of_any_name(tmp_path: Path, user: str) -> None:
    async def work(world: World) -> None:
        app = await world.app_of(user)
        await world.challenges.verify(user, "totp", app.code(world.now), device="d1")
        await world.refused(user[:-1] + "y", app.code(world.now + 30))
        assert (await world.challenges.state(user)).recovery_codes == 10

    in_world(tmp_path, work)


def test_a_secret_that_was_moved_to_another_user_is_none(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = await world.app_of("mallory")
        await world.app_of("alice")
        stolen = await world.ledger.get(CREDENTIALS, "mallory", "totp")
        assert stolen is not None
        moved = CREDENTIALS.encode(replace(stolen, user="alice"))
        await world.store.commit(Transaction((Put(CREDENTIALS.key("alice", "totp"), moved),)))
        with pytest.raises(CorruptError):
            await world.challenges.verify("alice", "totp", app.code(world.now), device="d1")

    in_world(tmp_path, work)


def test_settings_decide(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = App((await world.challenges.begin_setup("device:d1", "alice", "totp")).uri)
        world.now += 59
        assert len(await world.challenges.confirm_setup("alice", "totp", app.code(world.now - 59))) == 3

    in_world(tmp_path, work, replace(SETTINGS, setup_lifetime_s=60, recovery_codes=3, drift_steps=2))


def test_methods_have_names_of_their_own(tmp_path: Path) -> None:
    class Recovery(Word):
        name = "recovery"

    async def work(_: World) -> None:
        raise AssertionError("it was made")

    with pytest.raises(ValueError, match="none called recovery"):
        in_world(tmp_path, work, methods=[Recovery()])
