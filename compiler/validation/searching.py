"""A search among boundaries, followed for whole intervals of addresses at once.

Where it compares with a boundary inside the interval, the interval is cut there, and both parts go on.
So every address is accounted for, whatever order the boundaries are in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wardgate.compiler.validation.encoded import EncodedTable
from wardgate.compiler.validation.errors import OutOfBoundsError, ValidationError

Step = tuple[int, int]
"""(stride, count): an address compares with the `count` boundaries that are one stride, two strides and so
on behind its position, and moves on by a stride for each that it has reached."""

_MOST_STEPS = 31
"""Programs shift a 32-bit one by them."""


def halving(steps: int) -> Sequence[Step]:
    """Steps of which each is half of the one before, down to 1. ValidationError where programs could not."""
    _check_steps(steps)
    return [(1 << step, 1) for step in reversed(range(steps))]


def halving_by_pairs(steps: int) -> Sequence[Step]:
    """The same, two steps at a time but for an odd one at first: three boundaries are looked at at once."""
    _check_steps(steps)
    first = [(1 << steps - 1, 1)] if steps % 2 else []
    return [*first, *((1 << step, 3) for step in reversed(range(0, steps // 2 * 2, 2)))]


def _check_steps(steps: int) -> None:
    if steps > _MOST_STEPS:
        raise ValidationError("the manifest's parameters", f"{steps} steps", "has 32-bit positions")


def reached(boundaries: Sequence[int], classes: EncodedTable, addresses: range) -> Iterator[tuple[int, int]]:
    """(first address, class), in address order, where the class is that at the number of boundaries, in any
    order, which an address has reached. OutOfBoundsError where there is none."""
    edges = sorted({addresses.start, *(edge for edge in boundaries if edge in addresses)})
    for edge in edges:
        count = sum(boundary <= edge for boundary in boundaries)
        yield edge, classes.entry(count, f"address {edge:#x}")


class Boundaries:
    """Boundaries and what holds from each on: `keys` are the numbers that the tables `parts` make up, entry
    by entry. Programs can compare addresses with those that are in `comparable` alone."""

    def __init__(
        self, keys: Sequence[int], parts: Sequence[EncodedTable], classes: EncodedTable, comparable: range
    ) -> None:
        self._keys = keys
        self._parts = parts
        self._classes: list[int] = classes.values.tolist()
        self._class_table = classes
        self._comparable = comparable

    def followed(
        self, first: int, after: int, position: int, steps: Sequence[Step]
    ) -> Iterator[tuple[int, int]]:
        """(first address, class), in address order, of addresses `first` to `after`, exclusive, whose search
        begins at `position`. OutOfBoundsError where it could leave a table: programs look where it begins."""
        furthest = position + sum(stride * count for stride, count in steps)
        if steps and furthest >= len(self._keys):
            raise self._outside(min(self._parts, key=len), furthest, first)
        pending = [(first, after, position, 0)]
        while pending:
            low, high, position, done = pending.pop()
            while done < len(steps):
                stride, count = steps[done]
                reached = 0
                for number in range(1, count + 1):
                    boundary = self._key(position + number * stride, low)
                    if boundary <= low:
                        reached += 1
                    elif boundary < high:
                        pending.append((boundary, high, position, done))
                        high = boundary
                position += reached * stride
                done += 1
            if position >= len(self._classes):
                raise self._outside(self._class_table, position, low)
            yield low, self._classes[position]

    def _key(self, position: int, address: int) -> int:
        """The boundary that `address` is compared with."""
        if position >= len(self._keys):
            raise self._outside(min(self._parts, key=len), position, address)
        key = self._keys[position]
        if key not in self._comparable:
            raise ValidationError(
                f"table {self._parts[0].name}",
                f"{key:#x} at {position}, with which programs cannot compare {address:#x}",
                "has addresses there",
            )
        return key

    def _outside(self, table: EncodedTable, position: int, address: int) -> OutOfBoundsError:
        return OutOfBoundsError(table.name, position, len(table), f"the search for address {address:#x}")
