"""The ring buffer reader against the kernel's own ring buffer, smaller than what goes through it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from wardgate.runtime.elf import read_object
from wardgate.runtime.errors import UnsupportedError
from wardgate.runtime.object import LoadedObject, load_object
from wardgate.runtime.ringbuf import RingBuffer
from wardgate.runtime.testrun import test_run as run_program

pytestmark = pytest.mark.root

SIZE = 4096


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    target = tmp_path_factory.mktemp("ringbuf") / "ringbuf.o"
    subprocess.run(
        [
            sys.executable, "-m", "ziglang", "clang", "--target=bpf", "-mcpu=v3", "-O2", "-g", "-nostdinc",
            "-c", Path(__file__).parent / "ringbuf.c", "-o", target,
        ],
        check=True,
    )  # fmt: skip
    return target.read_bytes()


@pytest.fixture
def loaded(compiled) -> Iterator[LoadedObject]:
    with load_object(read_object(compiled)) as made:
        yield made


@pytest.fixture
def ring(loaded) -> Iterator[RingBuffer]:
    with RingBuffer(loaded.maps["ring"].fd, SIZE) as reader:
        yield reader


def talk(loaded: LoadedObject, command: int, sample: bytes = b"") -> int:
    packet = bytes([command, len(sample)]) + sample.ljust(64, b"\xee")
    return run_program(loaded.programs["talk"], packet, want_data=False).retval


def test_samples_of_every_size_come_in_order_around_the_end(loaded, ring) -> None:
    # Twelve times around the buffer, with every length of a sample at many places.
    for turn in range(20):
        sent = [bytes([turn, size]) * (size // 2) + b"x" * (size % 2) for size in range(1, 65)]
        for sample in sent:
            assert talk(loaded, 0, sample) == 0
        assert ring.wait(0)
        assert list(ring.read()) == sent
        assert ring.pending == 0
    assert not ring.wait(0)


def test_discarded_records_are_skipped(loaded, ring) -> None:
    for _ in range(200):
        assert talk(loaded, 1) == 0
        assert talk(loaded, 0, b"kept") == 0
        assert talk(loaded, 1) == 0
        assert list(ring.read()) == [b"kept"]
    assert talk(loaded, 1) == 0
    assert list(ring.read()) == []
    assert ring.pending == 0


def test_a_full_buffer_refuses_and_goes_on_when_read(loaded, ring) -> None:
    taken = 0
    while talk(loaded, 0, b"y" * 64) == 0:
        taken += 1
    assert taken == SIZE // 72
    assert list(ring.read()) == [b"y" * 64] * taken
    assert talk(loaded, 0, b"z") == 0
    assert list(ring.read()) == [b"z"]


@pytest.mark.allow_skip("with one processor nobody sees a program at work")
def test_what_stands_after_an_unfinished_record_waits_for_it(loaded, ring) -> None:
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("needs two processors: the program, and who looks at what it does")
    # The program is busy between reservation and submission for some milliseconds; whether this
    # thread gets to see it then is up to the scheduler, so there are many attempts.
    seen = 0
    for _ in range(5_000):
        worker = threading.Thread(target=talk, args=(loaded, 2))
        worker.start()
        while worker.is_alive() and not ring.pending:
            pass
        early = list(ring.read())
        if not early and ring.pending:
            seen += 1
            assert talk(loaded, 0, b"behind") == 0
        worker.join()
        rest = early + list(ring.read())
        assert rest[0][:8] == (0x1122334455667788).to_bytes(8, "little")
        assert rest[1:] in ([], [b"behind"])
        assert ring.pending == 0
        if seen == 3:
            return
    assert seen


def test_waiting_ends_when_something_comes(loaded, ring) -> None:
    assert not ring.wait(0.01)
    timer = threading.Timer(0.05, talk, args=(loaded, 0, b"woken"))
    timer.start()
    assert ring.wait(20)
    timer.join()
    assert list(ring.read()) == [b"woken"]


def test_a_reader_can_be_closed_twice_and_outlives_the_callers_fd(loaded) -> None:
    with loaded.maps["ring"].dup() as other:
        reader = RingBuffer(other.fd, SIZE)
    talk(loaded, 0, b"still")
    assert list(reader.read()) == [b"still"]
    reader.close()
    reader.close()


@pytest.mark.parametrize("size", [0, 100, 4097, 12288])
def test_impossible_sizes_are_refused(loaded, size) -> None:
    with pytest.raises(UnsupportedError, match="power of two"):
        RingBuffer(loaded.maps["ring"].fd, size)


def test_another_kind_of_map_is_refused(build) -> None:
    with load_object(read_object(build(1))) as made, pytest.raises(UnsupportedError):
        RingBuffer(made.maps["flows"].fd, SIZE)
