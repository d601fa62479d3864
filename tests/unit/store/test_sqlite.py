"""The store in a file: what every store does, and what is about files."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from store_conformance import StoreConformance
from store_opening import changes, put, soon
from wardgate.gateway.store import (
    Batch,
    CompactedError,
    Put,
    SqliteStore,
    Store,
    Transaction,
    UnavailableError,
)

KILLS = 8


class TestConformance(StoreConformance):
    def opened(self, folder: Path) -> AbstractAsyncContextManager[Store]:
        return _opened(folder / "store.db")


@asynccontextmanager
async def _opened(path: Path, **options: int) -> AsyncIterator[SqliteStore]:
    async with await SqliteStore.open(path, **options) as store:
        yield store


def opening_fails(path: Path) -> str:
    async def body() -> None:
        async with _opened(path):
            raise AssertionError("it was opened")

    with pytest.raises(UnavailableError) as caught:
        asyncio.run(body())
    return str(caught.value)


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:

        async def body() -> None:
            async with _opened(tmp_path / "store.db") as store:
                await store.commit(put("a"))
                modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
                assert "store.db" in modes
                assert set(modes.values()) == {0o600}

        asyncio.run(body())
    finally:
        os.umask(old)
    (tmp_path / "store.db").chmod(0o640)
    assert "chmod 600" in opening_fails(tmp_path / "store.db")


@pytest.mark.root
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.touch(0o600)
    os.chown(path, 65_534, -1)
    assert f"belongs to uid 65534, who may read and write it: chown {os.geteuid()} " in opening_fails(path)
    assert path.read_bytes() == b""


def test_a_damaged_file_is_told_and_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "store.db"

    async def fill() -> None:
        async with _opened(path) as store:
            await store.commit(Transaction(tuple(Put(f"k/{n}", b"x" * 3_000) for n in range(20))))

    async def read() -> None:
        async with _opened(path) as store:
            await store.snapshot("")

    asyncio.run(fill())
    whole = path.read_bytes()
    # All but the first page, whose beginning says what the file is.
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(UnavailableError, match="malformed"):
        asyncio.run(read())


def test_it_is_one_process_s(tmp_path: Path) -> None:
    async def body() -> None:
        async with _opened(tmp_path / "store.db"):
            code = (
                "import asyncio, sys, pathlib\n"
                "from wardgate.gateway.store import SqliteStore, UnavailableError\n"
                "try:\n    asyncio.run(SqliteStore.open(pathlib.Path(sys.argv[1])))\n"
                "except UnavailableError as error:\n    print(error)\n"
            )
            other = [sys.executable, "-c", code, str(tmp_path / "store.db")]
            assert "open in another process" in await asyncio.to_thread(
                lambda: subprocess.run(other, capture_output=True, text=True, check=True).stdout
            )
            # Nor twice here.
            with pytest.raises(UnavailableError, match="open in another process"):
                await SqliteStore.open(tmp_path / "store.db")
        async with _opened(tmp_path / "store.db"):
            pass

    asyncio.run(body())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b"x" * 5_000), "is no store"),
        (lambda path: path.mkdir(), "cannot be opened"),
        (lambda path: path.symlink_to("/etc/passwd"), "cannot be opened"),
        (lambda path: os.mkfifo(path), "is no file"),
        (lambda path: _made(path, "CREATE TABLE other (a)"), "is no store"),
        (
            lambda path: _made(path, "PRAGMA application_id = 0x57475354", "PRAGMA user_version = 2"),
            "format 2",
        ),
    ],
)
def test_what_is_no_store_is_left_alone(tmp_path: Path, make: object, said: str) -> None:
    path = tmp_path / "store.db"
    make(path)  # type: ignore[operator]
    if path.is_file() and not path.is_symlink():
        path.chmod(0o600)
    before = path.read_bytes() if path.is_file() else None
    assert said in opening_fails(path)
    assert before is None or path.read_bytes() == before


def _made(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in opening_fails(tmp_path / "missing" / "store.db")


def test_history_is_bounded(tmp_path: Path) -> None:
    async def body() -> None:
        async with _opened(tmp_path / "store.db", history=20) as store:
            revisions = [await store.commit(put("a", b"%d" % number)) for number in range(200)]
            async with store.watch("", revisions[-21]) as batches:
                assert len(await changes(batches, revisions[-1])) == 20
            with pytest.raises(CompactedError):
                async with store.watch("", revisions[-60]) as batches:
                    await soon(anext(batches))

    asyncio.run(body())
    connection = sqlite3.connect(tmp_path / "store.db")
    assert connection.execute("SELECT count(*) FROM changes").fetchone()[0] <= 40
    connection.close()


async def note(batches: AsyncIterator[Batch], seen: list[int]) -> None:
    while True:
        seen.append((await soon(anext(batches))).revision)


def test_a_slow_watch_is_told_that_it_missed_something(tmp_path: Path) -> None:
    async def body() -> None:
        async with _opened(tmp_path / "store.db") as store:
            for number in range(600):
                await store.commit(put("a", b"%d" % number))
            async with store.watch("", 0) as batches:
                seen = [(await soon(anext(batches))).revision]
                await store.compact(599)
                with pytest.raises(CompactedError):
                    await note(batches, seen)
            assert seen == list(range(1, len(seen) + 1))
            assert len(seen) < 600

    asyncio.run(body())


def test_what_was_deleted_and_forgotten_is_not_in_the_file(tmp_path: Path) -> None:
    secret = b"JBSWY3DPEHPK3PXP" * 8

    async def body() -> None:
        async with _opened(tmp_path / "store.db") as store:
            await store.commit(put("secret", secret))
            revision = await store.commit(put("secret", b"-"))
            await store.compact(revision)

    asyncio.run(body())
    assert [path.name for path in tmp_path.iterdir()] == ["store.db"]
    assert secret not in (tmp_path / "store.db").read_bytes()


FULL = """
import asyncio, pathlib, resource, signal, sys
from wardgate.gateway.store import Put, SqliteStore, Transaction, UnavailableError

