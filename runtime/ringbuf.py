"""Reader of a BPF ring buffer (kernel/bpf/ringbuf.c; Documentation/bpf/ringbuf.rst).

The kernel lets userspace map one page with the consumer's position, one with the producer's, and the
data twice in a row, so that a record that wraps around the end lies in one piece. Each record is a
header of 8 bytes, whose first u32 is the length and two flags, then the sample, padded to 8 bytes.
There is one consumer's position: a buffer can have one reader.
"""

from __future__ import annotations

import errno
import mmap
import select
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from wardgate.runtime.errors import TOO_MANY_FILES, UnsupportedError, WardgateError, describe_errno
from wardgate.runtime.syscall import Fd

_BUSY: Final = 1 << 31
_DISCARD: Final = 1 << 30
_HEADER: Final = 8
_LENGTH: Final = struct.Struct("<I")


class RingBuffer:
    """The reader: a context manager over its mappings. It duplicates the fd, and owns the duplicate."""

    def __init__(self, fd: Fd, size: int) -> None:
        """`size` is the map's max_entries: bytes of data, a power of two and whole pages."""
        page = mmap.PAGESIZE
        if size < page or size & (size - 1):
            raise UnsupportedError(
                "map ring buffer", "", f"{size} bytes are not a power of two of at least a page ({page})"
            )
        self._mask = size - 1
        self._fd = fd.dup()
        try:
            number = self._fd.fileno()
            self._consumer = mmap.mmap(number, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            self._data = mmap.mmap(
                number, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=mmap.PAGESIZE
            )
            self._epoll = select.epoll(flags=select.EPOLL_CLOEXEC)
            self._epoll.register(number, select.EPOLLIN)
        except OSError as error:
            self._fd.close()
            cause = describe_errno(error.errno or 0)
            if error.errno == errno.EMFILE:
                raise WardgateError("map ring buffer", "", cause, TOO_MANY_FILES) from error
            raise UnsupportedError("map ring buffer", "", cause) from error
        # memoryview items of 8 bytes are read and written as one aligned load or store.
        self._consumed = memoryview(self._consumer).cast("Q")
        self._produced = memoryview(self._data)[:8].cast("Q")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds (None: for ever) for something to read; False: nothing came."""
        if self.pending:
            return True
        return bool(self._epoll.poll(timeout)) or self.pending > 0

    def fileno(self) -> int:
        """A descriptor that becomes readable when something is to be read, for an event loop."""
        return self._epoll.fileno()

    @property
    def pending(self) -> int:
        """Bytes between the consumer's and the producer's position, headers and all."""
        return self._produced[0] - self._consumed[0]

    def read(self) -> Iterator[bytes]:
        """What is there now, oldest first, without waiting. A record is free for the kernel to
        overwrite as soon as the iterator gave it."""
        page = mmap.PAGESIZE
        position = self._consumed[0]
        produced = self._produced[0]
        while position < produced:
            at = page + (position & self._mask)
            (word,) = _LENGTH.unpack_from(self._data, at)
            if word & _BUSY:
                # The kernel reserves in order but commits in any order: what comes after waits too.
                return
            length = word & ~_DISCARD
            sample = None if word & _DISCARD else self._data[at + _HEADER : at + _HEADER + length]
            position += (length + _HEADER + 7) & ~7
            self._consumed[0] = position
            if sample is not None:
                yield sample
            if position >= produced:
                produced = self._produced[0]

    def close(self) -> None:
        """Unmap; nothing happens when it is closed already."""
        if self._fd.closed:
            return
        self._epoll.close()
        self._consumed.release()
        self._produced.release()
        self._consumer.close()
        self._data.close()
        self._fd.close()

    def __enter__(self) -> RingBuffer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
