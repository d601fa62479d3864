"""A virtual machine of one command, run to its end by qemu's own translation of instructions.

KVM isn't used: it isn't there inside most virtual machines, and one that is may not be able to run a
kernel. So a guest is 10 to 30 times slower than its host, and behaves the same everywhere.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kernelvm import guest_init
from kernelvm.cpio import Archive
from kernelvm.files import TOP, GuestFiles
from kernelvm.modules import with_dependencies
from kernelvm.packages import Kernel

QEMU = "qemu-system-x86_64"
MODULES = ["wireguard", "veth", "sch_ingress", "cls_bpf", "tun", "dummy", "bridge"]
_PR_SET_PDEATHSIG = 1
_SHOWN_LINES = 40


class GuestError(Exception):
    """A guest did not come to its end; the text has the end of its console."""


@dataclass(frozen=True)
class Outcome:
    """What a guest said: the command's exit status, its stdout by lines, the console, and seconds."""

    status: int
    lines: list[str]
    console: str
    seconds: float

    def documents(self) -> list[dict[str, object]]:
        """The lines as JSON."""
        return [json.loads(line) for line in self.lines]


@dataclass(frozen=True)
class Task:
    """What a guest is to do. `files` are put in at their paths besides Python and the project, `tools`
    with their libraries; `extras` are those of Wardgate."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Iterable[Path] = ()
    tools: Iterable[Path] = ()
    extras: Iterable[str] = ()
    memory: int = 1024
    """MiB."""
    timeout: float = 240.0
    """Seconds, after which the machine is ended and GuestError raised."""


def run(kernel: Kernel, task: Task, folder: Path) -> Outcome:
    """Boot `kernel`, run the task's command there, and end the machine whatever happens.

    `folder` is for the RAM disk and the logs (`console.log`, `output.jsonl`). GuestError where the
    guest died, hung, or never got to the command's end.
    """
    disk, console, output = folder / "initrd", folder / "console.log", folder / "output.jsonl"
    _make_disk(kernel, task, disk)
    for log in (console, output):
        log.write_bytes(b"")
    command = [
        QEMU, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", str(task.memory),
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-serial", f"file:{console}", "-serial", f"file:{output}",
        "-kernel", str(kernel.image), "-initrd", str(disk),
        "-append", "console=ttyS0 quiet panic=-1 nokaslr mitigations=off rdinit=/guest-init",
    ]  # fmt: skip
    started = time.monotonic()
    try:
        qemu = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=task.timeout,
            check=False, preexec_fn=_die_with_parent,
        )  # fmt: skip
        why = f"qemu ended with {qemu.returncode}: {qemu.stderr.strip()}"
    except subprocess.TimeoutExpired:
        why = f"the guest was not done in {task.timeout:.0f} s"
    finally:
        disk.unlink()
    seconds = time.monotonic() - started
    lines = output.read_text(errors="replace").splitlines()
    said = console.read_text(errors="replace")
    try:
        end = json.loads(lines[-1])
    except (IndexError, ValueError):
        end = {}
    if not isinstance(end, dict) or end.get("guest") != "end":
        shown = "\n".join([*lines[-3:], *said.splitlines()[-_SHOWN_LINES:]])
        raise GuestError(f"{kernel.release}: {why}\n{shown}")
    return Outcome(end["status"], lines[:-1], said, seconds)


def _make_disk(kernel: Kernel, task: Task, path: Path) -> None:
    with path.open("wb") as stream:
        archive = Archive(stream)
        for place in ("/proc", "/sys", "/dev", "/tmp", "/run", "/var"):  # noqa: S108 - the guest's own
            archive.folder(place)
        archive.device("/dev/console", 5, 1)
        files = GuestFiles(archive)
        files.python(*task.extras)
        files.project()
        for extra in task.files:
            (files.tree if extra.is_dir() else files.file)(extra)
        for tool in task.tools:
            files.program(tool)
        files.libraries()
        loaded = []
        for name, image in with_dependencies(kernel.modules, MODULES).items():
            loaded.append(f"/modules/{name}.ko")
            archive.file(loaded[-1], image)
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": "/tmp",  # noqa: S108 - the guest's own
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            **task.environment,
        }
        text = {
            "modules": loaded,
            "command": list(task.command),
            "environment": environment,
            "folder": str(TOP),
        }
        archive.file("/guest.json", json.dumps(text).encode())
        start = f"#!{sys.executable} -I\n" + Path(guest_init.__file__).read_text()
        archive.file("/guest-init", start.encode(), 0o755)
        archive.close()


def _die_with_parent() -> None:
    # A qemu must not outlive tests that are killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)
