"""What a gate has, opened for reading or for a change: the lock is held, and what a crash left is mended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from wardgate.runtime.devices import DeviceTable
from wardgate.runtime.generation import Generation, OpenIndexes, OpenTables, generations
from wardgate.runtime.owners import Owners, Space
from wardgate.runtime.pins import GatePins
from wardgate.runtime.shared import SharedMaps
from wardgate.runtime.state import State, StateError, read_about, read_state, recover
from wardgate.runtime.subjects import Subjects


class Access:
    """The ways into a gate by its pins. PinError and LockError where it cannot be opened, StateError where
    its creation was interrupted."""

    def __init__(self, pins: GatePins) -> None:
        self.pins = pins

    def state(self) -> State:
        """Where the gate stands. The lock is held."""
        about = read_about(self.pins)
        if about is None:
            raise StateError(
                "open gate", self.pins.name, "its creation was interrupted", "run it again, or detach it"
            )
        return read_state(self.pins, about)

    @contextmanager
    def reading(self) -> Iterator[DeviceTable]:
        """The devices. All generations know the same, so one is asked."""
        with self.pins.lock(), SharedMaps.open(self.pins) as shared, ExitStack() as stack:
            self._mend(shared)
            whole = [one for one in generations(self.pins) if not one.mark]
            spaces = [stack.enter_context(OpenIndexes(one)).indexes for one in whole[-1:]]
            yield self._table(shared, spaces)

    @contextmanager
    def writing(self) -> Iterator[tuple[State, SharedMaps]]:
        """State and shared maps."""
        with self.pins.lock(), SharedMaps.open(self.pins) as shared:
            self._mend(shared)
            yield recover(self.pins, self.state()), shared

    @contextmanager
    def opened(
        self, state: State, shared: SharedMaps, *new: Generation
    ) -> Iterator[tuple[DeviceTable, Sequence[OpenTables]]]:
        """The devices in all generations, and the generations' tables: that in force, others, `new`. The lock
        is held."""
        others = (one for one in state.generations if one != state.current)
        ordered = [one for one in (state.current, *others, *new) if one is not None]
        with ExitStack() as stack:
            tables = [stack.enter_context(OpenTables(one)) for one in ordered]
            yield self._table(shared, [one.indexes for one in tables]), tables

    def repair(self, state: State, shared: SharedMaps) -> None:
        """Bring devices and classes to one mind, whatever a crash left. The lock is held."""
        with self.opened(state, shared) as (table, tables), self.pins.changing():
            table.repair(tables)

    def _mend(self, shared: SharedMaps) -> None:
        """Finish what a writer that was killed left undone of devices and classes."""
        if self.pins.unfinished.is_dir():
            self.repair(recover(self.pins, self.state()), shared)

    def _table(self, shared: SharedMaps, spaces: Sequence[Space]) -> DeviceTable:
        subjects = Subjects(self.pins.subjects, shared.slots)
        return DeviceTable(shared, subjects, Owners(shared.raw("addresses"), spaces))
