"""What of a gateway's detectors survives the process.

    /sys/fs/bpf/wardgate-roaming/NAME/
        about                   digest of the program and its constants, in a frozen map
        peers, handshakes, changes, lost_events
        on_packet, on_handshake links
        qdiscs/N                an empty folder: the clsact qdisc of interface N was made for the watch

Beside the gate's own folder, which knows nothing of it: a gate that is detached keeps this, and a gateway
that is removed takes it away (`fentry.remove`). See docs/pins.md.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wardgate.gateway.roaming.errors import DetectorError
from wardgate.runtime.pins import check_name, remove_tree
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
    def qdiscs(self) -> Path:
        """Folder of marks for qdiscs that were made."""
        return self.root / "qdiscs"

    def make(self) -> None:
        """Make the folder; DetectorError."""
        if not is_bpffs(DEFAULT_BPFFS):
            raise DetectorError(
                "pins", f"there is no bpffs on {DEFAULT_BPFFS}", f"mount -t bpf bpf {DEFAULT_BPFFS}"
            )
        try:
            for path in (ROOT, self.root):
                path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise DetectorError("pins", f"{self.root}: {error.strerror}", "run as root") from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder against another process of the same gateway; DetectorError where there is one. The
        kernel gives it back when the process ends."""
        self.make()
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DetectorError(
                    "pins", f"another process holds {self.root}", "end the other gateway of this name"
                ) from None
            yield
        finally:
            os.close(fd)

    def remove_empty(self) -> None:
        """Remove the folders in which nothing is."""
        for path in (self.qdiscs, self.root, ROOT):
            try:
                path.rmdir()
            except OSError:
                # Something is in it, or it is not there.
                continue

    def remove(self) -> None:
        """Remove the folder with all that is pinned in it, and the parent when it was the last."""
        remove_tree(self.root)
        self.remove_empty()
