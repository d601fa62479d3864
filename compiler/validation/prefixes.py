"""The policy's side of addresses: its prefixes, which contain which, and where each is the longest.

An address's prefixes lie in each other, so that the longest of them, over all rules, says which they
are: those around it. What any policy class says of an address is therefore what it says of the
longest prefix there, and regions of equal longest prefix are a finite partition of the addresses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wardgate.compiler.language.model import Prefix, Rule

NO_PREFIX = 0
BITS = {4: 32, 6: 128}

Region = tuple[int, int]
"""(first address, node), up to the next region's first address."""

_Key = tuple[int, int, int]
"""IP version, address, length: prefixes sort by it in address order, one before those inside it."""


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """The prefixes as nodes, numbered from 1 in address order, one before those inside it.

    `prefixes[i]` is node `i + 1`, and `ends[i]` the node behind the last one inside it: what is
    inside a node is the nodes from its own number up to its end. `node_of` is keyed by the prefix as text.
    """

    prefixes: tuple[Prefix, ...]
    ends: tuple[int, ...]
    nodes_of_rule: Mapping[int, tuple[int, ...]]
    node_of: Mapping[str, int]

    def regions(self, version: int) -> Sequence[Region]:
        """The addresses of one IP version by the longest prefix around them, from address 0; NO_PREFIX
        where there is none."""
        found: list[Region] = []
        around: list[tuple[int, int]] = []

        def begin(address: int, node: int) -> None:
            if found and found[-1][0] == address:
                found.pop()
            found.append((address, node))

        begin(0, NO_PREFIX)
        for node, prefix in enumerate(self.prefixes, 1):
            if prefix.version != version:
                continue
            first = int(prefix.network_address)
            after = first + (1 << BITS[version] - prefix.prefixlen)
            while around and around[-1][0] <= first:
                closed, _ = around.pop()
                begin(closed, around[-1][1] if around else NO_PREFIX)
            begin(first, node)
            around.append((after, node))
        while around:
            closed, _ = around.pop()
            if closed < 1 << BITS[version]:
                begin(closed, around[-1][1] if around else NO_PREFIX)
        return found


def prefix_tree(rules: Iterable[Rule]) -> PrefixTree:
    """The prefixes of `rules`, each once."""
    keys: dict[_Key, Prefix] = {}
    keys_of_rule = {}
    for rule in rules:
        of_rule: dict[_Key, Prefix] = {
            (p.version, int(p.network_address), p.prefixlen): p for p in rule.destinations
        }
        keys.update(of_rule)
        keys_of_rule[rule.id] = of_rule
    ordered = sorted(keys)
    node_of_key = {key: node for node, key in enumerate(ordered, 1)}
    ends = [0] * len(ordered)
    around: list[tuple[int, int, int]] = []
    for node, (version, first, length) in enumerate(ordered, 1):
        while around and around[-1][:2] < (version, first):
            ends[around.pop()[2] - 1] = node
        around.append((version, first + (1 << BITS[version] - length) - 1, node))
    for _, _, node in around:
        ends[node - 1] = len(ordered) + 1
    return PrefixTree(
        tuple(keys[key] for key in ordered),
        tuple(ends),
        {rule: tuple(node_of_key[key] for key in found) for rule, found in keys_of_rule.items()},
        {str(keys[key]): node for key, node in node_of_key.items()},
    )
