"""The kernel's own types: those of vmlinux, and those that each module adds to them.

The kernel has about 100,000 types, of which a caller wants a handful. So types are counted in one pass, and
read one at a time when they are asked for. A module's BTF goes on where that of vmlinux ends, both in its
ids and in the places of its strings (Documentation/bpf/btf.rst, "split BTF"; since Linux 5.11, commit
36e68442d1af).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wardgate.runtime.btf import (
    EXTRA_BYTES,
    HEADER,
    MAGIC,
    TYPE,
    Array,
    Int,
    Kind,
    Modifier,
    Other,
    Pointer,
    Struct,
    Type,
    read_type,
)
from wardgate.runtime.errors import UnsupportedError
from wardgate.runtime.info import btf_info
from wardgate.runtime.syscall import Cmd, Fd, fd_by_id, next_id

VMLINUX: Final = "vmlinux"
_FOLDER: Final = Path("/sys/kernel/btf")
_MOST_STEPS: Final = 32
_POINTER_BYTES: Final = 8
_EXTRA: Final = {int(kind): sizes for kind, sizes in EXTRA_BYTES.items()}
_SIZES: Final = tuple(_EXTRA.get(number, (0, 0)) for number in range(32))


class KernelTypesError(UnsupportedError):
    """The kernel does not tell its types, or has not those that are asked for."""

    def __init__(self, target: str, cause: str) -> None:
        super().__init__(
            "read the kernel's types", target, cause, "run a kernel with CONFIG_DEBUG_INFO_BTF_MODULES"
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field is: `offset` and `size` in bytes from the start of the struct that was asked about."""

    offset: int
    size: int


class KernelBtf:
    """The types of vmlinux, or, with `base`, of a module."""

    def __init__(self, name: str, raw: bytes, base: KernelBtf | None = None) -> None:
        """KernelTypesError where `raw` is not BTF."""
        self.name = name
        self._raw = raw
        self._base = base
        self._first = base.end if base else 1
        if len(raw) < HEADER.size:
            raise KernelTypesError(name, f"{len(raw)} bytes are no BTF")
        magic, version, _flags, header, types, type_length, strings, string_length = HEADER.unpack_from(raw)
        if magic != MAGIC or version != 1:
            raise KernelTypesError(name, f"magic {magic:#x}, version {version}: no BTF of version 1")
        self._end_of_types = header + types + type_length
        own = raw[header + strings : header + strings + string_length]
        if self._end_of_types > len(raw) or len(own) != string_length:
            raise KernelTypesError(name, "types or strings are cut off")
        self._own_strings_at = len(base.strings) if base else 0
        self.strings: bytes = base.strings + own if base else own
        self._places = array("I")
        self._names = array("I")
        self._count(header + types)

    def _count(self, place: int) -> None:
        raw, end, sizes = self._raw, self._end_of_types, _SIZES
        places, names, unpack = self._places.append, self._names.append, TYPE.unpack_from
        while place + TYPE.size <= end:
            name, info, _ = unpack(raw, place)
            places(place)
            names(name)
            once, each = sizes[info >> 24 & 0x1F]
            place += 12 + once + each * (info & 0xFFFF)
        if place != end:
            raise KernelTypesError(self.name, "its last type is cut off")

    @property
    def end(self) -> int:
        """One more than the last type's id."""
        return self._first + len(self._places)

    def type(self, type_id: int) -> Type:
        """The type of this id, of this BTF or its base; KernelTypesError where there is none."""
        if self._base is not None and type_id < self._first:
            return self._base.type(type_id)
        if not self._first <= type_id < self.end:
            raise KernelTypesError(self.name, f"has no type {type_id}")
        place = self._places[type_id - self._first]
        return read_type(self._raw, place, self._end_of_types, self.strings)[0]

    def find(self, name: str, kind: Kind) -> int | None:
        """Id of the type of this name and kind, among those that are not the base's; None: there is none."""
        mark = b"\0" + name.encode() + b"\0"
        start = max(self._own_strings_at - 1, 0)
        # A module's type may have its name from vmlinux.
        for at in (self.strings.find(mark, start), self.strings.find(mark, 0, start + 1)):
            if at < 0:
                continue
            index = -1
            while True:
                try:
                    index = self._names.index(at + 1, index + 1)
                except ValueError:
                    break
                (_, info, _) = TYPE.unpack_from(self._raw, self._places[index])
                if info >> 24 & 0x1F == kind:
                    return self._first + index
        return None

    def function(self, name: str) -> int:
        """Id of a function; KernelTypesError."""
        found = self.find(name, Kind.FUNC)
        if found is None:
            raise KernelTypesError(self.name, f"it has no function {name}")
        return found

    def place(self, struct: str, *path: str) -> Place:
        """Where the field is that `path` leads to from `struct`, through structs in structs (never through
        pointers) and unions without a name. KernelTypesError where there is none."""
        type_id = self.find(struct, Kind.STRUCT)
        if type_id is None:
            raise KernelTypesError(self.name, f"it has no struct {struct}")
        offset = 0
        for field in path:
            found = self._member(type_id, field)
            if found is None:
                raise KernelTypesError(self.name, f"struct {struct} has no field {'.'.join(path)}")
            type_id, at = found
            offset += at
        return Place(offset, self.size_of(type_id))

    def _member(self, type_id: int, name: str) -> tuple[int, int] | None:
        """Type and offset in bytes of a member, those of unnamed structs and unions included."""
        one = self._resolve(type_id)
        if not isinstance(one, Struct):
            return None
        for member in one.members:
            if member.name == name and not member.bit_size and not member.bit_offset % 8:
                return member.type_id, member.bit_offset // 8
            if not member.name and (found := self._member(member.type_id, name)):
                return found[0], found[1] + member.bit_offset // 8
        return None

    def _resolve(self, type_id: int) -> Type:
        for _ in range(_MOST_STEPS):
            one = self.type(type_id)
            if not isinstance(one, Modifier):
                return one
            type_id = one.type_id
        raise KernelTypesError(self.name, f"type {type_id} is a chain without end")

    def size_of(self, type_id: int) -> int:
        """Size of a type in bytes; KernelTypesError where it has none."""
        one = self._resolve(type_id)
        if isinstance(one, Array):
            return one.count * self.size_of(one.element_id)
        if isinstance(one, Pointer):
            return _POINTER_BYTES
        if isinstance(one, (Int, Struct, Other)):
            return one.size
        raise KernelTypesError(self.name, f"type {type_id} has no size")


def read_kernel_btf(name: str = VMLINUX, base: KernelBtf | None = None) -> KernelBtf:
    """The types of vmlinux, or of a loaded module with those as its `base`, from /sys/kernel/btf.
    KernelTypesError."""
    try:
        raw = (_FOLDER / name).read_bytes()
    except FileNotFoundError:
        raise KernelTypesError(name, f"there is no {_FOLDER / name}") from None
    except OSError as error:
        raise KernelTypesError(name, str(error.strerror)) from error
    return KernelBtf(name, raw, base)


def open_module_btf(name: str) -> Fd | None:
    """The loaded BTF of a module, by which programs name its functions; None where there is none."""
    number = 0
    while (following := next_id(Cmd.BTF_GET_NEXT_ID, number)) is not None:
        number = following
        try:
            fd = fd_by_id(Cmd.BTF_GET_FD_BY_ID, number)
        except FileNotFoundError:
            continue
        info = btf_info(fd)
        if info.kernel and info.name == name:
            return fd
        fd.close()
    return None
