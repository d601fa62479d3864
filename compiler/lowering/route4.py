"""Tables of `route4`: IPv4 address to destination class.

- trie: `route4_roots` by the first 16 bits, then `route4_nodes` of 256 entries each. An entry is a
  class, or with the bit `route4_pointer` set the number of the node that goes on.
- search: `route4_keys` are the addresses from which on another class holds, and `route4_class` has that.
  `route4_index`, by the first bits of the address, tells where the search begins; see `search`.
- code: the addresses from which on another class holds are constants of the program, which counts those that
  an address has reached; `route4_class` has the class by their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from wardgate.compiler.lowering.destinations import Boundary
from wardgate.compiler.lowering.plan import Plan
from wardgate.compiler.lowering.ragged import Integers
from wardgate.compiler.lowering.search import Cells, bytes_touched
from wardgate.compiler.lowering.survey import Candidate
from wardgate.compiler.lowering.tables import TableData, narrowest, table

ROOT_BITS = 16
NODE_BITS = 8
MOST_INDEX_BITS = 20
MOST_COMPARISONS = 16
"""Of straight-line code; with more, a table is sooner read."""
_BITS = 32
_NODE = 1 << NODE_BITS
_TOP = 1 << _BITS


@dataclass(frozen=True, slots=True, eq=False)
class Route4:
    """Sorted addresses, the first of which is 0, and the class from each on."""

    keys: Integers
    classes: Integers

    def candidates(self) -> list[Candidate]:
        """The forms that this can take."""
        found = [self._trie(), *(self._search(bits) for bits in range(MOST_INDEX_BITS + 1))]
        compared = len(self.keys) - 1
        if compared <= MOST_COMPARISONS:
            size = len(self.keys) * self._class_element
            found.append(Candidate("route4", "code", 0, 1, compared, size, size))
        return found

    def _trie(self) -> Candidate:
        middle, last = len(self._split(ROOT_BITS)), len(self._split(_BITS - NODE_BITS))
        element = self._trie_element(middle + last)
        nodes = (middle + last) * _NODE * element
        size = (element << ROOT_BITS) + nodes
        touched = self._touched(_BITS - ROOT_BITS, element) + nodes
        return Candidate("route4", "trie", 0, 1 + bool(middle) + bool(last), 0, size, min(touched, size))

    def _search(self, bits: int) -> Candidate:
        cells = self._cells(bits)
        keys = cells.padded * ((4 if cells.steps else 0) + self._class_element)
        index = cells.index_element << bits if bits else 0
        touched = keys + (self._touched(_BITS - bits, cells.index_element) if bits else 0)
        loads = bool(bits) + cells.steps + 1
        size = keys + index
        return Candidate("route4", "search", bits, loads, cells.steps, size, min(touched, size))

    def _touched(self, shift: int, element: int) -> int:
        """Bytes touched of a table of `element` bytes by the bits of an address from `shift` on."""
        inside = self.classes > 0
        ends = np.append(self.keys[1:], _TOP)
        return bytes_touched(
            (self.keys[inside] >> shift) * element, ((ends[inside] - 1 >> shift) + 1) * element
        )

    @property
    def _class_element(self) -> int:
        return narrowest(int(self.classes.max()))

    def _cells(self, bits: int) -> Cells:
        shift = _BITS - bits
        return Cells(bits, self.keys >> shift, self.keys & (1 << shift) - 1 == 0)

    def _split(self, bits: int) -> Integers:
        """The first `bits` bits of addresses that they do not tell the class of."""
        shift = _BITS - bits
        return np.unique(self.keys[self.keys & (1 << shift) - 1 > 0] >> shift)

    def _trie_element(self, nodes: int) -> int:
        largest = max(int(self.classes.max()), nodes)
        if largest >= 1 << 31:
            raise OverflowError(f"{largest} trie nodes or destination classes are more than {(1 << 31) - 1}")
        return 2 if largest < 1 << 15 else 4

    def encode(self, plan: Plan) -> tuple[list[TableData], dict[str, int], set[str]]:
        """Tables, parameters, and the templates' features."""
        if plan.route4 == "trie":
            return self._encode_trie()
        if plan.route4 == "code":
            return self._encode_code()
        return self._encode_search(plan.route4_index_bits)

    def _classes_at(self, addresses: Integers) -> Integers:
        return self.classes[np.searchsorted(self.keys, addresses, "right") - 1]

    def _encode_trie(self) -> tuple[list[TableData], dict[str, int], set[str]]:
        middle, last = self._split(ROOT_BITS), self._split(_BITS - NODE_BITS)
        element = self._trie_element(len(middle) + len(last))
        pointer = 1 << (8 * element - 1)
        roots = self._classes_at(np.arange(1 << ROOT_BITS) << _BITS - ROOT_BITS)
        roots[middle] = pointer | np.arange(len(middle))
        within = np.arange(_NODE)
        seconds = (middle[:, None] << NODE_BITS | within).reshape(-1)
        nodes = self._classes_at(seconds << NODE_BITS)
        nodes[np.searchsorted(seconds, last)] = pointer | len(middle) + np.arange(len(last))
        thirds = self._classes_at((last[:, None] << NODE_BITS | within).reshape(-1))
        tables = [table("route4_roots", element, roots, "first 16 bits to class or node")]
        features = {"V4_TRIE"}
        if len(middle):
            below = np.concatenate([nodes, thirds])
            tables.append(table("route4_nodes", element, below, "next 8 bits to class or node"))
            features.add("V4_NODES")
        return tables, {"route4_pointer": pointer}, features

    def _encode_code(self) -> tuple[list[TableData], dict[str, int], set[str]]:
        tables = [table("route4_class", self._class_element, self.classes, "boundaries reached to class")]
        boundaries = self.keys[1:].tolist()
        parameters = {f"route4_boundary_{number}": key for number, key in enumerate(boundaries, 1)}
        return tables, {"route4_boundaries": len(boundaries), **parameters}, {"V4_CODE"}

    def _encode_search(self, bits: int) -> tuple[list[TableData], dict[str, int], set[str]]:
        cells = self._cells(bits)
        missing = cells.padded - len(self.keys)
        classes = np.pad(self.classes, (0, missing), mode="edge")
        tables = [table("route4_class", self._class_element, classes, "position to destination class")]
        features = {"V4_SEARCH"}
        if cells.steps:
            keys = np.pad(self.keys, (0, missing), constant_values=_TOP - 1)
            tables.insert(0, table("route4_keys", 4, keys, "first address of a class"))
            features.add("V4_STEPS")
        if bits:
            index = table("route4_index", cells.index_element, cells.index(), "first bits to position")
            tables.insert(0, index)
            features.add("V4_INDEXED")
        return tables, {"route4_index_bits": bits, "route4_steps": cells.steps}, features


def route4_of(boundaries: Sequence[Boundary]) -> Route4:
    """The route over all IPv4 addresses."""
    keys, classes = np.array(boundaries, np.int64).T
    return Route4(keys.copy(), classes.copy())
