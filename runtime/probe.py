"""Which features the running kernel has, found by trying each one and never from its version.

Whatever a probe makes is gone when it returns. Links are tried on the loopback device of a network
namespace that exists for the probe alone, so that no traffic of the machine passes them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from wardgate.runtime.btf import read_btf
from wardgate.runtime.errors import ENOTSUPP, BpfError, UnsupportedError, WardgateError, describe_errno
from wardgate.runtime.layout import features
from wardgate.runtime.layout.maps import MapFlag, MapType
from wardgate.runtime.maps import Map
from wardgate.runtime.object import load_btf
from wardgate.runtime.program import Program, load_program
from wardgate.runtime.relocate import LinkedProgram
from wardgate.runtime.spec import ProgramKind
from wardgate.runtime.syscall import Cmd, Fd, bpf, raw_bpf

_CLONE_NEWNET: Final = 0x4000_0000
_LOOPBACK: Final = 1
_ATTACH_TCX_INGRESS: Final = 46
_ATTACH_XDP: Final = 37
_XDP_GENERIC: Final = 1 << 1
_JIFFIES: Final = 118
_BOOT_NS: Final = 125
_MOVE_0: Final = struct.pack("<BBhi", 0xB7, 0, 0, 0)
_EXIT: Final = struct.pack("<BBhi", 0x95, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Feature:
    """`present` None: could not be tried. `evidence` is what was tried and what the kernel said."""

    name: str
    present: bool | None
    evidence: str


@dataclass(frozen=True, slots=True)
class FeatureReport:
    """All probed features."""

    features: tuple[Feature, ...]

    def __getitem__(self, name: str) -> Feature:
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(name)

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.features)

    def require(self, *names: str) -> None:
        """UnsupportedError unless all of these are present, or could not be tried."""
        absent = [self[name] for name in names if self[name].present is False]
        if absent:
            raise UnsupportedError(
                "use this kernel",
                "",
                "; ".join(f"it lacks {feature.name} ({feature.evidence})" for feature in absent),
                "run a kernel that has them: 6.1 with BPF_SYSCALL, BPF_JIT and NET_CLS_BPF is enough",
            )


class _UntriedError(Exception):
    """The probe could not be made; says nothing about the feature."""


def probe(names: Collection[str] | None = None) -> FeatureReport:
    """Try these features (names of layout.features), or all.

    PrivilegeError where this process may not use bpf() at all, UnsupportedError for a name that this
    runtime does not know, such as one in the manifest of a newer artefact.
    """
    unknown = sorted(set(names or ()) - set(_PROBES))
    if unknown:
        raise UnsupportedError(
            "probe the kernel", "", f"features {unknown} are not known", "run a newer release of Wardgate"
        )
    with Map.create("probe", MapType.ARRAY, 4, 8, 1):
        pass
    wanted = _PROBES if names is None else names
    return FeatureReport(tuple(_try(name, attempt) for name, attempt in _PROBES.items() if name in wanted))


def _try(name: str, attempt: Callable[[], str]) -> Feature:
    try:
        return Feature(name, True, attempt())
    except _UntriedError as error:
        return Feature(name, None, str(error))
    except WardgateError as error:
        return Feature(name, False, f"{error.operation}: {error.cause}")


def _load(kind: ProgramKind, code: bytes = _MOVE_0 + _EXIT) -> Program:
    return load_program(LinkedProgram("probe", kind, code, b"", b"", ()), "Dual MIT/GPL")


def _program(kind: ProgramKind) -> str:
    with _load(kind):
        return "loaded one"


def _helper(number: int, name: str) -> str:
    call = struct.pack("<BBhi", 0x85, 0, 0, number)
    for kind in (ProgramKind.TC, ProgramKind.XDP):
        with _load(kind, call + _MOVE_0 + _EXIT):
            pass
    return f"loaded programs that call {name}"


def _bounded_loops() -> str:
    add = struct.pack("<BBhi", 0x07, 0, 0, 1)
    jump_back_below_10 = struct.pack("<BBhi", 0xA5, 0, -2, 10)
    with _load(ProgramKind.TC, _MOVE_0 + add + jump_back_below_10 + _EXIT):
        return "loaded a program with one"


_STRINGS: Final = b"\0int\0probe\0below\0probe.c\0"
_INT, _PROBE, _BELOW, _FILE = 1, 5, 11, 17


def _types() -> bytes:
    """BTF of `int probe(void)`, type 3, and `int below(int *)`, type 6; places in _STRINGS above."""
    types = struct.pack("<IIII", _INT, 1 << 24, 4, 1 << 24 | 32)
    types += struct.pack("<III", 0, 13 << 24, 1) + struct.pack("<III", _PROBE, 12 << 24 | 1, 2)
    types += struct.pack("<III", 0, 2 << 24, 1)
    types += struct.pack("<IIIII", 0, 13 << 24 | 1, 1, _INT, 4) + struct.pack("<III", _BELOW, 12 << 24 | 1, 5)
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(_STRINGS))
    return head + types + _STRINGS


def _memory_arguments() -> str:
    main = (
        (0xB7, 0x01, 0, 0), (0x7B, 0x1A, -8, 0), (0xBF, 0xA1, 0, 0), (0x07, 0x01, 0, -8),
        (0x85, 0x10, 0, 1), (0x95, 0, 0, 0),
    )  # fmt: skip
    # below(number): returns 0 without a number, else the number.
    below = ((0x55, 0x01, 2, 0), (0xB7, 0, 0, 0), (0x95, 0, 0, 0), (0x61, 0x10, 0, 0), (0x95, 0, 0, 0))
    code = b"".join(struct.pack("<BBhi", *row) for row in main + below)
    functions = struct.pack("<IIII", 0, 3, len(main), 6)
    lines = struct.pack("<IIII", 0, _FILE, _PROBE, 1 << 10) + struct.pack(
        "<IIII", len(main), _FILE, _BELOW, 2 << 10
    )
    linked = LinkedProgram("probe", ProgramKind.TC, code, functions, lines, ())
    with load_btf(read_btf(_types())) as types, load_program(linked, "GPL", types):
        return "loaded a program that passes one a pointer"


def _btf() -> str:
    with load_btf(read_btf(_types())):
        return "loaded types"


def _function_info() -> str:
    functions = struct.pack("<II", 0, 3)
    lines = struct.pack("<IIII", 0, _FILE, _PROBE, 1 << 10)
    linked = LinkedProgram("probe", ProgramKind.TC, _MOVE_0 + _EXIT, functions, lines, ())
    with load_btf(read_btf(_types())) as types, load_program(linked, "GPL", types):
        return "loaded a program with both"


def _ring_buffer() -> str:
    with Map.create("probe", MapType.RINGBUF, 0, 0, max(4096, os.sysconf("SC_PAGESIZE"))):
        return "made one"


def _frozen_tables() -> str:
    flags = int(MapFlag.MMAPABLE | MapFlag.RDONLY_PROG)
    with Map.create("probe", MapType.ARRAY, 4, 8, 1, flags) as data:
        data.freeze()
        load = struct.pack("<BBhi", 0x18, 2 << 4, 0, data.fd.fileno()) + bytes(8)
        with _load(ProgramKind.TC, load + _MOVE_0 + _EXIT):
            return "loaded a program with the address of a frozen array"


def _mmapable() -> str:
    with Map.create("probe", MapType.ARRAY, 4, 8, 1, MapFlag.MMAPABLE) as array, array.view() as view:
        view.store(0, 0, 8, 1)
        return "mapped one into memory"


def _batch() -> str:
    with Map.create("probe", MapType.HASH, 4, 8, 4, MapFlag.NO_PREALLOC) as empty:
        keys, values, position = (ctypes.create_string_buffer(64) for _ in range(3))
        places = (ctypes.addressof(buffer) for buffer in (position, keys, values))
        result = raw_bpf(
            Cmd.MAP_LOOKUP_BATCH, struct.pack("<QQQQIIQQ", 0, *places, 4, empty.fd.fileno(), 0, 0)
        )
        # The end of the map, at once.
        if result in (0, -errno.ENOENT):
            return "read a hash with one"
        if -result in (errno.EINVAL, errno.EOPNOTSUPP, ENOTSUPP):
            raise UnsupportedError("read map in a batch", "", describe_errno(-result))
        raise _UntriedError(describe_errno(-result))


def _test_run() -> str:
    with _load(ProgramKind.TC) as program:
        packet = ctypes.create_string_buffer(64)
        attr = struct.pack("<IIIIQQII", program.fd.fileno(), 0, 64, 0, ctypes.addressof(packet), 0, 1, 0)
        bpf(Cmd.PROG_TEST_RUN, attr)
        return "ran one"


def _create_link(program: Program, attach_type: int, flags: int) -> Fd:
    attr = struct.pack("<IIII", program.fd.fileno(), _LOOPBACK, attach_type, flags) + bytes(16)
    return Fd(bpf(Cmd.LINK_CREATE, attr))


def _link(kind: ProgramKind, attach_type: int, flags: int) -> str:
    with _load(kind) as program, _create_link(program, attach_type, flags):
        return "attached to a loopback device of its own"


def _link_update() -> str:
    for kind, attach_type, flags in (
        (ProgramKind.TC, _ATTACH_TCX_INGRESS, 0),
        (ProgramKind.XDP, _ATTACH_XDP, _XDP_GENERIC),
    ):
        with _load(kind) as program, _load(kind) as following:
            try:
                link = _create_link(program, attach_type, flags)
            except BpfError:
                continue
            with link:
                bpf(Cmd.LINK_UPDATE, struct.pack("<IIII", link.fileno(), following.fd.fileno(), 0, 0))
                return f"replaced the {kind.value} program of a link"
    raise UnsupportedError("update link", "", "there is no link to update")


def _apart(attempt: Callable[[], str]) -> str:
    """Runs `attempt` in a network namespace of its own: that of a thread, which ends with it."""
    outcome: list[str | Exception] = []

    def run() -> None:
        library = ctypes.CDLL(None, use_errno=True)
        if library.unshare(_CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            outcome.append(_UntriedError(f"no network namespace to try in: {describe_errno(code)}"))
            return
        try:
            outcome.append(attempt())
        except WardgateError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name="probe")
    thread.start()
    thread.join()
    if not outcome:
        raise _UntriedError("the probe failed")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


_PROBES: Final[dict[str, Callable[[], str]]] = {
    features.BTF: _btf,
    features.FUNCTION_INFO: _function_info,
    features.PROGRAM_TC: lambda: _program(ProgramKind.TC),
    features.PROGRAM_XDP: lambda: _program(ProgramKind.XDP),
    features.BOUNDED_LOOPS: _bounded_loops,
    features.MEMORY_ARGUMENTS: _memory_arguments,
    features.BOOT_CLOCK: lambda: _helper(_BOOT_NS, "bpf_ktime_get_boot_ns"),
    features.TICKS: lambda: _helper(_JIFFIES, "bpf_jiffies64"),
    features.RING_BUFFER: _ring_buffer,
    features.FROZEN_TABLES: _frozen_tables,
    features.MMAPABLE_ARRAYS: _mmapable,
    features.BATCH: _batch,
    features.TEST_RUN: _test_run,
    features.TCX_LINK: lambda: _apart(lambda: _link(ProgramKind.TC, _ATTACH_TCX_INGRESS, 0)),
    features.XDP_LINK: lambda: _apart(lambda: _link(ProgramKind.XDP, _ATTACH_XDP, _XDP_GENERIC)),
    features.LINK_UPDATE: lambda: _apart(_link_update),
}
