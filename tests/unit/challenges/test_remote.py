"""Methods that ask elsewhere: a try is counted before, and taken back where it was good."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from challenge_methods import Directory, Provider
from challenge_world import World, in_world
from wardgate.gateway.challenges import LockedError, Proof, challenges
from wardgate.gateway.errors import BusyError, NotFoundError, RefusedError
from wardgate.gateway.records import LOCKOUTS, POSED

PASSWORD = "correct horse  battery"  # noqa: S105 - a test's


async def log_in(world: World, password: str = PASSWORD, device: str = "d1") -> Proof:
    return await world.challenges.verify("alice", "directory", password, device=device)


async def failures(world: World) -> int:
    return (await world.challenges.state("alice")).failures


def test_a_password_that_is_kept_elsewhere(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        assert [one.name for one in await world.challenges.methods_of("alice")] == ["directory"]
        assert world.challenges.posing == frozenset()
        proof = await log_in(world)
        assert (proof.user, proof.method, proof.at) == ("alice", "directory", world.now)
        assert await world.ledger.get(LOCKOUTS, "alice") is None
        with pytest.raises(RefusedError, match="wrong or was used"):
            await log_in(world, "guess")
        assert [(line.action, line.details) for line in await world.audit()] == [
            ("refused login", {"device": "d1", "method": "directory"})
        ]
        assert directory.asked == [("alice", PASSWORD), ("alice", "guess")]

    directory = Directory()
    in_world(tmp_path, work, methods=[], remote=[directory])


def test_nobody_sets_up_what_would_be_a_way_around(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        for call in (
            world.challenges.begin_setup("device:d1", "alice", "totp"),
            world.challenges.confirm_setup("alice", "totp", "123456"),
        ):
            with pytest.raises(RefusedError, match="nobody sets one up here; log in by Password"):
                await call
        with pytest.raises(NotFoundError):
            await world.challenges.begin_setup("device:d1", "alice", "directory")
        assert await world.challenges.recovery_left("alice") is None
        with pytest.raises(RefusedError, match="set up here"):
            await world.challenges.renew_recovery("alice", "directory", PASSWORD, device="d1")
        assert directory.asked == []

    directory = Directory()
    in_world(tmp_path, work, remote=[directory])


def test_others_do_not_wait_meanwhile(tmp_path: Path) -> None:
    async def before(world: World) -> None:
        apps.append(await world.app_of("alice"))

    async def work(world: World) -> None:
        world.now += 60
        directory.answers.clear()
        login = asyncio.create_task(log_in(world))
        await asyncio.to_thread(directory.reached.wait)
        # It is in the store, and no change is under way.
        assert await failures(world) == 1
        await world.challenges.verify("alice", "totp", apps[0].code(world.now), device="d2")
        directory.answers.set()
        assert (await login).method == "directory"
        assert await world.ledger.get(LOCKOUTS, "alice") is None

    apps, directory = [], Directory()
    in_world(tmp_path, before)
    in_world(tmp_path, work, remote=[directory])


def test_parallel_guesses_get_no_more_tries(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        for nodes in ([world.challenges] * 20, world.nodes(20)):
            guesses = (node.verify("alice", "directory", "guess", device="d1") for node in nodes)
            found = await asyncio.gather(*guesses, return_exceptions=True)
            assert len(directory.asked) == 5
            assert sum(isinstance(one, LockedError) for one in found) == 15
            assert sum("wrong" in str(one) and not isinstance(one, LockedError) for one in found) == 5
            with pytest.raises(LockedError):
                await log_in(world)
            assert (await world.audit())[-1].action == "locked logins"
            await world.challenges.unlock("uid:0 (root)", "alice")
            directory.asked.clear()

    directory = Directory()
    in_world(tmp_path, work, methods=[], remote=[directory])


def test_a_good_one_takes_back_what_it_has_locked(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        for number in range(4):
            for _ in range(5 if number < 3 else 4):
                with pytest.raises(RefusedError):
                    await log_in(world, "guess", f"d{number}")
        # Counted as failed it would be the user's twentieth, for which all devices wait.
        await log_in(world, device="d3")
        state = await world.challenges.state("alice")
        assert (state.failures, state.locked_until) == (15, 0)
        await log_in(world, device="d4")

    in_world(tmp_path, work, methods=[], remote=[Directory()])


def test_tries_of_others_meanwhile_stay_counted(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        directory.answers.clear()
        login = asyncio.create_task(log_in(world))
        await asyncio.to_thread(directory.reached.wait)
        await world.refused("alice", "no code", "d2", "recovery")
        directory.answers.set()
        await login
        state = await world.challenges.state("alice")
        assert [(one.device, one.failures) for one in state.devices] == [("d2", 1)]

    directory = Directory()
    in_world(tmp_path, work, methods=[], remote=[directory])


def test_a_try_that_is_cut_off_stays_counted(tmp_path: Path) -> None:
    async def first(world: World) -> None:
        directory.answers.clear()
        login = asyncio.create_task(log_in(world))
        await asyncio.to_thread(directory.reached.wait)
        login.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await login
        directory.answers.set()

    async def second(world: World) -> None:
        assert await failures(world) == 1

    directory = Directory()
    in_world(tmp_path, first, methods=[], remote=[directory])
    in_world(tmp_path, second, methods=[], remote=[directory])


def test_no_answer_is_no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(world: World) -> None:
        monkeypatch.setattr(challenges, "PATIENCE_S", 0)
        directory.answers.clear()
        with pytest.raises(BusyError, match="Password does not answer"):
            await log_in(world)
        directory.answers.set()
        assert await failures(world) == 1

    directory = Directory()
    in_world(tmp_path, work, methods=[], remote=[directory])


@pytest.mark.parametrize("said", [None, 0, 1, "no", object(), False])
def test_only_true_is_a_yes(tmp_path: Path, said: object) -> None:
    class Odd(Directory):
        async def judge(self, *_: object) -> bool:
            return said  # type: ignore[return-value] # what a faulty plug-in returns

    async def work(world: World) -> None:
        with pytest.raises(RefusedError):
            await log_in(world)
        assert await failures(world) == 1

    in_world(tmp_path, work, methods=[], remote=[Odd()])


def test_a_provider_answers_for_one_login_of_one_user(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        verify, pose = world.challenges.verify, world.challenges.pose
        begun = await pose("alice", "provider", device="d1")
        back = provider.authorize(begun.url, "alice")
        assert back["state"] == begun.ticket
        # Bob's account at the provider, and another login's answer.
        bobs = provider.authorize(begun.url, "bob")["code"]
        with pytest.raises(RefusedError, match="wrong"):
            await verify("alice", "provider", bobs, device="d1", ticket=begun.ticket)
        with pytest.raises(RefusedError, match="begun too long ago"):
            await verify("alice", "provider", back["code"], device="d1", ticket=begun.ticket)
        second = await pose("alice", "provider", device="d1")
        with pytest.raises(RefusedError, match="wrong"):
            await verify("alice", "provider", back["code"], device="d1", ticket=second.ticket)
        assert await failures(world) == 2
        # Nobody poses a question that counts for the one who answers it.
        third = await pose("bob", "provider", device="d2")
        code = provider.authorize(third.url, "bob")["code"]
        for user, device in (("alice", "d1"), ("alice", "d2"), ("bob", "d1")):
            with pytest.raises(RefusedError, match="begun too long ago"):
                await verify(user, "provider", code, device=device, ticket=third.ticket)
        logins = (
            node.verify("bob", "provider", code, device="d2", ticket=third.ticket) for node in world.nodes(4)
        )
        found = await asyncio.gather(*logins, return_exceptions=True)
        assert sum(isinstance(one, Proof) for one in found) == 1
        assert await world.ledger.records(POSED) == []

    provider = Provider()
    in_world(tmp_path, work, methods=[], remote=[provider])
