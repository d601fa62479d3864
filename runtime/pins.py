"""What of a gate survives the process: its folder on the bpffs, and the lock on it.

    /sys/fs/bpf/wardgate/NAME/
        about                   what the gate is: device, hook, rungs (see About)
        subjects                users by their ids (see subjects)
        unfinished/             there while devices or classes are being changed
        maps/MAP                shared maps
        generations/N/          programs, generation maps and manifest of a loaded policy
        links/HOOK              links; attachments without one are held by the device itself

docs/pins.md says what each state of the folder means. Directories are the only other thing that a
bpffs can hold, and renaming one is atomic: generations are made and removed under a name that says so.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wardgate.runtime.attach import Hook, Refusal, Rung
from wardgate.runtime.errors import TOO_MANY_FILES, WardgateError, describe_errno
from wardgate.runtime.layout.codes import LinkHeader
from wardgate.runtime.privileges import DEFAULT_BPFFS, is_bpffs

ROOT: Final = DEFAULT_BPFFS / "wardgate"
LOCK_TIMEOUT: Final = 10.0
"""Seconds to wait for another process that changes the gate; a swap takes well under one."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_@:+-]{0,63}")
_LOCK_POLL: Final = 0.01


class PinError(WardgateError):
    """The gate's folder cannot be made, found or read."""


class LockError(WardgateError):
    """Another process is changing the gate, or reads what only one can read."""


def check_name(name: str) -> str:
    """`name`, if a gate can have it; PinError."""
    if _NAME.fullmatch(name):
        return name
    cause = "a bpffs holds no name with a dot" if "." in name else "it is not a name that a folder can have"
    raise PinError(
        "name gate", name, cause, "give another with --name: letters, digits and _ @ : + -, at most 64"
    )


