"""The longest-prefix trie of IPv4: 65,536 roots by the first 16 bits, then nodes of 256 entries.

An entry is a destination class, or, with the top bit of its element set, the number of the node that
goes on. At most three loads decide an address.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from wardgate.compiler.language.model import Prefix
from wardgate.compiler.lowering.tables import TableData, table

ROOT_BITS = 16
NODE_BITS = 8
_NODE = 1 << NODE_BITS


class _Builder:
    def __init__(self) -> None:
        self.nodes: list[array[int]] = []

    def node_below(self, entries: array[int], index: int) -> array[int]:
        """The node that `entries[index]` points to; made, with the entry's class, if it is a leaf.

        While building, a pointer is the complement of a node's number, and so negative.
        """
        entry = entries[index]
        if entry < 0:
            return self.nodes[~entry]
        node = array("q", [entry]) * _NODE
        entries[index] = ~len(self.nodes)
        self.nodes.append(node)
        return node


def trie4(prefixes: Sequence[tuple[Prefix, int]]) -> list[TableData]:
    """Tables `route4_roots` and `route4_nodes` for (prefix, destination class) pairs, in any order.

    Without a prefix longer than /16 there is no `route4_nodes`.
    """
    builder = _Builder()
    roots = array("q", [0]) * (1 << ROOT_BITS)
    for prefix, number in sorted(prefixes, key=lambda pair: pair[0].prefixlen):
        address, length = int(prefix.network_address), prefix.prefixlen
        entries, index, depth = roots, address >> 16, ROOT_BITS
        while length > depth:
            entries = builder.node_below(entries, index)
            depth += NODE_BITS
            index = address >> (32 - depth) & (_NODE - 1)
        covered = 1 << (depth - length)
        entries[index : index + covered] = array("q", [number]) * covered

    largest = max([number for _, number in prefixes] + [len(builder.nodes)])
    element = 2 if largest < 1 << 15 else 4
    pointer = 1 << (8 * element - 1)
    if largest >= pointer:
        raise OverflowError(f"{largest} trie nodes or destination classes are more than {pointer - 1}")
    tables = [_encoded("route4_roots", roots, element, pointer, "first 16 bits to class or node")]
    if builder.nodes:
        flat = array("q")
        for node in builder.nodes:
            flat.extend(node)
        tables.append(_encoded("route4_nodes", flat, element, pointer, "next 8 bits to class or node"))
    return tables


def _encoded(name: str, entries: array[int], element: int, pointer: int, doc: str) -> TableData:
    return table(name, element, [e if e >= 0 else pointer | ~e for e in entries], doc)
