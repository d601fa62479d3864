"""Why the kernel said EPERM: what this process lacks, read from the kernel and never guessed.

Sources: capabilities(7), /proc/sys/kernel (unprivileged_bpf_disabled), kernel_lockdown(7),
include/uapi/linux/magic.h for the bpffs.
"""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CAPABILITIES: Final = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}
"""Bits of /proc/self/status (include/uapi/linux/capability.h)."""

BPFFS_MAGIC: Final = 0xCAFE4A11
DEFAULT_BPFFS: Final = Path("/sys/fs/bpf")


@dataclass(frozen=True, slots=True)
class Privileges:
    """Facts about this process and machine; None where the kernel does not tell.

    `missing` are the capabilities that loading and attaching a gate needs and that the process does
    not have in effect; CAP_SYS_ADMIN counts for CAP_BPF and CAP_PERFMON as it does in the kernel.
    `memlock` is the limit in bytes, None: unlimited. `unprivileged_bpf` is the sysctl's value.
    `own_user_namespace`: capabilities are those of a user namespace, which bpf() does not accept.
    """

    missing: tuple[str, ...] | None
    own_user_namespace: bool | None
    no_new_privileges: bool | None
    seccomp: bool | None
    memlock: int | None
    unprivileged_bpf: int | None
    lockdown: str | None
    bpffs: bool


def read_privileges() -> Privileges:
    """The facts as they are now."""
    status = _status()
    soft = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    return Privileges(
        missing_capabilities(int(status["CapEff"], 16)) if "CapEff" in status else None,
        _in_user_namespace(),
        status["NoNewPrivs"] == "1" if "NoNewPrivs" in status else None,
        status["Seccomp"] != "0" if "Seccomp" in status else None,
        None if soft == resource.RLIM_INFINITY else soft,
        _read_number(Path("/proc/sys/kernel/unprivileged_bpf_disabled")),
        _lockdown(),
        is_bpffs(DEFAULT_BPFFS),
    )


def missing_capabilities(effective: int) -> tuple[str, ...]:
    """Capabilities out of CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON that the bit mask lacks."""
    if effective >> CAPABILITIES["CAP_SYS_ADMIN"] & 1:
        needed = ["CAP_NET_ADMIN"]
    else:
        needed = ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]
    return tuple(name for name in needed if not effective >> CAPABILITIES[name] & 1)


def explain(facts: Privileges | None = None) -> str:
    """What explains an EPERM of bpf(), in words; says so where nothing that is known does."""
    facts = facts or read_privileges()
    reasons = []
    if facts.missing:
        reasons.append(f"the process lacks {', '.join(facts.missing)}: run it as root or grant them")
        if facts.unprivileged_bpf:
            reasons.append(f"kernel.unprivileged_bpf_disabled is {facts.unprivileged_bpf}")
    if facts.own_user_namespace:
        reasons.append(
            "it runs in a user namespace, whose capabilities bpf() accepts only with a token, which "
            "Wardgate does not use: run it in the initial one"
        )
    if facts.lockdown in ("integrity", "confidentiality"):
        reasons.append(f"the kernel is in lockdown ({facts.lockdown})")
    if reasons:
        return "; ".join(reasons)
    # Nothing that is sure: what is left to look at, most likely first.
    if facts.seccomp:
        reasons.append("a seccomp filter is active: allow bpf() in it")
    if facts.memlock is not None:
        reasons.append(
            f"the limit on locked memory is {facts.memlock} bytes, which kernels before 5.11 apply: "
            "raise it (ulimit -l unlimited)"
        )
    reasons.append("look for a security module's denial (SELinux, AppArmor) in the kernel's log")
    return "; ".join(reasons)


def explain_pin(path: Path) -> str:
    """Why `path` cannot hold a pin, where that shows: no bpffs there; else an empty text."""
    if is_bpffs(path.parent):
        return ""
    if not path.parent.is_dir():
        return f"there is no directory {path.parent}"
    return f"{path.parent} is not on a bpffs: mount -t bpf bpf {DEFAULT_BPFFS}"


def is_bpffs(path: Path) -> bool:
    """Whether `path` exists and lies on a bpffs."""
    # struct statfs begins with f_type, a long everywhere but on s390, where it is an unsigned int
    # (arch/s390/include/uapi/asm/statfs.h); the whole is at most 120 bytes.
    buffer = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(path), buffer) != 0:
        return False
    kind = ctypes.c_uint if os.uname().machine.startswith("s390") else ctypes.c_ulong
    return kind.from_buffer(buffer).value & 0xFFFF_FFFF == BPFFS_MAGIC


def _status() -> dict[str, str]:
    lines = _read(lambda: Path("/proc/self/status").read_text()) or ""
    pairs = (line.partition(":") for line in lines.splitlines())
    return {key: value.strip() for key, _, value in pairs}


def _in_user_namespace() -> bool | None:
    # The initial namespace maps every id to itself, 0 0 4294967295.
    text = _read(lambda: Path("/proc/self/uid_map").read_text())
    return None if text is None else text.split() != ["0", "0", "4294967295"]


def _lockdown() -> str | None:
    # "none [integrity] confidentiality": the one in brackets is in force.
    text = _read(lambda: Path("/sys/kernel/security/lockdown").read_text())
    if not text or "[" not in text:
        return None
    return text.partition("[")[2].partition("]")[0]


def _read_number(path: Path) -> int | None:
    text = _read(path.read_text)
    return int(text) if text and text.strip().isdigit() else None


def _read(read: Callable[[], str]) -> str | None:
    try:
        return read()
    except OSError:
        return None
