"""What a gate takes of the kernel's memory, map by map, as the kernel counts it.

The kernel tells it of an open map or program in /proc/self/fdinfo (`memlock`). Linux 6.4 and later count
what is there (map_mem_usage, commit 90a5527d7686); earlier ones estimate it from the number of entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wardgate.runtime.fd import Fd
from wardgate.runtime.generation import PROGRAMS, Generation, generations
from wardgate.runtime.maps import Map
from wardgate.runtime.pins import GatePins
from wardgate.runtime.program import Program
from wardgate.runtime.syscall import Cmd, fd_by_id

_FIELD: Final = "memlock:"


@dataclass(frozen=True, slots=True)
class Memory:
    """A map or a program: `generation` by number, None for the gate's own. A map that several generations
    use is listed for the first of them. `name` is the kernel's, of 15 letters at most, but for what is
    pinned; `entries` is None for a program."""

    name: str
    generation: int | None
    entries: int | None
    bytes: int


def read_memory(pins: GatePins) -> list[Memory]:
    """All of a gate whose lock is held, each map and program once: its own maps, then the generations'."""
    seen: set[int] = set()
    found: list[Memory] = []
    for path in (pins.about, pins.subjects, *sorted(pins.maps.iterdir())):
        if path.exists():
            with Map.open_pin(path) as one:
                found += _map(one, None, seen)
    for generation in generations(pins):
        found += _of_generation(generation, seen)
    return found


def _of_generation(generation: Generation, seen: set[int]) -> Iterator[Memory]:
    programs = set(PROGRAMS.values())
    used: set[int] = set()
    for path in sorted(generation.path.iterdir()):
        if path.name in programs:
            with Program.open_pin(path) as program:
                info = program.info
                used.update(info.map_ids)
                yield Memory(path.name, generation.number, None, _counted(program.fd) + info.jited_length)
        else:
            with Map.open_pin(path) as one:
                yield from _map(one, generation.number, seen)
    # The tables, which nothing but the programs holds.
    for number in sorted(used - seen):
        with Map(fd_by_id(Cmd.MAP_GET_FD_BY_ID, number)) as one:
            yield from _map(one, generation.number, seen)


def _map(one: Map, generation: int | None, seen: set[int]) -> Iterator[Memory]:
    if one.info.id not in seen:
        seen.add(one.info.id)
        yield Memory(one.name, generation, one.info.max_entries, _counted(one.fd))


def _counted(fd: Fd) -> int:
    for line in Path(f"/proc/self/fdinfo/{fd.fileno()}").read_text().splitlines():
        if line.startswith(_FIELD):
            return int(line.removeprefix(_FIELD))
    return 0
