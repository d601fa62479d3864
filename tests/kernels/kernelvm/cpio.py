"""Writing a cpio archive in the `newc` format, as the kernel unpacks it into its first root.

Documented in the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from pathlib import PurePosixPath
from typing import BinaryIO

_ALIGNMENT = 4
_NO_DEVICE = (0, 0)


class Archive:
    """An archive that is written into `stream`; folders on the way to an entry are made by themselves."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._known: set[str] = set()
        self._number = 0

    def file(self, path: str, data: bytes, mode: int = 0o644, changed: int = 0) -> None:
        """A file, last changed `changed` seconds after 1970; one that is there already is left as it is."""
        self._entry(path, stat.S_IFREG | mode, data, changed)

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def folder(self, path: str) -> None:
        """A folder."""
        self._entry(path, stat.S_IFDIR | 0o755, b"")

    def device(self, path: str, major: int, minor: int) -> None:
        """A character device."""
        self._entry(path, stat.S_IFCHR | 0o600, b"", 0, (major, minor))

    def close(self) -> None:
        """Write the end mark; the stream stays open."""
        self._write("TRAILER!!!", 0, b"", 0, _NO_DEVICE)

    def _entry(
        self, path: str, mode: int, data: bytes, changed: int = 0, device: tuple[int, int] = _NO_DEVICE
    ) -> None:
        name = path.strip("/")
        if name in self._known:
            return
        for parent in reversed(PurePosixPath(name).parents[:-1]):
            if str(parent) not in self._known:
                self._known.add(str(parent))
                self._write(str(parent), stat.S_IFDIR | 0o755, b"", 0, _NO_DEVICE)
        self._known.add(name)
        self._write(name, mode, data, changed, device)

    def _write(self, name: str, mode: int, data: bytes, changed: int, device: tuple[int, int]) -> None:
        self._number += 1
        encoded = name.encode() + b"\0"
        # ino, mode, uid, gid, nlink, mtime, filesize, device of the file, device, namesize, check
        fields = (self._number, mode, 0, 0, 1, changed, len(data), 0, 0, *device, len(encoded), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self._stream.write(head + bytes(-len(head) % _ALIGNMENT))
        self._stream.write(data)
        self._stream.write(bytes(-len(data) % _ALIGNMENT))
