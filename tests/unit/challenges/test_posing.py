"""Logins that begin with a question: it is answered once, where it was posed, and in time."""

from __future__ import annotations

import asyncio
import inspect
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from challenge_methods import Signer, signed
from challenge_world import SETTINGS, World, in_world
from totp import App
from wardgate.gateway.challenges import Challenges, LockedError, Proof, Question, Totp
from wardgate.gateway.errors import CorruptError, RefusedError
from wardgate.gateway.records import LOCKOUTS, POSED
from wardgate.gateway.store import Put, Transaction

BOTH = [Signer(), Totp("x", 1)]
OVER = "begun too long ago, or was answered already; begin it anew"
WRONG = "wrong or was used before"


async def key_of(world: World, user: str) -> str:
    """The key of a user who has set a signing device up."""
    setup = await world.challenges.begin_setup("device:d1", user, "signer")
    assert len(await world.challenges.confirm_setup(user, "signer", signed(setup.secret, "set up"))) == 10
    return setup.secret


async def refused(
    world: World, code: str, ticket: str, why: str, user: str = "alice", device: str = "d1"
) -> None:
    """A login fails for this reason."""
    with pytest.raises(RefusedError, match=why):
        await world.challenges.verify(user, "signer", code, device=device, ticket=ticket)


async def failures(world: World, user: str = "alice") -> int:
    return (await world.challenges.state(user)).failures


