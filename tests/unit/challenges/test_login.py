"""Logins: attacks on them, recovery codes, and what an administrator can do."""

from __future__ import annotations

import ast
import asyncio
import logging
from pathlib import Path

import pytest
from challenge_world import World, in_world
from identities import ADMIN, Node, key, on_a_node
from totp import App
from wardgate.gateway.challenges import (
    Challenges,
    ChallengeSettings,
    LockedError,
    Proof,
    Sealer,
    Totp,
    forget_device,
)
from wardgate.gateway.challenges.lockout import FOREVER
from wardgate.gateway.errors import CorruptError, NotFoundError, RefusedError
from wardgate.gateway.ledger import Change
from wardgate.gateway.records import CREDENTIALS, LOCKOUTS, RECOVERY

ROOT = Path(__file__).resolve().parents[3]


def proofs(found: list[Proof | BaseException]) -> list[Proof]:
    """The good ones among outcomes; the others are refusals."""
    return [one for one in found if isinstance(one, Proof)]


async def attempt(world: World, code: str, count: int, device: str = "d1") -> list[Proof | BaseException]:
    """Logins all at once."""
    logins = (world.challenges.verify("alice", "totp", code, device=device) for _ in range(count))
    return await asyncio.gather(*logins, return_exceptions=True)


def wrong(app: App, at: float) -> str:
    """A code that is none around this time."""
    near = {app.code(at + 30 * step) for step in range(-5, 6)}
    return next(f"{number:06}" for number in range(20) if f"{number:06}" not in near)


@pytest.mark.parametrize("by", [1, 31, 7_200, 40 * 86_400])
def test_a_clock_that_is_put_back_brings_no_code_back(tmp_path: Path, by: int) -> None:
    async def work(world: World) -> None:
        app = await world.app_of("alice")
        code, at = app.code(world.now), world.now
        await world.challenges.verify("alice", "totp", code, device="d1")
        world.now = at - by
        for seen in (code, app.code(world.now), app.code(world.now - 30)):
            await world.refused("alice", seen)
        # When the clock is right again, so are codes, each once.
        world.now = at + 30
        await world.refused("alice", code)
        await world.challenges.verify("alice", "totp", app.code(world.now), device="d1")

    in_world(tmp_path, work)


