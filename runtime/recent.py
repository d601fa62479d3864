"""What was read of pins, kept as long as they are not replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """What was read of the latest pins. The number of a pin's inode is not used again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: dict[tuple[int, int], T] = {}

    def get(self, path: Path, read: Callable[[], T]) -> T:
        """What is at `path`; `read` reads it where it was replaced since."""
        status = path.stat()
        found = self._found.get((status.st_dev, status.st_ino))
        if found is None:
            found = read()
            self._keep((status.st_dev, status.st_ino), found)
        return found

    def set(self, path: Path, value: T) -> None:
        """Save the reading of what was just written to `path`."""
        status = path.stat()
        self._keep((status.st_dev, status.st_ino), value)

    def _keep(self, key: tuple[int, int], value: T) -> None:
        while len(self._found) >= self._most:
            del self._found[next(iter(self._found))]
        self._found[key] = value
