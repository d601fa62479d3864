"""An open file descriptor with one owner."""

from __future__ import annotations

import fcntl
import os
import warnings
from types import TracebackType

from wardgate.runtime.errors import TOO_MANY_FILES, BpfError


class Fd:
    """An open fd that closes once: a context manager; left open it warns when collected."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """The fd's number; ValueError once closed."""
        if self._fd < 0:
            raise ValueError("the fd is closed")
        return self._fd

    @property
    def closed(self) -> bool:
        """Whether it has been closed or given away."""
        return self._fd < 0

    def dup(self) -> Fd:
        """Another fd for the same object, closed on exec; BpfError where the process has too many."""
        try:
            return Fd(fcntl.fcntl(self.fileno(), fcntl.F_DUPFD_CLOEXEC, 3))
        except OSError as error:
            raise BpfError("duplicate", repr(self), error.errno or 0, TOO_MANY_FILES) from None

    def detach(self) -> int:
        """Give the number away: the caller closes it."""
        fd = self.fileno()
        self._fd = -1
        return fd

    def close(self) -> None:
        """Close it; nothing happens when it is closed already."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Fd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            warnings.warn(f"bpf fd {self._fd} was not closed", ResourceWarning, stacklevel=2)
            self.close()

    def __repr__(self) -> str:
        return f"Fd({self._fd})" if self._fd >= 0 else "Fd(closed)"
