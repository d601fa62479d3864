"""One gateway an interface: who starts, who is refused, and whom a stop ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from wardgate.gateway.errors import GatewayError
from wardgate.gateway.service.instance import ended, instance_file, running
from wardgate.gateway.settings import Settings

HOLD = """
import fcntl, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    control = SimpleNamespace(socket=tmp_path / "control.sock")
    return cast(Any, SimpleNamespace(control=control, interface="wg7"))


class Runner:
    """A child process that runs the gateway until it is asked to end."""

    def __init__(self, settings: Settings) -> None:
        reader, writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            # Nothing of the test's goes on in here.
            try:
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
                with running(settings):
                    os.write(writer, b"running")
                    signal.sigwait({signal.SIGTERM})
            finally:
                os._exit(0)
        os.close(writer)
        assert os.read(reader, 7) == b"running"
        os.close(reader)

    @property
    def is_alive(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)


@pytest.fixture
def runner(settings: Settings) -> Iterator[Runner]:
    made = Runner(settings)
    yield made
    made.kill()
    os.waitpid(made.pid, 0)


@contextlib.contextmanager
def process(script: str, argument: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has said that it is ready."""
    command = [sys.executable, "-c", script, str(argument)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as made:
        try:
            assert made.stdout is not None
            assert made.stdout.readline()
            yield made
        finally:
            made.kill()


def test_a_second_one_is_told_who_runs_it(settings: Settings, runner: Runner) -> None:
    assert instance_file(settings).read_text() == f"{runner.pid}\n"
    with pytest.raises(GatewayError, match=f"process {runner.pid} runs it already"), running(settings):
        pass
    assert runner.is_alive


def test_a_stop_waits_for_the_end_and_keeps_others_from_starting(
    settings: Settings, runner: Runner, tmp_path: Path
) -> None:
    with ended(settings) as process_id:
        assert process_id == runner.pid
        # It has left the file, which is the last thing that it does.
        with pytest.raises(GatewayError, match="runs it already"), running(settings):
            pass
    with running(settings):
        pass
    assert list(tmp_path.iterdir()) == []


def test_where_none_runs_a_stop_ends_nobody(settings: Settings, runner: Runner, tmp_path: Path) -> None:
    """One that was killed leaves its file, and its number may be another process's by now."""
    runner.kill()
    assert instance_file(settings).exists()
    with process(HOLD, tmp_path / "unrelated") as innocent:
        instance_file(settings).write_text(f"{innocent.pid}\n")
        with ended(settings) as process_id:
            assert process_id is None
        assert innocent.poll() is None


def test_one_that_is_only_just_starting_is_waited_for(settings: Settings, tmp_path: Path) -> None:
    """It has the file already, and what the file says is still of another time."""
    with (
        process(HOLD, tmp_path / "unrelated") as innocent,
        process(HOLD, instance_file(settings)) as starting,
    ):
        instance_file(settings).write_text(f"{innocent.pid}\n")
        found: list[int | None] = []

        def stop() -> None:
            with ended(settings) as process_id:
                found.append(process_id)

        stopping = threading.Thread(target=stop)
        stopping.start()
        stopping.join(0.2)
        assert not found
        assert starting.poll() is None
        assert starting.stdin is not None
        starting.stdin.close()
        stopping.join(60)
        assert found == [None]
        assert innocent.poll() is None


def test_a_file_that_was_removed_meanwhile_is_nobodys(settings: Settings) -> None:
    path, flock = instance_file(settings), fcntl.flock
    taken: list[int] = []

    def removed(descriptor: int, operation: int) -> None:
        flock(descriptor, operation)
        taken.append(descriptor)
        if len(taken) == 1:
            path.unlink()

    path.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wardgate.gateway.service.instance.fcntl.flock", removed)
        with running(settings):
            assert path.read_text() == f"{os.getpid()}\n"
    assert len(taken) == 2


def test_who_may_not_is_told(settings: Settings, tmp_path: Path) -> None:
    instance_file(settings).symlink_to(tmp_path / "elsewhere")
    for work in (running, ended):
        with pytest.raises(GatewayError, match="run as root"), work(settings):
            pass
    assert not (tmp_path / "elsewhere").exists()
