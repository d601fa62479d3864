"""Any sequence of logins, restarts and pauses goes as a model of a few lines says.

The model knows nothing of records, changes or methods: which steps are spent, how often each device failed.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from challenge_world import BEGINNING, World
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from totp import App
from wardgate.gateway.challenges import ChallengeSettings, LockedError, Proof
from wardgate.gateway.errors import RefusedError
from wardgate.gateway.ledger import verify
from wardgate.gateway.store import SqliteStore

SETTINGS = ChallengeSettings(
    "x",
    failures=3,
    user_failures=7,
    most_failures=6,
    first_delay_s=30,
    longest_delay_s=100,
    forget_s=1_000,
    recovery_codes=3,
)
FOREVER = 253_402_300_799
DEVICES = st.sampled_from(["d0", "d1", "d2", "d3"])
STEPS = st.integers(-3, 3)
PAUSES = st.sampled_from([1, 29, 30, 31, 90, 1_000, 5_000])


class Model:
    """What must become of alice's logins. `spent`: the last step that was used."""

    def __init__(self, spent: int, recovery: set[str]) -> None:
        self.spent = spent
        self.recovery = recovery
        self.failures: dict[str, int] = {}
        self.last: dict[str, int] = {}
        self.waits: dict[str, int] = {}
        self.all_wait = 0

    def locked_until(self, device: str, now: int) -> int:
        until = max(self.waits.get(device, 0), self.all_wait)
        return until if until > now else 0

    def login(self, device: str, fits: bool, now: int) -> int | bool:
        """The time before which nothing is tried, or whether it is good; `fits`: the code, were it tried."""
        if until := self.locked_until(device, now):
            return until
        if fits:
            for table in (self.failures, self.last, self.waits):
                table.pop(device, None)
            return True
        count = self.failures[device] = self.failures.get(device, 0) + 1
        self.last[device] = now
        if count >= 6:
            self.waits[device] = FOREVER
        elif count >= 3:
            self.waits[device] = now + [30, 60, 100][count - 3]
        total = sum(min(3, n) for one, n in self.failures.items() if self.last[one] > now - 1_000)
        if count <= 3 and total >= 7:
            self.all_wait = now + [30, 60, 100, 100, 100, 100][total - 7]
        return False


class Logins(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory(prefix="wardgate-logins-")
        self.now = BEGINNING
        self.open()
        self.set_up()

    def open(self) -> None:
        async def opened() -> World:
            folder = Path(self.folder.name)
            return World(folder, await SqliteStore.open(folder / "store"), SETTINGS, None)

        self.world = self.runner.run(opened())
        self.world.now = self.now

    def set_up(self) -> None:
        async def work() -> tuple[App, tuple[str, ...]]:
            setup = await self.world.challenges.begin_setup("device:d0", "alice", "totp")
            app = App(setup.uri)
            return app, await self.world.challenges.confirm_setup("alice", "totp", app.code(self.now))

        self.app, codes = self.runner.run(work())
        self.codes = list(codes)
        self.model = Model(self.now // 30, set(codes))

    @rule(attempts=st.lists(st.tuples(DEVICES, STEPS), min_size=1, max_size=6))
    def log_in_by_app(self, attempts: list[tuple[str, int]]) -> None:
        """All at once, with codes of the steps around this one."""
        found = self.outcomes([("totp", self.app.code(self.now + 30 * step), d) for d, step in attempts])
        for (device, step), outcome in zip(attempts, found, strict=True):
            code, present = self.app.code(self.now + 30 * step), self.now // 30
            # By code and not by step: two steps may have the same, once in a million.
            fitting = [one for one in range(present - 1, present + 2) if self.app.code(30 * one) == code]
            fits = bool(fitting) and fitting[-1] > self.model.spent
            expected = self.model.login(device, fits, self.now)
            if expected is True:
                self.model.spent = fitting[-1]
            assert outcome == expected

    @rule(attempts=st.lists(st.tuples(DEVICES, st.integers(0, 2)), min_size=1, max_size=4))
    def log_in_by_recovery_code(self, attempts: list[tuple[str, int]]) -> None:
        found = self.outcomes([("recovery", self.codes[number], d) for d, number in attempts])
        for (device, number), outcome in zip(attempts, found, strict=True):
            expected = self.model.login(device, self.codes[number] in self.model.recovery, self.now)
            if expected is True:
                self.model.recovery.remove(self.codes[number])
            assert outcome == expected

    @rule(device=DEVICES, method=st.sampled_from(["totp", "recovery", "sms", ""]), count=st.integers(1, 5))
    def guess(self, device: str, method: str, count: int) -> None:
        found = self.outcomes([(method, "no code", device)] * count)
        assert found == [self.model.login(device, False, self.now) for _ in range(count)]

    @rule(pause=PAUSES)
    def wait(self, pause: int) -> None:
        self.now += pause
        self.world.now = self.now

    @rule()
    def restart(self) -> None:
        self.runner.run(self.world.store.close())
        self.open()

    @rule()
    def unlock(self) -> None:
        had = self.runner.run(self.world.challenges.unlock("uid:0 (root)", "alice"))
        assert had == bool(self.model.failures)
        self.model = Model(self.model.spent, self.model.recovery)

    @rule()
    def reset(self) -> None:
        self.runner.run(self.world.challenges.reset("uid:0 (root)", "alice"))
        self.set_up()

    @invariant()
    def it_is_told_as_it_is(self) -> None:
        for device in ("d0", "d3"):
            state = self.runner.run(self.world.challenges.state("alice", device))
            assert state.locked_until == self.model.locked_until(device, self.now)
        assert {one.device: one.failures for one in state.devices} == self.model.failures
        assert state.failures == sum(self.model.failures.values())
        assert state.recovery_codes == len(self.model.recovery)

    def outcomes(self, logins: list[tuple[str, str, str]]) -> list[int | bool]:
        """Of logins that come at once, in their order: until when it is locked, or whether it is good."""

        async def work() -> list[int | bool]:
            calls = (
                self.world.challenges.verify("alice", method, code, device=device)
                for method, code, device in logins
            )
            return [outcome(one) for one in await asyncio.gather(*calls, return_exceptions=True)]

        return self.runner.run(work())

    def teardown(self) -> None:
        # Nothing was begun where hypothesis gave up before.
        if hasattr(self, "world"):
            assert verify(self.runner.run(self.world.audit())).broken is None
            self.runner.run(self.world.store.close())
            self.folder.cleanup()
            self.runner.close()


def outcome(found: Proof | BaseException) -> int | bool:
    """What a login came to; raises what is neither good nor refused."""
    if isinstance(found, LockedError):
        return found.until
    if isinstance(found, RefusedError):
        return False
    if isinstance(found, BaseException):
        raise found
    return True


TestLogins = Logins.TestCase
TestLogins.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
