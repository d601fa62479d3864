"""Number of the bpf() system call on each machine."""

from __future__ import annotations

from typing import Final

from wardgate.runtime.errors import UnsupportedError

_NUMBERS: Final = {
    "x86_64": (321, 357),
    "aarch64": (280, 386),
    "riscv64": (280, None),
    "riscv32": (None, 280),
    "loongarch64": (280, None),
    "ppc64le": (361, 361),
    "ppc64": (361, 361),
    "ppc": (None, 361),
    "s390x": (351, 351),
    "sparc64": (349, 349),
    "mips64": (5315, 4355),
    "mips": (None, 4355),
    "arm": (None, 386),
    "i386": (None, 357),
}
"""Number of bpf() by machine, for processes of 64 and of 32 bits (the kernel's syscall tables)."""


def syscall_number(machine: str, pointer_bits: int) -> int:
    """Number of bpf() on `machine` (as in uname); UnsupportedError where it is not known."""
    name = machine
    if machine in ("i486", "i586", "i686"):
        name = "i386"
    elif machine == "arm64":
        name = "aarch64"
    elif machine.startswith("armv"):
        name = "arm"
    wide, narrow = _NUMBERS.get(name, (None, None))
    number = wide if pointer_bits == 64 else narrow
    if number is None:
        raise UnsupportedError(
            "call bpf()",
            "",
            f"its system call number on {machine} ({pointer_bits} bits) is not known",
            f"run on one of {', '.join(sorted(_NUMBERS))}",
        )
    return number