def test_a_clock_that_was_wrong_for_a_moment_locks_nobody_out(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = await world.app_of("alice")
        at = world.now
        world.now = at + 400 * 86_400
        for _ in range(world.settings.failures):
            await world.refused("alice", wrong(app, world.now))
        assert isinstance(await world.refused("alice", app.code(world.now)), LockedError)
        world.now = at
        assert (await world.challenges.state("alice", "d1")).locked_until == 0
        await world.challenges.verify("alice", "totp", app.code(world.now), device="d1")

    in_world(tmp_path, work)


def test_a_code_that_was_used_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    async def first(world: World) -> tuple[App, float]:
        app = await world.app_of("alice")
        await world.challenges.verify("alice", "totp", app.code(world.now), device="d1")
        await world.refused("alice", app.code(world.now), "d2")
        return app, world.now

    async def second(world: World) -> None:
        world.now = at
        for code in (app.code(at), app.code(at - 30), app.code(at - 60)):
            await world.refused("alice", code)
        # The next step's, which a fast clock shows already, and then not again nor the one before.
        await world.challenges.verify("alice", "totp", app.code(at + 30), device="d1")
        world.now += 30
        await world.refused("alice", app.code(world.now))
        await world.refused("alice", app.code(world.now - 30))

    app, at = in_world(tmp_path, first)
    in_world(tmp_path, second)


def test_of_parallel_logins_with_one_code_one_is_good(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = await world.app_of("alice")
        code = app.code(world.now)
        devices = [f"d{number}" for number in range(10)]
        logins = (world.challenges.verify("alice", "totp", code, device=device) for device in devices)
        assert len(proofs(await asyncio.gather(*logins, return_exceptions=True))) == 1

    in_world(tmp_path, work)


def test_of_parallel_logins_at_several_nodes_one_is_good(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = await world.app_of("alice")
        nodes = world.nodes(4)
        logins = (
            node.verify("alice", "totp", app.code(world.now), device=f"d{number}")
            for number, node in enumerate(nodes)
        )
        found = await asyncio.gather(*logins, return_exceptions=True)
        assert len(proofs(found)) == 1
        assert len({str(one) for one in found if not isinstance(one, Proof)}) == 1
        guesses = (
            node.verify("alice", "totp", wrong(app, world.now), device="stolen")
            for node in nodes
            for _ in range(3)
        )
        found = await asyncio.gather(*guesses, return_exceptions=True)
        assert sum(isinstance(one, LockedError) for one in found) == 12 - 5
        lockout = await world.ledger.get(LOCKOUTS, "alice")
        assert lockout is not None
        assert {one.device: one.count for one in lockout.devices}["stolen"] == 5

    in_world(tmp_path, work)


def test_parallel_guesses_get_no_more_tries(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = await world.app_of("alice")
        found = await attempt(world, wrong(app, world.now), 50)
        assert sum(isinstance(one, LockedError) for one in found) == 45
        # Now not even the right code is looked at; it is not spent by that either.
        assert not proofs(await attempt(world, app.code(world.now), 3))
        # Only what was tried is in the log.
        lines = [(line.action, line.details.get("device")) for line in (await world.audit())[2:]]
        assert lines == [("refused login", "d1")] * 5 + [("locked logins", "d1")]
        assert (await world.audit())[-1].details["until"] == "2027-01-15T08:01:00Z"
        assert len(proofs(await attempt(world, app.code(world.now), 1, "d2"))) == 1
        world.now += 30
        assert len(proofs(await attempt(world, app.code(world.now), 1))) == 1
        assert await world.ledger.get(LOCKOUTS, "alice") is None

    in_world(tmp_path, work)


def test_lockout_says_until_when_and_outlives_a_restart(tmp_path: Path) -> None:
    async def first(world: World) -> tuple[App, float]:
        app = await world.app_of("alice")
        await attempt(world, wrong(app, world.now), 5)
        return app, world.now

    async def second(world: World) -> None:
        world.now = at + 29
        error = await world.refused("alice", app.code(world.now))
        assert isinstance(error, LockedError)
        assert error.until == at + 30
        assert str(error) == (
            "log in alice: too many codes were wrong; try again after 2027-01-15 08:01:00 UTC"
        )
        state = await world.challenges.state("alice", "d1")
        assert (state.failures, state.locked_until) == (5, at + 30)
        assert (await world.challenges.state("alice")).locked_until == 0
        assert (await world.challenges.state("alice", "d2")).locked_until == 0
        assert [(one.device, one.failures, one.locked_until) for one in state.devices] == [("d1", 5, at + 30)]
        # It counts across methods.
        world.now = at + 30
        await world.refused("alice", "no such code", method="recovery")
        error = await world.refused("alice", app.code(world.now))
        assert isinstance(error, LockedError)
        assert error.until == at + 90
        assert await world.challenges.unlock("uid:0 (root)", "alice")
        assert not await world.challenges.unlock("uid:0 (root)", "alice")
        await world.challenges.verify("alice", "totp", app.code(world.now), device="d1")
        (line,) = [line for line in await world.audit() if line.action == "unlocked logins"]
        assert (line.actor, line.target, line.details) == ("uid:0 (root)", "alice", {"devices": "d1"})

    app, at = in_world(tmp_path, first)
    in_world(tmp_path, second)


def test_a_stolen_device_gets_a_hundred_guesses_and_the_others_log_in(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = await world.app_of("alice")
        tried = 0
        for _ in range(200):
            error = await world.refused("alice", wrong(app, world.now), "stolen")
            tried += not isinstance(error, LockedError)
            if tried % 10 == 0:
                await world.challenges.verify("alice", "totp", app.code(world.now), device="laptop")
            world.now += 3_600
        assert tried == 100
        assert isinstance(error, LockedError)
        assert error.until == FOREVER
        assert str(error).endswith("ask an administrator to unlock it")
        assert (await world.audit())[-1].details["until"] == "an administrator unlocks them"

    in_world(tmp_path, work)


def test_many_devices_together_lock_the_user(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = await world.app_of("alice")
        for number in range(4):
            await attempt(world, wrong(app, world.now), 5, f"d{number}")
        error = await world.refused("alice", app.code(world.now), "laptop")
        assert isinstance(error, LockedError)
        state = await world.challenges.state("alice")
        assert (state.failures, state.locked_until) == (20, world.now + 30)
        assert (await world.audit())[-1].details["device"] == "all"

        # Removing one of the devices is no way out, but its failures count no more.
        async def remove(change: Change) -> None:
            await forget_device(change, "alice", "d0")
            await forget_device(change, "alice", "never seen")
            await forget_device(change, "bob", "d0")

        await world.ledger.run("uid:0 (root)", remove)
        assert isinstance(await world.refused("alice", app.code(world.now), "laptop"), LockedError)
        assert (await world.challenges.state("alice")).failures == 15
        world.now += 30
        await world.challenges.verify("alice", "totp", app.code(world.now), device="laptop")

    in_world(tmp_path, work)


def test_nothing_tells_why_a_login_is_refused(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = await world.app_of("alice")
        code = app.code(world.now)
        await world.challenges.verify("alice", "totp", code, device="d0")
        await world.challenges.begin_setup("device:d1", "bob", "totp")
        tries = [
            ("alice", "totp", code),
            ("alice", "totp", wrong(app, world.now)),
            ("alice", "totp", "no code"),
            ("alice", "recovery", "no code"),
            ("alice", "sms", code),
            ("alice", "", code),
            ("bob", "totp", code),
            ("carol", "totp", code),
            ("carol", "recovery", code),
        ]
        texts, stored = set(), set()
        for number, (user, method, typed) in enumerate(tries):
            error = await world.refused(user, typed, f"x{number}", method)
            texts.add((type(error), str(error).replace(user, "USER")))
            lockout = await world.ledger.get(LOCKOUTS, user)
            assert lockout is not None
            stored.add(lockout.devices[-1].count)
        assert len(texts) == 1
        assert stored == {1}
        told = {line.details["method"] for line in await world.audit() if line.action == "refused login"}
        assert told == {"totp", "recovery", "unknown"}

    in_world(tmp_path, work)


def test_recovery_codes_work_once_each(tmp_path: Path) -> None:
    async def first(world: World) -> tuple[str, ...]:
        setup = await world.challenges.begin_setup("device:d1", "alice", "totp")
        codes = await world.challenges.confirm_setup("alice", "totp", App(setup.uri).code(world.now))
        await world.refused("alice", codes[0])
        logins = (
            world.challenges.verify("alice", "recovery", codes[0], device=f"d{number}") for number in range(4)
        )
        (proof,) = proofs(await asyncio.gather(*logins, return_exceptions=True))
        assert (proof.user, proof.method) == ("alice", "recovery")
        assert (await world.challenges.state("alice")).recovery_codes == 9
        (line,) = [line for line in await world.audit() if line.action == "used recovery code"]
        assert line.details["left"] == "9"
        return codes

    async def second(world: World) -> None:
        await world.refused("alice", codes[0], "d5", method="recovery")
        await world.app_of("bob")
        await world.refused("bob", codes[1], method="recovery")
        for code in codes[1:]:
            await world.challenges.verify("alice", "recovery", code.lower(), device="d1")
        assert (await world.challenges.state("alice")).recovery_codes == 0
        await world.refused("alice", codes[9], method="recovery")

    codes = in_world(tmp_path, first)
    in_world(tmp_path, second)


def test_a_reset_forgets_everything_of_the_user(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        setup = await world.challenges.begin_setup("device:d1", "alice", "totp")
        old = App(setup.uri)
        codes = await world.challenges.confirm_setup("alice", "totp", old.code(world.now))
        bob = await world.app_of("bob")
        await attempt(world, wrong(old, world.now), 5)
        await world.challenges.reset("uid:0 (root)", "alice")
        assert (await world.audit())[-1].details == {"methods": "totp"}
        for kind, names in ((CREDENTIALS, ("alice", "totp")), (RECOVERY, ("alice",)), (LOCKOUTS, ("alice",))):
            assert await world.ledger.get(kind, *names) is None
        await world.refused("alice", old.code(world.now))
        await world.refused("alice", codes[0], method="recovery")
        with pytest.raises(NotFoundError, match="the user has none"):
            await world.challenges.reset("uid:0 (root)", "alice")
        new = await world.app_of("alice")
        await world.challenges.verify("alice", "totp", new.code(world.now), device="d1")
        await world.challenges.verify("bob", "totp", bob.code(world.now), device="d2")

    in_world(tmp_path, work)


def test_no_secret_is_in_the_store_the_logs_or_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(world: World) -> list[str]:
        setup = await world.challenges.begin_setup("device:d1", "alice", "totp")
        app = App(setup.uri)
        secrets = [setup.secret, setup.secret.replace(" ", ""), setup.uri, app.code(world.now)]
        secrets += await world.challenges.confirm_setup("alice", "totp", app.code(world.now))
        tries = (app.code(world.now), "999999", "hunter2")
        said = [repr(setup), *[repr(await world.refused("alice", code)) for code in tries]]
        secrets += ["hunter2", "999999", app.secret.hex()]
        said += [repr(await world.challenges.state("alice")), *map(repr, await world.audit())]
        assert not [secret for secret in secrets for text in said if secret in text]
        return secrets

    with caplog.at_level(logging.DEBUG):
        secrets = in_world(tmp_path, work)
    logged = "".join(str(record.__dict__) for record in caplog.records)
    assert "refused login" in logged
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("store*"))
    assert b"refused login" in stored
    for secret in secrets:
        assert secret not in logged
        # Six digits are in any database.
        assert len(secret) == 6 or secret.encode() not in stored


def test_a_store_without_its_key_opens_nothing(tmp_path: Path) -> None:
    async def first(world: World) -> tuple[App, float]:
        return await world.app_of("alice"), world.now

    async def second(world: World) -> None:
        world.now = at
        with pytest.raises(CorruptError, match="sealed with another key; restore key file and store"):
            await world.challenges.verify("alice", "totp", app.code(at), device="d1")

    app, at = in_world(tmp_path, first)
    (tmp_path / "key").unlink()
    in_world(tmp_path, second)


def test_nobody_else_makes_proofs() -> None:
    """Whoever has a Proof has asked `Challenges.verify` for it."""
    makers = set()
    for folder in ("gateway", "cli"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Proof":
                    makers.add(str(path.relative_to(ROOT)))
    assert makers == {"gateway/challenges/challenges.py"}


def test_removing_a_device_forgets_its_failures_and_removing_a_user_all(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        sealer = Sealer(bytes(32))
        settings = ChallengeSettings("x")
        challenges = Challenges(node.ledger, sealer, [Totp("x", 1)], settings)
        await node.users.add(ADMIN, "alice")
        laptop = await node.devices.add(ADMIN, "alice", "laptop", key(1))
        phone = await node.devices.add(ADMIN, "alice", "phone", key(2))
        setup = await challenges.begin_setup("device:d1", "alice", "totp")
        await challenges.confirm_setup("alice", "totp", App(setup.uri).code(node.clock()))
        for device in (laptop, phone):
            with pytest.raises(RefusedError):
                await challenges.verify("alice", "totp", "no code", device=device.id)
        await node.devices.remove(ADMIN, laptop.id)
        state = await challenges.state("alice")
        assert [one.device for one in state.devices] == [phone.id]
        await node.users.remove(ADMIN, "alice")
        left = {entry.key.split("/")[0] for entry in (await node.ledger.store.snapshot("")).entries}
        assert left <= {"audit", "audit-head"}

    on_a_node(tmp_path, work)
