"""The system call's number, owned fds, and errors in words."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from wardgate.runtime.errors import ArtefactError, BpfError, UnsupportedError, WardgateError, describe_errno
from wardgate.runtime.info import obj_info
from wardgate.runtime.machine import syscall_number
from wardgate.runtime.syscall import Fd


@pytest.mark.parametrize(
    ("machine", "bits", "number"),
    [
        ("x86_64", 64, 321), ("x86_64", 32, 357), ("i686", 32, 357), ("aarch64", 64, 280),
        ("arm64", 64, 280), ("aarch64", 32, 386), ("armv7l", 32, 386), ("riscv64", 64, 280),
        ("loongarch64", 64, 280), ("s390x", 64, 351), ("ppc64le", 64, 361), ("sparc64", 64, 349),
    ],
)  # fmt: skip
def test_number_by_machine(machine: str, bits: int, number: int) -> None:
    assert syscall_number(machine, bits) == number


def test_an_unknown_machine_is_named() -> None:
    with pytest.raises(UnsupportedError, match=r"pdp11 \(64 bits\)"):
        syscall_number("pdp11", 64)


def test_an_fd_closes_once(tmp_path: Path) -> None:
    fd = Fd(os.open(tmp_path, os.O_RDONLY))
    number = fd.fileno()
    with fd, fd.dup() as other:
        assert not os.get_inheritable(other.fileno())
        assert other.fileno() != number
    assert fd.closed
    fd.close()
    with pytest.raises(ValueError, match="closed"):
        fd.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_a_detached_fd_is_the_callers(tmp_path: Path) -> None:
    with Fd(os.open(tmp_path, os.O_RDONLY)) as fd:
        number = fd.detach()
    os.close(number)


def test_an_fd_left_open_warns(tmp_path: Path) -> None:
    with pytest.warns(ResourceWarning, match="not closed"):
        Fd(os.open(tmp_path, os.O_RDONLY)).__del__()


def test_what_is_no_bpf_object_is_named(tmp_path: Path) -> None:
    with Fd(os.open(tmp_path, os.O_RDONLY)) as fd, pytest.raises(UnsupportedError, match="no bpf object"):
        obj_info(fd)


def test_errors_have_their_parts() -> None:
    error = BpfError("create map", "'devices'", errno.ENOMEM, "free memory")
    assert isinstance(error, OSError)
    assert isinstance(error, WardgateError)
    assert error.errno == errno.ENOMEM
    assert str(error) == "create map 'devices': Cannot allocate memory (ENOMEM); free memory"
    assert (error.operation, error.target, error.remedy) == ("create map", "'devices'", "free memory")
    assert str(ArtefactError("tc+0x8", "is cut off")).startswith("read artefact tc+0x8: is cut off; ")


def test_error_numbers_in_words() -> None:
    assert describe_errno(errno.EPERM) == "Operation not permitted (EPERM)"
    assert "ENOTSUPP" in describe_errno(524)
    assert "9999" in describe_errno(9999)
