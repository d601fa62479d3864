"""What a login costs: through Challenges.verify to a store in a file, and what of it takes the time.

    python -m benchmarks.logins [--json] [--users N] [--rounds N] [--folder FOLDER]

Needs no root. The store is made in FOLDER (a temporary one unless given), so its disk is what is measured:
a login is on the disk before it is good. The gateway's clock is the benchmark's, one step of 30 s a round, so
that each user has a new code in each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyotp
from wardgate.gateway.challenges import Accepted, Challenges, ChallengeSettings, Sealer, Totp
from wardgate.gateway.errors import RefusedError
from wardgate.gateway.ledger import Ledger
from wardgate.gateway.store import Entry, Snapshot, SqliteStore, Transaction

AT_ONCE: Final = 64
"""Logins that come together in the second row."""
_BEGINNING: Final = 1_800_000_000
_SETTINGS: Final = ChallengeSettings("Benchmark")


class Spent:
    """Seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """Count what happens within."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - start


class TimedStore(SqliteStore):
    """A store whose reads and commits are counted."""

    spent: Spent

    async def get(self, key: str) -> Entry | None:
        """See Store."""
        with self.spent.on("reads"):
            return await super().get(key)

    async def snapshot(self, *prefixes: str) -> Snapshot:
        """See Store."""
        with self.spent.on("reads"):
            return await super().snapshot(*prefixes)

    async def commit(self, transaction: Transaction) -> int:
        """See Store."""
        with self.spent.on("commit"):
            return await super().commit(transaction)


class TimedSealer(Sealer):
    """A sealer whose work is counted."""

    spent: Spent

    def unseal(self, text: str, context: str) -> bytes:
        """See Sealer."""
        with self.spent.on("unsealing"):
            return super().unseal(text, context)

    def digest(self, secret: str, context: str) -> str:
        """See Sealer."""
        with self.spent.on("digest"):
            return super().digest(secret, context)


class TimedTotp(Totp):
    """TOTP whose work is counted."""

    spent: Spent

    def verify(self, secret: bytes, answer: str, used: int, at: int) -> Accepted | None:
        """See Method."""
        with self.spent.on("codes"):
            return super().verify(secret, answer, used, at)


@dataclass(frozen=True, slots=True)
class Login:
    """One try: what is typed, and whether it is to be good."""

    user: str
    method: str
    code: str
    device: str
    good: bool


class Bench:
    """Users with second factors, and a clock."""

    def __init__(self, store: TimedStore) -> None:
        self.spent = Spent()
        self.now = _BEGINNING
        store.spent = self.spent
        sealer = TimedSealer(bytes(32))
        sealer.spent = self.spent
        totp = TimedTotp(_SETTINGS.issuer, _SETTINGS.drift_steps)
        totp.spent = self.spent
        self.challenges = Challenges(Ledger(store, lambda: self.now), sealer, [totp], _SETTINGS)
        self.apps: dict[str, pyotp.TOTP] = {}

    async def add_users(self, count: int) -> None:
        """Each with a confirmed method."""
        for number in range(count):
            user = f"user{number}"
            setup = await self.challenges.begin_setup("gateway", user, "totp")
            self.apps[user] = pyotp.TOTP(setup.secret.replace(" ", ""))
            await self.challenges.confirm_setup(user, "totp", self.apps[user].at(self.now))

    async def time(self, name: str, rounds: Sequence[Sequence[Login]], at_once: int) -> dict[str, Any]:
        """A row: all logins of all rounds, so many at a time."""
        taken: list[float] = []
        before = dict(self.spent.seconds)
        total = 0.0
        for logins in rounds:
            self.now += 30
            start = time.perf_counter()
            for place in range(0, len(logins), at_once):
                batch = logins[place : place + at_once]
                taken += await asyncio.gather(*(self._time(login) for login in batch))
            total += time.perf_counter() - start
        parts = {what: seconds - before.get(what, 0.0) for what, seconds in self.spent.seconds.items()}
        return {
            "row": name,
            "logins": len(taken),
            "at_once": at_once,
            "a_second": len(taken) / total,
            "p50_ms": percentile(taken, 50) * 1e3,
            "p99_ms": percentile(taken, 99) * 1e3,
            # Of work that takes turns, so the parts add up to the whole.
            "parts_ms": {
                **{what: seconds / len(taken) * 1e3 for what, seconds in sorted(parts.items()) if seconds},
                "other": (total - sum(parts.values())) / len(taken) * 1e3,
            },
        }

    async def _time(self, login: Login) -> float:
        start = time.perf_counter()
        try:
            await self.challenges.verify(login.user, login.method, login.code, device=login.device)
            good = True
        except RefusedError:
            good = False
        seconds = time.perf_counter() - start
        if good != login.good:
            raise RuntimeError(f"{login.user}'s login by {login.method} came to {good}")
        return seconds

    def _all(self, device: str, code: Callable[[str], str], method: str, good: bool) -> list[Login]:
        return [Login(user, method, code(user), device, good) for user in self.apps]

    def good(self, after: int) -> list[Login]:
        """A login of each user, with the code of the step that is so many rounds after this one."""
        return self._all("d1", lambda user: self.apps[user].at(self.now + 30 * after), "totp", True)

    def wrong(self, device: str) -> list[Login]:
        """Of each user, with a code of the day before."""
        return self._all(device, lambda user: self.apps[user].at(self.now - 86_400), "totp", False)

    def replayed(self) -> list[Login]:
        """Of each user, with the code that was used last, within the next step."""
        return self._all("d3", lambda user: self.apps[user].at(self.now), "totp", False)

    def without_method(self) -> list[Login]:
        """As many, of users who have none."""
        return [Login(f"no{user}", "totp", "123456", "d1", False) for user in self.apps]

    def recovery(self) -> list[Login]:
        """Of each user, with a recovery code that is none."""
        return self._all("d4", lambda _: "7RQ2-M0XK-93TD-V5HB", "recovery", False)


async def measure(folder: Path, users: int, rounds: int) -> list[dict[str, Any]]:
    """All rows."""
    store = await TimedStore.open(folder / "store")
    assert isinstance(store, TimedStore)  # noqa: S101 - `open` makes its own class
    async with store:
        bench = Bench(store)
        await bench.add_users(users)
        rows = [
            await bench.time("good, one at a time", [bench.good(1 + n) for n in range(rounds)], 1),
            await bench.time(f"good, {AT_ONCE} at once", [bench.good(1 + n) for n in range(rounds)], AT_ONCE),
        ]
        kinds: list[tuple[str, list[Login]]] = [
            ("replayed", bench.replayed()),
            ("wrong", bench.wrong("d2")),
            ("no method", bench.without_method()),
            ("wrong recovery code", bench.recovery()),
        ]
        rows += [await bench.time(name, [logins], 1) for name, logins in kinds]
        for _ in range(_SETTINGS.failures):
            await bench.time("", [bench.wrong("locked")], 1)
        bench.now -= 30
        rows.append(await bench.time("locked", [bench.wrong("locked")], 1))
    return rows


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that so many in a hundred do not exceed."""
    return sorted(values)[max(math.ceil(len(values) * percent / 100) - 1, 0)]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """For people."""
    lines = [f"{'login':<22}{'a second':>9}{'p50 ms':>8}{'p99 ms':>8}  a login's ms"]
    for row in rows:
        parts = sorted(row["parts_ms"].items(), key=lambda part: -part[1])
        shown = ", ".join(f"{what} {ms:.2f}" for what, ms in parts)
        lines.append(
            f"{row['row']:<22}{row['a_second']:>9,.0f}{row['p50_ms']:>8.2f}{row['p99_ms']:>8.2f}  {shown}"
        )
    return "\n".join(lines)


def _run(
    work: Callable[[Path], Awaitable[list[dict[str, Any]]]], folder: Path | None
) -> list[dict[str, Any]]:
    async def main(place: str) -> list[dict[str, Any]]:
        return await work(Path(place))

    with tempfile.TemporaryDirectory(prefix="wardgate-logins-", dir=folder) as place:
        return asyncio.run(main(place))


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--users", type=int, default=500, help="how many users log in in each round")
    parser.add_argument("--rounds", type=int, default=4, help="how often each logs in")
    parser.add_argument("--folder", type=Path, help="where to make the store")
    given = parser.parse_args(arguments)
    rows = _run(lambda folder: measure(folder, given.users, given.rounds), given.folder)
    print(json.dumps(rows, indent=1) if given.json else table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
