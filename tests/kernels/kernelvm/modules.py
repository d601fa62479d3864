"""A kernel's modules: which are to be loaded, in which order, for some of them to work."""

from __future__ import annotations

import io
import lzma
from pathlib import Path

from elftools.elf.elffile import ELFFile


class ModuleMissingError(Exception):
    """A module that is neither in the folder nor built into the kernel."""


def with_dependencies(folder: Path, wanted: list[str]) -> dict[str, bytes]:
    """The wanted modules and all that they need, each after what it needs; name to ELF image.

    What is built in is left out. `folder` is /lib/modules/RELEASE; depmod need not have run, since
    each module lists its needs itself (`depends` in section .modinfo).
    """
    paths = {_name(path.name): path for path in folder.rglob("*.ko*")}
    built_in = {_name(Path(line).name) for line in (folder / "modules.builtin").read_text().splitlines()}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name in built_in:
            return
        if name not in paths:
            raise ModuleMissingError(f"{folder.name} has no module {name}")
        image = _read(paths[name])
        for needed in _depends(image):
            add(_name(needed))
        found[name] = image

    for name in wanted:
        add(_name(name))
    return found


def _name(file: str) -> str:
    return file.partition(".ko")[0].replace("-", "_")


def _read(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _depends(image: bytes) -> list[str]:
    section = ELFFile(io.BytesIO(image)).get_section_by_name(".modinfo")
    for entry in section.data().split(b"\0"):
        key, _, value = entry.partition(b"=")
        if key == b"depends":
            return [name for name in value.decode().split(",") if name]
    return []
