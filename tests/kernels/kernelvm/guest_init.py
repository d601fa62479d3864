"""The first process of a guest: sets the machine up, runs the command, and ends the machine.

Runs from the initial RAM disk with nothing but Python. /guest.json says what to do: `modules` (paths of
modules to load, in order), `command`, `environment`, `folder`. The command's stdout goes to the second
serial port, stderr to the console; a last line `{"guest": "end", "status": N}` follows.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import termios
import traceback
from pathlib import Path

_REBOOT, _MAGIC, _MAGIC2, _RESTART = 169, 0xFEE1DEAD, 672274793, 0x01234567
_FINIT_MODULE = 313
_MOUNTS = (
    ("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("bpf", "/sys/fs/bpf"),
    ("debugfs", "/sys/kernel/debug"), ("tracefs", "/sys/kernel/tracing"),
)  # fmt: skip
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name} {arguments}: {os.strerror(number)}")


def _mount() -> None:
    for kind, place in _MOUNTS:
        Path(place).mkdir(parents=True, exist_ok=True)
        _call("mount", kind.encode(), place.encode(), kind.encode(), ctypes.c_ulong(0), None)
    Path("/var/run").symlink_to("/run")
    Path("/run/netns").mkdir()


def _load(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("syscall", _FINIT_MODULE, descriptor, b"", 0)
    finally:
        os.close(descriptor)


def _open_output() -> int:
    output = os.open("/dev/ttyS1", os.O_WRONLY | os.O_NOCTTY)
    attributes = termios.tcgetattr(output)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(output, termios.TCSANOW, attributes)
    return output


def _work() -> None:
    _mount()
    output = _open_output()
    task = json.loads(Path("/guest.json").read_text())
    for path in task["modules"]:
        _load(path)
    done = subprocess.run(
        task["command"], cwd=task["folder"], env=task["environment"], stdin=subprocess.DEVNULL,
        stdout=output, check=False,
    )  # fmt: skip
    os.write(output, json.dumps({"guest": "end", "status": done.returncode}).encode() + b"\n")
    termios.tcdrain(output)
    os.close(output)


def main() -> None:
    """Never returns: a first process that ends is a panic."""
    try:
        _work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.sync()
        # qemu runs with -no-reboot, and ends.
        _libc.syscall(_REBOOT, _MAGIC, _MAGIC2, _RESTART, None)


if __name__ == "__main__":
    main()
