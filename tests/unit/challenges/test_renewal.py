"""New recovery codes for a code of the method: a try like a login, and the old ones are void at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from challenge_world import World, in_world
from identities import WatchedStore
from totp import App
from wardgate.gateway.challenges import Challenges, LockedError
from wardgate.gateway.errors import RefusedError
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.records import RECOVERY


async def set_up(world: World) -> tuple[App, tuple[str, ...]]:
    """alice's app and her first recovery codes; time then goes on to the next step."""
    app = App((await world.challenges.begin_setup("device:d1", "alice", "totp")).uri)
    codes = await world.challenges.confirm_setup("alice", "totp", app.code(world.now))
    world.now += 30
    return app, codes


async def renew(world: World, code: str, method: str = "totp", device: str = "d1") -> tuple[str, ...]:
    return await world.challenges.renew_recovery("alice", method, code, device=device)


async def good(world: World, code: str) -> None:
    assert (await world.challenges.verify("alice", "recovery", code, device="d2")).method == "recovery"


def test_old_codes_are_void_and_new_ones_work(tmp_path: Path) -> None:
    async def first(world: World) -> tuple[tuple[str, ...], tuple[str, ...]]:
        app, old = await set_up(world)
        await good(world, old[0])
        assert await world.challenges.recovery_left("alice") == 9
        new = await renew(world, app.code(world.now))
        assert len(set(new) | set(old)) == 20
        assert await world.challenges.recovery_left("alice") == 10
        # The code is spent as by a login, and is no login.
        await world.refused("alice", app.code(world.now))
        line = (await world.audit())[-2]
        assert (line.actor, line.action, line.target) == ("device:d1", "renewed recovery codes", "alice")
        assert line.details == {"device": "d1", "method": "totp"}
        return old, new

    async def second(world: World) -> None:
        for number, code in enumerate(old[1:4]):
            await world.refused("alice", code, f"x{number}", "recovery")
        for code in new:
            await good(world, code)
        assert await world.challenges.recovery_left("alice") == 0

    old, new = in_world(tmp_path, first)
    in_world(tmp_path, second)


def test_whatever_is_no_code_of_the_app_renews_nothing(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app, old = await set_up(world)
        await world.challenges.verify("alice", "totp", app.code(world.now), device="d1")
        before = await world.ledger.get(RECOVERY, "alice")
        for method in ("recovery", "sms", ""):
            with pytest.raises(RefusedError, match="a method that was set up here"):
                await renew(world, old[0], method)
        for code in (app.code(world.now), "no code"):
            with pytest.raises(RefusedError, match="wrong or was used before"):
                await renew(world, code)
        assert await world.ledger.get(RECOVERY, "alice") == before
        # Who has nothing is told the same.
        with pytest.raises(RefusedError, match="wrong or was used before"):
            await world.challenges.renew_recovery("bob", "totp", "123456", device="d9")
        assert await world.ledger.get(RECOVERY, "bob") is None

    in_world(tmp_path, work)


def test_a_set_up_that_is_not_confirmed_renews_nothing(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = App((await world.challenges.begin_setup("device:d1", "alice", "totp")).uri)
        with pytest.raises(RefusedError, match="wrong or was used before"):
            await renew(world, app.code(world.now))
        assert await world.ledger.get(RECOVERY, "alice") is None

    in_world(tmp_path, work)


def test_guesses_lock_logins_and_logins_lock_renewal(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app, _ = await set_up(world)
        guesses = (renew(world, "no code") for _ in range(10))
        found = await asyncio.gather(*guesses, return_exceptions=True)
        assert sum(isinstance(one, LockedError) for one in found) == 5
        assert isinstance(await world.refused("alice", app.code(world.now)), LockedError)
        with pytest.raises(LockedError):
            await renew(world, app.code(world.now))
        world.now += 30
        assert await renew(world, app.code(world.now))
        # As after a good login.
        assert (await world.challenges.state("alice")).failures == 0
        told = [line.action for line in await world.audit()]
        assert told.count("refused login") == 5
        assert told.count("locked logins") == 1

    in_world(tmp_path, work)


def test_of_parallel_renewals_with_one_code_one_is_good(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app, _ = await set_up(world)
        renewals = (
            node.renew_recovery("alice", "totp", app.code(world.now), device=f"d{number}")
            for number, node in enumerate(world.nodes(4))
        )
        found = await asyncio.gather(*renewals, return_exceptions=True)
        (codes,) = (one for one in found if isinstance(one, tuple))
        await good(world, codes[0])

    in_world(tmp_path, work)


def test_an_old_code_that_is_used_at_the_same_time_is_void_or_was_good_before(tmp_path: Path) -> None:
    """Another node makes new codes between the judging of an old one and its storing."""

    async def work(world: World) -> None:
        app, old = await set_up(world)

        async def meanwhile() -> None:
            new.extend(await renew(world, app.code(world.now)))

        new: list[str] = []
        watched = WatchedStore(world.store, [meanwhile])
        node = Challenges(Ledger(watched, lambda: world.now), world.sealer, world.methods, world.settings)
        with pytest.raises(RefusedError, match="wrong"):
            await node.verify("alice", "recovery", old[0], device="d2")
        assert await world.challenges.recovery_left("alice") == 10
        await good(world, new[0])

    in_world(tmp_path, work)