async def main():
    store = await SqliteStore.open(pathlib.Path(sys.argv[1]))
    await store.commit(Transaction((Put("a", b"1"),)))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limit[1]))
    try:
        await store.commit(Transaction((Put("a", b"2"), Put("large", b"x" * 500_000))))
    except UnavailableError as error:
        print("refused:", error)
    print((await store.get("a")).value, await store.get("large"))
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    await store.commit(Transaction((Put("a", b"3"),)))
    print((await store.get("a")).value)
    await store.close()

asyncio.run(main())
"""


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for it."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "store.db")], capture_output=True, text=True, check=True
    )
    first, second, third = done.stdout.splitlines()
    assert first.startswith("refused: the store's file cannot be read or written")
    assert (second, third) == ("b'1' None", "b'3'")


WRITER = """
import asyncio, pathlib, sys
from wardgate.gateway.store import Put, SqliteStore, Transaction

async def main():
    async with await SqliteStore.open(pathlib.Path(sys.argv[1]), history=50) as store:
        number = int(sys.argv[2])
        while True:
            value = b"%d" % number
            same = (Put("a", value), Put("b", value), Put(f"all/{number:09}", value))
            await store.commit(Transaction(same))
            print(number, flush=True)
            number += 1

asyncio.run(main())
"""


def test_a_killed_process_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    path, number = tmp_path / "store.db", 0
    for kill in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(number)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout
        try:
            for _ in range(1 + 13 * kill):
                told = writer.stdout.readline()
                assert told, "the writer ended by itself"
        finally:
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read()
            writer.wait()
        # A line that is cut off was not told.
        lines = (told + rest).split("\n")[:-1]
        last = int(lines[-1])

        async def body(last: int = last) -> int:
            async with _opened(path) as store:
                first, second = await store.get("a"), await store.get("b")
                every = (await store.snapshot("all/")).entries
            assert first
            assert second
            assert first.value == second.value
            assert int(first.value) in (last, last + 1)
            assert [int(entry.value) for entry in every] == list(range(int(first.value) + 1))
            return int(first.value) + 1

        number = asyncio.run(body())


def test_a_transaction_in_full(tmp_path: Path) -> None:
    """Of the largest size, in each operation: 128 MiB at once."""

    async def body() -> None:
        async with _opened(tmp_path / "store.db") as store:
            await store.commit(Transaction(tuple(Put(f"k/{n}", b"x" * (1 << 20)) for n in range(128))))
            assert sum(len(entry.value) for entry in (await store.snapshot("k/")).entries) == 128 << 20

    asyncio.run(body())