def test_a_question_is_answered_once(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        assert world.challenges.posing == {"signer"}
        key = await key_of(world, "alice")
        begun = await world.challenges.pose("alice", "signer", device="d1")
        assert begun.expires == world.now + 300
        other = await world.challenges.pose("alice", "signer", device="d2")
        assert (begun.ticket, begun.text) != (other.ticket, other.text)
        answer = signed(key, begun.text)
        proof = await world.challenges.verify("alice", "signer", answer, device="d1", ticket=begun.ticket)
        assert (proof.user, proof.method, proof.at) == ("alice", "signer", world.now)
        await refused(world, answer, begun.ticket, OVER)
        # Nothing was judged, so nothing is counted.
        assert await failures(world) == 0
        await world.challenges.verify(
            "alice", "signer", signed(key, other.text), device="d2", ticket=other.ticket
        )
        assert await world.ledger.records(POSED) == []

    in_world(tmp_path, work, methods=BOTH)


def test_it_is_answered_where_it_was_posed(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        key = await key_of(world, "alice")
        await key_of(world, "bob")
        begun = await world.challenges.pose("alice", "signer", device="d1")
        answer = signed(key, begun.text)
        await refused(world, answer, begun.ticket, OVER, device="d2")
        await refused(world, answer, begun.ticket, OVER, user="bob")
        for ticket in ("", begun.ticket[:-1], begun.ticket + "é", "\ud800"):
            await refused(world, answer, ticket, OVER)
        # Nor is it one for another method, nor for another question.
        await world.refused("alice", answer)
        later = await world.challenges.pose("alice", "signer", device="d1")
        await refused(world, answer, begun.ticket, OVER)
        await refused(world, answer, later.ticket, WRONG)

    in_world(tmp_path, work, methods=BOTH)


def test_it_is_answered_in_time(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        key = await key_of(world, "alice")
        begun = await world.challenges.pose("alice", "signer", device="d1")
        world.now += 60
        await refused(world, signed(key, begun.text), begun.ticket, OVER)
        begun = await world.challenges.pose("alice", "signer", device="d1")
        world.now += 59
        await world.challenges.verify(
            "alice", "signer", signed(key, begun.text), device="d1", ticket=begun.ticket
        )

    in_world(tmp_path, work, replace(SETTINGS, challenge_lifetime_s=60), methods=BOTH)


def test_a_wrong_answer_ends_it_and_counts(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        key = await key_of(world, "alice")
        for count in range(1, 6):
            begun = await world.challenges.pose("alice", "signer", device="d1")
            await refused(world, "guess", begun.ticket, WRONG)
            await refused(world, signed(key, begun.text), begun.ticket, OVER if count < 5 else "too many")
            assert await failures(world) == count
        # It counts for all methods together, and then nothing is even begun.
        with pytest.raises(LockedError):
            await world.challenges.pose("alice", "signer", device="d1")
        with pytest.raises(LockedError):
            await world.challenges.verify("alice", "totp", "123456", device="d1")
        world.now += 30
        begun = await world.challenges.pose("alice", "signer", device="d1")
        await world.challenges.verify(
            "alice", "signer", signed(key, begun.text), device="d1", ticket=begun.ticket
        )
        assert await world.ledger.get(LOCKOUTS, "alice") is None

    in_world(tmp_path, work, methods=BOTH)


def test_a_locked_device_does_not_spend_its_question(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        key = await key_of(world, "alice")
        begun = await world.challenges.pose("alice", "signer", device="d1")
        for _ in range(5):
            await world.refused("alice", "no code", "d1", "recovery")
        await refused(world, signed(key, begun.text), begun.ticket, "too many")
        world.now += 30
        await world.challenges.verify(
            "alice", "signer", signed(key, begun.text), device="d1", ticket=begun.ticket
        )

    in_world(tmp_path, work, methods=BOTH)


def test_of_parallel_answers_one_is_good(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        key = await key_of(world, "alice")
        for nodes in ([world.challenges] * 5, world.nodes(5)):
            begun = await world.challenges.pose("alice", "signer", device="d1")
            answer = signed(key, begun.text)
            logins = (
                node.verify("alice", "signer", answer, device="d1", ticket=begun.ticket) for node in nodes
            )
            found = await asyncio.gather(*logins, return_exceptions=True)
            assert sum(isinstance(one, Proof) for one in found) == 1
            assert all(isinstance(one, Proof | RefusedError) for one in found)
            # Guesses at one question are one guess.
            begun = await world.challenges.pose("alice", "signer", device="d1")
            guesses = (
                node.verify("alice", "signer", "guess", device="d1", ticket=begun.ticket) for node in nodes
            )
            await asyncio.gather(*guesses, return_exceptions=True)
            assert await failures(world) == 1
            await world.challenges.unlock("uid:0 (root)", "alice")

    in_world(tmp_path, work, methods=BOTH)


def test_it_outlives_a_restart_and_so_does_that_it_is_spent(tmp_path: Path) -> None:
    async def first(world: World) -> None:
        found["key"] = await key_of(world, "alice")
        begun = await world.challenges.pose("alice", "signer", device="d1")
        found["ticket"], found["answer"] = begun.ticket, signed(found["key"], begun.text)

    async def second(world: World) -> None:
        await world.challenges.verify("alice", "signer", found["answer"], device="d1", ticket=found["ticket"])

    async def third(world: World) -> None:
        await refused(world, found["answer"], found["ticket"], OVER)

    found: dict[str, str] = {}
    for work in (first, second, third):
        in_world(tmp_path, work, methods=BOTH)


@pytest.mark.parametrize("changed", ["device", "user", "ticket"])
def test_a_record_that_was_moved_does_not_open(tmp_path: Path, changed: str) -> None:
    """Whoever writes to the store cannot have one answer serve twice."""

    async def work(world: World) -> None:
        keys = {user: await key_of(world, user) for user in ("alice", "bob")}
        begun = await world.challenges.pose("alice", "signer", device="d1")
        (stored,) = await world.ledger.records(POSED)
        moved = replace(stored, **{changed: {"device": "d2", "user": "bob", "ticket": "mine"}[changed]})
        await world.store.commit(Transaction((Put(POSED.key(moved.device), POSED.encode(moved)),)))
        with pytest.raises(CorruptError):
            await world.challenges.verify(
                moved.user,
                "signer",
                signed(keys[moved.user], begun.text),
                device=moved.device,
                ticket=moved.ticket,
            )

    in_world(tmp_path, work, methods=BOTH)


def test_who_has_no_such_method_is_asked_nothing(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await world.challenges.begin_setup("device:d1", "alice", "signer")
        await world.app_of("bob")
        for user, method in (
            ("alice", "signer"), ("bob", "signer"), ("bob", "totp"), ("bob", "recovery"), ("bob", "sms"),
        ):  # fmt: skip
            with pytest.raises(RefusedError, match="no such method"):
                await world.challenges.pose(user, method, device="d1")
        assert await world.ledger.records(POSED) == []

    in_world(tmp_path, work, methods=BOTH)


def test_after_a_reset_what_was_asked_before_is_no_login(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        key = await key_of(world, "alice")
        begun = await world.challenges.pose("alice", "signer", device="d1")
        await world.challenges.reset("uid:0 (root)", "alice")
        await refused(world, signed(key, begun.text), begun.ticket, WRONG)

    in_world(tmp_path, work, methods=BOTH)


def test_totp_beside_it_is_what_it_was(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        app = await world.app_of("alice")
        await world.challenges.verify("alice", "totp", app.code(world.now), device="d1")
        await world.refused("alice", app.code(world.now))
        await world.refused("alice", "123456", method="sms")
        assert await failures(world) == 2

    in_world(tmp_path, work, methods=BOTH)


def test_without_any_other_method_unknown_ones_count_too(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        await key_of(world, "alice")
        assert WRONG in str(await world.refused("alice", "123456", method="totp"))
        assert await failures(world) == 1

    in_world(tmp_path, work, methods=[Signer()])


def test_recovery_codes_are_renewed_by_an_answer(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        key = await key_of(world, "alice")
        with pytest.raises(RefusedError, match=OVER):
            await world.challenges.renew_recovery("alice", "signer", "x", device="d1")
        begun = await world.challenges.pose("alice", "signer", device="d1")
        codes = await world.challenges.renew_recovery(
            "alice", "signer", signed(key, begun.text), device="d1", ticket=begun.ticket
        )
        await world.challenges.verify("alice", "recovery", codes[0], device="d1")
        await refused(world, signed(key, begun.text), begun.ticket, OVER)

    in_world(tmp_path, work, methods=BOTH)


def test_nothing_of_it_is_said_or_stored_in_clear(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work(world: World) -> tuple[str, str]:
        key = await key_of(world, "alice")
        begun = await world.challenges.pose("alice", "signer", device="d1")
        assert begun.text not in repr(begun)
        assert begun.ticket not in repr(begun)
        await refused(world, "hunter2", begun.ticket, WRONG)
        begun = await world.challenges.pose("alice", "signer", device="d1")
        return begun.text, key

    with caplog.at_level(logging.DEBUG):
        secrets = (*in_world(tmp_path, work, methods=BOTH), "hunter2")
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("store*"))
    assert b"posed/d1" in stored
    for secret in secrets:
        assert secret.encode() not in stored
        assert secret not in "".join(str(record.__dict__) for record in caplog.records)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "//evil.example", "data:text/html,x", "/login"])
def test_a_question_leads_to_web_pages_only(url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        Question(b"", url=url)


def test_two_methods_of_one_name(tmp_path: Path) -> None:
    from challenge_methods import Directory

    class Other(Directory):
        name = "totp"

    async def work(world: World) -> None:
        for methods, remote in (([], []), ([Totp("x", 1)], [Other()])):
            with pytest.raises(ValueError, match="names of their own"):
                Challenges(world.ledger, world.sealer, methods, world.settings, remote)
        assert App((await world.challenges.begin_setup("device:d1", "alice", "totp")).uri)

    in_world(tmp_path, work)


def test_the_method_in_the_docs_is_the_one_that_is_tested_here() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "second-factor.md").read_text()
    assert f"```python\n{inspect.getsource(Signer)}```" in page
