"""What a machine tells of its runs, to whoever asked for it.

Code for a machine without an observer is translated without the calls, so that nobody pays for what
nobody looks at.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from wardgate.compiler.vm.helpers import HELPERS, Host
from wardgate.runtime.layout.maps import TABLE_SECTION_PREFIX


class Observer:
    """Is told of each step; the methods here do nothing, and an observer has those that it needs.

    An observer belongs to one machine: `host`, which is set when that is made.
    """

    host: Host

    def visit(self, pc: int) -> None:
        """The instruction at index `pc` of the image is about to run."""

    def loaded(self, address: int, size: int, value: int) -> None:
        """It loaded `size` bytes at `address`, which are not of its own stack by way of r10."""

    def called(self, helper: int, arguments: tuple[int, ...]) -> None:
        """It is about to call the kernel's function `helper`, which takes so many `arguments`."""

    def returned(self, helper: int, value: int) -> None:
        """The function gave `value` back."""


@dataclass(slots=True)
class Statistics:
    """Counts over all runs of a machine that observes. `executed` is by instruction. `loads` are by
    region: data sections by name, `map NAME`, `packet`, `context`, `stack` (without what goes through
    r10). `calls` are by the helper's name, with that of the map behind it where it works on one, as in
    `map_lookup_elem devices`."""

    executed: Counter[int] = field(default_factory=Counter)
    loads: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def instructions(self) -> int:
        """All instructions executed."""
        return self.executed.total()

    @property
    def table_loads(self) -> dict[str, int]:
        """Loads from tables, by the table's name."""
        return self._named(self.loads, TABLE_SECTION_PREFIX)

    @property
    def map_lookups(self) -> dict[str, int]:
        """Lookups in maps, by the map's name."""
        return self._named(self.calls, "map_lookup_elem ")

    @staticmethod
    def _named(counts: Counter[str], prefix: str) -> dict[str, int]:
        return {name.removeprefix(prefix): n for name, n in counts.items() if name.startswith(prefix)}


class Recorder(Observer):
    """Keeps statistics, and the index of each instruction in the order in which they ran."""

    def __init__(self) -> None:
        self.statistics, self.trace = Statistics(), list[int]()

    def visit(self, pc: int) -> None:
        """Count it."""
        self.statistics.executed[pc] += 1
        self.trace.append(pc)

    def loaded(self, address: int, size: int, value: int) -> None:  # noqa: ARG002 - an observer's method
        """Count it."""
        self.statistics.loads[self.host.memory.name(address)] += 1

    def called(self, helper: int, arguments: tuple[int, ...]) -> None:
        """Count it."""
        table = self.host.handles.get(arguments[0]) if arguments else None
        name = HELPERS[helper][0]
        self.statistics.calls[f"{name} {table.layout.name}" if table else name] += 1
