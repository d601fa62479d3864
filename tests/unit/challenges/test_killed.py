"""A process that is killed in the midst of logins forgets none that it has answered."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from challenge_world import World, in_world
from totp import App
from wardgate.gateway.challenges import ChallengeSettings
from wardgate.gateway.records import LOCKOUTS

KILLS = 6
SUPPORT = Path(__file__).resolve().parents[2] / "support"
# Failures must not lock what is to be counted.
SETTINGS = ChallengeSettings("x", failures=10_000, user_failures=10_000, most_failures=10_000)
PROGRAM = """
import asyncio, pathlib, sys
sys.path.insert(0, sys.argv[1])
from challenge_world import World, in_world
from totp import App
from wardgate.gateway.challenges import ChallengeSettings
from wardgate.gateway.errors import RefusedError

folder, uri, now = pathlib.Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
settings = ChallengeSettings("x", failures=10_000, user_failures=10_000, most_failures=10_000)

async def work(world):
    world.now, app = now, App(uri)
    while True:
        world.now += 30
        await world.challenges.verify("alice", "totp", app.code(world.now), device="d1")
        print("good", int(world.now), flush=True)
        try:
            await world.challenges.verify("alice", "totp", "no code", device="d2")
        except RefusedError:
            print("refused", int(world.now), flush=True)

in_world(folder, work, settings)
"""


def killed_while_logging_in(folder: Path, uri: str, now: float, chance: random.Random) -> list[list[str]]:
    """What a process said that began at `now` and was killed after a while."""
    command = [sys.executable, "-c", PROGRAM, str(SUPPORT), str(folder), uri, str(now)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(chance.randint(1, 8))]
        time.sleep(chance.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
    # A line may be cut off.
    return [line.split() for line in said if line.endswith("\n")]


def test_what_was_answered_is_not_forgotten(tmp_path: Path) -> None:
    chance = random.Random(58)

    async def begin(world: World) -> tuple[str, float]:
        setup = await world.challenges.begin_setup("device:d1", "alice", "totp")
        await world.challenges.confirm_setup("alice", "totp", App(setup.uri).code(world.now))
        return setup.uri, world.now

    async def look(world: World) -> int:
        """What was good is spent; how many failures are counted."""
        world.now = now
        for at in (now, now - 30):
            await world.refused("alice", App(uri).code(at), "d3")
        lockout = await world.ledger.get(LOCKOUTS, "alice")
        assert lockout is not None
        return sum(one.count for one in lockout.devices if one.device == "d2")

    uri, now = in_world(tmp_path, begin, SETTINGS)
    counted = 0
    for _ in range(KILLS):
        said = killed_while_logging_in(tmp_path, uri, now, chance)
        assert said
        now = max(float(at) for kind, at in said if kind == "good")
        refused = sum(kind == "refused" for kind, _ in said)
        before, counted = counted, in_world(tmp_path, look, SETTINGS)
        # The last may have been counted without an answer.
        assert counted - before - refused in (0, 1)
        # The one after may have been spent without an answer.
        now += 30
