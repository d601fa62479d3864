"""The page docs/dropped.md: its commands run, and print what it says, on a gate with real packets."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import capture_files
import pytest
from wardgate.compiler.explain import packets

pytestmark = pytest.mark.root
PAGE = Path(__file__).resolve().parents[2] / "docs" / "dropped.md"
DEVICES = "devices.yaml"
ABOUT_GATES = ("watch", "top", "swap")
NAME = "wg0"


@dataclass(frozen=True)
class Part:
    """A stage direction, or a fenced block with the direction before it."""

    direction: str
    language: str
    text: str


def parts(page: str) -> Iterator[Part]:
    """What is to be done, in order."""
    direction = ""
    for found in re.finditer(r"<!-- (.*?) -->|^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        if found[1]:
            if direction:
                yield Part(direction, "", "")
            direction = found[1]
        else:
            yield Part(direction, found[2], found[3])
            direction = ""


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and what it prints."""
    for one in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = one.partition("\n")
        yield command, output


class Stage:
    """A gate on a TUN device between alice's machine and the servers, and a folder to work in."""

    def __init__(self, bed, folder: Path, e2e) -> None:
        self.bed, self.folder, self.e2e = bed, folder, e2e
        (folder / DEVICES).write_text("- {address: 10.9.0.2, user: alice}\n")

    def direct(self, direction: str) -> None:
        word, *rest = direction.split()
        getattr(self, word)(*rest)

    def run(self, policy: str) -> None:
        """Compile and enforce, then bring the network up; the gate stays and is watched by nobody."""
        self.shell(f"wardgate compile {policy} -o office.o")
        words = f"--device {self.bed.device} --devices {DEVICES} --name {self.bed.name} --detach-after-load"
        self.shell(f"wardgate run office.o {words}")
        self.bed.network.up(self.e2e.GATEWAY, [])

    def send(self, user: str, remote: str, service: str) -> None:
        """One opening segment, which is to be dropped."""
        with self._socket(user) as sender:
            sender.settimeout(0.3)
            with contextlib.suppress(OSError):
                sender.connect((remote, int(service.split("/")[0])))
                pytest.fail("it was answered")

    def reach(self, user: str, remote: str, service: str) -> None:
        """A connection, which is to be made."""
        port = int(service.split("/")[0])
        with self.bed.network.servers.enter():
            server = socket.create_server((remote, port))
        with server, self._socket(user) as sender:
            sender.settimeout(self.e2e.PATIENCE)
            sender.connect((remote, port))

    def capture(self, file: str, user: str, remote: str, service: str) -> None:
        packet = packets.opening(self.e2e.ADDRESSES[user][0], remote, 6, int(service.split("/")[0]))
        (self.folder / file).write_bytes(capture_files.pcap(101, [(packet, len(packet), 0)]))

    def shell(self, command: str, lines: int | None = None) -> str:
        """What a command prints; of one that does not end by itself, so many lines of it."""
        word = shlex.split(command)[1]
        head, bar, rest = command.partition(" | ")
        if word in ABOUT_GATES:
            command = f"{head} --name {self.bed.name}{bar}{rest}"
        environment = {**os.environ, "PATH": f"{self.e2e.WARDGATE.parent}:{os.environ['PATH']}"}
        with self.bed.network.gateway.enter():
            process = subprocess.Popen(
                ["bash", "-c", command if bar else f"exec {command}"],
                cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        if lines is None:
            output, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
        else:
            output = "".join(process.stdout.readline() for _ in range(lines))
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            assert process.returncode == 0
        return output.replace(self.bed.name, NAME)

    @contextlib.contextmanager
    def _socket(self, user: str) -> Iterator[socket.socket]:
        with self.bed.network.clients[user].enter():
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with made:
            made.bind((self.e2e.ADDRESSES[user][0], 0))
            yield made


def plain(command: str, output: str) -> str:
    """What is the same each time: counts, times, ages and digests are not, nor the columns that they need."""
    if " swap " in command:
        return re.sub(r"[0-9a-f]{12}$", "digest", output, flags=re.MULTILINE)
    if " top " not in command:
        return output
    output = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(\S+\)", "when", output)
    output = re.sub(r"^ *\d+ +\d+ ", "n n ", output, flags=re.MULTILINE)
    return "\n".join(" ".join(line.split()) for line in output.splitlines())


def test_the_page_is_true(e2e, tmp_path: Path) -> None:
    done = []
    with e2e.make_bed("tun", tmp_path) as bed:
        stage = Stage(bed, tmp_path, e2e)
        for part in parts(PAGE.read_text()):
            word = part.direction.split()[0] if part.direction else ""
            if word == "file":
                (tmp_path / part.direction.split()[1]).write_text(part.text)
            elif word:
                stage.direct(part.direction)
            if part.language != "console":
                continue
            for command, expected in commands(part.text):
                lines = expected.count("\n") if " watch" in command else None
                seen = stage.shell(command, lines)
                assert plain(command, seen) == plain(command, expected), command
                done.append(command.split()[1])
    assert set(done) == {"watch", "explain", "check", "compile", "swap", "top"}
