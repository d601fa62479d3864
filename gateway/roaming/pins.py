"""What of a gateway's detectors survives the process.

    /sys/fs/bpf/wardgate-roaming/NAME/
        about                   digest of the program and its constants, in a frozen map
        peers, handshakes, changes, lost_events
        on_packet, on_handshake links
        filters/N-PORT          an empty folder: interface N has a clsact filter of the watch on PORT
        qdiscs/N                an empty folder: the clsact qdisc of interface N was made for it

Beside the gate's own folder, which knows nothing of it: a gate that is detached keeps this, and a gateway
that is removed takes it away (`remove`). See docs/pins.md.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wardgate.gateway.errors import BusyError
from wardgate.gateway.roaming.errors import DetectorError
from wardgate.runtime.pins import PinError, check_name, check_private
from wardgate.runtime.privileges import DEFAULT_BPFFS, is_bpffs

ROOT: Final = DEFAULT_BPFFS / "wardgate-roaming"


@dataclass(frozen=True, slots=True)
class RoamingPins:
    """The folder of the gateway whose gate is `name`."""

    name: str

    @property
    def root(self) -> Path:
        """The folder itself."""
        return ROOT / check_name(self.name)

    @property
    def about(self) -> Path:
        """Pin of the digest of what is loaded."""
        return self.root / "about"

    @property
    def filters(self) -> Path:
        """Folder of marks for filters."""
        return self.root / "filters"

    @property
    def qdiscs(self) -> Path:
        """Folder of marks for qdiscs that were made."""
        return self.root / "qdiscs"

    def exists(self) -> bool:
        """Whether there is a folder. Who may not see it has made none."""
        try:
            return self.root.is_dir()
        except PermissionError:
            return False

    def make(self) -> None:
        """Make the folder; DetectorError."""
        if not is_bpffs(DEFAULT_BPFFS):
            raise DetectorError(
                "pins", f"there is no bpffs on {DEFAULT_BPFFS}", f"mount -t bpf bpf {DEFAULT_BPFFS}"
            )
        try:
            for path in (ROOT, self.root):
                path.mkdir(mode=0o700, exist_ok=True)
                check_private(path)
        except PinError as error:
            raise DetectorError(error.target, error.cause, error.remedy) from None
        except OSError as error:
            raise DetectorError("pins", f"{self.root}: {error.strerror}", "run as root") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder against another process of the same gateway; BusyError where there is one. The
        kernel gives it back when the process ends."""
        self.make()
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(
                    "watch for roaming", self.name, f"another process holds {self.root}",
                    "end the other gateway of this name",
                ) from None  # fmt: skip
            yield
        finally:
            os.close(fd)

    def remove_empty(self) -> None:
        """Remove the folders in which nothing is."""
        for path in (self.filters, self.qdiscs, self.root, ROOT):
            try:
                path.rmdir()
            except OSError:
                # Something is in it, or it is not there.
                continue