def gate_names() -> list[str]:
    """Names of the gates that have a folder, sorted; none where there is no bpffs. PinError."""
    try:
        return sorted(path.name for path in ROOT.iterdir() if path.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PinError("list gates", str(ROOT), *_told(error)) from error


@dataclass(frozen=True, slots=True)
class About:
    """What a gate is, apart from what the kernel tells itself.

    `rungs` and `refused`: the rung that each hook took and what the better ones answered. `netns` is
    the number of the network namespace that the device was in, `link_header` what its programs expect
    before the IP header.
    """

    device: str
    netns: int
    link_header: LinkHeader
    hook: str
    rungs: Mapping[Hook, Rung] = field(default_factory=dict)
    refused: Mapping[Hook, tuple[Refusal, ...]] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """As it is pinned."""
        document = {
            "device": self.device,
            "netns": self.netns,
            "link_header": int(self.link_header),
            "hook": self.hook,
            "rungs": {hook.value: rung.value for hook, rung in self.rungs.items()},
            "refused": {
                hook.value: [[entry.rung.value, entry.cause] for entry in entries]
                for hook, entries in self.refused.items()
            },
        }
        return json.dumps(document, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> About:
        """From what `to_json` gave; PinError where it is something else."""
        try:
            document = json.loads(data)
            return cls(
                document["device"],
                document["netns"],
                LinkHeader(document["link_header"]),
                document["hook"],
                {Hook(hook): Rung(rung) for hook, rung in document["rungs"].items()},
                {
                    Hook(hook): tuple(Refusal(Rung(rung), cause) for rung, cause in entries)
                    for hook, entries in document["refused"].items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PinError(
                "read pin", "about", f"it was written by another release: {error!r}", "detach the gate"
            ) from None


@dataclass(frozen=True, slots=True)
class GatePins:
    """The folder of one gate."""

    name: str

    @property
    def root(self) -> Path:
        """The folder itself."""
        return ROOT / self.name

    @property
    def about(self) -> Path:
        """Pin of the frozen map that holds About."""
        return self.root / "about"

    @property
    def subjects(self) -> Path:
        """Pin of the users' names."""
        return self.root / "subjects"

    @property
    def unfinished(self) -> Path:
        """The empty folder that is there while a writer changes several places that must agree."""
        return self.root / "unfinished"

    @property
    def maps(self) -> Path:
        """Folder of the shared maps."""
        return self.root / "maps"

    @property
    def generations(self) -> Path:
        """Folder of the generations."""
        return self.root / "generations"

    @property
    def links(self) -> Path:
        """Folder of the links."""
        return self.root / "links"

    def exists(self) -> bool:
        """Whether there is a folder, be it of a whole gate or of a part; PinError where that is secret."""
        try:
            return self.root.is_dir()
        except OSError as error:
            raise PinError("open gate", self.name, *_told(error)) from error

    def make(self) -> None:
        """Make the folders that are missing; PinError. The lock is held."""
        for path in (self.maps, self.generations, self.links):
            path.mkdir(exist_ok=True)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Leave word that what is done here has to be mended, until it is done. The lock is held."""
        self.unfinished.mkdir(exist_ok=True)
        yield
        self.unfinished.rmdir()

    def remove(self) -> None:
        """Remove the folder with all pins in it, and the parent when it was the last gate's."""
        remove_tree(self.root)
        _remove_parent()

    @contextmanager
    def lock(self, *, create: bool = False, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
        """Hold the gate against other writers; makes its folder if `create`.

        The kernel gives the lock back when the process ends, however it ends. PinError where there is
        no gate, LockError where another holds it for longer than `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            if create:
                self._make_root()
            fd = _open_directory(self.root, self.name)
            try:
                _flock(fd, deadline, "change gate", self.name, "wait for it, or end it")
                if _is_at(fd, self.root):
                    yield
                    return
            finally:
                os.close(fd)
            # The gate was detached while this process waited: what it locked is no longer there.

    @contextmanager
    def reading(self) -> Iterator[Callable[[], bool]]:
        """Hold the gate's events: a ring buffer has one reader. LockError where another has it.

        Gives a function that says whether the gate is still there.
        """
        fd = _open_directory(self.maps, self.name)
        try:
            _flock(
                fd, 0.0, "read events of", self.name,
                "end the one that shows them; a gateway shows them by `wardgate gateway events --only drop`",
            )  # fmt: skip
            yield lambda: _is_at(fd, self.maps)
        finally:
            os.close(fd)

    def _make_root(self) -> None:
        if not is_bpffs(DEFAULT_BPFFS):
            raise PinError(
                "make gate",
                self.name,
                f"there is no bpffs on {DEFAULT_BPFFS}",
                f"mount -t bpf bpf {DEFAULT_BPFFS}; in a network namespace use nsenter --net=FILE, "
                "as ip netns exec hides it behind a new /sys",
            )
        try:
            ROOT.mkdir(mode=0o700, exist_ok=True)
            self.root.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError:
            # Another process just removed the parent with its last gate.
            self._make_root()
        except OSError as error:
            raise PinError("make gate", self.name, *_told(error)) from error


def remove_tree(path: Path) -> None:
    """Unpin everything below `path`, and it; nothing happens where it is not there."""
    try:
        entries = list(path.iterdir())
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            remove_tree(entry)
        else:
            entry.unlink(missing_ok=True)
    path.rmdir()


def _told(error: OSError) -> tuple[str, str]:
    """Cause and remedy."""
    remedies = {errno.EACCES: "run as root", errno.EPERM: "run as root", errno.EMFILE: TOO_MANY_FILES}
    return describe_errno(error.errno or 0), remedies.get(error.errno or 0, "")


def _remove_parent() -> None:
    try:
        ROOT.rmdir()
    except OSError:
        # Other gates are in it, or another process was faster.
        return


def _open_directory(path: Path, name: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        known = ", ".join(gate_names()) or "none"
        raise PinError("open gate", name, "there is no gate of this name", f"gates here: {known}") from None
    except OSError as error:
        raise PinError("open gate", name, *_told(error)) from error


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _flock(fd: int, deadline: float, operation: str, name: str, remedy: str) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = _lock_holder(fd)
                who = f"process {holder}" if holder else "another process"
                raise LockError(operation, name, f"{who} holds it", remedy) from None
            time.sleep(_LOCK_POLL)


def _lock_holder(fd: int) -> int | None:
    """The process that holds a lock on the file of `fd` (proc_locks(5)); None where it does not show."""
    status = os.fstat(fd)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        parts = line.split()
        if len(parts) == 8 and parts[1] == "FLOCK" and parts[5] == place:
            return int(parts[4])
    return None
