"""What the watch's program counts is looked for, also where it woke nobody for it."""

from __future__ import annotations

import time

from wardgate.gateway.roaming import OnRoam, layout
from wardgate.gateway.roaming.looker import Looker
from wardgate.gateway.roaming.pace import Bounds, Pace
from wardgate.gateway.roaming.underlay import UnderlayDetector


class Counted:
    """The program's requests: names to numbers."""

    def __init__(self, **numbers: int) -> None:
        names = {offset: name for name, offset in layout.REQUESTS.offsets.items()}
        self.names = names
        self.numbers = {"urgent": 0, "lazy": 0, "urgent_told": 1, "lazy_told": 1, **numbers}

    def load(self, _slot: int, offset: int, _size: int) -> int:
        return self.numbers[self.names[offset]]

    def store(self, _slot: int, offset: int, _size: int, value: int) -> None:
        self.numbers[self.names[offset]] = value


def listened(counted: Counted) -> Looker:
    """The looks that are due, after a detector that has seen nothing yet listens."""
    detector = object.__new__(UnderlayDetector)
    detector._requests = counted  # type: ignore[assignment]
    detector._looker = Looker("underlay", dict, OnRoam.CHALLENGE, Pace(Bounds(lazy=5.0)))
    detector._asked = detector._answered = detector._lazy = 0
    detector._listen()
    assert (counted.numbers["urgent_told"], counted.numbers["lazy_told"]) == (0, 0)
    return detector._looker


def test_nothing_was_counted():
    assert listened(Counted()).pace.next(0.0) is None


def test_an_unknown_source_is_looked_for_soon():
    looker = listened(Counted(urgent=1))
    assert not looker.pace.is_answered
    assert looker.pace.next(0.0) < time.monotonic() + 1


def test_new_keys_of_a_known_source_are_looked_for_later():
    began = time.monotonic()
    looker = listened(Counted(lazy=1))
    assert looker.pace.is_answered
    assert looker.pace.next(0.0) >= began + 5.0
